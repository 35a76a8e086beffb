"""One block of rows, or many, computed by one thread or by several: the same bits."""

cimport cython

from cbackprop._kernels.table cimport Change
from cbackprop._threads cimport Threads, job_t
from cbackprop._typedefs cimport lanes_t
from cbackprop._watch cimport Watch
from cbackprop.backprop cimport Plan, Rows, Workspace
from cbackprop.optimizers cimport Update


@cython.final
cdef class Team:
    """The threads of one call, and a workspace for each."""

    cdef Plan plan
    cdef Workspace workspace  # the calling thread's, with the memory for a block of rows
    cdef Threads threads
    cdef Py_ssize_t n_threads
    cdef Py_ssize_t n_cpus  # to be shared with other callers; 0: the threads were asked for
    cdef list _helpers  # the other threads' workspaces
    cdef void** workspaces  # (n_threads,), everybody's
    cdef Watch** watches  # (n_threads,), theirs
    cdef Py_ssize_t n_shares  # of the block in work
    cdef bint losses_only  # no gradients of the block will be asked for
    # what the shares of a job read
    cdef const lanes_t* parameters
    cdef const Rows* data
    cdef const Py_ssize_t* order
    cdef Py_ssize_t n_rows
    cdef const Change* change
    cdef const Update* update
    cdef const lanes_t* source
    cdef lanes_t* out

    cdef void choose_shares(self) noexcept nogil
    cdef bint block(
        self, const lanes_t* parameters, const Rows* data, const Py_ssize_t* order, Py_ssize_t n_rows,
        double* loss, double* weight) noexcept nogil
    cdef void rows_share(self, Py_ssize_t share, Py_ssize_t n_shares) noexcept nogil
    cdef bint gradients(
        self, const lanes_t* parameters, Py_ssize_t n_rows, const Change* change, lanes_t* out) noexcept nogil
    cdef void gradients_share(self, Py_ssize_t share, Py_ssize_t n_shares) noexcept nogil
    cdef bint sum_losses(
        self, const lanes_t* parameters, const Rows* data, Py_ssize_t n_rows, double* loss, double* weight
    ) noexcept nogil
    cdef bint sum_gradients(
        self, const lanes_t* parameters, const Rows* data, const Py_ssize_t* order, Py_ssize_t n_rows,
        double* loss, double* weight) noexcept nogil
    cdef bint fold(self, Py_ssize_t n_blocks, bint last, Py_ssize_t* height) noexcept nogil
    cdef bint add(self, const lanes_t* gradients, lanes_t* out) noexcept nogil
    cdef void add_share(self, Py_ssize_t share, Py_ssize_t n_shares) noexcept nogil
    cdef bint take_step(self, const Update* update, lanes_t* parameters) noexcept nogil
    cdef void step_share(self, Py_ssize_t share, Py_ssize_t n_shares) noexcept nogil
    cdef bint run(self, Py_ssize_t n_shares, job_t job, void* context) noexcept nogil

cdef Py_ssize_t n_parts(Py_ssize_t n_rows) noexcept nogil
cdef void rows_of(
    Py_ssize_t n_rows, Py_ssize_t share, Py_ssize_t n_shares, Py_ssize_t* first, Py_ssize_t* last) noexcept nogil
