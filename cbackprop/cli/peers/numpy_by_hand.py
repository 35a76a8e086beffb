"""NumPy, written by hand."""

import time
from itertools import pairwise

import numpy as np

from cbackprop.cli.peers.base import Peer, Predictor
from cbackprop.cli.workloads import LEARNING_RATE, orders

BLOCK_ROWS = 1000  # to predict at a time


class NumpyByHand(Peer):
    """The same steps written by hand, as well as NumPy can do them.

    - Every array is allocated before the first step, and every operation writes into one.
    - A data point is a column of activations, with a one below. A layer's biases follow its
      weights in `parameters`, so they are one more row of them: a single product of BLAS gives
      preactivations with biases, and a single one the gradients of both.
    - Inputs and targets are columns of one array: one `take` gathers a batch.
    - The learning rate is multiplied into the deltas of the outputs, the smallest array there is.
    - The sigmoid is the faster of two, which differs from processor to processor.
    """

    name = "NumPy"

    def __init__(self, problem):
        super().__init__(problem)
        ones = np.ones((len(problem.X), 1), problem.X.dtype)
        self._data = np.hstack([problem.X, ones, problem.targets()])
        self._parameters = problem.parameters.copy()
        self._steps = np.empty_like(self._parameters)
        batch_size = min(problem.batch_size, len(problem.X))
        self._batches = {
            n_rows: _Batch(problem, n_rows, self._parameters, self._steps)
            for n_rows in {batch_size, len(problem.X) % batch_size or batch_size}
        }
        self._sigmoid = _faster_sigmoid(self._batches[batch_size].widest)
        self._softmax = problem.output["output_activation"] == "softmax"

    def restart(self):
        self._parameters[:] = self.problem.parameters

    def train(self, n_steps):
        n_samples, batch_size = len(self._data), self.problem.batch_size
        n_epochs = n_steps // self.problem.steps_per_epoch
        for _, order in zip(range(n_epochs), orders(n_samples), strict=False):
            for start in range(0, n_samples, batch_size):
                rows = order[start : start + batch_size]
                self._step(rows, self._batches[len(rows)])

    def _step(self, rows, batch):
        """parameters -= learning_rate * the mean gradient of these rows"""
        # mode="raise" would take through a buffer
        self._data.take(rows, axis=0, out=batch.data, mode="clip")
        sigmoid = self._sigmoid
        for weights_T, below, preactivations in batch.hidden_layers:
            weights_T.dot(below, preactivations)
            sigmoid(preactivations, batch.one, batch.half)
        weights_T, below, outputs = batch.output_layer
        weights_T.dot(below, outputs)
        if self._softmax:
            _softmax(outputs, batch.row)

        np.subtract(outputs, batch.targets, outputs)
        np.multiply(outputs, batch.rate, outputs)
        for arrays in batch.layers_backward:
            below, deltas_T, steps, weights, deltas, activations, slopes, deltas_below = arrays
            below.dot(deltas_T, steps)
            weights.dot(deltas, deltas_below)
            np.subtract(batch.one, activations, slopes)
            np.multiply(slopes, activations, slopes)
            np.multiply(deltas_below, slopes, deltas_below)
        inputs, deltas_T, steps = batch.first_layer_backward
        inputs.dot(deltas_T, steps)
        np.subtract(self._parameters, self._steps, self._parameters)

    @property
    def parameters(self):
        return self._parameters


class _Batch:
    """The arrays and views for batches of one height, in the order in which a step needs them."""

    def __init__(self, problem, n_rows, parameters, steps):
        sizes, dtype = problem.layer_sizes, parameters.dtype
        n_in, n_outputs = sizes[0], sizes[-1]
        self.data = np.empty((n_rows, n_in + 1 + n_outputs), dtype)
        self.targets = self.data[:, n_in + 1 :].T
        self.one, self.half = np.array(1, dtype), np.array(0.5, dtype)
        self.rate = np.array(LEARNING_RATE / n_rows, dtype)
        self.row = np.empty((1, n_rows), dtype)

        inputs = self.data[:, : n_in + 1].T
        columns = [inputs] + [np.ones((size + 1, n_rows), dtype) for size in sizes[1:-1]]
        activations = [column[:-1] for column in columns]
        deltas = [np.empty((size, n_rows), dtype) for size in sizes[1:]]
        weights, weight_steps = (_blocks(flat, sizes) for flat in (parameters, steps))
        self.hidden_layers = [
            (weights[k].T, columns[k], activations[k + 1]) for k in range(len(weights) - 1)
        ]
        # the outputs become their deltas in place
        self.output_layer = weights[-1].T, columns[-1], deltas[-1]
        self.layers_backward = [
            (
                columns[k],
                deltas[k].T,
                weight_steps[k],
                weights[k][:-1],
                deltas[k],
                activations[k],
                np.empty_like(activations[k]),
                deltas[k - 1],
            )
            for k in range(len(weights) - 1, 0, -1)
        ]
        self.first_layer_backward = inputs, deltas[0].T, weight_steps[0]
        self.widest = max(deltas, key=np.size)


class NumpyPredictor(Predictor):
    """Columns of activations, all in place, in blocks of rows that stay in the cache."""

    name = "NumPy"

    def __init__(self, problem):
        super().__init__(problem)
        X, sizes = problem.X, problem.layer_sizes
        n_rows = min(BLOCK_ROWS, len(X))
        # a block that is shorter begins earlier instead
        starts = [*range(0, len(X) - n_rows, n_rows), len(X) - n_rows]
        self._out = np.empty((len(X), sizes[-1]), X.dtype)
        self._blocks = [
            (X[start : start + n_rows].T, self._out[start : start + n_rows].T) for start in starts
        ]
        self._layers = [
            (block[:-1].T, block[-1:].T, np.empty((block.shape[1], n_rows), X.dtype))
            for block in _blocks(problem.parameters, sizes)
        ]
        self._one, self._half = np.array(1, X.dtype), np.array(0.5, X.dtype)
        self._row = np.empty((1, n_rows), X.dtype)
        self._sigmoid = _faster_sigmoid(max((layer[2] for layer in self._layers), key=np.size))
        self._softmax = problem.output["output_activation"] == "softmax"

    def predict(self, n_calls):
        sigmoid, one, half = self._sigmoid, self._one, self._half
        *hidden_layers, (last_weights_T, last_biases, last) = self._layers
        for _ in range(n_calls):
            for activations, out in self._blocks:
                for weights_T, biases, preactivations in hidden_layers:
                    weights_T.dot(activations, preactivations)
                    np.add(preactivations, biases, preactivations)
                    sigmoid(preactivations, one, half)
                    activations = preactivations
                last_weights_T.dot(activations, last)
                np.add(last, last_biases, last)
                if self._softmax:
                    _softmax(last, self._row)
                out[:] = last
        return self._out


def _blocks(flat, sizes):
    """Views of shape (n_in + 1, n_out) for each layer: the weights and, below them, the biases."""
    blocks, start = [], 0
    for n_in, n_out in pairwise(sizes):
        stop = start + (n_in + 1) * n_out
        blocks.append(flat[start:stop].reshape(n_in + 1, n_out))
        start = stop
    return blocks


def _sigmoid_by_exp(z, one, half):
    """z := 1 / (1 + exp(-z))"""
    np.negative(z, z)
    np.exp(z, z)
    np.add(z, one, z)
    np.divide(one, z, z)


def _sigmoid_by_tanh(z, one, half):
    """z := 1/2 + 1/2 tanh(z / 2)"""
    np.multiply(z, half, z)
    np.tanh(z, z)
    np.multiply(z, half, z)
    np.add(z, half, z)


def _faster_sigmoid(like):
    """The one that takes less time on this processor for an array of this shape."""
    z = np.empty_like(like)
    one, half = np.array(1, z.dtype), np.array(0.5, z.dtype)

    def seconds(sigmoid):
        z.flat = np.linspace(-4, 4, z.size)
        began = time.perf_counter()
        for _ in range(10):
            sigmoid(z, one, half)
        return time.perf_counter() - began

    candidates = _sigmoid_by_exp, _sigmoid_by_tanh
    rounds = np.array([[seconds(sigmoid) for sigmoid in candidates] for _ in range(10)])
    return candidates[rounds.min(axis=0).argmin()]


def _softmax(z, row):
    """z := exp(z) / sum(exp(z)), of each column"""
    np.maximum.reduce(z, axis=0, out=row, keepdims=True)
    np.subtract(z, row, z)
    np.exp(z, z)
    np.add.reduce(z, axis=0, out=row, keepdims=True)
    np.divide(z, row, z)
