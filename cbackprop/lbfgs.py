"""L-BFGS: SciPy's L-BFGS-B over a network's loss and gradient."""

import copy

import numpy as np

from cbackprop._checks import as_count, as_number
from cbackprop.optimizers import Optimizer


class LBFGS(Optimizer):
    """The limited-memory quasi-Newton method of SciPy, which is imported when it is used.

    For whole sets: `batch_size` of `Network.train` is None, and nothing is shuffled. An epoch is an
    iteration, of one gradient or a few; `max_time` is looked at in its end. The loss of an epoch is
    that of the parameters it leaves.

    Parameters
    ----------
    memory : int, default 10
        How many steps the curvature is estimated from.
    gtol : float >= 0, default 1e-5
        Training ends when no entry of the gradient is larger than that.
    ftol : float >= 0, default 2.2e-9
        Training ends when an iteration lowers the loss by no more than that part of it (of 1, if
        it is below 1).

    Attributes
    ----------
    n_steps : int
        Iterations.

    Notes
    -----
    Byrd, Lu, Nocedal & Zhu 1995; the defaults are those of ``scipy.optimize.minimize``. What it
    remembers is SciPy's and ends with the call, so that two calls do not equal one; and SciPy's
    sums may differ in their last bits from one machine to another. The loss and the gradient are
    the same bits for any number of threads.
    """

    _parameter_names = ("memory", "gtol", "ftol")

    def __init__(self, memory: int = 10, gtol: float = 1e-5, ftol: float = 2.2e-9) -> None:
        super().__init__(whole_set=True)
        self.memory = as_count("memory", memory)
        self.gtol = as_number("gtol", gtol)
        self.ftol = as_number("ftol", ftol)


def minimize_loss(network, evaluate, *, penalty, max_iter, finish_iteration=None, **options):
    """A minimum of the network's loss with the L2 term; the network itself stays as it is.

    Parameters
    ----------
    network : Network
    evaluate : callable
        Of a network: its loss and gradient.
    penalty : float
        The loss gets penalty / 2 * (the sum of the squared weights).
    max_iter : int
    finish_iteration : callable, optional
        ``finish_iteration(parameters, loss)`` after each iteration; a true result ends the search.
    **options
        Those of SciPy's method.

    Returns
    -------
    result : scipy.optimize.OptimizeResult
    """
    try:
        from scipy.optimize import minimize
    except ImportError as error:
        raise ImportError("L-BFGS needs SciPy: pip install scipy") from error
    trial = copy.deepcopy(network)
    penalties = penalty * _is_weight(trial)

    def loss_and_gradient(parameters):
        trial.parameters = parameters
        loss, gradient = evaluate(trial)
        penalty_gradient = penalties * parameters
        return loss + 0.5 * (parameters @ penalty_gradient), gradient + penalty_gradient

    def callback(intermediate_result):
        if finish_iteration(intermediate_result.x, float(intermediate_result.fun)):
            raise StopIteration

    return minimize(
        loss_and_gradient,
        network.parameters.astype(np.float64),
        method="L-BFGS-B",
        jac=True,
        callback=callback if finish_iteration else None,
        options={"maxiter": max_iter, **options},
    )


def _is_weight(network):
    """1 for each weight and 0 for each bias, in the order of the network's parameters."""
    parts = []
    for weights, biases in zip(network.weights, network.biases, strict=True):
        parts += [np.ones(weights.size), np.zeros(biases.size)]
    return np.concatenate(parts)
