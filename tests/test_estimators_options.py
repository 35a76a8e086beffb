"""What the estimators can do beyond scikit-learn's, but for `solver` (test_estimators_solvers)."""

import inspect
import pickle
import sys
import time
import warnings

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from textbook import ACTIVATIONS

from cbackprop import LBFGS, SGD, Adam, Network
from cbackprop.estimators import MLPClassifier, MLPRegressor

RNG = np.random.default_rng(3)
X = RNG.normal(size=(60, 4))
TARGETS = {
    MLPRegressor: X[:, 0] ** 2 - X[:, 1],
    MLPClassifier: np.where(X[:, 0] > X[:, 1], "yes", "no"),
}
SOLVERS = ["sgd", "adam", "lbfgs"]


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
    ours = ["n_threads", "callback", "dtype", "output_activation", "target_loss", "max_time"]
    assert names[-7:] == ["max_fun", *ours]
    parameters = inspect.signature(kind).parameters
    assert all(parameters[name].kind is inspect.Parameter.KEYWORD_ONLY for name in ours)
    assert all(parameters[name].default is None for name in ours)
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
        ("activation", ("relu", "sine")),
        ("activation", ("relu", None)),
        ("activation", {"relu"}),
        ("activation", "sigmoid"),
        ("output_activation", "sigmoid"),
        ("output_activation", ("identity",)),
        ("target_loss", -0.1),
        ("target_loss", np.nan),
        ("max_time", 0),
        ("max_time", np.inf),
        ("max_time", "long"),
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


WATCHED = {"early_stopping": False}
BAD = {
    "lbfgs": ({"solver": "lbfgs"}, (X, "y"), "validation_data is not for solver='lbfgs'"),
    "an array": ({}, X, r"\(X, y\)"),
    "one": ({}, (X,), r"\(X, y\)"),
    "four": ({}, (X, "y", None, None), r"\(X, y\)"),
    "columns": ({}, (X[:, :2], "y"), "validation_data: X has 2 features"),
    "rows": ({}, (X[:10], "y"), "validation_data: "),
    "one row": ({}, (X[:1], "y[:1]"), "validation_data: it has one sample"),
    "NaN": ({}, (X * np.nan, "y"), "validation_data: "),
    "weights": ({}, (X, "y", np.ones(3)), "validation_data: sample_weight"),
    "columns, not scored": (WATCHED, (X[:, :2], "y"), "validation_data: X has 2 features"),
    "NaN, not scored": (WATCHED, (X * np.nan, "y"), "validation_data: "),
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
    labels, classes = np.eye(3)[np.arange(60) % 3], np.arange(60) % 3
    labels[0] = 0
    for y, other in ((labels, classes), (classes, labels)):
        with pytest.raises(ValueError, match=r"validation_data: y must have .* a row"):
            MLPClassifier().fit(X, y, validation_data=(X, other))
    model = MLPClassifier((5,), warm_start=True, max_iter=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for y in (labels, classes):  # as labels of which one applies
            model.fit(X, y, validation_data=(X, y))


# ---- the validation loss ----

SPLIT = slice(0, 45), slice(45, 60)


def fit_and_watch(kind, **parameters):
    """A model that watches the last rows, their loss by `Network.loss_value` in every epoch, it."""
    (train, held_back), y = SPLIT, TARGETS[kind]
    targets = (y == "yes").astype(float) if kind is MLPClassifier else y
    seen = []

    def watch(state):
        seen.append((state.validation_loss, state.network.parameters.copy()))

    more = parameters.pop("weights", ())
    model = fit(
        kind, X[train], y[train], validation_data=(X[held_back], y[held_back], *more),
        callback=watch, **parameters,
    )  # fmt: skip
    judge, losses = Network(**network_like(model)), []
    for _, values in seen:
        judge.parameters = values
        losses.append(judge.loss_value(X[held_back], targets[held_back], *more))
    return model, losses, [loss for loss, _ in seen]


def network_like(model):
    network = model._network
    names = ("layer_sizes", "activation", "output_activation", "loss", "dtype")
    return {name: getattr(network, name) for name in names}


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("solver", ["sgd", "adam", "rprop", "scaled_conjugate_gradient"])
def test_the_validation_loss_of_every_epoch(kind, solver, dtype, early_stopping):
    more = {"solver": solver, "dtype": dtype, "early_stopping": early_stopping, "alpha": 0.5}
    for weights in ((), (RNG.uniform(0.5, 2, 15),)):
        model, expected, told = fit_and_watch(kind, weights=weights, **more)
        assert model.validation_loss_curve_ == told
        np.testing.assert_allclose(told, expected, rtol=1e-6 if dtype == "float32" else 1e-13)
        assert len(told) == model.n_iter_ == 8


def test_the_validation_loss_with_lbfgs(kind):
    model, expected, told = fit_and_watch(kind, solver=LBFGS(), alpha=0.5)
    assert model.validation_loss_curve_ == told == pytest.approx(expected, rel=1e-13)


def test_the_validation_loss_is_scikit_learns():
    metrics = pytest.importorskip("sklearn.metrics")
    labels = np.digitize(X[:, 0], [-0.5, 0.5])
    model = fit(MLPClassifier, X[:40], labels[:40], validation_data=(X[40:], labels[40:]))
    expected = metrics.log_loss(labels[40:], model.predict_proba(X[40:]))
    assert model.validation_loss_curve_[-1] == pytest.approx(expected, rel=1e-12)
    several = np.column_stack([X[:, 0] ** 2, X[:, 1]])
    model = fit(MLPRegressor, X[:40], several[:40], validation_data=(X[40:], several[40:]))
    expected = metrics.mean_squared_error(several[40:], model.predict(X[40:])) / 2
    assert model.validation_loss_curve_[-1] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("solver", SOLVERS[:2])
def test_watching_changes_nothing(kind, solver):
    """Neither when training ends nor the weights, even where the validation loss rises."""
    (train, held_back), y = SPLIT, TARGETS[kind]
    more = {"solver": solver, "max_iter": 60, "n_iter_no_change": 3, "tol": 1e-3}
    more |= {"learning_rate_init": 0.05, "batch_size": 8, "target_loss": 0.01}
    wrong = y[held_back][::-1]
    watched = fit(kind, X[train], y[train], validation_data=(X[held_back], wrong), **more)
    plain = fit(kind, X[train], y[train], **more)
    assert same_parameters(watched, plain)
    assert watched.loss_curve_ == plain.loss_curve_
    curve = watched.validation_loss_curve_
    assert len(curve) == watched.n_iter_ > np.argmin(curve) + 4
    assert plain.validation_loss_curve_ is None


def test_without_validation_data_there_is_no_curve(kind):
    assert fit(kind, early_stopping=True).validation_loss_curve_ is None
    model = fit(kind, validation_data=(X[:5], TARGETS[kind][:5]))
    assert len(model.validation_loss_curve_) == 8
    model.partial_fit(X, TARGETS[kind])
    assert model.validation_loss_curve_ is None
    fit_quietly(model.set_params(solver="lbfgs"), X, TARGETS[kind], None)
    assert not hasattr(model, "validation_loss_curve_")


def test_a_loss_needs_one_row_only(kind):
    data = X[:1], TARGETS[kind][:1]
    assert len(fit(kind, validation_data=data).validation_loss_curve_) == 8


def test_the_curve_goes_on_in_warm_starts(kind):
    y = TARGETS[kind]
    model = kind(hidden_layer_sizes=(6,), max_iter=3, warm_start=True, random_state=0)
    curves = []
    for rows in (slice(0, 20), slice(20, 60), None, slice(0, 20)):
        data = None if rows is None else (X[rows], y[rows])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(X, y, validation_data=data)
        curves.append(model.validation_loss_curve_)
    assert [curve and len(curve) for curve in curves] == [3, 6, None, 3]
    assert curves[1][:3] == curves[0]
    assert len(model.loss_curve_) == 12


def test_sparse_validation_data_beside_dense_ones(kind):
    sparse, y = pytest.importorskip("scipy.sparse"), TARGETS[kind]
    plain = fit(kind, validation_data=(X, y))
    for form in (sparse.csr_array, sparse.csc_array, sparse.coo_array):
        for train, held_back in ((form(X), X), (X, form(X)), (form(X), sparse.csr_array(X))):
            model = fit(kind, train, y, validation_data=(held_back, y))
            assert model.validation_loss_curve_ == plain.validation_loss_curve_


def calls_in(fit):
    """How many Python functions begin while it runs."""
    n_calls = 0

    def count(frame, event, argument):
        nonlocal n_calls
        n_calls += event == "call"

    sys.setprofile(count)
    try:
        fit()
    finally:
        sys.setprofile(None)
    return n_calls


def test_nothing_of_python_runs_between_epochs(kind):
    y = TARGETS[kind]
    endless = {"n_iter_no_change": np.inf, "target_loss": 0, "max_time": 1e6, "random_state": 0}
    numbers = []
    for max_iter in (200, 5000):
        model = kind(hidden_layer_sizes=(2,), max_iter=max_iter, **endless)
        numbers.append(calls_in(lambda model=model: fit_quietly(model, X, y, (X[:9], y[:9]))))
        assert len(model.validation_loss_curve_) == max_iter
    assert abs(numbers[1] - numbers[0]) < 100
    model.set_params(callback=lambda state: False)
    assert calls_in(lambda: fit_quietly(model, X, y, (X[:9], y[:9]))) > 5000


def fit_quietly(model, X, y, validation_data):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(X, y, validation_data=validation_data)


def test_verbose_tells_the_validation_loss(kind, capsys):
    model = fit(kind, max_iter=2, verbose=True, validation_data=(X[:9], TARGETS[kind][:9]))
    losses, validation_losses = model.loss_curve_, model.validation_loss_curve_
    lines = [
        [f"Iteration {k + 1}, loss = {losses[k]:.8f}", f"Validation loss: {validation_losses[k]:f}"]
        for k in range(2)
    ]
    assert capsys.readouterr().out.splitlines() == [*lines[0], *lines[1]]


# ---- target_loss and max_time ----


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("solver", [*SOLVERS, "rprop", "scaled_conjugate_gradient"])
def test_training_ends_with_the_loss_aimed_at(kind, solver, early_stopping):
    more = {"solver": solver, "early_stopping": early_stopping, "tol": 0, "max_iter": 20}
    more |= {"learning_rate_init": 0.05, "n_iter_no_change": np.inf}
    seen = []
    fit(kind, callback=lambda state: seen.append(state.loss), **more)
    target = seen[4]
    assert min(seen[:4]) > target
    small = {"hidden_layer_sizes": (6,), "random_state": 0} | more
    for max_iter in (5, 20):
        model = kind(target_loss=target, **small | {"max_iter": max_iter})
        model.fit(X, TARGETS[kind])  # without a warning
        assert model.n_iter_ == 5
        assert model.loss_ <= target
    assert fit(kind, target_loss=0, **more).n_iter_ == 20


@pytest.mark.parametrize("solver", [*SOLVERS, "rprop"])
def test_training_ends_when_the_time_is_up(kind, solver):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(20_000, 4))
    y = np.where(rng.normal(size=20_000) > 0, 1, 0)  # nothing to be learnt
    model = kind(
        hidden_layer_sizes=(30,), solver=solver, max_time=0.1, max_iter=20_000, tol=0,
        max_fun=10**8, alpha=0, n_iter_no_change=np.inf, random_state=0,
    )  # fmt: skip
    began = time.monotonic()
    fit_quietly(model, rows, y, None)
    assert 0.1 <= time.monotonic() - began < 5
    assert 0 < model.n_iter_ < 20_000
    again = kind(**model.get_params()).set_params(max_time=None, max_iter=model.n_iter_)
    assert same_parameters(model, fit_quietly(again, rows, y, None))


# ---- activation and output_activation ----

FUNCTIONS = {name.replace("sigmoid", "logistic"): f for name, f in ACTIVATIONS.items()}


def outputs_of(model, hidden, output):
    """The forward pass."""
    values = X
    for name, W, b in zip([*hidden, output], model.coefs_, model.intercepts_, strict=True):
        values = FUNCTIONS[name](values @ W + b)
    return values


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("hidden", [("softsign", "logistic"), ["tanh", "softsign"]])
def test_each_hidden_layer_has_its_activation(kind, hidden, solver):
    model = fit(kind, hidden_layer_sizes=(6, 5), activation=hidden, solver=solver, batch_size=60)
    output = {MLPRegressor: "identity", MLPClassifier: "logistic"}[kind]
    found = model.predict_proba(X)[:, 1] if kind is MLPClassifier else model.predict(X)
    np.testing.assert_allclose(found, outputs_of(model, hidden, output).ravel(), rtol=1e-12)
    if solver == "lbfgs":
        return
    # and so in training
    y, loss = TARGETS[kind], "squared_error"
    if kind is MLPClassifier:
        y, loss = (y == "yes").astype(float), "binary_log_loss"
    network = Network((4, 6, 5, 1), hidden, output, loss, random_state=0)
    rule = SGD(0.001, momentum=0.9, nesterov=True) if solver == "sgd" else Adam()
    network.train(X, y, optimizer=rule, n_epochs=8, alpha=1e-4)
    # the order of the rows is another
    np.testing.assert_allclose(model._network.parameters, network.parameters, rtol=1e-9)


@pytest.mark.parametrize("name", ["identity", "logistic", "tanh", "relu", "softsign"])
def test_one_name_is_one_for_every_layer(kind, name):
    one = fit(kind, hidden_layer_sizes=(6, 5), activation=name)
    many = fit(kind, hidden_layer_sizes=(6, 5), activation=(name, name))
    assert same_parameters(one, many)
    assert fit(kind, hidden_layer_sizes=(), activation=()).n_layers_ == 2


@pytest.mark.parametrize("names", [("relu",), ["relu", "tanh", "tanh"], ()])
def test_as_many_activations_as_hidden_layers(kind, names):
    message = f"'activation' parameter of {kind.__name__} must be one name or one for each of 2"
    with pytest.raises(ValueError, match=message):
        fit(kind, hidden_layer_sizes=(6, 5), activation=names)
    model = fit(kind, hidden_layer_sizes=(6, 5), activation=("relu", "tanh"), warm_start=True)
    before = model._network.parameters.copy()
    with pytest.raises(ValueError, match=message):
        model.set_params(activation=names).fit(X, TARGETS[kind])
    assert_array_equal(model._network.parameters, before)


def test_a_warm_start_takes_other_activations(kind):
    model = fit(kind, hidden_layer_sizes=(6, 5), activation=("relu", "tanh"), warm_start=True)
    before = model._network.parameters.copy()
    model.set_params(activation=("softsign", "tanh"), max_iter=1)
    fit_quietly(model, X, TARGETS[kind], None)
    assert model._network.activation == ("softsign", "tanh")
    assert np.abs(model._network.parameters - before).max() < 0.01  # one step of adam


@pytest.mark.parametrize("name", ["identity", "logistic", "tanh", "relu", "softsign", "exp"])
def test_outputs_of_squared_errors(name):
    several = np.column_stack([X[:, 0] ** 2, np.abs(X[:, 1])]) / 10
    model = fit(MLPRegressor, X, several, output_activation=name, batch_size=60)
    assert model.out_activation_ == name
    found = outputs_of(model, ("relu",), name)
    np.testing.assert_allclose(model.predict(X), found, rtol=1e-12)
    network = Network((4, 6, 2), "relu", name, random_state=0)
    network.train(X, several, optimizer=Adam(), n_epochs=8, alpha=1e-4)
    np.testing.assert_allclose(model._network.parameters, network.parameters, rtol=1e-9)


def test_what_scikit_learn_chooses_may_be_said():
    multilabel = (X[:, :3] > 0).astype(int)
    classes = np.digitize(X[:, 0], [-0.5, 0.5])
    counts = np.floor(np.exp(X[:, 0]))
    for kind, y, name, more in [
        (MLPClassifier, classes, "softmax", {}),
        (MLPClassifier, multilabel, "logistic", {}),
        (MLPClassifier, TARGETS[MLPClassifier], "logistic", {}),
        (MLPRegressor, counts, "exp", {"loss": "poisson"}),
        (MLPRegressor, counts, "identity", {}),
    ]:
        said = fit(kind, X, y, output_activation=name, **more)
        assert same_parameters(said, fit(kind, X, y, **more))
        assert said.out_activation_ == name
        # all others but those of squared errors contradict
        for other in FUNCTIONS.keys() - {name}:
            if kind is MLPRegressor and not more and other != "softmax":
                continue
            message = f"'output_activation' parameter of {kind.__name__} must be None or go with"
            with pytest.raises(ValueError, match=message):
                fit(kind, X, y, output_activation=other, **more)


def test_a_warm_start_takes_another_output_activation():
    y = np.abs(TARGETS[MLPRegressor])
    model = fit(MLPRegressor, X, y, warm_start=True)
    model.set_params(output_activation="exp", max_iter=1)
    fit_quietly(model, X, y, None)
    assert model.out_activation_ == model._network.output_activation == "exp"
    np.testing.assert_allclose(
        model.predict(X), outputs_of(model, ("relu",), "exp").ravel(), rtol=1e-12
    )


# ---- all of them ----


def test_they_are_pickled_and_cloned(kind):
    hidden = {"hidden_layer_sizes": (6, 5), "activation": ("softsign", "tanh")}
    output = {MLPRegressor: "softsign", MLPClassifier: "logistic"}[kind]
    more = {"output_activation": output, "target_loss": 0.01, "max_time": 100.0} | hidden
    model = fit(kind, validation_data=(X, TARGETS[kind]), **more)
    again = pickle.loads(pickle.dumps(model))
    assert again.get_params() == model.get_params()
    assert again.validation_loss_curve_ == model.validation_loss_curve_
    assert_array_equal(again.predict(X), model.predict(X))
    assert same_parameters(again, fit(kind, **again.get_params()))
    clone = pytest.importorskip("sklearn.base").clone
    assert same_parameters(fit(kind, **clone(model).get_params()), model)
