"""MLPClassifier: numbers in, labels and their probabilities out."""

import functools
from typing import ClassVar

import numpy as np

from cbackprop.estimators._base import contract
from cbackprop.estimators._mlp import Targets, _BaseMLP
from cbackprop.estimators._scores import share_of_hits
from cbackprop.estimators._solvers import of_stochastic_solvers
from cbackprop.estimators._validation import check_parameters, find_labels


def decide(outputs, n_classes, multilabel):
    """Class numbers or, multilabel, 0 and 1 for each label."""
    if multilabel:
        return (outputs > 0.5).astype(np.intp)
    if outputs.shape[1] > 1:
        return outputs.argmax(axis=1)
    if n_classes == 1:  # there is no second, however sure the model is
        return np.zeros(len(outputs), np.intp)
    return (outputs.ravel() > 0.5).astype(np.intp)


def accuracy(outputs, values, sample_weight, n_classes):
    """The score of a network's outputs, for targets as it takes them."""
    return share_of_hits(decide(outputs, n_classes, values.ndim == 2), values, sample_weight)


class MLPClassifier(contract.ClassifierMixin, _BaseMLP):
    """Multilayer perceptron for classification, with scikit-learn's interface.

    The same seed gives the numbers of scikit-learn's class of this name. Two classes share one
    logistic output, more have a softmax over one output each; of several labels a sample (a matrix
    of 0 and 1) each has a logistic output. The loss is the log loss.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int, default=(100,)
        Units of each hidden layer; an empty sequence makes a logistic regression.
    activation : str or sequence of str, default='relu'
        Activation of the hidden layers, one name or one a layer: 'identity', 'logistic', 'tanh',
        'relu', or 'softsign', which scikit-learn does not have.
    solver : str or trainer, default='adam'
        Rule that updates the weights. 'lbfgs' sees all rows at once; 'sgd' and
        'adam' see mini-batches. Beyond scikit-learn: a trainer as `Network.train` takes it, such as
        ``AdamW(0.01)``. Each `fit` uses a new one of its kind and values; it is itself never
        changed. The parameters of 'sgd', 'adam' and 'lbfgs' (`learning_rate`, `power_t`,
        `learning_rate_init`, `momentum`, `nesterovs_momentum`, `beta_1`, `beta_2`, `epsilon`,
        `max_fun`) mean nothing to it.
        `ScaledConjugateGradient` and `LBFGS` take all rows at once; `LevenbergMarquardt` and
        `BayesianRegularization` are for squared errors, and so not for classifiers.
        'adamw', 'rmsprop', 'rprop' and 'scaled_conjugate_gradient' stand for one with its own
        defaults.
    alpha : float, default=0.0001
        Strength of the L2 penalty on the weights (not the biases).
    batch_size : int or 'auto', default='auto'
        Rows of a mini-batch; 'auto' is the smaller of 200 and the number of rows, or all rows with
        a trainer that takes all at once and with `Rprop`, which may have smaller ones.
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
        larger. Trainers that have criteria of their own go by both.
    verbose : bool or int, default=False
        Whether to print the loss of each epoch.
    warm_start : bool, default=False
        Whether `fit` goes on with the weights of the last one, with a new optimizer; with a trainer
        of ours, while it is the same, also with that one's state (but for `LBFGS`, which has none).
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
        ``.loss``, ``.network``, with validation data ``.validation_loss`` and with `early_stopping`
        ``.validation_score``; a true result ends training. An exception in it ends training and is
        passed on.
    dtype : {'float32', 'float64'} or None, default=None
        The precision to compute in. None: float32 for float32 data, else float64.
    output_activation : str or None, default=None
        None: 'softmax' for more than two classes, else 'logistic'. The log loss goes with no other,
        so that a name only asks for what must be there.
    target_loss : float or None, default=None
        Training ends when the loss of an epoch, that of the training, is as low as that.
    max_time : float or None, default=None
        Seconds, after which training ends: at the end of an epoch or, within 100 ms, inside a long
        one, which then does not count.

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
    validation_loss_curve_ : list of float
        Loss, without the L2 penalty, of the `validation_data` of `fit` after each epoch; None
        without such data. Nothing goes by it.
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

    _targets_are_numbers: ClassVar[bool] = False

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
        output_activation=None,
        target_loss=None,
        max_time=None,
    ):
        self._store_parameters(locals())

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    def _encode_targets(self, y, classes, *, complete=False, going_on=False):
        found, multilabel = find_labels(y)
        if classes is None:
            classes = found
        else:
            self._check_known(found, classes, complete)
        if going_on and multilabel and not self._is_multilabel():
            raise ValueError(
                f"y must have one class a row, as before, got several labels a row: shape {y.shape}"
            )
        if (
            going_on
            and not multilabel
            and self._is_multilabel()
            and (len(found) > 2 or self.n_outputs_ > 2)
        ):
            # as scikit-learn: of several labels the one that is the class applies, if there is one
            y, multilabel = y[:, np.newaxis] == np.arange(self.n_outputs_), True
        if multilabel:
            values, n_outputs, strata = y != 0, y.shape[1], None
        else:
            values = np.searchsorted(classes, y.astype(classes.dtype, copy=False))
            n_outputs, strata = (len(classes), None) if len(classes) > 2 else (1, values)
        multiclass = n_outputs > 1 and not multilabel
        return Targets(
            values=values,
            n_outputs=n_outputs,
            output_activation="softmax" if multiclass else "logistic",
            loss="log_loss" if multiclass else "binary_log_loss",
            loss_scale=1.0,
            fitted_attributes={"classes_": classes},
            score=functools.partial(accuracy, n_classes=len(classes)),
            strata=strata,
        )

    def _check_known(self, found, classes, complete):
        if complete and set(found) != set(classes):  # as scikit-learn: times are no numbers
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

        Trainers that take all rows at once ('lbfgs' among them, and ``Rprop("iplus")``) cannot do
        with others the next time: with these there is no `partial_fit`.

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
        check_parameters(self)
        known = getattr(self, "classes_", None)
        if classes is not None:
            given, classes = classes, contract.unique_labels(classes)
            # the first call looks at y before X, and at several labels a row after it, as there
            kind = contract.type_of_target(y) if known is None else ""
            if len(classes) == 0 and not kind.startswith("multilabel"):
                raise ValueError("classes is empty")
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
            A CSR matrix if the labels of `fit` were sparse.
        """
        outputs = self._predict_outputs(X)
        decided = decide(outputs, len(self.classes_), self._is_multilabel())
        if decided.ndim == 1:
            return self.classes_.take(decided)
        if hasattr(self, "_sparse_labels"):
            from scipy.sparse import csr_matrix

            return csr_matrix(decided)
        return decided

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
        if self.n_outputs_ > 1:
            return outputs
        probabilities = np.empty((len(outputs), 2), outputs.dtype)
        np.subtract(1, outputs, out=probabilities[:, :1])
        probabilities[:, 1:] = outputs
        return probabilities

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
