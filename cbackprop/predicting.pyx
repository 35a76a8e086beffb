"""Outputs of a network: of a few rows by its parameters as they are, of many in blocks."""

from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.stdint cimport uint64_t

from cbackprop._float_mode cimport flush_denormals, set_float_mode
from cbackprop._memory cimport Block
from cbackprop._threads cimport enter_callers, leave_callers
from cbackprop._typedefs cimport lanes_t
from cbackprop.backprop cimport BLOCK_ROWS, Plan, Rows, Workspace
from cbackprop.dense cimport Layer, forward_directly
from cbackprop.team cimport Team, n_parts, rows_of


cdef class Memory:
    def __cinit__(self, Plan plan, Py_ssize_t n_rows, bint sparse=False):
        """For up to n_rows rows of X; for any number if that is BLOCK_ROWS or more"""
        self.rows = Block(max(plan.parameter_rows, 2 * plan.widest))
        self.workspace = Workspace(plan, n_rows, sparse=sparse)
        self.helpers = []
        self.outs = <char**>PyMem_Calloc(plan.n_layers + 1, sizeof(char*))
        if self.outs == NULL:
            raise MemoryError(f"no memory for {plan.n_layers} layers")

    def __dealloc__(self):
        PyMem_Free(self.outs)


cdef bint predict_directly(
    Plan plan,
    const char* public,  # the public parameters
    const char* X,  # (n_rows, n_features) numbers
    Py_ssize_t n_rows,
    lanes_t* first, lanes_t* second,  # plan.widest each, overwritten
    char* out,  # (n_rows, n_outputs) numbers, overwritten
) noexcept nogil:
    """out := the outputs, row by row, with nothing packed; returns whether X is finite"""
    cdef const Layer* layers = plan.layers
    cdef Py_ssize_t k, n_features = layers[0].n_in, n_outputs = layers[plan.n_layers - 1].n_out
    cdef lanes_t* below
    cdef lanes_t* above
    cdef uint64_t mode = flush_denormals()
    cdef bint good = True
    while n_rows > 0 and good:
        below, above = first, second
        good = plan.kernels.gather(<const lanes_t*>X, n_features, NULL, 1, below, 1)
        for k in range(plan.n_layers):
            forward_directly(plan.kernels, &layers[k], public, plan.itemsize, below, above)
            below, above = above, below
        plan.kernels.scatter(below, 1, n_outputs, 1, <lanes_t*>out)
        X += n_features * plan.itemsize
        out += n_outputs * plan.itemsize
        n_rows -= 1
    set_float_mode(mode)
    return good


cdef struct Prediction:
    # What the shares of a prediction read.
    void* team
    const lanes_t* parameters
    const Rows* data
    Py_ssize_t n_rows
    Py_ssize_t first_layer
    char** outs


cdef void predict_blocks(
    Team team, const lanes_t* parameters, const Rows* data, Py_ssize_t n_rows,
    Py_ssize_t first_layer,
    char** outs,  # for each layer from the first on (n_rows, n_out) numbers, overwritten
) noexcept nogil:
    """outs[k] := activations of layer first_layer + k; the workspace's fault and watch say if something stopped it"""
    cdef Prediction prediction
    cdef uint64_t mode = flush_denormals()
    prediction.team = <void*>team
    prediction.parameters, prediction.data, prediction.n_rows = parameters, data, n_rows
    prediction.first_layer, prediction.outs = first_layer, outs
    enter_callers()
    team.choose_shares()
    team.run(min(team.n_shares, n_parts(n_rows)), predict_share, &prediction)
    leave_callers()
    set_float_mode(mode)


cdef void predict_share(void* context, Py_ssize_t share, Py_ssize_t n_shares) noexcept nogil:
    """Some of the rows, in blocks, in the share's own workspace"""
    cdef const Prediction* job = <const Prediction*>context
    cdef void* workspace = (<Team>job.team).workspaces[share]
    cdef Py_ssize_t first, last, rows, k, size, n_layers = (<Workspace>workspace).plan.n_layers
    cdef const Layer* layers = (<Workspace>workspace).plan.layers
    cdef Rows block
    rows_of(job.n_rows, share, n_shares, &first, &last)
    while first < last:
        rows = min(<Py_ssize_t>BLOCK_ROWS, last - first)
        block = (<Workspace>workspace).rows_from(job.data, first)
        if (<Workspace>workspace).forward(job.parameters, &block, NULL, rows, True):
            return
        for k in range(job.first_layer, n_layers + 1):
            size = layers[k - 1].n_out if k > 0 else layers[0].n_in
            (<Workspace>workspace).plan.kernels.scatter(
                (<Workspace>workspace).activations[k], (<Workspace>workspace).stride, size, rows,
                <lanes_t*>(job.outs[k - job.first_layer] + first * size * (<Workspace>workspace).plan.itemsize))
        first += rows
