# cython: language_level=3
"""A signal followed by a network that learns inside the loop, without Python."""

from libc.math cimport cos, sin

cimport cbackprop

cdef enum:
    N_PAST = 8


def follow(network, optimizer, Py_ssize_t n_steps):
    """The mean squared errors of predictions, one step ahead, in the first and in the last quarter of the steps.

    Parameters
    ----------
    network : cbackprop.Network
        float64, 8 inputs, one output; it goes on learning from one call to the next.
    optimizer : cbackprop.SGD, cbackprop.Adam, ...
    n_steps : int
    """
    cdef cbackprop.cbackprop_network* handle
    cdef double[N_PAST] past
    cdef double value, predicted, first = 0, last = 0
    cdef Py_ssize_t k, i, quarter = n_steps // 4
    cdef int code = cbackprop.lend(network, optimizer, 1, &handle)
    if code != cbackprop.CBACKPROP_OK:
        raise RuntimeError(cbackprop.message(code).decode())
    with nogil:
        for i in range(N_PAST):
            past[i] = 0
        for k in range(n_steps):
            value = sin(0.3 * k) + 0.5 * cos(0.11 * k)
            code = cbackprop.predict(handle, past, 1, &predicted)
            if code == cbackprop.CBACKPROP_OK:
                code = cbackprop.step(handle, past, &value, NULL, 1, NULL)
            if code != cbackprop.CBACKPROP_OK:
                break
            if k < quarter:
                first += (predicted - value) ** 2
            elif k >= n_steps - quarter:
                last += (predicted - value) ** 2
            for i in range(N_PAST - 1, 0, -1):
                past[i] = past[i - 1]
            past[0] = value
        cbackprop.release(handle)
    if code != cbackprop.CBACKPROP_OK:
        raise RuntimeError(cbackprop.message(code).decode())
    return first / quarter, last / quarter
