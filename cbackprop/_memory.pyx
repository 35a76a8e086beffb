"""Memory for panels, and pointers into arrays."""

from cpython.mem cimport PyMem_RawCalloc, PyMem_RawFree

from numpy import ndarray


cdef class Block:
    def __cinit__(self, Py_ssize_t n_rows):
        # one row more than asked for, to reach the boundary
        self._memory = PyMem_RawCalloc(<size_t>n_rows + 1, sizeof(lanes_t))
        if self._memory == NULL:
            raise MemoryError(f"no memory for {(n_rows + 1) * sizeof(lanes_t):_} bytes of workspace")
        self.rows = <lanes_t*>((<size_t>self._memory + sizeof(lanes_t) - 1) // sizeof(lanes_t) * sizeof(lanes_t))

    def __dealloc__(self):
        PyMem_RawFree(self._memory)


cdef class Pointer:
    def __cinit__(self, array, bint writable=False):
        self._exported = False
        PyObject_GetBuffer(array, &self._buffer, PyBUF_ND | PyBUF_WRITABLE if writable else PyBUF_ND)
        self._exported = True
        self.at = <char*>self._buffer.buf

    def __dealloc__(self):
        if self._exported:
            PyBuffer_Release(&self._buffer)

    cdef Py_ssize_t n_rows(self) noexcept:
        """Of the array, which has one dimension at least."""
        return self._buffer.shape[0]

    cdef bint shares_memory(self, Pointer other) noexcept:
        return self.at < other.at + other._buffer.len and other.at < self.at + self._buffer.len


cdef Pointer matrix_of(object array, object dtype, Py_ssize_t n_columns, bint writable=False):
    """The memory of a matrix of one row at least that the engine takes as it is; None for whatever else"""
    cdef Pointer pointer
    if type(array) is not ndarray or array.dtype is not dtype:
        return None
    try:
        pointer = Pointer(array, writable)
    except (BufferError, ValueError):  # not contiguous, or not writable
        return None
    if (
        pointer._buffer.ndim != 2 or pointer._buffer.shape[0] == 0 or pointer._buffer.shape[1] != n_columns
        or <size_t>pointer.at % <size_t>pointer._buffer.itemsize != 0
    ):
        return None
    return pointer
