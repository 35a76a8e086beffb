"""Memory for panels, and pointers into arrays."""

from cpython.mem cimport PyMem_RawCalloc, PyMem_RawFree


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
        PyObject_GetBuffer(array, &self._buffer, PyBUF_WRITABLE if writable else PyBUF_SIMPLE)
        self._exported = True
        self.at = <char*>self._buffer.buf

    def __dealloc__(self):
        if self._exported:
            PyBuffer_Release(&self._buffer)
