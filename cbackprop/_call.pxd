"""One call of a method of `Network`: what it lends the engine, and what stops it."""

from libc.stdint cimport uint64_t

from cbackprop._memory cimport Block
from cbackprop._typedefs cimport lanes_t
from cbackprop.backprop cimport Rows, Workspace

cdef bint poll_signals(void* context) noexcept with gil

cdef class Call:
    """One call on its way through the engine: workspace, packed parameters, pointers into the caller's arrays."""

    cdef Workspace workspace
    cdef Block parameters
    cdef Rows data
    cdef list arrays  # what the pointers point into, by the names of the arguments
    cdef uint64_t float_mode  # the caller's
    cdef object error

    cdef Rows rows_of(self, data)
    cdef lanes_t* _pointer(self, array)
    cdef check(self, X, targets, sample_weight, prefix=*)
