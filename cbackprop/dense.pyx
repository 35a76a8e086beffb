"""One dense layer: forward, the deltas of the layer below, and the gradients.

The Python functions take C-contiguous arrays of one precision, float32 or float64, pack them into panels, and run
without the GIL what `Network` runs on panels throughout.

>>> import numpy as np
>>> from cbackprop import dense
>>> X, weights, biases = np.ones((1, 2)), np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), np.zeros(3)
>>> out = np.empty((1, 3))
>>> dense.forward(X, weights, biases, out)
>>> out
array([[5., 7., 9.]])
"""

from cbackprop._kernels.dispatch cimport kernels_for
from cbackprop._kernels.table cimport (
    IDENTITY, MOST_STATES, SOFTMAX, Activation, Change, Kernels, Step, activate_t, derivative_t,
)
from cbackprop._memory cimport Block
from cbackprop._typedefs cimport lanes_t
from cbackprop._watch cimport Watch, interrupted

import numpy as np

ctypedef fused real:
    float
    double

cdef enum:
    # Multiply-adds in one call of a kernel, so that the clock is looked at often enough.
    WORK_AT_ONCE = 1 << 25
    # Rows of lanes that are updated between two looks at the clock.
    ROWS_AT_ONCE = 1 << 18
    # Multiply-adds in the time that a number takes to be copied between main memory's pages.
    WORK_OF_A_COPY = 16
    # and in the time that an activation function takes
    WORK_OF_A_PASS = 32


cdef Py_ssize_t describe(
    Layer* layer, const Kernels* kernels, Py_ssize_t n_below,
    Py_ssize_t n_shortcuts,  # columns of X that come in before those of the layer below; 0: none
    Py_ssize_t n_out, Activation activation, Py_ssize_t first_row, Py_ssize_t first_number,
) noexcept nogil:
    """Fills in a layer whose private parameters begin at first_row; returns the row behind them."""
    cdef Py_ssize_t n_in
    layer.n_below = n_below
    layer.n_shortcuts = n_shortcuts
    layer.shortcut_panels = (n_shortcuts + kernels.lanes - 1) // kernels.lanes
    # the layer below begins a panel of its own
    n_in = layer.n_in = layer.shortcut_panels * kernels.lanes + n_below
    layer.n_out = n_out
    layer.in_panels = (n_in + kernels.lanes - 1) // kernels.lanes
    layer.out_panels = (n_out + kernels.lanes - 1) // kernels.lanes
    layer.few = n_out <= 3 and n_out < n_shortcuts + n_below
    layer.activation = activation
    layer.biases = first_row
    layer.bias_rows = layer.out_panels
    layer.weights = first_row + layer.bias_rows
    layer.weight_rows = layer.in_panels * n_out if layer.few else layer.out_panels * n_in
    layer.groups = groups_of(kernels, layer.in_panels if layer.few else layer.out_panels)
    layer.gradient_tiles = layer.groups * (layer.out_panels if layer.few else layer.in_panels)
    layer.public_weights = first_number
    layer.public_biases = first_number + (n_shortcuts + n_below) * n_out
    return layer.weights + layer.weight_rows


cdef inline Py_ssize_t groups_of(const Kernels* kernels, Py_ssize_t n_panels) noexcept nogil:
    """How many tiles there are side by side"""
    return (n_panels + kernels.tile_panels - 1) // kernels.tile_panels


cdef inline Py_ssize_t rows_in_a_piece(const Layer* layer, Py_ssize_t first, Py_ssize_t at_once) noexcept nogil:
    """How many rows of the public weights from `first` on are neighbours in the private ones, too; at_once at most"""
    cdef Py_ssize_t end = layer.n_shortcuts if first < layer.n_shortcuts else layer.n_shortcuts + layer.n_below
    return min(at_once, end - first)


cdef inline Py_ssize_t private_row(const Kernels* kernels, const Layer* layer, Py_ssize_t row) noexcept nogil:
    """Where a row of the public weights is: behind those of X there is a gap of zeros, which nothing writes to"""
    if row < layer.n_shortcuts:
        return row
    return row - layer.n_shortcuts + layer.shortcut_panels * kernels.lanes


cdef bint pack_layer(
    const Kernels* kernels, const Layer* layer, const char* source, Py_ssize_t itemsize,
    lanes_t* parameters,  # zeros at first
    Watch* watch,
) noexcept nogil:
    """parameters := the layer's weights and biases out of a flat public array; returns whether to stop"""
    cdef const char* weights = source + layer.public_weights * itemsize
    cdef const lanes_t* biases = <const lanes_t*>(source + layer.public_biases * itemsize)
    cdef Py_ssize_t i = 0, rows, at_once = rows_at_once(layer.n_in, WORK_OF_A_COPY * layer.n_out)
    if layer.few:
        kernels.pack_few(<const lanes_t*>weights, layer.n_shortcuts, layer.n_out, parameters + layer.weights)
        kernels.pack_few(
            <const lanes_t*>(weights + layer.n_shortcuts * layer.n_out * itemsize), layer.n_below, layer.n_out,
            parameters + layer.weights + layer.shortcut_panels * layer.n_out)
    else:
        while i < layer.n_shortcuts + layer.n_below:
            rows = rows_in_a_piece(layer, i, at_once)
            kernels.gather(
                <const lanes_t*>(weights + i * layer.n_out * itemsize), layer.n_out, NULL, rows,
                parameters + layer.weights + private_row(kernels, layer, i), layer.n_in)
            if interrupted(watch, WORK_OF_A_COPY * rows * layer.n_out):
                return True
            i += rows
    kernels.gather(biases, layer.n_out, NULL, 1, parameters + layer.biases, 1)
    return False


cdef bint unpack_layer(
    const Kernels* kernels, const Layer* layer, const lanes_t* parameters, Py_ssize_t itemsize, char* out,
    Watch* watch,  # NULL: the copy must stay whole
) noexcept nogil:
    """out := the layer's weights and biases, in a flat public array; returns whether to stop"""
    cdef char* weights = out + layer.public_weights * itemsize
    cdef lanes_t* biases = <lanes_t*>(out + layer.public_biases * itemsize)
    cdef Py_ssize_t i = 0, rows, at_once = rows_at_once(layer.n_in, WORK_OF_A_COPY * layer.n_out)
    if layer.few:
        kernels.unpack_few(parameters + layer.weights, layer.n_shortcuts, layer.n_out, <lanes_t*>weights)
        kernels.unpack_few(
            parameters + layer.weights + layer.shortcut_panels * layer.n_out, layer.n_below, layer.n_out,
            <lanes_t*>(weights + layer.n_shortcuts * layer.n_out * itemsize))
    else:
        while i < layer.n_shortcuts + layer.n_below:
            rows = rows_in_a_piece(layer, i, at_once)
            kernels.scatter(
                parameters + layer.weights + private_row(kernels, layer, i), layer.n_in, layer.n_out, rows,
                <lanes_t*>(weights + i * layer.n_out * itemsize))
            if watch != NULL and interrupted(watch, WORK_OF_A_COPY * rows * layer.n_out):
                return True
            i += rows
    kernels.scatter(parameters + layer.biases, 1, layer.n_out, 1, biases)
    return False


cdef Py_ssize_t rows_at_once(Py_ssize_t n_rows, Py_ssize_t work) noexcept nogil:
    """How many rows of `work` multiply-adds each go into one call: all, or a multiple of every tile's height"""
    if n_rows * work <= WORK_AT_ONCE:
        return n_rows
    return min(n_rows, max(48, WORK_AT_ONCE // work // 48 * 48))


cdef inline Py_ssize_t panels_at_once(
    const Kernels* kernels, Py_ssize_t n_panels, Py_ssize_t work
) noexcept nogil:
    """How many panels of `work` multiply-adds each go into one call: all, or a multiple of a tile's"""
    if n_panels * work <= WORK_AT_ONCE:
        return n_panels
    return max(1, WORK_AT_ONCE // work // kernels.tile_panels) * kernels.tile_panels


cdef bint forward_panels(
    const Kernels* kernels, const Layer* layer,
    const lanes_t* parameters,  # the private ones of the whole network
    const lanes_t* inputs,  # (in_panels, stride)
    Py_ssize_t stride, Py_ssize_t n_rows,
    bint activate,  # false: out keeps the preactivations
    lanes_t* out,  # (out_panels, stride), overwritten
    Watch* watch,
) noexcept nogil:
    """out := f(biases + inputs @ weights); returns whether to stop"""
    cdef activate_t pass_ = kernels.activate[<int>layer.activation] if activate else NULL
    cdef Py_ssize_t p, panels, r, rows, work
    if layer.few:
        rows = rows_at_once(n_rows, layer.n_in * layer.n_out)
        r = 0
        while r < n_rows:
            kernels.few_forward(
                inputs + r, stride, parameters + layer.weights, parameters + layer.biases,
                layer.in_panels, layer.n_out, min(rows, n_rows - r), out + r)
            if interrupted(watch, min(rows, n_rows - r) * layer.n_in * layer.n_out):
                return True
            r += rows
        if pass_ != NULL:
            pass_(out, n_rows)
    else:
        work = (layer.n_in + WORK_OF_A_PASS) * kernels.lanes
        rows = rows_at_once(n_rows, work)
        panels = panels_at_once(kernels, layer.out_panels, rows * work)
        r = 0
        while r < n_rows:
            p = 0
            while p < layer.out_panels:
                kernels.forward(
                    inputs + r, stride, parameters + layer.weights + p * layer.n_in,
                    parameters + layer.biases + p, layer.n_in,
                    min(panels * kernels.lanes, layer.n_out - p * kernels.lanes),
                    min(rows, n_rows - r), pass_, out + p * stride + r, stride)
                if interrupted(watch, rows * panels * work):
                    return True
                p += panels
            r += rows
    return activate and layer.activation == SOFTMAX and softmax_panels(kernels, layer, stride, n_rows, out, watch)


cdef bint softmax_panels(
    const Kernels* kernels, const Layer* layer, Py_ssize_t stride, Py_ssize_t n_rows,
    lanes_t* out,  # (out_panels, stride), updated
    Watch* watch,
) noexcept nogil:
    """out := softmax(out), row by row; returns whether to stop"""
    cdef Py_ssize_t r = 0, rows = rows_at_once(n_rows, 2 * WORK_OF_A_PASS * layer.n_out)
    while r < n_rows:
        kernels.softmax(out + r, stride, layer.n_out, min(rows, n_rows - r))
        if interrupted(watch, 2 * WORK_OF_A_PASS * rows * layer.n_out):
            return True
        r += rows
    return False


cdef void forward_directly(
    const Kernels* kernels, const Layer* layer,
    const char* public,  # the public parameters of the whole network
    Py_ssize_t itemsize,
    const lanes_t* inputs,  # (in_panels,): one row
    lanes_t* out,  # (out_panels,), overwritten
) noexcept nogil:
    """out := f(biases + inputs @ weights) for one row, to the same bits as `forward_panels`"""
    cdef activate_t pass_ = kernels.activate[<int>layer.activation]
    kernels.direct_forward(
        inputs, <const lanes_t*>(public + layer.public_weights * itemsize),
        <const lanes_t*>(public + layer.public_biases * itemsize), layer.n_in, layer.n_out, layer.few, out)
    if pass_ != NULL:
        pass_(out, layer.out_panels)
    if layer.activation == SOFTMAX:
        kernels.softmax(out, 1, layer.n_out, 1)


cdef bint deltas_below_panels(
    const Kernels* kernels, const Layer* layer,
    const lanes_t* parameters,
    const lanes_t* deltas,  # (out_panels, stride)
    Py_ssize_t stride, Py_ssize_t n_rows,
    Py_ssize_t first, Py_ssize_t last,  # panels of the inputs
    Activation activation_below,  # IDENTITY: no derivative
    const lanes_t* activations_below,  # (last - first, stride)
    lanes_t* scratch,  # (kernels.scratch_rows,)
    lanes_t* out,  # (last - first, stride), overwritten
    Watch* watch,
) noexcept nogil:
    """out := (deltas @ weights.T) * f'(activations_below); returns whether to stop"""
    cdef derivative_t derivative = kernels.derivative[<int>activation_below]
    cdef Py_ssize_t work = (layer.n_out + WORK_OF_A_PASS) * kernels.lanes, rows = rows_at_once(n_rows, work)
    cdef Py_ssize_t panels = panels_at_once(kernels, last - first, rows * work)
    cdef Py_ssize_t p, r, i, m, some
    # the kernels count panels from the first of all
    activations_below -= first * stride
    out -= first * stride
    r = 0
    while r < n_rows:
        m = min(rows, n_rows - r)
        p = first
        while p < last:
            some = min(panels, last - p)
            if layer.few:
                # transposed weights are the right operand as they lie
                kernels.forward(
                    deltas + r, stride, parameters + layer.weights + p * layer.n_out, NULL, layer.n_out,
                    min(some * kernels.lanes, layer.n_in - p * kernels.lanes), m, NULL, out + p * stride + r, stride)
                if derivative != NULL:
                    for i in range(p, p + some):
                        derivative(activations_below + i * stride + r, m, out + i * stride + r)
            else:
                kernels.deltas_below(
                    deltas + r, stride, parameters + layer.weights, layer.n_in, layer.n_out, p, p + some, m,
                    derivative, activations_below + r, stride, scratch, out + r, stride)
            if interrupted(watch, m * some * work):
                return True
            p += panels
        r += rows
    return False


cdef bint gradient_panels(
    const Kernels* kernels, const Layer* layer,
    const lanes_t* activations,  # (in_panels, stride)
    const lanes_t* deltas,  # (out_panels, stride)
    Py_ssize_t stride, Py_ssize_t n_rows,
    Py_ssize_t first, Py_ssize_t last,  # tiles of the layer's gradients
    const Step* step,  # NULL: out becomes the gradients; else it is updated by plain gradient descent
    lanes_t* out,  # as the private parameters of the whole network
    Watch* watch,
) noexcept nogil:
    """out := activations.T @ deltas and deltas.sum(axis=0), or one step along them; returns whether to stop

    Each tile can be computed by itself; the biases belong to the first.
    """
    cdef const lanes_t* left = activations
    cdef const lanes_t* right = deltas
    cdef Py_ssize_t n_left = layer.n_in, left_panels = layer.in_panels
    cdef Py_ssize_t n_right = layer.n_out, right_panels = layer.out_panels
    cdef Py_ssize_t p, q, some_left, some_right, work, tile = first
    if layer.few:
        left, right = deltas, activations
        n_left, left_panels = layer.n_out, layer.out_panels
        n_right, right_panels = layer.n_in, layer.in_panels
    work = n_rows * kernels.lanes * min(kernels.lanes, n_left)
    if last - first == layer.gradient_tiles and work * left_panels * right_panels <= WORK_AT_ONCE:
        kernels.gradients(
            left, stride, right, stride, n_left, 0, left_panels, n_right, n_rows, step, out + layer.weights)
        if interrupted(watch, work * left_panels * right_panels):
            return True
        tile = last
    while tile < last:
        # the tiles of a panel on the left one after the other, then the next panel's
        p, q = tile // layer.groups, tile % layer.groups * kernels.tile_panels
        some_right = panels_at_once(
            kernels, min(right_panels - q, (last - tile) * kernels.tile_panels), work)
        some_left = 1
        if some_right == right_panels:
            left_panels = (last - tile) // layer.groups
            some_left = min(left_panels, panels_at_once(kernels, left_panels, work * some_right))
        kernels.gradients(
            left, stride, right + q * stride, stride, n_left, p, p + some_left,
            min(some_right * kernels.lanes, n_right - q * kernels.lanes), n_rows, step,
            out + layer.weights + q * n_left)
        if interrupted(watch, work * some_left * some_right):
            return True
        tile += some_left * groups_of(kernels, some_right)
    if first == 0 and last > 0:
        kernels.bias_gradients(deltas, stride, layer.out_panels, n_rows, step, out + layer.biases)
    if layer.few and first < last == layer.gradient_tiles:
        # what lies beyond the last input in the activations' last panel is not zero
        kernels.clear_lanes(
            out + layer.weights + (layer.in_panels - 1) * layer.n_out, layer.n_out,
            layer.n_in - (layer.in_panels - 1) * kernels.lanes)
    return False


cdef bint take_step(
    const Kernels* kernels, const Change* change,
    const Step* step,  # the change's, or for biases one without alpha
    const lanes_t* gradients,  # (n_rows,)
    Py_ssize_t first, Py_ssize_t n_rows,  # of the private parameters; there may be none
    lanes_t* parameters,  # of the whole network, updated, as is the change's state
    Watch* watch,
) noexcept nogil:
    """The rule's step along the gradients of some parameters; returns whether to stop"""
    cdef lanes_t* state[MOST_STATES]
    cdef Py_ssize_t k, rows
    while n_rows > 0:
        rows = min(<Py_ssize_t>ROWS_AT_ONCE, n_rows)
        for k in range(MOST_STATES):
            state[k] = change.state[k] + first if change.state[k] != NULL else NULL
        kernels.update[<int>change.rule](gradients, rows, step, state, parameters + first)
        if interrupted(watch, rows * kernels.lanes):
            return True
        gradients += rows
        first += rows
        n_rows -= rows
    return False


cdef class _Panels:
    """One layer's memory in panels, for the Python functions."""

    cdef const Kernels* kernels
    cdef Layer layer
    cdef Watch watch  # without a poll: it never stops
    cdef Py_ssize_t n_rows
    cdef lanes_t* parameters
    cdef lanes_t* below
    cdef lanes_t* above
    cdef lanes_t* scratch
    cdef Block block

    def __cinit__(self, dtype, Py_ssize_t n_rows, Py_ssize_t n_in, Py_ssize_t n_out):
        if min(n_rows, n_in, n_out) == 0:
            raise ValueError(f"arrays are empty: {n_rows} rows, {n_in} inputs, {n_out} outputs")
        self.kernels = kernels_for(dtype)
        cdef Py_ssize_t parameter_rows = describe(&self.layer, self.kernels, n_in, 0, n_out, IDENTITY, 0, 0)
        self.n_rows = n_rows
        self.block = Block(parameter_rows + self.kernels.scratch_rows
                           + n_rows * (self.layer.in_panels + self.layer.out_panels))
        self.parameters = self.block.rows
        self.scratch = self.parameters + parameter_rows
        self.below = self.scratch + self.kernels.scratch_rows
        self.above = self.below + n_rows * self.layer.in_panels

    cdef void pack_weights(self, const void* weights) noexcept nogil:
        if self.layer.few:
            self.kernels.pack_few(
                <const lanes_t*>weights, self.layer.n_in, self.layer.n_out, self.parameters + self.layer.weights)
        else:
            self.kernels.gather(
                <const lanes_t*>weights, self.layer.n_out, NULL, self.layer.n_in,
                self.parameters + self.layer.weights, self.layer.n_in)

    cdef void gather(self, const void* numbers, Py_ssize_t n_columns, lanes_t* panels) noexcept nogil:
        self.kernels.gather(<const lanes_t*>numbers, n_columns, NULL, self.n_rows, panels, self.n_rows)

    cdef void scatter(self, const lanes_t* panels, Py_ssize_t n_columns, void* numbers) noexcept nogil:
        self.kernels.scatter(panels, self.n_rows, n_columns, self.n_rows, <lanes_t*>numbers)


cdef _same(Py_ssize_t first, Py_ssize_t second, str what):
    if first != second:
        raise ValueError(f"{what} must agree, got {first} and {second}")


def forward(
    const real[:, ::1] X not None, const real[:, ::1] weights not None, const real[::1] biases not None,
    real[:, ::1] out not None,
):
    """out := X @ weights + biases

    Parameters
    ----------
    X : array of shape (n_samples, n_in)
    weights : array of shape (n_in, n_out)
    biases : array of shape (n_out,)
    out : array of shape (n_samples, n_out)
        Overwritten.
    """
    _same(X.shape[1], weights.shape[0], "the columns of X and the rows of weights")
    _same(weights.shape[1], biases.shape[0], "the columns of weights and the length of biases")
    _same(out.shape[0], X.shape[0], "the rows of out and of X")
    _same(out.shape[1], weights.shape[1], "the columns of out and of weights")
    cdef _Panels panels = _Panels(
        np.dtype(np.float32 if real is float else np.float64), X.shape[0], X.shape[1], out.shape[1])
    with nogil:
        panels.gather(&X[0, 0], X.shape[1], panels.below)
        panels.pack_weights(&weights[0, 0])
        panels.kernels.gather(<const lanes_t*>&biases[0], out.shape[1], NULL, 1,
                              panels.parameters + panels.layer.biases, 1)
        forward_panels(panels.kernels, &panels.layer, panels.parameters, panels.below, panels.n_rows, panels.n_rows,
                       False, panels.above, &panels.watch)
        panels.scatter(panels.above, out.shape[1], &out[0, 0])


def deltas_below(
    const real[:, ::1] deltas not None, const real[:, ::1] weights not None, real[:, ::1] out not None
):
    """out := deltas @ weights.T, to be multiplied by f' of the layer below

    Parameters
    ----------
    deltas : array of shape (n_samples, n_out)
    weights : array of shape (n_in, n_out)
    out : array of shape (n_samples, n_in)
        Overwritten.
    """
    _same(deltas.shape[1], weights.shape[1], "the columns of deltas and of weights")
    _same(out.shape[0], deltas.shape[0], "the rows of out and of deltas")
    _same(out.shape[1], weights.shape[0], "the columns of out and the rows of weights")
    cdef _Panels panels = _Panels(
        np.dtype(np.float32 if real is float else np.float64), out.shape[0], out.shape[1], deltas.shape[1])
    with nogil:
        panels.gather(&deltas[0, 0], deltas.shape[1], panels.above)
        panels.pack_weights(&weights[0, 0])
        deltas_below_panels(panels.kernels, &panels.layer, panels.parameters, panels.above, panels.n_rows,
                            panels.n_rows, 0, panels.layer.in_panels, IDENTITY, NULL, panels.scratch, panels.below,
                            &panels.watch)
        panels.scatter(panels.below, out.shape[1], &out[0, 0])


def gradients(
    const real[:, ::1] activations not None, const real[:, ::1] deltas not None,
    real[:, ::1] weight_grads not None, real[::1] bias_grads not None,
):
    """weight_grads := activations.T @ deltas; bias_grads := deltas.sum(axis=0)

    Parameters
    ----------
    activations : array of shape (n_samples, n_in)
        Of the layer below, or the inputs.
    deltas : array of shape (n_samples, n_out)
    weight_grads : array of shape (n_in, n_out)
        Overwritten.
    bias_grads : array of shape (n_out,)
        Overwritten.
    """
    _same(activations.shape[0], deltas.shape[0], "the rows of activations and of deltas")
    _same(weight_grads.shape[0], activations.shape[1], "the rows of weight_grads and the columns of activations")
    _same(weight_grads.shape[1], deltas.shape[1], "the columns of weight_grads and of deltas")
    _same(bias_grads.shape[0], deltas.shape[1], "the length of bias_grads and the columns of deltas")
    cdef _Panels panels = _Panels(
        np.dtype(np.float32 if real is float else np.float64), deltas.shape[0], activations.shape[1], deltas.shape[1])
    cdef Layer* layer = &panels.layer
    with nogil:
        panels.gather(&activations[0, 0], layer.n_in, panels.below)
        panels.gather(&deltas[0, 0], layer.n_out, panels.above)
        gradient_panels(panels.kernels, layer, panels.below, panels.above, panels.n_rows, panels.n_rows, 0,
                        layer.gradient_tiles, NULL, panels.parameters, &panels.watch)
        if layer.few:
            panels.kernels.unpack_few(
                panels.parameters + layer.weights, layer.n_in, layer.n_out, <lanes_t*>&weight_grads[0, 0])
        else:
            panels.kernels.scatter(
                panels.parameters + layer.weights, layer.n_in, layer.n_out, layer.n_in, <lanes_t*>&weight_grads[0, 0])
        panels.kernels.scatter(panels.parameters + layer.biases, 1, layer.n_out, 1, <lanes_t*>&bias_grads[0])
