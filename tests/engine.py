"""The table of cbackprop.h, called by ctypes: what C sees, without a compiler."""

import ctypes
import re
from pathlib import Path

import numpy as np

import cbackprop
from cbackprop import capi

HEADER = Path(cbackprop.get_include()) / "cbackprop.h"
POINTER, SIZE, CODE = ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_int
NUMBER = ctypes.POINTER(ctypes.c_double)


def codes():
    """The header's constants, without their prefix."""
    found = re.findall(r"CBACKPROP_(\w+) = (\d+)", HEADER.read_text("utf-8"))
    return {name: int(value) for name, value in found}


class Table(ctypes.Structure):
    _fields_ = [
        ("size", ctypes.c_size_t),
        ("abi_version", ctypes.c_int),
        ("message", ctypes.CFUNCTYPE(ctypes.c_char_p, CODE)),
        (
            "create",
            ctypes.CFUNCTYPE(
                *(CODE, POINTER, SIZE, POINTER, CODE, CODE, ctypes.c_double, ctypes.c_uint, SIZE),
                POINTER,
            ),
        ),
        ("lend", ctypes.PYFUNCTYPE(CODE, ctypes.py_object, ctypes.py_object, SIZE, POINTER)),
        ("release", ctypes.CFUNCTYPE(CODE, POINTER)),
        ("describe", ctypes.CFUNCTYPE(CODE, POINTER, POINTER, POINTER, POINTER, POINTER)),
        ("get_parameters", ctypes.CFUNCTYPE(CODE, POINTER, POINTER)),
        ("set_parameters", ctypes.CFUNCTYPE(CODE, POINTER, POINTER)),
        ("set_learning_rate", ctypes.CFUNCTYPE(CODE, POINTER, ctypes.c_double)),
        ("predict", ctypes.CFUNCTYPE(CODE, POINTER, POINTER, SIZE, POINTER)),
        ("step", ctypes.CFUNCTYPE(CODE, POINTER, POINTER, POINTER, POINTER, SIZE, NUMBER)),
        (
            "train",
            ctypes.CFUNCTYPE(CODE, POINTER, POINTER, POINTER, POINTER, SIZE, POINTER, SIZE, NUMBER),
        ),
        (
            "loss_and_gradient",
            ctypes.CFUNCTYPE(CODE, POINTER, POINTER, POINTER, POINTER, SIZE, NUMBER, POINTER),
        ),
    ]


def at(array):
    """The address of an array, which must be kept; None for None."""
    return None if array is None else array.ctypes.data


def table():
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = POINTER, [ctypes.py_object, ctypes.c_char_p]
    return Table.from_address(get(capi.table, b"cbackprop.capi.table"))


ENGINE = table()
CODES = codes()
#: names by codes, of those that functions return
ERRORS = {value: name for name, value in list(CODES.items())[:15]}


class Lent:
    """A network in the hands of C: the table's functions over arrays; an error is its name."""

    def __init__(self, network, optimizer, max_rows=256):
        self.dtype, self.n_outputs = network.dtype, network.layer_sizes[-1]
        self.n_parameters = network.n_parameters
        self.handle = POINTER()
        code = ENGINE.lend(network, optimizer, max_rows, ctypes.addressof(self.handle))
        assert code == CODES["OK"], ENGINE.message(code)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        assert self.release() == "OK"

    def release(self):
        return ERRORS[ENGINE.release(self.handle)]

    def _as(self, array):
        return None if array is None else np.ascontiguousarray(array, self.dtype)

    def parameters(self):
        out = np.empty(self.n_parameters, self.dtype)
        assert ENGINE.get_parameters(self.handle, at(out)) == 0
        return out

    def set_parameters(self, values):
        values = self._as(values)
        return ERRORS[ENGINE.set_parameters(self.handle, at(values))]

    def predict(self, X):
        X = self._as(X)
        out = np.empty((len(X), self.n_outputs), self.dtype)
        code = ENGINE.predict(self.handle, at(X), len(X), at(out))
        return out if code == 0 else ERRORS[code]

    def step(self, X, y, sample_weight=None):
        X, y, sample_weight = self._as(X), self._as(y), self._as(sample_weight)
        loss = ctypes.c_double()
        code = ENGINE.step(self.handle, at(X), at(y), at(sample_weight), len(X), loss)
        return loss.value if code == 0 else ERRORS[code]

    def train(self, X, y, sample_weight=None, order=None, batch_size=1):
        X, y, sample_weight = self._as(X), self._as(y), self._as(sample_weight)
        loss = ctypes.c_double()
        code = ENGINE.train(
            self.handle, at(X), at(y), at(sample_weight), len(X), at(order), batch_size, loss
        )
        return loss.value if code == 0 else ERRORS[code]

    def loss_and_gradient(self, X, y, sample_weight=None):
        X, y, sample_weight = self._as(X), self._as(y), self._as(sample_weight)
        loss, gradient = ctypes.c_double(), np.empty(self.n_parameters, self.dtype)
        code = ENGINE.loss_and_gradient(
            self.handle, at(X), at(y), at(sample_weight), len(X), loss, at(gradient)
        )
        return (loss.value, gradient) if code == 0 else ERRORS[code]
