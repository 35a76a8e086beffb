"""Outputs of a network: of a few rows by its parameters as they are, of many in blocks."""

from libc.stdint cimport uint64_t

from cbackprop._float_mode cimport flush_denormals, set_float_mode
from cbackprop._typedefs cimport lanes_t
from cbackprop.backprop cimport BLOCK_ROWS, Plan, Rows, Workspace
from cbackprop.dense cimport Layer, forward_directly


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


cdef bint predict_blocks(
    Workspace workspace, const lanes_t* parameters, const Rows* data, Py_ssize_t n_rows,
    Py_ssize_t first_layer,
    char** outs,  # for each layer from the first on (n_rows, n_out) numbers, overwritten
) noexcept nogil:
    """outs[k] := activations of layer first_layer + k; returns whether to stop, see the workspace's fault"""
    cdef const Layer* layers = workspace.plan.layers
    cdef Py_ssize_t first = 0, rows, k, size
    cdef Rows block
    cdef uint64_t mode = flush_denormals()
    cdef bint stop = False
    while first < n_rows:
        rows = min(<Py_ssize_t>BLOCK_ROWS, n_rows - first)
        block = workspace.rows_from(data, first)
        stop = workspace.forward(parameters, &block, NULL, rows, True)
        if stop:
            break
        for k in range(first_layer, workspace.plan.n_layers + 1):
            size = layers[k - 1].n_out if k > 0 else layers[0].n_in
            workspace.plan.kernels.scatter(
                workspace.activations[k], workspace.stride, size, rows,
                <lanes_t*>(outs[k - first_layer] + first * size * workspace.plan.itemsize))
        first += rows
    set_float_mode(mode)
    return stop
