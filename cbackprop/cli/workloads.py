"""The seven workloads of ``cbackprop bench``: the same networks, data and batches for everyone."""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from cbackprop import Network

LEARNING_RATE = 0.01
DATA_SEED = 0
WEIGHTS_SEED = 1
SHUFFLE_SEED = 2


@dataclass(frozen=True)
class Workload:
    """A network with sigmoid hidden layers and how long it is trained.

    One output is linear, with squared error; several are a softmax, with log loss. Training is
    plain gradient descent with the mean over the batch; the rows are shuffled before each epoch,
    and a last batch that is short is used, too.
    """

    name: str
    layer_sizes: tuple
    batch_size: int
    n_samples: int
    n_epochs: int

    @property
    def layers(self):
        """As 8-64-64-1."""
        return "-".join(map(str, self.layer_sizes))

    @property
    def steps_per_epoch(self):
        """Batches, the short one included."""
        return math.ceil(self.n_samples / self.batch_size)

    @property
    def operations_per_row(self):
        """Floating-point operations of the three matrix products.

        A multiplication and an addition for each weight, forward, for the deltas below and for
        the gradient; the deltas of the inputs are not needed.
        """
        n_features, n_first, *_ = self.layer_sizes
        return 3 * self.operations_to_predict - 2 * n_features * n_first

    @property
    def operations_to_predict(self):
        """Of a row: a multiplication and an addition for each weight."""
        return 2 * sum(n_in * n_out for n_in, n_out in pairwise(self.layer_sizes))

    @property
    def operations_per_step(self):
        """Of a batch that is as high as the average one."""
        return self.operations_per_row * self.n_samples / self.steps_per_epoch

    def problem(self, dtype, n_samples=None):
        """The data and the initial weights, in this precision; fewer rows on request."""
        n_samples = n_samples or self.n_samples
        random = np.random.RandomState(DATA_SEED)
        X = random.standard_normal((n_samples, self.layer_sizes[0])).astype(dtype)
        n_outputs = self.layer_sizes[-1]
        if n_outputs == 1:
            output = {"output_activation": "identity", "loss": "squared_error"}
            y = random.standard_normal(n_samples).astype(dtype)
        else:
            output = {"output_activation": "softmax", "loss": "log_loss"}
            y = random.randint(n_outputs, size=n_samples)
        start = Network(self.layer_sizes, **output, dtype=dtype, random_state=WEIGHTS_SEED)
        return Problem(self.layer_sizes, self.batch_size, output, X, y, start.parameters.copy())


@dataclass(frozen=True)
class Problem:
    """What a peer is given.

    Attributes
    ----------
    layer_sizes : tuple
    batch_size : int
    output : dict
        `output_activation` and `loss` of `cbackprop.Network`.
    X : ndarray of shape (n_samples, n_features)
    y : ndarray of shape (n_samples,)
        Numbers for one output, class numbers for several.
    parameters : ndarray of shape (n_parameters,)
        The initial weights and biases, in the order of `cbackprop.Network.parameters`; its dtype
        is the precision to compute in.
    """

    layer_sizes: tuple
    batch_size: int
    output: dict
    X: np.ndarray
    y: np.ndarray
    parameters: np.ndarray

    @property
    def steps_per_epoch(self):
        """Batches, the short one included."""
        return math.ceil(len(self.X) / self.batch_size)

    def targets(self):
        """y as (n_samples, n_outputs), class numbers as rows of zeros and a one."""
        if self.layer_sizes[-1] == 1:
            return self.y[:, np.newaxis]
        return np.eye(self.layer_sizes[-1], dtype=self.X.dtype)[self.y]


def orders(n_samples):
    """The order of the rows in each epoch: one array, overwritten for the next epoch.

    These are the orders of `Network.train(random_state=RandomState(SHUFFLE_SEED))`.
    """
    random = np.random.RandomState(SHUFFLE_SEED)
    in_order = np.arange(n_samples)
    order = np.empty_like(in_order)
    while True:
        order[:] = in_order
        random.shuffle(order)
        yield order


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("xor", (2, 2, 1), batch_size=1, n_samples=4, n_epochs=5000),
        Workload("online", (8, 32, 1), batch_size=1, n_samples=5000, n_epochs=2),
        Workload("tabular", (8, 64, 64, 1), batch_size=32, n_samples=20000, n_epochs=2),
        Workload("digits", (64, 100, 10), batch_size=200, n_samples=10000, n_epochs=4),
        Workload("mnist", (784, 128, 10), batch_size=32, n_samples=10000, n_epochs=1),
        Workload("deep", (20, 256, 256, 256, 1), batch_size=64, n_samples=10000, n_epochs=1),
        Workload("wide", (784, 1024, 1024, 10), batch_size=256, n_samples=5120, n_epochs=1),
    )
}
