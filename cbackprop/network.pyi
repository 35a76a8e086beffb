from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol, TypeAlias, overload, type_check_only

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from cbackprop.optimizers import Optimizer
from cbackprop.training import TrainingState

# What every room's stubs speak of: any array-like of data, the arrays that come back, and where
# random numbers come from.
@type_check_only
class _Sparse(Protocol):
    def tocsr(self, copy: bool = ...) -> Any: ...

_Rows: TypeAlias = ArrayLike | _Sparse
_Floats: TypeAlias = NDArray[np.floating[Any]]
_RandomState: TypeAlias = int | np.integer[Any] | np.random.RandomState | None
_Reduction: TypeAlias = Literal["mean", "sum"]
_ValidationData: TypeAlias = tuple[_Rows, ArrayLike] | tuple[_Rows, ArrayLike, ArrayLike | None]

class Network:
    @property
    def layer_sizes(self) -> tuple[int, ...]: ...
    @property
    def activation(self) -> tuple[str, ...]: ...
    @property
    def output_activation(self) -> str: ...
    @property
    def loss(self) -> str: ...
    @property
    def shortcuts(self) -> bool: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    @property
    def n_parameters(self) -> int: ...
    @property
    def parameters(self) -> _Floats: ...
    @parameters.setter
    def parameters(self, values: ArrayLike) -> None: ...
    @property
    def weights(self) -> list[_Floats]: ...
    @property
    def biases(self) -> list[_Floats]: ...
    def __init__(
        self,
        layer_sizes: Sequence[int],
        activation: str | Sequence[str] = "sigmoid",
        output_activation: str = "identity",
        loss: str = "squared_error",
        dtype: DTypeLike = "float64",
        random_state: _RandomState = None,
        *,
        shortcuts: bool = False,
    ) -> None: ...
    def predict(
        self, X: _Rows, out: _Floats | None = None, *, n_threads: int | None = None
    ) -> _Floats: ...
    def activations(self, X: _Rows) -> list[_Floats]: ...
    def loss_value(
        self,
        X: _Rows,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        reduction: _Reduction = "mean",
        *,
        n_threads: int | None = None,
    ) -> float: ...
    def loss_and_gradient(
        self,
        X: _Rows,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        reduction: _Reduction = "mean",
        *,
        n_threads: int | None = None,
    ) -> tuple[float, _Floats]: ...
    def deltas(self, X: _Rows, y: ArrayLike) -> list[_Floats]: ...
    def input_gradient(self, X: _Rows, y: ArrayLike) -> _Floats: ...
    def per_sample_gradients(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> _Floats: ...
    def jacobian(self, X: ArrayLike) -> _Floats: ...
    def input_jacobian(self, X: _Rows) -> _Floats: ...
    def gauss_newton(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> tuple[_Floats, _Floats]: ...
    def hessian_vector_product(
        self,
        X: _Rows,
        y: ArrayLike,
        v: ArrayLike,
        sample_weight: ArrayLike | None = None,
        reduction: _Reduction = "mean",
    ) -> _Floats: ...
    @overload
    def train(
        self,
        X: _Rows,
        y: ArrayLike,
        *,
        optimizer: Optimizer,
        batch_size: int | None = None,
        n_epochs: int = 1,
        shuffle: bool = True,
        random_state: _RandomState = None,
        sample_weight: ArrayLike | None = None,
        reduction: _Reduction = "mean",
        alpha: float = 0.0,
        validation_data: None = None,
        tol: float | None = None,
        n_iter_no_change: float = 10,
        target_loss: float | None = None,
        max_time: float | None = None,
        callback: Callable[[TrainingState], object] | None = None,
        n_threads: int | None = None,
    ) -> NDArray[np.float64]: ...
    @overload
    def train(
        self,
        X: _Rows,
        y: ArrayLike,
        *,
        optimizer: Optimizer,
        batch_size: int | None = None,
        n_epochs: int = 1,
        shuffle: bool = True,
        random_state: _RandomState = None,
        sample_weight: ArrayLike | None = None,
        reduction: _Reduction = "mean",
        alpha: float = 0.0,
        validation_data: _ValidationData,
        tol: float | None = None,
        n_iter_no_change: float = 10,
        target_loss: float | None = None,
        max_time: float | None = None,
        callback: Callable[[TrainingState], object] | None = None,
        n_threads: int | None = None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...
    def __eq__(self, other: object, /) -> bool: ...
    __hash__: None  # type: ignore[assignment]
