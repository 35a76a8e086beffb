"""A team of threads, and how many threads of the process compute."""

cimport cython

from cbackprop._watch cimport Watch

ctypedef void (*job_t)(void* context, Py_ssize_t share, Py_ssize_t n_shares) noexcept nogil


@cython.final
cdef class Threads:
    """The calling thread and others, borrowed for as long as the object lives."""

    cdef void* _team
    cdef Py_ssize_t n_threads  # as many as could be had
    cdef Py_ssize_t n_here(self) noexcept nogil
    cdef bint run(self, Py_ssize_t n_shares, job_t job, void* context, Watch** watches) noexcept nogil

cdef void enter_callers() noexcept nogil
cdef void leave_callers() noexcept nogil
cdef Py_ssize_t n_callers() noexcept nogil
