"""The kernels of derivatives beyond the gradient, and of Cholesky's factor: see test_kernels.py."""

import numpy as np
import pytest
from test_kernels import DERIVATIVE, FORWARD, HIDDEN, wide
from test_kernels_losses import STEP

# f'' / f' in terms of a = f(z)
SLOPE_CHANGE = {
    "sigmoid": lambda a: 1 - 2 * a,
    "tanh": lambda a: -2 * a,
    "relu": np.zeros_like,
    "softsign": lambda a: -2 * np.sign(a) * (1 - np.abs(a)),
    "exp": np.ones_like,
}


@pytest.mark.parametrize("activation", HIDDEN)
def test_tangent(kernels, activation):
    for n_rows in (1, 2, 7):
        A, T, D, out = (kernels.random(n_rows, kernels.lanes, seed=seed) for seed in range(4))
        A = FORWARD[activation](A).astype(kernels.dtype)
        deltas, tangent_deltas = kernels.numbers(D), kernels.numbers(out)
        kernels.run.tangent(
            activation, kernels.numbers(A), kernels.numbers(T), n_rows, deltas, tangent_deltas
        )
        A, T, D, out = wide(A, T, D, out)
        slope = DERIVATIVE[activation](A)
        bound = 8 * kernels.epsilon
        kernels.assert_near(deltas, D * slope, bound * np.abs(D * slope))
        change = D * SLOPE_CHANGE[activation](A) * T
        # next to a = 1/2 few digits of 1 - 2a are left
        size = np.abs(out * slope) + np.abs(D * T)
        kernels.assert_near(tangent_deltas, out * slope + change, bound * size)


def test_softmax_backward(kernels):
    for n_rows, n_out in [(n, width) for n in (1, 3, 70) for width in kernels.widths]:
        P, D = kernels.random(n_rows, n_out), kernels.random(n_rows, n_out, seed=1)
        P = (np.exp(P) / np.exp(P).sum(axis=1, keepdims=True)).astype(kernels.dtype)
        stride = n_rows + 2
        outputs, deltas = kernels.panels(P, stride), kernels.panels(D, stride)
        kernels.run.softmax_backward(outputs.memory, stride, n_out, n_rows, deltas.memory)
        P, D = wide(P, D)
        expected = P * (D - (P * D).sum(axis=1, keepdims=True))
        size = P * (np.abs(D) + (P * np.abs(D)).sum(axis=1, keepdims=True))
        kernels.assert_near(deltas.matrix, expected, (n_out + 8) * kernels.epsilon * size)
        assert (deltas.pads == 0).all()


def test_outer_products(kernels):
    for n_in, n_out in [(a, b) for a in kernels.widths for b in [*kernels.widths, 3]]:
        n_rows, size = 3, (n_in + 1) * n_out
        A, D = kernels.random(n_rows, n_in), kernels.random(n_rows, n_out)
        # the kernel reads no column behind n_in or n_out
        activations = kernels.panels(A, 5, pad=np.nan)
        deltas = kernels.panels(D, 5, pad=np.nan)
        # numbers of other layers lie between the rows
        out = kernels.numbers(np.full((n_rows - 1) * (size + 2) + size, np.nan))
        kernels.run.outer_products(
            activations.memory, deltas.memory, 5, n_in, n_out, n_rows, out, size + 2
        )
        with_bias = np.column_stack([A, np.ones(n_rows, A.dtype)])
        for r in range(n_rows):
            row = out[r * (size + 2) : r * (size + 2) + size]
            np.testing.assert_array_equal(row, np.outer(with_bias[r], D[r]).ravel())
            assert np.isnan(out[r * (size + 2) + size : (r + 1) * (size + 2)]).all()


def test_scale_rows(kernels):
    for n_rows in (1, 2, 9):
        rows, factors = kernels.random(n_rows, kernels.lanes), kernels.random(n_rows)
        out = kernels.numbers(rows)
        kernels.run.scale_rows(kernels.numbers(factors), n_rows, out)
        np.testing.assert_array_equal(out, rows * factors[:, None])


# ---- Cholesky ----


def equations(kernels, matrix, right_side):
    """In panels, the right side in the column behind"""
    return kernels.panels(np.column_stack([matrix, right_side]))


def factor(kernels, square, n):
    """As the trainer does it; returns the first row whose root could not be taken, or None"""
    lanes, step = kernels.lanes, STEP | {"learning_rate": 1, "scale": 1, "alpha": 0}
    for first in range(0, n, lanes):
        q = first // lanes
        memory = square.memory[q * square.stride :]
        if first > 0:
            kernels.run.gradients(
                *(square.memory, square.stride, memory, square.stride, square.stride, q, q + 1),
                *((square.n_panels - q) * lanes, first, step, memory),
            )
        rows = min(lanes, n - first)
        if not kernels.run.cholesky_rows(
            first, rows, square.n_panels, square.stride, square.memory
        ):
            return first
    return None


def positive_definite(kernels, n, more_rows=3):
    A = kernels.random(n + more_rows, n).astype(np.float64)
    return (A.T @ A + np.eye(n)).astype(kernels.dtype)


def solved_sizes(lanes):
    return [1, 2, lanes - 1, lanes, lanes + 1, 2 * lanes, 2 * lanes + 3, 5 * lanes + 1, 70]


def test_cholesky(kernels):
    for n in solved_sizes(kernels.lanes):
        matrix, right_side = positive_definite(kernels, n), kernels.random(n, 1)
        square = equations(kernels, matrix, right_side)
        assert factor(kernels, square, n) is None
        got = np.triu(square.matrix[:, :n].astype(np.float64))
        matrix, right_side = wide(matrix, right_side)
        size = np.sqrt(np.outer(np.diag(matrix), np.diag(matrix)))
        bound = (n + 8) * kernels.epsilon * size
        kernels.assert_near(got.T @ got, matrix, bound, n)
        # the column behind is the solution of factor.T @ y = right side
        y = square.matrix[:, n:].astype(np.float64)
        bound = (n + 8) * kernels.epsilon * (np.abs(got).T @ np.abs(y) + np.abs(right_side))
        kernels.assert_near(got.T @ y, right_side, bound, n)


def test_solve_upper(kernels):
    for n in solved_sizes(kernels.lanes):
        # well conditioned, with something below the diagonal that does not count
        U = np.triu(kernels.random(n, n)) / n + np.diag(2 + np.arange(n) % 3).astype(kernels.dtype)
        U, y = U + np.tril(np.full((n, n), 7, kernels.dtype), -1), kernels.random(n, 1)
        square = equations(kernels, U, y)
        out = kernels.numbers(np.full((n // kernels.lanes + 1, kernels.lanes), np.nan))
        kernels.run.solve_upper(square.memory, n, n, out)
        expected = np.linalg.solve(np.triu(U).astype(np.float64), y.astype(np.float64))
        got = out.ravel()
        kernels.assert_near(got[:n, None], expected, 10 * n * kernels.epsilon * np.abs(y).max(), n)
        assert (got[n:] == 0).all()


def test_cholesky_finds_what_is_not_positive_definite(kernels):
    lanes = kernels.lanes
    for n in (1, lanes, 2 * lanes + 3):
        for bad in {0, n // 2, n - 1}:
            for value in (0.0, -1.0, np.nan, np.inf):
                matrix = np.eye(n, dtype=kernels.dtype)
                matrix[bad, bad] = value
                square = equations(kernels, matrix, np.ones((n, 1)))
                assert factor(kernels, square, n) == bad // lanes * lanes
