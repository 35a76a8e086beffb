"""A team of threads, and how many threads of the process compute."""

from cpython.mem cimport PyMem_Free, PyMem_Malloc

from cbackprop._float_mode cimport float_mode, set_float_mode  # no-cython-lint: for _threads.h
from cbackprop._watch cimport WORK_BETWEEN_LOOKS, Watch, cbackprop_set_flag, interrupted

cdef extern from "_threads.h" nogil:
    ctypedef struct cbackprop_team:
        Py_ssize_t n_threads
    void cbackprop_hire(cbackprop_team* team, Py_ssize_t n_threads) noexcept
    void cbackprop_dismiss(cbackprop_team* team) noexcept
    bint cbackprop_is_left(const cbackprop_team* team) noexcept
    void cbackprop_give(cbackprop_team* team, Py_ssize_t n_shares, job_t job, void* context) noexcept
    bint cbackprop_claim(cbackprop_team* team, Py_ssize_t share) noexcept
    bint cbackprop_wait(cbackprop_team* team, Py_ssize_t share) noexcept
    void cbackprop_enter() noexcept
    void cbackprop_leave() noexcept
    Py_ssize_t cbackprop_callers() noexcept
    int cbackprop_watch_forks() noexcept

if cbackprop_watch_forks():
    raise MemoryError("no memory for the function that a fork calls")


cdef class Threads:
    def __cinit__(self, Py_ssize_t n_threads):
        """Up to n_threads; fewer where the system does not give so many."""
        self.n_threads = 1
        if n_threads > 1:
            # small enough for Python's allocator to have it at hand
            self._team = PyMem_Malloc(sizeof(cbackprop_team))
            if self._team == NULL:
                raise MemoryError(f"no memory for {n_threads} threads")
            cbackprop_hire(<cbackprop_team*>self._team, n_threads)
            self.n_threads = (<cbackprop_team*>self._team).n_threads

    def __dealloc__(self):
        if self._team != NULL:
            cbackprop_dismiss(<cbackprop_team*>self._team)
            PyMem_Free(self._team)

    cdef Py_ssize_t n_here(self) noexcept nogil:
        """How many threads `run` may use: one in a child of the process that borrowed them"""
        return 1 if self._team == NULL or cbackprop_is_left(<cbackprop_team*>self._team) else self.n_threads

    cdef bint run(self, Py_ssize_t n_shares, job_t job, void* context, Watch** watches) noexcept nogil:
        """Calls job for each share, 2 to n_threads, with a thread for each; returns whether all are done

        What no other thread has begun when the caller is through with its own share, the caller does: where other
        processes take the processors, it does not wait for a thread that they keep from running.

        Shares are lost where a signal handler has forked the process, and this is the child.
        """
        cdef cbackprop_team* team = <cbackprop_team*>self._team
        cdef Py_ssize_t share
        cbackprop_give(team, n_shares, job, context)
        job(context, 0, n_shares)
        for share in range(1, n_shares):
            if not cbackprop_is_left(team) and cbackprop_claim(team, share):
                # it looks at the clock, as the caller does
                watches[share].poll, watches[share].context = watches[0].poll, watches[0].context
                watches[share].leader = NULL
                job(context, share, n_shares)
                watches[share].leader = watches[0]
                if watches[share].stopped:
                    cbackprop_set_flag(&watches[0].stopped)
        for share in range(1, n_shares):
            while not cbackprop_is_left(team) and not cbackprop_wait(team, share):
                interrupted(watches[0], WORK_BETWEEN_LOOKS)
        return not cbackprop_is_left(team)


cdef void enter_callers() noexcept nogil:
    """This thread computes from now on; others leave a core to it"""
    cbackprop_enter()


cdef void leave_callers() noexcept nogil:
    cbackprop_leave()


cdef Py_ssize_t n_callers() noexcept nogil:
    """How many threads, besides workers, compute at this moment"""
    return cbackprop_callers()
