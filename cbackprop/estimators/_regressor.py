"""MLPRegressor: numbers in, numbers out."""

import warnings
from typing import ClassVar

import numpy as np

from cbackprop import _checks as checks
from cbackprop.estimators._mlp import Targets, _BaseMLP
from cbackprop.estimators._validation import (
    OneOf,
    as_finite_numbers,
    check_targets,
)


class MLPRegressor(_BaseMLP):
    """Multilayer perceptron for regression, with scikit-learn's interface.

    The same seed gives the numbers of scikit-learn's class of this name.

    Parameters
    ----------
    loss : {'squared_error', 'poisson'}, default='squared_error'
        Half the squared difference, with a linear output, or half the Poisson deviance, with an
        exponential one, for counts and rates.
    hidden_layer_sizes : int or sequence of int, default=(100,)
        Units of each hidden layer; an empty sequence makes a generalised linear model.
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
    coefs_, intercepts_ : list of ndarray
        Weights (n_in, n_out) and biases (n_out,) of each layer: the memory the network computes
        with, so that writing into them changes the predictions.
    loss_, best_loss_ : float
        Loss of the last epoch, and the lowest. Of several outputs' squared errors it is the mean,
        while the gradient is that of their sum, as in scikit-learn.
    loss_curve_ : list of float
        Loss of each epoch.
    n_iter_, t_ : int
        Epochs, and rows seen in them.
    n_features_in_, n_layers_, n_outputs_ : int
        Columns of X, layers (input and output included) and columns of y.
    out_activation_ : str
        'identity' or 'exp'.

    Examples
    --------
    >>> import numpy as np
    >>> from cbackprop import MLPRegressor
    >>> X = np.linspace(-1, 1, 50).reshape(-1, 1)
    >>> y = 3 * X[:, 0] + 1
    >>> model = MLPRegressor(
    ...     hidden_layer_sizes=(), solver="sgd", learning_rate_init=0.5, random_state=0
    ... )
    >>> bool(model.fit(X, y).score(X, y) > 0.99)
    True
    """

    _parameter_constraints: ClassVar[dict] = {
        "loss": (OneOf(("squared_error", "poisson")),),
        **_BaseMLP._parameter_constraints,
    }

    def __init__(
        self,
        loss="squared_error",
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
        n_outputs = 1 if y.ndim == 1 else y.shape[1]
        squared_error = self.loss == "squared_error"
        return Targets(
            values=y,
            n_outputs=n_outputs,
            output_activation="identity" if squared_error else "exp",
            loss=self.loss,
            # The network sums over the outputs; scikit-learn reports the mean of squared errors,
            # but the sum of Poisson deviances.
            loss_scale=1 / n_outputs if squared_error else 1.0,
            fitted_attributes={},
        )

    def predict(self, X):
        """Predicted numbers.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            In the precision that the model was fitted in.
        """
        outputs = self._predict_outputs(X)
        return outputs.ravel() if self.n_outputs_ == 1 else outputs

    def score(self, X, y, sample_weight=None):
        """Coefficient of determination R2, the mean over the outputs.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        score : float
            1 for a perfect prediction, 0 for one no better than the mean of y; NaN, with a
            warning, for a single sample.
        """
        predictions = self._predict_outputs(X).astype(np.float64, copy=False)
        n_samples = len(predictions)
        y = as_finite_numbers(check_targets(y, n_samples), "y").reshape(n_samples, -1)
        if y.shape != predictions.shape:
            raise ValueError(f"y has {y.shape[1]} outputs; the model has {self.n_outputs_}")
        sample_weight = checks.as_weights(sample_weight, np.float64, n_samples)
        if n_samples < 2:
            warnings.warn("R^2 score is not well-defined with less than two samples.", stacklevel=2)
            return float("nan")
        mean = np.average(y, axis=0, weights=sample_weight)
        residual = np.average((y - predictions) ** 2, axis=0, weights=sample_weight)
        total = np.average((y - mean) ** 2, axis=0, weights=sample_weight)
        # An output that never varies: 1 if it is met exactly, 0 if not.
        constant = total == 0
        scores = np.where(constant, residual == 0, 1 - residual / np.where(constant, 1, total))
        return float(scores.mean())
