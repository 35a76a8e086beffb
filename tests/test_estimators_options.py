"""What the estimators can do beyond scikit-learn's: n_threads, callback, validation_data, dtype."""

import inspect
import warnings
from importlib.util import find_spec

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from cbackprop.estimators import MLPClassifier, MLPRegressor

RNG = np.random.default_rng(3)
X = RNG.normal(size=(60, 4))
TARGETS = {
    MLPRegressor: X[:, 0] ** 2 - X[:, 1],
    MLPClassifier: np.where(X[:, 0] > X[:, 1], "yes", "no"),
}
NEEDS_SCIPY = pytest.mark.skipif(find_spec("scipy") is None, reason="lbfgs needs SciPy")
SOLVERS = ["sgd", "adam", pytest.param("lbfgs", marks=NEEDS_SCIPY)]


@pytest.fixture(params=TARGETS, ids=lambda kind: kind.__name__)
def kind(request):
    return request.param


def fit(kind, *data, validation_data=None, **parameters):
    """A small model, fitted without its warnings."""
    small = {"hidden_layer_sizes": (6,), "max_iter": 8, "random_state": 0}
    model = kind(**small | parameters)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(*(data or (X, TARGETS[kind])), validation_data=validation_data)


def same_parameters(one, other):
    return all(map(np.array_equal, one.coefs_ + one.intercepts_, other.coefs_ + other.intercepts_))


def test_they_come_last_and_by_name_only(kind):
    names = list(inspect.signature(kind).parameters)
    assert names[-4:] == ["max_fun", "n_threads", "callback", "dtype"]
    parameters = inspect.signature(kind).parameters
    assert all(parameters[name].kind is inspect.Parameter.KEYWORD_ONLY for name in names[-4:])
    assert all(parameters[name].default is None for name in names[-3:])
    data = inspect.signature(kind.fit).parameters["validation_data"]
    assert data.kind is inspect.Parameter.KEYWORD_ONLY and data.default is None


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("n_threads", 0),
        ("n_threads", 1.5),
        ("n_threads", "all"),
        ("callback", 3),
        ("dtype", "float16"),
        ("dtype", "no dtype"),
        ("dtype", 8),
    ],
)
def test_bad_values_are_named(kind, parameter, value):
    with pytest.raises(ValueError, match=f"'{parameter}' parameter of {kind.__name__}"):
        fit(kind, **{parameter: value})


# ---- n_threads ----


@pytest.mark.parametrize("solver", SOLVERS)
def test_any_number_of_threads_gives_the_same_bits(kind, solver):
    more = {"solver": solver, "early_stopping": True, "batch_size": 40}
    one, three = fit(kind, n_threads=1, **more), fit(kind, n_threads=3, **more)
    assert same_parameters(one, three)
    assert_array_equal(one.predict(X), three.predict(X))


def test_the_number_of_threads_reaches_the_network(kind, monkeypatch):
    model = fit(kind)
    asked = []

    class Spy:
        def predict(self, X, *, n_threads):
            asked.append(n_threads)
            return np.zeros((len(X), 1))

    monkeypatch.setattr(model, "_network", Spy())
    model.set_params(n_threads=2).predict(X)
    assert asked == [2]


# ---- dtype ----


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("dtype", ["float32", np.float64, np.dtype("float32")])
@pytest.mark.parametrize("given", [np.float32, np.float64])
def test_dtype_decides_the_precision(kind, given, dtype, solver):
    data = X.astype(given)
    model = fit(kind, data, TARGETS[kind], dtype=dtype, solver=solver)
    assert {array.dtype for array in model.coefs_ + model.intercepts_} == {np.dtype(dtype)}
    # of the same numbers
    again = fit(kind, data.astype(dtype), TARGETS[kind], solver=solver)
    assert same_parameters(model, again)
    assert model._network.predict(data).dtype == dtype


# ---- callback ----


@pytest.mark.parametrize("solver", SOLVERS)
def test_the_callback_sees_every_epoch(kind, solver):
    seen = []

    def watch(state):
        seen.append((state.epoch, state.loss, state.network.parameters.copy()))
        assert state.validation_score is None

    model = fit(kind, solver=solver, callback=watch, tol=0)
    assert [epoch for epoch, _, _ in seen] == list(range(1, model.n_iter_ + 1))
    assert_array_equal(seen[-1][2], model._network.parameters)
    assert same_parameters(model, fit(kind, solver=solver, tol=0))
    if solver == "lbfgs":
        assert seen[-1][1] == pytest.approx(model.loss_, rel=1e-12)
    else:
        assert [loss for _, loss, _ in seen] == model.loss_curve_


def test_the_callback_sees_the_score_of_early_stopping(kind):
    seen = []
    model = fit(kind, early_stopping=True, callback=lambda s: seen.append(s.validation_score))
    assert seen == model.validation_scores_
    assert len(seen) == 8


@pytest.mark.parametrize("solver", SOLVERS)
def test_the_callback_ends_training_without_a_warning(kind, solver):
    model = kind(
        (6,) if kind is MLPClassifier else "squared_error",
        solver=solver,
        callback=lambda state: state.epoch == 3,
        random_state=0,
    )
    model.fit(X, TARGETS[kind])  # warnings are errors in these tests
    assert model.n_iter_ == 3


@pytest.mark.parametrize("solver", SOLVERS)
def test_an_exception_of_the_callback_is_passed_on(kind, solver):
    class Enough(Exception):
        pass

    def fail(state):
        if state.epoch == 3:
            raise Enough

    model = kind(hidden_layer_sizes=(6,), solver=solver, callback=fail, random_state=0)
    with pytest.raises(Enough):
        model.fit(X, TARGETS[kind])
    if solver == "lbfgs":
        assert not hasattr(model, "coefs_")
    else:
        assert model.n_iter_ == len(model.loss_curve_) == 3
        assert same_parameters(model, fit(kind, solver=solver, max_iter=3))


def test_partial_fit_calls_it_once(kind):
    epochs = []
    model = fit(kind, callback=lambda state: epochs.append(state.epoch))
    epochs.clear()
    model.partial_fit(X, TARGETS[kind])
    assert epochs == [1]


# ---- validation_data ----


def test_all_rows_are_trained_on_and_the_given_ones_scored(kind):
    y = TARGETS[kind]
    train, held_back = slice(0, 45), slice(45, 60)
    weights = RNG.uniform(0.5, 2, 15)
    seen = []
    model = fit(
        kind,
        X[train],
        y[train],
        validation_data=(X[held_back], y[held_back], weights),
        early_stopping=True,
        callback=lambda state: seen.append(state.network.parameters.copy()),
    )
    plain = fit(kind, X[train], y[train])
    assert model.loss_curve_ == plain.loss_curve_
    assert model.t_ == 8 * 45
    scores = []
    for parameters in seen:
        plain._network.parameters = parameters
        scores.append(plain.score(X[held_back], y[held_back], weights))
    assert model.validation_scores_ == pytest.approx(scores, rel=1e-12)
    assert_array_equal(model._network.parameters, seen[int(np.argmax(scores))])


def test_validation_data_draw_nothing_from_the_stream(kind):
    more = {"early_stopping": True, "validation_data": (X[:10], TARGETS[kind][:10])}
    states = []
    for arguments in ({}, more):
        random_state = np.random.RandomState(5)
        fit(kind, random_state=random_state, **arguments)
        states.append(random_state.randint(1 << 30))
    assert states[0] == states[1]


def test_validation_labels_may_be_some_of_the_classes():
    y = TARGETS[MLPClassifier]
    some = y == "yes"
    model = MLPClassifier((6,), early_stopping=True, warm_start=True, tol=1, random_state=0)
    for _ in range(2):
        model.fit(X, y, validation_data=(X[some], y[some]))
    multilabel = (X[:, :3] > 0).astype(int)
    model = MLPClassifier((6,), early_stopping=True, tol=1, random_state=0)
    model.fit(X, multilabel, validation_data=(X[:9], multilabel[:9] * 0))


BAD = {
    "not early stopping": ({"early_stopping": False}, (X, "y"), "early_stopping=True"),
    "lbfgs": ({"solver": "lbfgs"}, (X, "y"), "early_stopping=True"),
    "an array": ({}, X, r"\(X, y\)"),
    "one": ({}, (X,), r"\(X, y\)"),
    "four": ({}, (X, "y", None, None), r"\(X, y\)"),
    "columns": ({}, (X[:, :2], "y"), "validation_data: X has 2 features"),
    "rows": ({}, (X[:10], "y"), "validation_data: "),
    "one row": ({}, (X[:1], "y[:1]"), "validation_data: it has one sample"),
    "NaN": ({}, (X * np.nan, "y"), "validation_data: "),
    "weights": ({}, (X, "y", np.ones(3)), "validation_data: sample_weight"),
}


@pytest.mark.parametrize("bad", BAD)
def test_bad_validation_data_are_named_and_change_nothing(kind, bad):
    parameters, data, message = BAD[bad]
    y = TARGETS[kind]
    if isinstance(data, tuple):
        data = tuple(eval(part, {"y": y}) if isinstance(part, str) else part for part in data)
    model = kind(**{"early_stopping": True, "tol": 1e9} | parameters)
    with pytest.raises(ValueError, match=message):
        model.fit(X, y, validation_data=data)
    assert not hasattr(model, "coefs_")


def test_unknown_validation_labels_and_other_outputs_are_refused():
    with pytest.raises(ValueError, match="validation_data: `y` has classes not in"):
        MLPClassifier(early_stopping=True).fit(
            X, TARGETS[MLPClassifier], validation_data=(X, np.full(60, "perhaps"))
        )
    with pytest.raises(ValueError, match="validation_data: y has 2 outputs instead of 1"):
        MLPRegressor(early_stopping=True).fit(
            X, TARGETS[MLPRegressor], validation_data=(X, X[:, :2])
        )
