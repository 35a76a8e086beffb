"""solver='lbfgs': SciPy's L-BFGS-B over the network's loss and gradient."""

import copy
import itertools

import numpy as np

from cbackprop.network import loss_and_gradient_any_sign
from cbackprop.training import TrainingState


def minimize_loss(
    network, X, y, *, sample_weight, alpha, tol, max_iter, max_fun, n_threads, callback
):
    """Bring the network's parameters to a minimum of its loss with the L2 term.

    `callback` as that of `Network.train`, or None; an epoch is an iteration.

    Returns
    -------
    result : scipy.optimize.OptimizeResult
    """
    try:
        from scipy.optimize import minimize
    except ImportError as error:
        raise ImportError("solver='lbfgs' needs SciPy: pip install scipy") from error
    trial = copy.deepcopy(network)  # whatever ends the search, the network itself is whole
    penalty = alpha / (X.shape[0] if sample_weight is None else np.sum(sample_weight))
    penalties = penalty * _is_weight(network.layer_sizes)

    def loss_and_gradient(parameters):
        trial.parameters = parameters
        loss, gradient = loss_and_gradient_any_sign(trial, X, y, sample_weight, n_threads)
        penalty_gradient = penalties * parameters
        return loss + 0.5 * (parameters @ penalty_gradient), gradient + penalty_gradient

    iterations = itertools.count(1)

    def finish_iteration(intermediate_result):
        trial.parameters = intermediate_result.x
        if callback(TrainingState(next(iterations), float(intermediate_result.fun), trial)):
            raise StopIteration

    result = minimize(
        loss_and_gradient,
        network.parameters.astype(np.float64),
        method="L-BFGS-B",
        jac=True,
        callback=finish_iteration if callback else None,
        options={"maxfun": max_fun, "maxiter": max_iter, "gtol": tol},
    )
    network.parameters = result.x
    return result


def _is_weight(layer_sizes):
    """1 for each weight and 0 for each bias, in the order of the network's parameters."""
    parts = []
    for n_in, n_out in itertools.pairwise(layer_sizes):
        parts += [np.ones(n_in * n_out), np.zeros(n_out)]
    return np.concatenate(parts)
