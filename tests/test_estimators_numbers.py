"""How close the estimators' numbers are to scikit-learn's on real data."""

import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose

import cbackprop
from cbackprop import lbfgs
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
    asked = {}

    def spy_on(library):
        """Keeps what the library's lbfgs says of its first parameters."""

        class Enough(Exception):
            pass

        def minimize(objective, start, args=(), **_):
            asked[library] = (start.copy(), *objective(start, *args))
            raise Enough

        monkeypatch.setattr("scipy.optimize.minimize", minimize)
        model = getattr(library, name)(solver="lbfgs", random_state=3, **parameters)
        with pytest.raises(Enough):
            model.fit(X, y, sample_weight)

    spy_on(cbackprop)
    spy_on(neural_network)
    loss, gradient = asked[cbackprop][1:]
    sizes = (X.shape[1], 5, 4, 10 if task == "digits" else 1)
    is_weight = lbfgs._is_weight(cbackprop.Network(sizes)) == 1
    # scikit-learn has all weights first, then all biases
    ours = [np.concatenate([v[is_weight], v[~is_weight]]) for v in (asked[cbackprop][0], gradient)]
    assert_allclose(ours[0], asked[neural_network][0], rtol=0)
    assert loss == pytest.approx(asked[neural_network][1], rel=1e-12)
    expected = asked[neural_network][2]
    assert_allclose(ours[1], expected, rtol=0, atol=1e-12 * np.abs(expected).max())


@pytest.mark.parametrize("task", ["mpg", "efficient"])
def test_lbfgs_finds_as_good_minima_as_scikit_learns(task):
    X, y, name = load(task)
    losses, scores = [], []
    for seed in range(50):
        models = [
            fit(library, name, X[::4], y[::4], hidden_layer_sizes=(4,), activation="tanh",
                solver="lbfgs", alpha=1e-3, max_iter=100, random_state=seed)
            for library in (cbackprop, neural_network)
        ]  # fmt: skip
        losses.append([model.loss_ for model in models])
        scores.append([model.score(X[1::4], y[1::4]) for model in models])
    for values in (losses, scores):
        (ours, theirs), spread = (
            np.median(values, axis=0),
            np.ptp(np.quantile(values, [0.25, 0.75])),
        )
        assert abs(ours - theirs) <= 0.1 * spread


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
