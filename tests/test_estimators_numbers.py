"""How close the estimators' numbers are to scikit-learn's on real data."""

import copy
import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose

import cbackprop
from cbackprop.datasets import load_auto_mpg, load_digits

pytest.importorskip("sklearn", minversion="1.9")
from sklearn import neural_network

ACTIVATIONS = ["identity", "logistic", "tanh", "relu"]


def standardised(values):
    return (values - values.mean(axis=0)) / values.std(axis=0)


def load(task, dtype=np.float64):
    """X and y of a task on the bundled data, 400 rows, and the name of the class for it."""
    if task in ("mpg", "efficient"):
        data = load_auto_mpg()
        X = standardised(data.X).astype(dtype)
        if task == "mpg":
            return X, standardised(data.y).astype(dtype), "MLPRegressor"
        return X, data.y > np.median(data.y), "MLPClassifier"
    digits = load_digits()
    return (digits.X[:400] / 16).astype(dtype), digits.y[:400], "MLPClassifier"


def fit(library, name, X, y, **parameters):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return getattr(library, name)(**parameters).fit(X, y)


def largest_difference(ours, theirs):
    """Of the weights, relative to the largest entry of each array."""
    pairs = zip(ours.coefs_ + ours.intercepts_, theirs.coefs_ + theirs.intercepts_, strict=True)
    return max(np.abs(one - other).max() / np.abs(other).max() for one, other in pairs)


@pytest.mark.parametrize("task", ["digits", "mpg", "efficient"])
@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("activation", ACTIVATIONS[1:])
def test_two_hundred_epochs_on_real_data(activation, solver, task):
    X, y, name = load(task)
    every_epoch = {"max_iter": 200, "tol": 0, "n_iter_no_change": np.inf}
    parameters = {"hidden_layer_sizes": (16,), "activation": activation, "solver": solver}
    ours, theirs = (
        fit(library, name, X, y, random_state=1, **parameters, **every_epoch)
        for library in (cbackprop, neural_network)
    )
    assert ours.n_iter_ == theirs.n_iter_ == 200
    assert largest_difference(ours, theirs) < 1e-9
    assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-9)


# ---- lbfgs ----


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("task", ["digits", "mpg", "efficient", "counts"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_loss_and_gradient_of_lbfgs(activation, task, weighted, monkeypatch):
    X, y, name = load("mpg" if task == "counts" else task)
    parameters = {"hidden_layer_sizes": (5, 4), "activation": activation, "alpha": 0.1}
    if task == "counts":
        y = np.round(np.exp(y))
        parameters["loss"] = "poisson"
    sample_weight = np.random.default_rng(0).uniform(0.5, 2, len(X)) if weighted else None
    asked = []

    class Enough(Exception):
        pass

    def minimize(objective, start, args=(), **_):
        """Keeps what scikit-learn says of its first parameters."""
        asked.extend((start.copy(), *objective(start, *args)))
        raise Enough

    monkeypatch.setattr("scipy.optimize.minimize", minimize)
    parameters |= {"solver": "lbfgs", "random_state": 3}
    with pytest.raises(Enough):
        getattr(neural_network, name)(**parameters).fit(X, y, sample_weight)
    start, expected, expected_gradient = asked
    # ours ends where it begins: no entry of the gradient is larger than that
    model = getattr(cbackprop, name)(**parameters, tol=1e300).fit(X, y, sample_weight)
    assert model.n_iter_ == 0
    assert_allclose(in_their_order(model.coefs_, model.intercepts_), start, rtol=0)
    assert model.loss_ == pytest.approx(expected, rel=1e-12)
    network, targets = copy.deepcopy(model._network), model._encode_targets(y, None).values
    _, network.parameters = network.loss_and_gradient(X, targets, sample_weight)
    decay = 0.1 / (len(X) if sample_weight is None else sample_weight.sum())
    gradients = [g + decay * w for g, w in zip(network.weights, model.coefs_, strict=True)]
    bound = 1e-12 * np.abs(expected_gradient).max()
    found = in_their_order(gradients, network.biases)
    assert_allclose(found, expected_gradient, rtol=0, atol=bound)


def in_their_order(weights, biases):
    """All weights first, then all biases, as scikit-learn has them."""
    return np.concatenate([array.ravel() for array in (*weights, *biases)])


@pytest.mark.parametrize("task", ["mpg", "efficient"])
def test_lbfgs_finds_as_good_minima_as_scikit_learns(task):
    X, y, name = load(task)
    held_out = np.arange(len(X)) % 4 > 0
    losses, scores = [], []
    for seed in range(50):
        models = [
            fit(library, name, X[::4], y[::4], hidden_layer_sizes=(4,), activation="tanh",
                solver="lbfgs", alpha=1e-3, max_iter=100, random_state=seed)
            for library in (cbackprop, neural_network)
        ]  # fmt: skip
        losses.append([model.loss_ for model in models])
        scores.append([model.score(X[held_out], y[held_out]) for model in models])
    a_row = 1 / held_out.sum() if name == "MLPClassifier" else 0  # no score is finer
    for values, resolution in ((losses, 0), (scores, a_row)):
        spread = np.ptp(np.quantile(values, [0.25, 0.75]))
        ours, theirs = np.median(values, axis=0)
        assert abs(ours - theirs) <= max(0.1 * spread, 1.001 * resolution)
        ours, theirs = np.mean(values, axis=0)
        assert abs(ours - theirs) <= 0.03 * spread


# ---- float32 ----

SINGLE = """
import sys
import numpy as np
import test_estimators_numbers as tests

fits = [
    tests.fit(tests.neural_network, name, X, y, **parameters)
    for name, X, y, parameters in tests.single_fits()
]
np.save(sys.argv[1], np.concatenate([np.append(tests.weights_of(model), np.nan) for model in fits]))
"""


def single_fits():
    for task in ("digits", "mpg", "efficient"):
        X, y, name = load(task, np.float32)
        for solver in ("sgd", "adam"):
            for activation in ACTIVATIONS[1:]:
                parameters = {"hidden_layer_sizes": (16,), "activation": activation}
                yield name, X, y, parameters | {"solver": solver, "max_iter": 10, "random_state": 1}


def weights_of(model):
    """Relative to the largest entry of each array."""
    arrays = model.coefs_ + model.intercepts_
    assert {array.dtype for array in arrays} == {np.dtype(np.float32)}
    return np.concatenate([array.ravel() / np.abs(array).max() for array in arrays])


def fits_with(blas, folder):
    """scikit-learn's weights after `single_fits`, with OpenBLAS's kernels for a processor."""
    path = folder / f"{blas}.npy"
    subprocess.run(
        [sys.executable, "-c", SINGLE, str(path)],
        env=os.environ | {
            "OPENBLAS_CORETYPE": blas,
            "PYTHONPATH": os.pathsep.join([os.path.dirname(__file__), *sys.path]),
        },
        cwd=folder,
        check=True,
    )  # fmt: skip
    values = np.load(path)
    ends = np.flatnonzero(np.isnan(values))
    return [part[~np.isnan(part)] for part in np.split(values, ends)][:-1]


def test_float32_differs_as_two_builds_of_blas_do(tmp_path):
    one, other = fits_with("Nehalem", tmp_path), fits_with("Haswell", tmp_path)
    theirs = np.array([np.abs(a - b).max() for a, b in zip(one, other, strict=True)])
    if not theirs.any():
        pytest.skip("NumPy's BLAS has no kernels to choose from")
    ours = [weights_of(fit(cbackprop, *case[:3], **case[3])) for case in single_fits()]
    differences = np.array([np.abs(a - b).max() for a, b in zip(ours, other, strict=True)])
    epsilon = np.finfo(np.float32).eps
    assert (differences <= 10 * theirs + 4 * epsilon).all()
    assert np.median(differences) <= 2 * np.median(theirs)
