"""Outputs of a network: of a few rows by its parameters as they are, of many in blocks."""

from cbackprop._typedefs cimport lanes_t
from cbackprop.backprop cimport Plan, Rows
from cbackprop.team cimport Team

cdef bint predict_directly(
    Plan plan, const char* public, const char* X, Py_ssize_t n_rows, lanes_t* first, lanes_t* second, char* out
) noexcept nogil

cdef void predict_blocks(
    Team team, const lanes_t* parameters, const Rows* data, Py_ssize_t n_rows,
    Py_ssize_t first_layer, char** outs) noexcept nogil
