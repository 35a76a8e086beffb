"""MLPRegressor and MLPClassifier: odd arguments that must work, bad ones that must be named."""

import copy
import tempfile
import warnings

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from cbackprop.estimators import (
    ConvergenceWarning,
    InvalidParameterError,
    MLPClassifier,
    MLPRegressor,
    NotFittedError,
)
from cbackprop.estimators._base import BESIDE_SKLEARN

N_SAMPLES = 40
X = np.random.default_rng(7).normal(size=(N_SAMPLES, 4))
TARGETS = {
    MLPRegressor: X[:, 0] ** 2 - X[:, 1],
    MLPClassifier: np.where(X[:, 0] > X[:, 1], "yes", "no"),
}


def make_model(kind, **parameters):
    """A small model that stops after twelve epochs, whatever its loss does."""
    small = {"hidden_layer_sizes": (6,), "tol": 1e9, "random_state": 0}
    return kind(**small | parameters)


def parameters(model):
    return [*model.coefs_, *model.intercepts_]


@pytest.fixture(params=TARGETS, ids=lambda kind: kind.__name__)
def kind(request):
    return request.param


# Odd arguments


def misaligned(values):
    buffer = np.zeros(values.nbytes + 1, dtype=np.uint8)
    result = buffer[1:].view(values.dtype).reshape(values.shape)
    result[...] = values
    return result


def read_only(values):
    values = values.copy()
    values.flags.writeable = False
    return values


def memory_map(values):
    with tempfile.TemporaryFile() as file:
        result = np.memmap(file, values.dtype, "w+", shape=values.shape)
    result[...] = values
    return result


ODD = {
    "read-only": read_only,
    "every second": lambda values: np.repeat(values, 2, axis=0)[::2],
    "backwards": lambda values: values[::-1].copy()[::-1],
    "Fortran": np.asfortranarray,
    "byte-swapped": lambda values: values.astype(values.dtype.newbyteorder(">")),
    "misaligned": misaligned,
    "memory map": memory_map,
}
ODD_FLOAT64 = {  # such values have no float32 form
    "list": lambda values: values.tolist(),
    "longdouble": lambda values: values.astype(np.longdouble),
}


@pytest.mark.parametrize(
    ("odd", "dtype"),
    [
        *[pytest.param(odd, np.float32, id=f"{name} float32") for name, odd in ODD.items()],
        *[pytest.param(odd, np.float64, id=name) for name, odd in (ODD | ODD_FLOAT64).items()],
    ],
)
def test_odd_arrays_give_the_same_numbers(odd, dtype):
    features, y = X.astype(dtype), (X[:, :3] ** 2).astype(dtype)
    weights = np.arange(1.0, N_SAMPLES + 1)
    model = make_model(MLPRegressor, batch_size=16).fit(features, y, weights)
    plain = copy.deepcopy(model)
    model.fit(odd(features), odd(y), odd(weights))
    assert model.coefs_[0].dtype == dtype
    for ours, expected in zip(parameters(model), parameters(plain), strict=True):
        assert_array_equal(ours, expected)
    assert_array_equal(model.predict(odd(features)), plain.predict(features))
    score = plain.score(features, y, weights)
    assert model.score(odd(features), odd(y), odd(weights)) == pytest.approx(score, rel=1e-6)


@pytest.mark.parametrize("odd", [*ODD.values(), np.ndarray.tolist], ids=[*ODD, "list"])
def test_odd_arrays_of_labels(odd):
    y = np.digitize(X[:, 0], [-0.5, 0.5])
    plain = make_model(MLPClassifier).fit(X, y)
    model = make_model(MLPClassifier).fit(X, odd(y))
    assert_array_equal(model.predict_proba(X), plain.predict_proba(X))
    assert model.score(X, odd(y)) == plain.score(X, y)


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint64, np.float16])
def test_other_numbers_are_float64(dtype):
    numbers = (X > 0).astype(dtype)
    model = make_model(MLPRegressor).fit(numbers, numbers[:, 0])
    plain = make_model(MLPRegressor).fit(numbers.astype(float), numbers[:, 0].astype(float))
    assert model.coefs_[0].dtype == np.float64
    assert_array_equal(model.predict(numbers), plain.predict(numbers.astype(float)))


def test_a_batch_larger_than_the_data_is_clipped_and_warned_about(kind):
    with pytest.warns(UserWarning, match="larger than sample size. It is going to be clipped"):
        model = make_model(kind, batch_size=N_SAMPLES + 1).fit(X, TARGETS[kind])
    whole = make_model(kind, batch_size=N_SAMPLES).fit(X, TARGETS[kind])
    assert_array_equal(model.coefs_[0], whole.coefs_[0])


@pytest.mark.parametrize("dtype", [str, object])
def test_numbers_may_be_strings_or_objects(kind, dtype):
    plain = make_model(kind).fit(X, TARGETS[kind])
    model = make_model(kind).fit(X.astype(dtype), TARGETS[kind].astype(object))
    assert_array_equal(model.coefs_[0], plain.coefs_[0])
    assert_array_equal(model.predict(X.astype(object)), plain.predict(X))
    assert_array_equal(model.predict(list(X.astype(object))), plain.predict(X))
    with pytest.raises(ValueError, match="dtype='numeric' is not compatible"):
        model.predict(X.astype(str))


def test_weights_may_be_negative_or_one_number(kind):
    pytest.importorskip("scipy.optimize")
    weights = np.where(X[:, 3] > 1, -0.5, 1.5)
    for solver in ("sgd", "adam", "lbfgs"):
        model = make_model(kind, solver=solver, max_iter=500)
        plain = copy.deepcopy(model).fit(X, TARGETS[kind])
        constant = copy.deepcopy(model).fit(X, TARGETS[kind], 1.0)
        assert_array_equal(constant.coefs_[0], plain.coefs_[0])
        weighted = model.set_params(alpha=0).fit(X, TARGETS[kind], weights).coefs_[0]
        opposite = model.fit(X, TARGETS[kind], -weights).coefs_[0]
        np.testing.assert_allclose(weighted, opposite, rtol=1e-9)  # the mean is the same


# Bad parameters

BAD_PARAMETERS = [
    ("hidden_layer_sizes", 0, "an int in the range"),
    ("hidden_layer_sizes", (4, -1), "sequence of such ints"),
    ("hidden_layer_sizes", (2.5,), "sequence of such ints"),
    ("hidden_layer_sizes", "12", "sequence of such ints"),
    ("hidden_layer_sizes", b"12", "sequence of such ints"),
    ("hidden_layer_sizes", None, "sequence of such ints"),
    ("hidden_layer_sizes", [[2], [3]], "sequence of such ints"),
    ("hidden_layer_sizes", np.array(5), "sequence of such ints"),
    ("activation", "sine", "'identity', 'logistic', 'tanh', 'relu'"),
    ("activation", 1, "'identity', 'logistic', 'tanh', 'relu'"),
    ("solver", "newton", "'lbfgs', 'sgd', 'adam'"),
    ("alpha", -1e-9, r"\[0, inf\)"),
    ("alpha", np.nan, r"\[0, inf\)"),
    ("alpha", "1", r"\[0, inf\)"),
    ("batch_size", 0, "'auto'} or an int"),
    ("batch_size", 2.0, "'auto'} or an int"),
    ("batch_size", "all", "'auto'} or an int"),
    ("learning_rate", "fast", "'constant', 'invscaling', 'adaptive'"),
    ("learning_rate_init", 0, r"\(0, inf\)"),
    ("learning_rate_init", -0.1, r"\(0, inf\)"),
    ("learning_rate_init", np.inf, r"\(0, inf\)"),
    ("power_t", -0.5, r"\[0, inf\)"),
    ("max_iter", 0, r"\[1, inf\)"),
    ("max_iter", 10.0, r"\[1, inf\)"),
    ("shuffle", 1, "a bool"),
    ("random_state", -1, "RandomState"),
    ("random_state", 2**32, "RandomState"),
    ("random_state", "seed", "RandomState"),
    ("random_state", np.random.default_rng(0), "RandomState"),
    ("tol", -1, r"\[0, inf\)"),
    ("verbose", "yes", "a bool or an int"),
    ("warm_start", 1, "a bool"),
    ("momentum", 1.01, r"\[0, 1\]"),
    ("nesterovs_momentum", None, "a bool"),
    ("early_stopping", "yes", "a bool"),
    ("validation_fraction", 1, r"\[0, 1\)"),
    ("beta_1", 1, r"\[0, 1\)"),
    ("beta_2", -0.1, r"\[0, 1\)"),
    ("epsilon", 0, r"\(0, inf\)"),
    ("n_iter_no_change", 0, "inf"),
    ("n_iter_no_change", 2.5, "inf"),
    ("n_iter_no_change", -np.inf, "inf"),
    ("max_fun", 0, r"\[1, inf\)"),
]


def assert_unchanged(model, before):
    assert vars(model).keys() == vars(before).keys()
    assert model.loss_curve_ == before.loss_curve_
    for ours, expected in zip(parameters(model), parameters(before), strict=True):
        assert_array_equal(ours, expected)
    assert_array_equal(model.predict(X), before.predict(X))


@pytest.mark.parametrize(("name", "value", "known"), BAD_PARAMETERS)
def test_bad_parameters_are_named_with_what_is_known(kind, name, value, known):
    model = make_model(kind).fit(X, TARGETS[kind])
    before = copy.deepcopy(model)
    model.set_params(**{name: value})
    with pytest.raises(InvalidParameterError, match=f"'{name}' parameter of .*{known}") as caught:
        model.fit(X, TARGETS[kind])
    assert f"Got {value!r} instead" in str(caught.value)
    assert isinstance(caught.value, ValueError)
    assert_unchanged(model, before)


def test_every_parameter_is_checked(kind):
    for name in kind().get_params():
        with pytest.raises(InvalidParameterError, match=f"'{name}' parameter of {kind.__name__}"):
            kind(**{name: object()}).fit(X, TARGETS[kind])


def test_an_unknown_loss_is_told_the_known_ones():
    with pytest.raises(InvalidParameterError, match="'squared_error', 'poisson'"):
        MLPRegressor(loss="absolute_error").fit(X, X[:, 0])


def test_the_ends_of_the_ranges_are_allowed(kind):
    for solver in ("adam", "sgd"):
        model = make_model(
            kind,
            solver=solver,
            hidden_layer_sizes=1,
            alpha=0,
            batch_size=1,
            max_iter=1,
            random_state=2**32 - 1,
            tol=0,
            verbose=0,
            momentum=1,
            beta_1=0,
            beta_2=0,
            n_iter_no_change=1,
        )
        with pytest.warns(ConvergenceWarning):
            model.fit(X, TARGETS[kind])


def test_parameters_may_be_numpys_numbers():
    model = make_model(
        MLPRegressor, hidden_layer_sizes=np.array([3, 2]), alpha=np.float32(0.5),
        batch_size=np.int16(8), max_iter=np.uint8(20), shuffle=np.bool_(False), tol=np.int64(9),
    )  # fmt: skip
    plain = make_model(
        MLPRegressor, hidden_layer_sizes=(3, 2), alpha=0.5, batch_size=8, max_iter=20,
        shuffle=False, tol=9,
    )  # fmt: skip
    assert_array_equal(model.fit(X, X[:, 0]).predict(X), plain.fit(X, X[:, 0]).predict(X))


# Bad data


def with_entry(values, entry):
    """A copy of values with one entry replaced."""
    values = values.copy()
    values.flat[5] = entry
    return values


ONES = np.ones(N_SAMPLES)

WORDS = np.array(["one", "two"] * (N_SAMPLES // 2))

NOT_NUMBERS = "could not convert string to float|not compatible with arrays of bytes/strings"

BAD_FEATURES = [
    (X[0], ValueError, "Expected 2D array, got 1D array instead"),
    (X[None], ValueError, "Found array with dim 3"),
    (5.0, ValueError, "Expected 2D array, got scalar array instead"),
    (X[:0], ValueError, r"Found array with 0 sample\(s\) \(shape=\(0, 4\)\)"),
    (X[:, :0], ValueError, r"Found array with 0 feature\(s\) \(shape=\(40, 0\)\)"),
    ([[1.0, 2.0], [3.0]], ValueError, "inhomogeneous"),
    (with_entry(X, np.nan), ValueError, r"\bX\b"),
    (with_entry(X, -np.inf), ValueError, r"\bX\b"),
    (WORDS[:, None], ValueError, NOT_NUMBERS),
    (WORDS[:, None].astype(object), ValueError, NOT_NUMBERS),
    (X.astype(complex), ValueError, "Complex data not supported"),
]
BAD_TARGETS = [
    (ONES[1:], ValueError, "inconsistent numbers of samples"),
    (3.0, TypeError, "Singleton array|at least 1 dimension"),
    (None, ValueError, "requires y to be passed, but the target y is None"),
    (ONES[:, None, None], ValueError, "Found array with dim 3"),
    (ONES[:, None][:, :0], ValueError, r"Found array with 0 feature\(s\)"),
    ([[1], [2, 3]], ValueError, "inhomogeneous"),
    (with_entry(ONES, np.nan), ValueError, "Input y contains NaN"),
    (with_entry(ONES, np.inf), ValueError, "Input y contains infinity"),
    (ONES.astype(complex), ValueError, "Complex data not supported"),
]
BAD_WEIGHTS = [
    (ONES[1:], ValueError),
    (ONES[:, None], ValueError),
    (0 * ONES, ValueError),
    (with_entry(ONES, np.nan), ValueError),
    (["heavy"] * N_SAMPLES, ValueError),
    (ONES.astype(complex), ValueError),
]


def assert_refused(kind, arguments, exception, message):
    """Neither a fitted nor a new estimator is changed by a fit that raises."""
    fitted = make_model(kind).fit(X, TARGETS[kind])
    before = copy.deepcopy(fitted)
    with pytest.raises(exception, match=message):
        fitted.fit(*arguments)
    assert_unchanged(fitted, before)
    unfitted = make_model(kind)
    with pytest.raises(exception, match=message):
        unfitted.fit(*arguments)
    assert vars(unfitted).keys() == unfitted.get_params().keys()


@pytest.mark.parametrize(("bad", "exception", "message"), BAD_FEATURES)
def test_bad_features(kind, bad, exception, message):
    assert_refused(kind, (bad, TARGETS[kind]), exception, message)
    with pytest.raises(exception, match=message):
        make_model(kind).fit(X, TARGETS[kind]).predict(bad)


@pytest.mark.parametrize(("bad", "exception", "message"), BAD_TARGETS)
def test_bad_targets(kind, bad, exception, message):
    assert_refused(kind, (X, bad), exception, message)
    model = make_model(kind).fit(X, TARGETS[kind])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises((ValueError, TypeError)):
            model.score(X, bad)


@pytest.mark.parametrize(("bad", "exception"), BAD_WEIGHTS)
def test_bad_sample_weights(kind, bad, exception):
    assert_refused(kind, (X, TARGETS[kind], bad), exception, None)
    if not BESIDE_SKLEARN:  # whose scores, and what they accept, change with its version
        with pytest.raises(exception):
            make_model(kind).fit(X, TARGETS[kind]).score(X, TARGETS[kind], bad)


@pytest.mark.parametrize(
    ("y", "exception", "message"),
    [
        (X[:, 0], ValueError, "Unknown label type"),
        (X[:, :2], ValueError, r"Multioutput .*: y has shape \(40, 2\)"),
        (np.array(["a", 1] * 20, object), TypeError, "'<' not supported"),
        (np.array(["a", np.nan] * 20, object), ValueError, "contains NaN"),
        (np.array([3, 4] * 20, object), ValueError, "Unknown label type"),
        # scikit-learn 1.6 warns instead
        (np.array([b"a", b"b"] * 20), (TypeError, FutureWarning), "labels represented as bytes"),
    ],
)
def test_bad_labels_of_a_classifier(y, exception, message):
    assert_refused(MLPClassifier, (X, y), exception, message)


def test_bad_targets_of_a_regressor():
    assert_refused(MLPRegressor, (X, TARGETS[MLPClassifier]), TypeError, "y .*dtype <U3")
    assert_refused(MLPRegressor, (X, ONES.astype("M8[s]")), TypeError, "y .*dtype datetime64")
    with pytest.raises(ValueError, match=r"y must be >= 0 for poisson, got values from -2\.0"):
        MLPRegressor("poisson").fit(X, with_entry(ONES, -2))
    with pytest.raises(ValueError, match=r"different number of output"):
        make_model(MLPRegressor).fit(X, X[:, :3]).score(X, ONES)


def test_prediction_needs_a_fit_and_its_features(kind):
    model = make_model(kind)
    with pytest.raises(NotFittedError, match="instance is not fitted yet"):
        model.predict(X)
    assert not hasattr(model, "coefs_")
    assert not hasattr(model, "intercepts_")
    model.fit(X, TARGETS[kind])
    message = f"X has 3 features, but {kind.__name__} is expecting 4 features as input"
    with pytest.raises(ValueError, match=message):
        model.predict(X[:, :3])
