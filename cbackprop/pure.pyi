from collections.abc import Callable, Sequence
from random import Random
from types import SimpleNamespace
from typing import Literal, Protocol, TypeAlias, type_check_only

from cbackprop.network import _Reduction

# Python's own lists and floats, row by row.
_Rows: TypeAlias = Sequence[Sequence[float]]
_Targets: TypeAlias = Sequence[float] | _Rows
_RandomState: TypeAlias = int | Random | None

@type_check_only
class _Optimizer(Protocol):
    def step(self, parameters: list[float], gradient: list[float]) -> list[float]: ...

class SGD:
    learning_rate: float
    momentum: float
    nesterov: bool
    velocity: list[float] | None
    def __init__(
        self, learning_rate: float, momentum: float = 0.0, nesterov: bool = False
    ) -> None: ...
    def step(self, parameters: list[float], gradient: list[float]) -> list[float]: ...

class Adam:
    learning_rate: float
    beta_1: float
    beta_2: float
    epsilon: float
    n_steps: int
    mean_gradients: list[float] | None
    mean_squares: list[float] | None
    def __init__(
        self,
        learning_rate: float = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
    ) -> None: ...
    def step(self, parameters: list[float], gradient: list[float]) -> list[float]: ...

class Network:
    layer_sizes: tuple[int, ...]
    activation: tuple[str, ...]
    output_activation: str
    loss: str
    dtype: str
    shortcuts: bool
    n_parameters: int
    @property
    def parameters(self) -> list[float]: ...
    @parameters.setter
    def parameters(self, values: Sequence[float]) -> None: ...
    @property
    def weights(self) -> list[list[list[float]]]: ...
    @property
    def biases(self) -> list[list[float]]: ...
    def __init__(
        self,
        layer_sizes: Sequence[int],
        activation: str | Sequence[str] = "sigmoid",
        output_activation: str = "identity",
        loss: str = "squared_error",
        dtype: Literal["float64"] = "float64",
        random_state: _RandomState = None,
        *,
        shortcuts: bool = False,
    ) -> None: ...
    def predict(self, X: _Rows) -> list[list[float]]: ...
    def activations(self, X: _Rows) -> list[_Rows]: ...
    def deltas(self, X: _Rows, y: _Targets) -> list[list[list[float]]]: ...
    def input_gradient(self, X: _Rows, y: _Targets) -> list[list[float]]: ...
    def loss_value(
        self,
        X: _Rows,
        y: _Targets,
        sample_weight: Sequence[float] | None = None,
        reduction: _Reduction = "mean",
    ) -> float: ...
    def loss_and_gradient(
        self,
        X: _Rows,
        y: _Targets,
        sample_weight: Sequence[float] | None = None,
        reduction: _Reduction = "mean",
        alpha: float = 0.0,
    ) -> tuple[float, list[float]]: ...
    def train(
        self,
        X: _Rows,
        y: _Targets,
        *,
        optimizer: _Optimizer,
        batch_size: int | None = None,
        n_epochs: int = 1,
        shuffle: bool = True,
        random_state: _RandomState = None,
        sample_weight: Sequence[float] | None = None,
        reduction: _Reduction = "mean",
        alpha: float = 0.0,
        tol: float | None = None,
        n_iter_no_change: int = 10,
        callback: Callable[[SimpleNamespace], object] | None = None,
    ) -> list[float]: ...
