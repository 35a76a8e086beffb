"""Networks, losses and derivatives as the textbook has them, and cases to hold ours against.

Derivatives are differences along random directions: each touches every parameter, and keeps the
sign.
"""

import numpy as np

from cbackprop import Network

STEP = 1e-4
# relu, and the second derivative of softsign, jump at 0: no preactivation may come close to it.
MARGIN = 50 * STEP

ACTIVATIONS = {
    "identity": lambda z: z,
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(z, 0),
    "softsign": lambda z: z / (1 + np.abs(z)),
    "exp": np.exp,
    "softmax": lambda z: np.exp(z) / np.exp(z).sum(axis=1, keepdims=True),
}
HIDDEN = ["identity", "sigmoid", "tanh", "relu", "softsign"]


def xlogy(x, y):
    return np.where(x == 0, 0, x * np.log(np.where(x == 0, 1, y)))


# z: the last preactivations, p: predictions, t: targets; one loss a row
LOSSES = {
    "squared_error": lambda z, p, t: ((p - t) ** 2).sum(axis=1) / 2,
    "log_loss": lambda z, p, t: -xlogy(t, p).sum(axis=1),
    # -t log(p) - (1 - t) log(1 - p), without 1 - p: next to p = 1 it has few digits
    "binary_log_loss": lambda z, p, t: (np.logaddexp(0, z) - t * z).sum(axis=1),
    "poisson": lambda z, p, t: (xlogy(t, t / p) - t + p).sum(axis=1),
}
PAIRS = [
    *(("squared_error", output) for output in [*HIDDEN, "exp"]),
    ("log_loss", "softmax"),
    ("binary_log_loss", "sigmoid"),
    ("poisson", "exp"),
]
# Around one vector and one panel, no hidden layer to three. Layers of one to three outputs and more
# inputs, which the engine keeps transposed, come first, last and in the middle; so do layers of as
# few outputs and no more inputs.
LINEAR = [(3, 1), (33, 2), (17, 3), (2, 3), (5, 16), (16, 17)]
DEEP = [(2, 2, 1), (16, 33, 2), (33, 3, 33, 1), (5, 17, 2, 16), (3, 16, 17, 33, 2)]
MIXED = (9, 17, 16, 2), ["tanh", "sigmoid"]
CASES = [
    *((sizes, [], *pair) for sizes in LINEAR for pair in PAIRS),
    *((sizes, hidden, *pair) for sizes in DEEP for hidden in HIDDEN for pair in PAIRS),
    *((sizes, "tanh", *pair) for sizes in [(17, 16, 3), (4, 17, 17)] for pair in PAIRS),
    *(((40, 1, 1, 5, 3), "sigmoid", *pair) for pair in PAIRS),
]


def reference(network, parameters, X, y, shifts=()):
    """The loss of every row, in float64; shifts: (layer, what is added to its preactivations)"""
    start, activations = 0, X
    names = (*network.activation, network.output_activation)
    for k, (n_in, n_out) in enumerate(weights.shape for weights in network.weights):
        weights = parameters[start : start + n_in * n_out].reshape(n_in, n_out)
        biases = parameters[start + n_in * n_out : start + (n_in + 1) * n_out]
        start += (n_in + 1) * n_out
        inputs = np.hstack([X, activations]) if network.shortcuts and k > 0 else activations
        preactivations = inputs @ weights + biases + dict(shifts).get(k, 0)
        activations = ACTIVATIONS[names[k]](preactivations)
    return LOSSES[network.loss](preactivations, activations, y)


def directional_derivative(f, direction):
    """df along a direction at 0, by central differences of order 4"""
    near = f(STEP * direction) - f(-STEP * direction)
    far = f(2 * STEP * direction) - f(-2 * STEP * direction)
    return (8 * near - far) / (12 * STEP)


def check_derivative(f, derivative, rng, axis=None):
    """The derivative of f at 0, along five directions; axis=1: of each row of f by itself."""
    scale = np.abs(f(np.zeros_like(derivative))).max()
    for _ in range(5):
        direction = rng.normal(size=derivative.shape)
        direction /= np.linalg.norm(direction, axis=axis, keepdims=True)
        expected = directional_derivative(f, direction)
        got = (derivative * direction).sum(axis=axis)
        # The differences are exact up to the rounding of f, divided by the step.
        np.testing.assert_allclose(got, expected, rtol=1e-8, atol=1e-16 / STEP * 10 * (1 + scale))


def check_deltas(network, X, y, rng):
    """The deltas of every layer, and dC/dX.

    Each row's loss depends on its own preactivations only: rows are judged one by one.
    """
    parameters = network.parameters
    deltas = network.deltas(X, y)
    assert [layer.shape for layer in deltas] == [(len(X), n) for n in network.layer_sizes[1:]]
    for k, layer in enumerate(deltas):

        def by_preactivations(shift, k=k):
            return reference(network, parameters, X, y, [(k, shift)])

        check_derivative(by_preactivations, layer, rng, axis=1)
    gradient = network.input_gradient(X, y)
    assert gradient.shape == X.shape
    check_derivative(
        lambda shift: reference(network, parameters, X + shift, y), gradient, rng, axis=1
    )


def make_targets(loss, n_samples, n_outputs, rng):
    if loss == "squared_error":
        return rng.normal(size=(n_samples, n_outputs))
    if loss == "poisson":
        return rng.poisson(1.5, size=(n_samples, n_outputs)).astype(float)
    y = rng.uniform(size=(n_samples, n_outputs))
    y[rng.uniform(size=y.shape) < 0.2] = 0  # where t log(p) has its limit
    if loss == "binary_log_loss":
        y[rng.uniform(size=y.shape) < 0.2] = 1
        return y
    y[y.sum(axis=1) == 0] = 1
    return y / y.sum(axis=1, keepdims=True)


def make_case(
    layer_sizes,
    activation,
    loss,
    output_activation,
    n_samples=5,
    dtype="float64",
    *,
    shortcuts=False,
):
    """A network and data on which every derivative is smooth."""
    rng = np.random.default_rng(sum(layer_sizes))
    options = {"shortcuts": shortcuts}
    network = Network(
        layer_sizes, activation, output_activation, loss, dtype, random_state=1, **options
    )
    # larger than at the beginning, where all is nearly linear
    network.parameters = 1.5 * network.parameters
    candidates = rng.normal(size=(100 + 10 * n_samples, layer_sizes[0]))
    network64 = Network(layer_sizes, activation, output_activation, loss, **options)
    network64.parameters = network.parameters
    smooth = [True] * len(candidates)
    inputs = candidates
    names = (*network.activation, output_activation)
    for weights, biases, name in zip(network64.weights, network64.biases, names, strict=True):
        preactivations = inputs @ weights + biases
        activations = ACTIVATIONS[name](preactivations)
        inputs = np.hstack([candidates, activations]) if shortcuts else activations
        if name in ("relu", "softsign"):
            smooth = smooth & (np.abs(preactivations) > MARGIN).all(axis=1)
    X = candidates[smooth][:n_samples]
    assert len(X) == n_samples
    return network, X, make_targets(loss, n_samples, layer_sizes[-1], rng), rng
