"""Levenberg-Marquardt: least squares by damped Gauss-Newton steps, if wanted with Bayesian regularisation.

    (factor * J^T J + diag(decays) + mu * I) step = factor * J^T r + decays * parameters
    parameters -= step                                          if that lowers the objective, else mu is raised
    objective = factor * 1/2 sum(r ** 2) + 1/2 sum(decays * parameters ** 2)

`factor` is 1 and the decays are alpha for weights, 0 for biases; or they are what Bayesian regularisation finds.

Sources: M. T. Hagan & M. B. Menhaj, IEEE Trans. Neural Networks 5 (1994); H. B. Nielsen, IMM-REP-1999-05, Technical
University of Denmark; D. J. C. MacKay, Neural Computation 4 (1992); F. D. Foresee & M. T. Hagan, ICNN 1997. Defaults
are those of MATLAB's trainlm and trainbr.
"""

from libc.math cimport fmax, sqrt
from libc.string cimport memcpy, memset

from cbackprop._kernels.table cimport SQUARED_ERROR, Kernels, Step
from cbackprop._memory cimport Block
from cbackprop._typedefs cimport lanes_t
from cbackprop._watch cimport interrupted
from cbackprop.backprop cimport Plan, Rows
from cbackprop.dense cimport Layer
from cbackprop.derivatives cimport NormalEquations
from cbackprop.optimizers cimport Optimizer, Update
from cbackprop.training cimport Training

from cbackprop._checks import as_count, as_number

cdef enum:
    # An optimizer's numbers.
    MU
    GROWTH  # Nielsen's: by what mu is multiplied when a step fails
    ALPHA
    BETA  # 0 before the first epoch
    N_EFFECTIVE
    # The precision is float64: numbers in a row of lanes.
    LANES = 8
    # Multiply-adds in one call of a kernel, and rows of lanes copied between two looks at the clock.
    WORK_AT_ONCE = 1 << 24
    ROWS_AT_ONCE = 1 << 16

# MATLAB's
cdef double LEAST_MU = 1e-20


cdef class LevenbergMarquardtTraining(Training):
    """One call of `Network.train`. All of `square` and what is made of it are in the order of the public parameters."""

    cdef double mu_first, mu_inc, mu_dec, mu_max, min_grad
    cdef bint nielsen, bayesian
    cdef NormalEquations equations
    cdef Block _block
    cdef Py_ssize_t n, n_panels
    cdef lanes_t* factor  # (n_panels and, if Bayesian, those of the inverse; n + 1)
    cdef lanes_t* candidate  # as the private parameters
    cdef double* roots  # (n_samples,) of the weights
    cdef double* values  # (n,) public parameters
    cdef double* new_values
    cdef double* decays
    cdef double* step_  # (n,)
    cdef Rows weighted  # the data, with these roots
    cdef bint begun
    cdef double data_loss, weight, objective

    cdef object begin(self):
        cdef Py_ssize_t n_vectors, inverse_panels
        if self.workspace.sparse:
            raise TypeError("X must be dense with LevenbergMarquardt, got a sparse one")
        self.equations = NormalEquations(self.workspace)
        self.n, self.n_panels = self.equations.n, self.equations.n_panels
        n_vectors = self.n_panels * LANES
        inverse_panels = self.n_panels if self.bayesian else 0
        cdef Py_ssize_t square_rows = (self.n_panels + inverse_panels) * (self.n + 1)
        cdef Py_ssize_t weight_rows = self.n_samples // LANES + 1 if self.data.sample_weight != NULL else 0
        self._block = Block(square_rows + self.plan.parameter_rows + weight_rows + 4 * self.n_panels)
        self.factor = self._block.rows
        self.candidate = self.factor + square_rows
        self.values = <double*>(self.candidate + self.plan.parameter_rows)
        self.new_values = self.values + n_vectors
        self.decays = self.new_values + n_vectors
        self.step_ = self.decays + n_vectors
        self.roots = self.step_ + n_vectors

    cdef double epoch(self) noexcept nogil:
        """One step, with as much damping as it takes; returns the loss after it"""
        cdef double* mu = &self.update.numbers[<int>MU]
        if not self.begun and self.begin_epochs():
            return 0
        if self.equations.add_up(self.parameters, &self.weighted, self.n_samples):
            return 0
        if self.bayesian and self.estimate():
            return 0
        self.prepare()
        self.finished = self.gradient_norm() <= self.min_grad
        self.update.n_steps += 1
        if mu[0] == 0:
            mu[0] = self.mu_first * self.largest_diagonal()
        while not self.finished and not self.workspace.watch.stopped:
            if self.solve(mu[0]) and self.is_better(mu):
                break
            self.raise_mu(mu)
            self.finished = not mu[0] <= self.mu_max
        return self.loss()

    # ---- the objective ----

    cdef bint begin_epochs(self) noexcept nogil:
        """The parameters and their loss; returns whether to stop"""
        cdef Py_ssize_t i
        memcpy(self.values, self.public_parameters, self.n * sizeof(double))
        self.weighted = self.data
        if self.data.sample_weight != NULL:
            for i in range(self.n_samples):
                self.roots[i] = sqrt((<const double*>self.data.sample_weight)[i])
            self.weighted.sample_weight = <lanes_t*>self.roots
        self.begun = True
        return self.team.sum_losses(self.parameters, &self.data, self.n_samples, &self.data_loss, &self.weight)

    cdef double loss(self) noexcept nogil:
        """What is reported"""
        return (self.loss_scale * self.data_loss + self.penalty(self.parameters)) / (self.weight if self.mean else 1)

    cdef double objective_of(self, const lanes_t* parameters, double data_loss) noexcept nogil:
        if not self.bayesian:
            return data_loss + self.penalty(parameters)
        return (
            self.update.numbers[<int>BETA] * data_loss + 0.5 * self.update.numbers[<int>ALPHA]
            * self.plan.kernels.dot(parameters, parameters, self.plan.parameter_rows))

    # ---- a step ----

    cdef void prepare(self) noexcept nogil:
        """The decays, the objective, and the gradient in column n"""
        cdef const Layer* layer
        cdef Py_ssize_t k, i
        cdef double factor = self.update.numbers[<int>BETA] if self.bayesian else 1
        cdef double alpha = self.update.numbers[<int>ALPHA] if self.bayesian else self.update.change.step.alpha
        cdef double* gradient
        for k in range(self.plan.n_layers):
            layer = &self.plan.layers[k]
            for i in range(layer.public_weights, layer.public_biases):
                self.decays[i] = alpha
            for i in range(layer.public_biases, layer.public_biases + layer.n_out):
                self.decays[i] = alpha if self.bayesian else 0
        for i in range(self.n):
            gradient = self.at(self.equations.square, i, self.n)
            gradient[0] = factor * gradient[0] + self.decays[i] * self.values[i]
        self.objective = self.objective_of(self.parameters, self.data_loss)

    cdef inline double* at(self, lanes_t* square, Py_ssize_t i, Py_ssize_t j) noexcept nogil:
        """A number of `square` or of `factor`"""
        return <double*>(square + j // LANES * (self.n + 1) + i) + j % LANES

    cdef double gradient_norm(self) noexcept nogil:
        """Of the loss that is reported, or of the objective of Bayesian regularisation"""
        cdef Py_ssize_t i
        cdef double total = 0, gradient
        for i in range(self.n):
            gradient = self.at(self.equations.square, i, self.n)[0]
            total += gradient * gradient
        return sqrt(total) / (self.weight if self.mean else 1)

    cdef double largest_diagonal(self) noexcept nogil:
        cdef Py_ssize_t i
        cdef double largest = 0
        for i in range(self.n):
            largest = fmax(largest, self.at(self.equations.square, i, i)[0])
        return largest

    cdef bint solve(self, double mu) noexcept nogil:
        """step := what the equations with this damping say; returns whether they could be solved"""
        if not self.factorise(mu, self.n_panels):
            return False
        self.plan.kernels.solve_upper(self.factor, self.n + 1, self.n, <lanes_t*>self.step_)
        return True

    cdef bint factorise(self, double mu, Py_ssize_t n_panels) noexcept nogil:
        """The factor of (factor * square + diag(decays) + mu I), and what stands in panels behind; returns success

        Rows of a panel's height one after the other: the products with all rows before are subtracted, then the rows
        with one another. Column n goes the same way.
        """
        cdef const Kernels* kernels = self.plan.kernels
        cdef Py_ssize_t i, p, q, panels, first = 0, stride = self.n + 1
        cdef Step minus
        minus.learning_rate, minus.scale, minus.alpha = 1, 1, 0
        if self.copy_square():
            return False
        for i in range(self.n):
            self.at(self.factor, i, i)[0] += self.decays[i] + mu
        while first < self.n:
            q = p = first // LANES
            while p < n_panels and first > 0:
                panels = min(n_panels - p, max(1, WORK_AT_ONCE // (first * LANES * LANES)))
                kernels.gradients(
                    self.factor, stride, self.factor + p * stride, stride, stride, q, q + 1, panels * LANES, first,
                    &minus, self.factor + p * stride)
                if interrupted(&self.workspace.watch, panels * first * LANES * LANES):
                    return False
                p += panels
            if not kernels.cholesky_rows(first, min(<Py_ssize_t>LANES, self.n - first), n_panels, stride, self.factor):
                return False
            first += LANES
        return True

    cdef bint copy_square(self) noexcept nogil:
        """factor := square times the factor of J^T J, but for column n; returns whether to stop"""
        cdef Py_ssize_t i, rows, first = 0, n_rows = self.n_panels * (self.n + 1)
        cdef double factor = self.update.numbers[<int>BETA] if self.bayesian else 1
        while first < n_rows:
            rows = min(<Py_ssize_t>ROWS_AT_ONCE, n_rows - first)
            self.plan.kernels.combine(
                factor, self.equations.square + first, 0, self.equations.square + first, rows, self.factor + first)
            if interrupted(&self.workspace.watch, 16 * rows * LANES):
                return True
            first += rows
        for i in range(self.n):
            self.at(self.factor, i, self.n)[0] = self.at(self.equations.square, i, self.n)[0]
        return False

    cdef bint is_better(self, double* mu) noexcept nogil:
        """Takes the step and lowers mu, if that lowers the objective; returns whether it does"""
        cdef Py_ssize_t i
        cdef double data_loss, weight, objective, ratio, foreseen = 0
        for i in range(self.n):
            self.new_values[i] = self.values[i] - self.step_[i]
            foreseen += 0.5 * self.step_[i] * (mu[0] * self.step_[i] + self.at(self.equations.square, i, self.n)[0])
        if self.plan.pack(<const char*>self.new_values, self.candidate, &self.workspace.watch):
            return False
        if self.team.sum_losses(self.candidate, &self.data, self.n_samples, &data_loss, &weight):
            return False
        objective = self.objective_of(self.candidate, data_loss)
        # also false where something is not finite any more
        if not objective < self.objective:
            return False
        if self.nielsen:
            ratio = (self.objective - objective) / foreseen
            ratio = 2 * ratio - 1
            mu[0] *= fmax(1.0 / 3, 1 - ratio * ratio * ratio)
            self.update.numbers[<int>GROWTH] = 2
        else:
            mu[0] *= self.mu_dec
        mu[0] = fmax(mu[0], LEAST_MU)
        self.data_loss = data_loss
        self.values, self.new_values = self.new_values, self.values
        memcpy(self.parameters, self.candidate, self.plan.parameter_rows * sizeof(lanes_t))
        return True

    cdef void raise_mu(self, double* mu) noexcept nogil:
        """After a step that failed"""
        if self.nielsen:
            mu[0] *= self.update.numbers[<int>GROWTH]
            self.update.numbers[<int>GROWTH] *= 2
        else:
            mu[0] *= self.mu_inc

    # ---- Bayesian regularisation ----

    cdef bint estimate(self) noexcept nogil:
        """alpha and beta from the equations where the last step led; returns whether to stop"""
        cdef double* numbers = self.update.numbers
        cdef Py_ssize_t i, p, inverse_rows = self.n_panels * (self.n + 1)
        cdef lanes_t* inverse = self.factor + inverse_rows
        cdef lanes_t* column
        cdef double trace = 0
        cdef double n_errors = self.weight * self.plan.layers[self.plan.n_layers - 1].n_out
        cdef double squares = self.plan.kernels.dot(self.parameters, self.parameters, self.plan.parameter_rows)
        if numbers[<int>BETA] == 0:
            # the first step knows of no regularisation
            numbers[<int>BETA], numbers[<int>ALPHA], numbers[<int>N_EFFECTIVE] = 1, 0, self.n
            return False
        if numbers[<int>ALPHA] > 0:
            # U^-T beside the identity: the trace of the inverse is the sum of its squares
            memset(inverse, 0, inverse_rows * sizeof(lanes_t))
            for i in range(self.n):
                self.at(inverse, i, i)[0] = 1
                self.decays[i] = numbers[<int>ALPHA]
            if self.factorise(0, 2 * self.n_panels):
                for p in range(self.n_panels):
                    column = inverse + p * (self.n + 1)
                    trace += self.plan.kernels.dot(column, column, self.n)
                numbers[<int>N_EFFECTIVE] = self.n - numbers[<int>ALPHA] * trace
            if self.workspace.watch.stopped:
                return True
        if self.data_loss > 0:
            numbers[<int>BETA] = (n_errors - numbers[<int>N_EFFECTIVE]) / (4 * self.data_loss)
        # fewer errors than parameters
        if not numbers[<int>BETA] > 0:
            numbers[<int>BETA] = 1
        if squares > 0:
            numbers[<int>ALPHA] = numbers[<int>N_EFFECTIVE] / (2 * squares)
        return False


cdef class LevenbergMarquardt(Optimizer):
    """Least squares by damped Gauss-Newton steps: few epochs, each of them dear; for up to some thousand parameters.

    An epoch of `Network.train` is one iteration over all rows: J^T J and J^T r, then steps
    (J^T J + mu I)^-1 J^T r with mu raised until one of them lowers the loss. It is for networks in float64 whose loss
    is squared_error, with any number of outputs, and for a dense X. The L2 term alpha of `train` and sample weights are
    part of the equations, which are those of the sum over the data points under both reductions.

    Parameters
    ----------
    mu : float > 0, default 0.001
        The damping at first; with Nielsen's, times the largest number on the diagonal of J^T J.
    mu_inc : float > 1, default 10
        mu is multiplied by it when a step fails: when it would not lower the loss, or the equations are singular.
    mu_dec : float in (0, 1), default 0.1
        mu is multiplied by it when a step succeeds.
    mu_max : float > 0, default 1e10
        Training ends when mu grows beyond it.
    min_grad : float >= 0, default 1e-7
        Training ends when the Euclidean norm of the loss's gradient is not above it.
    damping : "marquardt" (default) or "nielsen"
        Nielsen's takes no mu_inc and mu_dec: mu changes smoothly by how well the equations foresaw the gain.
    max_memory : int, default 2 ** 30
        Bytes that the equations may take: about 16 for each pair of parameters.

    Attributes
    ----------
    n_steps : int
        Epochs done.
    current_mu : float or None
        The next step's; None with Nielsen's damping before the first.

    Notes
    -----
    Hagan & Menhaj 1994, with the defaults of MATLAB's ``trainlm``; Nielsen 1999. The loss of an epoch is that of the
    parameters it ends with. Where no step lowers the loss any more, the parameters stay as they are, and training
    ends at mu_max.
    """

    cdef double _mu, _mu_inc, _mu_dec, _mu_max, _min_grad
    cdef readonly str damping
    cdef readonly Py_ssize_t max_memory
    _parameter_names = ("mu", "mu_inc", "mu_dec", "mu_max", "min_grad", "damping", "max_memory")

    def __init__(self, mu=0.001, mu_inc=10.0, mu_dec=0.1, mu_max=1e10, min_grad=1e-7, damping="marquardt",
                 max_memory=2**30):
        super().__init__()
        self._mu = as_number("mu", mu, "(0, inf)")
        self._mu_inc = as_number("mu_inc", mu_inc, "(1, inf)")
        self._mu_dec = as_number("mu_dec", mu_dec, "(0, 1)")
        self._mu_max = as_number("mu_max", mu_max, "(0, inf)")
        self._min_grad = as_number("min_grad", min_grad)
        if not isinstance(damping, str) or damping not in ("marquardt", "nielsen"):
            raise ValueError(f"damping is {damping!r}; known are marquardt, nielsen")
        self.damping = damping
        self.max_memory = as_count("max_memory", max_memory)
        self.whole_set = True
        self._numbers[<int>MU] = 0 if damping == "nielsen" else self._mu
        self._numbers[<int>GROWTH] = 2

    @property
    def mu(self):
        return self._mu

    @property
    def mu_inc(self):
        return self._mu_inc

    @property
    def mu_dec(self):
        return self._mu_dec

    @property
    def mu_max(self):
        return self._mu_max

    @property
    def min_grad(self):
        return self._min_grad

    @property
    def current_mu(self):
        return self._numbers[<int>MU] or None

    cdef object _new_training(self):
        cdef LevenbergMarquardtTraining training = LevenbergMarquardtTraining()
        training.mu_first, training.mu_inc, training.mu_dec = self._mu, self._mu_inc, self._mu_dec
        training.mu_max, training.min_grad = self._mu_max, self._min_grad
        training.nielsen = self.damping == "nielsen"
        training.bayesian = isinstance(self, BayesianRegularization)
        return training

    cdef list _begin(self, Plan plan, object parameters, Update* update):
        name = type(self).__name__
        if plan.loss != SQUARED_ERROR:
            raise ValueError(f"{name} is for networks whose loss is squared_error")
        if parameters.dtype != "float64":
            raise ValueError(f"{name} is for networks in float64, this one is in {parameters.dtype}")
        n = parameters.size
        # half of the square is of no use, but there; the rows of J are few
        needed = (3 if isinstance(self, BayesianRegularization) else 2) * 8 * (n + 8) * (n + 1)
        if needed > self.max_memory:
            raise MemoryError(
                f"{name} needs {needed:_} bytes for {n} parameters, its max_memory is {self.max_memory:_}")
        return Optimizer._begin(self, plan, parameters, update)


cdef class BayesianRegularization(LevenbergMarquardt):
    """Levenberg-Marquardt that finds by itself how strongly the parameters are to be kept small.

    The objective is beta * sum(r ** 2) + alpha * sum(parameters ** 2). After each step alpha and beta become what
    is most probable given the data, by the effective number of parameters: how many the data determine.

    Parameters
    ----------
    mu : float > 0, default 0.005
    mu_inc, mu_dec, mu_max, min_grad, damping, max_memory
        As in `LevenbergMarquardt`; the gradient is the objective's (one half of it). Memory is about 24 bytes for each
        pair of parameters.

    Attributes
    ----------
    n_steps, current_mu
        As in `LevenbergMarquardt`.
    alpha, beta : float or None
        None before the first epoch. The variance of the noise is estimated as 1 / (2 beta).
    n_effective : float or None
        The effective number of parameters, at the beginning of the last epoch.

    Notes
    -----
    MacKay 1992; Foresee & Hagan 1997, who begin with alpha 0 and beta 1; defaults are those of MATLAB's ``trainbr``.
    Weights and biases count alike. Losses are those of the data: they may rise where the regularisation grows. The L2
    term of `Network.train` must be 0.
    """

    def __init__(self, mu=0.005, mu_inc=10.0, mu_dec=0.1, mu_max=1e10, min_grad=1e-7, damping="marquardt",
                 max_memory=2**30):
        super().__init__(mu, mu_inc, mu_dec, mu_max, min_grad, damping, max_memory)

    @property
    def alpha(self):
        return self._numbers[<int>ALPHA] if self._numbers[<int>BETA] else None

    @property
    def beta(self):
        return self._numbers[<int>BETA] or None

    @property
    def n_effective(self):
        return self._numbers[<int>N_EFFECTIVE] if self._numbers[<int>BETA] else None

    cdef list _begin(self, Plan plan, object parameters, Update* update):
        if update.change.step.alpha != 0:
            raise ValueError(
                f"alpha must be 0 with BayesianRegularization, which finds its own, got {update.change.step.alpha}")
        return LevenbergMarquardt._begin(self, plan, parameters, update)
