"""scikit-learn."""

import warnings

import numpy as np
import sklearn
from sklearn.neural_network import MLPClassifier, MLPRegressor

from cbackprop.cli.peers.base import Peer, Predictor
from cbackprop.cli.peers.own import prediction, set_weights
from cbackprop.cli.workloads import LEARNING_RATE, SHUFFLE_SEED


class ScikitLearn(Peer):
    """`partial_fit` once an epoch: it shuffles as everyone here does.

    `fit` would permute on the order of the epoch before. The checks of `partial_fit` are inside
    the time; they weigh where an epoch is short.
    """

    name = "scikit-learn"
    version = sklearn.__version__

    def __init__(self, problem):
        super().__init__(problem)
        _, *hidden, n_outputs = problem.layer_sizes
        kind = MLPRegressor if n_outputs == 1 else MLPClassifier
        self._estimator = kind(
            hidden_layer_sizes=hidden,
            activation="logistic",
            solver="sgd",
            alpha=0,
            momentum=0,
            batch_size=problem.batch_size,
            learning_rate_init=LEARNING_RATE,
        )
        classes = {} if n_outputs == 1 else {"classes": np.arange(n_outputs)}
        few = slice(min(2, problem.batch_size))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the batch size is more than these rows
            self._estimator.partial_fit(problem.X[few], problem.y[few], **classes)

    def restart(self):
        set_weights(self._estimator, self.problem)

    def train(self, n_steps):
        self._estimator.random_state = np.random.RandomState(SHUFFLE_SEED)
        for _ in range(n_steps // self.problem.steps_per_epoch):
            self._estimator.partial_fit(self.problem.X, self.problem.y)

    @property
    def parameters(self):
        layers = zip(self._estimator.coefs_, self._estimator.intercepts_, strict=True)
        return np.concatenate([np.append(weights, biases) for weights, biases in layers])


class ScikitLearnPredictor(Predictor):
    """`predict` of the regressor, `predict_proba` of the classifier."""

    name = "scikit-learn"
    version = sklearn.__version__

    def __init__(self, problem):
        super().__init__(problem)
        self._predict = prediction(problem, MLPRegressor, MLPClassifier)

    def predict(self, n_calls):
        for _ in range(n_calls):
            outputs = self._predict(self.problem.X)
        return outputs
