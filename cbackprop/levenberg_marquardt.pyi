from typing import Literal

from cbackprop.optimizers import Optimizer, _MaybeNone

class LevenbergMarquardt(Optimizer):
    def __init__(
        self,
        mu: float = 0.001,
        mu_inc: float = 10.0,
        mu_dec: float = 0.1,
        mu_max: float = 1e10,
        min_grad: float = 1e-7,
        damping: Literal["marquardt", "nielsen"] = "marquardt",
        max_memory: int = 2**30,
    ) -> None: ...
    @property
    def mu(self) -> float: ...
    @property
    def mu_inc(self) -> float: ...
    @property
    def mu_dec(self) -> float: ...
    @property
    def mu_max(self) -> float: ...
    @property
    def min_grad(self) -> float: ...
    @property
    def damping(self) -> str: ...
    @property
    def max_memory(self) -> int: ...
    @property
    def current_mu(self) -> float | _MaybeNone: ...

class BayesianRegularization(LevenbergMarquardt):
    def __init__(
        self,
        mu: float = 0.005,
        mu_inc: float = 10.0,
        mu_dec: float = 0.1,
        mu_max: float = 1e10,
        min_grad: float = 1e-7,
        damping: Literal["marquardt", "nielsen"] = "marquardt",
        max_memory: int = 2**30,
    ) -> None: ...
    @property
    def alpha(self) -> float | _MaybeNone: ...
    @property
    def beta(self) -> float | _MaybeNone: ...
    @property
    def n_effective(self) -> float | _MaybeNone: ...
