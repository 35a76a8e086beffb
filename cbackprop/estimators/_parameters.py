"""What the parameters may be, each for itself and together, and the network that they ask for."""

import warnings
from numbers import Integral

import numpy as np

from cbackprop.activations import HIDDEN, OUTPUT, canonical
from cbackprop.estimators._solvers import (
    OF_LEAST_SQUARES,
    TRAINERS,
    Trainer,
    is_for_whole_sets,
    kind_of,
)
from cbackprop.estimators._validation import (
    BOOLEAN,
    NONE,
    POSITIVE_INT,
    RANDOM_STATE,
    Function,
    Infinity,
    Interval,
    LayerSizes,
    OneOf,
    Precision,
    SequenceOf,
    bad_parameter,
)
from cbackprop.losses import OUTPUTS

OF_HIDDEN_LAYERS = ("identity", "logistic", "tanh", "relu", "softsign")
OF_OUTPUTS = (*OF_HIDDEN_LAYERS, "exp", "softmax")

# of both estimators
CONSTRAINTS = {
    "hidden_layer_sizes": (LayerSizes(),),
    "activation": (OneOf(OF_HIDDEN_LAYERS), SequenceOf(OF_HIDDEN_LAYERS)),
    "solver": (OneOf(tuple(TRAINERS)), Trainer()),
    "alpha": (Interval(float, 0, np.inf, "[)"),),
    "batch_size": (OneOf(("auto",)), POSITIVE_INT),
    "learning_rate": (OneOf(("constant", "invscaling", "adaptive")),),
    "learning_rate_init": (Interval(float, 0, np.inf, "()"),),
    "power_t": (Interval(float, 0, np.inf, "[)"),),
    "max_iter": (POSITIVE_INT,),
    "shuffle": (BOOLEAN,),
    "random_state": RANDOM_STATE,
    "tol": (Interval(float, 0, np.inf, "[)"),),
    "verbose": (BOOLEAN, Interval(Integral, 0, np.inf, "[)")),
    "warm_start": (BOOLEAN,),
    "momentum": (Interval(float, 0, 1, "[]"),),
    "nesterovs_momentum": (BOOLEAN,),
    "early_stopping": (BOOLEAN,),
    "validation_fraction": (Interval(float, 0, 1, "[)"),),
    "beta_1": (Interval(float, 0, 1, "[)"),),
    "beta_2": (Interval(float, 0, 1, "[)"),),
    "epsilon": (Interval(float, 0, np.inf, "()"),),
    "n_iter_no_change": (POSITIVE_INT, Infinity()),
    "max_fun": (POSITIVE_INT,),
    "n_threads": (NONE, POSITIVE_INT),
    "callback": (NONE, Function()),
    "dtype": (NONE, Precision()),
    "output_activation": (NONE, OneOf(OF_OUTPUTS)),
    "target_loss": (NONE, Interval(float, 0, np.inf, "[)")),
    "max_time": (NONE, Interval(float, 0, np.inf, "()")),
}


def layer_sizes_of(estimator, n_features, n_outputs):
    hidden = estimator.hidden_layer_sizes
    hidden = (hidden,) if isinstance(hidden, Integral) else hidden
    if not isinstance(estimator.activation, str) and len(estimator.activation) != len(hidden):
        wanted = f"be one name or one for each of {len(hidden)} hidden layers"
        raise bad_parameter(estimator, "activation", wanted)
    return (n_features, *(int(size) for size in hidden), n_outputs)


def hidden_activations_of(estimator, n_hidden):
    """The names that `Network` has for the activations."""
    names = estimator.activation
    names = [names] * n_hidden if isinstance(names, str) else names
    return tuple(canonical(name, HIDDEN, "activation") for name in names)


def output_activation_of(estimator, usual, loss):
    """What the estimator's is, if it goes with the loss; the usual one if it says nothing."""
    if estimator.output_activation is None:
        return usual
    if canonical(estimator.output_activation, OUTPUT, "output_activation") not in OUTPUTS[loss]:
        wanted = f"be None or go with the loss, {loss}: {' or '.join(OUTPUTS[loss])}"
        raise bad_parameter(estimator, "output_activation", wanted.replace("sigmoid", "logistic"))
    return estimator.output_activation


def precision_for(estimator, X):
    if estimator.dtype is not None:
        return estimator.dtype
    if kind_of(estimator.solver) in OF_LEAST_SQUARES:
        return np.float64
    return np.float32 if X.dtype.newbyteorder("=") == np.float32 else np.float64


def batch_size_for(estimator, n_samples, trainer):
    if estimator.batch_size == "auto":
        return n_samples if is_for_whole_sets(trainer) else min(200, n_samples)
    if trainer.whole_set and estimator.batch_size < n_samples:
        wanted = f"be 'auto', for all rows at once, with {trainer!r}"
        raise bad_parameter(estimator, "batch_size", wanted)
    if estimator.batch_size > n_samples:
        warnings.warn(
            "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped",
            stacklevel=5,
        )
    return int(estimator.batch_size)  # which the engine clips


def check_solver(estimator, loss):
    """Raise an error if the solver cannot minimise this loss."""
    if kind_of(estimator.solver) in OF_LEAST_SQUARES and loss != "squared_error":
        wanted = f"not be one for squared errors only where the loss is {loss}"
        raise bad_parameter(estimator, "solver", wanted)
