from cbackprop._typedefs cimport lanes_t
from cbackprop.training cimport Training


cdef class WholeSetTraining(Training):
    cdef bint is_over(self) noexcept nogil
    cdef double descent(self, const lanes_t* at, lanes_t* out) noexcept nogil
    cdef double dot(self, const lanes_t* x, const lanes_t* y) noexcept nogil
    cdef void combine(self, double a, const lanes_t* x, double b, const lanes_t* y, lanes_t* out) noexcept nogil
    cdef void combine_rows(
        self, double a, const lanes_t* x, double b, const lanes_t* y, Py_ssize_t n_rows, lanes_t* out) noexcept nogil
