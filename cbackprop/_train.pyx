"""`Network.train` once the data are checked: the other arguments, the epochs, what is left when they end."""

from cpython.exc cimport PyErr_CheckSignals
from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.math cimport INFINITY, NAN

from cbackprop._call cimport Call, poll_signals
from cbackprop._guard cimport enter_writer, leave_writer
from cbackprop._memory cimport Block, Pointer
from cbackprop._watch cimport now
from cbackprop.backprop cimport BLOCK_ROWS, Plan, n_sums
from cbackprop.optimizers cimport Optimizer, pack_state
from cbackprop.team cimport Team
from cbackprop.training cimport (
    ALL_EPOCHS, BAD_DATA, INTERRUPTED, NON_FINITE, Ending, Training, bitgen_t,
)

import math

import numpy as np

from cbackprop import _checks as checks
from cbackprop._cpus import as_n_threads, work_of_a_row
from cbackprop.training import Progress, TrainingState

cdef enum:
    # Epochs in one call without the GIL, at most.
    EPOCHS_AT_ONCE = 65536


# How long a run of short epochs takes, in seconds: long beside a call, short beside a person's patience.
cdef double RUN_SECONDS = 0.01


def train(
    network, Plan plan, parameters, data, *, optimizer, batch_size=None, n_epochs=1, order=None, shuffle=True,
    random_state=None, reduction="mean", alpha=0.0, validation=None, tol=None, n_iter_no_change=10, target_loss=None,
    max_time=None, callback=None, n_threads=None, loss_scale=1.0, loss_limit=INFINITY, progress=None, adaptive=False,
    inverse_scaling=None, by_validation=True,
):
    """Trains a network whose writer this thread is, and returns what `Network.train` does.

    Parameters
    ----------
    network : Network
        For the callback.
    plan, parameters
        The network's own.
    data : tuple
        (X, targets, classes, sample_weight), checked.
    validation : tuple, optional
        The same of the validation data.
    by_validation : bool
        Whether the validation losses are what `tol` and `target_loss` go by, and their best epoch leaves the
        parameters; else they are taken and nothing more.
    order : array of shape (n_samples,), intp, optional
        The rows' order, changed in place: each epoch shuffles what the last one left, as scikit-learn does.
    loss_scale : float
        Multiplies the data's part of the losses that are reported and that the stopping rule sees.
    loss_limit : float
        The most that a row of log_loss, or an output of binary_log_loss, counts in the reported loss.
    progress : Progress, optional
        What the stopping rule goes on from; brought up to date as epochs finish, whatever ends the training.
    adaptive : bool
        Where the stopping rule would end training, the learning rate is divided by 5 instead while it is above 1e-6.
    inverse_scaling : (float, float), optional
        (r, power_t): after each epoch the learning rate is r / (rows seen + 1) ** power_t, as scikit-learn has it.
    optimizer, batch_size, ...
        As in `Network.train`.
    """
    cdef double began = now()
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"optimizer must be an object such as SGD(0.1) or Adam(), got {optimizer!r}")
    cdef Optimizer its_optimizer = optimizer
    cdef Training training = its_optimizer._new_training() or Training()
    training.plan = plan
    training.n_samples = data[0].shape[0]
    training.batch_size = min(
        training.n_samples, checks.as_count("batch_size", training.n_samples if batch_size is None else batch_size))
    if its_optimizer.whole_set and training.batch_size < training.n_samples:
        raise ValueError(f"batch_size must be None, for all rows at once, with {optimizer!r}, got {batch_size}")
    cdef Py_ssize_t remaining = checks.as_count("n_epochs", n_epochs)
    training.mean = checks.as_reduction(reduction)
    training.update.change.step.alpha = checks.as_number("alpha", alpha)
    training.target_loss = NAN if target_loss is None else checks.as_number("target_loss", target_loss)
    training.tol = NAN if tol is None else checks.as_number("tol", tol)
    endless = isinstance(n_iter_no_change, float) and n_iter_no_change == math.inf
    training.n_iter_no_change = math.inf if endless else checks.as_count("n_iter_no_change", n_iter_no_change)
    if progress is None:
        progress = Progress(None)
    training.best_loss = progress.best_loss
    training.n_bad_epochs = progress.n_bad_epochs
    training.by_validation = by_validation and validation is not None
    training.adaptive = adaptive
    training.loss_scale = loss_scale
    shuffle = checks.as_bool("shuffle", shuffle)
    if its_optimizer.whole_set:
        shuffle, order = False, None
    if order is not None:
        order = checks.as_order(order, training.n_samples)
    if callback is not None and not callable(callback):
        raise TypeError(f"callback must be callable, got {callback!r}")
    if shuffle or random_state is not None:  # seeding one takes longer than many steps
        random_state = checks.as_random_state(random_state)
    work = work_of_a_row(data[0], parameters.size, plan.layers[0].n_out)
    n_threads, n_cpus = as_n_threads(n_threads, 3 * min(training.batch_size, <Py_ssize_t>BLOCK_ROWS) * work)
    if training.batch_size == 1:
        n_threads = 1
    deadline = 0.0 if max_time is None else began + checks.as_number("max_time", max_time, "(0, inf)")

    if not enter_writer(&its_optimizer._guard):
        raise RuntimeError("the optimizer is training another network in another thread")
    try:
        return run(
            network, training, parameters, its_optimizer, data, validation, order, random_state if shuffle else None,
            remaining, deadline, callback, n_threads, n_cpus, loss_limit, progress, inverse_scaling)
    finally:
        leave_writer(&its_optimizer._guard)


cdef run(
    network, Training training, parameters, Optimizer optimizer, data, validation, order, random_state,
    Py_ssize_t remaining, double deadline, callback, Py_ssize_t n_threads, Py_ssize_t n_cpus, double loss_limit,
    progress, inverse_scaling,
):
    """Lends `training` memory and pointers, and lets it go; leaves the best parameters, where they are known"""
    cdef Plan plan = training.plan
    cdef list state = optimizer._begin(plan, parameters, &training.update)
    cdef list state_pointers = [Pointer(array, True) for array in state]
    cdef Py_ssize_t n_rows = max(training.batch_size, validation[0].shape[0] if validation else 0)
    cdef bint plain = training.update.n_states == 0, sparse = isinstance(data[0], checks.SparseRows)
    training.fused = training.batch_size <= BLOCK_ROWS and (plain or sparse) and not optimizer.whole_set
    cdef Call call = Call(
        plan, parameters, n_rows, *data, keep_deltas=n_threads > 1 or optimizer.whole_set,
        n_sums=0 if training.fused and plain else n_sums(training.batch_size), stepping=training.fused and sparse)
    cdef Block private = Block(plan.parameter_rows * training.update.n_states)
    cdef Block best = Block(plan.parameter_rows if training.by_validation else 0)
    cdef Pointer public = Pointer(parameters, True), order_pointer
    cdef Py_ssize_t k
    training.workspace = call.workspace
    training.workspace.loss_limit = loss_limit
    training.workspace.watch.deadline = deadline
    training.team = Team(plan, call.workspace, n_threads, n_cpus)
    training.data = call.data
    training.parameters = call.parameters.rows
    training.public_parameters = public.at
    for k in range(training.update.n_states):
        training.update.public_state[k] = (<Pointer>state_pointers[k]).at
        training.update.change.state[k] = private.rows + k * plan.parameter_rows
    if validation:
        training.n_validation = validation[0].shape[0]
        training.validation = call.rows_of(validation)
        training.best = best.rows if training.by_validation else NULL
    training.begin()
    with nogil:
        pack_state(&training.update, plan, &call.workspace.watch)
    check(call, training, data, validation)

    training.keep_order = order is not None
    lock = None
    if random_state is not None:
        training.bitgen = <bitgen_t*>PyCapsule_GetPointer(random_state._bit_generator.capsule, "BitGenerator")
        lock = random_state._bit_generator.lock
        if order is None:
            order = np.arange(training.n_samples, dtype=np.intp)
    if order is not None:
        order_pointer = Pointer(order, True)
        training.order = <Py_ssize_t*>order_pointer.at
    try:
        return run_epochs(
            network, training, call, optimizer, state, data, validation, lock, remaining, callback, progress,
            inverse_scaling)
    finally:
        if training.improved:
            plan.unpack(best.rows, public.at, NULL)


cdef run_epochs(
    network, Training training, Call call, Optimizer optimizer, list state, data, validation, lock,
    Py_ssize_t remaining, callback, progress, inverse_scaling,
):
    cdef Block kept = None
    cdef Py_ssize_t n_done = 0, at_once = 1, n_epochs
    cdef double began, growth
    cdef double[:, ::1] losses
    cdef double* validation_losses = NULL
    cdef Ending ending = ALL_EPOCHS
    cdef list blocks = []  # the losses of each run of epochs
    finished = 0
    while remaining > 0 and ending == ALL_EPOCHS:
        n_epochs = min(remaining, at_once)
        block = np.empty((2 if validation else 1, n_epochs))
        losses = block
        if validation:
            validation_losses = &losses[1, 0]
        if n_epochs > 1 and kept is None:
            kept = Block(training.plan.parameter_rows * (1 + training.update.n_states))
        training.kept = kept.rows if n_epochs > 1 else NULL
        # a callback may have changed it
        training.update.learning_rate = optimizer._learning_rate
        began = now()
        # The lock of the random stream is held for short whiles only: for a run of short epochs, in which no signal
        # handler may ask for it, or for the shuffle alone. Never in a callback, which may draw from the stream.
        if lock is not None:
            lock.acquire()
        try:
            with nogil:
                if n_epochs == 1:
                    training.draw()
                else:
                    call.workspace.watch.poll = NULL
                    ending = training.run(n_epochs, &losses[0, 0], validation_losses, &n_done)
                    call.workspace.watch.poll = poll_signals
        finally:
            if lock is not None:
                lock.release()
        if n_epochs == 1:
            with nogil:
                ending = training.run(1, &losses[0, 0], validation_losses, &n_done)
        # at once: what follows may run signal handlers
        optimizer._take_back(&training.update)
        blocks.append(block[:, :n_done])
        bring_up_to_date(progress, training, blocks[-1])
        if inverse_scaling is not None:
            rate, power_t = inverse_scaling
            optimizer._learning_rate = rate / (progress.n_seen + 1) ** power_t
        finished += n_done
        if finished:
            optimizer._state = state
        if callback is None and inverse_scaling is None:
            growth = min(4.0, RUN_SECONDS / max(1e-9, now() - began))
            at_once = min(<Py_ssize_t>EPOCHS_AT_ONCE, max(<Py_ssize_t>1, <Py_ssize_t>(at_once * growth)))
        PyErr_CheckSignals()
        remaining -= n_done
        if ending == INTERRUPTED or ending == BAD_DATA:
            check(call, training, data, validation)
        if ending == NON_FINITE:
            # the kernel for the smallest networks does not look at the data
            for name, array in () if isinstance(data[0], checks.SparseRows) else (("X", data[0]), ("y", data[1])):
                if array is not None and not np.isfinite(array).all():
                    raise checks.not_finite(name, array)
            raise diverged(finished + 1)
        if callback is not None and n_done > 0:
            loss, *validation_loss = block[:, -1].tolist()
            if callback(TrainingState(finished, loss, network, *validation_loss)):
                break
    curves = np.concatenate(blocks, axis=1)
    return tuple(curves) if validation else curves[0]


cdef bring_up_to_date(progress, Training training, block):
    """block: the losses of the epochs that have finished since, of shape (1 or 2, n_done)"""
    if progress.losses is not None:
        progress.losses += block[0].tolist()
        progress.validation_losses += block[1:].ravel().tolist()
    progress.best_loss = training.best_loss
    progress.n_bad_epochs = training.n_bad_epochs
    progress.n_seen += block.shape[1] * training.n_samples


def diverged(epoch):
    return ValueError(
        f"training diverged in epoch {epoch}: its loss or parameters are not finite. The learning rate may be too "
        "large, or the data may need scaling. The network is as the epoch before left it.")


cdef check(Call call, Training training, data, validation):
    """Raises what stopped the computation, if anything did."""
    X, targets, _, sample_weight = validation if training.validating else data
    call.check(X, targets, sample_weight, "validation_data: " if training.validating else "")
