"""A first layer whose inputs are sparse rows, as the engine calls it: `dense` with the zeros left out."""

from cbackprop._kernels.table cimport Change, Kernels, SparseRows
from cbackprop._typedefs cimport lanes_t
from cbackprop._watch cimport Watch
from cbackprop.dense cimport Layer

cdef bint sparse_forward_panels(
    const Kernels* kernels, const Layer* layer, const lanes_t* parameters,
    const SparseRows* inputs, Py_ssize_t stride, Py_ssize_t n_rows, bint activate,
    lanes_t* out, Watch* watch, bint* good) noexcept nogil

cdef bint sparse_gradient_panels(
    const Kernels* kernels, const Layer* layer,
    const SparseRows* inputs, const lanes_t* deltas, Py_ssize_t stride, Py_ssize_t n_rows,
    Py_ssize_t first, Py_ssize_t last, const Change* change, lanes_t* scratch, lanes_t* out,
    Watch* watch) noexcept nogil

cdef Py_ssize_t step_rows(const Layer* layer) noexcept nogil
