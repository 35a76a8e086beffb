"""Optimizers: objects that say how gradients change the parameters, and remember what they need for it.

The gradient g of a step is the mean (or the sum) over the batch, with the L2 term alpha * weights. Definitions are
scikit-learn's.
"""

from libc.math cimport sqrt

from cbackprop._guard cimport ENTERED, REFUSED, Entry, enter_reader, leave_reader
from cbackprop._kernels.table cimport ADAM, MOMENTUM, NESTEROV, PLAIN_SGD, Rule, Step
from cbackprop._typedefs cimport lanes_t
from cbackprop._watch cimport Watch, interrupted
from cbackprop.backprop cimport Plan
from cbackprop.dense cimport Layer

import numpy as np

from cbackprop._checks import as_number

cdef enum:
    # Rows of lanes that are updated between two looks at the clock.
    ROWS_AT_ONCE = 1 << 18


cdef class Optimizer:
    """What all optimizers share: a learning rate, a number of steps, and a state that a network's training uses."""

    _parameter_names = ("learning_rate",)
    _state_names = ()

    def __init__(self, learning_rate):
        self.learning_rate = learning_rate
        self.n_steps = 0
        self._state = []

    @property
    def learning_rate(self):
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, value):
        self._learning_rate = as_number("learning_rate", value, "(0, inf)")

    cdef Rule _rule(self):
        raise NotImplementedError

    cdef list _read_state(self):
        """The state's arrays, if no other thread is changing them."""
        cdef Entry entry = enter_reader(&self._guard)
        if entry == REFUSED:
            raise RuntimeError("the optimizer is training a network in another thread")
        if entry == ENTERED:
            leave_reader(&self._guard)
        return self._state

    cdef list _begin(self, Plan plan, object parameters, Update* update):
        """Fills in `update` but for its private state; returns the state's arrays, the optimizer's own or new zeros."""
        update.rule = self._rule()
        update.n_steps = update.public_steps = self.n_steps
        update.n_states = len(self._state_names)
        # not zeros_like, which touches every page
        state = self._state or [np.zeros(parameters.shape, parameters.dtype) for _ in self._state_names]
        for array in state:
            if array.shape != parameters.shape or array.dtype != parameters.dtype:
                raise ValueError(
                    f"optimizer holds the state of a network with {array.size} parameters in {array.dtype}, this "
                    f"one has {parameters.size} in {parameters.dtype}: give each network an optimizer of its own")
        return state

    def __repr__(self):
        values = ", ".join(f"{name}={getattr(self, name)!r}" for name in self._parameter_names)
        return f"{type(self).__name__}({values})"

    def __reduce__(self):
        values = tuple(getattr(self, name) for name in self._parameter_names)
        return type(self), values, (self.n_steps, [array.copy() for array in self._read_state()])

    def __setstate__(self, state):
        self.n_steps, self._state = state

    def __eq__(self, other):
        if type(self) is not type(other):
            return NotImplemented
        cdef Optimizer that = other
        return (
            self.n_steps == that.n_steps
            and all(getattr(self, name) == getattr(that, name) for name in self._parameter_names)
            and len(self._read_state()) == len(that._read_state())
            and all(np.array_equal(mine, theirs) for mine, theirs in zip(self._state, that._state)))

    __hash__ = None


cdef class SGD(Optimizer):
    """Gradient descent, W(t+1) = W(t) - learning_rate * g, if wanted with momentum.

    Parameters
    ----------
    learning_rate : float > 0
    momentum : float in [0, 1], default 0
        v := momentum * v - learning_rate * g; parameters += v.
    nesterov : bool, default False
        With momentum: parameters += momentum * v - learning_rate * g, with the new v.

    Attributes
    ----------
    n_steps : int
        Steps taken.
    velocity : array of shape (n_parameters,) or None
        v, in the order of `Network.parameters`; None without momentum or before the first training.

    Notes
    -----
    The definitions are those of scikit-learn's ``SGDOptimizer``; Sutskever et al. 2013 for Nesterov's momentum.
    """

    cdef double _momentum
    cdef readonly bint nesterov
    _parameter_names = ("learning_rate", "momentum", "nesterov")

    def __init__(self, learning_rate, momentum=0.0, nesterov=False):
        super().__init__(learning_rate)
        self._momentum = as_number("momentum", momentum, "[0, 1]")
        if not isinstance(nesterov, (bool, np.bool_)):
            raise TypeError(f"nesterov must be a bool, got {nesterov!r}")
        self.nesterov = nesterov

    @property
    def momentum(self):
        return self._momentum

    @property
    def velocity(self):
        return self._read_state()[0] if self._state else None

    @property
    def _state_names(self):
        return ("velocity",) if self._momentum else ()

    cdef Rule _rule(self):
        return PLAIN_SGD if self._momentum == 0 else NESTEROV if self.nesterov else MOMENTUM

    cdef list _begin(self, Plan plan, object parameters, Update* update):
        update.step.momentum = self._momentum
        return Optimizer._begin(self, plan, parameters, update)


cdef class Adam(Optimizer):
    """Adaptive moments: each parameter's step is scaled by the root of its mean squared gradient.

    Parameters
    ----------
    learning_rate : float > 0, default 0.001
    beta_1, beta_2 : float in [0, 1), default 0.9 and 0.999
        How much of the mean gradient and of the mean squared gradient is kept in a step.
    epsilon : float > 0, default 1e-8
        Added to the root before it is corrected for its bias.

    Attributes
    ----------
    n_steps : int
        Steps taken.
    mean_gradients, mean_squares : array of shape (n_parameters,) or None
        In the order of `Network.parameters`; None before the first training.

    Notes
    -----
    Kingma & Ba 2015, with the order of computation of the end of their section 2 ("epsilon hat"), as scikit-learn and
    Keras have it; PyTorch adds epsilon after the correction, so that its numbers differ a little.
    """

    cdef double _beta_1, _beta_2, _epsilon
    _parameter_names = ("learning_rate", "beta_1", "beta_2", "epsilon")
    _state_names = ("mean_gradients", "mean_squares")

    def __init__(self, learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-8):
        super().__init__(learning_rate)
        self._beta_1 = as_number("beta_1", beta_1, "[0, 1)")
        self._beta_2 = as_number("beta_2", beta_2, "[0, 1)")
        self._epsilon = as_number("epsilon", epsilon, "(0, inf)")

    @property
    def beta_1(self):
        return self._beta_1

    @property
    def beta_2(self):
        return self._beta_2

    @property
    def epsilon(self):
        return self._epsilon

    @property
    def mean_gradients(self):
        return self._read_state()[0] if self._state else None

    @property
    def mean_squares(self):
        return self._read_state()[1] if self._state else None

    cdef Rule _rule(self):
        return ADAM

    cdef list _begin(self, Plan plan, object parameters, Update* update):
        if parameters.dtype.type(self._epsilon) == 0:
            raise ValueError(f"epsilon {self._epsilon} is 0 in {parameters.dtype}")
        update.step.beta_1 = self._beta_1
        update.step.beta_2 = self._beta_2
        update.step.epsilon = self._epsilon
        return Optimizer._begin(self, plan, parameters, update)


cdef double power(double base, Py_ssize_t exponent) noexcept nogil:
    """base ** exponent by repeated squaring: libm's pow differs between C libraries"""
    cdef double result = 1
    while exponent:
        if exponent & 1:
            result *= base
        base *= base
        exponent >>= 1
    return result


cdef void next_step(Update* update, double scale) noexcept nogil:
    """Counts a step and fills in what its kernels take; scale: 1 / the batch's weight, or 1"""
    update.n_steps += 1
    update.step.scale = scale
    update.step.learning_rate = update.learning_rate
    if update.rule == ADAM:
        update.step.learning_rate *= (
            sqrt(1 - power(update.step.beta_2, update.n_steps)) / (1 - power(update.step.beta_1, update.n_steps)))


cdef bint apply(
    const Update* update, Plan plan, const lanes_t* gradients, Py_ssize_t first, Py_ssize_t last, lanes_t* parameters,
    Watch* watch,
) noexcept nogil:
    """Takes a step of the rows first to last of the private parameters; returns whether to stop"""
    cdef const Layer* layer
    cdef Step for_biases = update.step
    cdef Py_ssize_t k, r, end, rows
    for_biases.alpha = 0
    for k in range(plan.n_layers):
        layer = &plan.layers[k]
        r = max(first, layer.biases)
        if r < min(last, layer.weights):
            change(update, plan, &for_biases, gradients, r, min(last, layer.weights) - r, parameters)
        r = max(first, layer.weights)
        end = min(last, layer.weights + layer.weight_rows)
        while r < end:
            rows = min(<Py_ssize_t>ROWS_AT_ONCE, end - r)
            change(update, plan, &update.step, gradients, r, rows, parameters)
            if interrupted(watch, rows * plan.kernels.lanes):
                return True
            r += rows
    return False


cdef inline void change(
    const Update* update, Plan plan, const Step* step, const lanes_t* gradients, Py_ssize_t first, Py_ssize_t n_rows,
    lanes_t* parameters,
) noexcept nogil:
    plan.kernels.update[<int>update.rule](
        gradients + first, n_rows, step,
        update.state[0] + first if update.n_states > 0 else NULL,
        update.state[1] + first if update.n_states > 1 else NULL,
        parameters + first)


cdef bint pack_state(Update* update, Plan plan, Watch* watch) noexcept nogil:
    """The private state := the public one; returns whether to stop"""
    cdef Py_ssize_t k
    for k in range(update.n_states):
        if plan.pack(update.public_state[k], update.state[k], watch):
            return True
    return False
