"""Optimizers: objects that say how gradients change the parameters, and remember what they need for it.

The gradient g of a step is the mean (or the sum) over the batch, with the L2 term alpha * weights. Definitions are
scikit-learn's or, of what it has not, PyTorch's and the papers'.
"""

from libc.math cimport INFINITY, sqrt
from libc.string cimport memcpy

from cbackprop._guard cimport ENTERED, REFUSED, Entry, enter_reader, leave_reader
from cbackprop._kernels.table cimport (
    ADAM, ADAM_W, MOMENTUM, NESTEROV, PLAIN_SGD, RMSPROP, RPROP_IMINUS, RPROP_IPLUS, RPROP_MINUS, RPROP_PLUS, Step,
)
from cbackprop._typedefs cimport lanes_t
from cbackprop._watch cimport Watch
from cbackprop.backprop cimport Plan
from cbackprop.dense cimport Layer, take_step

import numpy as np

from cbackprop._checks import as_array, as_bool, as_number, check_checksum, checksum, not_finite


cdef class Optimizer:
    """What all optimizers share: a number of steps, and a state that a network's training uses."""

    _parameter_names = ()
    _state_names = ()

    def __init__(self, whole_set=False):
        self.whole_set = whole_set
        self.n_steps = 0
        self._state = []

    cdef list _read_state(self):
        """The state's arrays, if no other thread is changing them."""
        cdef Entry entry = enter_reader(&self._guard)
        if entry == REFUSED:
            raise RuntimeError("the optimizer is training a network in another thread")
        if entry == ENTERED:
            leave_reader(&self._guard)
        return self._state

    cdef object _at(self, name):
        """One of the state's arrays; None before the first training, or where there is none of that name."""
        return self._read_state()[self._state_names.index(name)] if self._state and name in self._state_names else None

    cdef object _new_training(self):
        """The `Training` of a whole call, for optimizers that are no rule; None for those that are."""

    cdef list _new_state(self, parameters):
        """The state's arrays before the first step."""
        # not zeros_like, which touches every page
        return [np.zeros(parameters.shape, parameters.dtype) for _ in self._state_names]

    cdef list _begin(self, Plan plan, object parameters, Update* update):
        """Fills in `update` but for its private state; returns the state's arrays, the optimizer's own or new ones."""
        update.n_steps = update.public_steps = self.n_steps
        memcpy(update.numbers, self._numbers, sizeof(self._numbers))
        memcpy(update.public_numbers, self._numbers, sizeof(self._numbers))
        update.n_states = len(self._state_names)
        state = self._state or self._new_state(parameters)
        for array in state:
            if array.shape != parameters.shape or array.dtype != parameters.dtype:
                raise ValueError(
                    f"optimizer holds the state of a network with {array.size} parameters in {array.dtype}, this "
                    f"one has {parameters.size} in {parameters.dtype}: give each network an optimizer of its own")
        return state

    cdef void _take_back(self, const Update* update) noexcept:
        """What it remembers but for its arrays, after the last finished epoch"""
        self.n_steps = update.public_steps
        self._learning_rate = update.learning_rate
        memcpy(self._numbers, update.public_numbers, sizeof(self._numbers))

    def __repr__(self):
        values = ", ".join(f"{name}={getattr(self, name)!r}" for name in self._parameter_names)
        return f"{type(self).__name__}({values})"

    def __reduce__(self):
        values = self._values()
        state = self.n_steps, [array.copy() for array in self._read_state()], self._numbers
        return type(self), values, (*state, checksum(_parts_of(values, *state)))

    def _values(self):
        """What it was made with, as its class takes it"""
        return tuple(getattr(self, name) for name in self._parameter_names)

    def __setstate__(self, state):
        try:
            n_steps, arrays, numbers, *found = state
            parts = _parts_of(self._values(), n_steps, arrays, numbers)
        except (TypeError, ValueError) as error:
            raise ValueError(f"the pickle of an optimizer is damaged: {error}") from None
        check_checksum("an optimizer", parts, found[0] if found else None)
        self._remember(n_steps, arrays, numbers)

    def _remember(self, n_steps, arrays, numbers=()):
        """Takes a state; the numbers stay as they are where none are given"""
        self.n_steps, self._state = n_steps, arrays
        for k, number in enumerate(numbers):
            self._numbers[k] = number

    def __eq__(self, other):
        if type(self) is not type(other):
            return NotImplemented
        cdef Optimizer that = other
        return (
            self.n_steps == that.n_steps and list(self._numbers) == list(that._numbers)
            and all(np.array_equal(getattr(self, name), getattr(that, name)) for name in self._parameter_names)
            and len(self._read_state()) == len(that._read_state())
            and all(np.array_equal(mine, theirs) for mine, theirs in zip(self._state, that._state)))

    __hash__ = None


def _parts_of(values, n_steps, arrays, numbers):
    """What the checksum of a pickle is taken of"""
    return *values, n_steps, *arrays, *numbers


cdef class Descent(Optimizer):
    """An optimizer with a learning rate."""

    def __init__(self, learning_rate):
        super().__init__()
        self.learning_rate = learning_rate

    @property
    def learning_rate(self):
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, value):
        self._learning_rate = as_number("learning_rate", value, "(0, inf)")


cdef class SGD(Descent):
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
        self.nesterov = as_bool("nesterov", nesterov)

    @property
    def momentum(self):
        return self._momentum

    @property
    def velocity(self):
        return self._at("velocity")

    @property
    def _state_names(self):
        return ("velocity",) if self._momentum else ()

    cdef list _begin(self, Plan plan, object parameters, Update* update):
        update.change.rule = PLAIN_SGD if self._momentum == 0 else NESTEROV if self.nesterov else MOMENTUM
        update.change.step.momentum = self._momentum
        return Optimizer._begin(self, plan, parameters, update)


cdef class Adam(Descent):
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
        return self._at("mean_gradients")

    @property
    def mean_squares(self):
        return self._at("mean_squares")

    cdef list _begin(self, Plan plan, object parameters, Update* update):
        update.change.rule = ADAM
        check_epsilon(self._epsilon, parameters.dtype)
        update.change.step.beta_1 = self._beta_1
        update.change.step.beta_2 = self._beta_2
        update.change.step.epsilon = update.epsilon = self._epsilon
        update.change.step.keep = 1
        return Optimizer._begin(self, plan, parameters, update)


cdef class AdamW(Adam):
    """Adam with weight decay beside the gradient, as PyTorch has it.

    Parameters
    ----------
    learning_rate, beta_1, beta_2
        As in `Adam`.
    epsilon : float > 0, default 1e-8
        Added to the root after it is corrected for its bias.
    weight_decay : float >= 0, default 0.01
        Before each step all parameters, weights and biases, are multiplied by 1 - learning_rate * weight_decay.

    Attributes
    ----------
    n_steps, mean_gradients, mean_squares
        As in `Adam`.

    Notes
    -----
    Loshchilov & Hutter 2019; the definition and the defaults of ``torch.optim.AdamW`` (which decays all that it is
    given). The L2 term of `Network.train`, alpha, is another thing: it is part of the gradient, and of the loss.
    """

    cdef double _weight_decay
    _parameter_names = ("learning_rate", "beta_1", "beta_2", "epsilon", "weight_decay")

    def __init__(self, learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-8, weight_decay=0.01):
        super().__init__(learning_rate, beta_1, beta_2, epsilon)
        self._weight_decay = as_number("weight_decay", weight_decay)

    @property
    def weight_decay(self):
        return self._weight_decay

    cdef list _begin(self, Plan plan, object parameters, Update* update):
        state = Adam._begin(self, plan, parameters, update)
        update.change.rule = ADAM_W
        update.weight_decay = self._weight_decay
        return state


cdef class RMSprop(Descent):
    """Each parameter's step is scaled by the root of its mean squared gradient, or by its standard deviation.

    Parameters
    ----------
    learning_rate : float > 0, default 0.01
    beta : float in [0, 1), default 0.99
        How much of the mean squared gradient (and of the mean gradient, if centered) is kept in a step.
    epsilon : float > 0, default 1e-8
        Added to the root.
    momentum : float in [0, 1], default 0
        v := momentum * v + g / (root + epsilon); parameters -= learning_rate * v.
    centered : bool, default False
        Whether the square of the mean gradient is taken off the mean square, which leaves the variance.

    Attributes
    ----------
    n_steps : int
        Steps taken.
    mean_squares, mean_gradients, velocity : array of shape (n_parameters,) or None
        In the order of `Network.parameters`; None before the first training, mean_gradients also if it is not
        centered, velocity without momentum.

    Notes
    -----
    Tieleman & Hinton 2012, centered Graves 2013; the definition and the defaults of ``torch.optim.RMSprop``, where
    beta is called alpha.
    """

    cdef double _beta, _epsilon, _momentum
    cdef readonly bint centered
    _parameter_names = ("learning_rate", "beta", "epsilon", "momentum", "centered")

    def __init__(self, learning_rate=0.01, beta=0.99, epsilon=1e-8, momentum=0.0, centered=False):
        super().__init__(learning_rate)
        self._beta = as_number("beta", beta, "[0, 1)")
        self._epsilon = as_number("epsilon", epsilon, "(0, inf)")
        self._momentum = as_number("momentum", momentum, "[0, 1]")
        self.centered = as_bool("centered", centered)

    @property
    def beta(self):
        return self._beta

    @property
    def epsilon(self):
        return self._epsilon

    @property
    def momentum(self):
        return self._momentum

    @property
    def mean_squares(self):
        return self._at("mean_squares")

    @property
    def mean_gradients(self):
        return self._at("mean_gradients")

    @property
    def velocity(self):
        return self._at("velocity")

    @property
    def _state_names(self):
        return (
            "mean_squares", *(["mean_gradients"] if self.centered else []), *(["velocity"] if self._momentum else []))

    cdef list _begin(self, Plan plan, object parameters, Update* update):
        update.change.rule = RMSPROP
        check_epsilon(self._epsilon, parameters.dtype)
        update.change.step.beta_2 = self._beta
        update.change.step.epsilon = self._epsilon
        update.change.step.momentum = self._momentum
        update.change.step.centered = self.centered
        return Optimizer._begin(self, plan, parameters, update)


cdef class Rprop(Optimizer):
    """Resilient backpropagation: only the signs of the gradient count, and each parameter has a step of its own.

    A step grows by eta_plus where the gradient keeps its sign and shrinks by eta_minus where it changes. It is meant
    for whole sets (``batch_size=None``), whose gradients have signs that can be trusted.

    Parameters
    ----------
    variant : "iminus" (default), "iplus", "minus" or "plus"
        What happens to a parameter whose gradient has changed its sign. minus: it takes its smaller step. iminus: it
        waits for one step. plus: its last step is undone. iplus: that is undone if the loss has risen, else it waits;
        this compares losses of the whole set, and smaller batches are a ValueError.
    initial_step : float > 0, or array-like of shape (n_parameters,), default 0.1
        The first steps, of all parameters or one for each, in the order of `Network.parameters`.
    eta_minus : float in (0, 1), default 0.5
    eta_plus : float > 1, default 1.2
    min_step : float >= 0, default 1e-6
    max_step : float > 0, default 50

    Attributes
    ----------
    n_steps : int
        Steps taken.
    step_sizes : array of shape (n_parameters,) or None
        In the order of `Network.parameters`; None before the first training.
    previous_gradients : array of shape (n_parameters,) or None
        As they count in the next step: but in "minus", 0 where the sign has changed.

    Notes
    -----
    "plus" is the algorithm of Riedmiller & Braun 1993, as are the defaults; the others, and the names, are those of
    Igel & Hüsken 2000, who begin with 0.0125 and have no least step. PyTorch's ``Rprop`` is "iminus" with 0.01.
    """

    cdef readonly str variant
    cdef object _initial_step
    cdef double _eta_minus, _eta_plus, _min_step, _max_step
    _parameter_names = ("variant", "initial_step", "eta_minus", "eta_plus", "min_step", "max_step")
    _state_names = ("step_sizes", "previous_gradients")

    def __init__(self, variant="iminus", initial_step=0.1, eta_minus=0.5, eta_plus=1.2, min_step=1e-6, max_step=50.0):
        super().__init__(whole_set=variant == "iplus")
        if not isinstance(variant, str) or variant not in RPROP_RULES:
            raise ValueError(f"variant is {variant!r}; known are {', '.join(RPROP_RULES)}")
        self.variant = variant
        self._numbers[0] = INFINITY  # the last loss
        self._eta_minus = as_number("eta_minus", eta_minus, "(0, 1)")
        self._eta_plus = as_number("eta_plus", eta_plus, "(1, inf)")
        self._min_step = as_number("min_step", min_step)
        self._max_step = as_number("max_step", max_step, "(0, inf)")
        if self._min_step > self._max_step:
            raise ValueError(f"min_step must not be above max_step, got {min_step} and {max_step}")
        if np.ndim(initial_step) == 0:
            self._initial_step = least = most = as_number("initial_step", initial_step, "(0, inf)")
        else:
            self._initial_step = as_array("initial_step", initial_step, np.dtype(float)).copy()
            if self._initial_step.ndim != 1 or self._initial_step.size == 0:
                raise ValueError(
                    f"initial_step must be a number or have shape (n_parameters,), got {self._initial_step.shape}")
            if not np.isfinite(self._initial_step).all():
                raise not_finite("initial_step", self._initial_step)
            least, most = self._initial_step.min(), self._initial_step.max()
        if least <= 0 or least < self._min_step or most > self._max_step:
            raise ValueError(
                f"initial_step must be above 0 and from min_step to max_step, {min_step} to {max_step}, got "
                f"{least if least <= 0 or least < self._min_step else most}")

    @property
    def initial_step(self):
        return self._initial_step if isinstance(self._initial_step, float) else self._initial_step.copy()

    @property
    def eta_minus(self):
        return self._eta_minus

    @property
    def eta_plus(self):
        return self._eta_plus

    @property
    def min_step(self):
        return self._min_step

    @property
    def max_step(self):
        return self._max_step

    @property
    def step_sizes(self):
        return self._at("step_sizes")

    @property
    def previous_gradients(self):
        return self._at("previous_gradients")

    cdef list _new_state(self, parameters):
        sizes, gradients = Optimizer._new_state(self, parameters)
        if np.shape(self._initial_step) not in ((), parameters.shape):
            raise ValueError(
                f"initial_step must be a number or have shape {parameters.shape}, one for each parameter, got shape "
                f"{self._initial_step.shape}")
        sizes[...] = self._initial_step
        return [sizes, gradients]

    cdef list _begin(self, Plan plan, object parameters, Update* update):
        update.change.rule = RPROP_RULES[self.variant]
        update.change.step.eta_minus = self._eta_minus
        update.change.step.eta_plus = self._eta_plus
        update.change.step.min_step = self._min_step
        update.change.step.max_step = self._max_step
        return Optimizer._begin(self, plan, parameters, update)


RPROP_RULES = {"iminus": RPROP_IMINUS, "iplus": RPROP_IPLUS, "minus": RPROP_MINUS, "plus": RPROP_PLUS}


def check_epsilon(epsilon, dtype):
    if dtype.type(epsilon) == 0:
        raise ValueError(f"epsilon {epsilon} is 0 in {dtype}")


cdef inline double power(double base, Py_ssize_t exponent) noexcept nogil:
    """base ** exponent by repeated squaring: libm's pow differs between C libraries

    Without a branch on a bit, which the processor would guess wrong in every other step.
    """
    cdef double result = 1
    cdef double[2] factors
    factors[0] = 1
    while exponent > 0:
        factors[1] = base
        result *= factors[exponent & 1]
        base *= base
        exponent >>= 1
    return result


cdef void next_step(Update* update, double scale, double loss) noexcept nogil:
    """Counts a step and fills in what its kernels take; scale: 1 / the batch's weight, or 1; loss: the batch's"""
    cdef double root
    update.n_steps += 1
    update.change.step.scale = scale
    update.change.step.learning_rate = update.learning_rate
    if update.change.rule == ADAM or update.change.rule == ADAM_W:
        root = sqrt(1 - power(update.change.step.beta_2, update.n_steps))
        update.change.step.learning_rate *= root / (1 - power(update.change.step.beta_1, update.n_steps))
        if update.change.rule == ADAM_W:
            update.change.step.epsilon = update.epsilon * root
            update.change.step.keep = 1 - update.learning_rate * update.weight_decay
    elif update.change.rule == RPROP_IPLUS:
        update.change.step.rose = loss > update.numbers[0]
        update.numbers[0] = loss


cdef bint apply(
    const Update* update, Plan plan, const lanes_t* gradients, Py_ssize_t first, Py_ssize_t last, lanes_t* parameters,
    Watch* watch,
) noexcept nogil:
    """Takes a step of the rows first to last of the private parameters; returns whether to stop"""
    cdef const Layer* layer
    cdef Step for_biases = update.change.step
    cdef Py_ssize_t k, r
    for_biases.alpha = 0
    for k in range(plan.n_layers):
        layer = &plan.layers[k]
        r = max(first, layer.biases)
        if take_step(plan.kernels, &update.change, &for_biases, gradients + r, r, min(last, layer.weights) - r,
                     parameters, watch):
            return True
        r = max(first, layer.weights)
        if take_step(plan.kernels, &update.change, &update.change.step, gradients + r, r,
                     min(last, layer.weights + layer.weight_rows) - r, parameters, watch):
            return True
    return False


cdef bint pack_state(Update* update, Plan plan, Watch* watch) noexcept nogil:
    """The private state := the public one; returns whether to stop"""
    cdef Py_ssize_t k
    for k in range(update.n_states):
        if plan.pack(update.public_state[k], update.change.state[k], watch):
            return True
    return False
