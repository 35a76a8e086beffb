"""MLPRegressor: numbers in, numbers out."""

from typing import ClassVar

from cbackprop.estimators._base import contract
from cbackprop.estimators._mlp import Targets, _BaseMLP
from cbackprop.estimators._scores import r2
from cbackprop.estimators._solvers import of_stochastic_solvers
from cbackprop.estimators._validation import OneOf, check_parameters


class MLPRegressor(contract.RegressorMixin, _BaseMLP):
    """Multilayer perceptron for regression, with scikit-learn's interface.

    The same seed gives the numbers of scikit-learn's class of this name.

    Parameters
    ----------
    loss : {'squared_error', 'poisson'}, default='squared_error'
        Half the squared difference, with a linear output, or half the Poisson deviance, with an
        exponential one, for counts and rates.
    hidden_layer_sizes : int or sequence of int, default=(100,)
        Units of each hidden layer; an empty sequence makes a generalised linear model.
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
        `LevenbergMarquardt`, `BayesianRegularization` (for squared errors),
        `ScaledConjugateGradient` and `LBFGS` (for any loss) take all rows at once.
        'adamw', 'rmsprop', 'rprop', 'scaled_conjugate_gradient', 'levenberg_marquardt' and
        'bayesian_regularization' stand for one with its own defaults.
    alpha : float, default=0.0001
        Strength of the L2 penalty on the weights (not the biases). `BayesianRegularization`
        finds its own instead.
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
        Share of the rows that is held back.
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
        The precision to compute in. None: float32 for float32 data, else float64, which is also
        the only one of `LevenbergMarquardt` and `BayesianRegularization`.
    output_activation : str or None, default=None
        None: 'identity' for squared errors, 'exp' for 'poisson'. Squared errors also go with
        'logistic', 'tanh', 'relu', 'softsign' and 'exp'.
    target_loss : float or None, default=None
        Training ends when the loss of an epoch, that of the training, is as low as that.
    max_time : float or None, default=None
        Seconds, after which training ends: at the end of an epoch or, within 100 ms, inside a long
        one, which then does not count.

    Attributes
    ----------
    coefs_, intercepts_ : list of ndarray
        Weights (n_in, n_out) and biases (n_out,) of each layer: the memory the network computes
        with, so that writing into them changes the predictions.
    loss_, best_loss_ : float
        Loss of the last epoch, and the lowest (None with `early_stopping`). Of several outputs'
        squared errors it is the mean, while the gradient is that of their sum, as in
        scikit-learn; 'lbfgs', and all trainers of all rows, minimise and report the sum.
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
        Columns of X, layers (input and output included) and columns of y.
    out_activation_ : str
        'identity' or 'exp', or what `output_activation` says.

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

    _targets_are_numbers: ClassVar[bool] = True
    _constraints: ClassVar[dict] = {
        "loss": (OneOf(("squared_error", "poisson")),),
        **_BaseMLP._constraints,
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

    def _encode_targets(self, y, classes, *, complete=False, going_on=False):
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
            score=r2,
        )

    @of_stochastic_solvers
    def partial_fit(self, X, y, sample_weight=None):
        """Train one epoch further, with the optimizer as the last epoch left it.

        Trainers that take all rows at once ('lbfgs' among them, and ``Rprop("iplus")``) cannot do
        with others the next time: with these there is no `partial_fit`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        self : object
        """
        check_parameters(self)
        return self._fit(X, y, sample_weight, incremental=True)

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
