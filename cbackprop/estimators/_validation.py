"""Checks of the estimators' parameters and data.

The verdicts are scikit-learn's, by its own functions or, where it is missing, by ours. Plain arrays
are let through, for a look at everything that data may be takes longer than to predict a row.
"""

import math
import numbers
import warnings
from dataclasses import dataclass

import numpy as np

from cbackprop import _checks as checks
from cbackprop.estimators._base import contract


@dataclass(frozen=True)
class OneOf:
    """A name from a list."""

    names: tuple

    def accepts(self, value):
        return isinstance(value, str) and value in self.names

    def __str__(self):
        return f"a str among {{{', '.join(map(repr, self.names))}}}"


@dataclass(frozen=True)
class SequenceOf:
    """A sequence of names from a list."""

    names: tuple

    def accepts(self, value):
        return isinstance(value, (list, tuple)) and all(map(OneOf(self.names).accepts, value))

    def __str__(self):
        return "a list or tuple of such names, one a hidden layer"


@dataclass(frozen=True)
class Interval:
    """A number between two bounds; `brackets` says which of them belong to it."""

    kind: type  # numbers.Integral, or float for those and NumPy's and Python's floats
    low: float
    high: float
    brackets: str  # "[]", "[)", "(]" or "()"

    def accepts(self, value):
        floats = (float, np.floating) if self.kind is float else ()
        if not isinstance(value, (numbers.Integral, *floats)):
            return False
        above = value >= self.low if self.brackets[0] == "[" else value > self.low
        below = value <= self.high if self.brackets[1] == "]" else value < self.high
        return bool(above and below)  # NaN is neither

    def __str__(self):
        noun = "an int" if self.kind is numbers.Integral else "a float"
        return f"{noun} in the range {self.brackets[0]}{self.low}, {self.high}{self.brackets[1]}"


@dataclass(frozen=True)
class InstanceOf:
    """An object of one of some types."""

    types: tuple
    words: str

    def accepts(self, value):
        return isinstance(value, self.types)

    def __str__(self):
        return self.words


@dataclass(frozen=True)
class Infinity:
    """The number that no count reaches."""

    def accepts(self, value):
        return isinstance(value, numbers.Real) and value == np.inf

    def __str__(self):
        return "inf"


@dataclass(frozen=True)
class Function:
    """Anything that can be called."""

    def accepts(self, value):
        return callable(value)

    def __str__(self):
        return "a callable"


@dataclass(frozen=True)
class Precision:
    """A dtype that networks compute in."""

    def accepts(self, value):
        try:
            checks.as_dtype(value)
        except (TypeError, ValueError):
            return False
        return True

    def __str__(self):
        return "'float32' or 'float64'"


@dataclass(frozen=True)
class LayerSizes:
    """One positive int, or a sequence of them, which may be empty."""

    def accepts(self, value):
        if isinstance(value, numbers.Integral):
            return self.is_size(value)
        if np.isscalar(value) or not hasattr(value, "__len__"):
            return False
        try:
            return all(map(self.is_size, value))
        except TypeError:  # an array of no dimension
            return False

    @staticmethod
    def is_size(value):
        return POSITIVE_INT.accepts(value) and not isinstance(value, bool)

    def __str__(self):
        return f"{POSITIVE_INT} or a sequence of such ints, one a hidden layer"


POSITIVE_INT = Interval(numbers.Integral, 1, np.inf, "[)")
BOOLEAN = InstanceOf((bool, np.bool_), "a bool")
NONE = InstanceOf((type(None),), "None")
RANDOM_STATE = (
    NONE,
    Interval(numbers.Integral, 0, 2**32 - 1, "[]"),
    InstanceOf((np.random.RandomState,), "a numpy.random.RandomState"),
)


def check_parameters(estimator):
    """Raise an error for the first parameter that meets none of its constraints."""
    for name, allowed in estimator._constraints.items():
        value = getattr(estimator, name)
        if not any(constraint.accepts(value) for constraint in allowed):
            raise bad_parameter(estimator, name, f"be {' or '.join(map(str, allowed))}")


def bad_parameter(estimator, name, wanted):
    """The error that says what a parameter must be or do."""
    return contract.InvalidParameterError(
        f"The {name!r} parameter of {type(estimator).__name__} must {wanted}. Got "
        f"{getattr(estimator, name)!r} instead."
    )


def check_random_state(random_state):
    """The RandomState that `random_state` stands for; None is NumPy's global one."""
    if random_state is None:
        # What np.random.seed seeds, so that a program which relies on that gets its numbers.
        return np.random.mtrand._rand
    if isinstance(random_state, np.random.RandomState):
        return random_state
    return np.random.RandomState(random_state)


def as_finite_numbers(values, name, dtype=np.float64):
    """An array of finite numbers."""
    values = checks.as_array(name, values, dtype)
    if not np.isfinite(values).all():
        raise checks.not_finite(name, values)
    return values


# ---- data ----

SPARSE = ("csr", "csc")
PRECISIONS = (np.float64, np.float32)


def check_features(estimator, X):
    """X for a fitted estimator."""
    if is_plain(X, "fd") and X.ndim == 2 and fits_the_last(X, estimator):
        return X
    X = contract.validate_data(estimator, as_native(X), reset=False, accept_sparse=SPARSE)
    # a list of objects stays what it is there
    return X.astype(np.float64) if X.dtype == object else X


def check_data(estimator, X, y, going_on):
    """X and y as arrays with a row for each sample.

    What is seen of X's columns goes to `estimator`. `going_on`: they must be those it knows.
    """
    if (
        is_plain(X, "fd")
        and is_plain(y, "?bBhHiIlLqQefdU")
        and X.ndim == 2
        and y.ndim in (1, 2)
        and len(X) == len(y)
        and 0 not in X.shape + y.shape
        and (not going_on or fits_the_last(X, estimator))
        and sums_to_something(X)
        and (y.dtype.kind != "f" or sums_to_something(y))
    ):
        estimator.n_features_in_ = X.shape[1]
        vars(estimator).pop("feature_names_in_", None)
    else:
        X, y = contract.validate_data(
            estimator,
            as_native(X),
            y,
            reset=not going_on,
            accept_sparse=SPARSE,
            dtype=PRECISIONS,
            multi_output=True,
            y_numeric=estimator._targets_are_numbers,
        )
        y = y.toarray() if hasattr(y, "toarray") else y
    if y.ndim == 2 and y.shape[1] == 1:
        warnings.warn(
            "A column-vector y was passed when a 1d array was expected. Please change the shape of "
            "y to (n_samples,), for example using ravel().",
            contract.DataConversionWarning,
            stacklevel=4,
        )
        y = y[:, 0]
    return X, y


def is_plain(array, types):
    """Whether it is an array of NumPy's own of one of these types, in the machine's byte order."""
    return type(array) is np.ndarray and array.dtype.char in types and array.dtype.isnative


def sums_to_something(array):
    """Whether the sum is finite: then all numbers are, at less cost than asking each."""
    with np.errstate(over="ignore", invalid="ignore"):
        return math.isfinite(array.sum())


def fits_the_last(X, estimator):
    """Whether X, of two dimensions and without names, has the fitted estimator's columns."""
    return (
        X.shape[1] == estimator.n_features_in_
        and len(X) > 0
        and "feature_names_in_" not in vars(estimator)
    )


def as_native(X):
    """X in the machine's byte order: another would turn float32 into float64."""
    if isinstance(X, np.ndarray) and not X.dtype.isnative:
        return X.astype(X.dtype.newbyteorder("="))
    return X


def check_sample_weight(sample_weight, X, dtype):
    """None, or an array of shape (n_samples,) in dtype; its numbers may be negative."""
    if sample_weight is None:
        return None
    sample_weight = contract.check_sample_weight(sample_weight, X)
    return checks.as_weights(sample_weight, dtype, X.shape[0], any_sign=True)


def find_labels(y):
    """The labels in an array of targets, sorted, and whether it says of each whether it applies."""
    if y.ndim == 1 and y.dtype.kind in "biuU":
        return np.unique(y), False
    kind = contract.type_of_target(y, input_name="y")
    if "multioutput" in kind:
        raise ValueError(
            f"Multioutput target data is not supported: y has shape {y.shape} and dtype {y.dtype}, "
            "and entries other than 0 and 1; each must say whether a label applies"
        )
    return contract.unique_labels(y), kind == "multilabel-indicator"
