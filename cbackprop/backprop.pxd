"""The forward pass and the delta recursion over the layers of a network, on panels."""

cimport cython

from cbackprop._kernels.table cimport Change, Kernels, Loss, SparseRows
from cbackprop._memory cimport Block
from cbackprop._typedefs cimport lanes_t
from cbackprop._watch cimport Watch
from cbackprop.dense cimport Layer

cdef enum:
    # Rows that go through the network together. A sum over more rows is folded from sums over blocks of these.
    BLOCK_ROWS = 256
    # Rows whose losses are one sum in a kernel. The sums are added in their order, so that it does not matter which
    # thread has which of them.
    LOSS_ROWS = 32
    LOSS_PARTS = 8  # of a block

cdef struct Rows:
    # Data points, in numbers of the network's precision, row-major.
    const lanes_t* X  # (?, n_features), or NULL
    SparseRows sparse_X  # in place of X
    const lanes_t* y  # (?, n_outputs), or NULL
    const Py_ssize_t* classes  # (?,), in place of y
    const lanes_t* sample_weight  # (?,), or NULL

cdef enum Fault:
    # What can be wrong with data is seen while they are gathered.
    NO_FAULT
    BAD_X
    BAD_Y
    BAD_SAMPLE_WEIGHT
    FORKED  # a signal handler has forked the process: the other threads' shares are lost

cdef Py_ssize_t n_sums(Py_ssize_t n_rows) noexcept nogil


@cython.final
cdef class Plan:
    """What is to be computed: layers, loss, kernels. No memory of its own but the list of layers."""

    cdef const Kernels* kernels
    cdef Layer* layers
    cdef Py_ssize_t n_layers
    cdef Loss loss
    cdef bint shortcuts  # the inputs go to every layer, and there are more than one
    cdef Py_ssize_t n_parameters  # the public ones
    cdef Py_ssize_t parameter_rows  # of the private parameters
    cdef Py_ssize_t widest  # panels of the widest layer, the inputs included
    cdef Py_ssize_t itemsize

    cdef bint pack(self, const char* public, lanes_t* parameters, Watch* watch) noexcept nogil
    cdef bint unpack(self, const lanes_t* parameters, char* public, Watch* watch) noexcept nogil


@cython.final
cdef class Workspace:
    """What one thread needs for one block of rows. Taken once a call, lent to every step."""

    cdef Plan plan
    cdef Block _block
    cdef Py_ssize_t stride  # rows of a panel
    cdef bint sparse  # X is: it has no panels
    cdef SparseRows inputs  # the rows in work, then
    cdef Py_ssize_t* _extents
    cdef Py_ssize_t* begins  # (stride,), of the rows in work
    cdef Py_ssize_t* ends
    # (n_layers + 1,), X's panels first; with shortcuts X's panels also stand before those of every hidden layer
    cdef lanes_t** activations
    cdef lanes_t** deltas  # (n_layers,)
    cdef lanes_t* input_deltas  # with shortcuts, room for a layer's part of them stands behind
    cdef lanes_t* sample_weight
    cdef lanes_t* scratch
    cdef lanes_t** sums  # gradients of blocks of rows, one for each level of the tree
    cdef Py_ssize_t first_sum  # sums[0] has the gradients from this one of the private parameters on
    cdef lanes_t* step_scratch  # for steps on sparse rows
    cdef double[LOSS_PARTS] losses  # of the last block, LOSS_ROWS rows each
    cdef double[LOSS_PARTS] weights
    cdef Py_ssize_t n_parts
    cdef Watch watch
    cdef Fault fault
    cdef double loss_limit  # of a log loss, as the kernels take it; infinite but for scikit-learn's losses

    cdef bint forward(
        self, const lanes_t* parameters, const Rows* data, const Py_ssize_t* order, Py_ssize_t n_rows,
        bint activate_outputs) noexcept nogil
    cdef bint gather_inputs(self, const Rows* data, const Py_ssize_t* order, Py_ssize_t n_rows) noexcept nogil
    cdef bint copy_inputs(self, Py_ssize_t n_rows) noexcept nogil
    cdef const lanes_t* layer_inputs(self, Py_ssize_t k) noexcept nogil
    cdef void find_inputs(self, const Rows* data, const Py_ssize_t* order, Py_ssize_t n_rows) noexcept nogil
    cdef bint output_deltas(self, const Rows* data, const Py_ssize_t* order, Py_ssize_t n_rows) noexcept nogil
    cdef bint output_residuals(self, const Rows* data, const Py_ssize_t* order, Py_ssize_t n_rows) noexcept nogil
    cdef void add_parts(self, double* loss, double* weight) noexcept nogil
    cdef bint gather_targets(
        self, const Rows* data, const Py_ssize_t* order, Py_ssize_t n_rows, lanes_t* out) noexcept nogil
    cdef void times_output_slope(self, Py_ssize_t n_rows) noexcept nogil
    cdef bint backward(
        self, const lanes_t* parameters, Py_ssize_t n_rows, const Change* change, lanes_t* out) noexcept nogil
    cdef bint add_input_deltas(self, Py_ssize_t k, const lanes_t* parameters, Py_ssize_t n_rows) noexcept nogil
    cdef bint layer_gradients(
        self, Py_ssize_t k, Py_ssize_t n_rows, Py_ssize_t first, Py_ssize_t last, const Change* change, lanes_t* out,
        Watch* watch) noexcept nogil
    cdef Py_ssize_t gradient_tiles(self, Py_ssize_t k) noexcept nogil
    cdef void lie_in(self, Workspace owner, Py_ssize_t first) noexcept nogil
    cdef Rows rows_from(self, const Rows* data, Py_ssize_t first) noexcept nogil
