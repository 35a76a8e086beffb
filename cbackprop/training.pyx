"""Epochs and mini-batches: shuffle, gather, forward, backward, update; when to stop.

`Training.run` is the loop of `Network.train`: many epochs in one call without the GIL.
"""

from libc.math cimport isfinite
from libc.stdint cimport UINT32_MAX, uint64_t

from cbackprop._kernels.table cimport IDENTITY, PLAIN_SGD, SQUARED_ERROR, Online
from cbackprop._watch cimport interrupted
from cbackprop.backprop cimport BLOCK_ROWS, NO_FAULT, Rows
from cbackprop.dense cimport Layer
from cbackprop.optimizers cimport apply, keep_state, next_step


cdef enum:
    # Numbers of X in one call of the kernel for the smallest networks, between two looks at the clock.
    ONLINE_AT_ONCE = 1 << 15


cdef uint64_t random_below(bitgen_t* bitgen, uint64_t largest) noexcept nogil:
    """0 ... largest by masked rejection, as NumPy's RandomState draws it"""
    cdef uint64_t mask = largest, value
    mask |= mask >> 1
    mask |= mask >> 2
    mask |= mask >> 4
    mask |= mask >> 8
    mask |= mask >> 16
    mask |= mask >> 32
    while True:
        if largest <= UINT32_MAX:
            value = bitgen.next_uint32(bitgen.state) & mask
        else:
            value = bitgen.next_uint64(bitgen.state) & mask
        if value <= largest:
            return value


cdef class Training:
    """One call of `Network.train`: borrowed pointers and numbers, filled in there."""

    cdef Ending run(self, Py_ssize_t n_epochs, double* losses, Py_ssize_t* n_done) noexcept nogil:
        """Up to n_epochs epochs; losses[:n_done] are those finished, and the public parameters are of the last"""
        cdef double loss
        n_done[0] = 0
        self.online = self.is_online()
        while n_done[0] < n_epochs:
            loss = self.epoch()
            if self.workspace.fault != NO_FAULT:
                return BAD_DATA
            if self.workspace.watch.stopped:
                return INTERRUPTED
            if not (isfinite(loss) and self.plan.kernels.all_finite(self.parameters, self.plan.parameter_rows)):
                return NON_FINITE
            self.plan.unpack(self.parameters, self.public_parameters, NULL)
            keep_state(&self.update, self.plan)
            losses[n_done[0]] = loss
            n_done[0] += 1
            # scikit-learn's rule; with tol NaN no loss is bad
            if loss > self.best_loss - self.tol:
                self.n_bad_epochs += 1
            else:
                self.n_bad_epochs = 0
            self.best_loss = min(loss, self.best_loss)
            if self.n_bad_epochs > self.n_iter_no_change:
                return CONVERGED
        return ALL_EPOCHS

    cdef double epoch(self) noexcept nogil:
        """Every row once; returns the epoch's loss, meaningless if the workspace's fault or watch says so"""
        cdef Py_ssize_t first, rows
        cdef double loss, total = 0
        cdef Rows batch = self.data
        if not self.drawn and self.shuffle():
            return 0
        self.drawn = False
        if self.online:
            return self.online_epoch()
        first = 0
        while first < self.n_samples:
            rows = min(self.batch_size, self.n_samples - first)
            if self.order == NULL:
                batch = self.workspace.rows_from(&self.data, first)
            loss = self.step(&batch, self.order + first if self.order != NULL else NULL, rows)
            if not isfinite(loss) or self.workspace.fault != NO_FAULT or self.workspace.watch.stopped:
                return loss
            total += loss * rows if self.mean else loss
            first += self.batch_size
        return total / self.n_samples if self.mean else total

    cdef bint is_online(self) noexcept nogil:
        """Whether the kernel for the smallest networks does what the general loop would"""
        cdef const Layer* layers = self.plan.layers
        return (
            self.batch_size == 1 and self.plan.n_layers == 2 and layers[0].out_panels <= 2 and not layers[0].few
            and layers[1].n_out == 1 and layers[1].few and layers[1].activation == IDENTITY
            and self.plan.loss == SQUARED_ERROR and self.data.sample_weight == NULL
            and self.update.rule == PLAIN_SGD and self.update.step.alpha == 0)

    cdef double online_epoch(self) noexcept nogil:
        """`epoch` by the kernel for the smallest networks"""
        cdef const Layer* layers = self.plan.layers
        cdef Online job
        cdef Rows rest
        cdef Py_ssize_t first = 0
        cdef double total = 0
        job.activation = layers[0].activation
        job.n_in = layers[0].n_in
        job.n_hidden = layers[0].n_out
        job.learning_rate = self.update.learning_rate
        job.weights = self.parameters + layers[0].weights
        job.biases = self.parameters + layers[0].biases
        job.out_weights = self.parameters + layers[1].weights
        job.out_bias = self.parameters + layers[1].biases
        while first < self.n_samples:
            job.n_rows = min(max(1, ONLINE_AT_ONCE // job.n_in), self.n_samples - first)
            rest = self.workspace.rows_from(&self.data, first if self.order == NULL else 0)
            job.X, job.y = rest.X, rest.y
            job.order = self.order + first if self.order != NULL else NULL
            total += self.plan.kernels.online(&job)
            if interrupted(&self.workspace.watch, job.n_rows * (job.n_in + 8) * 32):
                return 0
            first += job.n_rows
        self.update.n_steps += self.n_samples
        total *= self.loss_scale
        return total / self.n_samples if self.mean else total

    cdef double step(self, const Rows* data, const Py_ssize_t* order, Py_ssize_t n_rows) noexcept nogil:
        """One batch, one update; returns the loss before it"""
        cdef double loss, weight, scale
        # One block and the plain rule: gradients go into the parameters straight from the registers.
        cdef bint fused = self.update.rule == PLAIN_SGD and n_rows <= BLOCK_ROWS
        if fused:
            if self.workspace.forward(self.parameters, data, order, n_rows, self.plan.loss == SQUARED_ERROR):
                return 0
            loss = self.workspace.output_deltas(data, order, n_rows, &weight)
        elif self.workspace.sum_gradients(self.parameters, data, order, n_rows, &loss, &weight):
            return 0
        if self.workspace.fault != NO_FAULT or weight == 0:
            return 0
        scale = 1 / weight if self.mean else 1
        loss *= scale * self.loss_scale
        if self.update.step.alpha != 0:
            loss += scale * self.penalty()
        if not isfinite(loss):
            return loss
        next_step(&self.update, scale)
        if fused:
            self.workspace.backward(self.parameters, n_rows, &self.update.step, self.parameters)
        else:
            apply(&self.update, self.plan, self.workspace.sums[0], self.parameters, &self.workspace.watch)
        return loss

    cdef double penalty(self) noexcept nogil:
        """alpha / 2 * the sum of the squared weights"""
        cdef Py_ssize_t k
        cdef double total = 0
        for k in range(self.plan.n_layers):
            total += self.plan.kernels.sum_of_squares(
                self.parameters + self.plan.layers[k].weights, self.plan.layers[k].weight_rows)
        return 0.5 * self.update.step.alpha * total

    cdef void draw(self) noexcept nogil:
        """The next epoch's order, ahead of `run`"""
        self.drawn = not self.shuffle()

    cdef bint shuffle(self) noexcept nogil:
        """A new order, number by number that of RandomState.shuffle; returns whether to stop"""
        cdef Py_ssize_t i, j
        if self.bitgen == NULL:
            return False
        if not self.keep_order:
            for i in range(self.n_samples):
                self.order[i] = i
        for i in range(self.n_samples - 1, 0, -1):
            j = <Py_ssize_t>random_below(self.bitgen, i)
            self.order[i], self.order[j] = self.order[j], self.order[i]
            # a random number takes about as long as sixteen multiply-adds of a slow processor
            if i % 4096 == 0 and interrupted(&self.workspace.watch, 4096 * 16):
                return True
        return False
