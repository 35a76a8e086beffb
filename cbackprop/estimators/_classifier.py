"""MLPClassifier: numbers in, labels and their probabilities out."""

import numpy as np

from cbackprop import _checks as checks
from cbackprop.estimators._mlp import Targets, _BaseMLP
from cbackprop.estimators._validation import check_targets


def check_labels(y):
    """y, one- or two-dimensional, as one label a sample."""
    if y.ndim == 2 and y.shape[1] > 1:
        raise ValueError(
            f"y has shape {y.shape}: one label a sample is expected; several (multilabel) are not "
            "supported yet"
        )
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


class MLPClassifier(_BaseMLP):
    """Multilayer perceptron for classification, with scikit-learn's interface.

    The same seed gives the numbers of scikit-learn's class of this name. Two classes share one
    logistic output, more have a softmax over one output each; the loss is the log loss.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int, default=(100,)
        Units of each hidden layer; an empty sequence makes a logistic regression.
    activation : {'identity', 'logistic', 'tanh', 'relu'}, default='relu'
        Activation of the hidden layers.
    solver : {'adam', 'sgd'}, default='adam'
        Rule that updates the weights.
    alpha : float, default=0.0001
        Strength of the L2 penalty on the weights (not the biases).
    batch_size : int or 'auto', default='auto'
        Rows of a mini-batch; 'auto' is the smaller of 200 and the number of rows.
    learning_rate_init : float, default=0.001
        Size of a step.
    max_iter : int, default=200
        Largest number of epochs.
    shuffle : bool, default=True
        Whether the rows come in a new order each epoch.
    random_state : int, RandomState or None, default=None
        Source of the initial weights and of the shuffling; None is NumPy's global one.
    tol : float, default=1e-4
        An epoch improves if it lowers the best loss by at least this much.
    verbose : bool or int, default=False
        Whether to print the loss of each epoch.
    momentum : float, default=0.9
        Share of the last step that 'sgd' repeats, from 0 to 1.
    nesterovs_momentum : bool, default=True
        Whether that momentum is Nesterov's.
    beta_1, beta_2 : float, default=0.9, 0.999
        Decay rates of the first and the second moment in 'adam', from 0 to below 1.
    epsilon : float, default=1e-8
        Added to the root of the second moment in 'adam'.
    n_iter_no_change : int or inf, default=10
        Training ends when more epochs than this in a row have not improved.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted.
    coefs_, intercepts_ : list of ndarray
        Weights (n_in, n_out) and biases (n_out,) of each layer: the memory the network computes
        with, so that writing into them changes the predictions.
    loss_, best_loss_ : float
        Loss of the last epoch, and the lowest.
    loss_curve_ : list of float
        Loss of each epoch.
    n_iter_, t_ : int
        Epochs, and rows seen in them.
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
        learning_rate_init=0.001,
        max_iter=200,
        shuffle=True,
        random_state=None,
        tol=1e-4,
        verbose=False,
        momentum=0.9,
        nesterovs_momentum=True,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        n_iter_no_change=10,
    ):
        self._store_parameters(locals())

    def _encode_targets(self, y):
        labels = check_labels(y)
        try:
            classes, class_numbers = np.unique(labels, return_inverse=True)
        except TypeError as error:
            kinds = sorted({type(label).__name__ for label in labels})
            raise TypeError(
                f"y has labels that cannot be sorted, of the types {', '.join(kinds)}"
            ) from error
        multiclass = len(classes) > 2
        return Targets(
            values=class_numbers,
            n_outputs=len(classes) if multiclass else 1,
            output_activation="softmax" if multiclass else "logistic",
            loss="log_loss" if multiclass else "binary_log_loss",
            loss_scale=1.0,
            fitted_attributes={"classes_": classes},
        )

    def predict(self, X):
        """Labels of the most probable classes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        y : ndarray of shape (n_samples,)
        """
        outputs = self._predict_outputs(X)
        if self.n_outputs_ > 1:
            return self.classes_[outputs.argmax(axis=1)]
        class_numbers = (outputs.ravel() > 0.5).astype(np.intp)
        # A model fitted to one class has no second: mode="clip" predicts the first always.
        return self.classes_.take(class_numbers, mode="clip")

    def predict_proba(self, X):
        """Probabilities of the classes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes)
            Columns in the order of `classes_`; two of them, as in scikit-learn, also for a model
            that was fitted to one class only.
        """
        outputs = self._predict_outputs(X)
        if self.n_outputs_ > 1:
            return outputs
        return np.hstack([1 - outputs, outputs])

    def score(self, X, y, sample_weight=None):
        """Accuracy: the (weighted) share of samples whose label is predicted.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        score : float
        """
        predictions = self.predict(X)
        labels = check_labels(check_targets(y, len(predictions)))
        sample_weight = checks.as_weights(sample_weight, np.float64, len(predictions))
        return float(np.average(labels == predictions, weights=sample_weight))
