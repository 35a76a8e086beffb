"""Estimators with scikit-learn's interface, and on its base classes where it is installed."""

from cbackprop.estimators._base import contract
from cbackprop.estimators._classifier import MLPClassifier
from cbackprop.estimators._regressor import MLPRegressor

ConvergenceWarning = contract.ConvergenceWarning
DataConversionWarning = contract.DataConversionWarning
InvalidParameterError = contract.InvalidParameterError
NotFittedError = contract.NotFittedError

__all__ = [
    "ConvergenceWarning",
    "DataConversionWarning",
    "InvalidParameterError",
    "MLPClassifier",
    "MLPRegressor",
    "NotFittedError",
]
