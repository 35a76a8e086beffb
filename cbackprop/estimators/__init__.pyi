from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias, TypeVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from cbackprop.network import _Floats, _RandomState, _Rows, _ValidationData
from cbackprop.optimizers import Optimizer, _MaybeNone
from cbackprop.training import TrainingState

__all__ = [
    "ConvergenceWarning",
    "DataConversionWarning",
    "InvalidParameterError",
    "MLPClassifier",
    "MLPRegressor",
    "NotFittedError",
]

_Self = TypeVar("_Self", bound=_BaseMLP)
_Hidden: TypeAlias = Literal["identity", "logistic", "tanh", "relu", "softsign"]
_Activation: TypeAlias = _Hidden | Sequence[_Hidden]
_Output: TypeAlias = Literal["identity", "logistic", "tanh", "relu", "softsign", "exp", "softmax"]
_Solver: TypeAlias = (
    Literal[
        "lbfgs",
        "sgd",
        "adam",
        "adamw",
        "rmsprop",
        "rprop",
        "scaled_conjugate_gradient",
        "levenberg_marquardt",
        "bayesian_regularization",
    ]
    | Optimizer
)
_Schedule: TypeAlias = Literal["constant", "invscaling", "adaptive"]

class ConvergenceWarning(UserWarning): ...
class DataConversionWarning(UserWarning): ...
class InvalidParameterError(ValueError, TypeError): ...
class NotFittedError(ValueError, AttributeError): ...

# What both estimators have: parameters (as attributes; each constructor lists them once more),
# what a fit leaves, and methods.
class _BaseMLP:
    hidden_layer_sizes: int | Sequence[int] | NDArray[np.integer[Any]]
    activation: _Activation
    solver: _Solver
    alpha: float
    batch_size: int | Literal["auto"]
    learning_rate: _Schedule
    learning_rate_init: float
    power_t: float
    max_iter: int
    shuffle: bool
    random_state: _RandomState
    tol: float
    verbose: bool | int
    warm_start: bool
    momentum: float
    nesterovs_momentum: bool
    early_stopping: bool
    validation_fraction: float
    beta_1: float
    beta_2: float
    epsilon: float
    n_iter_no_change: float
    max_fun: int
    n_threads: int | None
    callback: Callable[[TrainingState], object] | None
    dtype: DTypeLike | None
    output_activation: _Output | None
    target_loss: float | None
    max_time: float | None
    coefs_: list[_Floats]
    intercepts_: list[_Floats]
    loss_: float
    best_loss_: float | _MaybeNone
    loss_curve_: list[float]
    validation_scores_: list[float] | _MaybeNone
    validation_loss_curve_: list[float] | _MaybeNone
    best_validation_score_: float | _MaybeNone
    n_iter_: int
    t_: int
    n_features_in_: int
    feature_names_in_: NDArray[np.object_]
    n_layers_: int
    n_outputs_: int
    out_activation_: str
    def fit(
        self: _Self,
        X: _Rows,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        validation_data: _ValidationData | None = None,
    ) -> _Self: ...
    def score(self, X: _Rows, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float: ...
    def get_params(self, deep: bool = True) -> dict[str, Any]: ...
    def set_params(self: _Self, **params: Any) -> _Self: ...
    def to_sklearn(self) -> Any: ...

class MLPClassifier(_BaseMLP):
    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] | NDArray[np.integer[Any]] = (100,),
        activation: _Activation = "relu",
        *,
        solver: _Solver = "adam",
        alpha: float = 0.0001,
        batch_size: int | Literal["auto"] = "auto",
        learning_rate: _Schedule = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: _RandomState = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        n_threads: int | None = None,
        callback: Callable[[TrainingState], object] | None = None,
        dtype: DTypeLike | None = None,
        output_activation: _Output | None = None,
        target_loss: float | None = None,
        max_time: float | None = None,
    ) -> None: ...
    classes_: NDArray[Any]
    def partial_fit(
        self: _Self,
        X: _Rows,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        classes: ArrayLike | None = None,
    ) -> _Self: ...
    def predict(self, X: _Rows) -> NDArray[Any]: ...
    def predict_proba(self, X: _Rows) -> _Floats: ...
    def predict_log_proba(self, X: _Rows) -> _Floats: ...

class MLPRegressor(_BaseMLP):
    def __init__(
        self,
        loss: Literal["squared_error", "poisson"] = "squared_error",
        hidden_layer_sizes: int | Sequence[int] | NDArray[np.integer[Any]] = (100,),
        activation: _Activation = "relu",
        *,
        solver: _Solver = "adam",
        alpha: float = 0.0001,
        batch_size: int | Literal["auto"] = "auto",
        learning_rate: _Schedule = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: _RandomState = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        n_threads: int | None = None,
        callback: Callable[[TrainingState], object] | None = None,
        dtype: DTypeLike | None = None,
        output_activation: _Output | None = None,
        target_loss: float | None = None,
        max_time: float | None = None,
    ) -> None: ...
    def partial_fit(
        self: _Self, X: _Rows, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> _Self: ...
    def predict(self, X: _Rows) -> _Floats: ...
