"""The estimators among scikit-learn's tools, and the same numbers where it is missing."""

import os
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from processes import run_python

from cbackprop.estimators import (
    ConvergenceWarning,
    DataConversionWarning,
    InvalidParameterError,
    MLPClassifier,
    MLPRegressor,
    NotFittedError,
)

pytest.importorskip("sklearn", minversion="1.6")
from sklearn import (
    base,
    config_context,
    exceptions,
    inspection,
    model_selection,
    neural_network,
    pipeline,
    preprocessing,
)
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import AdaBoostRegressor, BaggingClassifier
from sklearn.multioutput import MultiOutputClassifier

RNG = np.random.default_rng(0)
X = RNG.normal(size=(80, 4))
LABELS = np.where(X[:, 0] > X[:, 1] ** 2 - 1, "yes", "no")
NUMBERS = X[:, 0] ** 2 - X[:, 1]
WEIGHTS = RNG.uniform(0.5, 2, len(X))
SMALL = {"hidden_layer_sizes": (6,), "learning_rate_init": 0.02, "random_state": 0, "tol": 1e-2}


@pytest.fixture
def classifier():
    return MLPClassifier(**SMALL)


@pytest.fixture
def regressor():
    return MLPRegressor(**SMALL)


# ---- what they are ----


def test_they_are_scikit_learns_estimators(classifier, regressor):
    for estimator in (classifier, regressor):
        assert isinstance(estimator, base.BaseEstimator)
    assert isinstance(classifier, base.ClassifierMixin) and base.is_classifier(classifier)
    assert isinstance(regressor, base.RegressorMixin) and base.is_regressor(regressor)
    assert ConvergenceWarning is exceptions.ConvergenceWarning
    assert DataConversionWarning is exceptions.DataConversionWarning
    assert NotFittedError is exceptions.NotFittedError
    assert issubclass(InvalidParameterError, ValueError)


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_tags_are_those_of_its_own_class(kind):
    from sklearn.utils import get_tags

    assert get_tags(kind()) == get_tags(getattr(neural_network, kind.__name__)())


def test_clones_are_unfitted_and_have_equal_parameters(classifier):
    classifier.fit(X, LABELS)
    again = base.clone(classifier)
    assert again.get_params() == classifier.get_params()
    assert not hasattr(again, "classes_")
    assert_array_equal(again.fit(X, LABELS).predict(X), classifier.predict(X))


def test_metadata_are_routed(classifier):
    with config_context(enable_metadata_routing=True):
        asking = classifier.set_fit_request(sample_weight=True)
        scaler = preprocessing.StandardScaler().set_fit_request(sample_weight=False)
        whole = pipeline.make_pipeline(scaler, asking)
        whole.fit(X, LABELS, sample_weight=WEIGHTS)
    scaled = preprocessing.StandardScaler().fit_transform(X)
    alone = MLPClassifier(**SMALL).fit(scaled, LABELS, WEIGHTS)
    assert_array_equal(whole[-1].coefs_[0], alone.coefs_[0])
    for request in ("set_partial_fit_request", "set_score_request"):
        assert hasattr(classifier, request)


def test_the_repr_in_html(classifier):
    assert "MLPClassifier" in classifier._repr_html_()
    assert "MLPClassifier" in classifier.fit(X, LABELS)._repr_html_()


# ---- what uses them ----


def test_pipeline_and_grid_search(regressor):
    whole = pipeline.make_pipeline(preprocessing.StandardScaler(), regressor)
    grid = {"mlpregressor__alpha": [1e-4, 100], "mlpregressor__activation": ["tanh", "relu"]}
    search = model_selection.GridSearchCV(whole, grid, cv=3).fit(X, NUMBERS)
    assert search.best_params_["mlpregressor__alpha"] == 1e-4
    assert search.best_estimator_[-1].n_features_in_ == 4
    assert search.score(X, NUMBERS) > 0.5


def test_cross_val_score(classifier):
    scores = model_selection.cross_val_score(classifier, X, LABELS, cv=4)
    theirs = neural_network.MLPClassifier(**SMALL)
    assert_array_equal(scores, model_selection.cross_val_score(theirs, X, LABELS, cv=4))


def test_learning_curve(classifier):
    sizes, train, _ = model_selection.learning_curve(
        classifier, X, LABELS, cv=3, train_sizes=[0.3, 1.0], exploit_incremental_learning=True
    )
    assert train.shape == (len(sizes), 3)
    assert np.isfinite(train).all()


@pytest.mark.parametrize("ensemble", [True, False])
def test_calibrated_classifier(classifier, ensemble):
    model = CalibratedClassifierCV(classifier, cv=3, ensemble=ensemble).fit(X, LABELS)
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1)
    assert model.score(X, LABELS) > 0.7


def test_bagging_classifier(classifier):
    model = BaggingClassifier(classifier, n_estimators=4, n_jobs=2, random_state=0).fit(X, LABELS)
    assert model.score(X, LABELS) > 0.7


def test_ada_boost_regressor(regressor):
    model = AdaBoostRegressor(regressor, n_estimators=4, random_state=0).fit(X, NUMBERS)
    assert model.score(X, NUMBERS) > 0.5


def test_multi_output_classifier(classifier):
    several = np.column_stack([LABELS, np.where(X[:, 2] > 0, "a", "b")])
    model = MultiOutputClassifier(classifier).fit(X, several)
    assert model.predict(X).shape == several.shape
    again = MultiOutputClassifier(classifier)
    again.partial_fit(X, several, classes=[np.unique(column) for column in several.T])
    assert again.predict(X).shape == several.shape


def test_permutation_importance(regressor):
    model = regressor.fit(X, NUMBERS)
    found = inspection.permutation_importance(model, X, NUMBERS, n_repeats=2, random_state=0)
    assert found.importances_mean[1] > found.importances_mean[3]


def test_partial_dependence_display(regressor):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    display = inspection.PartialDependenceDisplay.from_estimator(
        regressor.fit(X, NUMBERS), X, [0, (0, 1)], grid_resolution=5
    )
    assert display.pd_results[0]["average"].shape == (1, 5)
    matplotlib.pyplot.close("all")


def test_joblib(classifier, tmp_path):
    joblib = pytest.importorskip("joblib")
    classifier.fit(X, LABELS)
    joblib.dump(classifier, tmp_path / "model")
    assert_array_equal(
        joblib.load(tmp_path / "model").predict_proba(X), classifier.predict_proba(X)
    )
    ways = joblib.Parallel(n_jobs=2)(joblib.delayed(classifier.predict)(X) for _ in range(2))
    assert_array_equal(ways[0], ways[1])


def test_skops(classifier):
    skops = pytest.importorskip("skops.io")
    classifier.fit(X, LABELS)
    data = skops.dumps(classifier)
    again = skops.loads(data, trusted=skops.get_untrusted_types(data=data))
    assert_array_equal(again.predict_proba(X), classifier.predict_proba(X))
    data = skops.dumps(classifier.partial_fit(X, LABELS))
    again = skops.loads(data, trusted=skops.get_untrusted_types(data=data))
    for model in (again, classifier):
        model.partial_fit(X, LABELS)
    assert_array_equal(again.predict_proba(X), classifier.predict_proba(X))


# ---- names of columns ----


@pytest.mark.parametrize("package", ["pandas", "polars"])
def test_names_of_columns_are_kept_and_asked_for(regressor, package):
    frames = pytest.importorskip(package)
    named = frames.DataFrame({f"c{k}": column for k, column in enumerate(X.T)})
    if not hasattr(preprocessing.StandardScaler().fit(named), "feature_names_in_"):
        pytest.skip(f"this scikit-learn finds no names in a frame of this {package}")
    model = regressor.fit(named, frames.Series(NUMBERS))
    assert model.feature_names_in_.tolist() == ["c0", "c1", "c2", "c3"]
    expected = MLPRegressor(**SMALL).fit(X, NUMBERS).predict(X)
    assert_array_equal(model.predict(named), expected)
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        assert_array_equal(model.predict(X), expected)
    with pytest.raises(ValueError, match=r"in the same order"):
        model.predict(named[["c1", "c0", "c2", "c3"]])
    model.fit(X, NUMBERS)
    assert not hasattr(model, "feature_names_in_")
    with pytest.warns(UserWarning, match="fitted without feature names"):
        model.predict(named)


# ---- without scikit-learn ----

ALONE = """
import pickle, sys, warnings
{missing}
from cbackprop.estimators import MLPClassifier, MLPRegressor, _base
assert _base.BESIDE_SKLEARN is {beside}
warnings.simplefilter("ignore")
X, labels, numbers, weights = pickle.load(sys.stdin.buffer)
found = []
for solver in ("sgd", "adam"):
    for early_stopping in (False, True):
        for kind, y in ((MLPClassifier, labels), (MLPRegressor, numbers)):
            model = kind(hidden_layer_sizes=(6,), random_state=0, max_iter=20, solver=solver,
                         early_stopping=early_stopping)
            model.fit(X, y, weights)
            found += [*model.coefs_, model.predict(X), model.score(X, y), repr(model),
                      model.score(X, y, weights), model.get_params(), model.n_iter_, model]
pickle.dump(found, open("found", "wb"))
"""
MISSING = {
    "not installed": "sys.modules['sklearn'] = None",
    "too old": "import types; sys.modules['sklearn'] = types.ModuleType('sklearn')\n"
    "sys.modules['sklearn'].__version__ = '1.5.2'",
}


def found_by(folder, missing, beside):
    data = pickle.dumps([X, LABELS, NUMBERS, WEIGHTS])
    code = ALONE.format(missing=missing, beside=beside)
    subprocess.run([sys.executable, "-c", code], cwd=folder, input=data, check=True)
    return pickle.loads((folder / "found").read_bytes())


@pytest.fixture(scope="module")
def beside(tmp_path_factory):
    return found_by(tmp_path_factory.mktemp("beside"), "", True)


@pytest.mark.parametrize("missing", MISSING)
def test_numbers_are_the_same_without_scikit_learn(missing, beside, tmp_path):
    alone = found_by(tmp_path, MISSING[missing], False)
    for one, other in zip(alone, beside, strict=True):
        if isinstance(one, (MLPClassifier, MLPRegressor)):  # a pickle fits both
            assert_array_equal(one.predict(X), other.predict(X))
        else:
            assert_array_equal(one, other)


FRAMES = """
import sys, warnings
{missing}
import numpy as np
import pandas as pd
from cbackprop import MLPClassifier, MLPRegressor
warnings.simplefilter("ignore")
rng = np.random.default_rng(0)
X = rng.normal(size=(20, 3))
for frame in (pd.DataFrame(X), pd.DataFrame(X).astype("float32"),
              pd.DataFrame(X).astype({{0: "float32"}}), pd.DataFrame(X * 9).astype("int32"),
              pd.DataFrame(X).astype("Float32"), pd.DataFrame(X).astype({{0: "Float64"}})):
    model = MLPRegressor(hidden_layer_sizes=(2,), max_iter=3, random_state=0).fit(frame, X[:, 0])
    print([(a.dtype, a.sum()) for a in model.coefs_], model.predict(frame)[:2])
for kind in ("Int64", "boolean", "int8"):
    y = pd.Series((X[:, 0] > 0).astype(int)).astype(kind)
    model = MLPClassifier(hidden_layer_sizes=(2,), max_iter=3, random_state=0).fit(X, y)
    print(model.classes_, model.classes_.dtype, model.predict(X)[:4], model.loss_)
    try:
        model.fit(X, y.astype("Int64").where(y > 0))
    except ValueError:
        print("refused")
try:
    model.fit(pd.DataFrame(X).astype("Float64").where(X > 0), y)
except ValueError:
    print("refused")
"""


def test_frames_are_the_same_without_scikit_learn(tmp_path):
    pytest.importorskip("pandas")
    alone, beside = (
        run_python("-c", FRAMES.format(missing=missing), cwd=tmp_path)
        for missing in (MISSING["not installed"], "")
    )
    assert (alone.returncode, beside.returncode) == (0, 0), alone.stderr + beside.stderr
    assert alone.stdout == beside.stdout
    assert "float32" in alone.stdout
    assert alone.stdout.count("refused") == 4


def test_a_broken_scikit_learn_says_so(tmp_path):
    (tmp_path / "sklearn").mkdir()
    (tmp_path / "sklearn" / "__init__.py").write_text("import a_missing_part\n")
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    result = subprocess.run(
        [sys.executable, "-c", "import cbackprop; cbackprop.Network; cbackprop.MLPClassifier"],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert "No module named 'a_missing_part'" in result.stderr


@pytest.mark.parametrize("n_changed", range(8))
def test_the_repr_is_scikit_learns(n_changed):
    from cbackprop.estimators import _own

    kind = type("MLPRegressor", (_own.BaseEstimator,), {"__init__": MLPRegressor.__init__})
    kind._store_parameters = MLPRegressor._store_parameters
    changes = {
        "hidden_layer_sizes": (10, 20), "activation": "tanh", "alpha": 0.25, "tol": 1e-6,
        "random_state": 12, "early_stopping": True, "learning_rate": "invscaling",
    }  # fmt: skip
    parameters = dict(list(changes.items())[:n_changed])
    assert repr(kind(**parameters)) == repr(MLPRegressor(**parameters))


def test_warnings_are_its_classes():
    with pytest.warns(exceptions.ConvergenceWarning):
        MLPRegressor(max_iter=1).fit(X, NUMBERS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", exceptions.ConvergenceWarning)
        with pytest.warns(exceptions.DataConversionWarning, match="column-vector") as caught:
            MLPRegressor(max_iter=1).fit(X, NUMBERS[:, None])
    assert caught[0].filename == __file__
