"""Epochs and mini-batches: shuffle, gather, forward, backward, update; when to stop."""

from libc.stdint cimport uint32_t, uint64_t

from cbackprop._kernels.table cimport Online
from cbackprop._typedefs cimport lanes_t
from cbackprop.backprop cimport Plan, Rows, Workspace
from cbackprop.optimizers cimport Update
from cbackprop.team cimport Team

cdef extern from *:
    """
    /* NumPy's stable interface to its bit generators (numpy/random/bitgen.h). */
    typedef struct {
        void *state;
        uint64_t (*next_uint64)(void *state);
        uint32_t (*next_uint32)(void *state);
        double (*next_double)(void *state);
        uint64_t (*next_raw)(void *state);
    } cbackprop_bitgen;
    """
    ctypedef struct bitgen_t "cbackprop_bitgen":
        void* state
        uint64_t (*next_uint64)(void* state) noexcept nogil
        uint32_t (*next_uint32)(void* state) noexcept nogil

cdef enum Ending:
    # Why `Training.run` came back.
    ALL_EPOCHS
    CONVERGED
    REACHED  # the loss that was aimed at
    TIME_IS_UP
    INTERRUPTED
    NON_FINITE
    BAD_DATA  # see Workspace.fault


cdef class Training:
    cdef Plan plan
    cdef Workspace workspace
    cdef Team team
    cdef Rows data
    cdef Update update
    cdef lanes_t* parameters  # private, in panels
    cdef char* public_parameters  # of the last finished epoch, when `run` comes back
    cdef lanes_t* kept  # room for its parameters and state until then; NULL: every epoch's are made public
    cdef Py_ssize_t n_samples, batch_size
    cdef Py_ssize_t* order  # (n_samples,), or NULL: as they lie
    cdef bint keep_order  # each epoch shuffles what the last one left, as scikit-learn does
    cdef bitgen_t* bitgen  # NULL: no shuffling
    cdef bint drawn  # the next epoch's order is there already
    cdef bint mean  # else sums over the batch
    cdef double loss_scale  # of the data's part of the reported loss
    cdef Rows validation
    cdef Py_ssize_t n_validation
    cdef bint by_validation  # their loss is judged, not that of the training
    cdef bint validating  # it is these whose fault the workspace has
    cdef lanes_t* best  # room for the best epoch's parameters, where validation data judge it
    cdef bint improved  # they are there
    cdef double target_loss  # NaN: none
    cdef double tol  # NaN: never stop early
    cdef double n_iter_no_change, best_loss
    cdef Py_ssize_t n_bad_epochs
    cdef bint finished  # there is nothing to gain any more, an `epoch` found
    cdef bint adaptive  # divide the learning rate where training would end
    cdef bint fused  # one block, and the plain rule or sparse rows: steps are taken where gradients are computed
    cdef bint online  # row by row in the kernel for the smallest networks
    cdef Online job  # for that kernel
    cdef Py_ssize_t job_rows  # in one call, at most

    # what other ways of training have of their own
    cdef object begin(self)
    cdef double epoch(self) noexcept nogil
    # what is common to all
    cdef Ending run(
        self, Py_ssize_t n_epochs, double* losses, double* validation_losses, Py_ssize_t* n_done) noexcept nogil
    cdef Ending epochs(
        self, Py_ssize_t n_epochs, double* losses, double* validation_losses, Py_ssize_t* n_done) noexcept nogil
    cdef double validation_loss(self) noexcept nogil
    cdef Ending judge(self, double loss) noexcept nogil
    cdef void finish_epoch(self) noexcept nogil
    cdef void publish(self, const lanes_t* parameters, const lanes_t* states) noexcept nogil
    cdef bint is_smallest(self) noexcept nogil
    cdef bint is_online(self) noexcept nogil
    cdef void describe_job(self) noexcept nogil
    cdef double online_epoch(self) noexcept nogil
    cdef double step(self, const Rows* data, const Py_ssize_t* order, Py_ssize_t n_rows) noexcept nogil
    cdef bint shuffle(self) noexcept nogil
    cdef void draw(self) noexcept nogil
    cdef double penalty(self, const lanes_t* parameters) noexcept nogil
