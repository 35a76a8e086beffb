"""Checks of the estimators' parameters and data; every message names the argument and its value.

What `Network` checks itself (dtypes, finite numbers, sample weights) is left to it.
"""

import numbers
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cbackprop import _checks as checks


class InvalidParameterError(ValueError, TypeError):
    """A parameter of an estimator has a value or a type that it cannot have."""


@dataclass(frozen=True)
class OneOf:
    """A name from a list."""

    names: tuple

    def accepts(self, value):
        return isinstance(value, str) and value in self.names

    def __str__(self):
        return f"a str among {{{', '.join(map(repr, self.names))}}}"


@dataclass(frozen=True)
class Interval:
    """A number between two bounds; `brackets` says which of them belong to it."""

    kind: type  # numbers.Integral or numbers.Real
    low: float
    high: float
    brackets: str  # "[]", "[)", "(]" or "()"

    def accepts(self, value):
        if not isinstance(value, self.kind):
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
        if isinstance(value, (str, bytes)) or not isinstance(value, (Sequence, np.ndarray)):
            return False
        return np.ndim(value) == 1 and all(POSITIVE_INT.accepts(size) for size in value)

    def __str__(self):
        return "a sequence of such ints, one a hidden layer"


POSITIVE_INT = Interval(numbers.Integral, 1, np.inf, "[)")
BOOLEAN = InstanceOf((bool, np.bool_), "a bool")
NONE = InstanceOf((type(None),), "None")
RANDOM_STATE = (
    NONE,
    Interval(numbers.Integral, 0, 2**32 - 1, "[]"),
    InstanceOf((np.random.RandomState,), "a numpy.random.RandomState"),
)


def check_parameters(estimator, constraints):
    """Raise InvalidParameterError for the first parameter that meets none of its constraints."""
    for name, allowed in constraints.items():
        value = getattr(estimator, name)
        if not any(constraint.accepts(value) for constraint in allowed):
            raise InvalidParameterError(
                f"The {name!r} parameter of {type(estimator).__name__} must be "
                f"{' or '.join(map(str, allowed))}. Got {value!r} instead."
            )


def check_random_state(random_state):
    """The RandomState that `random_state` stands for; None is NumPy's global one."""
    if random_state is None:
        # What np.random.seed seeds, so that a program which relies on that gets its numbers.
        return np.random.mtrand._rand
    if isinstance(random_state, np.random.RandomState):
        return random_state
    return np.random.RandomState(random_state)


def as_array(values, name):
    """np.asarray, whose errors name the argument; of any dtype, as labels may be strings."""
    if hasattr(values, "tocsr"):
        raise TypeError(
            f"{name} is a sparse {type(values).__name__}, which is not supported yet; "
            f"use {name}.toarray()"
        )
    try:
        return np.asarray(values)
    except ValueError as error:  # rows of different lengths
        raise ValueError(f"{name} is not a rectangular array: {error}") from error


def as_finite_numbers(values, name, dtype=np.float64):
    """An array of finite numbers."""
    values = checks.as_array(name, values, dtype)
    if not np.isfinite(values).all():
        raise checks.not_finite(name, values)
    return values


def check_features(X, estimator_name, n_features=None):
    """X as a two-dimensional array with at least one row and, if given, `n_features` columns."""
    X = as_array(X, "X")
    if X.ndim != 2:
        raise ValueError(
            f"X must have two dimensions, (n_samples, n_features); got shape {X.shape}. Use "
            "X.reshape(-1, 1) if it is a single feature, X.reshape(1, -1) if a single sample."
        )
    if 0 in X.shape:
        raise ValueError(
            f"X has shape {X.shape}; {estimator_name} needs at least one sample and one feature"
        )
    if n_features is not None and X.shape[1] != n_features:
        raise ValueError(
            f"X has {X.shape[1]} features, but {estimator_name} is expecting {n_features} features "
            "as input"
        )
    return X


def check_targets(y, n_samples):
    """y as an array of one or two dimensions with a row for each row of X."""
    y = as_array(y, "y")
    if y.ndim not in (1, 2) or 0 in y.shape:
        raise ValueError(f"y must have shape (n_samples,) or (n_samples, n_outputs); got {y.shape}")
    if len(y) != n_samples:
        raise ValueError(f"y has {len(y)} rows, but X has {n_samples}")
    return y
