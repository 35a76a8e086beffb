"""What the regressor and the classifier share: from checked parameters to a trained network."""

import copy
import itertools
import warnings
from collections.abc import Callable
from numbers import Integral
from typing import ClassVar, NamedTuple

import numpy as np

from cbackprop import _checks as checks
from cbackprop.activations import HIDDEN, canonical
from cbackprop.estimators._base import contract
from cbackprop.estimators._early_stopping import Validation, split_rows
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
    as_finite_numbers,
    check_data,
    check_features,
    check_parameters,
    check_random_state,
    check_sample_weight,
)
from cbackprop.lbfgs import minimize_loss
from cbackprop.network import Network, loss_and_gradient_any_sign, restore, train_with_order
from cbackprop.optimizers import SGD, Adam
from cbackprop.training import Progress, TrainingState

SET_BY_SOME_FITS = (
    "feature_names_in_",
    "loss_curve_",
    "best_loss_",
    "validation_scores_",
    "best_validation_score_",
    "_no_improvement_count",
    "_optimizer",
)


STOPPED_BY_CALLBACK = 99  # SciPy's status


class Targets(NamedTuple):
    """y as the network takes it, and what y says about the network."""

    values: np.ndarray  # (n_samples,) or (n_samples, n_outputs)
    n_outputs: int
    output_activation: str
    loss: str
    loss_scale: float  # what a reported data loss is of the network's
    fitted_attributes: dict  # what the estimator remembers of y
    score: Callable  # of outputs, values and sample weights: the estimator's score
    strata: np.ndarray | None = None  # class numbers whose shares a validation split keeps


class SharedArrays(list):
    """Views of the network's memory: assigning to an item copies the values there.

    In a plain list, `coefs_[0] = W` would leave the network, and so the predictions, as they were.
    """

    def __setitem__(self, index, values):
        self[index][...] = values


def rows_of(rows, X, values, sample_weight):
    """These rows of each, copied."""
    return X[rows], values[rows], None if sample_weight is None else sample_weight[rows]


class _BaseMLP(contract.BaseEstimator):
    """A multilayer perceptron; the subclasses say what y means and what a prediction is."""

    _targets_are_numbers: ClassVar[bool]
    _constraints: ClassVar[dict] = {
        "hidden_layer_sizes": (LayerSizes(),),
        "activation": (OneOf(("identity", "logistic", "tanh", "relu")),),
        "solver": (OneOf(("lbfgs", "sgd", "adam")),),
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
    }

    def _store_parameters(self, arguments):
        """Keep the constructor's `locals()` as they came; `fit` is where they are checked."""
        for name, value in arguments.items():
            if name not in ("self", "__class__"):
                setattr(self, name, value)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def __sklearn_is_fitted__(self):
        return "n_features_in_" in vars(self)

    def _check_is_fitted(self):
        if not self.__sklearn_is_fitted__():
            raise contract.NotFittedError(
                f"This {type(self).__name__} instance is not fitted yet. Call 'fit' with "
                "appropriate arguments before using this estimator."
            )

    def _encode_targets(self, y, classes, complete=False):
        """Targets of y, an array of shape (n_samples,) or (n_samples, more than one).

        `classes` are those that are known before, or None; a regressor has none. `complete`: y
        must have all of them.
        """
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

    def fit(self, X, y, sample_weight=None, *, validation_data=None):
        """Train a new network on X and y; with `warm_start` train the fitted one further.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            float32 is trained in float32, everything else in float64.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Numbers for a regressor. For a classifier one label a sample, or for each of several
            labels 0 or 1 (multilabel).
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each sample in the loss; None weighs all alike.
        validation_data : (X, y) or (X, y, sample_weight), default=None
            What `early_stopping` scores epochs on; all of X is then trained on, where else some of
            its rows are held back. Not for 'lbfgs'.

        Returns
        -------
        self : object
            After Ctrl-C, an exception in `callback`, or if the loss became infinite or NaN (a
            `ValueError`), with the parameters of the last finished epoch. Bad arguments leave the
            estimator as it was.
        """
        check_parameters(self)
        return self._fit(X, y, sample_weight, validation_data=validation_data)

    def _fit(self, X, y, sample_weight, *, incremental=False, classes=None, validation_data=None):
        if incremental and self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        going_on = self.__sklearn_is_fitted__() and (incremental or self.warm_start)
        # bad arguments must leave the estimator as it was
        seen = type(self).__new__(type(self))
        vars(seen).update(vars(self))
        X, y = check_data(seen, X, y, going_on)
        if going_on and classes is None:
            classes = getattr(self, "classes_", None)
        targets = self._encode_targets(y, classes, complete=self.warm_start)
        if hasattr(seen, "feature_names_in_"):
            targets.fitted_attributes["feature_names_in_"] = seen.feature_names_in_
        if validation_data is not None:
            validation_data = self._encode_validation_data(validation_data, seen, targets)
        random_state = check_random_state(self.random_state)
        if going_on:
            network = self._network_to_go_on(targets)
        else:
            network = self._make_network(X, targets, random_state)
        sample_weight = check_sample_weight(sample_weight, X, network.dtype)
        if self.solver == "lbfgs":
            self._fit_lbfgs(network, X, targets, sample_weight, going_on)
        else:
            self._fit_stochastic(
                network,
                X,
                targets,
                sample_weight,
                validation_data,
                random_state,
                going_on,
                incremental,
            )
        return self

    def _encode_validation_data(self, data, seen, targets):
        """(X, values, sample_weight) for a network that is trained on `targets`.

        `seen`: an estimator that has seen the columns of the data to train on.
        """
        if not self.early_stopping or self.solver == "lbfgs":
            raise ValueError(
                "validation_data is for early_stopping=True with the solvers 'sgd' and 'adam'"
            )
        if not isinstance(data, (tuple, list)) or len(data) not in (2, 3):
            raise ValueError(
                f"validation_data must be (X, y) or (X, y, sample_weight), got {data!r:.100}"
            )
        X, y, sample_weight = (*data, None)[:3]
        try:
            X, y = check_data(seen, X, y, going_on=True)
            if X.shape[0] < 2:
                raise ValueError("it has one sample; a score needs two")
            if isinstance(X, np.ndarray):
                as_finite_numbers(X, "X")
            found = self._encode_targets(y, targets.fitted_attributes.get("classes_"))
            if found.n_outputs != targets.n_outputs:
                raise ValueError(f"y has {found.n_outputs} outputs instead of {targets.n_outputs}")
            as_finite_numbers(found.values, "y")
            return X, found.values, check_sample_weight(sample_weight, X, np.float64)
        except ValueError as error:
            raise ValueError(f"validation_data: {error}") from error

    def _layer_sizes(self, n_features, n_outputs):
        hidden = self.hidden_layer_sizes
        hidden = (hidden,) if isinstance(hidden, Integral) else hidden
        return (n_features, *(int(size) for size in hidden), n_outputs)

    def _make_network(self, X, targets, random_state):
        """A network with scikit-learn's initial weights for X and y."""
        return Network(
            self._layer_sizes(X.shape[1], targets.n_outputs),
            activation=self.activation,
            output_activation=targets.output_activation,
            loss=targets.loss,
            dtype=self._precision(X),
            random_state=random_state,
        )

    def _precision(self, X):
        if self.dtype is not None:
            return self.dtype
        return np.float32 if X.dtype.newbyteorder("=") == np.float32 else np.float64

    def _network_to_go_on(self, targets):
        """The fitted network; with another activation or loss a new one that has its parameters.

        Other sizes of as many hidden layers change nothing, as in scikit-learn; 'lbfgs' refuses
        them, as there.
        """
        network = self._network
        sizes = self._layer_sizes(self.n_features_in_, targets.n_outputs)
        fits = len(sizes) == len(network.layer_sizes) and sizes[-1] == network.layer_sizes[-1]
        if not fits or (self.solver == "lbfgs" and sizes != network.layer_sizes):
            raise ValueError(
                "the fitted model cannot be trained further: its layer sizes are "
                f"{network.layer_sizes}, while the parameters and y ask for {sizes}"
            )
        activation = (canonical(self.activation, HIDDEN, "activation"),) * (len(sizes) - 2)
        needed = activation, targets.output_activation, targets.loss
        if needed == (network.activation, self.out_activation_, network.loss):
            return network
        again = Network(network.layer_sizes, *needed, dtype=network.dtype, random_state=0)
        again.parameters = network.parameters
        return again

    def _make_optimizer(self):
        if self.solver == "sgd":
            return SGD(
                float(self.learning_rate_init),
                momentum=float(self.momentum),
                nesterov=self.nesterovs_momentum,
            )
        return Adam(
            float(self.learning_rate_init),
            beta_1=float(self.beta_1),
            beta_2=float(self.beta_2),
            epsilon=float(self.epsilon),
        )

    def _effective_batch_size(self, n_samples):
        if self.batch_size == "auto":
            return min(200, n_samples)
        if self.batch_size > n_samples:
            warnings.warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going to be "
                "clipped",
                stacklevel=5,
            )
        return int(self.batch_size)  # which the engine clips

    def _largest_n_bad_epochs(self):
        endless = self.n_iter_no_change == np.inf
        return np.inf if endless else int(self.n_iter_no_change)

    def _fit_stochastic(
        self,
        network,
        X,
        targets,
        sample_weight,
        validation_data,
        random_state,
        going_on,
        incremental,
    ):
        """Run the epochs."""
        values, validation = targets.values, None
        if self.early_stopping:
            if validation_data is None:
                train, held_back = split_rows(
                    X.shape[0], self.validation_fraction, random_state, targets.strata
                )
                if isinstance(X, np.ndarray):
                    X = as_finite_numbers(X, "X", network.dtype)
                as_finite_numbers(values, "y", network.dtype)
                validation_data = rows_of(held_back, X, values, sample_weight)
                X, values, sample_weight = rows_of(train, X, values, sample_weight)
            validation = self._make_validation(*validation_data, targets.score, going_on)
        progress = self._progress(going_on)
        n_samples = X.shape[0]
        optimizer = (incremental and getattr(self, "_optimizer", None)) or self._make_optimizer()
        sgd = self.solver == "sgd"
        adaptive = sgd and self.learning_rate == "adaptive"
        n_before = len(progress.losses)
        interrupted = False
        try:
            train_with_order(
                network,
                X,
                values,
                optimizer=optimizer,
                batch_size=self._effective_batch_size(n_samples),
                n_epochs=1 if incremental else int(self.max_iter),
                # Permuted on from epoch to epoch, as scikit-learn does.
                order=np.arange(n_samples, dtype=np.intp) if self.shuffle else None,
                shuffle=self.shuffle,
                random_state=random_state,
                sample_weight=sample_weight,
                any_sign=True,
                alpha=float(self.alpha),
                loss_scale=targets.loss_scale,
                # scikit-learn keeps probabilities that far from 0
                loss_limit=-np.log(np.finfo(network.dtype).eps),
                tol=None if validation else float(self.tol),
                n_iter_no_change=self._largest_n_bad_epochs(),
                callback=self._make_callback(optimizer, validation, adaptive),
                progress=progress,
                n_threads=self.n_threads,
                adaptive=adaptive,
                inverse_scaling=(self.learning_rate_init, self.power_t)
                if sgd and self.learning_rate == "invscaling"
                else None,
            )
        except KeyboardInterrupt:
            interrupted = True
        except Exception:
            # it diverged, or the callback failed; before the first epoch's end it is an argument
            # that is bad
            if len(progress.losses) > n_before:
                self._set_stochastic(network, targets, progress, n_before, validation, optimizer)
            raise
        if validation and validation.best_parameters is not None:
            network.parameters = validation.best_parameters
        self._set_stochastic(network, targets, progress, n_before, validation, optimizer)
        self._partially_fitted = incremental
        if interrupted:
            warnings.warn("Training interrupted by user.", stacklevel=4)
        else:
            self._report_end(incremental)

    def _make_validation(self, X, values, sample_weight, score, going_on):
        sample_weight = checks.as_weights(sample_weight, X.dtype, X.shape[0], any_sign=True)

        def score_network(network):
            return score(network.predict(X, n_threads=self.n_threads), values, sample_weight)

        if going_on and getattr(self, "validation_scores_", None) is not None:
            past = self.validation_scores_, self.best_validation_score_, self._no_improvement_count
        else:
            past = [], -np.inf, 0
        return Validation(score_network, self.tol, *past)

    def _progress(self, going_on):
        if not going_on or not hasattr(self, "loss_curve_"):
            return Progress(n_seen=self.t_ if going_on else 0)
        best_loss = np.inf if self.best_loss_ is None else self.best_loss_
        return Progress(self.loss_curve_, best_loss, self._no_improvement_count, self.t_)

    def _make_callback(self, optimizer, validation, adaptive):
        """What is to be done between epochs, or None."""
        if not self.verbose and validation is None and self.callback is None:
            return None
        rate = optimizer.learning_rate

        def finish_epoch(state):
            nonlocal rate
            stop = False
            if self.verbose:
                print(f"Iteration {state.epoch}, loss = {state.loss:.8f}")
            if validation is not None:
                state.validation_score = validation.finish_epoch(state.network)
                if self.verbose:
                    print(f"Validation score: {state.validation_score:f}")
                if validation.n_bad_epochs > self.n_iter_no_change:
                    stop = not adaptive or rate <= 1e-6
                    if not stop:
                        optimizer.learning_rate /= 5
                        validation.n_bad_epochs = 0
            if adaptive and optimizer.learning_rate != rate:
                rate = optimizer.learning_rate
                if self.verbose:
                    print(f"{self._no_improvement()} Setting learning rate to {rate:f}")
            return (self.callback is not None and self.callback(state)) or stop

        return finish_epoch

    def _no_improvement(self):
        what = "Validation score" if self.early_stopping else "Training loss"
        return (
            f"{what} did not improve more than tol={self.tol:f} for {self.n_iter_no_change} "
            "consecutive epochs."
        )

    def _report_end(self, incremental):
        """Say why training ended: in a printed line or, at `max_iter`, in a warning."""
        if self._no_improvement_count > self.n_iter_no_change:
            if self.verbose:
                adaptive = self.solver == "sgd" and self.learning_rate == "adaptive"
                small = " Learning rate too small." if adaptive else ""
                print(f"{self._no_improvement()}{small} Stopping.")
        elif not incremental and self.n_iter_ == self.max_iter:
            warnings.warn(
                f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached and the "
                "optimization hasn't converged yet.",
                contract.ConvergenceWarning,
                stacklevel=5,
            )

    def _set_stochastic(self, network, targets, progress, n_before, validation, optimizer):
        losses = progress.losses
        self._set_fitted(
            network,
            targets,
            n_iter_=len(losses) - n_before,
            t_=progress.n_seen,
            loss_curve_=losses,
            loss_=losses[-1] if losses else np.inf,  # Ctrl-C in the first epoch
            best_loss_=None if validation else progress.best_loss,
            validation_scores_=validation and validation.scores,
            best_validation_score_=validation and validation.best_score,
            _no_improvement_count=(validation or progress).n_bad_epochs,
            _optimizer=optimizer,
        )

    def _fit_lbfgs(self, network, X, targets, sample_weight, going_on):
        trial, iterations = copy.deepcopy(network), itertools.count(1)

        def finish_iteration(parameters, loss):
            trial.parameters = parameters
            return self.callback(TrainingState(next(iterations), loss, trial))

        def evaluate(network):
            return loss_and_gradient_any_sign(
                network, X, targets.values, sample_weight, self.n_threads
            )

        total = X.shape[0] if sample_weight is None else np.sum(sample_weight)
        result = minimize_loss(
            network,
            evaluate,
            penalty=self.alpha / total,
            max_iter=self.max_iter,
            finish_iteration=finish_iteration if self.callback else None,
            maxfun=self.max_fun,
            gtol=self.tol,
        )
        network.parameters = result.x
        self._set_fitted(
            network,
            targets,
            n_iter_=min(result.nit, self.max_iter),
            t_=self.t_ if going_on else 0,
            loss_=float(result.fun),
        )
        if result.status not in (0, STOPPED_BY_CALLBACK):
            warnings.warn(
                f"lbfgs failed to converge after {self.n_iter_} iteration(s) "
                f"(status={result.status}):\n{result.message}\n\nMore iterations "
                f"(max_iter={self.max_iter}) or scaled data may help.",
                contract.ConvergenceWarning,
                stacklevel=4,
            )

    def _set_fitted(self, network, targets, **attributes):
        for name in SET_BY_SOME_FITS:
            vars(self).pop(name, None)
        self._network = network
        self.n_features_in_ = network.layer_sizes[0]
        self.n_layers_ = len(network.layer_sizes)
        self.n_outputs_ = targets.n_outputs
        self.out_activation_ = targets.output_activation
        for name, value in (targets.fitted_attributes | attributes).items():
            setattr(self, name, value)

    def _predict_outputs(self, X):
        """The network's outputs, shape (n_samples, n_outputs)."""
        self._check_is_fitted()
        return self._network.predict(check_features(self, X), n_threads=self.n_threads)

    # ---- copies ----

    def to_sklearn(self):
        """scikit-learn's estimator with the parameters and, if this one is fitted, its state.

        Returns
        -------
        estimator : sklearn.neural_network.MLPClassifier or MLPRegressor
            With the same weights to the last bit, and so the same predictions within rounding;
            its `partial_fit` and warm starts go on where this one's would, moments included. It
            shares no memory with this one; a `RandomState` is copied as it is. Parameters that
            scikit-learn does not have are left out.

        Raises
        ------
        ImportError
            If scikit-learn is not installed.
        TypeError
            For a subclass, of which scikit-learn knows nothing.
        ValueError
            If scikit-learn, or the version that is installed, cannot compute this model.
        """
        from cbackprop.interop import scikit_learn

        return scikit_learn.to_sklearn(self)

    def __getstate__(self):
        """Without the optimizer, unless the last training was a `partial_fit`, which goes on.

        The network and the optimizer are tuples of plain values, which skops can keep, too.
        """
        state = vars(self).copy()
        optimizer = state.pop("_optimizer", None)
        if "_network" in state:
            state["_network"] = state["_network"].__reduce__()[1][1:]
        if state.get("_partially_fitted"):
            kind, *values = optimizer.__reduce__()
            state["_optimizer"] = kind.__name__, *values
        return state

    def __setstate__(self, state):
        state = dict(state)
        if "_network" in state:
            state["_network"] = restore(Network, *state["_network"])
        if "_optimizer" in state:
            kind, values, remembered = state["_optimizer"]
            optimizer = state["_optimizer"] = {"SGD": SGD, "Adam": Adam}[kind](*values)
            optimizer.__setstate__(remembered)
        vars(self).update(state)

    def __deepcopy__(self, memo):
        again = memo[id(self)] = type(self).__new__(type(self))
        vars(again).update(copy.deepcopy(vars(self), memo))
        return again
