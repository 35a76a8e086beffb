"""Scaled conjugate gradients: Møller's, which needs neither a learning rate nor a line search."""

from libc.math cimport sqrt
from libc.string cimport memcpy

from cbackprop._memory cimport Block
from cbackprop._typedefs cimport lanes_t
from cbackprop.optimizers cimport Optimizer
from cbackprop.whole_set cimport WholeSetTraining

from cbackprop._checks import as_number

cdef enum:
    # Where they stand among the optimizer's numbers.
    SCALE
    SCALE_BEFORE  # Møller's lambda and lambda with a bar
    CURVATURE  # his delta
    FAILED  # the last step raised the loss, and was not taken

# The scale grows without end where rounding hides what is left to gain, and falls without end on a parabola.
cdef double LEAST_SCALE = 1e-100, LARGEST_SCALE = 1e100
# Møller's Delta; a step into the infinite would make the next ones as good as nothing.
cdef double LEAST_COMPARISON = -1000


cdef class ScaledConjugateGradient(Optimizer):
    """Conjugate gradients whose steps come from the curvature along them, scaled until they lower the loss.

    For whole sets: ``batch_size`` of `Network.train` is None, and nothing is shuffled. An epoch is one iteration, two
    gradients or (after a step that was not taken) one. The loss of an epoch is that of the parameters it leaves; it
    never rises.

    Parameters
    ----------
    sigma : float > 0, default 5e-5
        How far along a direction the gradient is taken anew, to see the curvature; Møller asks for at most 1e-4.
    scale : float > 0, default 5e-7
        The first lambda, which is added to the curvature; Møller asks for at most 1e-6.

    Attributes
    ----------
    n_steps : int
        Iterations.
    direction : array of shape (n_parameters,) or None
        The next step's, in the order of `Network.parameters`; None before the first training.

    Notes
    -----
    Møller 1993; the defaults are those of MATLAB's ``trainscg``. Beyond the paper, a step that is not taken makes the
    next one a thousandth at least, even if the loss was infinite.
    """

    cdef double _sigma, _scale
    _parameter_names = ("sigma", "scale")
    _state_names = ("direction",)

    def __init__(self, sigma=5e-5, scale=5e-7):
        super().__init__(whole_set=True)
        self._sigma = as_number("sigma", sigma, "(0, inf)")
        self._scale = as_number("scale", scale, "(0, inf)")
        self._numbers[SCALE] = self._scale

    @property
    def sigma(self):
        return self._sigma

    @property
    def scale(self):
        return self._scale

    @property
    def direction(self):
        return self._at("direction")

    cdef object _new_training(self):
        cdef ScaledConjugateGradientTraining training = ScaledConjugateGradientTraining()
        training.sigma = self._sigma
        return training


cdef class ScaledConjugateGradientTraining(WholeSetTraining):
    cdef double sigma
    cdef Block memory
    cdef lanes_t* downhill  # minus the gradient: Møller's r
    cdef lanes_t* downhill_there  # the same at `there`
    cdef lanes_t* there
    cdef double loss  # of the parameters
    cdef bint known  # the loss and `downhill` are those of the parameters

    cdef object begin(self):
        cdef Py_ssize_t rows = self.plan.parameter_rows
        self.memory = Block(3 * rows)
        self.downhill = self.memory.rows
        self.downhill_there = self.memory.rows + rows
        self.there = self.memory.rows + 2 * rows

    cdef double epoch(self) noexcept nogil:
        """One iteration: steps 2 to 9 of Møller's algorithm, with his numbers in their places"""
        cdef double* numbers = self.update.numbers
        cdef lanes_t* direction = self.update.change.state[0]
        cdef double square, slope, loss_there, comparison
        if not self.known:
            self.loss = self.descent(self.parameters, self.downhill)
            if self.is_over():
                return self.loss
            self.known = True
        slope = self.dot(direction, self.downhill)
        if slope * slope == 0:  # at first, the direction is zero
            self.combine(1, self.downhill, 0, self.downhill, direction)
            slope = self.dot(direction, self.downhill)
            numbers[FAILED] = numbers[SCALE_BEFORE] = 0
        square = self.dot(direction, direction)
        if not slope * slope > 0:  # at a minimum
            return self.loss
        if not numbers[FAILED]:
            self.look_along(square)
            if self.is_over():
                return self.loss
        numbers[CURVATURE] += (numbers[SCALE] - numbers[SCALE_BEFORE]) * square
        if numbers[CURVATURE] <= 0:
            numbers[SCALE_BEFORE] = 2 * (numbers[SCALE] - numbers[CURVATURE] / square)
            numbers[CURVATURE] = numbers[SCALE] * square - numbers[CURVATURE]
            numbers[SCALE] = numbers[SCALE_BEFORE]
        self.combine(1, self.parameters, slope / numbers[CURVATURE], direction, self.there)
        loss_there = self.descent(self.there, self.downhill_there)
        if self.is_over():
            return self.loss
        comparison = 2 * numbers[CURVATURE] * (self.loss - loss_there) / (slope * slope)
        if not comparison > LEAST_COMPARISON:
            comparison = LEAST_COMPARISON
        self.update.n_steps += 1
        numbers[FAILED] = comparison < 0
        if comparison < 0:
            numbers[SCALE_BEFORE] = numbers[SCALE]
        else:
            self.move(slope, loss_there)
        if comparison >= 0.75:
            numbers[SCALE] = max(LEAST_SCALE, numbers[SCALE] / 4)
        if comparison < 0.25:
            numbers[SCALE] = min(LARGEST_SCALE, numbers[SCALE] + numbers[CURVATURE] * (1 - comparison) / square)
        return self.loss

    cdef void look_along(self, double square) noexcept nogil:
        """The curvature along the direction, by a difference of gradients"""
        cdef lanes_t* direction = self.update.change.state[0]
        cdef double length = self.sigma / sqrt(square)
        self.combine(1, self.parameters, length, direction, self.there)
        self.descent(self.there, self.downhill_there)
        if self.is_over():
            return
        self.combine(1 / length, self.downhill, -1 / length, self.downhill_there, self.downhill_there)
        self.update.numbers[CURVATURE] = self.dot(direction, self.downhill_there)

    cdef void move(self, double slope, double loss_there) noexcept nogil:
        """Takes the step, and chooses the next direction"""
        cdef size_t size = self.plan.parameter_rows * sizeof(lanes_t)
        cdef lanes_t* direction = self.update.change.state[0]
        cdef double beta = 0
        self.loss = loss_there
        memcpy(self.parameters, self.there, size)
        self.update.numbers[SCALE_BEFORE] = 0
        if self.update.n_steps % self.plan.n_parameters:
            beta = (self.dot(self.downhill_there, self.downhill_there)
                    - self.dot(self.downhill_there, self.downhill)) / slope
        self.combine(1, self.downhill_there, beta, direction, direction)
        self.downhill, self.downhill_there = self.downhill_there, self.downhill
