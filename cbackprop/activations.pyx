"""Activation functions, forward and backward, over arrays.

Each function takes C-contiguous two-dimensional arrays of one precision, float32 or float64, and runs without the
GIL the very kernels that `Network` runs. The backward functions take activations, not preactivations: each
derivative is written in terms of its function's value.

>>> import numpy as np
>>> from cbackprop import activations
>>> z = np.array([[-1.0, 0.0, 1.0]])
>>> activations.sigmoid(z, z)  # in place
>>> z.round(4)
array([[0.2689, 0.5   , 0.7311]])
"""

from libc.string cimport memcpy, memmove

from cbackprop._kernels.dispatch cimport kernels_for
from cbackprop._kernels.table cimport (
    EXP, IDENTITY, RELU, SIGMOID, SOFTMAX, SOFTSIGN, TANH, Activation, Kernels,
)
from cbackprop._memory cimport Block
from cbackprop._typedefs cimport lanes_t

import numpy as np

ctypedef fused real:
    float
    double

_CODES = {
    "identity": IDENTITY, "sigmoid": SIGMOID, "tanh": TANH, "relu": RELU, "softsign": SOFTSIGN,
    "exp": EXP, "softmax": SOFTMAX,
}
#: for hidden layers
HIDDEN = ("identity", "sigmoid", "tanh", "relu", "softsign")
#: for the output layer
OUTPUT = HIDDEN + ("exp", "softmax")


def canonical(name, known, argument):
    """The name under which an activation is known; "logistic" is scikit-learn's word for "sigmoid"."""
    if not isinstance(name, str):
        raise TypeError(f"{argument} must be a name, got {name!r}")
    if name == "logistic":
        name = "sigmoid"
    if name not in known:
        raise ValueError(f"{argument} is {name!r}; known are {', '.join(known)} (and logistic for sigmoid)")
    return name


cdef Activation code_of(name) except *:
    return _CODES[name]


cdef _check(const real[:, ::1] first, const real[:, ::1] second, str names):
    if first.shape[0] != second.shape[0] or first.shape[1] != second.shape[1]:
        raise ValueError(
            f"{names} must have one shape, got {(first.shape[0], first.shape[1])} "
            f"and {(second.shape[0], second.shape[1])}")
    if first.shape[0] == 0 or first.shape[1] == 0:
        raise ValueError(f"{names} are empty: their shape is {(first.shape[0], first.shape[1])}")


cdef void _forward(const Kernels* kernels, Activation code, lanes_t* numbers, Py_ssize_t n_bytes) noexcept nogil:
    """numbers := f(numbers); the rest of a row of lanes goes through a row of its own"""
    cdef lanes_t row
    cdef Py_ssize_t full = n_bytes // sizeof(lanes_t)
    cdef Py_ssize_t rest = n_bytes - full * sizeof(lanes_t)
    kernels.activate[<int>code](numbers, full)
    if rest:
        memcpy(&row, numbers + full, rest)
        kernels.activate[<int>code](&row, 1)
        memcpy(numbers + full, &row, rest)


cdef void _backward(
    const Kernels* kernels, Activation code, const lanes_t* activations, Py_ssize_t n_bytes, lanes_t* deltas
) noexcept nogil:
    """deltas *= f'(z), by the activations f(z)"""
    cdef lanes_t left, row
    cdef Py_ssize_t full = n_bytes // sizeof(lanes_t)
    cdef Py_ssize_t rest = n_bytes - full * sizeof(lanes_t)
    kernels.derivative[<int>code](activations, full, deltas)
    if rest:
        memcpy(&left, activations + full, rest)
        memcpy(&row, deltas + full, rest)
        kernels.derivative[<int>code](&left, 1, &row)
        memcpy(deltas + full, &row, rest)


cdef _apply(Activation code, const real[:, ::1] z, real[:, ::1] out):
    _check(z, out, "z and out")
    cdef const Kernels* kernels = kernels_for(np.dtype(np.float32 if real is float else np.float64))
    cdef Py_ssize_t n_bytes = z.shape[0] * z.shape[1] * sizeof(real)
    with nogil:
        if &out[0, 0] != &z[0, 0]:
            memmove(&out[0, 0], &z[0, 0], n_bytes)
        _forward(kernels, code, <lanes_t*>&out[0, 0], n_bytes)


cdef _apply_backward(Activation code, const real[:, ::1] activations, real[:, ::1] deltas):
    _check(activations, deltas, "activations and deltas")
    cdef const Kernels* kernels = kernels_for(np.dtype(np.float32 if real is float else np.float64))
    with nogil:
        _backward(kernels, code, <const lanes_t*>&activations[0, 0],
                  deltas.shape[0] * deltas.shape[1] * sizeof(real), <lanes_t*>&deltas[0, 0])


def sigmoid(const real[:, ::1] z not None, real[:, ::1] out not None):
    """out := 1 / (1 + exp(-z)), at most 2.5 units in the last place off; `out` may be `z`."""
    _apply(SIGMOID, z, out)


def sigmoid_backward(const real[:, ::1] activations not None, real[:, ::1] deltas not None):
    """deltas *= activations * (1 - activations)"""
    _apply_backward(SIGMOID, activations, deltas)


def tanh(const real[:, ::1] z not None, real[:, ::1] out not None):
    """out := tanh(z), at most 2 units in the last place off; `out` may be `z`."""
    _apply(TANH, z, out)


def tanh_backward(const real[:, ::1] activations not None, real[:, ::1] deltas not None):
    """deltas *= 1 - activations ** 2"""
    _apply_backward(TANH, activations, deltas)


def relu(const real[:, ::1] z not None, real[:, ::1] out not None):
    """out := max(0, z); `out` may be `z`."""
    _apply(RELU, z, out)


def relu_backward(const real[:, ::1] activations not None, real[:, ::1] deltas not None):
    """deltas *= activations > 0"""
    _apply_backward(RELU, activations, deltas)


def softsign(const real[:, ::1] z not None, real[:, ::1] out not None):
    """out := z / (1 + abs(z)); `out` may be `z`."""
    _apply(SOFTSIGN, z, out)


def softsign_backward(const real[:, ::1] activations not None, real[:, ::1] deltas not None):
    """deltas *= (1 - abs(activations)) ** 2"""
    _apply_backward(SOFTSIGN, activations, deltas)


def exp(const real[:, ::1] z not None, real[:, ::1] out not None):
    """out := exp(z), at most 1 unit in the last place off; `out` may be `z`."""
    _apply(EXP, z, out)


def exp_backward(const real[:, ::1] activations not None, real[:, ::1] deltas not None):
    """deltas *= activations"""
    _apply_backward(EXP, activations, deltas)


def softmax(const real[:, ::1] z not None, real[:, ::1] out not None):
    """out := exp(z) / exp(z).sum(axis=1), row by row; `out` may be `z`."""
    _check(z, out, "z and out")
    cdef const Kernels* kernels = kernels_for(np.dtype(np.float32 if real is float else np.float64))
    cdef Py_ssize_t n_rows = z.shape[0], n_out = z.shape[1]
    cdef Block block = Block((n_out + kernels.lanes - 1) // kernels.lanes * n_rows)
    with nogil:
        kernels.gather(<const lanes_t*>&z[0, 0], n_out, NULL, n_rows, block.rows, n_rows)
        kernels.softmax(block.rows, n_rows, n_out, n_rows)
        kernels.scatter(block.rows, n_rows, n_out, n_rows, <lanes_t*>&out[0, 0])
