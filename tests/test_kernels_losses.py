"""Losses, with their deltas, and update rules: each variant against float64 formulas."""

import math
from functools import partial
from itertools import product

import numpy as np
import pytest

STEP = {
    "learning_rate": 0.25,
    "scale": 1 / 7,
    "alpha": 0.5,
    "momentum": 0.875,
    "beta_1": 0.875,
    "beta_2": 0.96875,
    "epsilon": 1e-3,
    "keep": 0.75,
    "centered": False,
    "eta_minus": 0.5,
    "eta_plus": 1.25,
    "min_step": 0.0625,
    "max_step": 1.5,
    "rose": False,
}

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
    z, y = z.astype(kernels.dtype), y.astype(kernels.dtype)
    total, outputs, deltas = kernels.loss(name, z, y, weights, stride)
    z, y = np.float64(z), np.float64(y)
    terms, expected_outputs, expected_deltas = LOSSES[name](z, y)
    factors = np.ones((len(z), 1)) if weights is None else np.reshape(weights, (-1, 1))
    # Rounding is relative to the parts that a loss is the difference of.
    size = 1 + np.abs(z) * (1 + y) + y + np.abs(expected_outputs)
    bound = 8 * kernels.epsilon * size
    kernels.assert_near(outputs.matrix, expected_outputs, bound, name, z.shape)
    kernels.assert_near(deltas.matrix, factors * expected_deltas, factors * bound, name, z.shape)
    assert (deltas.pads == 0).all()
    if name == "squared_error":
        size = size**2
    rounding = (sum(z.shape) + 8) * kernels.epsilon * (factors * size).sum()
    kernels.assert_near(total, (factors * terms).sum(), rounding, name, z.shape)
    return total


@pytest.mark.parametrize("name", LOSSES)
def test_losses(kernels, name):
    for n_rows, n_out in product([1, 2, 5, 63, 64, 65], kernels.widths):
        rng = np.random.default_rng(n_out)
        z, y = 2 * kernels.random(n_rows, n_out), targets_for(name, rng, n_rows, n_out)
        unweighted = check_loss(kernels, name, z, y, stride=n_rows + 2)
        assert check_loss(kernels, name, z, y, weights=np.ones(n_rows)) == unweighted
        weights = np.resize([0.5, 3.0, 0.0, 1.0, 0.125], n_rows)
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


def test_log_loss_keeps_its_digits_far_out(kernels):
    """log(2), not log(2) + 1000 - 1000."""
    total, _, _ = kernels.loss("log_loss", np.full((1, 2), 1000.0), np.eye(1, 2))
    assert total == pytest.approx(math.log(2), rel=2 * kernels.epsilon)


@pytest.mark.parametrize("name", ["log_loss", "binary_log_loss"])
def test_the_limit_of_a_class_is_kept(kernels, name):
    n_out = kernels.lanes + 1
    z, y = 4 * kernels.random(6, n_out), np.eye(n_out)[[0, 3, 5, 1, 7, n_out - 1]]
    terms, _, expected_deltas = LOSSES[name](np.float64(z), y)
    limit = np.median(terms[terms > 0])
    total, _, deltas = kernels.loss(name, z, y, limit=limit)
    bound = 100 * n_out * kernels.epsilon
    kernels.assert_near(total, np.minimum(terms, limit).sum(), bound)
    # the gradient does not see it
    kernels.assert_near(deltas.matrix, expected_deltas, bound)


@pytest.mark.parametrize("name", LOSSES)
def test_nan_stays(kernels, name):
    for column in (0, kernels.lanes):
        z, y = np.zeros((1, kernels.lanes + 1)), np.eye(1, kernels.lanes + 1)
        z[0, column] = np.nan
        total, _, deltas = kernels.loss(name, z, y, limit=2.5)
        assert np.isnan(total), column
        assert np.isnan(deltas.matrix[0, column]), column


def test_poisson_far_out(kernels):
    for z, y in [(-1000.0, 0.0), (-1000.0, 2.0), (80.0, 0.0), (80.0, 2.0), (0.0, 1e30)]:
        check_loss(kernels, "poisson", np.array([[z]]), np.array([[y]]))
    total, _, deltas = kernels.loss("poisson", np.array([[1000.0, 0.0]]), np.array([[0.0, 1.0]]))
    assert total == np.inf
    np.testing.assert_array_equal(deltas.matrix, [[np.inf, 0]])


@pytest.mark.parametrize("name", LOSSES)
def test_losses_of_weight_zero_are_left_out(kernels, name):
    z, y = kernels.random(2, 3), targets_for(name, np.random.default_rng(0), 2, 3)
    alone = check_loss(kernels, name, z[:1], y[:1], np.ones(1))
    assert check_loss(kernels, name, z, y, np.array([1.0, 0.0])) == alone


# ---- updates ----


# each returns the parameters, and what the rule remembers


def sgd(w, g, step):
    return (w - step["learning_rate"] * g,)


def momentum(w, g, step, velocity):
    velocity = step["momentum"] * velocity - step["learning_rate"] * g
    return w + velocity, velocity


def nesterov(w, g, step, velocity):
    velocity = step["momentum"] * velocity - step["learning_rate"] * g
    return w + step["momentum"] * velocity - step["learning_rate"] * g, velocity


def adam(w, g, step, means, squares):
    means = step["beta_1"] * means + (1 - step["beta_1"]) * g
    squares = step["beta_2"] * squares + (1 - step["beta_2"]) * g**2
    downhill = step["learning_rate"] * means / (np.sqrt(squares) + step["epsilon"])
    return step["keep"] * w - downhill, means, squares


def rmsprop(w, g, step, squares, *rest):
    beta, rest, variance = step["beta_2"], list(rest), 0
    squares = variance = beta * squares + (1 - beta) * g**2
    if step["centered"]:
        rest[0] = beta * rest[0] + (1 - beta) * g
        variance = squares - rest[0] ** 2
    direction = g / (np.sqrt(np.maximum(variance, 0)) + step["epsilon"])
    if step["momentum"]:
        rest[-1] = direction = step["momentum"] * rest[-1] + direction
    return w - step["learning_rate"] * direction, squares, *rest


def rprop(w, g, step, sizes, before, *, back, forget):
    """Number by number, as Igel & Hüsken 2000 print it."""
    w, sizes, before = (array.copy() for array in (w, sizes, before))
    for at in np.ndindex(w.shape):
        last_step = -np.sign(before[at]) * sizes[at]
        gradient, product = g[at], g[at] * before[at]
        if product > 0:
            sizes[at] = min(sizes[at] * step["eta_plus"], step["max_step"])
        elif product < 0:
            sizes[at] = max(sizes[at] * step["eta_minus"], step["min_step"])
            if forget:
                gradient = 0
        w[at] -= last_step if product < 0 and back else np.sign(gradient) * sizes[at]
        before[at] = gradient
    return w, sizes, before


def rprop_iplus(w, g, step, sizes, before):
    return rprop(w, g, step, sizes, before, back=step["rose"], forget=True)


# rule: (the formula, how many arrays it remembers, other numbers)
RULES = {
    "sgd": (sgd, 0, {}),
    "momentum": (momentum, 1, {}),
    "nesterov": (nesterov, 1, {}),
    "adam": (adam, 2, {"keep": 1}),
    "adam_w": (adam, 2, {}),
    "rmsprop": (rmsprop, 1, {"momentum": 0}),
    "rmsprop, momentum": (rmsprop, 2, {}),
    "rmsprop, centered": (rmsprop, 2, {"momentum": 0, "centered": True}),
    "rmsprop, both": (rmsprop, 3, {"centered": True}),
    "rprop_minus": (partial(rprop, back=False, forget=False), 2, {}),
    "rprop_plus": (partial(rprop, back=True, forget=True), 2, {}),
    "rprop_iminus": (partial(rprop, back=False, forget=True), 2, {}),
    "rprop_iplus": (rprop_iplus, 2, {}),
    "rprop_iplus, risen": (rprop_iplus, 2, {"rose": True}),
}


@pytest.mark.parametrize("name", RULES)
def test_updates(kernels, name):
    rule, n_states, other_numbers = RULES[name]
    step = STEP | other_numbers
    for n_rows in [1, 2, 5]:
        w, *state = (kernels.random(n_rows, kernels.lanes, seed=k) for k in range(1 + n_states))
        if n_states and rule not in (momentum, nesterov):
            state[0] = np.clip(np.abs(state[0]), step["min_step"], step["max_step"])
        if rule is adam:
            state[1] = np.abs(state[1])
        if step["centered"]:
            state[1] = 0.9 * np.sqrt(state[0]) * np.sign(state[1])  # then there is a variance
        memory = [kernels.numbers(array) for array in (w, *state)]
        expected = [np.array(array, np.float64) for array in memory]
        for turn in range(5):
            gradients = kernels.random(n_rows, kernels.lanes, seed=5 + turn)
            kernels.update(name.split(",")[0], kernels.numbers(gradients), step, *memory)
            g = step["scale"] * (np.float64(gradients) + step["alpha"] * expected[0])
            expected = rule(expected[0], g, step, *expected[1:])
        for got, right in zip(memory, expected, strict=True):
            kernels.assert_near(got, right, 60 * kernels.epsilon, n_rows)


def test_rprop_sees_the_signs_of_the_smallest_numbers(kernels):
    """Whose product would be 0; and a gradient that is no number moves nothing."""
    step = STEP | {"alpha": 0, "scale": 1}
    tiny = 2 * np.finfo(kernels.dtype).tiny
    gradients, before = (
        np.resize(numbers, (1, kernels.lanes)) for numbers in ([tiny, -tiny, np.nan], [tiny])
    )
    w, sizes, before = (
        kernels.numbers(array) for array in (np.zeros((1, kernels.lanes)), 0.5 + 0 * before, before)
    )
    kernels.update("rprop_minus", kernels.numbers(gradients), step, w, sizes, before)
    np.testing.assert_array_equal(sizes[0, :3], np.array([0.625, 0.25, 0.5], kernels.dtype))
    np.testing.assert_array_equal(w[0, :3], np.array([-0.625, 0.25, 0], kernels.dtype))


def test_gradients_with_a_step_descend(kernels):
    n_rows, n_in, n_out = 7, kernels.lanes + 2, 2 * kernels.lanes + 3
    A, D = kernels.random(n_rows, n_in), kernels.random(n_rows, n_out)
    W, b = kernels.random(n_in, n_out), kernels.random(1, n_out)
    deltas, weights, biases = kernels.panels(D), kernels.panels(W), kernels.panels(b)
    kernels.gradients(kernels.panels(A), deltas, step=STEP, weights=weights)
    kernels.bias_gradients(deltas, step=STEP, biases=biases)
    A, D, W, b = (np.float64(array) for array in (A, D, W, b))
    rate, scale, alpha = STEP["learning_rate"], STEP["scale"], STEP["alpha"]
    bound = 4 * n_rows * kernels.epsilon
    expected = W - rate * scale * (A.T @ D + alpha * W)
    kernels.assert_near(weights.matrix, expected, bound * (np.abs(A).T @ np.abs(D) + np.abs(W)))
    # alpha is for weights alone
    expected = b - rate * scale * D.sum(axis=0)
    kernels.assert_near(biases.matrix, expected, bound * (np.abs(b) + np.abs(D).sum(axis=0)))
    assert (weights.pads == 0).all()
    assert (biases.pads == 0).all()
