"""Models that become scikit-learn's and come from there: alike, and going on alike."""

import copy
import pickle
import sys
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import cbackprop
from cbackprop import MLPClassifier, MLPRegressor
from cbackprop.interop import scikit_learn

pytest.importorskip("sklearn")
import sklearn
from sklearn import neural_network
from sklearn.utils.validation import check_is_fitted

VERSION = tuple(map(int, sklearn.__version__.split(".")[:2]))
THEIRS = {MLPClassifier: neural_network.MLPClassifier, MLPRegressor: neural_network.MLPRegressor}

REGRESSION = ["regression", "outputs", "poisson"]
TASKS = [*REGRESSION, "strings", "integers", "one class", "labels"]
CONFIGURATIONS = {
    "adam": {"beta_1": 0.8, "epsilon": 1e-6, "learning_rate_init": 0.01},
    "early stopping": {"early_stopping": True, "validation_fraction": 0.3, "alpha": 0.1},
    "nesterov": {"solver": "sgd", "learning_rate": "invscaling", "power_t": 0.3},
    "adaptive": {
        "solver": "sgd",
        "learning_rate": "adaptive",
        "nesterovs_momentum": False,
        "tol": 1e3,
        "n_iter_no_change": 2,
    },
    "plain sgd": {"solver": "sgd", "momentum": 0, "shuffle": False},
    "lbfgs": {"solver": "lbfgs"},
}
CASES = [(task, configuration) for task in TASKS for configuration in CONFIGURATIONS]

# of an estimator's numbers; the weights are compared for themselves
NUMBERS = ("loss_", "loss_curve_", "best_loss_", "validation_scores_", "best_validation_score_")
EXACT = ("n_iter_", "t_", "n_layers_", "n_outputs_", "out_activation_", "n_features_in_")
# these only lbfgs reads, which sets them first
PACKING = {"_coef_indptr", "_intercept_indptr"}


def make_data(task, dtype="float64"):
    rng = np.random.default_rng(7)
    X = rng.normal(size=(40, 4)).astype(dtype)
    # float64 targets would have scikit-learn leave float32
    y = {
        "regression": (X[:, 0] ** 2 - X[:, 1]),
        "outputs": np.column_stack([X[:, 0] ** 2, X[:, 1] - 2, 3 * X[:, 2]]),
        "poisson": rng.poisson(np.exp(0.5 * X[:, 0])).astype(dtype),
        "strings": np.where(X[:, 0] > X[:, 1], "yes", "no"),
        "integers": np.digitize(X[:, 0], [-0.5, 0.5]) + 5,
        "one class": np.full(40, 3),
        "labels": (X[:, :3] > 0).astype(int),
    }[task]
    return X, y


def make_model(task, configuration="adam", **parameters):
    if task == "poisson":
        if VERSION < (1, 7):
            pytest.skip("scikit-learn has the Poisson loss from 1.7 on")
        parameters["loss"] = "poisson"
    kind = MLPRegressor if task in REGRESSION else MLPClassifier
    return kind(
        **{"hidden_layer_sizes": (6, 3), "batch_size": 16, "random_state": 0, "max_iter": 6}
        | CONFIGURATIONS[configuration]
        | parameters
    )


def twin_of(model):
    """scikit-learn's, of the same parameters, not fitted."""
    known = THEIRS[type(model)]().get_params()
    return THEIRS[type(model)](**{name: getattr(model, name) for name in known})


def quietly(model, method, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return getattr(model, method)(*args, **kwargs)


def convert(model):
    return model.to_sklearn() if type(model) in THEIRS else cbackprop.from_sklearn(model)


def outputs(model, X):
    return model.predict_proba(X) if hasattr(model, "predict_proba") else model.predict(X)


def assert_same_weights(model, other, tolerance):
    """Equal within tolerance times the largest entry."""
    for name in ("coefs_", "intercepts_"):
        for mine, its in zip(getattr(model, name), getattr(other, name), strict=True):
            atol = tolerance * np.abs(its).max()
            assert_allclose(mine, its, rtol=0, atol=atol, err_msg=name)


def assert_same(model, other, X, tolerance=0.0, of_outputs=1e-12):
    assert_same_weights(model, other, tolerance)
    for name in EXACT:
        assert getattr(model, name) == getattr(other, name), name
    for name in NUMBERS:
        assert hasattr(model, name) == hasattr(other, name), name
        mine, its = getattr(model, name, None), getattr(other, name, None)
        assert (mine is None) == (its is None), name
        if mine is not None:
            assert_allclose(mine, its, rtol=max(tolerance, 1e-15), err_msg=name)
    assert_allclose(outputs(model, X), outputs(other, X), rtol=of_outputs)
    if hasattr(model, "classes_"):
        assert_array_equal(model.classes_, other.classes_)
        assert_array_equal(model.predict(X), other.predict(X))
        assert model.predict(X).dtype == other.predict(X).dtype


def fitted(task, configuration, whose, dtype="float64", **parameters):
    if configuration == "early stopping" and task == "strings" and VERSION < (1, 9):
        pytest.skip("scikit-learn cannot score strings")
    model = make_model(task, configuration, **parameters)
    return quietly(model if whose == "ours" else twin_of(model), "fit", *make_data(task, dtype))


@pytest.mark.parametrize("whose", ["ours", "theirs"])
@pytest.mark.parametrize(("task", "configuration"), CASES)
def test_both_predict_alike_and_train_on_alike(task, configuration, whose):
    X, y = make_data(task)
    model = fitted(task, configuration, whose)
    converted = convert(model)
    check_is_fitted(converted if whose == "ours" else model)
    assert {type(model), type(converted)} in [{*pair} for pair in THEIRS.items()]
    assert_same(converted, model, X)
    if configuration not in ("lbfgs", "early stopping"):
        for method, arguments in [("partial_fit", (X, y)), ("partial_fit", (X[:20], y[:20]))] * 2:
            for one in (model, converted):
                quietly(one, method, *arguments)
            assert_same(converted, model, X, 1e-10, 1e-10)
    # their squared error of several outputs is another problem to lbfgs
    if (task, configuration) == ("outputs", "lbfgs"):
        return
    for _ in range(2):
        for one in (model, converted):
            quietly(one.set_params(warm_start=True, max_iter=4), "fit", X, y)
        assert_same(converted, model, X, 1e-8, 1e-8)


@pytest.mark.parametrize("whose", ["ours", "theirs"])
@pytest.mark.parametrize("configuration", CONFIGURATIONS)
@pytest.mark.parametrize("task", ["regression", "integers"])
def test_float32(task, configuration, whose):
    X, y = make_data(task, "float32")
    model = fitted(task, configuration, whose, "float32")
    converted = convert(model)
    # scikit-learn's lbfgs makes float64 of it
    expected = "float64" if (whose, configuration) == ("theirs", "lbfgs") else "float32"
    assert {array.dtype.name for array in converted.coefs_ + converted.intercepts_} == {expected}
    assert outputs(converted, X).dtype == expected
    assert_same(converted, model, X, of_outputs=1e-4)
    if configuration not in ("lbfgs", "early stopping"):
        for one in (model, converted):
            quietly(one, "partial_fit", X, y)
        assert_same_weights(converted, model, 1e-5)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_theirs_has_all_that_a_fitted_one_has(task, configuration):
    theirs = fitted(task, configuration, "theirs")
    converted = fitted(task, configuration, "ours").to_sklearn()
    assert set(vars(converted)) == set(vars(theirs)) - PACKING
    for name in ("_label_binarizer", "_optimizer"):
        mine, its = (vars(getattr(model, name, None) or object) for model in (converted, theirs))
        assert mine.keys() == its.keys(), name
    if "_optimizer" in vars(theirs):
        for name, its in vars(theirs._optimizer).items():
            mine = vars(converted._optimizer)[name]
            if isinstance(its, list) and theirs.momentum:
                for array, expected in zip(mine, its, strict=True):
                    assert_allclose(array, expected, atol=1e-9, err_msg=name)
            elif not isinstance(its, list):
                assert mine == pytest.approx(its), name


@pytest.mark.parametrize("task", TASKS)
def test_partial_fit_from_the_first_call_on(task):
    X, y = make_data(task)
    classes = {} if task in REGRESSION else {"classes": np.arange(3) if y.ndim == 2 else None}
    if classes and y.ndim == 1:
        classes["classes"] = np.unique(y)
    model = make_model(task).partial_fit(X, y, **classes)
    converted = model.to_sklearn()
    again = cbackprop.from_sklearn(converted)
    for _ in range(3):
        for one in (model, converted, again):
            one.partial_fit(X, y)
    assert_same(converted, model, X, 1e-10, 1e-10)
    assert_same(again, model, X)


def test_names_of_columns_go_along():
    pandas = pytest.importorskip("pandas")
    X, y = make_data("regression")
    theirs = quietly(
        twin_of(make_model("regression")), "fit", pandas.DataFrame(X, columns=[*"abcd"]), y
    )
    own = cbackprop.from_sklearn(theirs)
    assert (
        own.feature_names_in_.tolist() == own.to_sklearn().feature_names_in_.tolist() == [*"abcd"]
    )


@pytest.mark.parametrize("whose", ["ours", "theirs"])
@pytest.mark.parametrize("task", ["regression", "strings"])
def test_unfitted_ones_keep_their_parameters(task, whose):
    model = make_model(task, "adaptive", random_state=np.random.RandomState(3))
    model = model if whose == "ours" else twin_of(model)
    converted = convert(model)
    assert not hasattr(converted, "n_features_in_")
    given, found = model.get_params(), converted.get_params()
    del given["random_state"], found["random_state"]
    assert all(found[name] == value for name, value in given.items() if name in found)
    assert model.random_state is not converted.random_state
    X, y = make_data(task)
    for one in (model, converted):
        quietly(one, "fit", X, y)
    assert_same(converted, model, X, 1e-10, 1e-10)


def test_parameters_of_ours_alone_are_left_out():
    own = {"n_threads": 1, "dtype": "float32", "callback": lambda state: False}
    own |= {"target_loss": 1e-9, "max_time": 100.0}
    model = MLPRegressor(hidden_layer_sizes=(3,), max_iter=2, **own)
    X, y = make_data("regression")
    for one in (model, quietly(model, "fit", X, y)):
        theirs = one.to_sklearn()
        assert theirs.get_params().keys() == THEIRS[MLPRegressor]().get_params().keys()
    assert theirs.coefs_[0].dtype == "float32"


@pytest.mark.parametrize("whose", ["ours", "theirs"])
def test_nothing_is_shared(whose):
    X, y = make_data("regression")
    model = fitted("regression", "adam", whose, random_state=np.random.RandomState(3))
    before = copy.deepcopy(model)
    converted = convert(model)
    for _ in range(3):
        quietly(converted, "partial_fit", X, y)
    assert_same(model, before, X, of_outputs=0)
    for one in (model, before):
        quietly(one, "partial_fit", X, y)
    assert_same(model, before, X, of_outputs=0)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_pickles_after_a_conversion_keep_moments_for_partial_fit_only(method):
    X, y = make_data("regression")
    theirs = quietly(twin_of(make_model("regression", hidden_layer_sizes=(90,))), method, X, y)
    own = cbackprop.from_sklearn(theirs)
    size = len(pickle.dumps(own))
    again = pickle.loads(pickle.dumps(own))
    parameters = own._network.parameters.nbytes
    assert (size > 3 * parameters) == (method == "partial_fit")
    assert hasattr(again, "_optimizer") == (method == "partial_fit")
    # one without moments goes on with new ones on both sides
    other = again.to_sklearn()
    for one in (again, other):
        quietly(one, "partial_fit", X, y)
    assert_same(other, again, X, 1e-10, 1e-10)


def test_theirs_is_dumped_and_loaded_as_theirs():
    X, _ = make_data("strings")
    theirs = fitted("strings", "adam", "ours").to_sklearn()
    again = pickle.loads(pickle.dumps(theirs))
    assert type(again) is neural_network.MLPClassifier
    assert_same(again, theirs, X, of_outputs=0)


# ---- what cannot be converted ----


@pytest.mark.parametrize("base", [*THEIRS, *THEIRS.values()])
def test_subclasses_are_refused(base):
    class Special(base):
        pass

    with pytest.raises(TypeError, match="Special"):
        convert_any(Special())


def convert_any(model):
    return model.to_sklearn() if hasattr(model, "to_sklearn") else cbackprop.from_sklearn(model)


@pytest.mark.parametrize(
    "thing", [None, 3, MLPClassifier(), MLPClassifier, neural_network.MLPRegressor]
)
def test_foreign_objects_are_refused(thing):
    with pytest.raises(TypeError, match="model must be scikit-learn's own MLPClassifier or MLPReg"):
        cbackprop.from_sklearn(thing)


def test_weights_that_are_not_finite_are_refused():
    theirs = fitted("regression", "adam", "theirs")
    theirs.coefs_[0][1, 2] = np.nan
    with pytest.raises(ValueError, match="parameters"):
        cbackprop.from_sklearn(theirs)


def test_what_scikit_learn_does_not_know_is_refused():
    model = fitted("regression", "adam", "ours").set_params(activation="softsign")
    with pytest.raises(ValueError, match="'activation' parameter of MLPRegressor"):
        model.to_sklearn()


REFUSED = {
    "a trainer": ({"solver": cbackprop.Adam()}, "'solver' parameter of MLPRegressor"),
    "its name": ({"solver": "rprop"}, "'solver' parameter of MLPRegressor"),
    "softsign": ({"activation": "softsign"}, "'activation' parameter of MLPRegressor"),
    "several": ({"activation": ("relu", "tanh")}, "'activation' parameter of MLPRegressor"),
    "outputs": ({"output_activation": "tanh"}, "scikit-learn has no output_activation: .* 'tanh'"),
}


@pytest.mark.parametrize("fit", [False, True])
@pytest.mark.parametrize("what", REFUSED)
def test_what_only_ours_can_do_is_refused(what, fit):
    parameters, message = REFUSED[what]
    model = make_model("regression", "plain sgd", **parameters | {"batch_size": "auto"})
    if fit:
        quietly(model, "fit", *make_data("regression"))
    with pytest.raises(ValueError, match=message):
        model.to_sklearn()


def test_moments_of_other_trainers_are_left_out():
    X, y = make_data("regression")
    model = make_model("regression", solver=cbackprop.AdamW(0.01))
    quietly(model, "fit", X, y).set_params(solver="adam")
    theirs = model.to_sklearn()
    assert not hasattr(theirs, "_optimizer")
    for one in (model, theirs):
        quietly(one, "partial_fit", X, y)
    assert_same(theirs, model, X, 1e-10, 1e-10)


class OldMLPRegressor:
    """scikit-learn's before 1.7."""

    def get_params(self):
        return {"alpha": 0.1}

    def set_params(self, alpha):
        self.alpha = alpha

    def _validate_params(self):
        pass


def test_a_loss_that_an_old_version_lacks_is_refused(monkeypatch):
    monkeypatch.setattr(scikit_learn, "sklearn_classes", lambda: {MLPRegressor: OldMLPRegressor})
    assert MLPRegressor(alpha=0.3).to_sklearn().alpha == 0.3
    with pytest.raises(ValueError, match="loss='poisson' needs scikit-learn 1"):
        MLPRegressor("poisson").to_sklearn()


@pytest.mark.parametrize(
    "call",
    [
        lambda: cbackprop.from_sklearn(None),
        lambda: MLPRegressor().to_sklearn(),
        cbackprop.patch_sklearn,
        cbackprop.unpatch_sklearn,
    ],
)
def test_without_scikit_learn_it_is_said(call, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.neural_network", None)
    with pytest.raises(ImportError, match="this needs scikit-learn: pip install scikit-learn"):
        call()


@pytest.mark.parametrize("is_fitted", [False, True])
def test_what_is_asked_of_metadata_routing_is_kept(is_fitted):
    X, y = make_data("regression")
    with sklearn.config_context(enable_metadata_routing=True):
        own = MLPRegressor(max_iter=2).set_fit_request(sample_weight=True, validation_data=True)
        if is_fitted:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                own.fit(X, y)
        theirs = own.to_sklearn()
        again = cbackprop.from_sklearn(theirs)
        for model in (theirs, again):
            requests = model.get_metadata_routing()
            # the fit of scikit-learn 1.6 has none
            expected = True if VERSION >= (1, 7) else None
            assert requests.fit.requests.get("sample_weight") is expected
            assert not requests.fit.requests.get("validation_data")
            # scikit-learn 1.6 knows the owner's name only
            assert model._metadata_request.owner in (model, "MLPRegressor")


def test_an_activation_that_was_set_later_is_not_the_fitted_models():
    X, y = make_data("regression")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        own = MLPRegressor(hidden_layer_sizes=(6,), activation="logistic", max_iter=3).fit(X, y)
    theirs = own.set_params(activation="tanh").to_sklearn()
    assert theirs.activation == "logistic"
    assert_allclose(theirs.predict(X), own.predict(X), rtol=1e-12)
