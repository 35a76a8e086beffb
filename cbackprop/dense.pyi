from typing import Any

import numpy as np
from numpy.typing import NDArray

def forward(
    X: NDArray[np.floating[Any]],
    weights: NDArray[np.floating[Any]],
    biases: NDArray[np.floating[Any]],
    out: NDArray[np.floating[Any]],
) -> None: ...
def deltas_below(
    deltas: NDArray[np.floating[Any]],
    weights: NDArray[np.floating[Any]],
    out: NDArray[np.floating[Any]],
) -> None: ...
def gradients(
    activations: NDArray[np.floating[Any]],
    deltas: NDArray[np.floating[Any]],
    weight_grads: NDArray[np.floating[Any]],
    bias_grads: NDArray[np.floating[Any]],
) -> None: ...
