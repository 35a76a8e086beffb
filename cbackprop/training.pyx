"""Epochs and mini-batches: shuffle, gather, forward, backward, update; when to stop.

`Training.run` is the loop of `Network.train`: many epochs in one call without the GIL.
"""

from libc.math cimport isfinite
from libc.stdint cimport UINT32_MAX, uint64_t
from libc.string cimport memcpy

from cbackprop._float_mode cimport flush_denormals, set_float_mode
from cbackprop._kernels.table cimport IDENTITY, PLAIN_SGD, ROWS, SQUARED_ERROR
from cbackprop._threads cimport enter_callers, leave_callers
from cbackprop._watch cimport interrupted, is_late
from cbackprop.backprop cimport NO_FAULT, Rows
from cbackprop.dense cimport Layer
from cbackprop.optimizers cimport next_step

import math


cdef enum:
    # Numbers of X in one call of the kernel for the smallest networks, between two looks at the clock.
    ONLINE_AT_ONCE = 1 << 15
    # Random numbers between two looks at the clock.
    DRAWN_AT_ONCE = 512

# scikit-learn's: an adaptive learning rate above it is divided once more.
cdef double SMALLEST_RATE = 1e-6


cdef void draw_downwards(
    bitgen_t* bitgen, uint64_t largest, uint64_t mask, Py_ssize_t n, uint64_t* out
) noexcept nogil:
    """out[k] := 0 ... largest - k by masked rejection, as NumPy's RandomState draws it, for n numbers of one mask

    Without a branch on what was drawn: the processor would guess it wrong once in a few numbers.
    """
    cdef uint64_t value
    cdef Py_ssize_t k = 0
    while k < n:
        value = (bitgen.next_uint32(bitgen.state) if largest <= UINT32_MAX else bitgen.next_uint64(bitgen.state)) & mask
        out[k] = value
        k += value <= largest - k


cdef uint64_t mask_of(uint64_t largest) noexcept nogil:
    """The least 2^n - 1 that is not below it"""
    largest |= largest >> 1
    largest |= largest >> 2
    largest |= largest >> 4
    largest |= largest >> 8
    largest |= largest >> 16
    return largest | largest >> 32


class TrainingState:
    """What a callback is told after each epoch.

    Attributes
    ----------
    epoch : int
        1 after the first epoch of the call.
    loss : float
        Of this epoch.
    validation_loss : float or None
        The same of the validation data, if there are any.
    network : Network
        Its parameters are those of this epoch; they must not be changed.
    validation_score : float or None
        Where an estimator stops early: its score of this epoch.
    """

    __slots__ = ("epoch", "loss", "network", "validation_loss", "validation_score")

    def __init__(self, epoch, loss, network, validation_loss=None):
        self.epoch = epoch
        self.loss = loss
        self.network = network
        self.validation_loss = validation_loss
        self.validation_score = None

    def __repr__(self):
        validation = "" if self.validation_loss is None else f", validation_loss={self.validation_loss}"
        return f"TrainingState(epoch={self.epoch}, loss={self.loss}{validation})"


class Progress:
    """What `train_with_order` goes on from, brought up to date as epochs finish, whatever ends the training.

    Attributes
    ----------
    losses : list of float or None
        Of every epoch; None: they are not kept, which would take time where epochs are short.
    validation_losses : list of float
        Of every epoch that had any, if losses are kept.
    best_loss : float
        The validation data's, if they judge the epochs.
    n_bad_epochs : int
        Epochs in a row, up to the last, that have not lowered it by tol.
    n_seen : int
        Rows in all epochs.
    """

    __slots__ = ("best_loss", "losses", "n_bad_epochs", "n_seen", "validation_losses")

    def __init__(self, losses=(), best_loss=math.inf, n_bad_epochs=0, n_seen=0, validation_losses=()):
        self.losses = None if losses is None else list(losses)
        self.validation_losses = list(validation_losses)
        self.best_loss = best_loss
        self.n_bad_epochs = n_bad_epochs
        self.n_seen = n_seen


cdef class Training:
    """One call of `Network.train`: borrowed pointers and numbers, filled in there.

    As it stands it takes the steps of an optimizer that is a rule. Others have a subclass with an `epoch` of its own.
    """

    cdef object begin(self):
        """Takes what memory it needs; everything else is filled in."""

    cdef Ending run(
        self, Py_ssize_t n_epochs, double* losses, double* validation_losses, Py_ssize_t* n_done
    ) noexcept nogil:
        """Up to n_epochs epochs; losses[:n_done] are those finished, and the public parameters are of the last"""
        cdef uint64_t mode = flush_denormals()
        cdef Ending ending
        enter_callers()
        ending = self.epochs(n_epochs, losses, validation_losses, n_done)
        leave_callers()
        if self.kept != NULL and n_done[0] > 0:
            self.publish(self.kept, self.kept + self.plan.parameter_rows)
        set_float_mode(mode)
        return ending

    cdef Ending epochs(
        self, Py_ssize_t n_epochs, double* losses, double* validation_losses, Py_ssize_t* n_done
    ) noexcept nogil:
        """`run`, but that what is to be public may still be kept"""
        cdef Ending ending
        cdef double loss, validation_loss
        n_done[0] = 0
        self.online = self.is_online()
        if self.online:
            self.describe_job()
        while n_done[0] < n_epochs:
            loss = validation_loss = self.epoch()
            if self.n_validation > 0 and self.workspace.fault == NO_FAULT and not self.workspace.watch.stopped:
                validation_loss = self.validation_loss()
            if self.workspace.fault != NO_FAULT:
                return BAD_DATA
            if self.workspace.watch.stopped:
                return TIME_IS_UP if self.workspace.watch.late else INTERRUPTED
            if not (isfinite(loss) and isfinite(validation_loss)
                    and self.plan.kernels.all_finite(self.parameters, self.plan.parameter_rows)):
                return NON_FINITE
            self.finish_epoch()
            losses[n_done[0]] = loss
            if self.n_validation > 0:
                validation_losses[n_done[0]] = validation_loss
            n_done[0] += 1
            ending = self.judge(validation_loss if self.by_validation else loss)
            if ending != ALL_EPOCHS:
                return ending
        return ALL_EPOCHS

    cdef double validation_loss(self) noexcept nogil:
        """The data's part of the loss, meaningless if the workspace's fault or watch says so"""
        cdef double loss, weight
        self.validating = True
        if self.team.sum_losses(self.parameters, &self.validation, self.n_validation, &loss, &weight):
            return 0
        self.validating = False
        return self.loss_scale * loss / (weight if self.mean else 1)

    cdef Ending judge(self, double loss) noexcept nogil:
        """Whether to end after an epoch, ALL_EPOCHS: not yet; keeps the parameters that are the best so far"""
        if self.best != NULL and loss < self.best_loss:
            memcpy(self.best, self.parameters, self.plan.parameter_rows * sizeof(lanes_t))
            self.improved = True
        # scikit-learn's rule; with tol NaN no loss is bad
        if loss > self.best_loss - self.tol:
            self.n_bad_epochs += 1
        else:
            self.n_bad_epochs = 0
        self.best_loss = min(loss, self.best_loss)
        if loss <= self.target_loss:
            return REACHED
        if self.finished:
            return CONVERGED
        if self.n_bad_epochs > self.n_iter_no_change:
            if not self.adaptive or self.update.learning_rate <= SMALLEST_RATE:
                return CONVERGED
            self.update.learning_rate /= 5
            self.n_bad_epochs = 0
        return TIME_IS_UP if is_late(&self.workspace.watch) else ALL_EPOCHS

    cdef void finish_epoch(self) noexcept nogil:
        """Whatever ends the next epoch, this one's parameters and state will be public"""
        cdef size_t size = self.plan.parameter_rows * sizeof(lanes_t)
        self.update.public_steps = self.update.n_steps
        memcpy(self.update.public_numbers, self.update.numbers, sizeof(self.update.numbers))
        if self.kept == NULL:
            self.publish(self.parameters, self.update.change.state[0])
        else:
            memcpy(self.kept, self.parameters, size)
            if self.update.n_states > 0:
                memcpy(self.kept + self.plan.parameter_rows, self.update.change.state[0], self.update.n_states * size)

    cdef void publish(self, const lanes_t* parameters, const lanes_t* states) noexcept nogil:
        cdef Py_ssize_t k
        self.plan.unpack(parameters, self.public_parameters, NULL)
        for k in range(self.update.n_states):
            self.plan.unpack(states + k * self.plan.parameter_rows, self.update.public_state[k], NULL)

    cdef double epoch(self) noexcept nogil:
        """Every row once; returns the epoch's loss, meaningless if the workspace's fault or watch says so"""
        cdef Py_ssize_t first, rows
        cdef double loss, total = 0
        cdef Rows batch
        if not self.drawn and self.shuffle():
            return 0
        self.drawn = False
        if self.online:
            return self.online_epoch()
        batch = self.data
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

    cdef bint is_smallest(self) noexcept nogil:
        """Whether the network is one that the kernel for the smallest knows"""
        cdef const Layer* layers = self.plan.layers
        return (
            self.plan.n_layers == 2 and not self.plan.shortcuts
            and layers[0].out_panels <= 4 and not layers[0].few
            and layers[1].n_out == 1 and layers[1].few and layers[1].activation == IDENTITY)

    cdef bint is_online(self) noexcept nogil:
        """Whether that kernel does what the general loop would"""
        return (
            self.batch_size == 1 and not self.workspace.sparse and self.is_smallest()
            and self.plan.loss == SQUARED_ERROR and self.data.sample_weight == NULL
            and self.update.change.rule == PLAIN_SGD and self.update.change.step.alpha == 0)

    cdef void describe_job(self) noexcept nogil:
        """What all calls of the kernel for the smallest networks share"""
        cdef const Layer* layers = self.plan.layers
        self.job.activation = layers[0].activation
        self.job.n_in = layers[0].n_in
        self.job.n_hidden = layers[0].n_out
        self.job.weights = self.parameters + layers[0].weights
        self.job.biases = self.parameters + layers[0].biases
        self.job.out_weights = self.parameters + layers[1].weights
        self.job.out_bias = self.parameters + layers[1].biases
        self.job_rows = max(1, ONLINE_AT_ONCE // layers[0].n_in)

    cdef double online_epoch(self) noexcept nogil:
        """`epoch` by the kernel for the smallest networks"""
        cdef Rows rest = self.data
        cdef Py_ssize_t first = 0
        cdef double total = 0
        self.job.learning_rate = self.update.learning_rate
        while first < self.n_samples:
            self.job.n_rows = min(self.job_rows, self.n_samples - first)
            if self.order == NULL and first > 0:
                rest = self.workspace.rows_from(&self.data, first)
            self.job.X, self.job.y = rest.X, rest.y
            self.job.order = self.order + first if self.order != NULL else NULL
            total += self.plan.kernels.online[<int>ROWS](&self.job)
            if interrupted(&self.workspace.watch, self.job.n_rows * (self.job.n_in + 8) * 32):
                return 0
            first += self.job.n_rows
        self.update.n_steps += self.n_samples
        total *= self.loss_scale
        return total / self.n_samples if self.mean else total

    cdef double step(self, const Rows* data, const Py_ssize_t* order, Py_ssize_t n_rows) noexcept nogil:
        """One batch, one update; returns the loss before it"""
        cdef double loss = 0, weight = 0, scale
        if self.fused:
            if self.team.block(self.parameters, data, order, n_rows, &loss, &weight):
                return 0
        elif self.team.sum_gradients(self.parameters, data, order, n_rows, &loss, &weight):
            return 0
        if weight == 0:
            return 0
        scale = 1 / weight if self.mean else 1
        loss *= scale * self.loss_scale
        if self.update.change.step.alpha != 0:
            loss += scale * self.penalty(self.parameters)
        if not isfinite(loss):
            return loss
        next_step(&self.update, scale, loss)
        if self.fused and (
                self.team.gradients(self.parameters, n_rows, &self.update.change, self.parameters)
                or self.update.change.rule == PLAIN_SGD):
            return loss
        self.team.take_step(&self.update, self.parameters)
        return loss

    cdef double penalty(self, const lanes_t* parameters) noexcept nogil:
        """alpha / 2 * the sum of the squared weights"""
        cdef Py_ssize_t k
        cdef double total = 0
        cdef const lanes_t* weights
        for k in range(self.plan.n_layers):
            weights = parameters + self.plan.layers[k].weights
            total += self.plan.kernels.dot(weights, weights, self.plan.layers[k].weight_rows)
        return 0.5 * self.update.change.step.alpha * total

    cdef void draw(self) noexcept nogil:
        """The next epoch's order, ahead of `run`"""
        self.drawn = not self.shuffle()

    cdef bint shuffle(self) noexcept nogil:
        """A new order, number by number that of RandomState.shuffle; returns whether to stop"""
        cdef Py_ssize_t i, j, k, n
        cdef uint64_t mask
        cdef uint64_t[DRAWN_AT_ONCE] drawn
        if self.bitgen == NULL:
            return False
        if not self.keep_order:
            for i in range(self.n_samples):
                self.order[i] = i
        i = self.n_samples - 1
        while i > 0:
            mask = mask_of(i)
            n = min(<Py_ssize_t>DRAWN_AT_ONCE, i - <Py_ssize_t>(mask >> 1))
            draw_downwards(self.bitgen, i, mask, n, drawn)
            for k in range(n):
                j = <Py_ssize_t>drawn[k]
                self.order[i - k], self.order[j] = self.order[j], self.order[i - k]
            i -= n
            # a random number takes about as long as sixteen multiply-adds of a slow processor
            if interrupted(&self.workspace.watch, 16 * n):
                return True
        return False
