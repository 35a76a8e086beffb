from typing import Any

import numpy as np
from numpy.typing import NDArray

from cbackprop.optimizers import Optimizer, _MaybeNone

class ScaledConjugateGradient(Optimizer):
    def __init__(self, sigma: float = 5e-5, scale: float = 5e-7) -> None: ...
    @property
    def sigma(self) -> float: ...
    @property
    def scale(self) -> float: ...
    @property
    def direction(self) -> NDArray[np.floating[Any]] | _MaybeNone: ...
