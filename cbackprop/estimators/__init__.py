"""Estimators with scikit-learn's interface; scikit-learn itself is not needed."""

from cbackprop.estimators._base import NotFittedError
from cbackprop.estimators._classifier import MLPClassifier
from cbackprop.estimators._mlp import ConvergenceWarning
from cbackprop.estimators._regressor import MLPRegressor
from cbackprop.estimators._validation import InvalidParameterError

__all__ = [
    "ConvergenceWarning",
    "InvalidParameterError",
    "MLPClassifier",
    "MLPRegressor",
    "NotFittedError",
]
