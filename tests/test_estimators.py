"""MLPRegressor and MLPClassifier: scikit-learn's numbers and interface."""

import _thread
import copy
import doctest
import inspect
import itertools
import pickle
import threading
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import cbackprop
from cbackprop.estimators import (
    ConvergenceWarning,
    MLPClassifier,
    MLPRegressor,
    _mlp,
)

N_SAMPLES = 40


def make_data(task):
    """X, y and constructor arguments of one kind of problem."""
    rng = np.random.default_rng(7)
    X = rng.normal(size=(N_SAMPLES, 4))
    if task == "regression":
        return X, X[:, 0] ** 2 - X[:, 1], {}
    if task == "three outputs":
        return X, np.column_stack([X[:, 0] ** 2, X[:, 1] - 2, 3 * X[:, 2]]), {}
    if task == "poisson":
        return X, rng.poisson(np.exp(0.5 * X[:, 0])).astype(float), {"loss": "poisson"}
    if task == "binary":
        return X, np.where(X[:, 0] > X[:, 1], "yes", "no"), {}
    return X, np.digitize(X[:, 0], [-0.5, 0.5]) + 5, {}


REGRESSION = ["regression", "three outputs", "poisson"]
TASKS = [*REGRESSION, "binary", "three classes"]
BOTH = [MLPRegressor, MLPClassifier]


def make_model(task, **parameters):
    _, _, own = make_data(task)
    kind = MLPRegressor if task in REGRESSION else MLPClassifier
    return kind(**{"hidden_layer_sizes": (6,), "random_state": 0} | own | parameters)


def fitted(task, sample_weight=None, **parameters):
    """A model after a few epochs, its ConvergenceWarning taken away."""
    X, y, _ = make_data(task)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return make_model(task, **{"max_iter": 10} | parameters).fit(X, y, sample_weight)


X_GOOD, Y_GOOD, _ = make_data("regression")
LABELS = make_data("binary")[1]


def sklearn_twin(model):
    """scikit-learn's estimator with the parameters of ours."""
    # the numbers are those of this version
    pytest.importorskip("sklearn", minversion="1.9")
    from sklearn import neural_network

    theirs = getattr(neural_network, type(model).__name__)
    known = inspect.signature(theirs).parameters
    return theirs(**{name: value for name, value in model.get_params().items() if name in known})


def fit_both(model, X, y, sample_weight=None):
    twin = sklearn_twin(model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        twin.fit(X, y, sample_weight=sample_weight)
        model.fit(X, y, sample_weight)
    return model, twin


def outputs(model, X):
    return model.predict_proba(X) if hasattr(model, "predict_proba") else model.predict(X)


def assert_close(actual, expected, tolerance, what):
    """Equal within tolerance times the largest entry."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape, what
    assert_allclose(actual, expected, rtol=0, atol=tolerance * np.abs(expected).max(), err_msg=what)


def assert_same_fit(model, twin, X, tolerance, case=""):
    assert (model.n_iter_, model.t_) == (twin.n_iter_, twin.t_), case
    for name in ("n_layers_", "n_outputs_", "out_activation_", "n_features_in_"):
        assert getattr(model, name) == getattr(twin, name), (name, case)
    for name in ("coefs_", "intercepts_"):
        for ours, theirs in zip(getattr(model, name), getattr(twin, name), strict=True):
            assert ours.dtype == theirs.dtype, case
            assert_close(ours, theirs, tolerance, f"{name} {case}")
    assert_close(model.loss_curve_, twin.loss_curve_, tolerance, f"loss_curve_ {case}")
    assert_close(model.loss_, twin.loss_, tolerance, f"loss_ {case}")
    assert_close(model.best_loss_, twin.best_loss_, tolerance, f"best_loss_ {case}")
    assert_close(outputs(model, X), outputs(twin, X), tolerance, f"outputs {case}")
    if hasattr(model, "classes_"):
        assert_array_equal(model.classes_, twin.classes_)
        assert_array_equal(model.predict(X), twin.predict(X))


# Same seed, same numbers

SOLVERS = {
    "adam": {"solver": "adam", "beta_1": 0.8, "epsilon": 1e-6},
    "nesterov": {"solver": "sgd", "momentum": 0.9},
    "momentum": {"solver": "sgd", "momentum": 0.5, "nesterovs_momentum": False},
    "plain sgd": {"solver": "sgd", "momentum": 0},
}


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("task", TASKS)
def test_ten_epochs_equal_scikit_learns(task, solver, activation):
    X, y, _ = make_data(task)
    weights = np.random.default_rng(1).uniform(0, 3, N_SAMPLES)
    weights[3] = 0
    for sample_weight, hidden, (alpha, batch_size, shuffle) in itertools.product(
        [None, weights], [(6,), (5, 3), ()], [(0, "auto", True), (0.3, 7, True), (1e-4, 16, False)]
    ):
        model = make_model(
            task, hidden_layer_sizes=hidden, activation=activation, alpha=alpha, max_iter=10,
            batch_size=batch_size, shuffle=shuffle, learning_rate_init=0.02, **SOLVERS[solver]
        )  # fmt: skip
        assert_same_fit(*fit_both(model, X, y, sample_weight), X, 1e-8, repr(model))


@pytest.mark.parametrize("activation", ["logistic", "tanh", "relu"])
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("task", TASKS)
def test_float32_equals_scikit_learns_within_rounding(task, solver, activation):
    X, y, _ = make_data(task)
    X = X.astype(np.float32)
    if task in REGRESSION:
        y = y.astype(np.float32)  # from float64 targets scikit-learn goes on in float64
    model = make_model(
        task, activation=activation, max_iter=10, batch_size=8, learning_rate_init=0.02,
        **SOLVERS[solver] | {"epsilon": 1e-3}
    )  # fmt: skip
    model, twin = fit_both(model, X, y)
    assert_same_fit(model, twin, X, 1e-5, repr(model))
    assert outputs(model, X.astype(np.float64)).dtype == np.float32


@pytest.mark.parametrize("n_iter_no_change", [1, 3, np.inf])
@pytest.mark.parametrize("max_iter", [4, 5, 6, 40])
@pytest.mark.parametrize("tol", [0.0, 0.02, 1e9])
@pytest.mark.parametrize("task", ["three outputs", "binary"])
def test_stops_and_warns_as_scikit_learn(task, tol, max_iter, n_iter_no_change):
    X, y, _ = make_data(task)
    model = make_model(
        task, tol=tol, max_iter=max_iter, n_iter_no_change=n_iter_no_change, alpha=0.1,
        learning_rate_init=0.1,
    )  # fmt: skip
    twin = sklearn_twin(model)
    messages = []
    for estimator in (twin, model):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            estimator.fit(X, y)
        messages.append([(w.category.__name__, str(w.message)) for w in caught])
    assert_same_fit(model, twin, X, 1e-8)
    assert messages[0] == messages[1]


def test_automatic_batches_equal_scikit_learns():
    X = np.random.default_rng(3).normal(size=(450, 3))
    assert_same_fit(*fit_both(make_model("regression", max_iter=5), X, X[:, 0] ** 2), X, 1e-8)


def test_the_stopping_rules_cases_are_all_met():
    """tol=1e9 lets n_iter_no_change + 2 epochs pass, and stopping at max_iter is no failure."""
    X, y, _ = make_data("binary")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stopped = make_model("binary", tol=1e9, max_iter=5, n_iter_no_change=3).fit(X, y)
    assert stopped.n_iter_ == 5
    with pytest.warns(ConvergenceWarning, match=r"Maximum iterations \(4\) reached"):
        make_model("binary", tol=1e9, max_iter=4, n_iter_no_change=3).fit(X, y)


@pytest.mark.parametrize("max_iter", [3, 20])
def test_verbose_prints_scikit_learns_lines(capsys, max_iter):
    X, y, _ = make_data("regression")
    model = make_model("regression", verbose=True, max_iter=max_iter, tol=0.5, n_iter_no_change=4)
    twin = sklearn_twin(model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        twin.fit(X, y)
        expected = capsys.readouterr().out
        model.fit(X, y)
    assert capsys.readouterr().out == expected
    assert expected.startswith("Iteration 1, loss = ")
    assert ("Stopping." in expected) == (max_iter == 20)


def test_one_random_state_goes_on_from_fit_to_fit():
    X, y, _ = make_data("regression")
    ours = make_model("regression", max_iter=5, random_state=np.random.RandomState(3))
    twin = sklearn_twin(ours).set_params(random_state=np.random.RandomState(3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(2):
            assert_same_fit(ours.fit(X, y), twin.fit(X, y), X, 1e-8)


def test_no_random_state_is_numpys_global_one():
    np.random.seed(5)  # noqa: NPY002 - what is tested
    first = fitted("regression", random_state=None)
    np.random.seed(5)  # noqa: NPY002
    second = fitted("regression", random_state=None)
    third = fitted("regression", random_state=None)
    assert_array_equal(first.coefs_[0], second.coefs_[0])
    assert (first.coefs_[0] != third.coefs_[0]).all()


def test_scores_equal_scikit_learns():
    weights = np.random.default_rng(2).uniform(0, 2, N_SAMPLES)
    for task in TASKS:
        X, y, _ = make_data(task)
        model, twin = fit_both(make_model(task, max_iter=30, learning_rate_init=0.02), X, y)
        for sample_weight in (None, weights):
            assert model.score(X, y, sample_weight) == pytest.approx(
                twin.score(X, y, sample_weight), rel=1e-8
            )


def test_scores_of_constant_targets_and_of_one_sample():
    constant = np.ones(N_SAMPLES)
    model, twin = fit_both(make_model("regression", max_iter=3), X_GOOD, constant)
    assert model.score(X_GOOD, constant) == twin.score(X_GOOD, constant) == 0
    for estimator in (model, twin):
        estimator.coefs_[-1][...] = 0
        estimator.intercepts_[-1][...] = 1
    assert model.score(X_GOOD, constant) == twin.score(X_GOOD, constant) == 1
    with pytest.warns(UserWarning, match="less than two samples"):
        assert np.isnan(model.score(X_GOOD[:1], constant[:1]))


# Labels and targets


@pytest.mark.parametrize(
    "labels",
    [
        ["b", "a", "c"],
        np.array(["x", "a"], dtype=object),
        np.array([10, 5], dtype=np.uint8),
        np.array([7, 300], dtype=">i2"),
        [1.0, 2.0, 0.0],
        [True, False],
        ["only"],
    ],
    ids=repr,
)
def test_labels_come_back_as_they_went_in(labels):
    labels = np.asarray(labels)
    X = np.eye(len(labels)).repeat(10, axis=0)
    y = labels.repeat(10)
    model = MLPClassifier((8,), learning_rate_init=0.05, random_state=0, max_iter=100)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X, y)
    assert_array_equal(model.classes_, np.unique(labels))
    assert_array_equal(model.predict(X), y)
    # strings that are objects become an array of strings
    assert model.predict(X).dtype == (np.dtype("U1") if labels.dtype == object else labels.dtype)
    assert model.score(X, list(y)) == 1
    assert_allclose(model.predict_proba(X).sum(axis=1), 1)


def test_one_class_is_predicted_as_by_scikit_learn():
    X = make_data("binary")[0]
    for model in (MLPClassifier((4,), random_state=1), MLPClassifier((), "tanh", random_state=1)):
        model, twin = fit_both(model.set_params(max_iter=3), X, [2] * N_SAMPLES)
        assert_same_fit(model, twin, X, 1e-8)
        model.intercepts_[-1][...] = 100  # as if sure of a second class
        assert set(model.predict(X)) == {2}


def test_one_sample_is_fitted_as_by_scikit_learn():
    for model in (MLPRegressor(random_state=1), MLPClassifier(random_state=1)):
        assert_same_fit(*fit_both(model.set_params(max_iter=3), X_GOOD[:1], [2]), X_GOOD, 1e-8)


@pytest.mark.parametrize("task", ["regression", "binary"])
def test_a_column_of_targets_is_a_vector_and_warned_about(task):
    X, y, _ = make_data(task)
    with pytest.warns(UserWarning, match="A column-vector y was passed"):
        model = make_model(task, tol=1e9).fit(X, y[:, None])
    assert model.predict(X).shape == (N_SAMPLES,)
    assert model.score(X, y[:, None]) == model.score(X, y)


# Training that does not reach its end


def test_ctrl_c_leaves_the_last_finished_epoch(monkeypatch):
    train = _mlp.train_with_order

    def interrupted_after_three_epochs(*args, callback=None, **kwargs):
        def callback_and_interrupt(state):
            if callback is not None:
                callback(state)
            if state.epoch == 3:
                raise KeyboardInterrupt

        return train(*args, callback=callback_and_interrupt, **kwargs)

    three = fitted("binary", max_iter=3)
    monkeypatch.setattr(_mlp, "train_with_order", interrupted_after_three_epochs)
    with pytest.warns(UserWarning, match="Training interrupted by user."):
        model = make_model("binary", max_iter=50).fit(X_GOOD, LABELS)
    assert model.loss_curve_ == three.loss_curve_
    assert model.n_iter_ == 3
    assert_array_equal(model.predict_proba(X_GOOD), three.predict_proba(X_GOOD))


def test_a_real_ctrl_c_leaves_the_last_finished_epoch(monkeypatch):
    train = _mlp.train_with_order

    def interrupted_in_a_while(*args, **kwargs):
        threading.Timer(0.1, _thread.interrupt_main).start()
        return train(*args, **kwargs)

    endless = {"max_iter": 10**9, "n_iter_no_change": np.inf}
    with monkeypatch.context() as patched:
        patched.setattr(_mlp, "train_with_order", interrupted_in_a_while)
        with pytest.warns(UserWarning, match="Training interrupted by user."):
            model = make_model("regression", **endless).fit(X_GOOD, Y_GOOD)
    again = fitted("regression", **endless | {"max_iter": model.n_iter_})
    assert model.loss_curve_ == again.loss_curve_
    assert_array_equal(model.coefs_[0], again.coefs_[0])


def test_ctrl_c_in_the_first_epoch_leaves_the_initial_weights(monkeypatch):
    def interrupted_at_once(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(_mlp, "train_with_order", interrupted_at_once)
    with pytest.warns(UserWarning, match="Training interrupted by user."):
        model = make_model("regression").fit(X_GOOD, Y_GOOD)
    assert (model.n_iter_, model.loss_curve_, model.loss_) == (0, [], np.inf)
    assert np.isfinite(model.predict(X_GOOD)).all()


def test_ctrl_c_in_lbfgs_is_passed_on_and_leaves_the_last_iteration():
    def interrupt_after_three(state):
        if state.epoch == 3:
            raise KeyboardInterrupt

    model = make_model("regression", solver="lbfgs", callback=interrupt_after_three)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X_GOOD, Y_GOOD)
    with pytest.warns(ConvergenceWarning, match="max_iter=3"):
        three = make_model("regression", solver="lbfgs", max_iter=3).fit(X_GOOD, Y_GOOD)
    assert (model.n_iter_, model.loss_) == (3, three.loss_)
    assert_array_equal(model.coefs_[0], three.coefs_[0])


def test_divergence_names_the_epoch_and_keeps_the_last_finite_one():
    parameters = {"hidden_layer_sizes": (), "solver": "sgd", "learning_rate_init": 10.0}
    model = make_model("regression", **parameters, max_iter=5000, n_iter_no_change=np.inf)
    with pytest.raises(ValueError, match=r"epoch \d+"):
        model.fit(X_GOOD, Y_GOOD)
    assert 1 < model.n_iter_ == len(model.loss_curve_)
    assert np.isfinite(model.loss_curve_).all()
    finite = fitted("regression", **parameters, max_iter=model.n_iter_, n_iter_no_change=np.inf)
    assert_array_equal(model.coefs_[0], finite.coefs_[0])


# Interface


def test_parameters_stand_in_scikit_learns_order_with_its_defaults():
    for kind in BOTH:
        theirs = inspect.signature(type(sklearn_twin(kind()))).parameters
        ours = inspect.signature(kind).parameters
        assert list(ours)[: len(theirs)] == list(theirs)
        for name in theirs:
            parameter = ours[name]
            assert (parameter.kind, parameter.default) == (theirs[name].kind, theirs[name].default)
    assert MLPRegressor("poisson", 5, "tanh").loss == "poisson"
    assert MLPClassifier(5, "tanh").activation == "tanh"


@pytest.mark.parametrize("kind", BOTH)
def test_get_and_set_params(kind):
    sizes = [3, 4]
    model = kind(hidden_layer_sizes=sizes, alpha=0.5)
    assert model.get_params()["hidden_layer_sizes"] is sizes
    assert kind(**model.get_params(deep=False)).get_params() == model.get_params()
    assert model.set_params(alpha=1, tol=0) is model
    assert (model.alpha, model.tol) == (1, 0)
    with pytest.raises(ValueError, match=r"Invalid parameter 'layers' for estimator.*'activation'"):
        model.set_params(layers=3)
    with pytest.raises(TypeError, match="n_layers"):
        kind(n_layers=3)


def test_repr_shows_what_was_changed():
    assert repr(MLPClassifier()) == "MLPClassifier()"
    assert repr(MLPRegressor(hidden_layer_sizes=(100,), tol=1e-4)) == "MLPRegressor()"
    model = MLPRegressor("poisson", np.array([2, 3]), n_iter_no_change=np.inf)
    assert repr(model) == (
        "MLPRegressor(hidden_layer_sizes=array([2, 3]), loss='poisson',\n"
        "             n_iter_no_change=inf)"
    )


@pytest.mark.parametrize("again", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
@pytest.mark.parametrize("task", TASKS)
def test_copies_and_pickles_predict_alike_and_share_nothing(task, again):
    model = fitted(task)
    twin = again(model)
    expected = outputs(model, X_GOOD)
    assert_array_equal(outputs(twin, X_GOOD), expected)
    assert twin.get_params() == model.get_params()
    assert twin.loss_curve_ == model.loss_curve_
    twin.coefs_[0][...] = 0
    assert_array_equal(outputs(model, X_GOOD), expected)
    assert (outputs(twin, X_GOOD) == outputs(twin, X_GOOD)[0]).all()  # its views are alive


def test_weights_can_be_written():
    model = fitted("regression", hidden_layer_sizes=())
    model.coefs_[0] = np.array([[1.0], [2.0], [0.0], [0.0]])
    model.intercepts_ = [[5.0]]
    assert_allclose(model.predict(X_GOOD), X_GOOD[:, 0] + 2 * X_GOOD[:, 1] + 5)
    with pytest.raises(ValueError, match=r"coefs_ must have .* \[\(4, 1\)\]; got \[\(4,\)\]"):
        model.coefs_ = [np.ones(4)]


def test_a_second_fit_starts_anew():
    model = fitted("regression")
    first = model.coefs_[0].copy()
    model.set_params(tol=1e9, max_iter=20).fit(X_GOOD[:, :2], Y_GOOD)
    assert (model.n_features_in_, model.coefs_[0].shape) == (2, (2, 6))
    assert_array_equal(fitted("regression").coefs_[0], first)


@pytest.mark.parametrize("kind", BOTH)
def test_the_docstrings_examples_run(kind):
    runner = doctest.DocTestRunner()
    for example in doctest.DocTestFinder(recurse=False).find(kind):
        assert runner.run(example).failed == 0
    assert runner.tries > 3


def test_the_packages_names_are_the_estimators():
    assert cbackprop.MLPClassifier is MLPClassifier
    assert cbackprop.MLPRegressor is MLPRegressor


def test_saturated_probabilities_report_scikit_learns_clipped_loss():
    X, y, _ = make_data("three classes")
    for task_y in (y, y > 5):
        model = MLPClassifier((8,), random_state=0, max_iter=3)
        assert_same_fit(*fit_both(model, 1000 * X, task_y), 1000 * X, 1e-8)
