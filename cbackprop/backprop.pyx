"""The forward pass and the delta recursion over the layers of a network.

    preactivations   = activations[k] @ weights[k] + biases[k]
    activations[k+1] = f_k(preactivations)
    deltas[last]     = dC/d preactivations
    deltas[k-1]      = (deltas[k] @ weights[k].T) * f'_{k-1}
    weight_grads[k]  = activations[k].T @ deltas[k]
    bias_grads[k]    = deltas[k].sum(axis=0)

`Plan` and `Workspace` do so on panels, for `Network`; `forward`, `deltas` and `gradients` do so layer by layer on
plain arrays, with the same kernels, for those who build something of their own from the parts.
"""

cimport cython

from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.math cimport INFINITY
from libc.string cimport memcpy

from cbackprop._kernels.dispatch cimport kernels_for
from cbackprop._kernels.table cimport IDENTITY, PLAIN_SGD, SOFTMAX, SQUARED_ERROR, Change, Kernels, derivative_t
from cbackprop._memory cimport Block
from cbackprop._typedefs cimport lanes_t
from cbackprop._watch cimport Watch, interrupted
from cbackprop.activations cimport code_of as activation_code

from cbackprop.dense cimport (
    Layer, deltas_below_panels, describe, forward_panels, gradient_panels, pack_layer, unpack_layer,
)
from cbackprop.losses cimport code_of as loss_code
from cbackprop.sparse cimport sparse_forward_panels, sparse_gradient_panels, step_rows

import numpy as np

from cbackprop import activations as _activations
from cbackprop import dense as _dense


cdef enum:
    # Numbers that are gathered between two looks at the clock.
    GATHER_AT_ONCE = 1 << 22
    # Multiply-adds in the time that the loss and the delta of one output take.
    WORK_OF_A_LOSS = 64


cdef Py_ssize_t n_sums(Py_ssize_t n_rows) noexcept nogil:
    """How many gradients the tree over blocks of rows holds at a time."""
    cdef Py_ssize_t n_blocks = (n_rows + BLOCK_ROWS - 1) // BLOCK_ROWS, levels = 0
    while n_blocks > 0:
        n_blocks //= 2
        levels += 1
    return levels


cdef class Plan:
    def __cinit__(self, layer_sizes, activation, loss, dtype, bint shortcuts=False):
        """`activation`: a canonical name for each layer but the inputs."""
        cdef Py_ssize_t k, row = 0
        self.kernels = kernels_for(dtype)
        self.itemsize = dtype.itemsize
        self.n_layers = len(layer_sizes) - 1
        self.shortcuts = shortcuts and self.n_layers > 1
        self.loss = loss_code(loss)
        self.layers = <Layer*>PyMem_Calloc(self.n_layers, sizeof(Layer))
        if self.layers == NULL:
            raise MemoryError(f"no memory for {self.n_layers} layers")
        for k in range(self.n_layers):
            row = describe(&self.layers[k], self.kernels, layer_sizes[k],
                           layer_sizes[0] if shortcuts and k > 0 else 0, layer_sizes[k + 1],
                           activation_code(activation[k]), row, self.n_parameters)
            self.n_parameters = self.layers[k].public_biases + self.layers[k].n_out
            self.widest = max(self.widest, self.layers[k].in_panels, self.layers[k].out_panels)
        self.parameter_rows = row

    def __dealloc__(self):
        PyMem_Free(self.layers)

    cdef bint pack(self, const char* public, lanes_t* parameters, Watch* watch) noexcept nogil:
        """parameters := the public ones, in panels; returns whether to stop"""
        cdef Py_ssize_t k
        for k in range(self.n_layers):
            if pack_layer(self.kernels, &self.layers[k], public, self.itemsize, parameters, watch):
                return True
        return False

    cdef bint unpack(self, const lanes_t* parameters, char* public, Watch* watch) noexcept nogil:
        """public := parameters, row-major; returns whether to stop, never without a watch"""
        cdef Py_ssize_t k
        for k in range(self.n_layers):
            if unpack_layer(self.kernels, &self.layers[k], parameters, self.itemsize, public, watch):
                return True
        return False


cdef class Workspace:
    def __cinit__(self, Plan plan, Py_ssize_t n_rows, *, Py_ssize_t n_sums=0, bint keep_deltas=False,
                  bint input_deltas=False, bint sparse=False, bint stepping=False):
        """Memory for blocks of up to min(n_rows, BLOCK_ROWS) rows.

        n_sums: gradients to be held at a time; 0 where only the forward pass is wanted.
        keep_deltas: the deltas of every layer stay; else those of two layers in turn, unless that needs more memory.
        sparse: X is.
        stepping: its layer takes steps at once, so that no sum has its gradients, and there is one sum at most.
        """
        cdef Py_ssize_t k, widest = 0, n_layers = plan.n_layers, total = 0, scratch_rows = 0
        cdef Py_ssize_t input_panels = 0 if sparse else plan.layers[0].in_panels
        self.plan = plan
        self.sparse = sparse
        self.loss_limit = INFINITY
        # odd, so that no two panels of a row lie a power of two apart
        self.stride = min(n_rows, <Py_ssize_t>BLOCK_ROWS) | 1
        self.activations = <lanes_t**>PyMem_Calloc(n_layers + 1, sizeof(lanes_t*))
        self.deltas = <lanes_t**>PyMem_Calloc(n_layers, sizeof(lanes_t*))
        self.sums = <lanes_t**>PyMem_Calloc(n_sums + 1, sizeof(lanes_t*))
        self._extents = <Py_ssize_t*>PyMem_Calloc(2 * self.stride if sparse else 0, sizeof(Py_ssize_t))
        if self.activations == NULL or self.deltas == NULL or self.sums == NULL or self._extents == NULL:
            raise MemoryError(f"no memory for {n_layers} layers")
        cdef Py_ssize_t all_out = 0, weight_rows = self.stride // plan.kernels.lanes + 1
        for k in range(n_layers):
            widest = max(widest, plan.layers[k].out_panels)
            all_out += plan.layers[k].out_panels
        keep_deltas = keep_deltas or all_out <= 2 * widest
        cdef Py_ssize_t panels = input_panels + all_out + (all_out if keep_deltas else 2 * widest)
        if plan.shortcuts:
            panels += input_panels * (n_layers - 2)
        if input_deltas:
            panels += plan.layers[0].in_panels * (2 if plan.shortcuts else 1)
        for k in range(0 if input_deltas else 1, n_layers):
            if not plan.layers[k].few:
                scratch_rows = max(scratch_rows, 2 * plan.kernels.lanes * plan.layers[k].out_panels)
        scratch_rows = min(scratch_rows, plan.kernels.scratch_rows)
        if stepping:
            self.first_sum = plan.layers[0].weights + plan.layers[0].weight_rows
            total += step_rows(&plan.layers[0])
        total += panels * self.stride + weight_rows + scratch_rows + n_sums * (plan.parameter_rows - self.first_sum)
        self._block = Block(total)

        cdef lanes_t* rows = self._block.rows
        self.activations[0] = rows
        self.begins, self.ends = self._extents, self._extents + (self.stride if sparse else 0)
        rows += input_panels * self.stride
        for k in range(n_layers):
            # before the first hidden layer X's panels lie anyway
            if plan.shortcuts and 0 < k < n_layers - 1:
                rows += input_panels * self.stride
            self.activations[k + 1] = rows
            rows += plan.layers[k].out_panels * self.stride
        for k in range(n_layers):
            self.deltas[k] = rows + (0 if keep_deltas else k % 2 * widest * self.stride)
            if keep_deltas:
                rows += plan.layers[k].out_panels * self.stride
        if not keep_deltas:
            rows += 2 * widest * self.stride
        self.sample_weight = rows
        rows += weight_rows
        self.scratch = rows
        rows += scratch_rows
        for k in range(n_sums):
            self.sums[k] = rows - self.first_sum  # as if what comes before were there
            rows += plan.parameter_rows - self.first_sum
        self.step_scratch = rows
        if stepping:
            rows += step_rows(&plan.layers[0])
        self.input_deltas = rows if input_deltas else NULL

    def __dealloc__(self):
        PyMem_Free(self.activations)
        PyMem_Free(self.deltas)
        PyMem_Free(self.sums)
        PyMem_Free(self._extents)

    cdef Rows rows_from(self, const Rows* data, Py_ssize_t first) noexcept nogil:
        """The data from row `first` on."""
        cdef Rows rest
        cdef Py_ssize_t itemsize = self.plan.itemsize
        cdef Py_ssize_t n_outputs = self.plan.layers[self.plan.n_layers - 1].n_out
        rest.X = NULL
        rest.sparse_X = data.sparse_X
        if self.sparse:
            rest.sparse_X.begins += first
            rest.sparse_X.ends += first
        else:
            rest.X = <const lanes_t*>(<const char*>data.X + first * self.plan.layers[0].n_in * itemsize)
        rest.y = NULL
        rest.classes = NULL
        rest.sample_weight = NULL
        if data.y != NULL:
            rest.y = <const lanes_t*>(<const char*>data.y + first * n_outputs * itemsize)
        if data.classes != NULL:
            rest.classes = data.classes + first
        if data.sample_weight != NULL:
            rest.sample_weight = <const lanes_t*>(<const char*>data.sample_weight + first * itemsize)
        return rest

    cdef void lie_in(self, Workspace owner, Py_ssize_t first) noexcept nogil:
        """From now on this one's rows are those of another from row `first` on"""
        cdef Py_ssize_t k, n_layers = self.plan.n_layers
        self.stride = owner.stride
        self.loss_limit = owner.loss_limit
        self.begins, self.ends = owner.begins + first, owner.ends + first
        for k in range(n_layers):
            self.activations[k] = owner.activations[k] + first
            self.deltas[k] = owner.deltas[k] + first
        self.activations[n_layers] = owner.activations[n_layers] + first
        self.sample_weight = <lanes_t*>(<char*>owner.sample_weight + first * self.plan.itemsize)

    cdef bint forward(
        self, const lanes_t* parameters, const Rows* data,
        const Py_ssize_t* order,  # (n_rows,): which rows of the data; NULL for the first n_rows
        Py_ssize_t n_rows,  # up to BLOCK_ROWS
        bint activate_outputs,  # false: the last preactivations stay, for the loss
    ) noexcept nogil:
        """activations[k + 1] := f_k(activations[k] @ weights[k] + biases[k]); returns whether to stop"""
        cdef const Kernels* kernels = self.plan.kernels
        cdef Py_ssize_t k, last = self.plan.n_layers - 1
        cdef const Layer* layers = self.plan.layers
        cdef bint good
        if self.sparse:
            self.find_inputs(data, order, n_rows)
            if sparse_forward_panels(kernels, &layers[0], parameters, &self.inputs, self.stride, n_rows,
                                     0 < last or activate_outputs, self.activations[1], &self.watch, &good):
                if not good:
                    self.fault = BAD_X
                return True
        elif self.gather_inputs(data, order, n_rows) or self.plan.shortcuts and self.copy_inputs(n_rows):
            return True
        for k in range(1 if self.sparse else 0, last + 1):
            if forward_panels(kernels, &layers[k], parameters, self.layer_inputs(k), self.stride, n_rows,
                              k < last or activate_outputs, self.activations[k + 1], &self.watch):
                return True
        return False

    cdef bint gather_inputs(self, const Rows* data, const Py_ssize_t* order, Py_ssize_t n_rows) noexcept nogil:
        """activations[0] := rows of X; returns whether to stop"""
        cdef Py_ssize_t n_in = self.plan.layers[0].n_in, at_once = max(1, GATHER_AT_ONCE // n_in)
        cdef Py_ssize_t first = 0, rows
        cdef Rows part
        while first < n_rows:
            rows = min(at_once, n_rows - first)
            part = self.rows_from(data, 0 if order != NULL else first)
            if not self.plan.kernels.gather(
                    part.X, n_in, order + first if order != NULL else NULL, rows,
                    self.activations[0] + first, self.stride):
                self.fault = BAD_X
                return True
            if interrupted(&self.watch, 4 * rows * n_in):
                return True
            first += rows
        return False

    cdef bint copy_inputs(self, Py_ssize_t n_rows) noexcept nogil:
        """X's panels to where shortcuts take them to layers from the third on; returns whether to stop"""
        cdef const Layer* layers = self.plan.layers
        cdef lanes_t* out
        cdef Py_ssize_t k, p
        for k in range(2, self.plan.n_layers):
            out = self.activations[k] - layers[k].shortcut_panels * self.stride
            for p in range(layers[k].shortcut_panels):
                memcpy(out + p * self.stride, self.activations[0] + p * self.stride, n_rows * sizeof(lanes_t))
                if interrupted(&self.watch, 4 * n_rows * self.plan.kernels.lanes):
                    return True
        return False

    cdef const lanes_t* layer_inputs(self, Py_ssize_t k) noexcept nogil:
        """What layer k multiplies: the activations below it, with shortcuts X's panels before them"""
        return self.activations[k] - self.plan.layers[k].shortcut_panels * self.stride

    cdef void find_inputs(self, const Rows* data, const Py_ssize_t* order, Py_ssize_t n_rows) noexcept nogil:
        """inputs := rows of a sparse X"""
        cdef Py_ssize_t r, row
        self.inputs = data.sparse_X
        self.inputs.begins, self.inputs.ends = self.begins, self.ends
        for r in range(n_rows):
            row = order[r] if order != NULL else r
            self.begins[r], self.ends[r] = data.sparse_X.begins[row], data.sparse_X.ends[row]

    cdef bint output_deltas(self, const Rows* data, const Py_ssize_t* order, Py_ssize_t n_rows) noexcept nogil:
        """deltas[last] := dC/d preactivations, after `forward`; losses and weights of parts; returns whether to stop"""
        if self.output_residuals(data, order, n_rows):
            return True
        if self.plan.loss == SQUARED_ERROR:
            self.times_output_slope(n_rows)
        return False

    cdef bint output_residuals(self, const Rows* data, const Py_ssize_t* order, Py_ssize_t n_rows) noexcept nogil:
        """`output_deltas`, but that of a squared error they are dC/d activations, outputs - targets"""
        cdef const Kernels* kernels = self.plan.kernels
        cdef Py_ssize_t last = self.plan.n_layers - 1, first = 0, rows, n_out = self.plan.layers[last].n_out
        cdef Py_ssize_t itemsize = self.plan.itemsize
        cdef lanes_t* weights = NULL
        cdef const Py_ssize_t* part_order
        cdef Rows part
        self.n_parts = 0
        while first < n_rows:
            rows = min(<Py_ssize_t>LOSS_ROWS, n_rows - first)
            part = self.rows_from(data, 0 if order != NULL else first)
            part_order = order + first if order != NULL else NULL
            self.weights[self.n_parts] = rows
            if data.sample_weight != NULL:
                weights = <lanes_t*>(<char*>self.sample_weight + first * itemsize)
                if not kernels.gather_numbers(
                        part.sample_weight, part_order, rows, weights, &self.weights[self.n_parts]):
                    self.fault = BAD_SAMPLE_WEIGHT
                    return True
            if not self.gather_targets(&part, part_order, rows, self.deltas[last] + first):
                self.fault = BAD_Y
                return True
            self.losses[self.n_parts] = kernels.loss[<int>self.plan.loss](
                self.activations[last + 1] + first, weights, self.stride, n_out, rows, self.loss_limit,
                self.deltas[last] + first)
            self.n_parts += 1
            if interrupted(&self.watch, WORK_OF_A_LOSS * rows * n_out):
                return True
            first += rows
        return False

    cdef void add_parts(self, double* loss, double* weight) noexcept nogil:
        """Adds the losses and the weights of the last block, part by part"""
        cdef Py_ssize_t i
        for i in range(self.n_parts):
            loss[0] += self.losses[i]
            weight[0] += self.weights[i]

    cdef bint gather_targets(
        self, const Rows* data, const Py_ssize_t* order, Py_ssize_t n_rows, lanes_t* out
    ) noexcept nogil:
        """out := rows of y; returns whether they are good"""
        cdef const Kernels* kernels = self.plan.kernels
        cdef Py_ssize_t n_out = self.plan.layers[self.plan.n_layers - 1].n_out
        if data.classes != NULL:
            return kernels.gather_classes(data.classes, order, n_rows, n_out, out, self.stride)
        return kernels.gather(data.y, n_out, order, n_rows, out, self.stride)

    cdef void times_output_slope(self, Py_ssize_t n_rows) noexcept nogil:
        """deltas[last] times the derivative of the outputs: dC/d activations become dC/d preactivations"""
        cdef Py_ssize_t p, last = self.plan.n_layers - 1
        cdef const Layer* layer = &self.plan.layers[last]
        cdef derivative_t derivative = self.plan.kernels.derivative[<int>layer.activation]
        if derivative != NULL:
            for p in range(layer.out_panels):
                derivative(self.activations[last + 1] + p * self.stride, n_rows, self.deltas[last] + p * self.stride)
        elif layer.activation == SOFTMAX:
            self.plan.kernels.softmax_backward(
                self.activations[last + 1], self.stride, layer.n_out, n_rows, self.deltas[last])

    cdef bint backward(
        self, const lanes_t* parameters, Py_ssize_t n_rows,
        const Change* change,  # as in `layer_gradients`
        lanes_t* out,
    ) noexcept nogil:
        """deltas[k - 1] := (deltas[k] @ weights[k].T) * f'; gradients of every layer; returns whether to stop"""
        cdef const Kernels* kernels = self.plan.kernels
        cdef const Layer* layers = self.plan.layers
        cdef Py_ssize_t k
        for k in range(self.plan.n_layers - 1, -1, -1):
            # before the step changes this layer's weights
            if k > 0 and deltas_below_panels(
                    kernels, &layers[k], parameters, self.deltas[k], self.stride, n_rows, layers[k].shortcut_panels,
                    layers[k].in_panels, layers[k - 1].activation, self.activations[k], self.scratch,
                    self.deltas[k - 1], &self.watch):
                return True
            if self.input_deltas != NULL and self.add_input_deltas(k, parameters, n_rows):
                return True
            if out != NULL and self.layer_gradients(k, n_rows, 0, self.gradient_tiles(k), change, out, &self.watch):
                return True
        return False

    cdef bint add_input_deltas(self, Py_ssize_t k, const lanes_t* parameters, Py_ssize_t n_rows) noexcept nogil:
        """input_deltas := or, but for the last layer, += what goes through layer k; returns whether to stop"""
        cdef const Kernels* kernels = self.plan.kernels
        cdef const Layer* layer = &self.plan.layers[k]
        cdef Py_ssize_t p, n_panels = layer.in_panels if k == 0 else layer.shortcut_panels
        # without shortcuts all goes through the first layer
        cdef bint first = not self.plan.shortcuts or k == self.plan.n_layers - 1
        cdef lanes_t* out = self.input_deltas + (0 if first else n_panels * self.stride)
        if deltas_below_panels(
                kernels, layer, parameters, self.deltas[k], self.stride, n_rows, 0, n_panels,
                IDENTITY, NULL, self.scratch, out, &self.watch):
            return True
        if not first:
            for p in range(n_panels):
                kernels.add_rows(out + p * self.stride, n_rows, self.input_deltas + p * self.stride)
        return False

    cdef Py_ssize_t gradient_tiles(self, Py_ssize_t k) noexcept nogil:
        """What of a layer's gradients can be computed by itself"""
        return self.plan.layers[k].in_panels if self.sparse and k == 0 else self.plan.layers[k].gradient_tiles

    cdef bint layer_gradients(
        self, Py_ssize_t k, Py_ssize_t n_rows, Py_ssize_t first, Py_ssize_t last,
        const Change* change,  # NULL: out becomes the gradients; else out, the parameters themselves, takes a step
        lanes_t* out,
        Watch* watch,
    ) noexcept nogil:
        """The gradients of a layer's tiles first to last, or a step along them; returns whether to stop

        On dense inputs only the plain rule takes it here; for others sums[0] gets the gradients.
        """
        if self.sparse and k == 0:
            return sparse_gradient_panels(
                self.plan.kernels, &self.plan.layers[k], &self.inputs, self.deltas[k], self.stride, n_rows,
                first, last, change, self.step_scratch, out, watch)
        if change != NULL and change.rule != PLAIN_SGD:
            change, out = NULL, self.sums[0]
        return gradient_panels(
            self.plan.kernels, &self.plan.layers[k], self.layer_inputs(k), self.deltas[k], self.stride, n_rows,
            first, last, &change.step if change != NULL else NULL, out, watch)


def _columns(name, array):
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{name} must be a NumPy array, got {type(array).__name__}")
    if array.ndim != 2:
        raise ValueError(f"{name} must have two dimensions, got shape {array.shape}")
    _, n_columns = array.shape
    return n_columns


# Python's own semantics, for what is indexed here are lists and tuples of the caller's.
@cython.boundscheck(True)
@cython.wraparound(True)
def forward(X, weights, biases, activation):
    """The activations of every layer.

    Parameters
    ----------
    X : array of shape (n_samples, n_features)
        C-contiguous, float32 or float64, as all arrays here.
    weights, biases : sequences of arrays of shapes (n_in, n_out) and (n_out,)
    activation : sequence of str
        One name a layer, that of the outputs last.

    Returns
    -------
    list of arrays of shape (n_samples, n_out)
        X itself first, the outputs last.
    """
    if not len(weights) == len(biases) == len(activation):
        raise ValueError(
            f"weights, biases and activation must have one length, got {len(weights)}, {len(biases)} and "
            f"{len(activation)}")
    below, found = X, [X]
    for layer_weights, layer_biases, name in zip(weights, biases, activation):
        name = _activations.canonical(name, _activations.OUTPUT, "activation")
        _columns("X", X)
        out = np.empty((X.shape[0], _columns("weights", layer_weights)), X.dtype)
        _dense.forward(below, layer_weights, layer_biases, out)
        if name != "identity":
            getattr(_activations, name)(out, out)
        found.append(out)
        below = out
    return found


@cython.boundscheck(True)
@cython.wraparound(True)
def deltas(output_deltas, weights, activations, activation):
    """The delta recursion: dC/d preactivations of every layer from those of the outputs.

    Parameters
    ----------
    output_deltas : array of shape (n_samples, n_outputs)
        ``outputs - y`` for squared error with identity, log loss with softmax or sigmoid, poisson with exp.
    weights : sequence of arrays of shape (n_in, n_out)
    activations : sequence of arrays
        As `forward` returns them.
    activation : sequence of str
        One name a hidden layer.

    Returns
    -------
    list of arrays of shape (n_samples, n_out)
        ``output_deltas`` itself last.
    """
    if not len(weights) == len(activations) - 1 == len(activation) + 1:
        raise ValueError(
            "weights, activations and activation must be of n layers, n + 1 and n - 1, got "
            f"{len(weights)}, {len(activations)} and {len(activation)}")
    above, found = output_deltas, [output_deltas]
    for k in range(len(activation), 0, -1):
        layer_weights, activations_below, name = weights[k], activations[k], activation[k - 1]
        name = _activations.canonical(name, _activations.HIDDEN, "activation")
        _columns("activations", activations_below)
        out = np.empty_like(activations_below)
        _dense.deltas_below(above, layer_weights, out)
        if name != "identity":
            getattr(_activations, f"{name}_backward")(activations_below, out)
        found.insert(0, out)
        above = out
    return found


@cython.boundscheck(True)
@cython.wraparound(True)
def gradients(activations, deltas):
    """The gradients of every layer's weights and biases, summed over the data points.

    Parameters
    ----------
    activations, deltas : sequences of arrays
        As `forward` and `deltas` return them.

    Returns
    -------
    weight_grads, bias_grads : lists of arrays of shapes (n_in, n_out) and (n_out,)
    """
    if len(activations) != len(deltas) + 1:
        raise ValueError(
            f"activations must be one more than deltas, got {len(activations)} and {len(deltas)}")
    weight_grads = [
        np.empty((_columns("activations", a), _columns("deltas", d)), d.dtype) for a, d in zip(activations, deltas)]
    bias_grads = [np.empty(_columns("deltas", d), d.dtype) for d in deltas]
    for arrays in zip(activations, deltas, weight_grads, bias_grads):
        _dense.gradients(*arrays)
    return weight_grads, bias_grads
