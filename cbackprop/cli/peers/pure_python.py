"""Pure Python."""

import math
import time

import numpy as np

from cbackprop import pure
from cbackprop.cli.peers.base import CannotTakePart, Peer
from cbackprop.cli.workloads import LEARNING_RATE, orders


class PurePython(Peer):
    """`cbackprop.pure`: lists and floats, in double precision whatever the problem's is."""

    name = "pure Python"
    whole_epochs = False
    longest_step = 1.0

    def __init__(self, problem):
        super().__init__(problem)
        n_multiplications = problem.batch_size * problem.parameters.size
        # at least two of the three products have this many
        if 2 * n_multiplications * _seconds_of_a_multiplication() > self.longest_step:
            raise CannotTakePart(f"a step takes more than {self.longest_step:g} s")
        self._network = pure.Network(problem.layer_sizes, **problem.output)
        self._start = problem.parameters.tolist()
        self._points, self._targets = _Rows(problem.X), problem.y.tolist()

    def restart(self):
        self._network.parameters = self._start

    def train(self, n_steps):
        batch_size, steps_per_epoch = self.problem.batch_size, self.problem.steps_per_epoch
        n_epochs = math.ceil(n_steps / steps_per_epoch)
        for epoch, order in zip(range(n_epochs), orders(len(self._targets)), strict=False):
            rows = order[: (n_steps - epoch * steps_per_epoch) * batch_size].tolist()
            # shuffled here: the random numbers of cbackprop.pure are others
            self._network.train(
                [self._points[row] for row in rows],
                [self._targets[row] for row in rows],
                optimizer=pure.SGD(LEARNING_RATE),
                batch_size=batch_size,
                shuffle=False,
            )

    @property
    def parameters(self):
        return np.array(self._network.parameters)


class _Rows(dict):
    """The rows of an array as lists, made when first asked for: few of mnist's are, and all take
    250 MB."""

    def __init__(self, array):
        super().__init__()
        self._array = array

    def __missing__(self, row):
        self[row] = values = self._array[row].tolist()
        return values


def _seconds_of_a_multiplication():
    """One multiplication and addition of the longest sums, in pure Python."""
    x = [0.5 + i for i in range(1000)]
    rounds = []
    for _ in range(20):
        began = time.perf_counter()
        pure.dot(x, x)
        rounds.append(time.perf_counter() - began)
    return min(rounds) / len(x)
