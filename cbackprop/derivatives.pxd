"""Derivatives beyond the gradient: row by row, output by output, by the inputs, and of second order."""

cimport cython

from cbackprop._memory cimport Block
from cbackprop._typedefs cimport lanes_t
from cbackprop.backprop cimport Plan, Rows, Workspace
from cbackprop.team cimport Team

cdef enum Variables:
    # What a derivative is taken by.
    PREACTIVATIONS
    INPUTS
    PARAMETERS

cdef void derive_blocks(
    Workspace workspace, const lanes_t* parameters, const Rows* data, Py_ssize_t n_rows, Variables by,
    bint of_outputs, char** outs) noexcept nogil


@cython.final
cdef class NormalEquations:
    """J^T J and J^T r for residuals r = outputs - y and their derivatives J by the parameters."""

    cdef Plan plan
    cdef Workspace workspace  # with the deltas of every layer
    cdef Block _block
    cdef Py_ssize_t n  # parameters
    cdef Py_ssize_t n_panels  # of n + 1 columns
    # (n_panels, n + 1): J^T J on and right of the diagonal, in the order of the public parameters; in column n J^T r
    cdef lanes_t* square
    cdef lanes_t* residuals  # (BLOCK_ROWS, n_outputs) numbers
    cdef lanes_t* numbers  # (ROWS_AT_ONCE, n + 1) numbers: rows of J, and of r
    cdef lanes_t* panels  # the same in panels

    cdef bint add_up(self, const lanes_t* parameters, const Rows* data, Py_ssize_t n_rows) noexcept nogil
    cdef bint add_output(self, Py_ssize_t output, Py_ssize_t n_rows) noexcept nogil
    cdef bint add_rows(self, Py_ssize_t n_rows) noexcept nogil
    cdef bint write_square(self, char* out, char* last_columns) noexcept nogil


@cython.final
cdef class HessianProduct:
    """The product of the loss's second derivatives with a direction."""

    cdef Plan plan
    cdef Team team
    cdef Workspace workspace  # the team's
    cdef Workspace tangents  # how its activations and deltas change along the direction
    cdef Block _block
    cdef lanes_t* direction  # as the private parameters
    cdef lanes_t* unbiased  # the parameters with biases of zero
    cdef lanes_t* spare  # (widest, stride)
    cdef bint weighted

    cdef bint sum_blocks(
        self, const lanes_t* parameters, const Rows* data, Py_ssize_t n_rows, double* weight) noexcept nogil
    cdef bint forward(self, const lanes_t* parameters, const Rows* data, Py_ssize_t n_rows) noexcept nogil
    cdef bint backward(self, const lanes_t* parameters, Py_ssize_t n_rows, lanes_t* out) noexcept nogil
    cdef bint deltas_below(self, Py_ssize_t k, const lanes_t* parameters, Py_ssize_t n_rows) noexcept nogil
    cdef bint product(
        self, Py_ssize_t k, const lanes_t* parameters, const lanes_t* deltas, Py_ssize_t n_rows, lanes_t* out
    ) noexcept nogil
    cdef bint gradients(self, Py_ssize_t k, Py_ssize_t n_rows, lanes_t* out) noexcept nogil
    cdef void times_slope(self, Py_ssize_t k, Py_ssize_t n_rows) noexcept nogil
    cdef void add(self, Py_ssize_t n_panels, Py_ssize_t n_rows, lanes_t* out) noexcept nogil
