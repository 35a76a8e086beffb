"""Derivatives beyond the gradient: row by row, output by output, by the inputs, and of second order.

All of them are the delta recursion from other deltas at the outputs. Of an output by itself these are its own
derivatives by the preactivations; a row's gradient is the outer product of its activations and its deltas.
"""

from libc.string cimport memcpy, memset

from cbackprop._kernels.table cimport IDENTITY, SOFTMAX, SQUARED_ERROR, Kernels, Step, derivative_t, tangent_t
from cbackprop._memory cimport Block
from cbackprop._typedefs cimport lanes_t
from cbackprop._watch cimport interrupted
from cbackprop.backprop cimport BLOCK_ROWS, Plan, Rows, Workspace
from cbackprop.dense cimport Layer, deltas_below_panels, forward_panels, gradient_panels
from cbackprop.team cimport Team

cdef enum:
    # Rows of J that are added to J^T J together: what they take stays in the second-level cache.
    ROWS_AT_ONCE = 64
    # Numbers of a Jacobian that are written between two looks at the clock.
    NUMBERS_AT_ONCE = 1 << 20


cdef inline const Layer* last_layer(Plan plan) noexcept nogil:
    return &plan.layers[plan.n_layers - 1]


# ---- of rows, by the preactivations, the inputs or the parameters ----

cdef void derive_blocks(
    Workspace workspace,  # with the deltas of every layer; by INPUTS, also those of the inputs
    const lanes_t* parameters, const Rows* data, Py_ssize_t n_rows,
    Variables by,
    bint of_outputs,  # of every output by itself; else of the loss
    char** outs,  # by PREACTIVATIONS one for each layer, (n_rows, n_out), else (n_rows, n_outputs or 1, n), overwritten
) noexcept nogil:
    """outs := derivatives for each row by itself; the workspace's fault and watch say if something stopped it"""
    cdef Py_ssize_t first = 0, rows, output, n_of = last_layer(workspace.plan).n_out if of_outputs else 1
    cdef Py_ssize_t row_bytes = workspace.plan.n_parameters * workspace.plan.itemsize
    cdef Rows block
    while first < n_rows:
        rows = min(<Py_ssize_t>BLOCK_ROWS, n_rows - first)
        block = workspace.rows_from(data, first)
        if workspace.forward(parameters, &block, NULL, rows, of_outputs or workspace.plan.loss == SQUARED_ERROR):
            return
        for output in range(n_of):
            if of_outputs:
                seed(workspace, output, NULL, rows)
            elif workspace.output_deltas(&block, NULL, rows):
                return
            if workspace.backward(parameters, rows, NULL, NULL):
                return
            if by == PREACTIVATIONS:
                write_deltas(workspace, first, rows, outs)
            elif by == INPUTS:
                write_input_deltas(workspace, first * n_of + output, rows, n_of, outs[0])
            elif write_gradients(workspace, 0, rows, outs[0] + (first * n_of + output) * row_bytes, n_of * row_bytes):
                return
        first += rows


cdef void seed(
    Workspace workspace, Py_ssize_t output,
    const lanes_t* factors,  # n_rows numbers, or NULL for ones
    Py_ssize_t n_rows,
) noexcept nogil:
    """deltas[last] := factors * d outputs[output] / d preactivations, after `forward` with activated outputs"""
    cdef const Kernels* kernels = workspace.plan.kernels
    cdef lanes_t* deltas = workspace.deltas[workspace.plan.n_layers - 1]
    cdef Py_ssize_t[BLOCK_ROWS] outputs
    cdef Py_ssize_t r
    for r in range(n_rows):
        outputs[r] = output
    kernels.gather_classes(outputs, NULL, n_rows, last_layer(workspace.plan).n_out, deltas, workspace.stride)
    if factors != NULL:
        kernels.scale_rows(factors, n_rows, deltas + output // kernels.lanes * workspace.stride)
    workspace.times_output_slope(n_rows)


cdef void write_deltas(Workspace workspace, Py_ssize_t first, Py_ssize_t n_rows, char** outs) noexcept nogil:
    """Those of every layer, to the rows of its array from `first` on"""
    cdef Py_ssize_t k, size
    for k in range(workspace.plan.n_layers):
        size = workspace.plan.layers[k].n_out
        workspace.plan.kernels.scatter(
            workspace.deltas[k], workspace.stride, size, n_rows,
            <lanes_t*>(outs[k] + first * size * workspace.plan.itemsize))


cdef void write_input_deltas(
    Workspace workspace, Py_ssize_t first, Py_ssize_t n_rows, Py_ssize_t step, char* out
) noexcept nogil:
    """To every step-th row of `out` from `first` on"""
    cdef Py_ssize_t r, size = workspace.plan.layers[0].n_in
    for r in range(n_rows):
        workspace.plan.kernels.scatter(
            workspace.input_deltas + r, workspace.stride, size, 1,
            <lanes_t*>(out + (first + r * step) * size * workspace.plan.itemsize))


cdef bint write_gradients(
    Workspace workspace, Py_ssize_t first_row, Py_ssize_t n_rows,
    char* out,  # (n_rows, row_bytes), n_parameters numbers of each row overwritten
    Py_ssize_t row_bytes,
) noexcept nogil:
    """Each row's gradients of every layer, of rows from first_row on; returns whether to stop"""
    cdef const Layer* layer
    cdef const lanes_t* below
    cdef const lanes_t* deltas
    cdef char* target
    cdef Py_ssize_t k, first, rows, size, itemsize = workspace.plan.itemsize, row_size = row_bytes // itemsize
    for k in range(workspace.plan.n_layers):
        layer = &workspace.plan.layers[k]
        size = layer.public_biases + layer.n_out - layer.public_weights
        first = 0
        while first < n_rows:
            rows = min(n_rows - first, max(1, NUMBERS_AT_ONCE // size))
            below = workspace.activations[k] + first_row + first
            deltas = workspace.deltas[k] + first_row + first
            target = out + first * row_bytes + layer.public_weights * itemsize
            if write_products(
                    workspace, below - layer.shortcut_panels * workspace.stride, layer.n_shortcuts, deltas, layer.n_out,
                    rows, target, row_size):
                return True
            target += layer.n_shortcuts * layer.n_out * itemsize
            if write_products(workspace, below, layer.n_below, deltas, layer.n_out, rows, target, row_size):
                return True
            first += rows
    return False


cdef bint write_products(
    Workspace workspace, const lanes_t* activations, Py_ssize_t n_in, const lanes_t* deltas, Py_ssize_t n_out,
    Py_ssize_t n_rows, char* out, Py_ssize_t row_size,
) noexcept nogil:
    """`outer_products` of some columns at a time; returns whether to stop"""
    cdef const Kernels* kernels = workspace.plan.kernels
    cdef Py_ssize_t i = 0, some, at_once = max(1, NUMBERS_AT_ONCE // (n_rows * n_out * kernels.lanes)) * kernels.lanes
    while i < n_in:
        some = min(at_once, n_in - i)
        # the biases' that come behind are overwritten by the next columns'
        kernels.outer_products(
            activations + i // kernels.lanes * workspace.stride, deltas, workspace.stride, some, n_out, n_rows,
            <lanes_t*>(out + i * n_out * workspace.plan.itemsize), row_size)
        if interrupted(&workspace.watch, 16 * n_rows * some * n_out):
            return True
        i += some
    return False


# ---- J^T J ----

cdef class NormalEquations:
    def __cinit__(self, Workspace workspace):
        """workspace: with the deltas of every layer"""
        cdef Plan plan = workspace.plan
        cdef Py_ssize_t lanes = plan.kernels.lanes, n_outputs = last_layer(plan).n_out, rows
        self.plan = plan
        self.workspace = workspace
        self.n = plan.n_parameters
        self.n_panels = self.n // lanes + 1
        rows = min(workspace.stride, <Py_ssize_t>ROWS_AT_ONCE)
        cdef Py_ssize_t n_residuals = (workspace.stride * n_outputs + lanes - 1) // lanes
        cdef Py_ssize_t n_numbers = (rows * (self.n + 1) + lanes - 1) // lanes
        self._block = Block(self.n_panels * (self.n + 1 + rows) + n_residuals + n_numbers)
        self.square = self._block.rows
        self.residuals = self.square + self.n_panels * (self.n + 1)
        self.numbers = self.residuals + n_residuals
        self.panels = self.numbers + n_numbers

    cdef bint add_up(
        self, const lanes_t* parameters,
        const Rows* data,  # its weights are those of the rows of J and of r: the roots of the data points'
        Py_ssize_t n_rows,
    ) noexcept nogil:
        """square := the sums over all rows and outputs; returns whether to stop

        The order is that of blocks of BLOCK_ROWS rows, in each of the outputs, for each of ROWS_AT_ONCE rows. It is one
        chain, for each level of a tree would be as large as `square` itself.
        """
        cdef Py_ssize_t first = 0, rows, output, n_outputs = last_layer(self.plan).n_out
        cdef Rows block
        memset(self.square, 0, self.n_panels * (self.n + 1) * sizeof(lanes_t))
        while first < n_rows:
            rows = min(<Py_ssize_t>BLOCK_ROWS, n_rows - first)
            block = self.workspace.rows_from(data, first)
            if self.workspace.forward(parameters, &block, NULL, rows, True):
                return True
            if self.workspace.output_residuals(&block, NULL, rows):
                return True
            self.plan.kernels.scatter(
                self.workspace.deltas[self.plan.n_layers - 1], self.workspace.stride, n_outputs, rows, self.residuals)
            for output in range(n_outputs):
                seed(self.workspace, output,
                     self.workspace.sample_weight if block.sample_weight != NULL else NULL, rows)
                if self.workspace.backward(parameters, rows, NULL, NULL):
                    return True
                if self.add_output(output, rows):
                    return True
            first += rows
        return False

    cdef bint add_output(self, Py_ssize_t output, Py_ssize_t n_rows) noexcept nogil:
        """Adds the rows of J of one output; returns whether to stop"""
        cdef const Kernels* kernels = self.plan.kernels
        cdef Py_ssize_t first = 0, rows, r, row_size = self.n + 1
        cdef Py_ssize_t itemsize = self.plan.itemsize, n_outputs = last_layer(self.plan).n_out
        while first < n_rows:
            rows = min(<Py_ssize_t>ROWS_AT_ONCE, n_rows - first)
            if write_gradients(self.workspace, first, rows, <char*>self.numbers, row_size * itemsize):
                return True
            for r in range(rows):
                memcpy(<char*>self.numbers + (r * row_size + self.n) * itemsize,
                       <char*>self.residuals + ((first + r) * n_outputs + output) * itemsize, itemsize)
            kernels.gather(self.numbers, row_size, NULL, rows, self.panels, rows)
            if self.add_rows(rows):
                return True
            first += rows
        return False

    cdef bint add_rows(self, Py_ssize_t n_rows) noexcept nogil:
        """square += panels.T @ panels, from the diagonal on; returns whether to stop"""
        cdef Py_ssize_t q, lanes = self.plan.kernels.lanes, columns = self.n + 1
        cdef Step plus
        plus.learning_rate, plus.scale, plus.alpha = -1, 1, 0
        for q in range(self.n_panels):
            self.plan.kernels.gradients(
                self.panels, n_rows, self.panels + q * n_rows, n_rows, self.n + 1, q, q + 1, columns, n_rows,
                &plus, self.square + q * (self.n + 1))
            if interrupted(&self.workspace.watch, n_rows * lanes * columns):
                return True
            columns -= lanes
        return False

    cdef bint write_square(
        self,
        char* out,  # (n, n) numbers, overwritten
        char* last_columns,  # (n, lanes) numbers, overwritten
    ) noexcept nogil:
        """out := J^T J; last_columns := the panel in which J^T r is column n % lanes; returns whether to stop"""
        cdef Py_ssize_t i, j, n = self.n, itemsize = self.plan.itemsize
        self.plan.kernels.scatter(self.square, n + 1, n, n, <lanes_t*>out)
        for i in range(n):
            for j in range(i):
                memcpy(out + (i * n + j) * itemsize, out + (j * n + i) * itemsize, itemsize)
            if interrupted(&self.workspace.watch, 16 * i):
                return True
        memcpy(last_columns, self.square + (self.n_panels - 1) * (n + 1), n * sizeof(lanes_t))
        return False


# ---- the Hessian times a vector ----

cdef class HessianProduct:
    """Pearlmutter's R operator: the derivative along a direction of everything that the delta recursion computes.

    R(preactivations) = R(activations) @ weights + activations @ R(weights) + R(biases), where R(weights) and R(biases)
    are the direction, and so on through the recursion.

    Notes
    -----
    B. A. Pearlmutter, "Fast exact multiplication by the Hessian", Neural Computation 6 (1994).
    """

    def __cinit__(self, Team team, Py_ssize_t n_rows):
        """team: of one thread, its workspace with the deltas of every layer, and with sums"""
        cdef Plan plan = team.plan
        self.plan = plan
        self.team = team
        self.workspace = team.workspace
        self.tangents = Workspace(plan, n_rows, keep_deltas=True)
        self._block = Block(2 * plan.parameter_rows + plan.widest * self.workspace.stride)
        self.direction = self._block.rows
        self.unbiased = self.direction + plan.parameter_rows
        self.spare = self.unbiased + plan.parameter_rows

    cdef bint sum_blocks(
        self, const lanes_t* parameters, const Rows* data, Py_ssize_t n_rows,
        double* weight,  # of all rows
    ) noexcept nogil:
        """workspace.sums[0] := the product, summed over the rows as gradients are; returns whether to stop"""
        cdef Py_ssize_t k, first = 0, rows, height = 0, n_blocks = 0
        cdef const Layer* layer
        cdef Rows block
        cdef double loss = 0
        weight[0] = 0
        self.weighted = data.sample_weight != NULL
        memcpy(self.unbiased, parameters, self.plan.parameter_rows * sizeof(lanes_t))
        for k in range(self.plan.n_layers):
            layer = &self.plan.layers[k]
            memset(self.unbiased + layer.biases, 0, layer.bias_rows * sizeof(lanes_t))
        while first < n_rows:
            rows = min(<Py_ssize_t>BLOCK_ROWS, n_rows - first)
            block = self.workspace.rows_from(data, first)
            if self.forward(parameters, &block, rows):
                return True
            self.workspace.add_parts(&loss, weight)
            if self.backward(parameters, rows, self.workspace.sums[height]):
                return True
            n_blocks += 1
            first += rows
            if self.team.fold(n_blocks, first == n_rows, &height):
                return True
        return False

    cdef bint forward(self, const lanes_t* parameters, const Rows* data, Py_ssize_t n_rows) noexcept nogil:
        """Activations, output deltas before f', and the tangents of the activations; returns whether to stop"""
        cdef const Kernels* kernels = self.plan.kernels
        cdef const Layer* layer
        cdef lanes_t* out
        cdef derivative_t derivative
        cdef Py_ssize_t k, p, stride = self.workspace.stride
        if self.workspace.forward(parameters, data, NULL, n_rows, self.plan.loss == SQUARED_ERROR):
            return True
        if self.workspace.output_residuals(data, NULL, n_rows):
            return True
        for k in range(self.plan.n_layers):
            layer, out = &self.plan.layers[k], self.tangents.activations[k + 1]
            if forward_panels(kernels, layer, self.direction, self.workspace.layer_inputs(k), stride, n_rows, False,
                              out, &self.workspace.watch):
                return True
            if k > 0:
                if forward_panels(kernels, layer, self.unbiased, self.tangents.layer_inputs(k), stride, n_rows, False,
                                  self.spare, &self.workspace.watch):
                    return True
                self.add(layer.out_panels, n_rows, out)
            derivative = kernels.derivative[<int>layer.activation]
            if derivative != NULL:
                for p in range(layer.out_panels):
                    derivative(self.workspace.activations[k + 1] + p * stride, n_rows, out + p * stride)
            elif layer.activation == SOFTMAX:
                kernels.softmax_backward(self.workspace.activations[k + 1], stride, layer.n_out, n_rows, out)
        return False

    cdef bint backward(self, const lanes_t* parameters, Py_ssize_t n_rows, lanes_t* out) noexcept nogil:
        """out := the tangents of the gradients, by those of the deltas; returns whether to stop"""
        cdef const Kernels* kernels = self.plan.kernels
        cdef Py_ssize_t k, p, last = self.plan.n_layers - 1, stride = self.workspace.stride
        for p in range(self.plan.layers[last].out_panels):
            memcpy(self.tangents.deltas[last] + p * stride, self.tangents.activations[last + 1] + p * stride,
                   n_rows * sizeof(lanes_t))
            if self.weighted:
                kernels.scale_rows(self.workspace.sample_weight, n_rows, self.tangents.deltas[last] + p * stride)
        if self.plan.loss == SQUARED_ERROR:
            self.times_slope(last, n_rows)
        for k in range(last, -1, -1):
            if self.gradients(k, n_rows, out) or (k > 0 and self.deltas_below(k, parameters, n_rows)):
                return True
        return False

    cdef bint deltas_below(self, Py_ssize_t k, const lanes_t* parameters, Py_ssize_t n_rows) noexcept nogil:
        """The deltas of the layer before layer k, and their tangents; returns whether to stop"""
        cdef lanes_t* deltas = self.workspace.deltas[k]
        cdef lanes_t* tangents = self.tangents.deltas[k - 1]
        if self.product(k, self.direction, deltas, n_rows, self.spare):
            return True
        if self.product(k, parameters, self.tangents.deltas[k], n_rows, tangents):
            return True
        if self.product(k, parameters, deltas, n_rows, self.workspace.deltas[k - 1]):
            return True
        self.add(self.plan.layers[k - 1].out_panels, n_rows, tangents)
        self.times_slope(k - 1, n_rows)
        return False

    cdef bint product(
        self, Py_ssize_t k, const lanes_t* parameters, const lanes_t* deltas, Py_ssize_t n_rows, lanes_t* out
    ) noexcept nogil:
        """out := deltas @ weights[k].T, but for the inputs of shortcuts; returns whether to stop"""
        cdef const Layer* layer = &self.plan.layers[k]
        return deltas_below_panels(
            self.plan.kernels, layer, parameters, deltas, self.workspace.stride, n_rows, layer.shortcut_panels,
            layer.in_panels, IDENTITY, NULL, self.workspace.scratch, out, &self.workspace.watch)

    cdef void times_slope(self, Py_ssize_t k, Py_ssize_t n_rows) noexcept nogil:
        """Multiplies a layer's deltas by f', and their tangents by the rule for products"""
        cdef const Layer* layer = &self.plan.layers[k]
        cdef tangent_t tangent = self.plan.kernels.tangent[<int>layer.activation]
        cdef Py_ssize_t p, at
        if tangent != NULL:
            for p in range(layer.out_panels):
                at = p * self.workspace.stride
                tangent(self.workspace.activations[k + 1] + at, self.tangents.activations[k + 1] + at, n_rows,
                        self.workspace.deltas[k] + at, self.tangents.deltas[k] + at)

    cdef bint gradients(self, Py_ssize_t k, Py_ssize_t n_rows, lanes_t* out) noexcept nogil:
        """out := R(activations).T @ deltas + activations.T @ R(deltas) of a layer; returns whether to stop"""
        cdef const Kernels* kernels = self.plan.kernels
        cdef const Layer* layer = &self.plan.layers[k]
        cdef Py_ssize_t stride = self.workspace.stride
        cdef Step plus
        plus.learning_rate, plus.scale, plus.alpha = -1, 1, 0
        # the inputs do not change
        if k > 0 and gradient_panels(
                kernels, layer, self.tangents.layer_inputs(k), self.workspace.deltas[k], stride, n_rows, 0,
                layer.gradient_tiles, NULL, out, &self.workspace.watch):
            return True
        if gradient_panels(
                kernels, layer, self.workspace.layer_inputs(k), self.tangents.deltas[k], stride, n_rows, 0,
                layer.gradient_tiles, &plus if k > 0 else NULL, out, &self.workspace.watch):
            return True
        # to the biases nothing is added
        kernels.bias_gradients(self.tangents.deltas[k], stride, layer.out_panels, n_rows, NULL, out + layer.biases)
        return False

    cdef void add(self, Py_ssize_t n_panels, Py_ssize_t n_rows, lanes_t* out) noexcept nogil:
        """out += spare"""
        cdef Py_ssize_t p
        for p in range(n_panels):
            self.plan.kernels.add_rows(
                self.spare + p * self.workspace.stride, n_rows, out + p * self.workspace.stride)
