"""What the regressor and the classifier share: from checked parameters to a trained network."""

import copy
import warnings
from collections.abc import Callable
from typing import ClassVar, NamedTuple

import numpy as np

from cbackprop import _checks as checks
from cbackprop.estimators._base import contract
from cbackprop.estimators._early_stopping import Validation, split_rows
from cbackprop.estimators._parameters import (
    CONSTRAINTS,
    batch_size_for,
    check_solver,
    hidden_activations_of,
    layer_sizes_of,
    output_activation_of,
    precision_for,
)
from cbackprop.estimators._solvers import (
    OF_LEAST_SQUARES,
    Trainer,
    as_plain,
    from_plain,
    is_for_whole_sets,
    is_sklearns,
    kind_of,
    next_trainer,
)
from cbackprop.estimators._validation import (
    as_finite_numbers,
    check_data,
    check_features,
    check_parameters,
    check_random_state,
    check_sample_weight,
)
from cbackprop.lbfgs import LBFGS
from cbackprop.levenberg_marquardt import BayesianRegularization
from cbackprop.network import Network, restore, train_with_order
from cbackprop.training import Progress

SET_BY_SOME_FITS = (
    "feature_names_in_",
    "loss_curve_",
    "best_loss_",
    "validation_scores_",
    "best_validation_score_",
    "validation_loss_curve_",
    "_no_improvement_count",
    "_optimizer",
    "_sparse_labels",
)


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
    _constraints: ClassVar[dict] = CONSTRAINTS

    def _store_parameters(self, arguments):
        """Keep the constructor's `locals()` as they came; `fit` is where they are checked."""
        for name, value in arguments.items():
            if name not in ("self", "__class__"):
                setattr(self, name, value)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = kind_of(self.solver) not in OF_LEAST_SQUARES
        return tags

    def __sklearn_is_fitted__(self):
        return "n_features_in_" in vars(self)

    def _check_is_fitted(self):
        if not self.__sklearn_is_fitted__():
            raise contract.NotFittedError(
                f"This {type(self).__name__} instance is not fitted yet. Call 'fit' with "
                "appropriate arguments before using this estimator."
            )

    def _encode_targets(self, y, classes, *, complete=False, going_on=False):
        """Targets of y, an array of shape (n_samples,) or (n_samples, more than one).

        `classes` are those that are known before, or None; a regressor has none. `complete`: y
        must have all of them. `going_on`: the network is the fitted one, with its outputs.
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
            float32 is trained in float32, everything else in float64 (see `dtype`).
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Numbers for a regressor. For a classifier one label a sample, or for each of several
            labels 0 or 1 (multilabel).
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each sample in the loss; None weighs all alike.
        validation_data : (X, y) or (X, y, sample_weight), default=None
            What is not trained on, but whose loss is taken after each epoch. With `early_stopping`
            epochs are scored on it, and all of X is trained on, where else some of its rows are
            held back. Not for 'lbfgs'.

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
        sparse_labels = hasattr(self, "_sparse_labels") if going_on else hasattr(y, "toarray")
        X, y = check_data(seen, X, y, going_on)
        if going_on and classes is None:
            classes = getattr(self, "classes_", None)
        targets = self._encode_targets(y, classes, complete=self.warm_start, going_on=going_on)
        chosen = output_activation_of(self, targets.output_activation, targets.loss)
        targets = targets._replace(output_activation=chosen)
        check_solver(self, targets.loss)
        if hasattr(seen, "feature_names_in_"):
            targets.fitted_attributes["feature_names_in_"] = seen.feature_names_in_
        if sparse_labels:
            targets.fitted_attributes["_sparse_labels"] = True
        if validation_data is not None:
            validation_data = self._encode_validation_data(
                validation_data, seen, targets, X, going_on
            )
        random_state = check_random_state(self.random_state)
        if going_on:
            network = self._network_to_go_on(targets)
        else:
            network = self._make_network(X, targets, random_state)
        sample_weight = check_sample_weight(sample_weight, X, network.dtype)
        if self.solver == "lbfgs":
            self._fit_lbfgs(network, X, targets, sample_weight, going_on)
        else:
            self._fit_by_epochs(
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

    def _encode_validation_data(self, data, seen, targets, X_train, going_on):
        """(X, values, sample_weight) for a network that is trained on X_train and `targets`.

        `seen`: an estimator that has seen the columns of the data to train on.
        """
        if self.solver == "lbfgs":
            raise ValueError("validation_data is not for solver='lbfgs', but for solver=LBFGS()")
        if not isinstance(data, (tuple, list)) or len(data) not in (2, 3):
            raise ValueError(
                f"validation_data must be (X, y) or (X, y, sample_weight), got {data!r:.100}"
            )
        X, y, sample_weight = (*data, None)[:3]
        try:
            X, y = check_data(seen, X, y, going_on=True)
            if self.early_stopping and X.shape[0] < 2:
                raise ValueError("it has one sample; a score needs two")
            if isinstance(X, np.ndarray):
                as_finite_numbers(X, "X")
                X = X if isinstance(X_train, np.ndarray) else type(X_train)(X)
            elif isinstance(X_train, np.ndarray):
                X = X.toarray()
            classes = targets.fitted_attributes.get("classes_")
            found = self._encode_targets(y, classes, going_on=going_on)
            if found.n_outputs != targets.n_outputs:
                raise ValueError(f"y has {found.n_outputs} outputs instead of {targets.n_outputs}")
            if found.loss != targets.loss:
                kind = "one class" if targets.loss == "log_loss" else "several labels"
                raise ValueError(f"y must have {kind} a row, as the data to train on")
            as_finite_numbers(found.values, "y")
            return X, found.values, check_sample_weight(sample_weight, X, np.float64)
        except ValueError as error:
            raise ValueError(f"validation_data: {error}") from error

    def _make_network(self, X, targets, random_state):
        """A network with scikit-learn's initial weights for X and y."""
        return Network(
            layer_sizes_of(self, X.shape[1], targets.n_outputs),
            activation=self.activation,
            output_activation=targets.output_activation,
            loss=targets.loss,
            dtype=precision_for(self, X),
            random_state=random_state,
        )

    def _network_to_go_on(self, targets):
        """The fitted network; with another activation or loss a new one that has its parameters.

        Other sizes of as many hidden layers change nothing, as in scikit-learn; 'lbfgs' refuses
        them, as there.
        """
        network = self._network
        sizes = layer_sizes_of(self, self.n_features_in_, targets.n_outputs)
        fits = len(sizes) == len(network.layer_sizes) and sizes[-1] == network.layer_sizes[-1]
        if not fits or (self.solver == "lbfgs" and sizes != network.layer_sizes):
            raise ValueError(
                "the fitted model cannot be trained further: its layer sizes are "
                f"{network.layer_sizes}, while the parameters and y ask for {sizes}"
            )
        hidden_activations = hidden_activations_of(self, len(sizes) - 2)
        needed = hidden_activations, targets.output_activation, targets.loss
        if needed == (network.activation, self.out_activation_, network.loss):
            return network
        again = Network(network.layer_sizes, *needed, dtype=network.dtype, random_state=0)
        again.parameters = network.parameters
        return again

    def _largest_n_bad_epochs(self):
        endless = self.n_iter_no_change == np.inf
        return np.inf if endless else int(self.n_iter_no_change)

    def _fit_by_epochs(
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
        values, validation, scored = targets.values, None, validation_data
        if self.early_stopping:
            if scored is None:
                train, held_back = split_rows(
                    X.shape[0], self.validation_fraction, random_state, targets.strata
                )
                if isinstance(X, np.ndarray):
                    X = as_finite_numbers(X, "X", network.dtype)
                as_finite_numbers(values, "y", network.dtype)
                scored = rows_of(held_back, X, values, sample_weight)
                X, values, sample_weight = rows_of(train, X, values, sample_weight)
            validation = self._make_validation(*scored, targets.score, going_on)
        progress = self._progress(going_on, validation_data is not None)
        n_samples = X.shape[0]
        optimizer = next_trainer(self, going_on, incremental)
        like_sklearn = not is_for_whole_sets(optimizer)
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
                batch_size=batch_size_for(self, n_samples, optimizer),
                n_epochs=1 if incremental else int(self.max_iter),
                # Permuted on from epoch to epoch, as scikit-learn does.
                order=np.arange(n_samples, dtype=np.intp) if self.shuffle else None,
                shuffle=self.shuffle,
                random_state=random_state,
                sample_weight=sample_weight,
                any_sign=not optimizer.whole_set,
                # which one trainer finds by itself
                alpha=0.0 if isinstance(optimizer, BayesianRegularization) else float(self.alpha),
                # trainers of whole sets compare losses, which must be those of their gradients
                loss_scale=targets.loss_scale if like_sklearn else 1.0,
                # scikit-learn keeps probabilities that far from 0
                loss_limit=-np.log(np.finfo(network.dtype).eps) if like_sklearn else np.inf,
                validation_data=validation_data,
                by_validation=False,
                target_loss=None if self.target_loss is None else float(self.target_loss),
                max_time=None if self.max_time is None else float(self.max_time),
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
                self._keep_epochs(network, targets, progress, n_before, validation, optimizer)
            raise
        if validation and validation.best_parameters is not None:
            network.parameters = validation.best_parameters
        self._keep_epochs(network, targets, progress, n_before, validation, optimizer)
        self._partially_fitted = incremental
        if interrupted:
            warnings.warn("Training interrupted by user.", stacklevel=4)
        else:
            self._report_end(incremental)

    def _make_validation(self, X, values, sample_weight, score, going_on):
        if sample_weight is not None and not sample_weight.any():
            raise ValueError(
                "sample_weight is zero for every row held back for validation: it has no score"
            )
        sample_weight = checks.as_weights(sample_weight, X.dtype, X.shape[0], any_sign=True)

        def score_network(network):
            return score(network.predict(X, n_threads=self.n_threads), values, sample_weight)

        if going_on and getattr(self, "validation_scores_", None) is not None:
            past = self.validation_scores_, self.best_validation_score_, self._no_improvement_count
        else:
            past = [], -np.inf, 0
        return Validation(score_network, self.tol, *past)

    def _progress(self, going_on, validated):
        if not going_on or not hasattr(self, "loss_curve_"):
            return Progress(n_seen=self.t_ if going_on else 0)
        best_loss = np.inf if self.best_loss_ is None else self.best_loss_
        past = validated and getattr(self, "validation_loss_curve_", None)
        return Progress(
            self.loss_curve_, best_loss, self._no_improvement_count, self.t_, past or ()
        )

    def _make_callback(self, optimizer, validation, adaptive):
        """What is to be done between epochs, or None."""
        if not self.verbose and validation is None and self.callback is None:
            return None
        rate = optimizer.learning_rate if adaptive else None

        def finish_epoch(state):
            nonlocal rate
            stop = False
            if self.verbose:
                print(f"Iteration {state.epoch}, loss = {state.loss:.8f}")
                if state.validation_loss is not None:
                    print(f"Validation loss: {state.validation_loss:f}")
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

    def _has_reached_target(self):
        return self.target_loss is not None and self.loss_ <= self.target_loss

    def _report_end(self, incremental):
        """Say why training ended: in a printed line or, at `max_iter`, in a warning."""
        if self._no_improvement_count > self.n_iter_no_change:
            if self.verbose:
                adaptive = self.solver == "sgd" and self.learning_rate == "adaptive"
                small = " Learning rate too small." if adaptive else ""
                print(f"{self._no_improvement()}{small} Stopping.")
        elif self.n_iter_ == self.max_iter and not (incremental or self._has_reached_target()):
            own = not is_sklearns(self.solver)
            what = type(self._optimizer).__name__ if own else "Stochastic Optimizer"
            warnings.warn(
                f"{what}: Maximum iterations ({self.max_iter}) reached and the "
                "optimization hasn't converged yet.",
                contract.ConvergenceWarning,
                stacklevel=5,
            )

    def _keep_epochs(self, network, targets, progress, n_before, validation, optimizer):
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
            validation_loss_curve_=progress.validation_losses or None,
            _no_improvement_count=(validation or progress).n_bad_epochs,
            _optimizer=optimizer,
        )

    def _fit_lbfgs(self, network, X, targets, sample_weight, going_on):
        optimizer = LBFGS(gtol=float(self.tol), max_evaluations=int(self.max_fun))
        progress, interrupted = Progress(), None
        try:
            train_with_order(
                network,
                X,
                targets.values,
                optimizer=optimizer,
                n_epochs=int(self.max_iter),
                sample_weight=sample_weight,
                any_sign=True,
                alpha=float(self.alpha),
                target_loss=None if self.target_loss is None else float(self.target_loss),
                max_time=None if self.max_time is None else float(self.max_time),
                callback=self.callback,
                progress=progress,
                n_threads=self.n_threads,
            )
        except KeyboardInterrupt as error:
            interrupted = error
        self._set_fitted(
            network,
            targets,
            n_iter_=optimizer.n_steps,
            t_=self.t_ if going_on else 0,
            loss_=progress.losses[-1] if progress.losses else np.inf,  # the time was over
        )
        if interrupted is not None:
            raise interrupted  # scikit-learn's lbfgs lets it through, too
        reason = {
            "max_evaluations": f"the loss was computed more than max_fun={self.max_fun} times",
            "line search": "no step along the gradient lowers the loss",
        }.get(optimizer.ending)
        if self.n_iter_ == self.max_iter and not self._has_reached_target():
            reason = f"max_iter={int(self.max_iter)} is reached"
        if reason:
            warnings.warn(
                f"lbfgs failed to converge after {self.n_iter_} iteration(s): {reason}. More "
                "iterations, or scaled data, may help.",
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
            shares no memory with this one; a `RandomState` is copied as it is. `n_threads`,
            `callback`, `dtype`, `target_loss` and `max_time`, which scikit-learn does not have, are
            left out.

        Raises
        ------
        ImportError
            If scikit-learn is not installed.
        TypeError
            For a subclass, of which scikit-learn knows nothing.
        ValueError
            If scikit-learn, or the version that is installed, cannot compute or train this model:
            for trainers and activations of ours, and activations that differ.
        """
        from cbackprop.interop import scikit_learn

        return scikit_learn.to_sklearn(self)

    def __getstate__(self):
        """Without the optimizer, unless the next training goes on with it.

        That is after a `partial_fit`, and with `warm_start` and a trainer of ours. The network,
        the solver and the optimizer are tuples of plain values, which skops can keep, too.
        """
        state = vars(self).copy()
        optimizer = state.pop("_optimizer", None)
        if "_network" in state:
            state["_network"] = state["_network"].__reduce__()[1][1:]
        if Trainer().accepts(self.solver):
            state["solver"] = as_plain(self.solver)
        goes_on = self.warm_start and not is_sklearns(self.solver)
        if optimizer is not None and (goes_on or state.get("_partially_fitted")):
            state["_optimizer"] = as_plain(optimizer)
        state["_names"] = checks.checksum(sorted(state))
        return state

    def __setstate__(self, state):
        state = dict(state)
        found = state.pop("_names", None)
        checks.check_checksum("an estimator", sorted(state, key=str), found)
        if "_network" in state:
            state["_network"] = restore(Network, *state["_network"])
        for name in ("solver", "_optimizer"):
            if isinstance(state.get(name), tuple):
                state[name] = from_plain(state[name])
        vars(self).update(state)

    def __deepcopy__(self, memo):
        again = memo[id(self)] = type(self).__new__(type(self))
        vars(again).update(copy.deepcopy(vars(self), memo))
        return again
