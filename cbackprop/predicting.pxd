"""Outputs of a network: of a few rows by its parameters as they are, of many in blocks."""

cimport cython

from cbackprop._memory cimport Block
from cbackprop._typedefs cimport lanes_t
from cbackprop.backprop cimport Plan, Rows, Workspace
from cbackprop.team cimport Team


@cython.final
cdef class Memory:
    """What a prediction takes beside X and the outputs; it can be used again, once all has gone well."""

    cdef Block rows  # for the packed parameters, or the activations of two layers
    cdef Workspace workspace
    cdef list helpers  # as `Team` takes them
    cdef char** outs  # (n_layers + 1,), for `predict_blocks`


cdef bint predict_directly(
    Plan plan, const char* public, const char* X, Py_ssize_t n_rows, lanes_t* first, lanes_t* second, char* out
) noexcept nogil

cdef void predict_blocks(
    Team team, const lanes_t* parameters, const Rows* data, Py_ssize_t n_rows,
    Py_ssize_t first_layer, char** outs) noexcept nogil
