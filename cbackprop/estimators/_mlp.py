"""What the regressor and the classifier share: from checked parameters to a trained network."""

import warnings
from numbers import Integral, Real
from typing import ClassVar, NamedTuple

import numpy as np

from cbackprop.estimators._base import Estimator
from cbackprop.estimators._validation import (
    BOOLEAN,
    POSITIVE_INT,
    RANDOM_STATE,
    Infinity,
    Interval,
    LayerSizes,
    OneOf,
    check_features,
    check_parameters,
    check_random_state,
    check_targets,
)
from cbackprop.network import Network, train_with_order
from cbackprop.optimizers import SGD, Adam


class ConvergenceWarning(UserWarning):
    """Training ended at `max_iter` while the loss was still improving."""


class Targets(NamedTuple):
    """y as the network takes it, and what y says about the network."""

    values: np.ndarray  # (n_samples,) or (n_samples, n_outputs)
    n_outputs: int
    output_activation: str
    loss: str
    loss_scale: float  # what a reported data loss is of the network's
    fitted_attributes: dict  # what the estimator remembers of y


class SharedArrays(list):
    """Views of the network's memory: assigning to an item copies the values there.

    In a plain list, `coefs_[0] = W` would leave the network, and so the predictions, as they were.
    """

    def __setitem__(self, index, values):
        self[index][...] = values


def epochs_without_improvement(losses, tol):
    """How many epochs in a row, up to the last, did not lower the best loss by at least tol."""
    losses = np.asarray(losses)
    best_before = np.minimum.accumulate(np.concatenate(([np.inf], losses[:-1])))
    improving = np.flatnonzero(losses <= best_before - tol)  # the first epoch always is
    return len(losses) - 1 - improving[-1]


class _BaseMLP(Estimator):
    """A multilayer perceptron; the subclasses say what y means and what a prediction is."""

    _parameter_constraints: ClassVar[dict] = {
        "hidden_layer_sizes": (POSITIVE_INT, LayerSizes()),
        "activation": (OneOf(("identity", "logistic", "tanh", "relu")),),
        "solver": (OneOf(("adam", "sgd")),),
        "alpha": (Interval(Real, 0, np.inf, "[)"),),
        "batch_size": (OneOf(("auto",)), POSITIVE_INT),
        "learning_rate_init": (Interval(Real, 0, np.inf, "()"),),
        "max_iter": (POSITIVE_INT,),
        "shuffle": (BOOLEAN,),
        "random_state": RANDOM_STATE,
        "tol": (Interval(Real, 0, np.inf, "[)"),),
        "verbose": (BOOLEAN, Interval(Integral, 0, np.inf, "[)")),
        "momentum": (Interval(Real, 0, 1, "[]"),),
        "nesterovs_momentum": (BOOLEAN,),
        "beta_1": (Interval(Real, 0, 1, "[)"),),
        "beta_2": (Interval(Real, 0, 1, "[)"),),
        "epsilon": (Interval(Real, 0, np.inf, "()"),),
        "n_iter_no_change": (POSITIVE_INT, Infinity()),
    }

    def _encode_targets(self, y):
        """Targets of y, an array of shape (n_samples,) or (n_samples, more than one)."""
        raise NotImplementedError

    @property
    def coefs_(self):
        """Weights of each layer, shape (n_in, n_out), in the network's own memory."""
        self._check_is_fitted()
        return SharedArrays(self._network.weights)

    @coefs_.setter
    def coefs_(self, arrays):
        self._assign(self.coefs_, arrays, "coefs_")

    @property
    def intercepts_(self):
        """Biases of each layer, shape (n_out,), in the network's own memory."""
        self._check_is_fitted()
        return SharedArrays(self._network.biases)

    @intercepts_.setter
    def intercepts_(self, arrays):
        self._assign(self.intercepts_, arrays, "intercepts_")

    @staticmethod
    def _assign(views, arrays, name):
        shapes = [np.shape(array) for array in arrays]
        if shapes != [view.shape for view in views]:
            raise ValueError(
                f"{name} must have the shapes {[view.shape for view in views]}; got {shapes}"
            )
        for view, array in zip(views, arrays, strict=True):
            view[...] = array

    def fit(self, X, y, sample_weight=None):
        """Train a new network on X and y.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            float32 is trained in float32, everything else in float64.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Numbers for a regressor, one label a sample for a classifier.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each sample in the loss; None weighs all alike.

        Returns
        -------
        self : object
            After Ctrl-C, or if the loss became infinite or NaN (a `ValueError`), with the
            parameters of the last finished epoch. Bad arguments leave the estimator as it was.
        """
        check_parameters(self, self._parameter_constraints)
        X = check_features(X, type(self).__name__)
        y = check_targets(y, len(X))
        if y.ndim == 2 and y.shape[1] == 1:
            warnings.warn(
                "A column-vector y was passed when a 1d array was expected. Please change the "
                "shape of y to (n_samples,), for example using ravel().",
                stacklevel=2,
            )
            y = y[:, 0]
        targets = self._encode_targets(y)
        random_state = check_random_state(self.random_state)
        network = self._make_network(X, targets, random_state)

        losses = []  # filled as epochs finish, so that they are known whatever ends the training
        interrupted = False
        try:
            self._train(network, X, targets, sample_weight, random_state, losses)
        except KeyboardInterrupt:
            interrupted = True
        except ValueError:
            if losses:  # it diverged; before the first epoch's end it is an argument that is bad
                self._set_fitted(network, targets, len(X), losses)
            raise
        self._set_fitted(network, targets, len(X), losses)
        if interrupted:
            warnings.warn("Training interrupted by user.", stacklevel=2)
        else:
            self._report_end()
        return self

    def _make_network(self, X, targets, random_state):
        """A network with scikit-learn's initial weights for X and y."""
        hidden = self.hidden_layer_sizes
        hidden = [int(size) for size in ((hidden,) if isinstance(hidden, Integral) else hidden)]
        return Network(
            (X.shape[1], *hidden, targets.n_outputs),
            activation=self.activation,
            output_activation=targets.output_activation,
            loss=targets.loss,
            dtype=np.float32 if X.dtype.newbyteorder("=") == np.float32 else np.float64,
            random_state=random_state,
        )

    def _make_optimizer(self):
        if self.solver == "sgd":
            return SGD(
                self.learning_rate_init, momentum=self.momentum, nesterov=self.nesterovs_momentum
            )
        return Adam(
            self.learning_rate_init, beta_1=self.beta_1, beta_2=self.beta_2, epsilon=self.epsilon
        )

    def _effective_batch_size(self, n_samples):
        if self.batch_size == "auto":
            return min(200, n_samples)
        if self.batch_size > n_samples:
            warnings.warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going to be "
                "clipped",
                stacklevel=4,
            )
        return self.batch_size  # which the engine clips

    def _train(self, network, X, targets, sample_weight, random_state, losses):
        """Run the epochs; the loss of each is appended to `losses` as it finishes."""

        def print_loss(state):
            print(f"Iteration {state.epoch}, loss = {state.loss:.8f}")

        train_with_order(
            network,
            X,
            targets.values,
            optimizer=self._make_optimizer(),
            batch_size=self._effective_batch_size(len(X)),
            n_epochs=self.max_iter,
            # Permuted on from epoch to epoch, as scikit-learn does.
            order=np.arange(len(X), dtype=np.intp) if self.shuffle else None,
            shuffle=self.shuffle,
            random_state=random_state,
            sample_weight=sample_weight,
            alpha=self.alpha,
            loss_scale=targets.loss_scale,
            # scikit-learn keeps probabilities that far from 0
            loss_limit=-np.log(np.finfo(network.dtype).eps),
            tol=self.tol,
            n_iter_no_change=self.n_iter_no_change,
            callback=print_loss if self.verbose else None,
            losses=losses,
        )

    def _report_end(self):
        """Say why training ended: in a printed line or, at `max_iter`, in a warning."""
        if epochs_without_improvement(self.loss_curve_, self.tol) > self.n_iter_no_change:
            if self.verbose:
                print(
                    f"Training loss did not improve more than tol={self.tol:f} for "
                    f"{self.n_iter_no_change} consecutive epochs. Stopping."
                )
        else:
            warnings.warn(
                f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached and the "
                "optimization hasn't converged yet.",
                ConvergenceWarning,
                stacklevel=3,
            )

    def _set_fitted(self, network, targets, n_samples, losses):
        self._network = network
        self.n_features_in_ = network.layer_sizes[0]
        self.n_layers_ = len(network.layer_sizes)
        self.n_outputs_ = targets.n_outputs
        self.out_activation_ = targets.output_activation
        self.n_iter_ = len(losses)
        self.t_ = len(losses) * n_samples
        self.loss_curve_ = losses
        self.loss_ = losses[-1] if losses else np.inf  # Ctrl-C in the first epoch
        self.best_loss_ = min(losses, default=np.inf)
        for name, value in targets.fitted_attributes.items():
            setattr(self, name, value)

    def _predict_outputs(self, X):
        """The network's outputs, shape (n_samples, n_outputs)."""
        self._check_is_fitted()
        return self._network.predict(
            check_features(X, type(self).__name__, n_features=self.n_features_in_)
        )
