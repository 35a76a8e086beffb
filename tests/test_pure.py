"""`cbackprop.pure`, the judge of small cases, is judged here itself: values by NumPy and by hand,
gradients by finite differences, training by a slow loop over NumPy arrays."""

import ast
import math
from pathlib import Path
from random import Random

import numpy as np
import pytest
from numpy.testing import assert_allclose

from cbackprop import pure

HIDDEN = ["identity", "sigmoid", "tanh", "relu", "softsign"]
PAIRS = [  # every loss with every output activation that it goes with
    *(("squared_error", output) for output in [*HIDDEN, "exp"]),
    ("log_loss", "softmax"),
    ("binary_log_loss", "sigmoid"),
    ("poisson", "exp"),
]
LAYER_SIZES = [(3, 2), (3, 1), (3, 4, 2), (2, 3, 1), (3, 4, 3, 2), (2, 4, 3, 3, 2)]

FORMULAS = {
    "identity": lambda z: z,
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "tanh": np.tanh,
    "relu": lambda z: np.where(z > 0, z, 0),
    "softsign": lambda z: z / (1 + np.abs(z)),
    "exp": np.exp,
    "softmax": lambda z: np.exp(z) / np.exp(z).sum(axis=1, keepdims=True),
}
LOSS_FORMULAS = {  # of every point
    "squared_error": lambda y, p: ((p - y) ** 2).sum(axis=1) / 2,
    "log_loss": lambda y, p: -(y * np.log(p)).sum(axis=1),
    "binary_log_loss": lambda y, p: -(y * np.log(p) + (1 - y) * np.log(1 - p)).sum(axis=1),
    "poisson": lambda y, p: (y * np.log(y / p) - y + p).sum(axis=1),
}


def numpy_layers(network, X):
    """The preactivations and the activations of every layer, by NumPy."""
    preactivations, activations = [], [np.array(X)]
    names = (*network.activation, network.output_activation)
    for weights, biases, name in zip(network.weights, network.biases, names, strict=True):
        preactivations.append(activations[-1] @ np.array(weights) + np.array(biases))
        activations.append(FORMULAS[name](preactivations[-1]))
    return preactivations, activations


def random_targets(rng, loss, n_samples, n_outputs):
    """Targets as the loss wants them: numbers, probabilities of sum 1, probabilities, rates."""
    y = rng.uniform(0.1, 0.9, size=(n_samples, n_outputs))
    if loss == "log_loss":
        y /= y.sum(axis=1, keepdims=True)
    return (y - 0.5 if loss == "squared_error" else y).tolist()


def problem(layer_sizes, activation, loss, output_activation, n_samples=5):
    """A network and data that lie clear of relu's kink, where no derivative exists."""
    for seed in range(1000):
        rng = np.random.default_rng(seed)
        network = pure.Network(layer_sizes, activation, output_activation, loss)
        network.parameters = rng.normal(size=network.n_parameters)
        X = rng.normal(size=(n_samples, layer_sizes[0])).tolist()
        y = random_targets(rng, loss, n_samples, layer_sizes[-1])
        names = (*network.activation, network.output_activation)
        z_of_layers = zip(names, numpy_layers(network, X)[0], strict=True)
        if all(np.abs(z).min() > 0.03 for name, z in z_of_layers if name == "relu"):
            return network, X, y, rng
    raise AssertionError("no such data found")


def directional_derivative(f, at, direction, h=1e-3):
    """df along direction, by central differences of order 4."""
    f1 = f(at + h * direction) - f(at - h * direction)
    f2 = f(at + 2 * h * direction) - f(at - 2 * h * direction)
    return (8 * f1 - f2) / (12 * h)


def check_gradient(f, at, gradient, rng):
    """The gradient of f against finite differences along random directions, with its sign."""
    at, gradient = np.asarray(at), np.asarray(gradient)
    assert gradient.shape == at.shape
    for _ in range(5):
        direction = rng.normal(size=at.size)
        direction /= np.linalg.norm(direction)
        expected = directional_derivative(f, at, direction)
        assert gradient @ direction == pytest.approx(expected, rel=1e-8, abs=1e-10)


def loss_at(network, X, y, **options):
    """The loss as a function of the parameters."""

    def loss(parameters):
        network.parameters = parameters
        return network.loss_and_gradient(X, y, **options)[0]

    return loss


# ---- values --------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", HIDDEN)
@pytest.mark.parametrize(("loss", "output_activation"), PAIRS)
def test_activations_and_losses_agree_with_numpy(loss, output_activation, activation):
    network, X, y, _ = problem((3, 4, 3, 2), activation, loss, output_activation)
    expected = numpy_layers(network, X)[1]
    activations = network.activations(X)
    assert activations[0] == X
    assert len(activations) == 4
    for got, want in zip(activations, expected, strict=True):
        assert_allclose(got, want, rtol=1e-13, atol=1e-15)
    assert network.predict(X) == activations[-1]

    points = LOSS_FORMULAS[loss](np.array(y), expected[-1])
    weights = [0.5, 2.0, 0.0, 1.0, 3.0]
    assert network.loss_value(X, y) == pytest.approx(points.mean(), rel=1e-12)
    assert network.loss_value(X, y, reduction="sum") == pytest.approx(points.sum(), rel=1e-12)
    weighted = points @ weights
    assert network.loss_value(X, y, weights) == pytest.approx(weighted / 6.5, rel=1e-12)
    assert network.loss_value(X, y, weights, "sum") == pytest.approx(weighted, rel=1e-12)
    assert network.loss_and_gradient(X, y, weights)[0] == network.loss_value(X, y, weights)


def test_losses_by_hand():
    """Zero weights leave the biases alone to make the prediction."""

    def network(loss, output_activation, biases):
        network = pure.Network([1, len(biases)], (), output_activation, loss)
        network.parameters = [0.0] * len(biases) + biases
        return network

    X = [[7.0]]
    squared_error = network("squared_error", "identity", [1.0, -2.0])
    assert squared_error.loss_value(X, [[4.0, 2.0]]) == 0.5 * (9 + 16)
    log_loss = network("log_loss", "softmax", [0.0, math.log(3)])
    assert log_loss.loss_value(X, [1]) == pytest.approx(math.log(4 / 3))
    assert log_loss.loss_value(X, [0]) == pytest.approx(math.log(4))
    binary = network("binary_log_loss", "sigmoid", [math.log(3), 0.0])
    assert binary.loss_value(X, [[1.0, 0.0]]) == pytest.approx(math.log(4 / 3) + math.log(2))
    poisson = network("poisson", "exp", [math.log(2), 0.0])
    assert poisson.loss_value(X, [[3.0, 0.0]]) == pytest.approx(3 * math.log(3 / 2) - 1 + 1)


@pytest.mark.parametrize("z", [0.0, 40.0, -40.0, 800.0, -800.0, 1e308, -1e308])
def test_sigmoid_and_softmax_do_not_overflow(z):
    def logistic(z):  # by the identity with tanh, which has no overflow to avoid
        return 0.5 + 0.5 * math.tanh(0.5 * z)

    assert pure.sigmoid(z) == pytest.approx(logistic(z), rel=1e-13, abs=1e-16)
    assert pure.softmax([z, 0.0]) == pytest.approx([logistic(z), logistic(-z)], abs=1e-16)


def test_exp_grows_to_infinity():
    assert pure.exponential(709.78) == math.exp(709.78)
    assert pure.exponential(709.79) == math.inf
    assert pure.exponential(-1000.0) == 0.0


def test_one_dimensional_targets_and_class_numbers():
    network, X, _, _ = problem((3, 4, 1), "tanh", "squared_error", "identity")
    y = [1.0, 2.0, -1.0, 0.5, 0.0]
    rows = [[target] for target in y]
    assert network.loss_and_gradient(X, y) == network.loss_and_gradient(X, rows)

    network, X, _, _ = problem((3, 4, 3), "tanh", "log_loss", "softmax")
    one_hot = np.eye(3)[[2, 0, 1, 1, 2]].tolist()
    assert network.loss_and_gradient(X, [2, 0, 1, 1, 2]) == network.loss_and_gradient(X, one_hot)
    assert network.deltas(X, [2, 0, 1, 1, 2]) == network.deltas(X, one_hot)


# ---- gradients -----------------------------------------------------------------------------


@pytest.mark.parametrize("layer_sizes", LAYER_SIZES, ids=lambda sizes: "-".join(map(str, sizes)))
@pytest.mark.parametrize("activation", HIDDEN)
@pytest.mark.parametrize(("loss", "output_activation"), PAIRS)
def test_gradient_agrees_with_finite_differences(loss, output_activation, activation, layer_sizes):
    network, X, y, rng = problem(layer_sizes, activation, loss, output_activation)
    at = network.parameters
    gradient = network.loss_and_gradient(X, y)[1]
    check_gradient(loss_at(network, X, y), at, gradient, rng)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("alpha", [0.0, 0.7])
def test_gradient_with_weights_and_penalty(reduction, alpha):
    network, X, y, rng = problem((3, 4, 3, 2), ["tanh", "sigmoid"], "binary_log_loss", "sigmoid")
    options = {"sample_weight": [0.5, 2.0, 0.0, 1.0, 3.0], "reduction": reduction, "alpha": alpha}
    at = network.parameters
    loss, gradient = network.loss_and_gradient(X, y, **options)
    check_gradient(loss_at(network, X, y, **options), at, gradient, rng)

    network.parameters = at
    squares = sum((np.array(weights) ** 2).sum() for weights in network.weights)
    penalty = 0.5 * alpha * squares / (6.5 if reduction == "mean" else 1)
    without = network.loss_value(X, y, options["sample_weight"], reduction)
    assert loss == pytest.approx(without + penalty, rel=1e-13)


@pytest.mark.parametrize(("loss", "output_activation"), PAIRS)
def test_deltas_are_the_derivatives_by_the_preactivations(loss, output_activation):
    """A bias adds to its preactivation: for one point, dC/dz = dC/db."""
    network, X, y, _ = problem((3, 4, 3, 2), ["tanh", "softsign"], loss, output_activation)
    at = np.array(network.parameters)
    deltas = network.deltas(X, y)
    assert [np.shape(d) for d in deltas] == [(5, 4), (5, 3), (5, 2)]
    for s in range(5):
        C = loss_at(network, [X[s]], [y[s]])
        start = 0
        for d, (n_in, n_out) in zip(deltas, [(3, 4), (4, 3), (3, 2)], strict=True):
            start += n_in * n_out
            for j in range(n_out):
                expected = directional_derivative(C, at, np.eye(at.size)[start + j])
                assert d[s][j] == pytest.approx(expected, rel=1e-8, abs=1e-10)
            start += n_out


@pytest.mark.parametrize("layer_sizes", [(3, 2), (3, 4, 3, 2)])
@pytest.mark.parametrize(("loss", "output_activation"), PAIRS)
def test_input_gradient_agrees_with_finite_differences(loss, output_activation, layer_sizes):
    network, X, y, rng = problem(layer_sizes, "tanh", loss, output_activation)

    def C(x):
        return network.loss_value(x.reshape(5, 3).tolist(), y, reduction="sum")

    gradient = np.ravel(network.input_gradient(X, y))
    check_gradient(C, np.ravel(X), gradient, rng)


@pytest.mark.parametrize(
    "mistake",
    [
        lambda g: -g,
        lambda g: 1.000001 * g,
        lambda g: np.roll(g, 1),
        lambda g: g + 1e-6 * np.eye(g.size)[0],
        lambda g: np.append(g[:-1], 0),  # a bias forgotten
        lambda g: np.append(g[:9].reshape(3, 3).T, g[9:]),  # weights transposed
    ],
)
def test_a_wrong_gradient_is_caught(mistake):
    network, X, y, rng = problem((3, 3, 2), "sigmoid", "squared_error", "identity")
    at = network.parameters
    gradient = np.array(network.loss_and_gradient(X, y)[1])
    check_gradient(loss_at(network, X, y), at, gradient, rng)
    with pytest.raises(AssertionError):
        check_gradient(loss_at(network, X, y), at, mistake(gradient), rng)


@pytest.mark.parametrize("name", HIDDEN)
def test_a_wrong_derivative_is_caught(name, monkeypatch):
    network, X, y, rng = problem((3, 4, 2), name, "squared_error", "identity")
    f, derivative = pure.OUTPUT_ACTIVATIONS[name]
    wrong = (f, lambda a: 1.000001 * derivative(a))
    monkeypatch.setitem(pure.OUTPUT_ACTIVATIONS, name, wrong)
    at = network.parameters
    gradient = network.loss_and_gradient(X, y)[1]
    with pytest.raises(AssertionError):
        check_gradient(loss_at(network, X, y), at, gradient, rng)


def test_relu_has_no_slope_at_its_kink():
    network = pure.Network([1, 1, 1], "relu")
    network.parameters = [1.0, 0.0, 3.0, 0.0]
    assert network.deltas([[0.0]], [5.0]) == [[[0.0]], [[-5.0]]]


# ---- training ------------------------------------------------------------------------------


class SlowSGD:
    """v <- mu v - eta g; step = mu v - eta g if nesterov, else v"""

    def __init__(self, learning_rate, momentum=0.0, nesterov=False):
        self.eta, self.mu, self.nesterov, self.v = learning_rate, momentum, nesterov, 0.0

    def __call__(self, g):
        self.v = self.mu * self.v - self.eta * g
        return self.mu * self.v - self.eta * g if self.nesterov else self.v


class SlowAdam:
    """scikit-learn's formulas, epsilon beside the uncorrected root"""

    def __init__(self, learning_rate, beta_1, beta_2, epsilon):
        self.eta, self.b1, self.b2, self.epsilon = learning_rate, beta_1, beta_2, epsilon
        self.t, self.m, self.v = 0, 0.0, 0.0

    def __call__(self, g):
        self.t += 1
        self.m = self.b1 * self.m + (1 - self.b1) * g
        self.v = self.b2 * self.v + (1 - self.b2) * g**2
        eta = self.eta * np.sqrt(1 - self.b2**self.t) / (1 - self.b1**self.t)
        return -eta * self.m / (np.sqrt(self.v) + self.epsilon)


OPTIMIZERS = {
    "sgd": (pure.SGD, SlowSGD, (0.3, 0.0, False)),
    "momentum": (pure.SGD, SlowSGD, (0.1, 0.9, False)),
    "nesterov": (pure.SGD, SlowSGD, (0.1, 0.9, True)),
    "adam": (pure.Adam, SlowAdam, (0.02, 0.8, 0.95, 1e-4)),
}


def slow_training(network, X, y, step, weights, batch_size, n_epochs, reduction, alpha):
    """2 tanh layers and softmax with log loss, point by point; parameters and losses."""
    W = [np.array(weights) for weights in network.weights]
    b = [np.array(biases) for biases in network.biases]
    X, y, losses = np.array(X), np.array(y), []
    for _ in range(n_epochs):
        losses.append(0.0)
        for start in range(0, len(X), batch_size):
            rows = range(start, min(start + batch_size, len(X)))
            total = sum(weights[s] for s in rows) if reduction == "mean" else 1.0
            W_grads, b_grads = [alpha * w for w in W], [0 * biases for biases in b]
            loss = 0.5 * alpha * sum((w**2).sum() for w in W)
            for s in rows:
                a1 = np.tanh(X[s] @ W[0] + b[0])
                a2 = np.tanh(a1 @ W[1] + b[1])
                z = a2 @ W[2] + b[2]
                p = np.exp(z) / np.exp(z).sum()
                loss -= weights[s] * (y[s] * np.log(p)).sum()
                d3 = weights[s] * (p - y[s])
                d2 = (1 - a2**2) * (W[2] @ d3)
                d1 = (1 - a1**2) * (W[1] @ d2)
                for k, (a, d) in enumerate([(X[s], d1), (a1, d2), (a2, d3)]):
                    W_grads[k] += np.outer(a, d)
                    b_grads[k] += d
            gradient = [np.append(w, biases) for w, biases in zip(W_grads, b_grads, strict=True)]
            change = step(np.concatenate(gradient) / total)
            for k in range(3):
                W[k] = W[k] + change[: W[k].size].reshape(W[k].shape)
                b[k] = b[k] + change[W[k].size :][: b[k].size]
                change = change[W[k].size + b[k].size :]
            losses[-1] += loss / total * (len(rows) / len(X) if reduction == "mean" else 1)
    return np.concatenate([np.append(w, biases) for w, biases in zip(W, b, strict=True)]), losses


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("batch_size", [1, 3, 7])  # 3 leaves a last batch of one
@pytest.mark.parametrize(("reduction", "alpha"), [("mean", 0.0), ("mean", 0.5), ("sum", 0.1)])
@pytest.mark.parametrize("weighted", [False, True])
def test_training_agrees_with_a_slow_loop(name, batch_size, reduction, alpha, weighted):
    fast, slow, numbers = OPTIMIZERS[name]
    network, X, y, rng = problem((3, 4, 3, 2), "tanh", "log_loss", "softmax", n_samples=7)
    weights = rng.uniform(0.1, 2, size=7).tolist() if weighted else None
    expected, expected_losses = slow_training(
        network, X, y, slow(*numbers), weights or [1.0] * 7, batch_size, 4, reduction, alpha
    )
    losses = network.train(
        X,
        y,
        optimizer=fast(*numbers),
        batch_size=batch_size,
        n_epochs=4,
        shuffle=False,
        sample_weight=weights,
        reduction=reduction,
        alpha=alpha,
    )
    assert_allclose(losses, expected_losses, rtol=1e-11)
    assert_allclose(network.parameters, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_update_rules_are_those_of_scikit_learn(name):
    optimizers = pytest.importorskip("sklearn.neural_network._stochastic_optimizers")
    ours, _, numbers = OPTIMIZERS[name]
    rng = np.random.default_rng(0)
    parameters, ours = rng.normal(size=6).tolist(), ours(*numbers)
    theirs = [np.array(parameters)]
    if name == "adam":
        rate, beta_1, beta_2, epsilon = numbers
        optimizer = optimizers.AdamOptimizer(theirs, rate, beta_1, beta_2, epsilon)
    else:
        rate, momentum, nesterov = numbers
        optimizer = optimizers.SGDOptimizer(
            theirs, rate, momentum=momentum, nesterov=nesterov, power_t=0.5
        )
    for _ in range(20):
        gradient = rng.normal(size=6)
        parameters = ours.step(parameters, gradient.tolist())
        optimizer.update_params(theirs, [gradient])
    assert_allclose(parameters, theirs[0], rtol=1e-13)


@pytest.fixture
def xor():
    network = pure.Network([2, 3, 1], random_state=3)
    return network, [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [0.0, 1.0, 1.0, 0.0]


def test_xor_is_learnt(xor):
    network, X, y = xor
    network.train(X, y, optimizer=pure.SGD(0.5), batch_size=1, n_epochs=3000, random_state=0)
    assert_allclose(np.ravel(network.predict(X)), y, atol=0.05)


def test_without_a_batch_size_a_step_takes_the_whole_set(xor):
    network, X, y = xor
    loss, gradient = network.loss_and_gradient(X, y)
    expected = np.array(network.parameters) - 0.5 * np.array(gradient)
    assert network.train(X, y, optimizer=pure.SGD(0.5)) == [pytest.approx(loss, rel=1e-14)]
    # The rows are shuffled: the sums have another order.
    assert_allclose(network.parameters, expected, rtol=1e-13)


def test_a_weight_counts_copies_of_a_point(xor):
    network, X, y = xor
    value, gradient = network.loss_and_gradient(X, y, [1.0, 2.0, 0.0, 3.0])
    rows = [0, 1, 1, 3, 3, 3]
    copies = network.loss_and_gradient([X[s] for s in rows], [y[s] for s in rows])
    assert value == pytest.approx(copies[0], rel=1e-14)
    assert_allclose(gradient, copies[1], rtol=1e-13, atol=1e-16)


def test_an_epoch_takes_every_row_once_in_an_order_of_its_own(xor, monkeypatch):
    network, X, y = xor
    seen = []

    def spy(X, y, *args):
        seen.append([(tuple(x), t[0]) for x, t in zip(X, y, strict=True)])
        return 0.0, [0.0] * network.n_parameters

    monkeypatch.setattr(network, "loss_and_gradient", spy)
    network.train(X, y, optimizer=pure.SGD(0.1), batch_size=3, n_epochs=20, random_state=0)
    assert [len(batch) for batch in seen] == [3, 1] * 20
    pairs = sorted(zip(map(tuple, X), y, strict=True))
    epochs = [seen[i] + seen[i + 1] for i in range(0, 40, 2)]
    assert all(sorted(epoch) == pairs for epoch in epochs)
    assert len(set(map(tuple, epochs))) > 5


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_seed_repeats_and_two_calls_equal_one(name, xor):
    _, X, y = xor
    optimizer, _, numbers = OPTIMIZERS[name]

    def train(seed, *calls):
        network, rule = pure.Network([2, 3, 1], random_state=3), optimizer(*numbers)
        random, losses = Random(seed), []
        for n_epochs in calls:
            losses += network.train(
                X, y, optimizer=rule, batch_size=3, n_epochs=n_epochs, random_state=random
            )
        return losses, network.parameters

    assert train(0, 5) == train(0, 5) == train(0, 2, 3)
    assert train(0, 5) != train(1, 5)


def test_a_batch_without_weight_is_no_step(xor):
    network, X, y = xor
    adam, at = pure.Adam(), network.parameters
    weights = [0.0, 0.0, 1.0, 1.0]
    options = {"batch_size": 2, "shuffle": False, "sample_weight": weights}
    losses = network.train(X, y, optimizer=adam, **options)
    assert adam.n_steps == 1
    after, network.parameters = network.parameters, at
    assert losses == [0.5 * network.loss_value(X[2:], y[2:])]
    network.train(X[2:], y[2:], optimizer=pure.Adam(), shuffle=False)
    assert network.parameters == after


@pytest.mark.parametrize(
    ("tol", "n_iter_no_change", "n_epochs"),
    [
        (None, 0, 9),
        (0.0, 0, 3),  # 4 is worse than 3
        (0.0, 1, 4),  # and so is 3.5, though better than 4
        (0.0, 2, 9),  # 3 is as good as 3: no failure
        (0.05, 2, 5),  # but it failed to improve by 0.05, the third time in a row
        (0.05, 3, 9),  # 2.9 is an improvement, and counting begins anew
        (1e9, 3, 5),  # only the first epoch improves, on nothing
    ],
)
def test_training_stops_by_the_rule(xor, monkeypatch, tol, n_iter_no_change, n_epochs):
    network, X, y = xor
    losses = [5.0, 3.0, 4.0, 3.5, 3.0, 2.9, 2.89, 2.88, 2.87]
    script = ((loss, [0.0] * network.n_parameters) for loss in losses)
    monkeypatch.setattr(network, "loss_and_gradient", lambda *args: next(script))
    stopped = network.train(
        X, y, optimizer=pure.SGD(0.1), n_epochs=9, tol=tol, n_iter_no_change=n_iter_no_change
    )
    assert stopped == losses[:n_epochs]


def test_callback_sees_each_epoch_and_may_stop(xor):
    network, X, y = xor
    states = []

    def callback(state):
        states.append((state.epoch, state.loss, state.network))
        return state.epoch == 3

    losses = network.train(X, y, optimizer=pure.SGD(0.1), n_epochs=9, callback=callback)
    assert states == [(epoch, losses[epoch - 1], network) for epoch in (1, 2, 3)]


def test_an_exception_of_the_callback_is_passed_on(xor):
    network, X, y = xor
    with pytest.raises(ZeroDivisionError):
        network.train(X, y, optimizer=pure.SGD(0.1), callback=lambda state: 1 / 0)


@pytest.mark.parametrize("output", [("squared_error", "identity"), ("poisson", "exp")])
def test_a_loss_that_is_not_finite_names_the_epoch(output):
    loss, output_activation = output
    network = pure.Network([1, 1], (), output_activation, loss)
    network.parameters = [1.0, 0.5]
    after = [network.parameters]
    with pytest.raises(ValueError, match=r"epoch (\d+)") as caught:
        network.train(
            [[1.0], [2.0], [3.0]],
            [1.0, 2.0, 2.0],
            optimizer=pure.SGD(50.0),
            n_epochs=10_000,
            callback=lambda state: after.append(state.network.parameters),
        )
    assert str(caught.value).endswith(f"epoch {len(after)}")
    assert network.parameters == after[-1]


# ---- names, parameters ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "listed"),
    [
        ({"activation": "step"}, HIDDEN),
        ({"activation": ["tanh", "exp"]}, HIDDEN),
        ({"output_activation": "linear"}, [*HIDDEN, "exp", "softmax"]),
        ({"loss": "mse"}, ["squared_error", "log_loss", "binary_log_loss", "poisson"]),
        ({"loss": "log_loss"}, ["softmax"]),
        ({"output_activation": "softmax"}, [*HIDDEN, "exp"]),
        ({"dtype": "float32"}, ["float64"]),
        ({"activation": ["tanh"]}, ["1 names for 2 hidden layers"]),
    ],
)
def test_unknown_names_are_told_the_known_ones(arguments, listed):
    with pytest.raises(ValueError, match=next(iter(arguments))) as caught:
        pure.Network([2, 3, 3, 1], **arguments)
    message = str(caught.value)
    assert "\n" not in message
    assert all(name in message for name in listed)


def test_unknown_reduction():
    with pytest.raises(ValueError, match="reduction is 'max'; known are mean, sum"):
        pure.Network([1, 1]).loss_value([[0.0]], [0.0], reduction="max")


def test_logistic_is_another_word_for_sigmoid():
    network = pure.Network([2, 3, 1], "logistic", "logistic", "binary_log_loss")
    assert network.activation == ("sigmoid",)
    assert network.output_activation == "sigmoid"


def test_parameters_are_flat_and_layer_by_layer():
    network = pure.Network([2, 3, 1])
    assert network.n_parameters == len(network.parameters) == 13
    network.parameters = np.arange(13)
    assert network.weights == [[[0, 1, 2], [3, 4, 5]], [[9], [10], [11]]]
    assert network.biases == [[6, 7, 8], [12]]
    assert {type(value) for value in network.parameters} == {float}
    with pytest.raises(ValueError, match="parameters has 12 values, needed 13"):
        network.parameters = [0.0] * 12


@pytest.mark.parametrize(
    ("layer_sizes", "activation", "output_activation", "loss", "factor"),
    [
        ((30, 40, 20), ["sigmoid"], "identity", "squared_error", 2),
        ((30, 40, 20), ["tanh"], "sigmoid", "squared_error", 6),
        ((30, 30), [], "sigmoid", "binary_log_loss", 2),
        ((30, 30), [], "softmax", "log_loss", 6),
    ],
)
def test_initial_parameters_fill_the_bounds(
    layer_sizes, activation, output_activation, loss, factor
):
    network = pure.Network(layer_sizes, activation, output_activation, loss, random_state=0)
    again = pure.Network(layer_sizes, activation, output_activation, loss, random_state=0)
    other = pure.Network(layer_sizes, activation, output_activation, loss, random_state=1)
    assert network.parameters == again.parameters != other.parameters
    for weights, biases in zip(network.weights, network.biases, strict=True):
        values = np.append(weights, biases)
        bound = math.sqrt(factor / sum(np.shape(weights)))
        assert 0.98 * bound < np.abs(values).max() <= bound
        # A uniform distribution's mean and standard deviation, each within about four errors.
        assert abs(values.mean()) < 4 * bound / math.sqrt(3 * values.size)
        assert values.std() == pytest.approx(bound / math.sqrt(3), rel=2 / math.sqrt(values.size))


def test_nothing_but_the_standard_library_is_imported():
    tree = ast.parse(Path(pure.__file__).read_text(encoding="utf-8"))
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add("." * node.level + (node.module or ""))
    assert imported == {"math", "operator", "random", "sys", "types"}
