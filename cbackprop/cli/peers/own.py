"""cbackprop itself."""

import warnings

import numpy as np

import cbackprop
from cbackprop import SGD, Network
from cbackprop.cli.peers.base import Peer, Predictor
from cbackprop.cli.workloads import LEARNING_RATE, SHUFFLE_SEED


class Cbackprop(Peer):
    """`Network.train`, as anyone would call it."""

    name = "cbackprop"

    def __init__(self, problem):
        super().__init__(problem)
        self._network = network_of(problem)

    def make_optimizer(self):
        """A new one for each run."""
        return SGD(LEARNING_RATE)

    def restart(self):
        self._network.parameters = self.problem.parameters
        self._random_state = np.random.RandomState(SHUFFLE_SEED)

    def train(self, n_steps):
        self._network.train(
            self.problem.X,
            self.problem.y,
            optimizer=self.make_optimizer(),
            batch_size=self.problem.batch_size,
            n_epochs=n_steps // self.problem.steps_per_epoch,
            random_state=self._random_state,
        )

    @property
    def parameters(self):
        return self._network.parameters


class CbackpropPredictor(Predictor):
    """`Network.predict` into an array that the caller keeps."""

    name = "cbackprop"

    def __init__(self, problem):
        super().__init__(problem)
        self._network = network_of(problem)
        self._out = np.empty((len(problem.X), problem.layer_sizes[-1]), problem.X.dtype)

    def predict(self, n_calls):
        for _ in range(n_calls):
            outputs = self._network.predict(self.problem.X, out=self._out)
        return outputs


class WithoutOut(Predictor):
    """`Network.predict`, which then makes a new array."""

    name = "without out="

    def __init__(self, problem):
        super().__init__(problem)
        self._predict = network_of(problem).predict


class EstimatorPredictor(Predictor):
    """`predict` of a regressor, or `predict_proba` of a classifier."""

    name = "estimator"

    def __init__(self, problem):
        super().__init__(problem)
        # asked for here only: scikit-learn is loaded with them
        kinds = cbackprop.MLPRegressor, cbackprop.MLPClassifier
        estimator = estimator_of(problem, kinds, max_iter=1)
        n_features, *_, n_outputs = problem.layer_sizes
        n_rows = max(2, n_outputs)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # one epoch of a few rows is not enough
            estimator.fit(np.zeros((n_rows, n_features), problem.X.dtype), np.arange(n_rows))
        set_weights(estimator, problem)
        self._predict = estimator.predict if n_outputs == 1 else estimator.predict_proba


def network_of(problem):
    """The network of a problem, with its initial weights."""
    network = Network(problem.layer_sizes, **problem.output, dtype=problem.parameters.dtype)
    network.parameters = problem.parameters
    return network


def set_weights(estimator, problem):
    """Give a fitted estimator with scikit-learn's attributes the initial weights of a problem."""
    network = network_of(problem)
    for own, weights in zip(estimator.coefs_, network.weights, strict=True):
        own[...] = weights
    for own, biases in zip(estimator.intercepts_, network.biases, strict=True):
        own[...] = biases


def estimator_of(problem, kinds, **options):
    """A problem's regressor or classifier, the one of the two that fits, for plain descent."""
    _, *hidden, n_outputs = problem.layer_sizes
    kind = kinds[0] if n_outputs == 1 else kinds[1]
    return kind(
        hidden_layer_sizes=hidden,
        activation="logistic",
        solver="sgd",
        alpha=0,
        momentum=0,
        batch_size=problem.batch_size,
        learning_rate_init=LEARNING_RATE,
        **options,
    )
