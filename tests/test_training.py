"""`Network.train` against a slow loop in NumPy, step by step; when it stops; what it leaves."""

import copy
import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose

from cbackprop import SGD, Adam, Network
from cbackprop.network import train_with_order
from cbackprop.training import Progress

# ---- the slow loop ----

# name: (f(z), f'(z))
ACTIVATIONS = {
    "identity": (lambda z: z, np.ones_like),
    "sigmoid": (lambda z: 1 / (1 + np.exp(-z)), lambda z: np.exp(-z) / (1 + np.exp(-z)) ** 2),
    "tanh": (np.tanh, lambda z: 1 / np.cosh(z) ** 2),
    "relu": (lambda z: np.maximum(z, 0), lambda z: (z > 0).astype(float)),
    "softsign": (lambda z: z / (1 + np.abs(z)), lambda z: 1 / (1 + np.abs(z)) ** 2),
    "exp": (np.exp, np.exp),
    "softmax": (lambda z: np.exp(z) / np.exp(z).sum(axis=1, keepdims=True), None),
}
# of predictions p and targets t, in the other losses' own output activations: deltas are p - t
LOSSES = {
    "squared_error": lambda p, t: ((p - t) ** 2).sum(axis=1) / 2,
    "log_loss": lambda p, t: -(t * np.log(p)).sum(axis=1),
    "binary_log_loss": lambda p, t: -(t * np.log(p) + (1 - t) * np.log(1 - p)).sum(axis=1),
    "poisson": lambda p, t: (t * np.log(np.where(t == 0, 1, t) / p) - t + p).sum(axis=1),
}


def split(network, parameters):
    """[(weights, biases) of every layer], views of a flat vector"""
    layers, start = [], 0
    for n_in, n_out in zip(network.layer_sizes[:-1], network.layer_sizes[1:], strict=True):
        weights = parameters[start : start + n_in * n_out].reshape(n_in, n_out)
        start += n_in * n_out
        layers.append((weights, parameters[start : start + n_out]))
        start += n_out
    return layers


def loss_and_gradients(network, parameters, X, y, row_weights):
    """Sums over the rows: the loss, and its gradient as a flat vector."""
    layers = split(network, parameters)
    functions = [ACTIVATIONS[name] for name in (*network.activation, network.output_activation)]
    preactivations, activations = [], [X]
    for (weights, biases), (function, _) in zip(layers, functions, strict=True):
        preactivations.append(activations[-1] @ weights + biases)
        activations.append(function(preactivations[-1]))
    loss = (LOSSES[network.loss](activations[-1], y) * row_weights).sum()
    deltas = (activations[-1] - y) * row_weights[:, None]
    if network.loss == "squared_error":
        deltas = deltas * functions[-1][1](preactivations[-1])
    gradient = np.empty_like(parameters)
    for k in reversed(range(len(layers))):
        split(network, gradient)[k][0][...] = activations[k].T @ deltas
        split(network, gradient)[k][1][...] = deltas.sum(axis=0)
        if k > 0:
            deltas = deltas @ layers[k][0].T * functions[k - 1][1](preactivations[k - 1])
    return loss, gradient


def slow_train(
    network,
    X,
    y,
    rule,
    orders,
    batch_size,
    reduction="mean",
    alpha=0.0,
    sample_weight=None,
    loss_scale=1,
):
    """(parameters, the loss of each epoch) after one epoch for each of the orders; float64."""
    parameters = network.parameters.astype(np.float64)
    is_weight = np.zeros_like(parameters)
    for weights, _ in split(network, is_weight):
        weights[...] = 1
    sample_weight = np.ones(len(X)) if sample_weight is None else np.asarray(sample_weight)
    losses = []
    for order in orders:
        total = 0
        for first in range(0, len(order), batch_size):
            rows = order[first : first + batch_size]
            divisor = sample_weight[rows].sum() if reduction == "mean" else 1
            if not sample_weight[rows].any():
                continue
            loss, gradient = loss_and_gradients(
                network, parameters, X[rows], y[rows], sample_weight[rows]
            )
            penalty = alpha / 2 * (is_weight * parameters**2).sum()
            loss = (loss_scale * loss + penalty) / divisor
            parameters += rule((gradient + alpha * is_weight * parameters) / divisor)
            total += loss * len(rows) if reduction == "mean" else loss
        losses.append(total / len(order) if reduction == "mean" else total)
    return parameters, np.array(losses)


def sgd_rule(learning_rate, momentum=0.0, nesterov=False):
    velocity = 0

    def rule(gradient):
        nonlocal velocity
        velocity = momentum * velocity - learning_rate * gradient
        return momentum * velocity - learning_rate * gradient if nesterov else velocity

    return rule


def adam_rule(learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-8):
    mean, square, step = 0, 0, 0

    def rule(gradient):
        nonlocal mean, square, step
        step += 1
        mean = beta_1 * mean + (1 - beta_1) * gradient
        square = beta_2 * square + (1 - beta_2) * gradient**2
        rate = learning_rate * np.sqrt(1 - beta_2**step) / (1 - beta_1**step)
        return -rate * mean / (np.sqrt(square) + epsilon)

    return rule


OPTIMIZERS = {
    "sgd": (SGD, sgd_rule, {"learning_rate": 0.05}),
    "momentum": (SGD, sgd_rule, {"learning_rate": 0.01, "momentum": 0.9}),
    "nesterov": (SGD, sgd_rule, {"learning_rate": 0.01, "momentum": 0.8, "nesterov": True}),
    "adam": (Adam, adam_rule, {"learning_rate": 0.01}),
    "adam, other numbers": (
        Adam,
        adam_rule,
        {"learning_rate": 0.02, "beta_1": 0.5, "beta_2": 0.8, "epsilon": 0.01},
    ),
}


def fresh_orders(n_epochs, n_samples, random_state):
    orders = np.tile(np.arange(n_samples), (n_epochs, 1))
    for order in orders:
        random_state.shuffle(order)
    return orders


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_slow_rules_are_those_of_scikit_learn(name):
    optimizers = pytest.importorskip("sklearn.neural_network._stochastic_optimizers")
    kind, rule, numbers = OPTIMIZERS[name]
    numbers = dict(numbers)
    rng = np.random.default_rng(0)
    parameters = rng.normal(size=20)
    theirs = [parameters.copy()]
    rate = {"learning_rate_init": numbers["learning_rate"]}
    if kind is SGD:
        numbers.setdefault("momentum", 0.0)
        numbers.setdefault("nesterov", False)
        rate |= {"momentum": numbers["momentum"], "nesterov": numbers["nesterov"]}
        judge = optimizers.SGDOptimizer(theirs, **rate)
    else:
        rest = {key: numbers[key] for key in numbers if key != "learning_rate"}
        judge = optimizers.AdamOptimizer(theirs, **rate, **rest)
    step = rule(**numbers)
    for _ in range(5):
        gradient = rng.normal(size=20)
        parameters += step(gradient)
        judge.update_params(theirs, [gradient])
    assert_allclose(parameters, theirs[0], rtol=1e-14)


# ---- step by step ----

NETWORKS = {
    # one hidden layer of up to two panels and one output: batches of one have their own path
    "tiny": ((2, 2, 1), "sigmoid", "identity", "squared_error"),
    "thin": ((9, 3, 1), "tanh", "identity", "squared_error"),
    "panels": ((9, 33, 1), "softsign", "exp", "poisson"),
    "linear": ((5, 1), [], "tanh", "squared_error"),
    "logistic": ((17, 2), [], "sigmoid", "binary_log_loss"),
    "few": ((5, 3, 17, 2), ["relu", "tanh"], "softsign", "squared_error"),
    "classes": ((4, 17, 16, 5), ["tanh", "sigmoid"], "softmax", "log_loss"),
}
# 40 rows for small batches, 601 for large ones: the last batch is short
BATCHES = {1: 40, 3: 40, 256: 601, 257: 601, 600: 601, 2000: 601}
OPTIONS = {
    "mean": {},
    "mean by weights, penalty": {"sample_weight": True, "alpha": 0.2},
    "sum, penalty": {"reduction": "sum", "alpha": 0.3},
    "sum by weights": {"reduction": "sum", "sample_weight": True},
}


def make_network(name, dtype="float64", seed=1):
    layer_sizes, activation, output_activation, loss = NETWORKS[name]
    return Network(layer_sizes, activation, output_activation, loss, dtype, random_state=seed)


def make_data(network, n_samples=40):
    """Numbers that float32 holds exactly."""
    rng = np.random.default_rng(n_samples)
    X = rng.normal(size=(n_samples, network.layer_sizes[0])).astype(np.float32)
    n_outputs = network.layer_sizes[-1]
    y = rng.integers(9, size=(n_samples, n_outputs)) / 8
    if network.loss == "log_loss":
        y = np.eye(n_outputs)[rng.integers(n_outputs, size=n_samples)]
    return X.astype(np.float64), y


def make_weights(n_samples):
    weights = np.random.default_rng(n_samples).integers(1, 13, size=n_samples) / 4
    weights[::5] = 0  # batches of one without weight are among them
    return weights


def compare_with_slow_loop(network_name, optimizer_name, batch_size, options, dtype, rtol):
    network = make_network(network_name, dtype)
    X, y = make_data(network, BATCHES[batch_size])
    kind, rule, numbers = OPTIMIZERS[optimizer_name]
    options = dict(options)
    if options.get("sample_weight"):
        options["sample_weight"] = make_weights(len(X))
    if options.get("reduction") == "sum" and kind is SGD:  # Adam's steps hardly grow with gradients
        numbers = numbers | {"learning_rate": numbers["learning_rate"] / min(batch_size, len(X))}
    expected, expected_losses = slow_train(
        network,
        X,
        y,
        rule(**numbers),
        fresh_orders(3, len(X), np.random.RandomState(5)),
        batch_size,
        **options,
    )
    before = network.parameters.copy()
    losses = network.train(
        X,
        y,
        optimizer=kind(**numbers),
        batch_size=batch_size,
        n_epochs=3,
        random_state=5,
        **options,
    )
    assert losses.dtype == np.float64
    assert losses.shape == (3,)
    assert_allclose(losses, expected_losses, rtol=rtol)
    change = np.abs(expected - before).max()
    assert 1e-3 < change < 10  # it learns, and does not diverge: then rounding would, too
    assert network.parameters.dtype == dtype
    assert_allclose(network.parameters, expected, rtol=rtol, atol=rtol * change)


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("batch_size", BATCHES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("network", NETWORKS)
def test_training_is_that_of_the_slow_loop(network, optimizer, batch_size, options):
    compare_with_slow_loop(network, optimizer, batch_size, OPTIONS[options], "float64", 1e-9)


@pytest.mark.parametrize("options", ["mean by weights, penalty", "sum, penalty"])
@pytest.mark.parametrize("batch_size", [1, 3, 257])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("network", NETWORKS)
def test_training_in_float32(network, optimizer, batch_size, options):
    compare_with_slow_loop(network, optimizer, batch_size, OPTIONS[options], "float32", 2e-4)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", ["identity", "sigmoid", "tanh", "relu", "softsign"])
@pytest.mark.parametrize("n_hidden", [1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 49, 64, 65])
def test_batches_of_one_in_the_smallest_networks(n_hidden, activation, dtype):
    """Their own path, up to four panels of hidden units, gives the bits of the general one."""
    for n_features in (1, 2, 5, 40):
        sizes = n_features, n_hidden, 1
        network, expected = (
            Network(sizes, activation, dtype=dtype, random_state=n_features) for _ in range(2)
        )
        X, y = make_data(network)
        slow_parameters, slow_losses = slow_train(
            network, X, y, sgd_rule(0.05 / n_features), [np.arange(len(X))] * 2, 1
        )
        optimizer = SGD(0.05 / n_features)
        options = {"batch_size": 1, "n_epochs": 2}
        losses = train(network, X, y, optimizer, **options)
        rtol = 1e-10 if dtype == "float64" else 1e-3
        assert_allclose(losses, slow_losses, rtol=rtol)
        assert_allclose(network.parameters, slow_parameters, rtol=rtol, atol=rtol)
        assert optimizer.n_steps == 2 * len(X)
        # with weights of one the path is the general one
        weighted = train(expected, X, y, sample_weight=np.ones(len(X)),
                         optimizer=SGD(0.05 / n_features), **options)  # fmt: skip
        assert losses.tolist() == weighted.tolist()
        assert_same_network(network, expected)


@pytest.mark.parametrize("batch_size", [1, 7, 256, 601])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NETWORKS)
def test_weights_of_one_change_nothing(name, dtype, batch_size):
    network, expected = make_network(name, dtype), make_network(name, dtype)
    X, y = make_data(network, 601)
    losses = train(network, X, y, sample_weight=np.ones(601), batch_size=batch_size)
    assert losses.tolist() == train(expected, X, y, batch_size=batch_size).tolist()
    assert_same_network(network, expected)


def train(network, X, y, optimizer=None, **options):
    """With plain descent and batches of seven in the order of the rows, if nothing else is said."""
    options = {"batch_size": 7, "n_epochs": 3, "shuffle": False} | options
    return network.train(X, y, optimizer=optimizer or SGD(0.1), **options)


def assert_same_network(network, other):
    assert network.parameters.tobytes() == other.parameters.tobytes()


@pytest.mark.parametrize("batch_size", [None, 40, 41, 2**70])
def test_a_batch_of_all_rows(batch_size):
    network, expected = make_network("few"), make_network("few")
    X, y = make_data(network)
    losses = train(network, X, y, batch_size=batch_size)
    assert losses.tolist() == train(expected, X, y, batch_size=len(X)).tolist()
    assert_same_network(network, expected)


@pytest.mark.parametrize("batch_size", [1, 7, 300])
@pytest.mark.parametrize("optimizer", [SGD(0.1), SGD(0.02, 0.9), Adam(0.01)], ids=repr)
def test_class_numbers_train_like_rows_of_one_probability(optimizer, batch_size):
    network, expected = make_network("classes"), make_network("classes")
    X, y = make_data(network, 601)
    options = {"batch_size": batch_size, "shuffle": True, "random_state": 3}
    other = copy.deepcopy(optimizer)
    losses = train(network, X, y.argmax(axis=1), optimizer, **options)
    assert losses.tolist() == train(expected, X, y, other, **options).tolist()
    assert_same_network(network, expected)


def test_a_vector_of_targets_is_one_column():
    network, expected = make_network("panels"), make_network("panels")
    X, y = make_data(network)
    assert train(network, X, y.ravel()).tolist() == train(expected, X, y).tolist()
    assert_same_network(network, expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("batch_size", [1, 3, 300])
@pytest.mark.parametrize(
    "make_optimizer",
    [lambda: SGD(0.1), lambda: SGD(0.02, 0.9), lambda: SGD(0.02, 0.9, True), lambda: Adam(0.01)],
    ids=["sgd", "momentum", "nesterov", "adam"],
)
@pytest.mark.parametrize("name", ["tiny", "thin", "few"])
def test_a_batch_without_weight_changes_nothing(name, make_optimizer, batch_size, dtype):
    network, expected = make_network(name, dtype), make_network(name, dtype)
    X, y = make_data(network, 2 * batch_size)
    rng = np.random.default_rng(0)
    weights = rng.uniform(0.5, 2, size=len(X))
    optimizer, its_twin = make_optimizer(), make_optimizer()
    options = {"batch_size": batch_size, "alpha": 0.1}
    idle = np.zeros(batch_size)
    losses = train(
        network,
        np.vstack([X[:batch_size], X[:batch_size], X[batch_size:], X[batch_size:]]),
        np.vstack([y[:batch_size], y[:batch_size], y[batch_size:], y[batch_size:]]),
        optimizer,
        sample_weight=np.concatenate([idle, weights[:batch_size], idle, weights[batch_size:]]),
        **options,
    )
    expected_losses = train(expected, X, y, its_twin, sample_weight=weights, **options)
    assert_same_network(network, expected)
    assert optimizer.n_steps == its_twin.n_steps == 6
    assert optimizer == its_twin
    # an average over twice as many rows
    assert_allclose(2 * losses, expected_losses, rtol=1e-15)


# ---- the order of the rows ----


@pytest.mark.parametrize("n_samples", [2, 3, 40, 64, 65, 601, 2000])
@pytest.mark.parametrize("bit_generator", [np.random.MT19937, np.random.PCG64])
def test_orders_are_those_of_random_state(n_samples, bit_generator):
    random_state, judge = (np.random.RandomState(bit_generator(4)) for _ in range(2))
    network, expected = make_network("few"), make_network("few")
    X, y = make_data(network, n_samples)
    losses = train(network, X, y, batch_size=3, shuffle=True, random_state=random_state)
    for k, order in enumerate(fresh_orders(3, n_samples, judge)):
        # the rows lie in that order already
        loss = train(expected, X[order], y[order], batch_size=3, n_epochs=1)
        assert loss.tolist() == [losses[k]]
    assert_same_network(network, expected)
    # and nothing else was drawn
    assert random_state.randint(2**32, size=5).tolist() == judge.randint(2**32, size=5).tolist()


def test_without_shuffling_nothing_is_drawn():
    random_state = np.random.RandomState(4)
    network = make_network("few")
    train(network, *make_data(network), random_state=random_state)
    assert random_state.randint(2**32) == np.random.RandomState(4).randint(2**32)


def test_seeds_repeat():
    parameters = []
    for seed in (3, 3, np.int64(3), np.random.RandomState(3), 4, None, None):
        network = make_network("few")
        train(network, *make_data(network), shuffle=True, random_state=seed)
        parameters.append(network.parameters.tobytes())
    assert len(set(parameters[:4])) == 1
    assert len(set(parameters[3:])) == 4


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("layer_sizes", "activation", "output_activation", "factor"),
    [
        ((3, 4, 5, 2), "sigmoid", "identity", 2),
        ((3, 4, 5, 2), ["logistic", "tanh"], "identity", 2),
        ((3, 4, 5, 2), ["tanh", "sigmoid"], "sigmoid", 6),
        # without a hidden layer the name that is given decides still, as scikit-learn has it
        ((3, 2), "logistic", "identity", 2),
        ((3, 2), "relu", "sigmoid", 6),
        ((3, 2), [], "sigmoid", 2),
        ((3, 2), [], "tanh", 6),
    ],
)
def test_initial_parameters(layer_sizes, activation, output_activation, factor, dtype):
    """Glorot's bounds and scikit-learn's order, drawn in float64."""
    network = Network(layer_sizes, activation, output_activation, dtype=dtype, random_state=8)
    random_state = np.random.RandomState(8)
    for weights, biases in zip(network.weights, network.biases, strict=True):
        bound = np.sqrt(factor / sum(weights.shape))
        for array in (weights, biases):
            drawn = random_state.uniform(-bound, bound, size=array.shape)
            assert array.tobytes() == drawn.astype(dtype).tobytes()


class TestTrainingWithAnOrder:
    """`train_with_order`, which the estimators call"""

    def train(self, network, X, y, order, **options):
        options = {"batch_size": 3, "n_epochs": 4} | options
        return train_with_order(network, X, y, optimizer=SGD(0.1), order=order, **options)

    def test_each_epoch_shuffles_what_the_last_one_left(self):
        network, expected = make_network("few"), make_network("few")
        X, y = make_data(network)
        order = np.arange(len(X))[::-1].copy()
        losses = self.train(network, X, y, order, random_state=2)

        judge = np.random.RandomState(2)
        rows = np.arange(len(X))[::-1].copy()
        for loss in losses:
            judge.shuffle(rows)
            assert train(expected, X[rows], y[rows], batch_size=3, n_epochs=1).tolist() == [loss]
        assert order.tolist() == rows.tolist()
        assert_same_network(network, expected)

    def test_two_calls_go_on_with_one_order(self):
        networks, orders, losses = [], [], []
        for calls in ([4], [1, 3]):
            network = make_network("few")
            order, random_state = np.arange(40), np.random.RandomState(6)
            parts = [
                self.train(
                    network, *make_data(network), order, n_epochs=n, random_state=random_state
                )
                for n in calls
            ]
            networks.append(network)
            orders.append(order.tolist())
            losses.append(np.concatenate(parts).tolist())
        assert_same_network(*networks)
        assert orders[0] == orders[1] != list(range(40))
        assert losses[0] == losses[1]

    def test_unshuffled_it_is_kept(self):
        network, expected = make_network("few"), make_network("few")
        X, y = make_data(network)
        order = np.random.default_rng(0).permutation(len(X))
        rows = order.copy()
        losses = self.train(network, X, y, order, shuffle=False)
        assert order.tolist() == rows.tolist()
        again = train(expected, X[rows], y[rows], batch_size=3, n_epochs=4)
        assert losses.tolist() == again.tolist()
        assert_same_network(network, expected)

    @pytest.mark.parametrize("batch_size", [1, 3, 300])
    @pytest.mark.parametrize("name", ["tiny", "few"])
    def test_loss_scale_is_of_the_reported_losses_only(self, name, batch_size):
        network, expected = make_network(name), make_network(name)
        X, y = make_data(network)
        options = {"batch_size": batch_size, "alpha": 0.3, "shuffle": False}
        orders = [np.arange(len(X))] * 4
        _, expected_losses = slow_train(
            network, X, y, sgd_rule(0.1), orders, batch_size, alpha=0.3, loss_scale=0.25
        )
        losses = self.train(network, X, y, None, loss_scale=0.25, **options)
        self.train(expected, X, y, None, **options)
        assert_allclose(losses, expected_losses, rtol=1e-10)
        assert_same_network(network, expected)

    def test_the_stopping_rule_sees_the_scaled_loss(self):
        lengths = []
        for loss_scale in (1, 1e-7):
            network = make_network("few")
            losses = self.train(
                network,
                *make_data(network),
                None,
                loss_scale=loss_scale,
                tol=1e-7,
                n_iter_no_change=1,
                n_epochs=50,
                shuffle=False,
            )
            lengths.append(len(losses))
        # it falls by more than 1e-7 each time, but never by 1
        assert lengths == [50, 3]

    @pytest.mark.parametrize(
        ("output_activation", "loss"), [("softmax", "log_loss"), ("sigmoid", "binary_log_loss")]
    )
    @pytest.mark.parametrize("batch_size", [1, 3, 300])
    def test_loss_limit_is_of_the_reported_losses_only(self, batch_size, output_activation, loss):
        network, expected = (
            Network((4, 5, 3), "tanh", output_activation, loss, random_state=0) for _ in range(2)
        )
        for each in (network, expected):
            each.parameters = 20 * each.parameters  # sure of itself, and wrong
        X, y = make_data(network)
        y = y.round()  # a class or its opposite
        p = network.predict(X)
        sure = -y * np.log(np.maximum(p, np.exp(-2.5)))
        if loss == "binary_log_loss":
            sure -= (1 - y) * np.log(np.maximum(1 - p, np.exp(-2.5)))
        assert sure.sum(axis=1).mean() < 0.9 * network.loss_value(X, y)
        # too small a rate for the network to change
        options = {"shuffle": False, "batch_size": batch_size}
        tiny = train_with_order(
            network, X, y, optimizer=SGD(1e-300), n_epochs=1, loss_limit=2.5, **options
        )
        assert_allclose(tiny, [sure.sum(axis=1).mean()], rtol=1e-12)
        self.train(network, X, y, None, loss_limit=2.5, **options)
        self.train(expected, X, y, None, **options)
        assert_same_network(network, expected)

    def test_losses_are_known_whatever_ends_the_training(self):
        expected = self.train(make_network("few"), *make_data(make_network("few")), None)

        def callback(state):
            if state.epoch == 3:
                raise LookupError

        network, progress = make_network("few"), Progress([7.0])
        losses = progress.losses
        data = make_data(network)
        result = self.train(network, *data, None, progress=progress, random_state=0, n_epochs=2)
        assert losses == [7.0, *result.tolist()]
        assert result.shape == expected[:2].shape
        with pytest.raises(LookupError):
            self.train(network, *data, None, progress=progress, callback=callback)
        assert len(losses) == 6
        with pytest.raises(ValueError, match=r"epoch 1\b"):
            train_with_order(
                Network((5, 1)), *make_data(Network((5, 1))), optimizer=SGD(1e300),
                batch_size=1, progress=progress)  # fmt: skip
        assert len(losses) == 6
        assert (progress.best_loss, progress.n_seen) == (min(losses[1:]), 5 * len(data[0]))


# ---- when it stops ----


def n_epochs_of(losses, tol, n_iter_no_change):
    """scikit-learn's rule (`_update_no_improvement_count`), on the losses of a training without"""
    best, n_bad = np.inf, 0
    for epoch, loss in enumerate(losses, 1):
        if loss > best - tol:
            n_bad += 1
        else:
            n_bad = 0
        best = min(best, loss)
        if n_bad > n_iter_no_change:
            return epoch
    return len(losses)


def restless(**options):
    """Losses that fall, and rise again and again; (losses, network)"""
    network = make_network("tiny")
    options = {"n_epochs": 300, "batch_size": 4} | options
    return train(network, *make_data(network), SGD(0.5, 0.95), **options), network


@pytest.mark.parametrize("with_callback", [False, True])
@pytest.mark.parametrize("n_iter_no_change", [1, 2, 5, 10, 299, 10**30, np.inf])
@pytest.mark.parametrize("tol", [0, 0.0, 1e-4, 1e-3, 1e9])
def test_the_stopping_rule(tol, n_iter_no_change, with_callback):
    losses, _ = restless()
    callback = (lambda state: None) if with_callback else None
    stopped, network = restless(tol=tol, n_iter_no_change=n_iter_no_change, callback=callback)
    expected = n_epochs_of(losses, tol, n_iter_no_change)
    assert stopped.tolist() == losses[:expected].tolist()
    assert_same_network(network, restless(n_epochs=expected)[1])


def test_the_stopping_rule_has_something_to_decide():
    """The losses above fail now and then, and recover: the count begins again."""
    losses, _ = restless()
    lengths = {n_epochs_of(losses, 1e-3, n) for n in (1, 2, 5, 10, 299)}
    assert len(lengths) >= 4
    rises = np.diff(losses) > 0
    assert rises[: n_epochs_of(losses, 0, 10) - 1].sum() > 11


def test_n_iter_no_change_is_the_number_of_bad_epochs_that_are_forgiven():
    assert len(restless(tol=1e9, n_iter_no_change=3)[0]) == 5
    assert len(restless(tol=1e9)[0]) == 12
    assert len(restless(tol=1e9, n_iter_no_change=np.inf)[0]) == 300
    assert len(restless(tol=None, n_iter_no_change=1)[0]) == 300


def test_a_constant_loss():
    """It is no improvement by any positive tol; by tol 0 it is no failure."""
    for tol, n_epochs in [(0, 50), (1e-9, 7)]:
        network = Network((2, 1))
        network.parameters = np.zeros(3)
        X, y = np.ones((4, 2)), np.zeros(4)
        assert len(train(network, X, y, n_epochs=50, tol=tol, n_iter_no_change=5)) == n_epochs


def test_very_many_epochs():
    """More than the engine does in one go: order, optimizer and stopping rule go on."""
    X, y = np.array([[1.0], [-1.0], [0.5]]), np.array([0.5, 0.1, 0.7])
    results = []
    for calls in ([70_000], [30_000, 40_000]):
        network, optimizer = Network((1, 1), random_state=0), SGD(1e-6, momentum=0.1)
        random_state = np.random.RandomState(0)
        options = {"optimizer": optimizer, "batch_size": 2, "random_state": random_state}
        losses = [network.train(X, y, n_epochs=n, **options) for n in calls]
        losses = np.concatenate(losses)
        assert len(losses) == 70_000
        results.append((losses.tobytes(), network.parameters.tobytes(), optimizer.n_steps))
    assert results[0] == results[1]
    assert optimizer.n_steps == 140_000

    network = Network((1, 1), random_state=0)
    options = {"optimizer": SGD(1e-6), "n_epochs": 80_000, "tol": 1e9}
    assert len(network.train(X, y, n_iter_no_change=69_998, **options)) == 70_000


# ---- callbacks ----


def test_a_callback_sees_each_epoch():
    losses, expected = restless(n_epochs=5)
    seen = []

    def callback(state):
        assert state.network is network
        assert type(state.epoch) is int
        assert type(state.loss) is float
        assert repr(state) == f"TrainingState(epoch={state.epoch}, loss={state.loss})"
        assert (
            state.network.predict(X).tobytes()
            == restless(n_epochs=state.epoch)[1].predict(X).tobytes()
        )
        copied = copy.deepcopy(state.network)
        seen.append((state.epoch, state.loss, state.network.parameters.tobytes(), copied))

    network = make_network("tiny")
    X, y = make_data(network)
    result = train(network, X, y, SGD(0.5, 0.95), n_epochs=5, batch_size=4, callback=callback)
    assert result.tolist() == losses.tolist()
    assert_same_network(network, expected)
    assert [epoch for epoch, *_ in seen] == [1, 2, 3, 4, 5]
    assert [loss for _, loss, *_ in seen] == losses.tolist()
    for epoch, _, parameters, copied in seen:
        assert parameters == restless(n_epochs=epoch)[1].parameters.tobytes()
        assert copied == restless(n_epochs=epoch)[1]


@pytest.mark.parametrize("answer", [True, 1, np.True_, "stop", [0]], ids=repr)
def test_a_true_result_stops(answer):
    losses, network = restless(callback=lambda state: answer if state.epoch == 4 else None)
    expected_losses, expected = restless(n_epochs=4)
    assert losses.tolist() == expected_losses.tolist()
    assert_same_network(network, expected)


@pytest.mark.parametrize("answer", [False, None, 0, np.False_, "", []], ids=repr)
def test_any_other_result_does_not(answer):
    losses, _ = restless(n_epochs=5, callback=lambda state: answer)
    assert len(losses) == 5


@pytest.mark.parametrize("epoch", [1, 4])
@pytest.mark.parametrize("error", [LookupError("mine"), KeyboardInterrupt("me"), ValueError()])
@pytest.mark.parametrize("optimizer", [SGD(0.1), SGD(0.02, 0.9), Adam(0.01)], ids=repr)
def test_an_exception_in_a_callback_passes_on(optimizer, error, epoch):
    optimizer, twin = copy.deepcopy(optimizer), copy.deepcopy(optimizer)

    def callback(state):
        if state.epoch == epoch:
            raise error

    network, expected = make_network("few"), make_network("few")
    X, y = make_data(network)
    with pytest.raises(type(error)) as caught:
        train(network, X, y, optimizer, n_epochs=9, callback=callback)
    assert caught.value is error
    train(expected, X, y, twin, n_epochs=epoch)
    assert network == expected
    assert optimizer == twin
    # nothing is locked any more, and training goes on
    assert_allclose(train(network, X, y, optimizer), train(expected, X, y, twin), rtol=0)
    assert_same_network(network, expected)


def test_a_callback_must_not_change_what_is_trained():
    network, other = make_network("few"), make_network("few", seed=2)
    X, y = make_data(network)
    optimizer = Adam(0.01)
    attempts = {
        "parameters": lambda: setattr(network, "parameters", np.zeros(network.n_parameters)),
        "train": lambda: train(network, X, y, Adam()),
        "its optimizer": lambda: train(other, X, y, optimizer),
        "build": lambda: network.__init__((2, 1)),
    }
    messages = {}

    def callback(state):
        for name, attempt in attempts.items():
            with pytest.raises(RuntimeError) as caught:
                attempt()
            messages[name] = str(caught.value)
        # what is not trained may be
        train(other, X, y, SGD(0.1))

    losses = train(network, X, y, optimizer, callback=callback)
    assert messages["parameters"] == messages["train"]
    assert "network" in messages["train"]
    assert "callback" in messages["train"]
    assert "optimizer" in messages["its optimizer"]
    expected, twin = make_network("few"), Adam(0.01)
    assert losses.tolist() == train(expected, X, y, twin).tolist()
    assert_same_network(network, expected)
    assert optimizer == twin


def test_a_callback_may_draw_from_the_same_stream():
    random_state, judge = np.random.RandomState(1), np.random.RandomState(1)
    network, expected = make_network("few"), make_network("few")
    X, y = make_data(network)
    drawn = []
    train(
        network,
        X,
        y,
        shuffle=True,
        random_state=random_state,
        callback=lambda state: drawn.append(random_state.uniform()),
    )
    for number in drawn:
        (order,) = fresh_orders(1, len(X), judge)
        train(expected, X[order], y[order], n_epochs=1)
        assert number == judge.uniform()
    assert len(drawn) == 3
    assert_same_network(network, expected)


# ---- optimizers and what they remember ----


MAKERS = {
    "sgd": lambda: SGD(0.1),
    "momentum": lambda: SGD(0.02, momentum=0.9),
    "nesterov": lambda: SGD(0.02, momentum=0.9, nesterov=True),
    "adam": lambda: Adam(0.01),
}


@pytest.fixture(params=MAKERS)
def make_optimizer(request):
    return MAKERS[request.param]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("batch_size", [1, 7, 256, 300])
@pytest.mark.parametrize("name", ["tiny", "few", "classes"])
def test_two_calls_equal_one(name, batch_size, dtype, make_optimizer):
    results = []
    for calls in ([5], [2, 3], [1, 1, 1, 1, 1]):
        network, optimizer = make_network(name, dtype), make_optimizer()
        random_state = np.random.RandomState(0)
        losses = []
        for n_epochs in calls:
            options = {"shuffle": True, "random_state": random_state, "alpha": 0.1}
            options |= {"batch_size": batch_size, "n_epochs": n_epochs}
            losses.extend(train(network, *make_data(network, 301), optimizer, **options))
        assert optimizer.n_steps == 5 * -(-301 // batch_size)
        results.append((network, optimizer, losses))
    for result in results[1:]:
        assert result == results[0]


def test_what_an_optimizer_shows():
    network = make_network("linear")
    X, y = make_data(network)
    sgd, adam = SGD(0.1, momentum=0.5), Adam(0.1)
    assert SGD(0.1).velocity is sgd.velocity is adam.mean_gradients is adam.mean_squares is None
    assert sgd.n_steps == adam.n_steps == 0

    _, gradient = network.loss_and_gradient(X, y)
    before = network.parameters.copy()
    train(network, X, y, sgd, batch_size=None, n_epochs=1)
    assert_allclose(sgd.velocity, -0.1 * gradient, rtol=1e-13)
    assert_allclose(network.parameters, before + sgd.velocity, rtol=1e-13)

    _, gradient = network.loss_and_gradient(X, y)
    train(network, X, y, adam, batch_size=None, n_epochs=1)
    assert_allclose(adam.mean_gradients, 0.1 * gradient, rtol=1e-13)
    assert_allclose(adam.mean_squares, 0.001 * gradient**2, rtol=1e-12)
    assert sgd.n_steps == adam.n_steps == 1


@pytest.mark.parametrize(
    "other",
    [((5, 4, 17, 2), "float64"), ((5, 3, 17, 2), "float32")],
    ids=["other sizes", "other precision"],
)
@pytest.mark.parametrize("name", ["momentum", "nesterov", "adam"])
def test_an_optimizer_is_of_one_network(name, other):
    network, optimizer = make_network("few"), MAKERS[name]()
    X, y = make_data(network)
    train(network, X, y, optimizer)
    held = copy.deepcopy(optimizer)
    other = Network(other[0], "tanh", dtype=other[1], random_state=0)
    before = other.parameters.tobytes()
    with pytest.raises(ValueError, match="optimizer") as caught:
        train(other, X, y, optimizer)
    assert str(network.n_parameters) in str(caught.value)
    assert str(other.n_parameters) in str(caught.value)
    assert other.parameters.tobytes() == before
    assert optimizer == held
    train(network, X, y, optimizer)  # its own network it may train


def test_plain_descent_remembers_nothing_of_a_network():
    optimizer = SGD(0.1)
    for name in ("few", "classes"):
        network, expected = make_network(name), make_network(name)
        data = make_data(network)
        losses = train(network, *data, optimizer)
        assert losses.tolist() == train(expected, *data, SGD(0.1)).tolist()


# ---- a loss that is not finite ----

DIVERGING = {
    "sgd": (SGD, sgd_rule, {"learning_rate": 1e4}),
    "momentum": (SGD, sgd_rule, {"learning_rate": 1e4, "momentum": 0.5}),
    "nesterov": (SGD, sgd_rule, {"learning_rate": 1e4, "momentum": 0.5, "nesterov": True}),
    "adam": (Adam, adam_rule, {"learning_rate": 1e160}),
}


@pytest.mark.parametrize("with_callback", [False, True])
@pytest.mark.parametrize("batch_size", [None, 20])
@pytest.mark.parametrize("name", DIVERGING)
def test_divergence_leaves_the_last_finished_epoch(name, batch_size, with_callback):
    kind, rule, numbers = DIVERGING[name]
    network, expected = (Network((3, 1), random_state=0) for _ in range(2))
    X, y = make_data(network)
    with np.errstate(all="ignore"):
        orders = [np.arange(len(X))] * 200
        _, losses = slow_train(network, X, y, rule(**numbers), orders, batch_size or len(X))
    bad_epoch = 1 + int(np.isfinite(losses).argmin())
    assert not np.isfinite(losses[bad_epoch - 1])

    epochs = []
    options = {"batch_size": batch_size, "n_epochs": 200}
    if with_callback:
        options["callback"] = lambda state: epochs.append(state.epoch)
    optimizer, twin = kind(**numbers), kind(**numbers)
    with pytest.raises(ValueError, match=rf"epoch {bad_epoch}\b"):
        train(network, X, y, optimizer, **options)
    if bad_epoch > 1:
        train(expected, X, y, twin, batch_size=batch_size, n_epochs=bad_epoch - 1)
    assert network == expected
    assert optimizer == twin
    assert epochs == list(range(1, bad_epoch)) * with_callback
    # the very next epoch does it again
    with pytest.raises(ValueError, match=r"epoch 1\b"):
        train(network, X, y, optimizer, batch_size=batch_size)
    assert network == expected
    assert optimizer == twin


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("batch_size", [1, 20])
@pytest.mark.parametrize("layer_sizes", [(2, 2, 1), (9, 2, 1), (3, 1), (5, 17, 2)])
@pytest.mark.parametrize("trained", [False, True])
def test_divergence_in_the_first_epoch_leaves_all_as_it_was(
    trained, layer_sizes, batch_size, dtype, make_optimizer
):
    network, optimizer = Network(layer_sizes, dtype=dtype, random_state=0), make_optimizer()
    X, y = make_data(network)
    if trained:
        train(network, X, y, optimizer)
    optimizer.learning_rate = float(np.finfo(dtype).max)
    before, optimizer_before = copy.deepcopy(network), copy.deepcopy(optimizer)
    with pytest.raises(ValueError, match=r"epoch 1\b"):
        train(network, X, 1000 * y + 1000, optimizer, batch_size=batch_size)
    assert network == before
    assert optimizer == optimizer_before


def test_parameters_that_are_not_finite_are_seen_in_their_epoch():
    """The loss is that before the step: it is finite still."""
    network = Network((3, 1), random_state=0)
    X, y = make_data(network)
    before = network.parameters.tobytes()
    assert np.isfinite(network.loss_value(1e3 * X, y))
    with pytest.raises(ValueError, match=r"epoch 1\b"):
        train(network, 1e3 * X, y, SGD(1e308), batch_size=None, n_epochs=1)
    assert network.parameters.tobytes() == before


# ---- the objects themselves ----


def trained_pair(make_optimizer, name="few", dtype="float64", n_epochs=3):
    network, optimizer = make_network(name, dtype), make_optimizer()
    train(network, *make_data(network), optimizer, n_epochs=n_epochs)
    return network, optimizer


def through_pickle(protocol):
    return lambda thing: pickle.loads(pickle.dumps(thing, protocol))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["tiny", "few"])
@pytest.mark.parametrize(
    "duplicate",
    [
        copy.deepcopy,
        copy.copy,
        *(through_pickle(protocol) for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1)),
    ],
)
def test_a_copy_is_equal_and_goes_on_alike(duplicate, name, dtype, make_optimizer):
    network, optimizer = trained_pair(make_optimizer, name, dtype)
    other, its_optimizer = duplicate(network), duplicate(optimizer)
    assert other is not network
    assert other == network
    assert its_optimizer == optimizer
    assert its_optimizer.n_steps == optimizer.n_steps
    for attribute in ("layer_sizes", "activation", "output_activation", "loss", "dtype"):
        assert getattr(other, attribute) == getattr(network, attribute)
    assert_same_network(other, network)
    data = make_data(network)
    losses = train(network, *data, optimizer)
    # the copy has memory of its own
    assert other != network
    assert its_optimizer != optimizer
    assert losses.tolist() == train(other, *data, its_optimizer).tolist()
    assert other == network
    assert its_optimizer == optimizer


def test_network_and_optimizer_in_one_pickle(make_optimizer):
    pair = trained_pair(make_optimizer)
    assert pickle.loads(pickle.dumps(pair)) == pair


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layer_sizes", [(1, 1), (30, 40, 20), (3, *[2] * 60, 1), (784, 300, 10)])
def test_a_pickle_is_hardly_larger_than_the_weights(layer_sizes, dtype, make_optimizer):
    network, optimizer = Network(layer_sizes, dtype=dtype), make_optimizer()
    rng = np.random.default_rng(0)
    X, y = rng.uniform(size=(2, layer_sizes[0])), rng.uniform(size=(2, layer_sizes[-1]))
    train(network, X, y, optimizer)
    assert len(pickle.dumps(network)) <= network.parameters.nbytes + 4000
    n_states = {"sgd": 0, "momentum": 1, "nesterov": 1, "adam": 2}
    n_states = {MAKERS[name]: n for name, n in n_states.items()}[make_optimizer]
    assert len(pickle.dumps(optimizer)) <= n_states * network.parameters.nbytes + 4000


def test_networks_are_equal_when_what_they_hold_is():
    def make(layer_sizes=(3, 4, 1), activation="tanh", output="identity", loss="squared_error",
             dtype="float64", seed=0):  # fmt: skip
        return Network(layer_sizes, activation, output, loss, dtype, seed)

    network = make()
    assert network == make()
    exp = make(output="exp")
    others = [
        make((3, 4, 2)),
        make(activation="sigmoid"),
        make(output="tanh"),
        make(dtype="float32"),
        make(seed=1),
    ]
    assert all(network != other for other in others)
    poisson = make(output="exp", loss="poisson")
    assert exp.parameters.tobytes() == poisson.parameters.tobytes()
    assert exp != poisson
    single = make(dtype="float32")
    double = make()
    double.parameters = single.parameters
    assert single != double  # the numbers are the same
    network.biases[-1][-1] = np.nextafter(network.biases[-1][-1], 1)
    assert network != make()
    assert network != "network"
    assert network != None  # noqa: E711
    with pytest.raises(TypeError, match="unhashable"):
        hash(network)


def test_optimizers_are_equal_when_what_they_hold_is():
    assert SGD(0.1) == SGD(0.1) == SGD(0.1, 0.0, False)
    assert Adam() == Adam(0.001, 0.9, 0.999, 1e-8)
    different = [
        SGD(0.1),
        SGD(0.2),
        SGD(0.1, 0.9),
        SGD(0.1, 0.9, True),
        Adam(0.1),
        Adam(0.1, beta_1=0.8),
        Adam(0.1, beta_2=0.8),
        Adam(0.1, epsilon=1e-7),
        "SGD(learning_rate=0.1)",
    ]
    for k, optimizer in enumerate(different):
        for other in different[:k]:
            assert optimizer != other
    network = make_network("few")
    data = make_data(network)
    for make in MAKERS.values():
        optimizer = make()
        train(network, *data, optimizer, n_epochs=1)
        assert optimizer != make()  # it has taken steps
        if not isinstance(optimizer, SGD) or optimizer.momentum:
            other = make()
            train(make_network("few"), data[0][::-1], data[1], other, n_epochs=1)
            assert other.n_steps == optimizer.n_steps
            assert other != optimizer  # along other gradients
        with pytest.raises(TypeError, match="unhashable"):
            hash(optimizer)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_repr_of_a_network_makes_such_a_network(name, dtype):
    network = make_network(name, dtype)
    other = eval(repr(network), {"Network": Network})
    other.parameters = network.parameters
    assert other == network


def test_the_repr_of_an_optimizer_makes_such_an_optimizer():
    for optimizer in (SGD(0.1), SGD(1e-3, momentum=0.5, nesterov=True), Adam(0.5, 0.8, 0.7, 1e-6)):
        assert eval(repr(optimizer), {"SGD": SGD, "Adam": Adam}) == optimizer
    assert repr(SGD(0.1, 0.9)) == "SGD(learning_rate=0.1, momentum=0.9, nesterov=False)"


def test_numbers_of_an_optimizer_are_those_given():
    sgd, adam = SGD(0.25, 0.5, True), Adam(0.25, 0.5, 0.125, 0.0625)
    assert (sgd.learning_rate, sgd.momentum, sgd.nesterov) == (0.25, 0.5, True)
    assert (adam.learning_rate, adam.beta_1, adam.beta_2, adam.epsilon) == (
        0.25,
        0.5,
        0.125,
        0.0625,
    )
    adam.learning_rate = sgd.learning_rate = 0.75
    assert adam.learning_rate == sgd.learning_rate == 0.75


@pytest.mark.parametrize("name", ["tiny", "few"])
@pytest.mark.parametrize("batch_size", [1, 7])
def test_a_callback_may_change_the_learning_rate(make_optimizer, batch_size, name):
    """From the next epoch on."""
    network, expected = make_network(name), make_network(name)
    X, y = make_data(network)
    optimizer, twin = make_optimizer(), make_optimizer()

    def callback(state):
        optimizer.learning_rate /= 2

    options = {"batch_size": batch_size}
    losses = train(network, X, y, optimizer, callback=callback, **options)
    for loss in losses:
        assert train(expected, X, y, twin, n_epochs=1, **options).tolist() == [loss]
        twin.learning_rate /= 2
    assert_same_network(network, expected)
    assert optimizer == twin


def test_a_changed_learning_rate_is_that_of_the_next_training():
    X, y = make_data(make_network("few"))
    network, expected = make_network("few"), make_network("few")
    optimizer = SGD(0.1)
    train(network, X, y, optimizer)
    optimizer.learning_rate = 0.02
    train(network, X, y, optimizer)
    train(expected, X, y, SGD(0.1))
    train(expected, X, y, SGD(0.02))
    assert_same_network(network, expected)


def test_no_stream_is_seeded_where_nothing_is_drawn(monkeypatch):
    """It would take longer than many a call."""
    network, other = (Network((3, 4, 1), random_state=0) for _ in range(2))
    X, y = np.ones((5, 3)), np.zeros(5)
    other.train(X, y, optimizer=SGD(0.1), shuffle=False, random_state=7)

    def seed(*_):
        raise AssertionError("a RandomState was made")

    monkeypatch.setattr(np.random, "RandomState", seed)
    network.train(X, y, optimizer=SGD(0.1), shuffle=False)
    assert network == other
