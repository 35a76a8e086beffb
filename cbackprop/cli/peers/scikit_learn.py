"""scikit-learn."""

import warnings

import numpy as np
import sklearn
from sklearn.neural_network import MLPClassifier, MLPRegressor

from cbackprop.cli.peers.base import Peer
from cbackprop.cli.peers.own import EstimatorPredictor, estimator_of, set_weights
from cbackprop.cli.workloads import SHUFFLE_SEED

KINDS = MLPRegressor, MLPClassifier


class ScikitLearn(Peer):
    """`partial_fit` once an epoch: it shuffles as everyone here does.

    `fit` would permute on the order of the epoch before. The checks of `partial_fit` are inside
    the time; they weigh where an epoch is short.
    """

    name = "scikit-learn"
    version = sklearn.__version__

    def __init__(self, problem):
        super().__init__(problem)
        n_outputs = problem.layer_sizes[-1]
        self._estimator = estimator_of(problem, KINDS)
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


class ScikitLearnPredictor(EstimatorPredictor):
    """The same of scikit-learn's."""

    name = "scikit-learn"
    version = sklearn.__version__
    kinds = KINDS
