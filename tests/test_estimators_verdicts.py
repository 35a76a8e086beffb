"""Odd arguments: what scikit-learn's estimators accept ours accept, and what they refuse we refuse.

The exception is of the same class, or of a subclass. Where the two differ on purpose, `FIXED`
says why. CBACKPROP_TEST_EXAMPLES is how many examples are drawn of each kind.
"""

import contextlib
import copy
import os
import warnings
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cbackprop.estimators import MLPClassifier, MLPRegressor

# what its own estimators accept is compared with, sample weights included
pytest.importorskip("sklearn", minversion="1.9")
from sklearn import neural_network

EXAMPLES = int(os.environ.get("CBACKPROP_TEST_EXAMPLES", "100"))
KINDS = st.sampled_from([MLPClassifier, MLPRegressor])
n = N_SAMPLES = 12
FEATURES = np.random.default_rng(5).normal(size=(N_SAMPLES, 3))
SMALL = {"hidden_layer_sizes": (3,), "max_iter": 2, "random_state": 0}


def examples(function):
    return settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize="CBACKPROP_TEST_EXAMPLES" not in os.environ,
        suppress_health_check=list(HealthCheck),
    )(function)


# ---- odd values ----

PARAMETERS = st.one_of(
    st.integers(-2, 3),
    st.sampled_from(
        [2**32 - 1, 2**32, -0.0, 0.1, 0.5, 0.999, 1.0, 1.5, 2.0, np.inf, -np.inf, np.nan]
    ),
    st.booleans(),
    st.sampled_from(
        [None, "", "auto", "relu", "adam", "lbfgs", "sgd", "constant", "poisson", b"x"]
    ),
    st.sampled_from([np.int64(2), np.uint8(1), np.float32(0.25), np.float32(np.inf), np.True_]),
    st.sampled_from([np.str_("tanh"), np.str_("sgd"), Fraction(1, 4), 1j, np.longdouble(0.5)]),
    st.sampled_from(
        [(), [], (2,), [2, 3], (2.0,), (0,), (2, -1), ("2",), (True,), (None,), ((2,),)]
    ),
    st.sampled_from([{}, {2: 0}, {3}, range(1, 3), np.array([2, 2]), np.array([[2]]), np.array(2)]),
    st.sampled_from([object(), np.random.default_rng(0), len, int, slice(2), {"a": 1}]),
    st.integers(0, 9).map(np.random.RandomState),
)
# They ask for memory without end, or for another shape of numbers than `int` and `float`.
NAMES = sorted(neural_network.MLPRegressor().get_params())
CHANGES = st.dictionaries(st.sampled_from(NAMES), PARAMETERS, min_size=1, max_size=2)

DTYPES = st.sampled_from(
    ["f8", "f4", ">f8", ">f4", "f2", "g", "i8", "u1", "?", "O", "U", "S", "c16", "M8[s]", "m8[s]"]
)
ENTRIES = st.sampled_from([np.nan, np.inf, -np.inf, 1e30, 1e300, None, "a", "1.5", 1j, b"2", True])


@st.composite
def arrays(draw, shapes, values):
    """An odd array of one of these shapes; values(rng, shape): its numbers before it became odd."""
    # a seed that is drawn: hypothesis can repeat it
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    array = np.asarray(values(rng, draw(shapes)))
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        if draw(st.integers(0, 2)) == 0:
            with contextlib.suppress(ValueError, TypeError):
                array = array.astype(draw(DTYPES))
        if array.size and draw(st.integers(0, 4)) == 0:
            entry = draw(ENTRIES)
            if array.dtype.kind != "O" and (
                isinstance(entry, (str, bytes, complex)) or entry is None
            ):
                array = array.astype(object)
            array = array.copy()
            with contextlib.suppress(ValueError, TypeError, OverflowError):
                array.flat[draw(st.integers(0, array.size - 1))] = entry
    return draw(st.sampled_from(FORMS))(array)


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def frame(name):
    """A function that makes a frame, or a column of one, where the package is there."""

    def make(array):
        package = __import__(name)
        if array.dtype.kind in "fiub" and array.dtype.isnative and array.dtype.char not in "ge":
            if array.ndim == 1:
                return package.Series(array)
            if array.ndim == 2:
                return (
                    package.DataFrame(array, [f"c{k}" for k in range(array.shape[1])])
                    if (name == "polars")
                    else package.DataFrame(array, columns=[f"c{k}" for k in range(array.shape[1])])
                )
        return array

    try:
        __import__(name)
    except ImportError:
        return np.asarray
    return make


def matrix(array):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.asmatrix(array) if array.ndim == 2 else array


PANDAS, POLARS = (frame(name)(FEATURES) for name in ("pandas", "polars"))


def same(array):
    return array


FORMS = [
    *[same] * 6,
    np.ndarray.tolist,
    np.asfortranarray,
    read_only,
    lambda array: np.repeat(array, 2, axis=0)[::2] if array.ndim else array,
    lambda array: tuple(array) if array.ndim else array,
    matrix,
    frame("pandas"),
    frame("polars"),
]

X_SHAPES = st.sampled_from(
    [*[(n, 3)] * 12, (n, 1), (n,), (0, 3), (n, 0), (), (1, 3), (n, 3, 1), (1, n, 3)]
)
Y_SHAPES = st.sampled_from(
    [*[(n,)] * 8, (n, 1), (n, 2), (n, 3), (n - 1,), (1,), (0,), (n, 0), (), (n, 2, 1), (1, n)]
)
WEIGHT_SHAPES = st.sampled_from([*[(n,)] * 8, (n, 1), (n - 1,), (), (1,), (n, 2)])


def features(rng, shape):
    return rng.normal(size=shape)


LABELS = [
    lambda rng, shape: rng.integers(0, 2, shape),
    lambda rng, shape: rng.integers(0, 3, shape),
    lambda rng, shape: np.array(["no", "yes"])[rng.integers(0, 2, shape)],
    lambda rng, shape: np.ones(shape),
    features,
    lambda rng, shape: rng.integers(-3, 3, shape) / 2,
]
TARGETS = st.sampled_from(LABELS).flatmap(lambda values: arrays(Y_SHAPES, values))
X_ARRAYS = st.one_of(
    arrays(X_SHAPES, features),
    arrays(X_SHAPES, features),
    st.sampled_from([None, "X", 3, [[1, 2], [3]], {}, [[]]]),
)
Y_ARRAYS = st.one_of(
    TARGETS,
    TARGETS,
    TARGETS,
    st.sampled_from([None, "y", 3, [[1], [2, 3]], [[0]] * n, ["a"] * (n - 1) + [1]]),
)
WEIGHTS = st.one_of(
    st.none(),
    st.none(),
    arrays(WEIGHT_SHAPES, lambda rng, shape: np.abs(features(rng, shape))),
    arrays(WEIGHT_SHAPES, features),
    arrays(WEIGHT_SHAPES, lambda rng, shape: np.zeros(shape)),
    st.sampled_from([2.0, 0, -1, True, "w", [1] * n, np.float32(2), np.nan]),
)


CLASSES = st.one_of(
    st.sampled_from([None, [0, 1], [0, 1, 2], range(3), ["no", "yes"], [0.5, 1], [], 3, "no", [1]]),
    st.sampled_from([np.arange(2.0), np.array([0, 1], object), [[0, 1], [1, 0]], [True, False]]),
)
SEVERAL_LABELS = [
    np.arange(n) % 2,
    np.arange(n) % 3,
    np.where(np.arange(n) % 2, "yes", "no"),
    np.ones(n),
]


# ---- the two verdicts ----


def verdict(call, *arguments):
    """The exception, or None."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            call(*copy.deepcopy(arguments))
        except Exception as error:
            return error
    return None


def pair(kind, **changes):
    parameters = {
        name: value for name, value in (SMALL | changes).items() if name in kind().get_params()
    }
    theirs = getattr(neural_network, kind.__name__)
    return kind(**parameters), theirs(**copy.deepcopy(parameters))


# What the table of quirks fixes, in "Coming from scikit-learn": words of our exception, the class
# and words of scikit-learn's.
FIXED = {
    "losses that are not finite end training": ("training diverged in epoch", None, ""),
    "so do scores that are NaN": ("it has no score", type(None), ""),
    "so do weights that are NaN": ("sample_weight must be finite", None, ""),
    "poisson losses of negative targets are NaN": ("y must be >= 0 for poisson", None, ""),
    "warm starts keep the number of outputs": ("cannot be trained further", None, ""),
    "float32 stays float32": ("must be finite in float32", None, ""),
    "a batch whose weights sum to zero changes nothing": (None, ZeroDivisionError, ""),
    "an object in a list may be missing": ("got NaN at", TypeError, "unsupported operand"),
    "or be a string": (None, TypeError, "can't multiply"),
    "or be complex": ("not 'complex'", type(None), ""),
    "or be a number, to a classifier": (None, TypeError, "not supported for the input types"),
    "or be one among arrays of objects": (None, TypeError, "loop of ufunc does not support"),
    "nor are losses of missing targets finite": ("y must be finite in float64", None, "None"),
}


def is_fixed(ours, theirs):
    """Whether the table of quirks says that these two differ."""
    return any(
        (words is None or words in str(ours))
        and (kind is None or isinstance(theirs, kind))
        and their_words in str(theirs)
        for words, kind, their_words in FIXED.values()
    )


def public_class(error):
    """The most special class of an exception that is not a module's own."""
    public = ("builtins", "sklearn.exceptions", "sklearn.utils._param_validation")
    return next(kind for kind in type(error).__mro__ if kind.__module__ in public)


def assert_same_verdict(ours, theirs):
    if ours is None and theirs is None:
        return
    alike = ours is not None and theirs is not None and isinstance(ours, public_class(theirs))
    assert alike or is_fixed(ours, theirs), f"ours: {ours!r}; scikit-learn's: {theirs!r}"


@examples
@given(KINDS, CHANGES)
def test_parameters(kind, changes):
    ours, theirs = pair(kind, **changes)
    y = (FEATURES[:, 0] > 0).astype(int)
    assert_same_verdict(verdict(ours.fit, FEATURES, y), verdict(theirs.fit, FEATURES, y))


@examples
@given(KINDS, X_ARRAYS, Y_ARRAYS, WEIGHTS, st.sampled_from(["sgd", "adam", "lbfgs"]), st.booleans())
def test_data_of_fit(kind, X, y, weights, solver, early_stopping):
    changes = {"solver": solver, "early_stopping": early_stopping, "validation_fraction": 0.3}
    ours, theirs = pair(kind, **changes)
    assert_same_verdict(verdict(ours.fit, X, y, weights), verdict(theirs.fit, X, y, weights))


@examples
@given(KINDS, st.data(), st.sampled_from(["predict", "predict_proba", "score"]))
def test_data_of_predictions(kind, data, method):
    """Of models fitted to arrays, to frames, and to float32."""
    X = data.draw(st.sampled_from([FEATURES, FEATURES.astype(np.float32), PANDAS, POLARS]))
    y = data.draw(st.sampled_from([*SEVERAL_LABELS, np.eye(n, 3)]))
    if kind is MLPRegressor and y.dtype.kind == "U":
        y = FEATURES[:, 0]
    ours, theirs = pair(kind)
    for estimator in (ours, theirs):
        assert verdict(estimator.fit, X, y) is None
    arguments = [data.draw(X_ARRAYS)]
    if method == "score":
        arguments += [data.draw(st.one_of(st.just(y), Y_ARRAYS)), data.draw(WEIGHTS)]
    if hasattr(ours, method):
        said = [verdict(getattr(estimator, method), *arguments) for estimator in (ours, theirs)]
        assert_same_verdict(*said)
        if method == "predict" and said == [None, None]:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                one, other = ours.predict(*arguments), theirs.predict(*arguments)
            assert one.shape == other.shape
            assert one.dtype == other.dtype or kind is MLPRegressor  # numbers: those of the model


def partial_fit_of(estimator, *arguments):
    estimator.partial_fit(*arguments)


@examples
@given(KINDS, st.lists(st.tuples(X_ARRAYS, Y_ARRAYS, WEIGHTS), min_size=1, max_size=3), st.data())
def test_data_of_partial_fit(kind, batches, data):
    ours, theirs = pair(
        kind,
        warm_start=data.draw(st.booleans()),
        solver=data.draw(st.sampled_from(["adam", "sgd", "lbfgs"])),
    )
    for X, y, weights in batches:
        arguments = [X, y, weights]
        if kind is MLPClassifier:
            arguments.append(data.draw(CLASSES))
        said = [verdict(partial_fit_of, one, *arguments) for one in (ours, theirs)]
        if kind is MLPRegressor and ours.solver == "lbfgs":
            assert isinstance(said[0], AttributeError)  # fixed: there it is a whole fit
            break
        assert_same_verdict(*said)
        if said[0] is not None:
            break


@pytest.mark.parametrize("y", [FEATURES[:, 0] > 0, FEATURES[:, :2] > 0], ids=["one", "several"])
@pytest.mark.parametrize(
    "X", [FEATURES, np.matrix(FEATURES), FEATURES + np.nan], ids=["numbers", "matrix", "NaN"]
)
def test_a_first_partial_fit_without_classes(X, y):
    said = [verdict(one.partial_fit, X, y, None, []) for one in pair(MLPClassifier)]
    assert None not in said
    assert_same_verdict(*said)


@examples
@given(KINDS, st.lists(st.tuples(X_ARRAYS, Y_ARRAYS), min_size=2, max_size=3))
def test_data_of_warm_starts(kind, batches):
    ours, theirs = pair(kind, warm_start=True)
    for X, y in batches:
        said = [verdict(estimator.fit, X, y) for estimator in (ours, theirs)]
        assert_same_verdict(*said)
        if said[0] is not None:
            break
