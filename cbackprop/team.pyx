"""One block of rows, or many, computed by one thread or by several: the same bits.

A block goes through two jobs. In the first each thread takes some of the rows through everything that is done row by
row: gathering, the forward pass, losses, and all deltas. In the second each takes some tiles of the gradients. A sum is
never divided, so its order does not depend on the number of threads; the losses are sums over fixed parts of the rows.
"""

from cpython.mem cimport PyMem_Calloc, PyMem_Free

from cbackprop._kernels.table cimport SQUARED_ERROR, Change
from cbackprop._threads cimport Threads, job_t, n_callers
from cbackprop._typedefs cimport lanes_t
from cbackprop._watch cimport Watch, interrupted
from cbackprop.backprop cimport BAD_X, BLOCK_ROWS, FORKED, LOSS_ROWS, NO_FAULT, Fault, Plan, Rows, Workspace
from cbackprop.dense cimport Layer
from cbackprop.optimizers cimport Update, apply

cdef enum:
    # Rows of lanes that are added between two looks at the clock.
    ADD_AT_ONCE = 1 << 16
    # More threads find nothing to do in a block of rows.
    MOST_THREADS = 64


cdef class Team:
    def __cinit__(self, Plan plan, Workspace workspace, Py_ssize_t n_threads, Py_ssize_t n_cpus=0, *,
                  Py_ssize_t n_rows=0, list helpers=None):
        """workspace: with the deltas of every layer, if n_threads > 1

        n_cpus: to be shared with whoever else computes, so that a call may use fewer threads than it has; 0: all of
        them are used.
        n_rows: for blocks of up to so many rows, each thread gets memory of its own.
        helpers: the workspaces of the threads but the first; those that are wanting are made, and stay in the list.
        """
        cdef Py_ssize_t share
        cdef Workspace helper
        self.plan = plan
        self.workspace = workspace
        self.threads = Threads(min(n_threads, <Py_ssize_t>MOST_THREADS))
        self.n_threads = self.threads.n_threads
        self.n_cpus = n_cpus
        self.n_shares = 1
        self.workspaces = <void**>PyMem_Calloc(self.n_threads, sizeof(void*))
        self.watches = <Watch**>PyMem_Calloc(self.n_threads, sizeof(Watch*))
        if self.workspaces == NULL or self.watches == NULL:
            raise MemoryError(f"no memory for {self.n_threads} threads")
        self._helpers = helpers if helpers is not None else []
        self.workspaces[0] = <void*>workspace
        self.watches[0] = &workspace.watch
        for share in range(1, self.n_threads):
            if share > len(self._helpers):
                self._helpers.append(Workspace(plan, n_rows, sparse=workspace.sparse))
            helper = self._helpers[share - 1]
            helper.watch.leader = &workspace.watch
            self.workspaces[share] = <void*>helper
            self.watches[share] = &helper.watch

    def __dealloc__(self):
        PyMem_Free(self.workspaces)
        PyMem_Free(self.watches)

    cdef void choose_shares(self) noexcept nogil:
        """Fewer than there are threads, if others compute, too"""
        if self.n_threads > 1:
            self.n_shares = self.threads.n_here()
            if self.n_cpus > 0:
                self.n_shares = max(1, min(self.n_shares, self.n_cpus // n_callers()))

    cdef bint block(
        self, const lanes_t* parameters, const Rows* data, const Py_ssize_t* order,
        Py_ssize_t n_rows,  # up to BLOCK_ROWS
        double* loss, double* weight,  # get those of the rows added
    ) noexcept nogil:
        """The forward pass, losses and output deltas of one block of rows; returns whether to stop"""
        cdef Py_ssize_t share, n_shares
        self.choose_shares()
        if self.n_shares == 1:
            if self.workspace.forward(parameters, data, order, n_rows, self.plan.loss == SQUARED_ERROR):
                return True
            if self.workspace.output_deltas(data, order, n_rows):
                return True
            self.workspace.add_parts(loss, weight)
            return False
        self.parameters, self.data, self.order, self.n_rows = parameters, data, order, n_rows
        n_shares = min(self.n_shares, n_parts(n_rows))
        if self.run(n_shares, rows_job, <void*>self):
            return True
        for share in range(n_shares):
            (<Workspace>self.workspaces[share]).add_parts(loss, weight)
        return False

    cdef void rows_share(self, Py_ssize_t share, Py_ssize_t n_shares) noexcept nogil:
        """`block`, and the deltas of every layer, for some of its rows"""
        cdef Py_ssize_t first, last
        cdef const Py_ssize_t* order = NULL
        cdef Rows data
        rows_of(self.n_rows, share, n_shares, &first, &last)
        data = self.workspace.rows_from(self.data, first if self.order == NULL else 0)
        if self.order != NULL:
            order = self.order + first
        if share > 0:
            (<Workspace>self.workspaces[share]).lie_in(self.workspace, first)
        if (<Workspace>self.workspaces[share]).forward(
                self.parameters, &data, order, last - first, self.plan.loss == SQUARED_ERROR):
            return
        if (<Workspace>self.workspaces[share]).output_deltas(&data, order, last - first) or self.losses_only:
            return
        (<Workspace>self.workspaces[share]).backward(self.parameters, last - first, NULL, NULL)

    cdef bint gradients(
        self, const lanes_t* parameters, Py_ssize_t n_rows,
        const Change* change,  # as in `Workspace.layer_gradients`
        lanes_t* out,
    ) noexcept nogil:
        """The gradients of every layer, after `block`; returns whether to stop"""
        if self.n_shares == 1:
            return self.workspace.backward(parameters, n_rows, change, out)
        self.change, self.out = change, out
        return self.run(self.n_shares, gradients_job, <void*>self)

    cdef void gradients_share(self, Py_ssize_t share, Py_ssize_t n_shares) noexcept nogil:
        cdef const Layer* layer
        cdef Py_ssize_t k, n_tiles, before = 0
        # sparse rows make their layer's work another than its number of parameters says: it is divided by itself
        if self.workspace.sparse:
            before = self.plan.layers[0].weights + self.plan.layers[0].weight_rows
        cdef Py_ssize_t first = before + (self.plan.parameter_rows - before) * share // n_shares
        cdef Py_ssize_t last = before + (self.plan.parameter_rows - before) * (share + 1) // n_shares
        for k in range(self.plan.n_layers):
            layer = &self.plan.layers[k]
            n_tiles = self.workspace.gradient_tiles(k)
            if self.workspace.layer_gradients(
                    k, self.n_rows,
                    n_tiles * share // n_shares if layer.biases < before else tiles_before(layer, first),
                    n_tiles * (share + 1) // n_shares if layer.biases < before else tiles_before(layer, last),
                    self.change, self.out, self.watches[share]):
                return

    cdef bint sum_losses(
        self, const lanes_t* parameters, const Rows* data, Py_ssize_t n_rows, double* loss, double* weight
    ) noexcept nogil:
        """`sum_gradients` without them"""
        cdef Py_ssize_t first = 0
        cdef Rows block
        cdef double block_loss
        cdef bint stop = False
        loss[0] = weight[0] = 0
        self.losses_only = True
        while first < n_rows and not stop:
            block = self.workspace.rows_from(data, first)
            block_loss = 0
            stop = self.block(
                parameters, &block, NULL, min(<Py_ssize_t>BLOCK_ROWS, n_rows - first), &block_loss, weight)
            loss[0] += block_loss
            first += BLOCK_ROWS
        self.losses_only = False
        return stop

    cdef bint sum_gradients(
        self, const lanes_t* parameters, const Rows* data, const Py_ssize_t* order, Py_ssize_t n_rows,
        double* loss, double* weight,  # sums over the rows
    ) noexcept nogil:
        """workspace.sums[0] := gradients summed over any number of rows; returns whether to stop

        Blocks of BLOCK_ROWS rows are the leaves of a binary tree that depends on n_rows only: see `fold`.
        """
        cdef Py_ssize_t first, rows, height = 0, n_blocks = 0
        cdef Rows block
        cdef double block_loss
        loss[0] = weight[0] = 0
        first = 0
        while first < n_rows:
            rows = min(<Py_ssize_t>BLOCK_ROWS, n_rows - first)
            block = self.workspace.rows_from(data, 0 if order != NULL else first)
            block_loss = 0
            if self.block(parameters, &block, order + first if order != NULL else NULL, rows, &block_loss, weight):
                return True
            loss[0] += block_loss
            if self.gradients(parameters, rows, NULL, self.workspace.sums[height]):
                return True
            n_blocks += 1
            first += BLOCK_ROWS
            if self.fold(n_blocks, first >= n_rows, &height):
                return True
        return False

    cdef bint fold(
        self,
        Py_ssize_t n_blocks,  # so far, the newest among them: workspace.sums[height]
        bint last,  # no other comes: all of them go into sums[0]
        Py_ssize_t* height,  # how many sums wait
    ) noexcept nogil:
        """Adds a block's gradients, or others', to the tree: a sum waits until its neighbour is of as many blocks

        Returns whether to stop.
        """
        cdef lanes_t** sums = self.workspace.sums
        height[0] += 1
        while height[0] > 1 and (last or n_blocks % 2 == 0):
            height[0] -= 1
            n_blocks //= 2
            if self.add(sums[height[0]], sums[height[0] - 1]):
                return True
        return False

    cdef bint add(self, const lanes_t* gradients, lanes_t* out) noexcept nogil:
        """out += gradients, as many as the private parameters; returns whether to stop"""
        self.source, self.out = gradients, out
        return self.run(self.n_shares, add_job, <void*>self)

    cdef void add_share(self, Py_ssize_t share, Py_ssize_t n_shares) noexcept nogil:
        cdef Py_ssize_t first = self.plan.parameter_rows * share // n_shares, rows
        cdef Py_ssize_t last = self.plan.parameter_rows * (share + 1) // n_shares
        while first < last:
            rows = min(<Py_ssize_t>ADD_AT_ONCE, last - first)
            self.plan.kernels.add_rows(self.source + first, rows, self.out + first)
            # from main memory an addition takes about as long as sixteen multiply-adds
            if interrupted(self.watches[share], 16 * rows * self.plan.kernels.lanes):
                return
            first += rows

    cdef bint take_step(self, const Update* update, lanes_t* parameters) noexcept nogil:
        """The optimizer's step along sums[0], of all parameters that it has; returns whether to stop"""
        self.update, self.out = update, parameters
        return self.run(self.n_shares, step_job, <void*>self)

    cdef void step_share(self, Py_ssize_t share, Py_ssize_t n_shares) noexcept nogil:
        cdef Py_ssize_t first = self.workspace.first_sum, rows = self.plan.parameter_rows - first
        apply(self.update, self.plan, self.workspace.sums[0], first + rows * share // n_shares,
              first + rows * (share + 1) // n_shares, self.out, self.watches[share])

    cdef bint run(self, Py_ssize_t n_shares, job_t job, void* context) noexcept nogil:
        """Does all shares of a job; returns whether to stop"""
        cdef Py_ssize_t share
        cdef Fault fault
        if n_shares == 1:
            job(context, 0, 1)
        elif not self.threads.run(n_shares, job, context, self.watches):
            self.workspace.fault = FORKED
            return True
        # as one thread would have found them: every row of X is gathered before anything else
        for share in range(1, n_shares):
            fault = (<Workspace>self.workspaces[share]).fault
            if fault == BAD_X or self.workspace.fault == NO_FAULT:
                self.workspace.fault = fault
        return self.workspace.fault != NO_FAULT or self.workspace.watch.stopped


cdef Py_ssize_t n_parts(Py_ssize_t n_rows) noexcept nogil:
    """How many parts rows have that are never divided: their losses are one sum"""
    return (n_rows + LOSS_ROWS - 1) // LOSS_ROWS


cdef void rows_of(
    Py_ssize_t n_rows, Py_ssize_t share, Py_ssize_t n_shares, Py_ssize_t* first, Py_ssize_t* last
) noexcept nogil:
    """first, last := a share's part of the rows"""
    first[0] = n_parts(n_rows) * share // n_shares * LOSS_ROWS
    last[0] = min(n_rows, n_parts(n_rows) * (share + 1) // n_shares * LOSS_ROWS)


cdef Py_ssize_t tiles_before(const Layer* layer, Py_ssize_t row) noexcept nogil:
    """How many of a layer's tiles belong to those who have the private parameters up to a row"""
    cdef Py_ssize_t rows = layer.bias_rows + layer.weight_rows
    return (min(max(0, row - layer.biases), rows) * layer.gradient_tiles + rows // 2) // rows


cdef void rows_job(void* team, Py_ssize_t share, Py_ssize_t n_shares) noexcept nogil:
    (<Team>team).rows_share(share, n_shares)


cdef void gradients_job(void* team, Py_ssize_t share, Py_ssize_t n_shares) noexcept nogil:
    (<Team>team).gradients_share(share, n_shares)


cdef void add_job(void* team, Py_ssize_t share, Py_ssize_t n_shares) noexcept nogil:
    (<Team>team).add_share(share, n_shares)


cdef void step_job(void* team, Py_ssize_t share, Py_ssize_t n_shares) noexcept nogil:
    (<Team>team).step_share(share, n_shares)
