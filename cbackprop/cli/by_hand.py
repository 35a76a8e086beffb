"""Training by hand in NumPy, as well as NumPy can do it: what cbackprop is timed against."""

import numpy as np


class NumpyNetwork:
    """Sigmoid hidden layers, a linear or softmax output, plain gradient descent.

    Everything is computed in place, in arrays that are allocated once; each product is one call
    of BLAS, and the update of all parameters is one subtraction.

    Parameters
    ----------
    layer_sizes : sequence of int
        Inputs, hidden units, outputs.
    parameters : ndarray of shape (n_parameters,)
        The start, in the order of `cbackprop.Network.parameters`; copied.
    output_activation, loss : {'identity', 'softmax'}, {'squared_error', 'log_loss'}
        Only these two pairs, for which the output's delta is prediction - target.
    """

    def __init__(self, layer_sizes, parameters, output_activation="identity", loss="squared_error"):
        if (output_activation, loss) not in {
            ("identity", "squared_error"),
            ("softmax", "log_loss"),
        }:
            raise ValueError(f"no {output_activation} output with loss {loss} here")
        self.layer_sizes = tuple(layer_sizes)
        self.output_activation = output_activation
        self.parameters = parameters.copy()
        self._gradient = np.empty_like(parameters)
        self.weights, self.biases = self._views(self.parameters)
        self._weight_grads, self._bias_grads = self._views(self._gradient)
        self._workspaces = {}

    def train(self, X, y, *, learning_rate, batch_size, n_epochs=1):
        """Epochs over the rows in their order; targets are (n_samples, n_outputs)."""
        batches = [
            (X[start : start + batch_size], y[start : start + batch_size])
            for start in range(0, len(X), batch_size)
        ]
        for _ in range(n_epochs):
            for X_batch, y_batch in batches:
                self.step(X_batch, y_batch, learning_rate)

    def step(self, X, y, learning_rate):
        """parameters -= learning_rate * the mean gradient of one batch"""
        activations, deltas, slopes = self._workspace(len(X))
        below = X
        for weights, biases, above in zip(self.weights, self.biases, activations, strict=True):
            np.matmul(below, weights, out=above)
            np.add(above, biases, out=above)
            if above is not activations[-1]:
                _sigmoid(above)
            below = above
        if self.output_activation == "softmax":
            _softmax(activations[-1])

        np.subtract(activations[-1], y, out=deltas[-1])
        for k in range(len(deltas) - 1, -1, -1):
            below = activations[k - 1] if k else X
            np.matmul(below.T, deltas[k], out=self._weight_grads[k])
            np.add.reduce(deltas[k], axis=0, out=self._bias_grads[k])
            if k:
                np.matmul(deltas[k], self.weights[k].T, out=deltas[k - 1])
                np.subtract(1, below, out=slopes[k - 1])
                slopes[k - 1] *= below
                deltas[k - 1] *= slopes[k - 1]

        self._gradient *= learning_rate / len(X)
        self.parameters -= self._gradient

    def _views(self, flat):
        """The weights and the biases of each layer in a flat block."""
        weights, biases, start = [], [], 0
        for n_in, n_out in zip(self.layer_sizes, self.layer_sizes[1:], strict=False):
            weights.append(flat[start : start + n_in * n_out].reshape(n_in, n_out))
            start += n_in * n_out
            biases.append(flat[start : start + n_out])
            start += n_out
        return weights, biases

    def _workspace(self, n_samples):
        """Activations, deltas and f' for batches of this many rows, allocated once."""
        if n_samples not in self._workspaces:
            self._workspaces[n_samples] = tuple(
                [np.empty((n_samples, n_out), self.parameters.dtype) for n_out in sizes]
                for sizes in (self.layer_sizes[1:], self.layer_sizes[1:], self.layer_sizes[1:-1])
            )
        return self._workspaces[n_samples]


def _sigmoid(z):
    """z := 1 / (1 + exp(-z))"""
    np.negative(z, out=z)
    np.exp(z, out=z)
    z += 1
    np.reciprocal(z, out=z)


def _softmax(z):
    """z := exp(z) / sum(exp(z)), of each row"""
    z -= z.max(axis=1, keepdims=True)
    np.exp(z, out=z)
    z /= z.sum(axis=1, keepdims=True)
