"""A team of threads, and how many threads of the process compute."""

from cbackprop._float_mode cimport float_mode, set_float_mode  # no-cython-lint: for _threads.h
from cbackprop._watch cimport WORK_BETWEEN_LOOKS, Watch, interrupted

cdef extern from "_threads.h" nogil:
    ctypedef void (*look_t "cbackprop_look")(void* context) noexcept
    ctypedef struct cbackprop_team:
        Py_ssize_t n_threads
    cbackprop_team* cbackprop_hire(Py_ssize_t n_threads) noexcept
    void cbackprop_dismiss(cbackprop_team* team) noexcept
    bint cbackprop_is_left(const cbackprop_team* team) noexcept
    bint cbackprop_run(
        cbackprop_team* team, Py_ssize_t n_shares, job_t job, void* context, look_t look, void* watch) noexcept
    void cbackprop_enter() noexcept
    void cbackprop_leave() noexcept
    Py_ssize_t cbackprop_callers() noexcept
    int cbackprop_watch_forks() noexcept

if cbackprop_watch_forks():
    raise MemoryError("no memory for the function that a fork calls")


cdef class Threads:
    def __cinit__(self, Py_ssize_t n_threads):
        """Up to n_threads; fewer where the system does not give so many."""
        cdef cbackprop_team* team = cbackprop_hire(n_threads) if n_threads > 1 else NULL
        self._team = team
        self.n_threads = team.n_threads if team != NULL else 1

    def __dealloc__(self):
        if self._team != NULL:
            cbackprop_dismiss(<cbackprop_team*>self._team)

    cdef Py_ssize_t n_here(self) noexcept nogil:
        """How many threads `run` may use: one in a child of the process that borrowed them"""
        return 1 if self._team == NULL or cbackprop_is_left(<cbackprop_team*>self._team) else self.n_threads

    cdef bint run(self, Py_ssize_t n_shares, job_t job, void* context, Watch* watch) noexcept nogil:
        """Calls job for each share, 2 to n_threads, on a thread of its own; returns whether all are done

        They are not where a signal handler has forked the process, and this is the child.
        """
        return cbackprop_run(<cbackprop_team*>self._team, n_shares, job, context, look, watch)


cdef void look(void* watch) noexcept nogil:
    interrupted(<Watch*>watch, WORK_BETWEEN_LOOKS)


cdef void enter_callers() noexcept nogil:
    """This thread computes from now on; others leave a core to it"""
    cbackprop_enter()


cdef void leave_callers() noexcept nogil:
    cbackprop_leave()


cdef Py_ssize_t n_callers() noexcept nogil:
    """How many threads, besides workers, compute at this moment"""
    return cbackprop_callers()
