"""Losses, with their deltas, and update rules: each variant against float64 formulas."""

import math
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
        w, first, second = (kernels.random(n_rows, kernels.lanes, seed=seed) for seed in (1, 2, 3))
        second = np.abs(second)
        memory = [kernels.numbers(array) for array in (w, first, second)]
        used = {"sgd": 1, "momentum": 2, "nesterov": 2, "adam": 3}[rule]
        w, first, second = np.float64(w), np.float64(first), np.float64(second)
        for turn in range(3):
            gradients = kernels.random(n_rows, kernels.lanes, seed=4 + turn)
            kernels.update(rule, kernels.numbers(gradients), STEP, *memory[:used])
            g = STEP["scale"] * (np.float64(gradients) + STEP["alpha"] * w)
            w, first, second = RULES[rule](w, g, first, second, STEP)
        for got, expected in zip(memory, (w, first, second), strict=True):
            kernels.assert_near(got, expected, 30 * kernels.epsilon, n_rows)


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
