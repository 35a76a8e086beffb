"""PyTorch, eager and compiled."""

import logging
import time
from itertools import pairwise

import numpy as np
import torch
from torch import nn

from cbackprop.cli.peers.base import CannotTakePart, Peer, Predictor
from cbackprop.cli.peers.own import network_of
from cbackprop.cli.workloads import LEARNING_RATE, orders

LONGEST_COMPILATION = 60.0  # in seconds

# it would warn of a missing CUDA, in the middle of the table
logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)


class PyTorch(Peer):
    """`nn.Sequential` and `torch.optim.SGD`, eager."""

    name = "PyTorch"
    version = torch.__version__
    whole_epochs = False

    def __init__(self, problem):
        super().__init__(problem)
        torch.set_num_threads(1)
        self._model = _model(problem)
        self._X = torch.from_numpy(problem.X)
        if problem.layer_sizes[-1] == 1:
            self._y, loss = torch.from_numpy(problem.targets()), _half_squared_error
        else:
            self._y, loss = torch.from_numpy(problem.y), nn.functional.cross_entropy
        self._loss_of = lambda X, y: loss(self._model(X), y)
        # one kernel for a whole update: the fastest of its three ways
        self._optimizer = torch.optim.SGD(self._model.parameters(), LEARNING_RATE, fused=True)

    def restart(self):
        _set_weights(self._model, self.problem)

    def train(self, n_steps):
        taken = 0
        for order in orders(len(self._X)):
            for rows in torch.from_numpy(order).split(self.problem.batch_size):
                if taken == n_steps:
                    return
                self._step(rows)
                taken += 1

    def _step(self, rows):
        loss = self._loss_of(self._X[rows], self._y[rows])
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()

    @property
    def parameters(self):
        arrays = [array.detach().numpy().T.ravel() for array in self._model.parameters()]
        return np.concatenate(arrays)


class Compiled(PyTorch):
    """The network and its loss compiled for the heights of the full and of the short batch."""

    name = "torch.compile"

    def __init__(self, problem):
        super().__init__(problem)
        torch._dynamo.reset()  # it keeps no more than eight versions of a function
        self._loss_of = torch.compile(self._loss_of, dynamic=False)
        n_rows, batch_size = len(problem.X), min(problem.batch_size, len(problem.X))
        began = time.perf_counter()
        for height in {batch_size, n_rows % batch_size or batch_size}:
            try:
                self._step(torch.arange(height))
            except Exception as error:  # of many kinds: no compiler, a missing header, ...
                raise CannotTakePart(f"does not compile: {error}") from error
            seconds = time.perf_counter() - began
            if seconds > LONGEST_COMPILATION:
                raise CannotTakePart(f"compiling takes {seconds:.0f} s")


class PyTorchPredictor(Predictor):
    """A call of the module in `torch.inference_mode`."""

    name = "PyTorch"
    version = torch.__version__

    def __init__(self, problem):
        super().__init__(problem)
        torch.set_num_threads(1)
        self._model = _model(problem)
        _set_weights(self._model, problem)
        if problem.layer_sizes[-1] > 1:
            self._model.append(nn.Softmax(dim=1))
        self._X = torch.from_numpy(problem.X)

    def predict(self, n_calls):
        with torch.inference_mode():
            for _ in range(n_calls):
                outputs = self._model(self._X)
        return outputs.numpy()


def _model(problem):
    sizes, dtype = problem.layer_sizes, torch.from_numpy(problem.X).dtype
    layers = []
    for n_in, n_out in pairwise(sizes):
        layers += [nn.Linear(n_in, n_out, dtype=dtype), nn.Sigmoid()]
    return nn.Sequential(*layers[:-1])


def _set_weights(model, problem):
    network = network_of(problem)
    linear = [layer for layer in model if isinstance(layer, nn.Linear)]
    with torch.no_grad():
        for layer, weights, biases in zip(linear, network.weights, network.biases, strict=True):
            layer.weight.copy_(torch.from_numpy(weights.T))
            layer.bias.copy_(torch.from_numpy(biases))


def _half_squared_error(outputs, y):
    return 0.5 * nn.functional.mse_loss(outputs, y)
