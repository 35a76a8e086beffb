from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

def forward(
    X: NDArray[np.floating[Any]],
    weights: Sequence[NDArray[np.floating[Any]]],
    biases: Sequence[NDArray[np.floating[Any]]],
    activation: Sequence[str],
) -> list[NDArray[np.floating[Any]]]: ...
def deltas(
    output_deltas: NDArray[np.floating[Any]],
    weights: Sequence[NDArray[np.floating[Any]]],
    activations: Sequence[NDArray[np.floating[Any]]],
    activation: Sequence[str],
) -> list[NDArray[np.floating[Any]]]: ...
def gradients(
    activations: Sequence[NDArray[np.floating[Any]]], deltas: Sequence[NDArray[np.floating[Any]]]
) -> tuple[list[NDArray[np.floating[Any]]], list[NDArray[np.floating[Any]]]]: ...
