"""MLPClassifier: numbers in, labels and their probabilities out."""

import functools

import numpy as np

from cbackprop import _checks as checks
from cbackprop.estimators._base import of_stochastic_solvers
from cbackprop.estimators._mlp import Targets, _BaseMLP
from cbackprop.estimators._validation import as_array, check_targets


def check_labels(y):
    """y, one- or two-dimensional, as one label a sample."""
    if y.ndim == 2 and y.shape[1] > 1:
        raise ValueError(f"y has shape {y.shape}: one label a sample is expected")
    y = y.ravel()
    if y.dtype.kind not in "biufUO":
        raise TypeError(f"y has dtype {y.dtype}; labels are numbers, strings, bools or objects")
    if (y != y).any():
        raise ValueError("y contains NaN, which is not a label")
    if y.dtype.kind == "f" and (y != np.floor(y)).any():
        raise ValueError(
            f"y has continuous values such as {y[y != np.floor(y)][0]}; a classifier needs labels "
            "(for numbers there is MLPRegressor)"
        )
    if y.dtype.kind == "f" and np.isinf(y).any():
        raise ValueError("y contains infinity, which is not a label")
    return y


def check_indicators(y):
    """y as bools: whether each of several labels applies to a sample."""
    if y.ndim == 2 and y.dtype.kind in "biuf":
        values = np.unique(y)
        if len(values) <= 2 and np.isfinite(values).all() and (values == np.floor(values)).all():
            return y != 0
    raise ValueError(
        f"Multioutput target data is not supported: y has shape {y.shape} and dtype {y.dtype}, and "
        "entries other than 0 and 1; each must say whether a label applies"
    )


def decide(outputs, n_classes, multilabel):
    """Class numbers or, multilabel, 0 and 1 for each label."""
    if multilabel:
        return (outputs > 0.5).astype(np.intp)
    if outputs.shape[1] > 1:
        return outputs.argmax(axis=1)
    # A model fitted to one class has no second.
    return np.minimum(outputs.ravel() > 0.5, n_classes - 1).astype(np.intp)


def share_of_hits(decided, right, sample_weight):
    hits = decided == right
    hits = hits.all(axis=1) if hits.ndim == 2 else hits
    return float(np.average(hits, weights=sample_weight))


def accuracy(outputs, values, sample_weight, n_classes):
    """The score of a network's outputs, for targets as it takes them."""
    return share_of_hits(decide(outputs, n_classes, values.ndim == 2), values, sample_weight)


class MLPClassifier(_BaseMLP):
    """Multilayer perceptron for classification, with scikit-learn's interface.

    The same seed gives the numbers of scikit-learn's class of this name. Two classes share one
    logistic output, more have a softmax over one output each; of several labels a sample (a matrix
    of 0 and 1) each has a logistic output. The loss is the log loss.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int, default=(100,)
        Units of each hidden layer; an empty sequence makes a logistic regression.
    activation : {'identity', 'logistic', 'tanh', 'relu'}, default='relu'
        Activation of the hidden layers.
    solver : {'lbfgs', 'sgd', 'adam'}, default='adam'
        Rule that updates the weights. 'lbfgs' sees all rows at once and needs SciPy.
    alpha : float, default=0.0001
        Strength of the L2 penalty on the weights (not the biases).
    batch_size : int or 'auto', default='auto'
        Rows of a mini-batch; 'auto' is the smaller of 200 and the number of rows.
    learning_rate : {'constant', 'invscaling', 'adaptive'}, default='constant'
        How 'sgd' changes the size of its steps: not at all; after each epoch to
        ``learning_rate_init / (t_ + 1) ** power_t``; or by dividing it by 5 where training would
        end, until it is 1e-6 or less.
    learning_rate_init : float, default=0.001
        Size of a step, the first one with 'sgd'.
    power_t : float, default=0.5
        Exponent of 'invscaling'.
    max_iter : int, default=200
        Largest number of epochs, or of iterations of 'lbfgs'.
    shuffle : bool, default=True
        Whether the rows come in a new order each epoch.
    random_state : int, RandomState or None, default=None
        Source of the initial weights and of the shuffling; None is NumPy's global one.
    tol : float, default=1e-4
        An epoch improves if it lowers the best loss, or with `early_stopping` raises the best
        validation score, by at least this much. 'lbfgs' ends when no entry of the gradient is
        larger.
    verbose : bool or int, default=False
        Whether to print the loss of each epoch.
    warm_start : bool, default=False
        Whether `fit` goes on with the weights of the last one, with a new optimizer.
    momentum : float, default=0.9
        Share of the last step that 'sgd' repeats, from 0 to 1.
    nesterovs_momentum : bool, default=True
        Whether that momentum is Nesterov's.
    early_stopping : bool, default=False
        Whether some rows are held back, to stop on their score instead of on the loss and to keep
        the weights of the epoch that scored best. `loss_` stays that of the last epoch. Not for
        'lbfgs'.
    validation_fraction : float, default=0.1
        Share of the rows that is held back, of two classes in the same shares.
    beta_1, beta_2 : float, default=0.9, 0.999
        Decay rates of the first and the second moment in 'adam', from 0 to below 1.
    epsilon : float, default=1e-8
        Added to the root of the second moment in 'adam'.
    n_iter_no_change : int or inf, default=10
        Training ends when more epochs than this in a row have not improved.
    max_fun : int, default=15000
        How often 'lbfgs' may compute the loss, at most.
    n_threads : int or None, default=None
        How many threads compute; None for what the size is worth (see `Network`). The results do
        not depend on it, not in a bit. This parameter and those below are not scikit-learn's.
    callback : callable or None, default=None
        ``callback(state)`` after each epoch, or iteration of 'lbfgs', with ``state.epoch``,
        ``.loss``, ``.network`` and, with `early_stopping`, ``.validation_score``; a true result
        ends training. An exception in it ends training and is passed on.
    dtype : {'float32', 'float64'} or None, default=None
        The precision to compute in. None: float32 for float32 data, else float64.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted.
    coefs_, intercepts_ : list of ndarray
        Weights (n_in, n_out) and biases (n_out,) of each layer: the memory the network computes
        with, so that writing into them changes the predictions.
    loss_, best_loss_ : float
        Loss of the last epoch, and the lowest (None with `early_stopping`).
    loss_curve_ : list of float
        Loss of each epoch, not with 'lbfgs'; it goes on with `warm_start` and `partial_fit`.
    validation_scores_, best_validation_score_ : list of float, float
        Score of each epoch on the rows held back, and the highest; None without `early_stopping`.
    n_iter_, t_ : int
        Epochs (or iterations) of the last fit, and rows seen in all epochs.
    n_features_in_, n_layers_, n_outputs_ : int
        Columns of X, layers (input and output included) and outputs.
    out_activation_ : str
        'logistic' or 'softmax'.

    Examples
    --------
    >>> from cbackprop import MLPClassifier
    >>> X = [[0, 0], [0, 1], [1, 0], [1, 1]]
    >>> y = ["even", "odd", "odd", "even"]
    >>> model = MLPClassifier(
    ...     hidden_layer_sizes=(8,), learning_rate_init=0.1, max_iter=500, random_state=0
    ... )
    >>> model.fit(X, y).predict(X).tolist()
    ['even', 'odd', 'odd', 'even']
    """

    def __init__(
        self,
        hidden_layer_sizes=(100,),
        activation="relu",
        *,
        solver="adam",
        alpha=0.0001,
        batch_size="auto",
        learning_rate="constant",
        learning_rate_init=0.001,
        power_t=0.5,
        max_iter=200,
        shuffle=True,
        random_state=None,
        tol=1e-4,
        verbose=False,
        warm_start=False,
        momentum=0.9,
        nesterovs_momentum=True,
        early_stopping=False,
        validation_fraction=0.1,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        n_iter_no_change=10,
        max_fun=15000,
        n_threads=None,
        callback=None,
        dtype=None,
    ):
        self._store_parameters(locals())

    def _encode_targets(self, y, classes, complete=False):
        if y.ndim == 2:
            return self._encode_indicators(y, classes, complete)
        labels = check_labels(y)
        try:
            found, class_numbers = np.unique(labels, return_inverse=True)
        except TypeError as error:
            kinds = sorted({type(label).__name__ for label in labels})
            raise TypeError(
                f"y has labels that cannot be sorted, of the types {', '.join(kinds)}"
            ) from error
        if classes is None:
            classes = found
        else:
            self._check_known(found, classes, complete)
            class_numbers = np.searchsorted(classes, found)[class_numbers]
        multiclass = len(classes) > 2
        return Targets(
            values=class_numbers,
            n_outputs=len(classes) if multiclass else 1,
            output_activation="softmax" if multiclass else "logistic",
            loss="log_loss" if multiclass else "binary_log_loss",
            loss_scale=1.0,
            fitted_attributes={"classes_": classes},
            score=functools.partial(accuracy, n_classes=len(classes)),
            strata=None if multiclass else class_numbers,
        )

    def _encode_indicators(self, y, classes, complete):
        indicators = check_indicators(y)
        found = np.arange(y.shape[1])
        if classes is None:
            classes = found
        else:
            self._check_known(found, classes, complete)
        return Targets(
            values=indicators,
            n_outputs=y.shape[1],
            output_activation="logistic",
            loss="binary_log_loss",
            loss_scale=1.0,
            fitted_attributes={"classes_": classes},
            score=functools.partial(accuracy, n_classes=len(classes)),
        )

    def _check_known(self, found, classes, complete):
        if complete and not np.array_equal(found, classes):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous "
                f"call to fit. Previously got {classes}, `y` has {found}"
            )
        if not np.isin(found, classes).all():
            raise ValueError(
                f"`y` has classes not in `self.classes_`. `self.classes_` has {classes}. 'y' has "
                f"{found}."
            )

    @of_stochastic_solvers
    def partial_fit(self, X, y, sample_weight=None, classes=None):
        """Train one epoch further, with the optimizer as the last epoch left it.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), default=None
        classes : array-like of shape (n_classes,), default=None
            All labels that y may have in this and in later calls; needed in the first one only.

        Returns
        -------
        self : object
        """
        known = getattr(self, "classes_", None)
        if classes is not None:
            given, classes = classes, np.unique(check_labels(as_array(classes, "classes")))
            if known is not None and not np.array_equal(known, classes):
                raise ValueError(
                    f"`classes={given!r}` is not the same as on last call to partial_fit, was: "
                    f"{known!r}"
                )
        elif known is None:
            raise ValueError("classes must be passed on the first call to partial_fit.")
        return self._fit(X, y, sample_weight, incremental=True, classes=classes)

    def predict(self, X):
        """Labels of the most probable classes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        y : ndarray of shape (n_samples,) or, multilabel, (n_samples, n_outputs)
        """
        outputs = self._predict_outputs(X)
        decided = decide(outputs, len(self.classes_), self._is_multilabel())
        return decided if decided.ndim == 2 else self.classes_[decided]

    def _is_multilabel(self):
        return self.out_activation_ == "logistic" and self.n_outputs_ > 1

    def predict_proba(self, X):
        """Probabilities of the classes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes)
            Columns in the order of `classes_`; two of them, as in scikit-learn, also for a model
            that was fitted to one class only. Multilabel: the probability of each label.
        """
        outputs = self._predict_outputs(X)
        return outputs if self.n_outputs_ > 1 else np.hstack([1 - outputs, outputs])

    def predict_log_proba(self, X):
        """Logarithms of `predict_proba`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        log_probabilities : ndarray of shape (n_samples, n_classes)
            -inf where a probability is 0.
        """
        probabilities = self.predict_proba(X)
        return np.log(probabilities, out=probabilities)

    def score(self, X, y, sample_weight=None):
        """Accuracy: the (weighted) share of samples whose label, or all of whose labels, is right.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or, multilabel, (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        score : float
        """
        predictions = self.predict(X)
        y = check_targets(y, len(predictions))
        if self._is_multilabel():
            check_indicators(y)
            if y.shape != predictions.shape:
                raise ValueError(f"y has shape {y.shape}; the model has {self.n_outputs_} labels")
        else:
            y = check_labels(y)
        sample_weight = checks.as_weights(sample_weight, np.float64, len(predictions))
        return share_of_hits(predictions, y, sample_weight)
