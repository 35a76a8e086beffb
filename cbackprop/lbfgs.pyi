from cbackprop.optimizers import Optimizer

class LBFGS(Optimizer):
    def __init__(
        self,
        memory: int = 10,
        gtol: float = 1e-5,
        ftol: float = 2.220446049250313e-09,
        max_evaluations: int | None = None,
    ) -> None: ...
    @property
    def memory(self) -> int: ...
    @property
    def gtol(self) -> float: ...
    @property
    def ftol(self) -> float: ...
    @property
    def max_evaluations(self) -> int | None: ...
    @property
    def ending(self) -> str | None: ...
