"""`LBFGS`: the iterations of SciPy's L-BFGS-B, and what surrounds every training."""

import copy
import pickle
import time
from itertools import product

import numpy as np
import pytest
from numpy.testing import assert_allclose

from cbackprop import LBFGS, SGD, Network


def make_network(dtype="float64", n_hidden=6):
    return Network((3, n_hidden, 2), "tanh", dtype=dtype, random_state=1)


def make_data(n_samples=40, noise=0.0):
    rng = np.random.default_rng(n_samples)
    X = rng.normal(size=(n_samples, 3))
    y = np.column_stack([np.sin(2 * X[:, 0]), X[:, 1] * X[:, 2]])
    return X, y + rng.normal(scale=noise, size=y.shape)


OPTIONS = {
    "mean": {},
    "weights, penalty": {"sample_weight": np.arange(40) % 4 / 2, "alpha": 0.2},
    "sum, penalty": {"reduction": "sum", "alpha": 0.3},
}


def iterations_of_scipy(network, X, y, options, **limits):
    """SciPy's result, and the loss and the parameters after each of its iterations."""
    optimize = pytest.importorskip("scipy.optimize")
    judge = copy.deepcopy(network)
    weights = options.get("sample_weight", np.ones(len(X)))
    divisor = 1 if "reduction" in options else weights.sum()
    parts = zip(network.weights, network.biases, strict=True)
    mask = np.concatenate([[1.0] * w.size + [0.0] * b.size for w, b in parts])
    decay = options.get("alpha", 0) * mask / divisor

    def objective(w):
        judge.parameters = w
        loss, gradient = judge.loss_and_gradient(X, y, weights, "sum")
        return loss / divisor + decay @ w**2 / 2, gradient / divisor + decay * w

    losses, parameters = [], []

    def keep(intermediate_result):
        losses.append(intermediate_result.fun)
        parameters.append(intermediate_result.x.copy())

    result = optimize.minimize(
        *(objective, network.parameters.copy()),
        method="L-BFGS-B",
        jac=True,
        callback=keep,
        options=limits,
    )
    return result, losses, parameters


@pytest.mark.parametrize("options", OPTIONS)
def test_iterations_are_those_of_scipy(options):
    network, options = make_network(), OPTIONS[options]
    X, y = make_data()
    limits = {"maxiter": 30, "maxcor": 4, "gtol": 1e-9}
    _, expected, parameters = iterations_of_scipy(network, X, y, options, **limits)
    seen, optimizer = [], LBFGS(memory=4, gtol=1e-9)
    losses = network.train(
        *(X, y),
        optimizer=optimizer,
        n_epochs=30,
        callback=lambda state: seen.append(
            (state.epoch, state.loss, state.network.parameters.copy())
        ),
        **options,
    )
    assert losses.shape == (30,)
    assert optimizer.n_steps == 30
    assert optimizer.ending is None
    assert_allclose(losses, expected, rtol=1e-6)
    for k, (epoch, loss, found) in enumerate(seen):
        assert (epoch, loss) == (k + 1, losses[k])
        assert_allclose(found, parameters[k], rtol=1e-4, atol=1e-5)


# How the parameters and the inputs are scaled: from far away, and along steep slopes.
SCALES = [(0.1, 1), (1, 1), (10, 1), (100, 1), (10, 0.1), (1e-3, 1e3), (1e-5, 1e5)]


@pytest.mark.parametrize("scales", SCALES, ids=str)
@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid", "identity", "softsign"])
def test_searches_are_those_of_scipy(activation, scales):
    """Each case of the interpolation is met somewhere here, and most ends of a search."""
    of_parameters, of_inputs = scales
    X, y = make_data()
    for seed, of_targets in product(range(3), (0.01, 1, 100)):
        network = Network((3, 5, 2), activation, random_state=seed)
        network.parameters = of_parameters * network.parameters
        assert_steps_of_scipy(network, of_inputs * X, of_targets * y)


@pytest.mark.parametrize("weighted", [1.5, 2, 3, 4])
@pytest.mark.parametrize("scale", [1e3, 1e4, 1e5])
@pytest.mark.parametrize("target", [0.0, 1.0])
def test_searches_of_small_gains_are_those_of_scipy(weighted, scale, target):
    """The loss falls by less than the slope promises: the tilted function of the first stage."""
    X, y = np.array([[scale], [0.5]]), np.array([[1.0], [target]])
    network = Network((1, 1), output_activation="tanh")
    network.parameters = [weighted / scale, 0]
    assert_steps_of_scipy(network, X, y)


@pytest.mark.parametrize(("seed", "failing"), [(13, 10), (34, 7)])
def test_a_search_that_fails_begins_anew_down_the_gradient(seed, failing):
    X, y = make_data(noise=0.5)
    network = Network((3, 6, 2), "tanh", random_state=seed)
    trials = []
    for n_epochs in (failing, failing + 1):
        result, *_ = iterations_of_scipy(network, 1e3 * X, 100 * y, {}, maxiter=n_epochs)
        trials.append(result.nfev)
    assert trials[1] - trials[0] > 20  # so many are a failure
    assert_steps_of_scipy(network, 1e3 * X, 100 * y, failing + 2)


def assert_steps_of_scipy(network, X, y, n_epochs=6):
    """Before rounding tells."""
    _, expected, parameters = iterations_of_scipy(network, X, y, {}, maxiter=n_epochs)
    optimizer = LBFGS()
    losses = network.train(X, y, optimizer=optimizer, n_epochs=n_epochs)
    assert optimizer.n_steps == len(expected)
    assert_allclose(losses[: len(expected)], expected, rtol=1e-6, atol=1e-12)
    atol = 1e-4 * np.abs(parameters[-1]).max()
    assert_allclose(network.parameters, parameters[-1], rtol=0, atol=atol)


@pytest.mark.parametrize("values", [{"gtol": 0.01}, {"ftol": 0.01, "gtol": 0}], ids=repr)
def test_it_ends_by_itself(values):
    network = make_network()
    optimizer = LBFGS(**values)
    losses = network.train(*make_data(), optimizer=optimizer, n_epochs=10**6)
    assert 3 < len(losses) < 500
    _, gradient = network.loss_and_gradient(*make_data())
    if optimizer.ending == "ftol":
        assert losses[-2] - losses[-1] <= 0.01 < losses[-3] - losses[-2]
        return
    assert optimizer.ending == "gtol"
    assert np.abs(gradient).max() <= 0.01
    # and it has nothing to do where it has ended
    before = network.parameters.copy()
    again = network.train(*make_data(), optimizer=optimizer, n_epochs=9)
    assert again.tolist() == [losses[-1]]
    assert optimizer.n_steps == len(losses)
    assert np.array_equal(network.parameters, before)


def test_it_ends_after_so_many_evaluations():
    """SciPy, too, finishes the iteration."""
    optimizer = LBFGS(max_evaluations=12)
    losses = make_network().train(*make_data(), optimizer=optimizer, n_epochs=30)
    result, expected, _ = iterations_of_scipy(make_network(), *make_data(), {}, maxfun=12)
    assert len(losses) == len(expected) < 13
    assert optimizer.ending == "max_evaluations"
    assert "EVALUATIONS" in result.message


def test_it_ends_where_no_step_lowers_the_loss():
    """At the kinks of relu a minimum need not have a gradient of zero."""
    X, y = make_data(noise=0.5)
    endings = set()
    for seed in range(6):
        network, optimizer = Network((3, 6, 2), "relu", random_state=seed), LBFGS(gtol=0, ftol=0)
        losses = network.train(X, 100 * y, optimizer=optimizer, n_epochs=5000)
        endings.add(optimizer.ending)
        assert (np.diff(losses) <= 0).all()
        assert losses[-1] == pytest.approx(network.loss_value(X, 100 * y), rel=1e-14)
    assert "line search" in endings


@pytest.mark.parametrize("scale", [1e3, 1e4])
def test_a_trial_step_may_overflow(scale):
    """The first is of length 1, whatever the inputs; SciPy's search ends after such a one."""
    X, y = np.array([[scale], [-scale]]), np.exp([[1.0], [-1.0]])
    network = Network((1, 1), output_activation="exp", loss="poisson")
    network.parameters = [0, 0]
    losses = network.train(X, y, optimizer=LBFGS(), n_epochs=200)
    assert np.isfinite(losses).all()
    assert (np.diff(losses) <= 0).all()
    assert_allclose(network.predict(X), y, rtol=1e-5)


def test_a_loss_that_is_infinite_from_the_start():
    network = Network((1, 1), output_activation="exp", loss="poisson", random_state=0)
    network.parameters = before = [800.0, 0]
    with pytest.raises(ValueError, match="diverged in epoch 1"):
        network.train([[1.0], [2.0]], [[1.0], [1.0]], optimizer=LBFGS())
    assert network.parameters.tolist() == before


def test_class_numbers_and_float32():
    X, y = make_data(100)
    network = Network((3, 6, 2), "tanh", "softmax", "log_loss", "float32", random_state=0)
    losses = network.train(X, y.argmax(axis=1), optimizer=LBFGS(), n_epochs=50)
    assert network.parameters.dtype == np.float32
    assert losses[-1] < 0.2 * losses[0]
    assert losses[-1] == pytest.approx(network.loss_value(X, y.argmax(axis=1)), rel=1e-5)


def test_validation_data():
    validation = make_data(300)
    network = make_network(n_hidden=40)
    options = {"validation_data": validation, "n_epochs": 300}
    losses, validation_losses = network.train(*make_data(40, 0.5), optimizer=LBFGS(), **options)
    assert network.loss_value(*validation) == validation_losses.min() < validation_losses[-1]
    patient = make_network(n_hidden=40)
    stopped = patient.train(
        *make_data(40, 0.5), optimizer=LBFGS(), tol=0, n_iter_no_change=3, **options
    )
    assert len(stopped[0]) < len(losses)
    assert losses[: len(stopped[0])].tolist() == stopped[0].tolist()
    assert patient.loss_value(*validation) == stopped[1].min()


def test_other_ends():
    losses = make_network().train(*make_data(), optimizer=LBFGS(), n_epochs=30)
    target = make_network().train(
        *make_data(), optimizer=LBFGS(), n_epochs=30, target_loss=losses[8]
    )
    assert target.tolist() == losses[:9].tolist()
    called = make_network().train(
        *make_data(), optimizer=LBFGS(), n_epochs=30, callback=lambda state: state.epoch == 5
    )
    assert called.tolist() == losses[:5].tolist()
    timed = make_network().train(
        *make_data(),
        optimizer=LBFGS(),
        n_epochs=30,
        max_time=0.05,
        callback=lambda state: time.sleep(0.02),
    )
    assert 1 <= len(timed) <= 4


@pytest.mark.parametrize("with_validation", [False, True])
def test_an_exception_leaves_the_last_or_the_best_iteration(with_validation):
    seen = []

    def callback(state):
        seen.append(state.network.parameters.copy())
        with pytest.raises(RuntimeError, match="callback"):
            state.network.parameters = seen[0]
        if len(seen) == 20:
            raise KeyboardInterrupt

    network, options = make_network(n_hidden=40), {}
    validation = make_data(300)
    if with_validation:
        options["validation_data"] = validation
    with pytest.raises(KeyboardInterrupt):
        network.train(
            *make_data(40, 0.5), optimizer=LBFGS(), n_epochs=50, callback=callback, **options
        )
    judge, found = make_network(n_hidden=40), []
    for parameters in seen:
        judge.parameters = parameters
        found.append(judge.loss_value(*validation))
    best = int(np.argmin(found))
    assert best < 19
    assert np.array_equal(network.parameters, seen[best if with_validation else -1])
    network.train(*make_data(), optimizer=SGD(0.01))  # nothing is locked


def test_any_number_of_threads_gives_the_same_numbers():
    found = set()
    for n_threads in (1, 2, 3):
        network = make_network(n_hidden=90)
        losses = network.train(*make_data(700), optimizer=LBFGS(), n_epochs=8, n_threads=n_threads)
        found.add((losses.tobytes(), network.parameters.tobytes()))
    assert len(found) == 1


def test_the_object():
    optimizer = LBFGS(5, gtol=0.01)
    expected = "LBFGS(memory=5, gtol=0.01, ftol=2.220446049250313e-09, max_evaluations=None)"
    assert repr(optimizer) == expected
    assert optimizer == eval(repr(optimizer)) == copy.deepcopy(optimizer) != LBFGS()
    make_network().train(*make_data(), optimizer=optimizer, n_epochs=3)
    again = pickle.loads(pickle.dumps(optimizer))
    assert again == optimizer
    assert again.n_steps == 3
    with pytest.raises(ValueError, match=r"batch_size must be None.*LBFGS.*got 39"):
        make_network().train(*make_data(), optimizer=optimizer, batch_size=39)


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"memory": 0}, ValueError),
        ({"memory": 2**16 + 1}, ValueError),
        ({"memory": 1.5}, TypeError),
        ({"gtol": -1}, ValueError),
        ({"ftol": "0"}, TypeError),
        ({"max_evaluations": 0}, ValueError),
    ],
)
def test_bad_values_are_named(values, error):
    with pytest.raises(error, match=next(iter(values))):
        LBFGS(**values)
