"""`LBFGS` in `Network.train`: SciPy's iterations, and what surrounds every training."""

import copy
import pickle
import sys
import time

import numpy as np
import pytest
from numpy.testing import assert_allclose

from cbackprop import LBFGS, SGD, Network

optimize = pytest.importorskip("scipy.optimize")


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


@pytest.mark.parametrize("options", OPTIONS)
def test_iterations_are_those_of_scipy(options):
    network, judge, options = make_network(), make_network(), OPTIONS[options]
    X, y = make_data()
    weights = options.get("sample_weight", np.ones(40))
    divisor = 1 if "reduction" in options else weights.sum()
    parts = zip(network.weights, network.biases, strict=True)
    mask = np.concatenate([[1.0] * w.size + [0.0] * b.size for w, b in parts])
    decay = options.get("alpha", 0) * mask / divisor

    def objective(w):
        judge.parameters = w
        loss, gradient = judge.loss_and_gradient(X, y, weights, "sum")
        return loss / divisor + decay @ w**2 / 2, gradient / divisor + decay * w

    expected = [[], []]

    def keep(intermediate_result):
        expected[0].append(intermediate_result.fun)
        expected[1].append(intermediate_result.x.copy())

    optimize.minimize(
        *(objective, network.parameters.copy()),
        method="L-BFGS-B",
        jac=True,
        callback=keep,
        options={"maxiter": 30, "maxcor": 4, "gtol": 1e-9},
    )
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
    assert_allclose(losses, expected[0], rtol=1e-6)
    assert_allclose(network.parameters, expected[1][-1], rtol=1e-4, atol=1e-5)
    for k, (epoch, loss, parameters) in enumerate(seen):
        assert (epoch, loss) == (k + 1, losses[k])
        assert_allclose(parameters, expected[1][k], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("values", [{"gtol": 0.01}, {"ftol": 0.01, "gtol": 0}], ids=repr)
def test_it_ends_by_itself(values):
    network = make_network()
    losses = network.train(*make_data(), optimizer=LBFGS(**values), n_epochs=10**6)
    assert 3 < len(losses) < 500
    _, gradient = network.loss_and_gradient(*make_data())
    assert np.abs(gradient).max() <= 0.01 or losses[-2] - losses[-1] <= 0.01
    # and has nothing to do where it has ended
    if values["gtol"]:
        before = network.parameters.copy()
        again = network.train(*make_data(), optimizer=LBFGS(**values), n_epochs=9)
        assert again.shape == (0,)
        assert np.array_equal(network.parameters, before)


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
    assert repr(optimizer) == "LBFGS(memory=5, gtol=0.01, ftol=2.2e-09)"
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
        ({"memory": 1.5}, TypeError),
        ({"gtol": -1}, ValueError),
        ({"ftol": "0"}, TypeError),
    ],
)
def test_bad_values_are_named(values, error):
    with pytest.raises(error, match=next(iter(values))):
        LBFGS(**values)


def test_it_says_what_it_needs(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    network, expected = make_network(), make_network()
    with pytest.raises(ImportError, match="needs SciPy"):
        network.train(*make_data(), optimizer=LBFGS())
    assert network == expected
