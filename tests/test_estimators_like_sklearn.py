"""Fits of all kinds, one after another: scikit-learn's numbers, lines and errors."""

import copy
import inspect
import os
import pickle
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from cbackprop import from_sklearn
from cbackprop.estimators import (
    ConvergenceWarning,
    MLPClassifier,
    MLPRegressor,
    _early_stopping,
    _mlp,
)

# the numbers are those of this version; 1.7 fails at early stopping with labels that are strings
pytest.importorskip("sklearn", minversion="1.9")
from sklearn import neural_network

sparse = pytest.importorskip("scipy.sparse")

TASKS = ["regression", "outputs", "poisson", "binary", "classes", "labels"]
PER_EPOCH = ("loss_curve_", "validation_scores_")
NUMBERS = ("loss_", "best_loss_", "best_validation_score_")
EQUAL = ("n_iter_", "t_", "n_layers_", "n_outputs_", "out_activation_", "n_features_in_")


def make_data(task, n_samples=40, seed=7, n_features=4):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_samples, n_features))
    noise = rng.normal(size=(n_samples, 3))
    y = {
        "regression": X[:, 0] ** 2 - X[:, 1],
        "outputs": X[:, :3] ** 2 + noise,
        "poisson": rng.poisson(np.exp(0.5 * X[:, 0])).astype(float),
        "binary": np.where(X[:, 0] + noise[:, 0] > X[:, 1], "yes", "no"),
        "classes": np.digitize(X[:, 0] + 0.3 * noise[:, 1], [-0.5, 0.5]) + 5,
        "labels": (X[:, :3] + 0.5 * noise > 0).astype(int),
    }[task]
    return X, y


def make_pair(task, **parameters):
    """Our estimator, and scikit-learn's with the same parameters."""
    name = "MLPRegressor" if task in TASKS[:3] else "MLPClassifier"
    if task == "poisson":
        parameters["loss"] = "poisson"
    parameters = {"hidden_layer_sizes": (6,), "random_state": 0, "max_iter": 10} | parameters
    ours = {"MLPRegressor": MLPRegressor, "MLPClassifier": MLPClassifier}[name](**parameters)
    return ours, getattr(neural_network, name)(**copy.deepcopy(parameters))


def assert_close(actual, expected, tolerance, what):
    """Equal within tolerance times the largest entry."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape, what
    if expected.size:
        largest = np.abs(expected).max()
        assert_allclose(actual, expected, rtol=0, atol=tolerance * largest, err_msg=what)


def assert_same(ours, theirs, X, tolerance=1e-8):
    for name in EQUAL:
        assert getattr(ours, name) == getattr(theirs, name), name
    for name in ("coefs_", "intercepts_"):
        for one, other in zip(getattr(ours, name), getattr(theirs, name), strict=True):
            assert_close(one, other, tolerance, name)
    for name in (*PER_EPOCH, *NUMBERS):
        assert hasattr(ours, name) == hasattr(theirs, name), name
        expected = getattr(theirs, name, None)
        if expected is None:
            assert getattr(ours, name, None) is None, name
        else:
            assert_close(getattr(ours, name), expected, tolerance, name)
    assert_close(ours.predict_proba(X) if hasattr(ours, "classes_") else ours.predict(X),
                 theirs.predict_proba(X) if hasattr(ours, "classes_") else theirs.predict(X),
                 tolerance, "outputs")  # fmt: skip
    if hasattr(ours, "classes_"):
        assert_array_equal(ours.classes_, theirs.classes_)
        assert_array_equal(ours.predict(X), theirs.predict(X))
    if hasattr(theirs, "_optimizer"):
        assert ours._no_improvement_count == theirs._no_improvement_count


def fit_pair(ours, theirs, X, y, method="fit", **arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for estimator in (theirs, ours):
            getattr(estimator, method)(X, y, **arguments)
    return ours, theirs


# ---- the grid ----

# two fits an example, about; CBACKPROP_TEST_EXAMPLES=3000 takes some minutes
N_EXAMPLES = int(os.environ.get("CBACKPROP_TEST_EXAMPLES", "200"))
# In these ranges a rounding error does not grow, as a test below shows of scikit-learn.
PARAMETERS = st.fixed_dictionaries(
    {
        "hidden_layer_sizes": st.sampled_from([(), (6,), (5, 3)]),
        "activation": st.sampled_from(["identity", "logistic", "tanh", "relu"]),
        "alpha": st.just(0) | st.floats(1e-6, 1),
        "batch_size": st.just("auto") | st.integers(1, 70),
        "max_iter": st.integers(1, 10),
        "shuffle": st.booleans(),
        "random_state": st.integers(0, 2**32 - 1),
        "tol": st.sampled_from([0.0, 1e9]) | st.floats(1e-5, 0.1),
        "n_iter_no_change": st.sampled_from([1, 3, 10, np.inf]),
        "warm_start": st.booleans(),
    }
)
SOLVERS = st.one_of(
    st.fixed_dictionaries(
        {
            "solver": st.just("sgd"),
            "learning_rate_init": st.floats(1e-5, 2e-3),
            "learning_rate": st.sampled_from(["constant", "invscaling", "adaptive"]),
            "power_t": st.floats(0, 2),
            "momentum": st.just(0) | st.floats(0, 0.95),
            "nesterovs_momentum": st.booleans(),
        }
    ),
    st.fixed_dictionaries(
        {
            "solver": st.just("adam"),
            "learning_rate_init": st.floats(1e-5, 0.02),
            "beta_1": st.just(0) | st.floats(0, 0.95),
            "beta_2": st.floats(0.5, 0.9999),
            # below, what an entry of a gradient near zero is rounded to decides the step's sign
            "epsilon": st.floats(0.01, 0.1),
        }
    ),
)
EARLY_STOPPING = st.fixed_dictionaries(
    {
        "early_stopping": st.booleans(),
        "validation_fraction": st.floats(0.1, 0.5),
    }
)
STEPS = st.lists(st.sampled_from(["fit", "weighted fit", "partial_fit"]), min_size=1, max_size=3)
SIZES = st.fixed_dictionaries({"n_samples": st.integers(40, 70), "n_features": st.integers(3, 6)})
ANYTHING = settings(
    max_examples=N_EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=True,
)


@given(st.sampled_from(TASKS), SIZES, PARAMETERS, SOLVERS, EARLY_STOPPING, STEPS, st.booleans())
@ANYTHING
def test_any_sequence_of_fits_equals_scikit_learns(
    task, sizes, parameters, solver, early_stopping, steps, own_stream
):
    X, y = make_data(task, **sizes)
    parameters = parameters | solver | early_stopping
    if own_stream:
        parameters["random_state"] = np.random.RandomState(parameters["random_state"])
    ours, theirs = make_pair(task, **parameters)
    weights = np.random.default_rng(1).uniform(0.5, 3, len(X))
    for k, step in enumerate(steps):
        arguments = {"sample_weight": weights} if step == "weighted fit" else {}
        if step == "partial_fit":
            if ours.early_stopping:
                continue
            if not isinstance(ours, MLPRegressor):
                arguments["classes"] = np.arange(3) if task == "labels" else np.unique(y)
        rows = slice(5 * k, None)
        if "sample_weight" in arguments:
            arguments["sample_weight"] = weights[rows]
        method = step.rpartition(" ")[2]
        fit_pair(ours, theirs, X[rows], y[rows], method, **arguments)
        assert_same(ours, theirs, X)


@given(st.sampled_from(TASKS), SIZES, PARAMETERS, SOLVERS, EARLY_STOPPING)
@settings(ANYTHING, max_examples=N_EXAMPLES // 4)
def test_the_grid_keeps_to_ranges_in_which_rounding_errors_do_not_grow(
    task, sizes, parameters, solver, early_stopping
):
    X, y = make_data(task, **sizes)
    parameters = parameters | solver | early_stopping
    theirs = [make_pair(task, **parameters)[1] for _ in range(2)]
    one_ulp_off = np.nextafter(X, np.random.default_rng(2).choice([-np.inf, np.inf], X.shape))
    for estimator, data in zip(theirs, (X, one_ulp_off), strict=True):
        fit_pair(estimator, estimator, data, y)
    assert_same(*theirs, X)


# ---- schedules and early stopping ----

LINES = {
    "constant": {"tol": 1e9, "n_iter_no_change": 3},
    "maximum": {"max_iter": 4},
    "invscaling": {"solver": "sgd", "learning_rate": "invscaling", "max_iter": 6},
    "adaptive": {"solver": "sgd", "learning_rate": "adaptive", "tol": 0.5, "n_iter_no_change": 2,
                 "learning_rate_init": 0.01, "max_iter": 60},
    "adaptive, maximum": {"solver": "sgd", "learning_rate": "adaptive", "tol": 1e9,
                          "n_iter_no_change": 2, "max_iter": 4},
    "adam, adaptive": {"learning_rate": "adaptive", "tol": 1e9, "n_iter_no_change": 3},
}  # fmt: skip


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("verbose", [False, True])
@pytest.mark.parametrize("lines", LINES)
@pytest.mark.parametrize("task", ["regression", "binary"])
def test_lines_and_warnings_are_scikit_learns(task, lines, verbose, early_stopping, capsys):
    X, y = make_data(task)
    parameters = {"max_iter": 20} | LINES[lines]
    pair = make_pair(task, early_stopping=early_stopping, verbose=verbose, **parameters)
    said = []
    for estimator in pair:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            estimator.fit(X, y)
        messages = [(w.category.__name__, str(w.message)) for w in caught]
        assert all(w.filename == __file__ for w in caught) or estimator is pair[1]
        said.append((capsys.readouterr().out, messages))
    assert said[0] == said[1]
    assert bool(said[0][0]) == verbose
    assert bool(said[0][1]) == ("maximum" in lines or lines == "invscaling")
    assert_same(*pair, X)
    if "solver" in parameters:  # adam's keeps the step's there, bias corrected
        ours, theirs = (estimator._optimizer.learning_rate for estimator in pair)
        assert ours == pytest.approx(theirs, rel=1e-14)


@pytest.mark.parametrize("learning_rate", ["constant", "invscaling", "adaptive"])
def test_the_smallest_networks_steps_change_too(learning_rate):
    X, y = make_data("regression")
    pair = make_pair(
        "regression", solver="sgd", learning_rate=learning_rate, momentum=0, alpha=0, batch_size=1,
        tol=0.3, n_iter_no_change=2, max_iter=30,
    )  # fmt: skip
    assert_same(*fit_pair(*pair, X, y), X)


def test_adaptive_steps_end_where_they_are_too_small(capsys):
    X, y = make_data("regression")
    ours, theirs = fit_pair(
        *make_pair("regression", **LINES["adaptive"] | {"tol": 1e9}, verbose=True), X, y
    )
    printed = capsys.readouterr().out
    assert printed.count("Learning rate too small. Stopping.") == 2
    assert printed.count("Setting learning rate to") == 2 * 6
    assert_same(ours, theirs, X)


@pytest.mark.parametrize("n_samples", [2, 3, 10, 37, 200])
@pytest.mark.parametrize("fraction", [0.1, 0.25, 1 / 3, 0.5, 0.99])
@pytest.mark.parametrize("n_classes", [None, 1, 2, 3, 7])
def test_the_split_is_train_test_splits(n_samples, fraction, n_classes):
    from sklearn.model_selection import train_test_split

    strata = None
    for seed in range(5):
        if n_classes is not None:
            strata = np.random.default_rng(seed).integers(0, n_classes, n_samples)
            strata = np.unique(strata, return_inverse=True)[1]
        try:
            expected = train_test_split(
                np.arange(n_samples), test_size=fraction, stratify=strata,
                random_state=np.random.RandomState(seed))  # fmt: skip
            if len(expected[1]) < 2:
                expected = None
        except ValueError:
            expected = None
        arguments = n_samples, fraction, np.random.RandomState(seed), strata
        if expected is None:
            with pytest.raises(ValueError, match=r"validation|each class"):
                _early_stopping.split_rows(*arguments)
        else:
            for ours, theirs in zip(_early_stopping.split_rows(*arguments), expected, strict=True):
                assert_array_equal(ours, theirs)


def test_early_stopping_keeps_the_best_weights_and_the_last_loss():
    X, y = make_data("regression")
    ours, theirs = fit_pair(
        *make_pair("regression", early_stopping=True, learning_rate_init=0.3, max_iter=30), X, y
    )
    assert_same(ours, theirs, X, 1e-6)
    best = int(np.argmax(ours.validation_scores_)) + 1
    assert best < ours.n_iter_
    stopped = make_pair("regression", early_stopping=True, learning_rate_init=0.3, max_iter=best)[0]
    with pytest.warns(ConvergenceWarning):
        stopped.fit(X, y)
    assert_array_equal(stopped.coefs_[0], ours.coefs_[0])
    assert stopped.loss_ != ours.loss_ == ours.loss_curve_[-1]


@pytest.mark.parametrize(
    "parameters", [{"validation_fraction": 0.0}, {"validation_fraction": 0.01}]
)
@pytest.mark.parametrize("task", TASKS)
def test_a_validation_set_that_is_too_small_is_refused(task, parameters):
    X, y = make_data(task)
    for estimator in make_pair(task, early_stopping=True, **parameters):
        with pytest.raises(ValueError, match=r"validation|test_size"):
            estimator.fit(X, y)
    assert not hasattr(make_pair(task)[0], "coefs_")


@pytest.mark.parametrize("task", ["regression", "classes"])
def test_rows_held_back_of_which_none_counts_are_named(task, monkeypatch):
    """scikit-learn: a ZeroDivisionError, or scores that are NaN where the loss is not finite."""
    monkeypatch.setattr(_mlp, "split_rows", lambda *_: (np.arange(4, 40), np.arange(4)))
    X, y = make_data(task)
    model, _ = make_pair(task, early_stopping=True)
    with pytest.raises(ValueError, match="zero for every row held back"):
        model.fit(X, y, np.arange(40) > 3)
    assert not hasattr(model, "coefs_")


@pytest.mark.parametrize("where", ["X", "y", "sample_weight"])
def test_bad_rows_that_are_held_back_are_found(where, monkeypatch):
    monkeypatch.setattr(_mlp, "split_rows", lambda *_: (np.arange(4, 40), np.arange(4)))
    X, y = make_data("regression")
    data = {"X": X, "y": y, "sample_weight": np.ones(40)}
    data[where][:4] = 0 if where == "sample_weight" else np.nan
    ours = make_pair("regression", early_stopping=True)[0]
    with pytest.raises(ValueError, match=where):
        ours.fit(**data)
    assert not hasattr(ours, "coefs_")


# ---- warm_start and partial_fit ----


def test_times_are_not_the_numbers_that_they_equal():
    X, y = make_data("classes")
    numbers = np.unique(y, return_inverse=True)[1]
    for estimator in make_pair("classes", warm_start=True):
        fit_pair(estimator, estimator, X, numbers)
        with pytest.raises(ValueError, match="same classes as in the previous call"):
            estimator.fit(X, numbers.astype("m8[s]"))


@pytest.mark.parametrize("task", TASKS[3:])
@pytest.mark.parametrize("warm_start", [False, True])
def test_labels_of_later_fits_are_checked_as_by_scikit_learn(task, warm_start):
    X, y = make_data(task)
    classes = np.arange(3) if task == "labels" else np.unique(y)
    fewer = y == y[0]
    others = {
        "fewer": (X[fewer], y[fewer]) if task != "labels" else (X, y[:, :2]),
        "more": (X, np.where(np.arange(40) < 3, "new", y.astype(str)))
        if task != "labels"
        else (X, np.hstack([y, y])),
    }
    for name, data in others.items():
        for method in ("fit", "partial_fit"):
            ours, theirs = make_pair(task, warm_start=warm_start)
            fit_pair(ours, theirs, X, y)
            before = ours.coefs_[0].copy()
            try:
                fit_pair(theirs, theirs, *data, method)
            except (ValueError, IndexError) as error:
                with pytest.raises(ValueError) as caught:
                    fit_pair(ours, ours, *data, method)
                if task != "labels" or "warm_start" in str(error):
                    assert str(caught.value)[:30] == str(error)[:30], (name, method)
                assert_array_equal(ours.coefs_[0], before)
            else:
                fit_pair(ours, ours, *data, method)
    for estimator in make_pair(task):
        with pytest.raises(ValueError, match="classes must be passed on the first call"):
            estimator.partial_fit(X, y)
        estimator.partial_fit(X[fewer] if task != "labels" else X, y[fewer]
                              if task != "labels" else y, classes=classes)  # fmt: skip
        assert_array_equal(estimator.classes_, classes)
        with pytest.raises(ValueError, match="not the same as on last call to partial_fit"):
            estimator.partial_fit(X, y, classes=classes[:-1])
        estimator.partial_fit(X, y, classes=list(classes))


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_one_class_a_row_may_follow_several_labels(method):
    X, labels = make_data("labels")
    classes = np.arange(40) % 3
    ours, theirs = make_pair("labels", warm_start=method == "fit")
    fit_pair(ours, theirs, X, labels)
    fit_pair(ours, theirs, X, classes, method)
    assert_same(ours, theirs, X)
    if method == "partial_fit":
        fit_pair(ours, theirs, X, classes % 2, method)  # one is not there
        assert_same(ours, theirs, X)


@pytest.mark.parametrize("n_labels", [2, 3])
def test_classes_without_a_label_apply_to_no_output(n_labels):
    X, labels = make_data("labels")
    ours, theirs = make_pair("labels")
    for estimator in (ours, theirs):
        estimator.partial_fit(X, labels[:, :n_labels], classes=range(5))
        estimator.partial_fit(X, np.arange(40) % 5)
    assert_same(ours, theirs, X)
    if n_labels == 2:  # scikit-learn: each column of the network has the other's targets, too
        with pytest.raises(ValueError, match="cannot be trained further"):
            ours.partial_fit(X, np.arange(40) % 2)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_several_labels_may_not_follow_one_class_a_row(method):
    X, labels = make_data("labels")
    ours, theirs = make_pair("labels", warm_start=method == "fit")
    fit_pair(ours, theirs, X, np.arange(40) % 3)
    for estimator in (ours, theirs):
        before = estimator.coefs_[0].copy()
        with pytest.raises(ValueError, match=r"multilabel|several labels a row"):
            getattr(estimator, method)(X, labels)
        assert_array_equal(estimator.coefs_[0], before)


@pytest.mark.parametrize("task", TASKS)
def test_partial_fit_is_for_sgd_and_adam_only(task):
    X, y = make_data(task)
    ours, _ = make_pair(task, solver="lbfgs")
    assert not hasattr(ours, "partial_fit")
    with pytest.raises(AttributeError, match="only available for stochastic"):
        ours.partial_fit(X, y)
    assert "classes" in inspect.signature(MLPClassifier.partial_fit).parameters
    assert hasattr(ours.set_params(solver="sgd"), "partial_fit")
    with pytest.raises(ValueError, match="partial_fit does not support early_stopping=True"):
        arguments = {} if task in TASKS[:3] else {"classes": np.unique(y)}
        ours.set_params(early_stopping=True).partial_fit(X, y, **arguments)


CHANGES = [
    {"hidden_layer_sizes": (8,)},
    {"hidden_layer_sizes": (2,)},
    {"activation": "tanh"},
    {"activation": "logistic", "solver": "lbfgs"},
    {"solver": "sgd", "momentum": 0.5},
]


@pytest.mark.parametrize("changed", CHANGES, ids=str)
@pytest.mark.parametrize("task", ["regression", "classes"])
def test_warm_starts_go_on_with_what_was_fitted(task, changed):
    """Other sizes are taken for those of the first fit, as scikit-learn takes them."""
    X, y = make_data(task)
    ours, theirs = fit_pair(*make_pair(task, warm_start=True), X, y)
    for estimator in (ours, theirs):
        estimator.set_params(**changed)
    fit_pair(ours, theirs, X, y)
    assert ours.coefs_[0].shape == (4, 6)
    for one, other in zip(ours.coefs_, theirs.coefs_, strict=True):
        assert_close(one, other, 1e-6, "coefs_")


def test_a_model_of_other_layers_is_not_gone_on_with():
    X, y = make_data("regression")
    for changed in (
        {"hidden_layer_sizes": (6, 6)},
        {"hidden_layer_sizes": ()},
        {"hidden_layer_sizes": (8,), "solver": "lbfgs"},
    ):
        ours, theirs = fit_pair(*make_pair("regression", warm_start=True), X, y)
        before = ours.coefs_[0].copy()
        with pytest.raises(ValueError, match="cannot be trained further"):
            ours.set_params(**changed).fit(X, y)
        assert_array_equal(ours.coefs_[0], before)
        with pytest.raises((ValueError, TypeError, IndexError)):
            theirs.set_params(**changed).fit(X, y)
    with pytest.raises(ValueError, match="expecting 4 features"):
        ours.fit(X[:, :2], y)


def test_another_loss_goes_on_with_the_weights():
    """scikit-learn goes on, too, but with a loss that is not that of its gradients."""
    X, y = make_data("poisson")
    ours = make_pair("regression", warm_start=True, tol=1e9, max_iter=20)[0].fit(X, y)
    before = ours.coefs_[0].copy()
    ours.set_params(loss="poisson", learning_rate_init=1e-9).fit(X, y)
    assert_allclose(ours.coefs_[0], before, atol=1e-6)
    assert ours.out_activation_ == "exp"
    assert (ours.predict(X) > 0).all()


def test_going_on_keeps_the_precision_of_the_first_fit():
    X, y = make_data("regression")
    ours = make_pair("regression")[0].partial_fit(X.astype(np.float32), y).partial_fit(X, y)
    assert ours.coefs_[0].dtype == ours.predict(X).dtype == np.float32


@pytest.mark.parametrize("task", TASKS)
def test_pickles_keep_the_optimizer_for_partial_fit_only(task):
    X, y = make_data(task)
    arguments = {} if task in TASKS[:3] else {"classes": np.arange(3)}
    if task in ("binary", "classes"):
        arguments["classes"] = np.unique(y)
    ours, theirs = fit_pair(*make_pair(task), X, y)
    small = len(pickle.dumps(ours))
    deep = copy.deepcopy(ours)
    fit_pair(ours, theirs, X, y, "partial_fit", **arguments)
    assert_same(deep.partial_fit(X, y), theirs, X)
    n_bytes = ours._network.parameters.nbytes
    assert small < 1.1 * n_bytes + 4000
    assert len(pickle.dumps(ours)) > small + 2 * n_bytes
    again = pickle.loads(pickle.dumps(ours))
    fit_pair(ours, theirs, X, y, "partial_fit")
    assert_same(again.partial_fit(X, y), theirs, X)
    assert_same(ours, theirs, X)


# ---- what comes out ----


def test_log_probabilities_and_multilabel_scores_are_scikit_learns():
    for task in TASKS[3:]:
        X, y = make_data(task)
        ours, theirs = fit_pair(*make_pair(task, max_iter=60, learning_rate_init=0.02), X, y)
        assert_close(ours.predict_log_proba(X), theirs.predict_log_proba(X), 1e-8, task)
        weights = np.random.default_rng(2).uniform(0, 2, 40)
        for sample_weight in (None, weights):
            score = ours.score(X, y, sample_weight)
            assert score == pytest.approx(theirs.score(X, y, sample_weight), rel=1e-12)
            assert score < 1
        assert ours.predict(X).dtype == theirs.predict(X).dtype
        ours.intercepts_[-1][...] = 1e4
        with np.errstate(divide="ignore"):
            assert np.isneginf(ours.predict_log_proba(X)).any() == (task == "binary")


@pytest.mark.parametrize(
    "y",
    [
        np.arange(80).reshape(40, 2) % 3,
        np.full((40, 2), 0.5),
        np.full((40, 2), "a"),
        np.full((40, 2), np.nan),
    ],
    ids=["three values", "fractions", "strings", "NaN"],
)
def test_matrices_that_are_not_labels_are_refused(y):
    X, indicators = make_data("labels")
    for estimator in make_pair("labels"):
        with pytest.raises(ValueError):
            estimator.fit(X, y)
    ours = make_pair("labels", tol=1e9, max_iter=20)[0].fit(X, indicators)
    for wrong in (y, indicators[:, :2], indicators[:, 0]):
        with pytest.raises(ValueError), np.errstate(invalid="ignore"):
            ours.score(X, wrong)


@pytest.mark.parametrize("dtype", [bool, np.float32, np.uint8])
def test_indicators_of_any_dtype(dtype):
    X, y = make_data("labels")
    assert_same(*fit_pair(*make_pair("labels"), X, y.astype(dtype)), X)


# ---- lbfgs ----


@pytest.mark.parametrize("hidden", [(), (6,), (5, 3)])
@pytest.mark.parametrize("alpha", [0, 0.3])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("task", [task for task in TASKS if task != "outputs"])
def test_ten_iterations_of_lbfgs_equal_scikit_learns(task, weighted, alpha, hidden):
    X, y = make_data(task)
    pair = make_pair(
        task, solver="lbfgs", alpha=alpha, hidden_layer_sizes=hidden, activation="tanh"
    )
    weights = np.random.default_rng(1).uniform(0, 3, 40) if weighted else None
    fit_pair(*pair, X, y, sample_weight=weights)
    assert_same(*pair, X, 1e-6)
    assert pair[0].t_ == 0
    assert not hasattr(pair[0], "loss_curve_")


def test_lbfgs_minimises_the_loss_that_it_reports():
    X, y = make_data("outputs")
    parameters = {"solver": "lbfgs", "alpha": 1, "max_iter": 500}
    ours, theirs = fit_pair(*make_pair("outputs", **parameters), X, y)
    half_squares = 0.5 * ((ours.predict(X) - y) ** 2).sum(axis=1).mean()
    penalty = 0.5 * ours.alpha * sum((w**2).sum() for w in ours.coefs_) / len(X)
    assert ours.loss_ == pytest.approx(half_squares + penalty, rel=1e-12)
    again = copy.deepcopy(ours).set_params(warm_start=True, tol=1e-9).fit(X, y)
    assert again.loss_ == pytest.approx(ours.loss_, rel=1e-4)
    # scikit-learn's is a third of its gradient's, so that its search fails or ends elsewhere
    assert theirs.loss_ != pytest.approx(ours.loss_ / 3, rel=1e-4)


def test_lbfgs_goes_on_warns_and_stays_in_float32():
    X, y = make_data("regression")
    ours, theirs = make_pair("regression", solver="lbfgs", max_iter=3, warm_start=True)
    for _ in range(3):
        with pytest.warns(ConvergenceWarning, match=r"lbfgs failed to converge after 3 iter"):
            ours.fit(X, y)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs.fit(X, y)
        assert_same(ours, theirs, X, 1e-7)
    ours.set_params(max_fun=2)
    with pytest.warns(ConvergenceWarning, match="more than max_fun=2 times"):
        ours.fit(X, y)
    with pytest.warns(ConvergenceWarning):
        single = make_pair("regression", solver="lbfgs", max_iter=3)[0].fit(X.astype("f4"), y)
    assert single.coefs_[0].dtype == single.predict(X).dtype == np.float32
    assert single.loss_ == pytest.approx(theirs_after(3, X, y).loss_, rel=1e-4)


def theirs_after(max_iter, X, y):
    return fit_pair(*make_pair("regression", solver="lbfgs", max_iter=max_iter), X, y)[1]


def test_the_solvers_follow_one_another():
    X, y = make_data("binary")
    ours, _ = make_pair("binary", warm_start=True, tol=1e9)
    for solver in ("sgd", "lbfgs", "adam"):
        ours.set_params(solver=solver)
        fit_pair(ours, ours, X, y)
    assert len(ours.loss_curve_) > 0
    assert ours.partial_fit(X, y).n_iter_ == 1


def test_one_class_is_always_hit_in_early_stopping():
    X, _ = make_data("binary")
    pair = make_pair("binary", early_stopping=True, max_iter=5, hidden_layer_sizes=())
    for estimator in fit_pair(*pair, X, np.full(40, 3)):
        estimator.set_params(warm_start=True).intercepts_[-1][...] = 50  # as if sure of a second
    assert_same(*fit_pair(*pair, X, np.full(40, 3)), X)
    assert pair[0].validation_scores_ == [1.0] * 10


# ---- sparse rows and labels ----


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("kind", ["csr_matrix", "csc_array", "coo_array"])
def test_sparse_rows_give_scikit_learns_numbers(kind, task, solver):
    X, y = make_data(task)
    X = getattr(sparse, kind)(np.where(X > 0.5, X, 0))
    if solver == "lbfgs" and task == "outputs":
        pytest.skip("its gradient is not the loss's there")
    assert_same(*fit_pair(*make_pair(task, solver=solver), X, y), X)


@pytest.mark.parametrize("kind", ["csr_array", "csc_matrix"])
def test_sparse_labels_are_predicted_as_such(kind):
    X, y = make_data("labels")
    own, theirs = make_pair("labels")
    for labels in (getattr(sparse, kind)(y), y):
        fit_pair(own, theirs, X, labels)
        fit_pair(own, theirs, X, y, "partial_fit")  # what the labels are is seen once
        found, expected = own.predict(X), theirs.predict(X)
        assert type(found) is type(expected)
        assert found.dtype == expected.dtype
        assert abs(found - expected).sum() == 0
        assert own.score(X, labels) == theirs.score(X, labels)
        for model in (own.to_sklearn(), from_sklearn(theirs)):
            assert type(model.predict(X)) is type(expected)
