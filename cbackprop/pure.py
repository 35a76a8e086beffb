"""The network of cbackprop in pure Python: lists and floats, no NumPy.

This module is the specification in words, the judge of small cases, and the baseline that the
compiled engine is timed against. Names and meanings are those of the compiled package::

    activations[0]   = X
    preactivations   = activations[k] @ weights[k] + biases[k]
    activations[k+1] = f_k(preactivations)

    deltas[last]     = dC/d preactivations
                     = (activations[last] - y) * f'_last   for squared_error
                     = activations[last] - y               for the other losses
    deltas[k-1]      = (deltas[k] @ weights[k].T) * f'_{k-1}
    weight_grads[k]  = activations[k].T @ deltas[k]
    bias_grads[k]    = deltas[k].sum(axis=0)

    parameters      -= learning_rate * gradient

With shortcuts, what layers behind the first multiply is X and activations[k], side by side.

A matrix is a list of rows. Inputs are lists, too, and hardly checked: ill-shaped ones are not
found here.
"""
# ruff: noqa: B905 (strict= on every zip would drown the formulas)

import sys
from math import exp, inf, isfinite, log, sqrt, tanh
from operator import mul
from random import Random
from types import SimpleNamespace


def dot(x, y):
    """sum_i x_i y_i"""
    return sum(map(mul, x, y))


def transpose(A):
    """A.T"""
    return list(zip(*A))


def matmul_transposed(A, B):
    """A @ B.T, rows with rows: the cheapest product of two lists of rows"""
    return [[dot(a, b) for b in B] for a in A]


def transposed_matmul(A, B):
    """A.T @ B, all rows joined into one list"""
    if len(A) == 1:  # of one data point: no sums
        return [a * b for a in A[0] for b in B[0]]
    columns = transpose(B)
    return [dot(a, b) for a in zip(*A) for b in columns]


# ---- activations: a = f(z), and beside it f'(z) written in terms of a ----------------------


def sigmoid(z):
    """1 / (1 + exp(-z))"""
    # Both branches take the exponential of a number below zero: the other would overflow.
    return 1 / (1 + exp(-z)) if z >= 0 else exp(z) / (1 + exp(z))


def exponential(z):
    """exp(z), infinite where math.exp would raise an OverflowError"""
    return inf if z > log(sys.float_info.max) else exp(z)


def softmax(row):
    """exp(z_j) / sum_k exp(z_k), of a whole row at once"""
    # A shift of all z leaves the quotient as it is, and exp(z - max) cannot overflow.
    largest = max(row)
    exps = [exp(z - largest) for z in row]
    total = sum(exps)
    return [e / total for e in exps]


HIDDEN_ACTIVATIONS = {
    "identity": (lambda z: z, lambda a: 1.0),
    "sigmoid": (sigmoid, lambda a: a * (1 - a)),
    "tanh": (tanh, lambda a: 1 - a * a),
    "relu": (lambda z: max(z, 0.0), lambda a: 1.0 if a > 0 else 0.0),
    "softsign": (lambda z: z / (1 + abs(z)), lambda a: (1 - abs(a)) ** 2),
}
OUTPUT_ACTIVATIONS = HIDDEN_ACTIVATIONS | {
    "exp": (exponential, lambda a: a),
    "softmax": (softmax, None),  # goes with log_loss only, which needs no f'
}
ALIASES = {"logistic": "sigmoid"}


# ---- losses: of one output of one data point, target t, prediction p -----------------------
# Targets of log_loss are probabilities, of sum 1 for each point. The logarithms are infinite where
# p rounds to 0 or 1; the compiled losses start from the preactivations and stay finite there.


def xlogy(x, y):
    """x log(y), and 0 where x is 0"""
    return 0.0 if x == 0 else x * (log(y) if y > 0 else -inf)


LOSSES = {
    "squared_error": lambda t, p: 0.5 * (p - t) * (p - t),
    "log_loss": lambda t, p: -xlogy(t, p),
    "binary_log_loss": lambda t, p: -xlogy(t, p) - xlogy(1 - t, 1 - p),
    "poisson": lambda t, p: xlogy(t, t) - xlogy(t, p) - t + p,
}
OUTPUTS_OF_LOSS = {
    "squared_error": (*HIDDEN_ACTIVATIONS, "exp"),
    "log_loss": ("softmax",),
    "binary_log_loss": ("sigmoid",),
    "poisson": ("exp",),
}


# ---- update rules: the parameters after a step; what they remember is theirs ---------------


class SGD:
    """v = momentum * v - learning_rate * g;  parameters += v

    With `nesterov`, parameters += momentum * v - learning_rate * g, with the new v.
    """

    def __init__(self, learning_rate, momentum=0.0, nesterov=False):
        self.learning_rate, self.momentum, self.nesterov = learning_rate, momentum, nesterov
        self.velocity = None

    def step(self, parameters, gradient):
        """The parameters after one step."""
        eta, mu = self.learning_rate, self.momentum
        if mu == 0:
            return [p - eta * g for p, g in zip(parameters, gradient)]
        velocity = self.velocity or [0.0] * len(parameters)
        self.velocity = steps = [mu * v - eta * g for v, g in zip(velocity, gradient)]
        if self.nesterov:
            steps = [mu * v - eta * g for v, g in zip(self.velocity, gradient)]
        return [p + step for p, step in zip(parameters, steps)]


class Adam:
    """m = beta_1 * m + (1 - beta_1) * g;  v = beta_2 * v + (1 - beta_2) * g**2

    parameters -= learning_rate * sqrt(1 - beta_2**t) / (1 - beta_1**t) * m / (sqrt(v) + epsilon)
    at step t = 1, 2, ...; as in scikit-learn, epsilon is added to the uncorrected root.
    """

    def __init__(self, learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-8):
        self.learning_rate, self.epsilon = learning_rate, epsilon
        self.beta_1, self.beta_2 = beta_1, beta_2
        self.n_steps, self.mean_gradients, self.mean_squares = 0, None, None

    def step(self, parameters, gradient):
        """The parameters after one step."""
        zeros = [0.0] * len(parameters)
        beta_1, m = self.beta_1, self.mean_gradients or zeros
        beta_2, v = self.beta_2, self.mean_squares or zeros
        self.mean_gradients = [beta_1 * m_i + (1 - beta_1) * g for m_i, g in zip(m, gradient)]
        self.mean_squares = [beta_2 * v_i + (1 - beta_2) * g * g for v_i, g in zip(v, gradient)]
        self.n_steps = t = self.n_steps + 1
        rate = self.learning_rate * sqrt(1 - beta_2**t) / (1 - beta_1**t)
        moments = zip(parameters, self.mean_gradients, self.mean_squares)
        return [p - rate * m_i / (sqrt(v_i) + self.epsilon) for p, m_i, v_i in moments]


# ---- helpers of the network ----------------------------------------------------------------


def known(argument, name, names):
    """The name without its alias, or a ValueError that lists the names there are."""
    name = ALIASES.get(name, name)
    if name not in names:
        raise ValueError(f"{argument} is {name!r}; known are {', '.join(names)}")
    return name


def times_derivative(rows, name, activations):
    """rows * f'(preactivations), the derivative taken from the activations"""
    derivative = OUTPUT_ACTIVATIONS[name][1]
    return [[x * derivative(a) for x, a in zip(*pair)] for pair in zip(rows, activations)]


def shares(n_points, sample_weight, reduction):
    """What each point counts in a batch, and the divisor that is in it already."""
    weights = [1.0] * n_points if sample_weight is None else sample_weight
    divisor = {"mean": sum(weights), "sum": 1.0}[known("reduction", reduction, ("mean", "sum"))]
    return [w / divisor for w in weights], divisor


# ---- the network ---------------------------------------------------------------------------


class Network:
    """`cbackprop.Network` in pure Python: the same arguments and methods.

    The initial parameters have the same distribution but come from another stream:
    `random_state` is a seed for Python's `random.Random`, or such a generator. To compare the
    two networks, assign one's `parameters` to the other. `weights` and `biases` are copies.
    """

    def __init__(
        self,
        layer_sizes,
        activation="sigmoid",
        output_activation="identity",
        loss="squared_error",
        dtype="float64",
        random_state=None,
        *,
        shortcuts=False,
    ):
        self.layer_sizes = tuple(layer_sizes)
        self.shortcuts = shortcuts
        self._n_shortcuts = self.layer_sizes[0] if shortcuts else 0
        self._layers = list(zip(self.layer_sizes, self.layer_sizes[1:]))  # (n_in, n_out) of each
        self._layers[1:] = [(n_in + self._n_shortcuts, n_out) for n_in, n_out in self._layers[1:]]
        n_hidden = len(self._layers) - 1
        names = [activation] * n_hidden if isinstance(activation, str) else activation
        if len(names) != n_hidden:
            raise ValueError(f"activation has {len(names)} names for {n_hidden} hidden layers")
        self.activation = tuple(known("activation", name, HIDDEN_ACTIVATIONS) for name in names)
        self.output_activation = known("output_activation", output_activation, OUTPUT_ACTIVATIONS)
        self.loss = known("loss", loss, LOSSES)
        known(f"output_activation for {loss}", self.output_activation, OUTPUTS_OF_LOSS[loss])
        self.dtype = known("dtype", dtype, ("float64",))  # Python's floats are no other

        random = random_state if isinstance(random_state, Random) else Random(random_state)
        names = [activation] if isinstance(activation, str) else [*names, output_activation]
        factor = 2 if names[0] in ("sigmoid", "logistic") else 6
        self._parameters = []
        for n_in, n_out in self._layers:
            bound = sqrt(factor / (n_in + n_out))
            self._parameters += [random.uniform(-bound, bound) for _ in range((n_in + 1) * n_out)]
        self.n_parameters = len(self._parameters)

    @property
    def parameters(self):
        """One flat list: of each layer the weights, row by row, then the biases."""
        return list(self._parameters)

    @parameters.setter
    def parameters(self, values):
        if len(values) != self.n_parameters:
            raise ValueError(f"parameters has {len(values)} values, needed {self.n_parameters}")
        self._parameters = [float(value) for value in values]

    @property
    def weights(self):
        """A matrix of `n_in` rows and `n_out` columns for each layer."""
        return [weights for weights, _ in self._blocks()]

    @property
    def biases(self):
        """A list of `n_out` numbers for each layer."""
        return [biases for _, biases in self._blocks()]

    def _blocks(self):
        """Weights and biases of one layer after the other, cut from the flat list."""
        start = 0
        for n_in, n_out in self._layers:
            stop = start + n_in * n_out
            rows = [self._parameters[row : row + n_out] for row in range(start, stop, n_out)]
            start = stop + n_out
            yield rows, self._parameters[stop:start]

    def predict(self, X):
        """activations[last]"""
        return self.activations(X)[-1]

    def activations(self, X):
        """activations[k+1] = f_k(activations[k] @ weights[k] + biases[k])"""
        activations, inputs = [X], X
        names = (*self.activation, self.output_activation)
        for (weights, biases), name in zip(self._blocks(), names):
            f, columns, rows = OUTPUT_ACTIVATIONS[name][0], transpose(weights), []
            for a in inputs:
                z = [dot(a, column) + b for column, b in zip(columns, biases)]
                rows.append(f(z) if name == "softmax" else [f(z_j) for z_j in z])
            activations.append(rows)
            inputs = self._inputs(X, rows)
        return activations

    def _inputs(self, X, rows):
        """What a layer multiplies: the rows below it, with shortcuts behind those of X."""
        return [[*x, *a] for x, a in zip(X, rows)] if self.shortcuts else rows

    def _deltas(self, activations, y, shares):
        """deltas[k-1] = (deltas[k] @ weights[k].T) * f'_{k-1}, of each point times its share"""
        points = zip(activations[-1], y, shares)
        deltas = [[[share * (p - t) for p, t in zip(*pair)] for *pair, share in points]]
        if self.loss == "squared_error":
            deltas = [times_derivative(deltas[0], self.output_activation, activations[-1])]
        layers = list(zip(self.weights[1:], self.activation, activations[1:]))
        for weights, name, a in reversed(layers):
            below = matmul_transposed(deltas[0], weights[self._n_shortcuts :])
            deltas.insert(0, times_derivative(below, name, a))
        return deltas

    def deltas(self, X, y):
        """dC/d preactivations of each layer, point by point."""
        return self._deltas(self.activations(X), self._targets(y), [1.0] * len(X))

    def input_gradient(self, X, y):
        """dC/dX = deltas[0] @ weights[0].T, point by point; the sum over layers with shortcuts."""
        layers = list(zip(self.deltas(X, y), self.weights))[: None if self.shortcuts else 1]
        parts = [matmul_transposed(deltas, weights[: len(X[0])]) for deltas, weights in layers]
        return [[sum(terms) for terms in zip(*rows)] for rows in zip(*parts)]

    def _targets(self, y):
        """One row a point, also for a flat list of class numbers or of single outputs."""
        if hasattr(y[0], "__len__"):
            return y
        if self.loss == "log_loss":
            return [[float(k == label) for k in range(self.layer_sizes[-1])] for label in y]
        return [[target] for target in y]

    def _loss(self, predictions, y, shares):
        """sum over the points: share * sum over the outputs: C(target, prediction)"""
        C = LOSSES[self.loss]
        return dot(shares, [sum(map(C, target, p)) for target, p in zip(y, predictions)])

    def loss_value(self, X, y, sample_weight=None, reduction="mean"):
        """The points' losses, summed; for "mean" divided by the sum of their weights."""
        share, _ = shares(len(X), sample_weight, reduction)
        return self._loss(self.predict(X), self._targets(y), share)

    def loss_and_gradient(self, X, y, sample_weight=None, reduction="mean", alpha=0.0):
        """The loss and its gradient, in the order of `parameters`; `alpha` is that of `train`."""
        share, divisor = shares(len(X), sample_weight, reduction)
        y, activations = self._targets(y), self.activations(X)
        loss, gradient = self._loss(activations[-1], y, share), []
        inputs = [X, *(self._inputs(X, rows) for rows in activations[1:-1])]
        for a, deltas in zip(inputs, self._deltas(activations, y, share)):
            gradient += transposed_matmul(a, deltas)
            gradient += map(sum, zip(*deltas))
        if alpha:  # the L2 term: 1/2 alpha sum(W ** 2) / divisor, of weights but not of biases
            blocks = ((*rows, [0.0] * len(biases)) for rows, biases in self._blocks())
            W = [w for rows in blocks for row in rows for w in row]
            loss += 0.5 * alpha / divisor * dot(W, W)
            gradient = [g + alpha / divisor * w for g, w in zip(gradient, W)]
        return loss, gradient

    def train(
        self,
        X,
        y,
        *,
        optimizer,
        batch_size=None,
        n_epochs=1,
        shuffle=True,
        random_state=None,
        sample_weight=None,
        reduction="mean",
        alpha=0.0,
        tol=None,
        n_iter_no_change=10,
        callback=None,
    ):
        """Gradient descent over mini-batches; the loss of every epoch.

        `random_state` is a seed for `random.Random`, or such a generator. The other arguments
        are those of `cbackprop.Network.train`.
        """
        n_samples, y = len(X), self._targets(y)
        batch_size = batch_size or n_samples
        weights = [1.0] * n_samples if sample_weight is None else sample_weight
        random = random_state if isinstance(random_state, Random) else Random(random_state)
        losses, best, epochs_without_gain = [], inf, 0
        for epoch in range(1, n_epochs + 1):
            order = random.sample(range(n_samples), n_samples) if shuffle else range(n_samples)
            last_finished, epoch_loss = self._parameters, 0.0
            for start in range(0, n_samples, batch_size):
                batch = order[start : start + batch_size]
                points, targets, w = ([values[s] for s in batch] for values in (X, y, weights))
                if not any(w):
                    continue  # no weight, no news: no step, and none of Adam's counter
                loss, gradient = self.loss_and_gradient(points, targets, w, reduction, alpha)
                epoch_loss += loss if reduction == "sum" else loss * len(batch) / n_samples
                self._parameters = optimizer.step(self._parameters, gradient)
            if not all(map(isfinite, (epoch_loss, *self._parameters))):
                self._parameters = last_finished
                raise ValueError(f"the loss or a parameter is not finite in epoch {epoch}")
            losses.append(epoch_loss)
            if callback and callback(SimpleNamespace(epoch=epoch, loss=epoch_loss, network=self)):
                break
            if tol is not None:
                failed = epoch_loss > best - tol
                epochs_without_gain = epochs_without_gain + 1 if failed else 0
                best = min(best, epoch_loss)
                if epochs_without_gain > n_iter_no_change:
                    break
        return losses
