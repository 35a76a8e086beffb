"""Pickles, joblib's dumps and copies of estimators: how large they are, and that they go on."""

import copy
import io
import pickle
import warnings

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from cbackprop import MLPClassifier, MLPRegressor
from cbackprop.estimators import ConvergenceWarning

TASKS = ["regression", "outputs", "poisson", "binary", "classes", "labels"]
CONFIGURATIONS = {
    "adam": {},
    "early stopping": {"early_stopping": True},
    "sgd": {"solver": "sgd", "learning_rate": "invscaling"},
    "adaptive": {"solver": "sgd", "learning_rate": "adaptive", "tol": 1e9, "n_iter_no_change": 1},
    "plain sgd": {"solver": "sgd", "momentum": 0},
    "early stopping of sgd": {"solver": "sgd", "early_stopping": True},
    "lbfgs": {"solver": "lbfgs"},
}
HIDDEN = {"none": (), "tiny": (2,), "deep": (2,) * 12, "wide": (300, 20)}
# Protocol 2 has no bytes: it writes those of any array as text.
PROTOCOLS = range(3, pickle.HIGHEST_PROTOCOL + 1)


def make_data(task, dtype):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 5)).astype(dtype)
    y = {
        "regression": X[:, 0],
        "outputs": X[:, :3],
        "poisson": np.floor(np.exp(X[:, 0])),
        "binary": np.where(X[:, 0] > 0, "yes", "no"),
        "classes": np.digitize(X[:, 0], [-0.5, 0.5]),
        "labels": (X[:, :3] > 0).astype(int),
    }[task]
    return X, y


def fitted(task, configuration="adam", hidden="tiny", dtype="float64"):
    kind, own = (MLPRegressor if task in TASKS[:3] else MLPClassifier), {}
    if task == "poisson":
        own = {"loss": "poisson"}
    model = kind(
        **{"hidden_layer_sizes": HIDDEN[hidden], "max_iter": 5, "random_state": 0}
        | CONFIGURATIONS[configuration]
        | own
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(*make_data(task, dtype))


def through_joblib(model):
    joblib, file = pytest.importorskip("joblib"), io.BytesIO()
    joblib.dump(model, file)
    file.seek(0)
    return joblib.load(file), len(file.getbuffer())


def allowed(model, protocol):
    """1.1 times the weights + 4 kB + the losses, scores and labels."""
    lists = [
        getattr(model, name, None) for name in ("loss_curve_", "validation_scores_", "classes_")
    ]
    return 1.1 * model._network.parameters.nbytes + 4000 + len(pickle.dumps(lists, protocol))


def outputs(model, X):
    return model.predict_proba(X) if hasattr(model, "predict_proba") else model.predict(X)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_a_dump_is_hardly_larger_than_the_weights(configuration, hidden, dtype):
    for task in TASKS:
        model = fitted(task, configuration, hidden, dtype)
        for protocol in PROTOCOLS:
            assert len(pickle.dumps(model, protocol)) <= allowed(model, protocol), (task, protocol)


@pytest.mark.parametrize("hidden", HIDDEN)
def test_a_dump_of_joblib_is_hardly_larger_than_the_weights(hidden):
    for configuration in CONFIGURATIONS:
        model = fitted("binary", configuration, hidden)
        assert through_joblib(model)[1] <= allowed(model, pickle.DEFAULT_PROTOCOL)


def test_long_curves_and_many_labels_are_counted_apart():
    model = fitted("regression", "early stopping")
    model.set_params(max_iter=3000, n_iter_no_change=np.inf)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(*make_data("regression", "float64"))
    assert len(pickle.dumps(model)) <= allowed(model, pickle.DEFAULT_PROTOCOL)
    assert len(pickle.dumps(model)) > 2 * 3000 * 8


COPIES = {
    "deepcopy": copy.deepcopy,
    "joblib": lambda model: through_joblib(model)[0],
} | {
    f"protocol {protocol}": lambda model, protocol=protocol: pickle.loads(
        pickle.dumps(model, protocol)
    )
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1)
}


@pytest.mark.parametrize("way", COPIES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_copy_is_the_same_model_and_trains_on(dtype, way):
    for task in TASKS:
        X, y = make_data(task, dtype)
        for configuration in CONFIGURATIONS:
            model = fitted(task, configuration, dtype=dtype)
            before = outputs(model, X)
            again = COPIES[way](model)
            assert_array_equal(outputs(again, X), before)
            assert vars(again).keys() | {"_optimizer"} == vars(model).keys() | {"_optimizer"}
            assert {**again.get_params()} == {**model.get_params()}
            if configuration == "lbfgs":
                continue
            assert ("_optimizer" in vars(again)) == (way == "deepcopy")
            again.set_params(early_stopping=False)
            if way != "deepcopy":  # which goes on with the moments, others with new ones
                del model._optimizer
            model.set_params(early_stopping=False)
            again.partial_fit(X, y)
            assert (outputs(again, X) != before).any()
            assert_array_equal(outputs(model, X), before)  # they share nothing
            assert_array_equal(outputs(model.partial_fit(X, y), X), outputs(again, X))
            # from now on the moments are kept
            last = COPIES[way](again)
            for one in (last, again):
                one.partial_fit(X, y)
            assert_array_equal(outputs(last, X), outputs(again, X))


def test_a_fit_after_partial_fit_makes_the_dump_small_again():
    X, y = make_data("regression", "float64")
    model = fitted("regression", hidden="wide").partial_fit(X, y)
    assert len(pickle.dumps(model)) > 3 * model._network.parameters.nbytes
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X, y)
    assert len(pickle.dumps(model)) <= allowed(model, pickle.DEFAULT_PROTOCOL)


@pytest.mark.parametrize("fit", [True, False])
def test_clones_are_not_fitted(fit):
    clone = pytest.importorskip("sklearn.base").clone
    model = fitted("regression", "adaptive") if fit else MLPRegressor(alpha=3, tol=1)
    again = clone(model)
    assert again.get_params() == model.get_params()
    assert vars(again).keys() == again.get_params().keys()
