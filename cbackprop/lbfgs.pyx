"""L-BFGS: steps from the curvature that the last steps have met, each found by a line search."""

from libc.float cimport DBL_EPSILON
from libc.math cimport fabs, sqrt
from libc.string cimport memcpy

from cbackprop._memory cimport Block
from cbackprop._typedefs cimport lanes_t
from cbackprop.line_search cimport LineSearch, Point, begin_search, is_found, next_step
from cbackprop.optimizers cimport Optimizer
from cbackprop.whole_set cimport WholeSetTraining

import math

from cbackprop._checks import as_count, as_number

cdef enum:
    # Losses that a line search may ask for, as in SciPy.
    MOST_TRIALS = 20
    # Steps that are remembered, so that their memory is a number.
    MOST_PAIRS = 1 << 16
    # Where it stands among the optimizer's numbers: one of the endings.
    ENDING = 0

cdef enum OwnEnding:
    GOES_ON
    BY_GRADIENT
    BY_LOSS
    BY_EVALUATIONS
    BY_SEARCH

ENDINGS = (None, "gtol", "ftol", "max_evaluations", "line search")


cdef class LBFGS(Optimizer):
    """The quasi-Newton method of limited memory: the gradient times what is known of the inverse Hessian matrix.

    For whole sets: ``batch_size`` of `Network.train` is None, and nothing is shuffled. An epoch is one iteration, of
    one gradient or a few; the loss of an epoch is that of the parameters it leaves, and never rises.

    Parameters
    ----------
    memory : int, default 10
        How many steps the curvature is known from, 65,536 at most.
    gtol : float >= 0, default 1e-5
        Training ends when no entry of the gradient is larger than that.
    ftol : float >= 0, default 2.220446049250313e-09
        Training ends when an iteration lowers the loss by no more than that part of it (of 1, if it is below 1).
    max_evaluations : int, optional
        Training ends after the iteration in which the loss is computed more often than that.

    Attributes
    ----------
    n_steps : int
        Iterations.
    ending : str or None
        By what the last training ended by itself: "gtol", "ftol", "max_evaluations", or "line search", which found no
        step that lowers the loss, not even down the gradient: rounding hides what is left to gain. None: something else
        ended it.

    Notes
    -----
    Liu & Nocedal 1989, with the line search of Moré & Thuente 1994. Without bounds it is the method of L-BFGS-B (Byrd,
    Lu, Nocedal & Zhu 1995), and its constants, its first step, the pairs it skips and the defaults are those of SciPy's
    ``minimize(method="L-BFGS-B")``, whose iterations differ by rounding alone. Beyond it, a trial step to a loss or
    gradient that is not finite is halved. What is known of the curvature ends with the call, so that two calls do not
    equal one.
    """

    cdef readonly object memory, max_evaluations
    cdef double _gtol, _ftol
    _parameter_names = ("memory", "gtol", "ftol", "max_evaluations")

    def __init__(self, memory=10, gtol=1e-5, ftol=2.220446049250313e-09, max_evaluations=None):
        super().__init__(whole_set=True)
        self.memory = as_count("memory", memory)
        if self.memory > MOST_PAIRS:
            raise ValueError(f"memory must be {MOST_PAIRS} or less, got {memory}")
        self._gtol = as_number("gtol", gtol)
        self._ftol = as_number("ftol", ftol)
        self.max_evaluations = (
            None if max_evaluations is None else as_count("max_evaluations", max_evaluations))

    @property
    def gtol(self):
        return self._gtol

    @property
    def ftol(self):
        return self._ftol

    @property
    def ending(self):
        return ENDINGS[int(self._numbers[ENDING])]

    cdef object _new_training(self):
        cdef LBFGSTraining training = LBFGSTraining()
        training.n_memory = self.memory
        training.gtol = self._gtol
        training.ftol = self._ftol
        training.max_evaluations = math.inf if self.max_evaluations is None else self.max_evaluations
        return training


cdef class LBFGSTraining(WholeSetTraining):
    cdef double gtol, ftol, max_evaluations
    cdef Block block
    cdef lanes_t* downhill  # minus the gradient
    cdef lanes_t* downhill_there  # the same at `there`
    cdef lanes_t* there
    cdef lanes_t* direction
    # the last pairs, one behind the other, in the place of the oldest when there is no other
    cdef lanes_t* steps
    cdef lanes_t* changes  # of the gradient
    cdef double* curvatures  # (n_memory,): steps @ changes
    cdef double* factors  # (n_memory,)
    cdef Py_ssize_t n_memory, n_pairs, newest
    cdef double scale  # of the inverse Hessian matrix that the pairs correct
    cdef double loss, slope  # of the parameters; of the last direction there
    cdef double n_evaluations
    cdef bint known  # the loss and `downhill` are those of the parameters

    cdef object begin(self):
        cdef Py_ssize_t rows = self.plan.parameter_rows
        cdef Py_ssize_t number_rows = 2 * self.n_memory * sizeof(double) // sizeof(lanes_t) + 1
        self.block = Block((4 + 2 * self.n_memory) * rows + number_rows)
        self.downhill = self.block.rows
        self.downhill_there = self.downhill + rows
        self.there = self.downhill + 2 * rows
        self.direction = self.downhill + 3 * rows
        self.steps = self.downhill + 4 * rows
        self.changes = self.steps + self.n_memory * rows
        self.curvatures = <double*>(self.changes + self.n_memory * rows)
        self.factors = self.curvatures + self.n_memory
        self.update.numbers[ENDING] = <int>GOES_ON

    cdef double epoch(self) noexcept nogil:
        """One iteration: a direction, a step along it, and what it tells of the curvature"""
        cdef double loss_before, step
        if not self.known:
            self.loss = self.evaluate(self.parameters, self.downhill)
            if self.is_over() or self.ends(self.is_flat(self.downhill), BY_GRADIENT):
                return self.loss
            self.known = True
        loss_before = self.loss
        step = self.search()
        if step == 0 and self.n_pairs > 0 and not self.is_over():
            self.n_pairs = 0  # they mislead it
            step = self.search()
        if self.is_over() or self.ends(step == 0, BY_SEARCH):
            return self.loss
        self.update.n_steps += 1
        if not (
            self.ends(self.is_flat(self.downhill_there), BY_GRADIENT)
            or self.ends(loss_before - self.loss <= self.ftol * max(fabs(loss_before), fabs(self.loss), 1.0), BY_LOSS)
            or self.ends(self.n_evaluations > self.max_evaluations, BY_EVALUATIONS)
        ):
            self.remember(step)
        self.downhill, self.downhill_there = self.downhill_there, self.downhill
        return self.loss

    cdef double evaluate(self, const lanes_t* at, lanes_t* downhill) noexcept nogil:
        self.n_evaluations += 1
        return self.descent(at, downhill)

    cdef bint is_flat(self, const lanes_t* downhill) noexcept nogil:
        return self.plan.kernels.largest(downhill, self.plan.parameter_rows) <= self.gtol

    cdef bint ends(self, bint condition, OwnEnding ending) noexcept nogil:
        """Whether training ends, and if so, by what"""
        if condition:
            self.finished = True
            self.update.numbers[ENDING] = <int>ending
        return condition

    cdef double search(self) noexcept nogil:
        """Goes along a new direction, and returns how far; 0 if there is no better place, or it was interrupted"""
        cdef LineSearch line
        cdef Point here
        cdef int _trial
        self.choose_direction()
        here.step, here.loss, here.slope = 0, self.loss, -self.dot(self.downhill, self.direction)
        if self.is_over() or not here.slope < 0:
            return 0
        here.step = 1
        if self.n_evaluations == 1:
            here.step = 1 / sqrt(self.dot(self.direction, self.direction))
        begin_search(&line, here.loss, here.slope, here.step)
        self.slope = here.slope
        for _trial in range(MOST_TRIALS):
            self.combine(1, self.parameters, here.step, self.direction, self.there)
            here.loss = self.evaluate(self.there, self.downhill_there)
            here.slope = -self.dot(self.downhill_there, self.direction)
            if self.is_over():
                return 0
            if is_found(&line, here):
                memcpy(self.parameters, self.there, self.plan.parameter_rows * sizeof(lanes_t))
                self.loss = here.loss
                return here.step
            here.step = next_step(&line, here)
        return 0

    # ---- the inverse Hessian matrix ----

    cdef void remember(self, double step) noexcept nogil:
        """The last step, and how the gradient has changed over it; not where the slope has hardly risen"""
        cdef Py_ssize_t rows = self.plan.parameter_rows, k = (self.newest + 1) % self.n_memory
        cdef lanes_t* change = self.changes + k * rows
        cdef double curvature
        self.combine(1, self.downhill, -1, self.downhill_there, change)
        curvature = step * self.dot(self.direction, change)
        if curvature <= -DBL_EPSILON * step * self.slope:
            return
        self.combine(step, self.direction, 0, self.direction, self.steps + k * rows)
        self.curvatures[k] = curvature
        self.scale = curvature / self.dot(change, change)
        self.newest = k
        self.n_pairs = min(self.n_pairs + 1, self.n_memory)

    cdef void choose_direction(self) noexcept nogil:
        """direction := the inverse Hessian matrix times minus the gradient: Nocedal's two loops; unless it is over"""
        cdef Py_ssize_t rows = self.plan.parameter_rows, i, k
        cdef double factor
        self.combine(1, self.downhill, 0, self.downhill, self.direction)
        if self.n_pairs == 0:
            return
        for i in range(self.n_pairs):
            if self.is_over():
                return
            k = (self.newest - i + self.n_memory) % self.n_memory
            self.factors[k] = self.dot(self.steps + k * rows, self.direction) / self.curvatures[k]
            self.combine(1, self.direction, -self.factors[k], self.changes + k * rows, self.direction)
        self.combine(self.scale, self.direction, 0, self.direction, self.direction)
        for i in range(self.n_pairs - 1, -1, -1):
            if self.is_over():
                return
            k = (self.newest - i + self.n_memory) % self.n_memory
            factor = self.dot(self.changes + k * rows, self.direction) / self.curvatures[k]
            self.combine(1, self.direction, self.factors[k] - factor, self.steps + k * rows, self.direction)
