"""Who is timed by ``cbackprop bench``: one class each, with the face of `Peer` or `Predictor`.

The libraries of `OTHERS` are imported only when they are asked for.
"""

import importlib

from cbackprop.cli.peers.base import CannotTakePart, Peer, Predictor
from cbackprop.cli.peers.numpy_by_hand import NumpyByHand, NumpyPredictor
from cbackprop.cli.peers.own import Cbackprop, CbackpropPredictor, EstimatorPredictor, WithoutOut
from cbackprop.cli.peers.pure_python import PurePython

PEERS = Cbackprop, NumpyByHand, PurePython
PREDICTORS = CbackpropPredictor, WithoutOut, EstimatorPredictor, NumpyPredictor

# A peer's name: the module of this package and the class.
OTHER_PEERS = {
    "scikit-learn": ("scikit_learn", "ScikitLearn"),
    "PyTorch": ("pytorch", "PyTorch"),
    "torch.compile": ("pytorch", "Compiled"),
    "JAX": ("jax", "Jax"),
    "FANN": ("fann", "Fann"),
}
OTHER_PREDICTORS = {
    "scikit-learn": ("scikit_learn", "ScikitLearnPredictor"),
    "PyTorch": ("pytorch", "PyTorchPredictor"),
    "ONNX Runtime": ("onnx_runtime", "OnnxRuntimePredictor"),
}

__all__ = [
    "OTHER_PEERS",
    "OTHER_PREDICTORS",
    "PEERS",
    "PREDICTORS",
    "CannotTakePart",
    "Cbackprop",
    "NumpyByHand",
    "Peer",
    "Predictor",
    "PurePython",
    "load",
]


def load(others):
    """The classes of `OTHER_PEERS` or `OTHER_PREDICTORS`; a stand-in for one not installed."""
    return [_load(name, module, class_name) for name, (module, class_name) in others.items()]


def _load(name, module, class_name):
    try:
        return getattr(importlib.import_module(f"cbackprop.cli.peers.{module}"), class_name)
    except Exception as error:  # of many kinds: a library is missing, or broken
        reason = str(error)

    class Missing(Peer):
        def __init__(self, problem):
            raise CannotTakePart(reason)

    Missing.name = name
    return Missing
