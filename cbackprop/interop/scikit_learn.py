"""scikit-learn's multi-layer perceptrons made of ours, ours of theirs, and ours in their place."""

import copy
import itertools
from typing import Any

import numpy as np

from cbackprop.estimators import MLPClassifier, MLPRegressor
from cbackprop.estimators._validation import check_random_state
from cbackprop.network import Network
from cbackprop.optimizers import SGD, Adam

# What both keep alike; each has those that its last training set.
ATTRIBUTES = (
    *("n_features_in_", "feature_names_in_", "n_layers_", "n_outputs_", "out_activation_"),
    *("classes_", "n_iter_", "t_", "loss_", "loss_curve_", "best_loss_", "validation_scores_"),
    *("best_validation_score_", "_no_improvement_count"),
)
# of a network, by the output activation of the estimator
LOSSES = {
    "identity": "squared_error",
    "exp": "poisson",
    "logistic": "binary_log_loss",
    "softmax": "log_loss",
}


def sklearn_classes() -> dict[type, type]:
    """scikit-learn's own classes by ours, whether these have taken their place or not."""
    try:
        from sklearn.neural_network import _multilayer_perceptron as theirs
    except ImportError as error:
        raise ImportError("this needs scikit-learn: pip install scikit-learn") from error
    return {kind: getattr(theirs, kind.__name__) for kind in (MLPClassifier, MLPRegressor)}


# ---- in their place ----


def patch_sklearn() -> None:
    """Put `MLPClassifier` and `MLPRegressor` in the place of scikit-learn's.

    From now on ``sklearn.neural_network.MLPClassifier`` is ours, and so is what is imported from
    there or listed by ``sklearn.utils.all_estimators``. Names that a program has imported before
    stay scikit-learn's, as do objects that exist and those of old pickles. Calling it twice is
    calling it once. ``python -m cbackprop.patch script.py`` runs a whole program so.

    Raises
    ------
    ImportError
        If scikit-learn is not installed.
    """
    _put({theirs: own for own, theirs in sklearn_classes().items()})


def unpatch_sklearn() -> None:
    """Undo `patch_sklearn`: scikit-learn's classes are back where they were.

    Raises
    ------
    ImportError
        If scikit-learn is not installed.
    """
    _put(sklearn_classes())


def _put(replacements):
    """Let the public names of the first classes stand for the second.

    The private module, where pickles look for scikit-learn's classes, keeps them: its objects can
    be dumped and loaded all the time.
    """
    from sklearn import neural_network

    for before, after in replacements.items():
        if getattr(neural_network, before.__name__) is before:
            setattr(neural_network, before.__name__, after)


# ---- from theirs to ours ----


def from_sklearn(model: Any) -> MLPClassifier | MLPRegressor:
    """Our estimator of a scikit-learn one, with its parameters and, if it is fitted, its state.

    Parameters
    ----------
    model : sklearn.neural_network.MLPClassifier or MLPRegressor
        It shares no memory with the result. A `RandomState` is copied as it is.

    Returns
    -------
    estimator : MLPClassifier or MLPRegressor
        With the same weights to the last bit, and so the same predictions within rounding;
        `partial_fit` and warm starts go on where the model's would, moments included. Of the
        precision of its weights. A pickle keeps the moments if the last training was one epoch
        long, as `partial_fit` is.

    Raises
    ------
    ImportError
        If scikit-learn is not installed.
    TypeError
        For anything else, subclasses included.
    ValueError
        If weights are not finite.
    """
    kinds = {theirs: own for own, theirs in sklearn_classes().items()}
    kind = kinds.get(type(model))
    if kind is None:
        raise TypeError(
            "model must be scikit-learn's own MLPClassifier or MLPRegressor, not a subclass; got "
            f"{type(model).__module__}.{type(model).__qualname__}"
        )
    own = kind(**copy.deepcopy(model.get_params()))
    _copy_attributes(model, own)
    if not hasattr(model, "coefs_"):
        return own
    if getattr(getattr(model, "_label_binarizer", None), "sparse_input_", False):
        own._sparse_labels = True
    own._network = _network_of(model)
    own._partially_fitted = model.n_iter_ == 1
    if hasattr(model, "_optimizer"):
        own._optimizer = _own_optimizer(model._optimizer, own._network.dtype)
    return own


def _copy_attributes(source, target):
    for name in ATTRIBUTES:
        if name in vars(source):
            setattr(target, name, copy.copy(vars(source)[name]))
    if "_metadata_request" in vars(source):
        target._metadata_request = _requests_of(source, target)


def _requests_of(source, target):
    """What the source asks of metadata routing, as far as the target's methods know of it."""
    requests = target._get_metadata_request()
    for method, of_target in vars(requests).items():
        known = getattr(of_target, "_requests", {})
        asked = getattr(getattr(source._metadata_request, method), "_requests", {})
        known.update({name: value for name, value in asked.items() if name in known})
    return requests


def _network_of(model):
    arrays = [*model.coefs_, *model.intercepts_]
    single = all(array.dtype == np.float32 for array in arrays)
    network = Network(
        [len(model.coefs_[0]), *map(len, model.intercepts_)],
        activation=model.activation,
        output_activation=model.out_activation_,
        loss=LOSSES[model.out_activation_],
        dtype="float32" if single else "float64",
    )
    network.parameters = _block_of(arrays, network.dtype)
    return network


def _own_optimizer(theirs, dtype):
    """SGD or Adam with the state of scikit-learn's."""
    if hasattr(theirs, "ms"):
        own = Adam(
            theirs.learning_rate_init,
            beta_1=theirs.beta_1,
            beta_2=theirs.beta_2,
            epsilon=theirs.epsilon,
        )
        moments = theirs.ms, theirs.vs
    else:
        own = SGD(theirs.learning_rate, momentum=theirs.momentum, nesterov=theirs.nesterov)
        moments = (theirs.velocities,) if theirs.momentum else ()
    n_steps = getattr(theirs, "t", 0)  # scikit-learn's SGD counts none
    own._remember(n_steps, [_block_of(arrays, dtype) for arrays in moments])
    return own


def _block_of(arrays, dtype):
    """All weights, then all biases, as one array in the order of `Network.parameters`."""
    n_layers = len(arrays) // 2
    pairs = zip(arrays[:n_layers], arrays[n_layers:], strict=True)
    return np.concatenate([np.ravel(array) for pair in pairs for array in pair]).astype(dtype)


# ---- from ours to theirs ----


def to_sklearn(model: MLPClassifier | MLPRegressor) -> Any:
    """What `to_sklearn` of the estimators returns."""
    kind = sklearn_classes().get(type(model))
    if kind is None:
        raise TypeError(
            f"scikit-learn has no {type(model).__qualname__}: only MLPClassifier and MLPRegressor "
            "themselves can be converted, not subclasses"
        )
    theirs = kind()
    given, known = model.get_params(), theirs.get_params()
    if "loss" in given and "loss" not in known and given["loss"] != "squared_error":
        raise ValueError(f"loss={given['loss']!r} needs scikit-learn 1.7 or later")
    if given["output_activation"] is not None:
        raise ValueError(
            f"scikit-learn has no output_activation: it must be None, and is "
            f"{given['output_activation']!r}"
        )
    theirs.set_params(**{name: copy.deepcopy(given[name]) for name in known})
    theirs._validate_params()  # a value may be known to us only
    _copy_attributes(model, theirs)
    if not hasattr(model, "_network"):
        return theirs
    # what it was fitted with, whatever has been set since
    for name in model._network.activation[:1]:
        theirs.activation = {"sigmoid": "logistic"}.get(name, name)
    arrays = _arrays_of(model._network.parameters.copy(), model._network.layer_sizes)
    n_layers = len(arrays) // 2
    theirs.coefs_, theirs.intercepts_ = arrays[:n_layers], arrays[n_layers:]
    # After early stopping these are the same lists in scikit-learn, too; else it ignores them.
    theirs._best_coefs, theirs._best_intercepts = theirs.coefs_, theirs.intercepts_
    theirs._random_state = check_random_state(theirs.random_state)
    if hasattr(model, "classes_"):
        theirs._label_binarizer = _label_binarizer(model)
    if type(getattr(model, "_optimizer", None)) in (SGD, Adam):
        theirs._optimizer = _sklearn_optimizer(model, arrays)
    return theirs


def _arrays_of(block, layer_sizes):
    """Views of a block in the order of `Network.parameters`: all weights, then all biases."""
    shapes = list(itertools.pairwise(layer_sizes))
    sizes = [size for n_in, n_out in shapes for size in (n_in * n_out, n_out)]
    parts = np.split(block, np.cumsum(sizes)[:-1])
    weights = [part.reshape(shape) for part, shape in zip(parts[::2], shapes, strict=True)]
    return weights + parts[1::2]


def _label_binarizer(model):
    from sklearn.preprocessing import LabelBinarizer

    if not model._is_multilabel():
        return LabelBinarizer().fit(model.classes_)
    binarizer = LabelBinarizer().fit(np.eye(model.n_outputs_, dtype=int))
    binarizer.sparse_input_ = hasattr(model, "_sparse_labels")
    return binarizer


def _sklearn_optimizer(model, arrays):
    """scikit-learn's optimizer with the state of the model's."""
    from sklearn.neural_network._stochastic_optimizers import AdamOptimizer, SGDOptimizer

    own, layer_sizes = model._optimizer, model._network.layer_sizes
    if isinstance(own, SGD):
        theirs = SGDOptimizer(
            arrays,
            model.learning_rate_init,
            model.learning_rate,
            own.momentum,
            own.nesterov,
            model.power_t,
        )
        theirs.learning_rate = own.learning_rate
        if own.velocity is not None:
            theirs.velocities = _arrays_of(own.velocity.copy(), layer_sizes)
        return theirs
    theirs = AdamOptimizer(arrays, own.learning_rate, own.beta_1, own.beta_2, own.epsilon)
    if own.n_steps:
        theirs.t = own.n_steps
        theirs.ms = _arrays_of(own.mean_gradients.copy(), layer_sizes)
        theirs.vs = _arrays_of(own.mean_squares.copy(), layer_sizes)
        # that of the last step, which is what scikit-learn keeps
        theirs.learning_rate *= np.sqrt(1 - own.beta_2**own.n_steps) / (1 - own.beta_1**own.n_steps)
    return theirs
