"""Each kernel of each variant in both precisions, against the slow and obvious in NumPy's float64.

The sizes lie around the length of a panel, the heights of the tiles and the blocks of 256 along a sum; all memory
ends at a forbidden page, or begins behind one (see conftest.py).
"""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

HIDDEN = ["sigmoid", "tanh", "relu", "softsign", "exp"]
FORWARD = {
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(z, 0),
    "softsign": lambda z: z / (1 + np.abs(z)),
    "exp": np.exp,
    "identity": lambda z: z,
}
DERIVATIVE = {
    "sigmoid": lambda a: a * (1 - a),
    "tanh": lambda a: (1 - a) * (1 + a),  # 1 - a**2 would lose digits, even in float64
    "relu": lambda a: (a > 0).astype(float),
    "softsign": lambda a: (1 - np.abs(a)) ** 2,
    "exp": lambda a: a,
    "identity": np.ones_like,
}
STEP = {
    "learning_rate": 0.25,
    "scale": 1 / 7,
    "alpha": 0.5,
    "momentum": 0.875,
    "beta_1": 0.875,
    "beta_2": 0.96875,
    "epsilon": 1e-3,
}
NOT_FINITE = [np.nan, np.inf, -np.inf]


def around(lanes):
    """Sizes around the length of a panel."""
    return [1, 2, lanes - 1, lanes, lanes + 1, 2 * lanes, 2 * lanes + 3]


def product_shapes(lanes):
    """(n_rows, n_in, n_out): every height of a tile, and every size for every number of panels."""
    heights = product(range(1, 18), [lanes + 1], [1, 2 * lanes + 3])
    widths = product([3, 8], around(lanes), around(lanes) + [4 * lanes])
    return [*heights, *widths, *product([1, 7], [255, 256, 257, 513], [1, lanes + 1])]


def wide(*arrays):
    """The same numbers in float64"""
    return [np.asarray(array, np.float64) for array in arrays]


def assert_near(got, expected, bound, *where):
    """|got - expected| <= bound, element by element."""
    got = np.asarray(got, np.float64)
    assert got.shape == np.shape(expected), where
    worst = np.max(np.abs(got - expected) / np.maximum(bound, np.finfo(np.float64).tiny), initial=0)
    assert worst <= 1, (*where, worst)


# ---- the products of a layer ----


def check_forward(kernels, n_rows, n_in, n_out, activation="identity", in_stride=None, out_stride=None):
    X, W, b = kernels.random(n_rows, n_in), kernels.random(n_in, n_out), kernels.random(n_out)
    out = kernels.empty(n_rows, n_out, out_stride)
    # the kernel reads no column behind n_in
    inputs = kernels.panels(X, in_stride, pad=np.nan)
    kernels.run.forward(
        inputs.memory, inputs.stride, kernels.panels(W).memory, kernels.panels(b[None]).memory,
        n_in, out.rows.shape[1], n_rows, activation, out.memory, out.stride,
    )  # fmt: skip
    X, W, b = wide(X, W, b)
    z = X @ W + b
    bound = (n_in + 8) * kernels.epsilon * (np.abs(X) @ np.abs(W) + np.abs(b))
    expected = FORWARD[activation](z)
    # every activation but exp changes by less than its argument
    steepness = np.maximum(1, np.abs(expected)) if activation == "exp" else 1
    assert_near(out.matrix, expected, 2 * bound * steepness, n_rows, n_in, n_out, activation)
    at_zero = FORWARD[activation](np.zeros(1))[0]
    assert_near(out.pads, np.full(out.pads.shape, at_zero), kernels.epsilon)


def test_forward(kernels):
    for n_rows, n_in, n_out in product_shapes(kernels.lanes):
        check_forward(kernels, n_rows, n_in, n_out)


@pytest.mark.parametrize("activation", HIDDEN)
def test_forward_activates_every_panel(kernels, activation):
    for n_out in around(kernels.lanes):
        check_forward(kernels, 9, 5, n_out, activation)


def test_forward_without_biases(kernels):
    for n_out in around(kernels.lanes):
        X, W = kernels.random(7, 3), kernels.random(3, n_out)
        out = kernels.empty(7, n_out, 9)
        kernels.run.forward(
            kernels.panels(X).memory, 7, kernels.panels(W).memory, None, 3, out.rows.shape[1], 7, "identity",
            out.memory, 9,
        )  # fmt: skip
        X, W = wide(X, W)
        assert_near(out.matrix, X @ W, 8 * kernels.epsilon * (np.abs(X) @ np.abs(W)), n_out)
        assert (out.pads == 0).all()


def check_few_forward(kernels, n_rows, n_in, n_out, stride=None):
    X, W, b = kernels.random(n_rows, n_in), kernels.random(n_in, n_out), kernels.random(n_out)
    # the weights there are zero, so any finite number may stand behind the last input
    inputs = kernels.panels(X, stride, pad=0.5)
    weights = kernels.empty(inputs.rows.shape[1], n_out * kernels.lanes).memory
    kernels.run.pack_few(kernels.numbers(W), n_in, n_out, weights)
    out = kernels.empty(n_rows, n_out)
    kernels.run.few_forward(
        inputs.memory, inputs.stride, weights, kernels.panels(b[None]).memory,
        inputs.rows.shape[1], n_out, n_rows, out.memory,
    )  # fmt: skip
    X, W, b = wide(X, W, b)
    bound = (n_in + 8) * kernels.epsilon * (np.abs(X) @ np.abs(W) + np.abs(b))
    assert_near(out.matrix, X @ W + b, bound, n_rows, n_in, n_out)
    assert (out.pads == 0).all()


def test_few_forward(kernels):
    for n_rows, n_out in product(range(1, 10), [1, 2, 3]):
        for n_in in around(kernels.lanes) + [257]:
            check_few_forward(kernels, n_rows, n_in, n_out)


def check_deltas_below(kernels, n_rows, n_in, n_out, activation="identity", stride=None, below_stride=None,
                       panels=None):  # fmt: skip
    D, W = kernels.random(n_rows, n_out), kernels.random(n_in, n_out)
    A = FORWARD[activation](kernels.random(n_rows, n_in)).astype(kernels.dtype)
    # the kernel reads no column behind n_out, neither of the deltas nor of the weights
    deltas, weights = kernels.panels(D, stride, pad=np.nan), kernels.panels(W, pad=np.nan)
    activations = kernels.panels(A, below_stride, pad=0.5)
    out = kernels.empty(n_rows, n_in, below_stride)
    first, last = panels or (0, out.rows.shape[1])
    kernels.run.deltas_below(
        deltas.memory, deltas.stride, weights.memory, n_in, n_out, first, last, n_rows, activation,
        activations.memory, activations.stride, kernels.guarded((kernels.run.scratch_rows, kernels.lanes), kernels.dtype),
        out.memory, out.stride,
    )  # fmt: skip
    D, W, A = wide(D, W, A)
    slope = DERIVATIVE[activation](A)
    expected = (D @ W.T) * slope
    bound = (n_out + 8) * kernels.epsilon * (np.abs(D) @ np.abs(W).T) * slope
    asked = slice(first * kernels.lanes, min(last * kernels.lanes, n_in))
    assert_near(out.matrix[:, asked], expected[:, asked], bound[:, asked], n_rows, n_in, n_out, activation)
    if last == out.rows.shape[1]:
        assert (out.pads == 0).all()
    assert np.isnan(out.rows[:, :first]).all()
    assert np.isnan(out.rows[:, last:]).all()


def test_deltas_below(kernels):
    for n_rows, n_out, n_in in product_shapes(kernels.lanes):
        check_deltas_below(kernels, n_rows, n_in, n_out)


@pytest.mark.parametrize("activation", HIDDEN)
def test_deltas_below_applies_the_derivative_to_every_panel(kernels, activation):
    for n_in in around(kernels.lanes):
        check_deltas_below(kernels, 9, n_in, 5, activation)


def test_deltas_below_writes_only_the_panels_asked_for(kernels):
    n_in = 4 * kernels.lanes + 1
    for panels in [(0, 1), (1, 2), (0, 2), (1, 4), (2, 5), (4, 5), (3, 3)]:
        check_deltas_below(kernels, 3, n_in, kernels.lanes + 1, "tanh", panels=panels)


def check_gradients(kernels, n_rows, n_in, n_out, act_stride=None, stride=None, panels=None):
    A, D = kernels.random(n_rows, n_in), kernels.random(n_rows, n_out)
    # the kernel reads no column behind n_in
    activations, deltas = kernels.panels(A, act_stride, pad=np.nan), kernels.panels(D, stride)
    out = kernels.empty(n_in, n_out)
    first, last = panels or (0, activations.rows.shape[1])
    kernels.run.gradients(
        activations.memory, activations.stride, deltas.memory, deltas.stride, n_in, first, last,
        deltas.rows.shape[1], n_rows, None, out.memory,
    )  # fmt: skip
    A, D = wide(A, D)
    asked = slice(first * kernels.lanes, last * kernels.lanes)
    bound = (n_rows + 2) * kernels.epsilon * (np.abs(A).T @ np.abs(D))
    assert_near(out.matrix[asked], (A.T @ D)[asked], bound[asked], n_rows, n_in, n_out)
    assert (out.pads[asked] == 0).all()
    assert np.isnan(out.rows[: asked.start]).all()
    assert np.isnan(out.rows[asked.stop :]).all()


def test_gradients(kernels):
    lanes = kernels.lanes
    features = product([5], range(1, 2 * lanes + 4), [1, 2 * lanes + 3])
    for n_rows, n_in, n_out in [*features, *product_shapes(lanes)]:
        check_gradients(kernels, n_rows, n_in, n_out)


def test_gradients_writes_only_the_panels_asked_for(kernels):
    n_in = 3 * kernels.lanes + 1
    for panels in [(0, 1), (1, 2), (0, 2), (1, 4), (3, 4), (2, 2)]:
        check_gradients(kernels, 3, n_in, 2 * kernels.lanes + 1, panels=panels)


def test_bias_gradients(kernels):
    for n_rows, n_out in product([1, 2, 3, 17], around(kernels.lanes)):
        D = kernels.random(n_rows, n_out)
        deltas, out = kernels.panels(D, n_rows + 2), kernels.empty(1, n_out)
        kernels.run.bias_gradients(deltas.memory, deltas.stride, out.rows.shape[1], n_rows, None, out.memory)
        (D,) = wide(D)
        bound = n_rows * kernels.epsilon * np.abs(D).sum(axis=0, keepdims=True)
        assert_near(out.matrix, D.sum(axis=0, keepdims=True), bound, n_rows, n_out)
        assert (out.pads == 0).all()


def test_gradients_with_a_step_descend(kernels):
    n_rows, n_in, n_out = 7, kernels.lanes + 2, 2 * kernels.lanes + 3
    A, D = kernels.random(n_rows, n_in), kernels.random(n_rows, n_out)
    W, b = kernels.random(n_in, n_out), kernels.random(1, n_out)
    weights, biases, deltas = kernels.panels(W), kernels.panels(b), kernels.panels(D)
    kernels.run.gradients(
        kernels.panels(A).memory, n_rows, deltas.memory, n_rows, n_in, 0, 2, 3, n_rows, STEP, weights.memory
    )
    kernels.run.bias_gradients(deltas.memory, n_rows, 3, n_rows, STEP, biases.memory)
    A, D, W, b = wide(A, D, W, b)
    rate, scale, alpha = STEP["learning_rate"], STEP["scale"], STEP["alpha"]
    bound = 4 * n_rows * kernels.epsilon
    size = np.abs(A).T @ np.abs(D) + np.abs(W)
    assert_near(weights.matrix, W - rate * scale * (A.T @ D + alpha * W), bound * size)
    # alpha is for weights alone
    assert_near(biases.matrix, b - rate * scale * D.sum(axis=0), bound * (np.abs(b) + np.abs(D).sum(axis=0)))
    assert (weights.pads == 0).all()
    assert (biases.pads == 0).all()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    n_rows=st.integers(1, 40), n_in=st.integers(1, 80), n_out=st.integers(1, 80),
    slack_in=st.integers(0, 5), slack_out=st.integers(0, 5), few=st.integers(1, 3),
)  # fmt: skip
def test_products_of_any_shape_at_any_stride(kernels, n_rows, n_in, n_out, slack_in, slack_out, few):
    in_stride, out_stride = n_rows + slack_in, n_rows + slack_out
    check_forward(kernels, n_rows, n_in, n_out, "sigmoid", in_stride, out_stride)
    check_few_forward(kernels, n_rows, n_in, few, in_stride)
    check_deltas_below(kernels, n_rows, n_in, n_out, "softsign", out_stride, in_stride)
    check_gradients(kernels, n_rows, n_in, n_out, in_stride, out_stride)


# ---- passes over a panel ----


@pytest.mark.parametrize("name", [*HIDDEN, "log", "log1p"])
def test_activations(kernels, name):
    formula = FORWARD | {"log": np.log, "log1p": np.log1p}
    for n_rows in [1, 2, 3, 7]:
        z = kernels.random(n_rows, kernels.lanes)
        if name.startswith("log"):
            z = np.abs(z) % 1
        rows = kernels.numbers(z)
        kernels.run.activate(name, rows, n_rows)
        (z,) = wide(z)
        bound = 4 * kernels.epsilon * np.abs(formula[name](z))
        assert_near(rows, formula[name](z), bound, n_rows)


def test_relu_keeps_nan_and_softsign_keeps_the_sign(kernels):
    rows = kernels.numbers([[np.nan, -0.0, 0.0, -np.inf, np.inf] + [1.0] * (kernels.lanes - 5)])
    kernels.run.activate("relu", rows, 1)
    np.testing.assert_array_equal(rows[0, :6], [np.nan, 0, 0, 0, np.inf, 1])
    largest = np.finfo(kernels.dtype).max
    rows = kernels.numbers([[-largest, largest, np.nan, -1.0] + [0.0] * (kernels.lanes - 4)])
    kernels.run.activate("softsign", rows, 1)
    np.testing.assert_array_equal(rows[0, :5], [-1, 1, np.nan, -0.5, 0])


@pytest.mark.parametrize("name", HIDDEN)
def test_derivatives(kernels, name):
    for n_rows in [1, 2, 3, 7]:
        z = kernels.random(n_rows, kernels.lanes)
        z[0, 0] = 0
        A, D = FORWARD[name](z).astype(kernels.dtype), kernels.random(n_rows, kernels.lanes)[::-1]
        deltas = kernels.numbers(D)
        kernels.run.derivative(name, kernels.numbers(A), n_rows, deltas)
        A, D = wide(A, D)
        expected = D * DERIVATIVE[name](A)
        assert_near(deltas, expected, 4 * kernels.epsilon * np.abs(expected), n_rows)


def test_softmax(kernels):
    for n_rows, n_out in product([1, 2, 5], around(kernels.lanes)):
        z = 3 * kernels.random(n_rows, n_out)
        rows = kernels.panels(z, n_rows + 1, pad=7.0)
        kernels.run.softmax(rows.memory, rows.stride, n_out, n_rows)
        (z,) = wide(z)
        expected = np.exp(z - z.max(axis=1, keepdims=True))
        expected /= expected.sum(axis=1, keepdims=True)
        bound = (8 + np.ptp(z)) * kernels.epsilon * expected
        assert_near(rows.matrix, expected, bound, n_rows, n_out)
        assert (rows.pads == 0).all()


def test_softmax_of_large_numbers(kernels):
    for n_out in [3, kernels.lanes + 2]:
        z = np.full((1, n_out), -1e30)
        z[0, [0, -1]] = 1e30
        rows = kernels.panels(z)
        kernels.run.softmax(rows.memory, 1, n_out, 1)
        np.testing.assert_array_equal(rows.matrix[0], np.where(z[0] > 0, 0.5, 0))


# ---- losses ----


def squared_error(z, y):
    return 0.5 * (z - y) ** 2, z, z - y


def log_loss(z, y):
    shifted = z - z.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return -y * log_p, np.exp(log_p), np.exp(log_p) - y


def binary_log_loss(z, y):
    with np.errstate(over="ignore"):
        p = 1 / (1 + np.exp(-z))
    return np.logaddexp(0, z) - y * z, p, p - y


def poisson(z, y):
    y_log_y = y * np.log(np.where(y > 0, y, 1))
    return y_log_y - y * z - y + np.exp(z), np.exp(z), np.exp(z) - y


LOSSES = {
    "squared_error": squared_error,
    "log_loss": log_loss,
    "binary_log_loss": binary_log_loss,
    "poisson": poisson,
}


def targets_for(loss, rng, n_rows, n_out):
    """Targets in eighths: exact in each precision, and probabilities in rows whose sum is 1."""
    if loss == "log_loss":
        return rng.multinomial(8, np.full(n_out, 1 / n_out), size=n_rows) / 8
    # with zeros among them, as Poisson's targets and binary classes have
    return rng.integers(0, 9, size=(n_rows, n_out)) / 8


def check_loss(kernels, name, z, y, weights=None, stride=None):
    n_rows, n_out = z.shape
    outputs, targets = kernels.panels(z, stride), kernels.panels(y, stride)
    deltas = kernels.empty(n_rows, n_out, stride)
    total = kernels.run.loss(
        name, outputs.memory, targets.memory, None if weights is None else kernels.numbers(weights),
        outputs.stride, n_out, n_rows, deltas.memory,
    )  # fmt: skip
    z, y = wide(z, y)
    terms, expected_outputs, expected_deltas = LOSSES[name](z, y)
    factors = np.ones((n_rows, 1)) if weights is None else np.reshape(weights, (-1, 1))
    # Rounding is relative to the parts that a loss is the difference of.
    size = 1 + np.abs(z) * (1 + y) + np.abs(y) + np.abs(expected_outputs)
    bound = 8 * kernels.epsilon * size
    assert_near(outputs.matrix, expected_outputs, bound, name, n_out)
    assert_near(deltas.matrix, factors * expected_deltas, factors * bound, name, n_out)
    assert (deltas.pads == 0).all()
    if name == "squared_error":
        size = size**2
    rounding = (n_rows + n_out + 8) * kernels.epsilon * (factors * size).sum()
    assert_near(total, (factors * terms).sum(), rounding, name, n_out)
    return total


@pytest.mark.parametrize("name", LOSSES)
def test_losses(kernels, name):
    for n_rows, n_out in product([1, 2, 5], around(kernels.lanes)):
        rng = np.random.default_rng(n_out)
        z, y = 2 * kernels.random(n_rows, n_out), targets_for(name, rng, n_rows, n_out)
        unweighted = check_loss(kernels, name, z, y, stride=n_rows + 2)
        assert check_loss(kernels, name, z, y, weights=np.ones(n_rows)) == unweighted
        weights = np.array([0.5, 3.0, 0.0, 1.0, 0.125])[:n_rows]
        check_loss(kernels, name, z, y, weights)


@pytest.mark.parametrize("name", ["log_loss", "binary_log_loss"])
def test_classification_losses_are_finite_far_out(kernels, name):
    for n_out in [2, kernels.lanes + 1]:
        z = np.tile([1000.0, -1000.0], (4, n_out))[:, :n_out]
        y = np.zeros_like(z)
        y[[0, 1], [0, 1]] = 1  # right, then wrong
        y[[2, 3], [-1, -2]] = 1
        for row in range(4):
            assert math.isfinite(check_loss(kernels, name, z[[row]], y[[row]]))


def test_poisson_far_out(kernels):
    z, y = np.array([[-1000.0, -1000.0, 80.0]]), np.array([[0.0, 2.0, 0.0]])
    check_loss(kernels, "poisson", z, y)
    outputs, deltas = kernels.panels(np.array([[1000.0, 0.0]])), kernels.empty(1, 2)
    targets = kernels.panels(np.array([[0.0, 1.0]]))
    assert kernels.run.loss("poisson", outputs.memory, targets.memory, None, 1, 2, 1, deltas.memory) == np.inf
    np.testing.assert_array_equal(deltas.matrix, [[np.inf, 0]])


@pytest.mark.parametrize("name", LOSSES)
def test_losses_of_weight_zero_are_left_out(kernels, name):
    z, y = kernels.random(2, 3), targets_for(name, np.random.default_rng(0), 2, 3)
    alone = check_loss(kernels, name, z[:1], y[:1], np.ones(1))
    assert check_loss(kernels, name, z, y, np.array([1.0, 0.0])) == alone


# ---- updates ----


def sgd(w, g, first, second, step):
    return w - step["learning_rate"] * g, first, second


def momentum(w, g, first, second, step):
    velocity = step["momentum"] * first - step["learning_rate"] * g
    return w + velocity, velocity, second


def nesterov(w, g, first, second, step):
    velocity = step["momentum"] * first - step["learning_rate"] * g
    return w + step["momentum"] * velocity - step["learning_rate"] * g, velocity, second


def adam(w, g, first, second, step):
    first = step["beta_1"] * first + (1 - step["beta_1"]) * g
    second = step["beta_2"] * second + (1 - step["beta_2"]) * g**2
    return w - step["learning_rate"] * first / (np.sqrt(second) + step["epsilon"]), first, second


RULES = {"sgd": sgd, "momentum": momentum, "nesterov": nesterov, "adam": adam}


@pytest.mark.parametrize("rule", RULES)
def test_updates(kernels, rule):
    for n_rows in [1, 2, 5]:
        w, first, second = (kernels.random(n, n_rows, kernels.lanes)[0] for n in (1, 2, 3))
        second = np.abs(second)
        memory = [kernels.numbers(array) for array in (w, first, second)]
        used = {"sgd": 1, "momentum": 2, "nesterov": 2, "adam": 3}[rule]
        w, first, second = wide(w, first, second)
        for turn in range(3):
            gradients = kernels.random(4 + turn, n_rows, kernels.lanes)[0]
            state = (memory[1:used] + [None, None])[:2]
            kernels.run.update(rule, kernels.numbers(gradients), n_rows, STEP, *state, memory[0])
            g = STEP["scale"] * (np.float64(gradients) + STEP["alpha"] * w)
            w, first, second = RULES[rule](w, g, first, second, STEP)
        for got, expected in zip(memory[:used], (w, first, second), strict=False):
            assert_near(got, expected, 30 * kernels.epsilon, n_rows)


# ---- sums ----


def test_add_rows(kernels):
    for n_rows in [1, 2, 5]:
        a, b = kernels.random(n_rows, kernels.lanes), kernels.random(1, n_rows, kernels.lanes)[0]
        out = kernels.numbers(b)
        kernels.run.add_rows(kernels.numbers(a), n_rows, out)
        # one addition is rounded once, here as there
        np.testing.assert_array_equal(out, a + b)


def test_sum_of_squares(kernels):
    assert kernels.run.sum_of_squares(kernels.numbers(np.empty((0, kernels.lanes))), 0) == 0
    for n_rows in [*range(1, 18), 100]:
        rows = kernels.random(n_rows, kernels.lanes)
        expected = (np.float64(rows) ** 2).sum()
        bound = (n_rows + 8) * kernels.epsilon * expected
        assert_near(kernels.run.sum_of_squares(kernels.numbers(rows), n_rows), expected, bound, n_rows)


def test_all_finite(kernels):
    largest = np.finfo(kernels.dtype).max
    for n_rows in [1, 2, 5]:
        rows = kernels.numbers(np.full((n_rows, kernels.lanes), -largest))
        assert kernels.run.all_finite(rows, n_rows)
        for at, bad in product(np.ndindex(rows.shape), NOT_FINITE):
            rows[at] = bad
            assert not kernels.run.all_finite(rows, n_rows), (at, bad)
            rows[at] = largest


def test_clear_lanes(kernels):
    for n_rows, n_valid in product([1, 2, 5], range(1, kernels.lanes + 1)):
        before = kernels.random(n_rows, kernels.lanes)
        rows = kernels.numbers(before)
        kernels.run.clear_lanes(rows, n_rows, n_valid)
        np.testing.assert_array_equal(rows[:, :n_valid], before[:, :n_valid])
        assert (rows[:, n_valid:] == 0).all()


# ---- between row-major arrays and panels ----


@pytest.mark.parametrize("ordered", [False, True])
def test_gather(kernels, ordered):
    for n_rows, n_columns in product([1, 2, 5], around(kernels.lanes)):
        X = kernels.random(n_rows + 1, n_columns) if ordered else kernels.random(n_rows, n_columns)
        order = [5, 0, 3, 3, 1][:n_rows] if n_rows == 5 else [n_rows, 0][:n_rows]
        order = kernels.numbers(order, np.intp) if ordered else None
        out = kernels.empty(n_rows, n_columns, n_rows + 2)
        assert kernels.run.gather(kernels.numbers(X), n_columns, order, n_rows, out.memory, out.stride)
        np.testing.assert_array_equal(out.matrix, X if order is None else X[order])
        assert (out.pads == 0).all()


def test_gather_finds_what_is_not_finite(kernels):
    for n_columns in around(kernels.lanes):
        X = kernels.numbers(np.full((3, n_columns), np.finfo(kernels.dtype).max))
        out, order = kernels.empty(3, n_columns), kernels.numbers([2, 0, 2], np.intp)
        assert kernels.run.gather(X, n_columns, None, 3, out.memory, 3)
        for (row, column), bad in product(np.ndindex(X.shape), NOT_FINITE):
            X[row, column] = bad
            where = row, column, bad
            assert not kernels.run.gather(X, n_columns, None, 3, out.memory, 3), where
            # row 1 is not in the order
            assert kernels.run.gather(X, n_columns, order, 3, out.memory, 3) == (row == 1), where
            X[row, column] = 1


def test_gather_numbers(kernels):
    for n in [1, 2, kernels.lanes, 2 * kernels.lanes + 3]:
        numbers = kernels.numbers(np.abs(kernels.random(n + 1)))
        numbers[-1] = -0.0
        order = kernels.numbers(np.arange(n, 0, -1), np.intp)
        out = kernels.numbers(np.zeros(n))
        for selected, which in [(numbers[1:][::-1], order), (numbers[:n], None)]:
            good, total = kernels.run.gather_numbers(numbers, which, n, out)
            assert good
            np.testing.assert_array_equal(out, selected)
            assert total == pytest.approx(math.fsum(selected), rel=1e-13)


def test_gather_numbers_finds_what_is_no_weight(kernels):
    order = kernels.numbers([2, 0, 2], np.intp)
    out = kernels.numbers(np.zeros(3))
    for row, bad in product(range(3), [*NOT_FINITE, -1e-30]):
        numbers = kernels.numbers(np.ones(3))
        numbers[row] = bad
        assert not kernels.run.gather_numbers(numbers, None, 3, out)[0], (row, bad)
        assert kernels.run.gather_numbers(numbers, order, 3, out)[0] == (row == 1), (row, bad)


def test_gather_classes(kernels):
    for n_out in around(kernels.lanes):
        classes = kernels.numbers(np.arange(n_out), np.intp)
        order = kernels.numbers(np.arange(n_out)[::-1], np.intp)
        for which in (None, order):
            out = kernels.empty(n_out, n_out, n_out + 2)
            kernels.run.gather_classes(classes, which, n_out, out.rows.shape[1], out.memory, out.stride)
            np.testing.assert_array_equal(out.matrix, np.eye(n_out)[:: 1 if which is None else -1])
            assert (out.pads == 0).all()


def test_scatter(kernels):
    for n_rows, n_columns in product([1, 2, 5], around(kernels.lanes)):
        X = kernels.random(n_rows, n_columns)
        panels, out = kernels.panels(X, n_rows + 2, pad=np.nan), kernels.numbers(np.zeros_like(X))
        kernels.run.scatter(panels.memory, panels.stride, n_columns, n_rows, out)
        np.testing.assert_array_equal(out, X)


def test_pack_few(kernels):
    for n_in, n_out in product(around(kernels.lanes), [1, 2, 3]):
        W = kernels.random(n_in, n_out)
        n_panels = -(-n_in // kernels.lanes)
        packed = kernels.numbers(np.full((n_panels, n_out, kernels.lanes), np.nan))
        kernels.run.pack_few(kernels.numbers(W), n_in, n_out, packed)
        transposed = packed.transpose(0, 2, 1).reshape(-1, n_out)
        np.testing.assert_array_equal(transposed[:n_in], W)
        assert (transposed[n_in:] == 0).all()
        back = kernels.numbers(np.zeros_like(W))
        kernels.run.unpack_few(packed, n_in, n_out, back)
        np.testing.assert_array_equal(back, W)


def test_fma_peak_counts_its_operations(kernels):
    assert 0 < kernels.run.fma_peak(1e-4) < math.inf
