"""Memory for panels, and pointers into arrays."""

from cpython.buffer cimport PyBUF_ND, PyBUF_WRITABLE, Py_buffer, PyBuffer_Release, PyObject_GetBuffer

from cbackprop._typedefs cimport lanes_t


cdef class Block:
    """Rows of lanes at a 64-byte boundary, zero at first; freed with the object."""

    cdef void* _memory
    cdef lanes_t* rows

cdef class Pointer:
    """The memory of a C-contiguous array, exported for as long as the object lives."""

    cdef Py_buffer _buffer
    cdef bint _exported
    cdef char* at

    cdef Py_ssize_t n_rows(self) noexcept
    cdef bint shares_memory(self, Pointer other) noexcept

cdef Pointer matrix_of(object array, object dtype, Py_ssize_t n_columns, bint writable=*)
