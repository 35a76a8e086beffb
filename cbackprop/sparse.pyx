"""A first layer whose inputs are sparse rows: forward, and the gradients. The same bits as of a dense layer."""

from libc.string cimport memset

from cbackprop._kernels.table cimport PLAIN_SGD, SOFTMAX, Change, Kernels, SparseRows, Step, activate_t
from cbackprop._typedefs cimport lanes_t
from cbackprop._watch cimport Watch, interrupted
from cbackprop.dense cimport Layer, softmax_panels, take_step

cdef enum:
    # Numbers of the inputs that go through one panel in one call, so that the clock is looked at often enough.
    NUMBERS_AT_ONCE = 1 << 20
    # Multiply-adds of a dense product in the time that one of a sparse product takes, or an update.
    WORK_OF_A_NUMBER = 4


cdef inline Py_ssize_t n_numbers(const SparseRows* inputs, Py_ssize_t n_rows) noexcept nogil:
    """How many numbers the rows have"""
    cdef Py_ssize_t r, n = 0
    for r in range(n_rows):
        n += inputs.ends[r] - inputs.begins[r]
    return n


cdef inline Py_ssize_t next_rows(const SparseRows* inputs, Py_ssize_t n_rows, Py_ssize_t most) noexcept nogil:
    """How many of the rows, one at least, have up to `most` numbers"""
    cdef Py_ssize_t r = 1, n = n_numbers(inputs, 1)
    while r < n_rows:
        n += inputs.ends[r] - inputs.begins[r]
        if n > most:
            break
        r += 1
    return r


cdef bint sparse_forward_panels(
    const Kernels* kernels, const Layer* layer,
    const lanes_t* parameters,  # the private ones of the whole network
    const SparseRows* inputs,
    Py_ssize_t stride, Py_ssize_t n_rows,
    bint activate,  # false: out keeps the preactivations
    lanes_t* out,  # (out_panels, stride), overwritten
    Watch* watch,
    bint* good,  # false: an input is not finite, or in no column
) noexcept nogil:
    """out := f(biases + inputs @ weights); returns whether to stop"""
    cdef activate_t pass_ = kernels.activate[<int>layer.activation] if activate else NULL
    cdef Py_ssize_t p, panels, r = 0, rows, some
    cdef SparseRows part = inputs[0]
    good[0] = True
    while r < n_rows:
        rows = next_rows(&part, n_rows - r, NUMBERS_AT_ONCE // layer.out_panels)
        some = n_numbers(&part, rows)
        p = 0
        while p < layer.out_panels:
            if layer.few:
                panels = 1
                good[0] = kernels.sparse_few_forward(
                    &part, rows, parameters + layer.weights, parameters + layer.biases, layer.n_in, layer.n_out,
                    out + r)
            else:
                panels = min(layer.out_panels - p, max(1, NUMBERS_AT_ONCE // max(1, some)))
                good[0] = kernels.sparse_forward(
                    &part, rows, parameters + layer.weights + p * layer.n_in, parameters + layer.biases + p,
                    layer.n_in, panels, out + p * stride + r, stride)
            if not good[0] or interrupted(watch, WORK_OF_A_NUMBER * kernels.lanes * some * panels):
                return True
            p += panels
        part.begins += rows
        part.ends += rows
        r += rows
    if pass_ != NULL:
        for p in range(layer.out_panels):
            pass_(out + p * stride, n_rows)
    return activate and layer.activation == SOFTMAX and softmax_panels(kernels, layer, stride, n_rows, out, watch)


cdef bint sparse_gradient_panels(
    const Kernels* kernels, const Layer* layer,
    const SparseRows* inputs,
    const lanes_t* deltas,  # (out_panels, stride)
    Py_ssize_t stride, Py_ssize_t n_rows,
    Py_ssize_t first, Py_ssize_t last,  # panels of the inputs
    const Change* change,  # NULL: out becomes the gradients; else out, the parameters themselves, takes a step
    lanes_t* scratch,  # (step_rows,), for the gradients of a step; the weights' are zero before and after
    lanes_t* out,  # as the private parameters of the whole network
    Watch* watch,
) noexcept nogil:
    """out := inputs.T @ deltas and deltas.sum(axis=0), or one step along them; returns whether to stop

    A step is taken panel by panel of the outputs. The biases belong to the first panel of the inputs.
    """
    cdef Py_ssize_t first_column = first * kernels.lanes, last_column = min(last * kernels.lanes, layer.n_in)
    cdef Py_ssize_t p, rows = last_column - first_column, before = first_column  # within a panel of the outputs
    cdef lanes_t* gradients = scratch
    cdef Py_ssize_t panel = layer.weights
    if first == last:
        return False
    if layer.few:
        rows, before = (last - first) * layer.n_out, first * layer.n_out
    for p in range(layer.out_panels):
        if change == NULL:
            gradients = out + panel
            memset(gradients + before, 0, rows * sizeof(lanes_t))
        if sparse_gradient_panel(kernels, layer, inputs, deltas + p * stride, n_rows, first_column, last_column,
                                 gradients, watch):
            return True
        if change != NULL and change.rule == PLAIN_SGD and change.step.alpha == 0 and (
                n_numbers(inputs, n_rows) < layer.n_in):
            kernels.sparse_step(inputs, n_rows, first_column, last_column, layer.n_out, layer.few, &change.step,
                                scratch, out + panel)
        elif change != NULL:
            if take_step(kernels, change, &change.step, scratch + before, panel + before, rows, out, watch):
                return True
            memset(scratch + before, 0, rows * sizeof(lanes_t))
        if interrupted(watch, WORK_OF_A_NUMBER * kernels.lanes * rows):
            return True
        panel += layer.n_in
    return first == 0 and sparse_bias_gradients(kernels, layer, deltas, stride, n_rows, change, scratch, out, watch)


cdef Py_ssize_t step_rows(const Layer* layer) noexcept nogil:
    """Rows of scratch for a step: the weights' gradients of a panel of the outputs, then the biases'"""
    return layer.weight_rows // layer.out_panels + layer.out_panels


cdef bint sparse_bias_gradients(
    const Kernels* kernels, const Layer* layer, const lanes_t* deltas, Py_ssize_t stride, Py_ssize_t n_rows,
    const Change* change, lanes_t* scratch, lanes_t* out, Watch* watch,  # as in `sparse_gradient_panels`
) noexcept nogil:
    """out := deltas.sum(axis=0), or one step along it; returns whether to stop"""
    cdef Step step
    cdef lanes_t* gradients = out + layer.biases
    if change != NULL:
        # no other thread's columns are there
        gradients = scratch + step_rows(layer) - layer.out_panels
    kernels.bias_gradients(deltas, stride, layer.out_panels, n_rows, NULL, gradients)
    if change == NULL:
        return False
    step = change.step
    step.alpha = 0
    return take_step(kernels, change, &step, gradients, layer.biases, layer.out_panels, out, watch)


cdef bint sparse_gradient_panel(
    const Kernels* kernels, const Layer* layer,
    const SparseRows* inputs,
    const lanes_t* deltas,  # (n_rows,): of one panel of the outputs
    Py_ssize_t n_rows, Py_ssize_t first_column, Py_ssize_t last_column,
    lanes_t* out,  # the panel's weights, or all of a layer of few outputs
    Watch* watch,
) noexcept nogil:
    """out += inputs.T @ deltas; returns whether to stop"""
    cdef Py_ssize_t rows, some, r = 0
    cdef SparseRows part = inputs[0]
    while r < n_rows:
        rows = next_rows(&part, n_rows - r, NUMBERS_AT_ONCE)
        some = n_numbers(&part, rows)
        if layer.few:
            kernels.sparse_few_gradients(&part, rows, deltas + r, first_column, last_column, layer.n_out, out)
        else:
            kernels.sparse_gradients(&part, rows, deltas + r, first_column, last_column, out)
        if interrupted(watch, WORK_OF_A_NUMBER * kernels.lanes * some):
            return True
        part.begins += rows
        part.ends += rows
        r += rows
    return False
