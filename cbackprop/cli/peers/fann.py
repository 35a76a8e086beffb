"""FANN, through a small C driver that is compiled on the spot."""

import ctypes
import functools
import math
import os
import subprocess
import tempfile
import weakref
from itertools import pairwise
from pathlib import Path

import numpy as np

from cbackprop.cli.peers.base import CannotTakePart, Peer
from cbackprop.cli.peers.own import network_of
from cbackprop.cli.workloads import LEARNING_RATE, orders

SOURCE = Path(__file__).with_name("fann.c")


def _version():
    """What Debian's package says of itself; the library has no number of its own."""
    command = ["pkg-config", "--modversion", "fann"]
    try:
        finished = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return finished.stdout.strip()


class Fann(Peer):
    """`fann_train`, incremental, one row a step.

    The sigmoid is FANN's default, straight lines between six points of a table. It takes less time
    than its other one, which calls exp: the same kind and amount of work, but not the same weights.
    """

    name = "FANN"
    version = _version()
    whole_epochs = False
    tolerance = 0.1
    table = True

    def __init__(self, problem):
        super().__init__(problem)
        if problem.batch_size != 1:
            raise CannotTakePart("takes part in online steps only")
        self._library = _library(problem.X.dtype.name)
        sizes = np.array(problem.layer_sizes, np.uintc)
        self._network = self._library.make(sizes.ctypes.data, len(sizes), LEARNING_RATE, self.table)
        if not self._network:
            raise MemoryError("FANN did not make the network")
        weakref.finalize(self, self._library.fann_destroy, self._network)
        number = np.ctypeslib.as_ctypes_type(problem.X.dtype)
        address = ctypes.cast(self._library.weights(self._network), ctypes.POINTER(number))
        self._weights = np.ctypeslib.as_array(address, problem.parameters.shape)
        network = network_of(problem)
        layers = zip(network.weights, network.biases, strict=True)
        self._start = np.concatenate([np.vstack(layer).T.ravel() for layer in layers])
        self._orders = orders(len(problem.X))
        self._order = np.empty(0, np.intp)

    def restart(self):
        self._weights[:] = self._start

    def train(self, n_steps):
        X, y = self.problem.X, self.problem.y
        # drawn when first needed, by a run that warms up: Python's part would be most of the time
        missing = math.ceil((n_steps - len(self._order)) / len(X))
        more = (next(self._orders).copy() for _ in range(missing))
        self._order = np.concatenate([self._order, *more])
        self._library.train(
            self._network, X.ctypes.data, y.ctypes.data, self._order.ctypes.data, n_steps
        )

    @property
    def parameters(self):
        parameters, start = [], 0
        for n_in, n_out in pairwise(self.problem.layer_sizes):
            stop = start + (n_in + 1) * n_out
            parameters.append(self._weights[start:stop].reshape(n_out, n_in + 1).T.ravel())
            start = stop
        return np.concatenate(parameters)


@functools.cache
def _library(dtype):
    """The driver and FANN for this precision."""
    double = dtype == "float64"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "fann.so")
        command = [os.environ.get("CC", "cc"), "-O2", "-shared", "-fPIC", "-o", path, SOURCE]
        command += ["-DDOUBLE", "-ldoublefann"] if double else ["-lfloatfann"]
        try:
            subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        except OSError as error:
            raise CannotTakePart(f"needs a C compiler: {error}") from error
        except subprocess.CalledProcessError as error:
            # the first complaint: usually that floatfann.h is missing
            reason = next((line for line in error.stderr.splitlines() if "error" in line), "")
            raise CannotTakePart(f"does not compile: {reason}") from error
        library = ctypes.CDLL(path)
    library.make.restype = library.weights.restype = ctypes.c_void_p
    library.make.argtypes = ctypes.c_void_p, ctypes.c_uint, ctypes.c_float, ctypes.c_int
    library.weights.argtypes = library.fann_destroy.argtypes = (ctypes.c_void_p,)
    library.train.argtypes = *[ctypes.c_void_p] * 4, ctypes.c_long
    return library
