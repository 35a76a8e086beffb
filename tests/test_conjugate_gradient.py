"""`ScaledConjugateGradient` against Møller's listing in NumPy, iteration by iteration."""

import copy
import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from cbackprop import Adam, Network, ScaledConjugateGradient


def moller(loss_and_gradient, w, sigma=5e-5, scale=5e-7):
    """The algorithm as Møller 1993 prints it; yields the loss and the weights after each k."""
    lambda_, lambda_bar, success = scale, 0.0, True
    loss, gradient = loss_and_gradient(w)
    r = p = -gradient
    k = 0
    while True:
        k += 1
        square = p @ p
        if success:
            sigma_k = sigma / np.sqrt(square)
            s = (loss_and_gradient(w + sigma_k * p)[1] + r) / sigma_k
            delta = p @ s
        delta += (lambda_ - lambda_bar) * square
        if delta <= 0:
            lambda_bar = 2 * (lambda_ - delta / square)
            delta = -delta + lambda_ * square
            lambda_ = lambda_bar
        mu = p @ r
        there = w + mu / delta * p
        loss_there, gradient_there = loss_and_gradient(there)
        comparison = 2 * delta * (loss - loss_there) / mu**2
        if comparison >= 0:
            w, loss, r_before, r = there, loss_there, r, -gradient_there
            lambda_bar, success = 0.0, True
            p = r if k % len(w) == 0 else r + (r @ r - r @ r_before) / mu * p
            if comparison >= 0.75:
                lambda_ /= 4
        else:
            lambda_bar, success = lambda_, False
        if comparison < 0.25:
            lambda_ += delta * (1 - comparison) / square
        yield loss, w, success


def make_network(dtype="float64", sizes=(3, 4, 2), seed=4):
    return Network(sizes, "tanh", dtype=dtype, random_state=seed)


def make_data(n_samples=40):
    rng = np.random.default_rng(n_samples)
    X = 2 * rng.normal(size=(n_samples, 3))
    return X, np.column_stack([np.sin(2 * X[:, 0]), X[:, 1] * X[:, 2]])


def is_weight(network):
    parts = zip(network.weights, network.biases, strict=True)
    return np.concatenate([[1.0] * w.size + [0.0] * b.size for w, b in parts])


def objective(network, X, y, sample_weight=None, reduction="mean", alpha=0.0):
    """The loss and gradient of any weights, with the L2 term."""
    judge, mask = copy.deepcopy(network), is_weight(network)
    total = len(X) if sample_weight is None else sample_weight.sum()
    alpha = alpha / total if reduction == "mean" else alpha

    def loss_and_gradient(w):
        judge.parameters = w
        loss, gradient = judge.loss_and_gradient(X, y, sample_weight, reduction)
        return loss + alpha / 2 * (mask * w**2).sum(), np.float64(gradient) + alpha * mask * w

    return loss_and_gradient


OPTIONS = {
    "mean": {},
    "weights, penalty": {"sample_weight": np.arange(40) % 4 / 2, "alpha": 0.2},
    "sum, penalty": {"reduction": "sum", "alpha": 0.3},
}


@pytest.mark.parametrize("numbers", [{}, {"sigma": 1e-4, "scale": 1e-6}, {"scale": 3.0}], ids=repr)
@pytest.mark.parametrize("options", OPTIONS)
def test_iterations_are_those_of_the_paper(options, numbers):
    network, options = make_network(), OPTIONS[options]
    X, y = make_data()
    n_epochs = 40  # more than there are parameters: directions begin anew
    assert network.n_parameters < n_epochs
    judge = moller(objective(network, X, y, **options), network.parameters.copy(), **numbers)
    expected = [next(judge) for _ in range(n_epochs)]
    seen = []
    losses = network.train(
        *(X, y),
        optimizer=ScaledConjugateGradient(**numbers),
        n_epochs=n_epochs,
        callback=lambda state: seen.append(state.network.parameters.copy()),
        **options,
    )
    for k, (loss, w, _) in enumerate(expected):
        # rounding grows in a difference of gradients over 5e-5, and from iteration to iteration
        tolerance = 1e-9 * 2 ** (k / 2)
        assert_allclose(losses[k], loss, rtol=tolerance)
        assert_allclose(seen[k], w, rtol=tolerance, atol=tolerance)
    assert losses[-1] < 0.8 * losses[0]


def test_the_paper_has_something_to_decide():
    """Some of the steps above are not taken."""
    X, y = make_data()
    network = make_network()
    judge = moller(objective(network, X, y), network.parameters.copy())
    taken = [next(judge)[2] for _ in range(40)]
    assert 30 < sum(taken) < 39


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_loss_never_rises_and_is_that_of_the_network(dtype):
    network = make_network(dtype, (3, 20, 2))
    X, y = make_data(300)
    found = []
    losses = network.train(
        *(X, y),
        optimizer=ScaledConjugateGradient(),
        n_epochs=300,
        callback=lambda state: found.append(state.network.loss_value(X, y)),
    )
    assert losses.tolist() == found
    assert (np.diff(losses) <= 0).all()
    assert losses[-1] < 0.1 * losses[0]


def test_a_parabola_takes_about_as_many_iterations_as_it_has_parameters():
    network = Network((7, 1), random_state=0)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(50, 7))
    y = X @ rng.normal(size=7) + rng.normal(size=50)
    best = np.linalg.lstsq(np.column_stack([X, np.ones(50)]), y, rcond=None)[0]
    network.train(X, y, optimizer=ScaledConjugateGradient(), n_epochs=12)
    assert_allclose(network.parameters, best, atol=1e-6)


def test_at_a_minimum_nothing_happens():
    network = Network((2, 1))
    network.parameters = [1.0, 2.0, 3.0]
    X = np.array([[0.0, 1.0], [1.0, 1.0], [2.0, 5.0]])
    losses = network.train(
        X, network.predict(X), optimizer=ScaledConjugateGradient(), n_epochs=2000
    )
    assert losses.tolist() == [0] * 2000
    assert network.parameters.tolist() == [1, 2, 3]
    # and long after a minimum to the last bit has been reached
    X, y = make_data(20)
    network = make_network(sizes=(3, 2))
    losses = network.train(X, y, optimizer=ScaledConjugateGradient(), n_epochs=5000)
    assert (np.diff(losses) <= 0).all()
    assert np.isfinite(network.parameters).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_step_that_explodes_is_not_taken(dtype):
    """exp is infinite not far away: the scale is raised until the loss is finite, and falls."""
    network = Network((1, 1), [], "exp", "poisson", dtype, random_state=0)
    X = np.array([[1.0], [2.0]])
    network.parameters = [-8.0, 0.0]
    y = np.exp(2 * X)
    losses = network.train(X, y, optimizer=ScaledConjugateGradient(), n_epochs=100)
    assert losses[0] > 100
    assert losses[-1] < 1e-3


def test_two_calls_equal_one():
    results = []
    X, y = make_data()
    for calls in ([40], [13, 27], [1] * 40):
        network, optimizer = make_network(), ScaledConjugateGradient()
        losses = []
        for n_epochs in calls:
            if len(calls) > 2:
                optimizer = pickle.loads(pickle.dumps(optimizer))
            losses.extend(network.train(X, y, optimizer=optimizer, n_epochs=n_epochs))
        results.append((network, optimizer, losses))
    assert results[0] == results[1] == results[2]
    assert optimizer.n_steps == 40


def test_other_data_are_no_harm():
    """The direction of the old ones is left where it does not lead downhill."""
    network, optimizer = make_network(), ScaledConjugateGradient()
    for seed in range(5):
        X, y = make_data(30 + seed)
        before = network.loss_value(X, -y)
        losses = network.train(X, -y, optimizer=optimizer, n_epochs=10)
        assert (np.diff([before, *losses]) <= 0).all()
        assert losses[-1] < before
        before = network.loss_value(X, y)
        assert network.train(X, y, optimizer=optimizer, n_epochs=10)[-1] < before


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_any_number_of_threads_gives_the_same_bits(dtype):
    X, y = make_data(700)
    found = set()
    for n_threads in (1, 2, 3):
        network, optimizer = make_network(dtype, (3, 90, 2)), ScaledConjugateGradient()
        losses = network.train(X, y, optimizer=optimizer, n_epochs=8, n_threads=n_threads)
        found.add((losses.tobytes(), network.parameters.tobytes(), pickle.dumps(optimizer)))
    assert len(found) == 1


def test_nothing_is_shuffled_and_no_batch_is_smaller():
    network, stream = make_network(), np.random.RandomState(0)
    before = network.parameters.copy()
    with pytest.raises(ValueError, match=r"batch_size must be None.*ScaledConj.*got 39"):
        network.train(*make_data(), optimizer=ScaledConjugateGradient(), batch_size=39)
    assert_array_equal(network.parameters, before)
    network.train(
        *make_data(), optimizer=ScaledConjugateGradient(), batch_size=40, random_state=stream
    )
    assert stream.randint(2**32) == np.random.RandomState(0).randint(2**32)


def test_validation_data_and_early_ends():
    X, y = make_data(300)
    network = make_network(sizes=(3, 30, 2))
    noise = np.random.default_rng(0).normal(scale=0.5, size=y.shape)
    losses, validation_losses = network.train(
        *(X[:40], (y + noise)[:40]),
        optimizer=ScaledConjugateGradient(),
        n_epochs=500,
        validation_data=(X[40:], y[40:]),
        tol=0,
        n_iter_no_change=20,
    )
    assert len(losses) < 500
    assert network.loss_value(X[40:], y[40:]) == validation_losses.min() < validation_losses[-1]


def test_the_object():
    optimizer = ScaledConjugateGradient(1e-4, scale=1e-6)
    assert repr(optimizer) == "ScaledConjugateGradient(sigma=0.0001, scale=1e-06)"
    assert optimizer.direction is None
    assert optimizer == eval(repr(optimizer)) == copy.deepcopy(optimizer)
    assert optimizer != ScaledConjugateGradient()
    assert optimizer != Adam()
    network = make_network()
    network.train(*make_data(), optimizer=optimizer, n_epochs=3)
    assert optimizer.direction.shape == (network.n_parameters,)
    assert optimizer != ScaledConjugateGradient(1e-4, scale=1e-6)
    with pytest.raises(ValueError, match="optimizer holds the state of a network"):
        make_network(sizes=(3, 5, 2)).train(*make_data(), optimizer=optimizer)


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"sigma": 0}, ValueError),
        ({"sigma": "small"}, TypeError),
        ({"scale": -1e-7}, ValueError),
        ({"scale": np.inf}, ValueError),
    ],
)
def test_bad_values_are_named(values, error):
    with pytest.raises(error, match=next(iter(values))):
        ScaledConjugateGradient(**values)
