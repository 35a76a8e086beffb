"""What stands in for scikit-learn where it is missing: the same names, the same verdicts.

Only what the estimators of this package use of it; `_sklearn` lists the names, `_base` chooses.
"""

import inspect
import numbers
import warnings

import numpy as np

from cbackprop.estimators._scores import r2, share_of_hits

LINE = 80  # of a repr, in characters

RESHAPE = (
    "Reshape your data either using array.reshape(-1, 1) if your data has a single feature or "
    "array.reshape(1, -1) if it contains a single sample."
)


class NotFittedError(ValueError, AttributeError):
    """An estimator was asked for something that only `fit` can give it."""


class InvalidParameterError(ValueError, TypeError):
    """A parameter of an estimator has a value or a type that it cannot have."""


class ConvergenceWarning(UserWarning):
    """Training ended at `max_iter` while the loss was still improving."""


class DataConversionWarning(UserWarning):
    """Data were taken for something that they are not quite."""


class BaseEstimator:
    """Parameters as scikit-learn keeps them: each argument of `__init__` is an attribute."""

    @classmethod
    def _parameter_defaults(cls):
        """Default values by name, sorted."""
        arguments = list(inspect.signature(cls.__init__).parameters.values())[1:]  # without self
        return {a.name: a.default for a in sorted(arguments, key=lambda a: a.name)}

    def get_params(self, deep=True):
        """Parameters by name.

        Parameters
        ----------
        deep : bool, default=True
            Part of scikit-learn's protocol for estimators that hold others; these hold none, so
            both values give the same.

        Returns
        -------
        params : dict
        """
        return {name: getattr(self, name) for name in self._parameter_defaults()}

    def set_params(self, **params):
        """Set parameters by name; an unknown name is a `ValueError`.

        Parameters
        ----------
        **params : dict
            New values. They are checked by the next `fit`.

        Returns
        -------
        self : object
        """
        known = list(self._parameter_defaults())
        for name, value in params.items():
            if name not in known:
                raise ValueError(
                    f"Invalid parameter {name!r} for estimator {self}. "
                    f"Valid parameters are: {known}."
                )
            setattr(self, name, value)
        return self

    def __repr__(self):
        # Compared by repr, as the values may be arrays, whose == is not one truth value.
        changed = [
            f"{name}={getattr(self, name)!r}"
            for name, default in self._parameter_defaults().items()
            if repr(getattr(self, name)) != repr(default)
        ]
        name = type(self).__name__
        text = f"{name}({', '.join(changed)})"
        return text if len(text) <= LINE else f"{name}({_filled(changed, len(name) + 1)})"


def _filled(parts, indent):
    """Parts in lines as full as may be."""
    text, free = "", LINE - indent + 1
    for k, part in enumerate(parts):
        free -= len(part) + 2
        if k == len(parts) - 1:
            free -= 1  # the bracket
        if k > 0 and free < 0:
            text += ",\n" + " " * indent
            free = LINE - indent + 1 - len(part) - 2
        elif k > 0:
            text += ", "
        text += part
    return text


class ClassifierMixin:
    """What makes an estimator a classifier."""

    _estimator_type = "classifier"

    def score(self, X, y, sample_weight=None):
        """Accuracy: the (weighted) share of samples whose label, or all of whose labels, is right.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or, multilabel, (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        score : float
        """
        predictions = self.predict(X)
        y = _as_targets(y, len(predictions))
        if y.ndim == 2 and y.shape[1] == 1:
            y = y.ravel()
        kinds = type_of_target(y, input_name="y"), type_of_target(predictions)
        if kinds[0] != kinds[1] and not {*kinds} <= {"binary", "multiclass"}:
            raise ValueError(
                f"Classification metrics can't handle a mix of {kinds[0]} and {kinds[1]} targets"
            )
        if kinds[0] == "multilabel-indicator" and y.shape != predictions.shape:
            raise ValueError(f"y has shape {y.shape}; the model has {predictions.shape[1]} labels")
        if sample_weight is not None:
            sample_weight = check_sample_weight(sample_weight, y)
        return share_of_hits(predictions, y, sample_weight)


class RegressorMixin:
    """What makes an estimator a regressor."""

    _estimator_type = "regressor"

    def score(self, X, y, sample_weight=None):
        """Coefficient of determination R2, the mean over the outputs.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        score : float
            1 for a perfect prediction, 0 for one no better than the mean of y; NaN, with a
            warning, for a single sample.
        """
        predictions = self.predict(X)
        predictions = predictions.reshape(len(predictions), -1)
        y = _as_targets(y, len(predictions)).reshape(len(predictions), -1).astype(np.float64)
        if y.shape != predictions.shape:
            raise ValueError(
                "y_true and y_pred have different number of output "
                f"({y.shape[1]}!={predictions.shape[1]})"
            )
        if sample_weight is not None:
            sample_weight = check_sample_weight(sample_weight, y)
        if len(y) < 2:
            warnings.warn("R^2 score is not well-defined with less than two samples.", stacklevel=2)
            return float("nan")
        return r2(predictions, y, sample_weight)


# ---- data ----


def validate_data(
    estimator,
    X,
    y="no_validation",
    reset=True,
    *,
    accept_sparse,
    dtype="numeric",
    multi_output=False,
    y_numeric=False,
):
    """X, or X and y, as arrays; sets or checks `n_features_in_` and `feature_names_in_`."""
    _check_feature_names(estimator, X, reset)
    name = type(estimator).__name__
    if y is None:
        raise ValueError(
            f"This {name} estimator requires y to be passed, but the target y is None."
        )
    X = _as_features(X, name, accept_sparse, dtype)
    if reset:
        estimator.n_features_in_ = X.shape[1]
    elif X.shape[1] != estimator.n_features_in_:
        raise ValueError(
            f"X has {X.shape[1]} features, but {name} is expecting "
            f"{estimator.n_features_in_} features as input."
        )
    if isinstance(y, str):
        return X
    return X, _as_targets(y, X.shape[0], y_numeric)


def _as_features(X, name, accept_sparse, dtype):
    if hasattr(X, "columns"):  # a frame has no type of its own
        X = _as_numbers(X) if any(map(_is_nullable, X.dtypes)) else np.asarray(X)
    found = getattr(X, "dtype", None)
    if dtype == "numeric":
        found = np.asarray(X).dtype if found is None else found
        if found.kind in "USV":
            raise ValueError(
                "dtype='numeric' is not compatible with arrays of bytes/strings. Convert your data "
                "to numeric values explicitly instead."
            )
        wanted = np.dtype(np.float64) if found.kind == "O" else found
    else:
        wanted = found if found in dtype else dtype[0]
    if hasattr(X, "tocsr"):
        _refuse_complex(X)
        X = (X if X.format in accept_sparse else X.tocsr()).astype(wanted, copy=False)
        _check_finite(X.data, "X")
    else:
        X = _as_array(X, "X", wanted)
    if X.ndim > 2:
        raise ValueError(f"Found array with dim {X.ndim}, while dim <= 2 is required by {name}.")
    if X.ndim < 2:
        what = "1D" if X.ndim else "scalar"
        raise ValueError(f"Expected 2D array, got {what} array instead:\narray={X}.\n{RESHAPE}")
    _check_not_empty(X, name)
    return X


def _check_not_empty(array, name):
    for number, what in zip(array.shape, ("sample", "feature"), strict=False):
        if number == 0:
            raise ValueError(
                f"Found array with 0 {what}(s) (shape={array.shape}) while a minimum of 1 is "
                f"required by {name}."
            )


def _as_targets(y, n_samples, numeric=False):
    if hasattr(y, "toarray"):
        y = y.toarray()
    y = _as_array(_as_numbers(y) if _is_nullable(getattr(y, "dtype", None)) else y, "y", None)
    if y.ndim == 0:
        raise TypeError(f"Singleton array {y!r} cannot be considered a valid collection.")
    if y.ndim > 2:
        raise ValueError(f"Found array with dim {y.ndim}, while dim <= 2 is required: y")
    _check_not_empty(y, "y")
    if numeric and y.dtype.kind == "O":
        y = y.astype(np.float64)
    if len(y) != n_samples:
        raise ValueError(
            f"Found input variables with inconsistent numbers of samples: [{n_samples}, {len(y)}]"
        )
    return y


def _is_nullable(dtype):
    """Whether it is a type of pandas' own, of numbers that may be missing"""
    return hasattr(dtype, "numpy_dtype")


def _as_numbers(values):
    """What scikit-learn makes of those types, whichever it is: float64, NaN where one is missing"""
    return values.to_numpy(np.float64, na_value=np.nan)


def _as_array(values, name, dtype):
    """A finite array, of that dtype or, None, of its own."""
    if isinstance(values, np.matrix):
        raise TypeError("np.matrix is not supported. Please convert to a numpy array")
    found = np.asarray(values)
    _refuse_complex(found)
    array = found if dtype is None else found.astype(dtype, copy=False)
    _check_finite(array, name)
    return array


def _refuse_complex(array):
    if array.dtype.kind == "c":
        raise ValueError(f"Complex data not supported\n{array}\n")


def _check_finite(array, name):
    if array.dtype.kind == "O":
        if (array != array).any():
            raise ValueError(f"Input {name} contains NaN.")
    elif array.dtype.kind == "f" and not np.isfinite(array).all():
        what = "NaN" if np.isnan(array).any() else "infinity or a value too large"
        raise ValueError(f"Input {name} contains {what} for {array.dtype!r}.")


def _feature_names(X):
    """Names of a frame's columns, if they are all strings, or None."""
    if not hasattr(X, "columns"):
        return None
    names = np.asarray(list(X.columns), dtype=object)
    kinds = sorted({type(name).__name__ for name in names})
    if kinds == ["str"]:
        return names
    if "str" in kinds:
        raise TypeError(
            "Feature names are only supported if all input features have string names, but your "
            f"input has {kinds} as feature name / column name types."
        )
    return None


def _check_feature_names(estimator, X, reset):
    names = _feature_names(X)
    if reset:
        vars(estimator).pop("feature_names_in_", None)
        if names is not None:
            estimator.feature_names_in_ = names
        return
    kind = type(estimator).__name__
    known = getattr(estimator, "feature_names_in_", None)
    if (names is None) != (known is None):
        warnings.warn(
            f"X has feature names, but {kind} was fitted without feature names"
            if known is None
            else f"X does not have valid feature names, but {kind} was fitted with feature names",
            stacklevel=5,
        )
    elif names is not None and not np.array_equal(names, known):
        raise ValueError(
            "The feature names should match those that were passed during fit.\n"
            f"Feature names unseen at fit time: {sorted(set(names) - set(known))}\n"
            f"Feature names seen at fit time, yet now missing: {sorted(set(known) - set(names))}\n"
            "Feature names must be in the same order as they were in fit.\n"
        )


def check_sample_weight(sample_weight, X):
    """An array of shape (n_samples,) out of one or of a number; its numbers may be negative."""
    n_samples = X.shape[0]
    if isinstance(sample_weight, numbers.Number):
        sample_weight = np.full(n_samples, sample_weight)
    dtype = getattr(sample_weight, "dtype", None)
    weights = _as_array(
        sample_weight, "sample_weight", dtype if dtype in (np.float64, np.float32) else np.float64
    )
    if weights.shape != (n_samples,):
        raise ValueError(
            f"sample_weight must be a number or have shape ({n_samples},); got {weights.shape}"
        )
    if not weights.any():
        raise ValueError("Sample weights must contain at least one non-zero number: sample_weight")
    return weights


# ---- labels ----


def type_of_target(y, input_name="y"):
    """What an array of targets is, in scikit-learn's words."""
    y = np.asarray(y)
    if y.ndim == 0:
        raise ValueError(f"Expected array-like (array or non-string sequence), got {y!r}")
    if y.size == 0:
        return "binary" if y.ndim == 1 else "unknown"
    if y.dtype.kind == "S" or (y.dtype.kind == "O" and isinstance(y.flat[0], bytes)):
        raise TypeError(
            f"{input_name}: labels represented as bytes are not supported. Convert the labels to "
            "a string or integer format."
        )
    if y.dtype.kind == "O" and not isinstance(y.flat[0], str):
        return "unknown"
    several = y.ndim == 2 and y.shape[1] > 1
    if y.dtype.kind == "f" and (y != np.floor(y)).any():
        return "continuous-multioutput" if several else "continuous"
    n_values = len(np.unique(y))
    if several:
        numeric = y.dtype.kind in "biuf"
        return "multilabel-indicator" if numeric and n_values <= 2 else "multiclass-multioutput"
    return "multiclass" if n_values > 2 else "binary"


def unique_labels(y):
    """The labels of an array of targets, sorted."""
    y = np.asarray(y)
    kind = type_of_target(y)
    if kind == "multilabel-indicator":
        return np.arange(y.shape[1])
    if kind not in ("binary", "multiclass"):
        raise ValueError(f"Unknown label type: {kind}")
    labels = np.unique(y)
    return labels.astype(str) if y.dtype.kind == "O" else labels
