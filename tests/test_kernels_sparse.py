"""The kernels for sparse inputs: the bits of those for dense ones, from the numbers not zero.

All memory ends at a forbidden page, or begins behind one (see conftest.py).
"""

from itertools import product

import numpy as np
import pytest

STEP = dict.fromkeys(("alpha", "momentum", "beta_1", "beta_2", "epsilon", "keep"), 0.0)
STEP |= dict.fromkeys(("eta_minus", "eta_plus", "min_step", "max_step"), 0.0)
STEP |= {"learning_rate": 0.5, "scale": 0.25, "centered": False, "rose": False}
# (n_rows, n_in), with sums longer than one block of a dense product, too
SHAPES = [(1, 1), (2, 5), (7, 33), (20, 300)]


def thinned(kernels, n_rows, n_in, density=0.3):
    """A matrix with many zeros, also in whole rows and columns"""
    rng = np.random.default_rng((n_rows, n_in))
    X = kernels.random(n_rows, n_in)
    X[rng.random(X.shape) > density] = 0
    X[1::5] = 0
    X[:, 2::7] = 0
    return X


def sparse(kernels, X):
    """indptr, indices and data, to which no number could be added"""
    rows, columns = np.nonzero(X)
    indptr = np.searchsorted(rows, np.arange(len(X) + 1))
    return (
        kernels.numbers(indptr, np.intp),
        kernels.numbers(columns, np.int32),
        kernels.numbers(X[rows, columns]),
    )


def forward(kernels, inputs, X, W, b, stride=None):
    """(whether all is good, the outputs)"""
    out = kernels.empty(len(X), W.shape[1], stride)
    weights, biases = kernels.panels(W), kernels.panels(b)
    good = kernels.run.sparse_forward(
        *(inputs, len(X), weights.memory, biases.memory, X.shape[1]),
        *(out.n_panels, out.memory, out.stride),
    )
    return good, out


def few_forward(kernels, inputs, X, W, b):
    n_in, n_out = W.shape
    out = kernels.empty(len(X), n_out)
    packed = kernels.guarded((-(-n_in // kernels.lanes), n_out, kernels.lanes), kernels.dtype)
    kernels.run.pack_few(kernels.numbers(W), n_in, n_out, packed)
    good = kernels.run.sparse_few_forward(
        inputs, len(X), packed, kernels.panels(b).memory, n_in, n_out, out.memory
    )
    return good, out


def test_sparse_forward(kernels):
    widths = [*kernels.widths, *(n * kernels.lanes for n in (3, 4, 5, 7))]
    for (n_rows, n_in), n_out in product(SHAPES, widths):
        X, W, b = (
            thinned(kernels, n_rows, n_in),
            kernels.random(n_in, n_out),
            kernels.random(1, n_out),
        )
        good, out = forward(kernels, sparse(kernels, X), X, W, b, stride=n_rows + 2)
        assert good
        dense = kernels.forward(kernels.panels(X), kernels.panels(W), kernels.panels(b))
        np.testing.assert_array_equal(out.padded, dense.padded)


def test_sparse_few_forward(kernels):
    for (n_rows, n_in), n_out in product(SHAPES, [1, 2, 3]):
        X, W, b = (
            thinned(kernels, n_rows, n_in),
            kernels.random(n_in, n_out),
            kernels.random(1, n_out),
        )
        good, out = few_forward(kernels, sparse(kernels, X), X, W, b)
        assert good
        dense = kernels.few_forward(kernels.panels(X), W, kernels.panels(b))
        np.testing.assert_array_equal(out.padded, dense.padded)


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_found(kernels, number):
    X, b = thinned(kernels, 3, 70, density=0.9), kernels.random(1, 2)
    indptr, indices, data = sparse(kernels, X)
    for k in range(len(data)):
        spoilt = data.copy()
        spoilt[k] = number
        inputs = indptr, indices, kernels.numbers(spoilt)
        for run, n_out in [(forward, 2), (few_forward, 2)]:
            good, _ = run(kernels, inputs, X, kernels.random(70, n_out), b)
            assert not good, k


@pytest.mark.parametrize("column", [-1, 20, -(2**31), 2**31 - 1])
def test_columns_that_are_not_there_touch_nothing(kernels, column):
    """The arrays are their owner's, who may change them while they are read."""
    X, lanes = thinned(kernels, 6, 20), kernels.lanes
    indptr, indices, data = sparse(kernels, X)
    for n_out, run in [(1, few_forward), (5 * lanes, forward), (3 * lanes, forward), (1, forward)]:
        spoilt = indices.copy()
        spoilt[-1] = column
        inputs = indptr, kernels.numbers(spoilt, np.int32), data
        good, _ = run(kernels, inputs, X, kernels.random(20, n_out), kernels.random(1, n_out))
        assert not good
    for k in range(len(indices)):
        spoilt = indices.copy()
        spoilt[k] = column
        inputs = indptr, kernels.numbers(spoilt, np.int32), data
        X_left = X.copy()
        X_left[np.searchsorted(indptr, k, "right") - 1, indices[k]] = 0
        assert_gradients(kernels, X_left, inputs, [(0, 20)])
        assert_few_gradients(kernels, X_left, inputs, [(0, 20)])


def assert_gradients(kernels, X, inputs, ranges):
    """Those of a panel; only the columns that are asked for are touched."""
    D = kernels.random(len(X), kernels.lanes)
    out = kernels.panels(np.zeros((X.shape[1], kernels.lanes)))
    dense = kernels.gradients(kernels.panels(X), kernels.panels(D))
    for first, last in ranges:
        before = out.matrix.copy()
        kernels.run.sparse_gradients(
            inputs, len(X), kernels.panels(D).memory, first, last, out.memory
        )
        np.testing.assert_array_equal(out.matrix[first:last], dense.matrix[first:last])
        before[first:last] = out.matrix[first:last]
        np.testing.assert_array_equal(out.matrix, before)


def assert_few_gradients(kernels, X, inputs, ranges):
    for n_out in [1, 2, 3]:
        D = kernels.random(len(X), n_out)
        out = kernels.panels(np.zeros((n_out, X.shape[1])))
        dense = kernels.gradients(kernels.panels(D), kernels.panels(X))
        for first, last in ranges:
            before = out.matrix.copy()
            kernels.run.sparse_few_gradients(
                inputs, len(X), kernels.panels(D).memory, first, last, n_out, out.memory
            )
            np.testing.assert_array_equal(out.matrix[:, first:last], dense.matrix[:, first:last])
            before[:, first:last] = out.matrix[:, first:last]
            np.testing.assert_array_equal(out.matrix, before)


def ranges_of(n_in, lanes):
    middle = min(n_in, n_in // 2 // lanes * lanes)
    return [(0, 0), (middle, n_in), (0, middle)]


def test_sparse_gradients(kernels):
    for n_rows, n_in in SHAPES:
        X = thinned(kernels, n_rows, n_in)
        ranges = ranges_of(n_in, kernels.lanes)
        assert_gradients(kernels, X, sparse(kernels, X), ranges)
        assert_few_gradients(kernels, X, sparse(kernels, X), ranges)


@pytest.mark.parametrize("few", [False, True])
def test_sparse_step(kernels, few):
    """As plain gradient descent does it, where there are gradients; those are zero afterwards."""
    for (n_rows, n_in), n_out in product(SHAPES, [1, 2, 3] if few else [1]):
        X = thinned(kernels, n_rows, n_in)
        n_panels = -(-n_in // kernels.lanes)
        touched = np.zeros(n_panels * kernels.lanes, bool)
        touched[:n_in] = (X != 0).any(axis=0)
        if few:
            touched = touched.reshape(n_panels, 1, -1).any(axis=2).repeat(n_out, axis=1).ravel()
        else:
            touched = touched[:n_in]
        shape = len(touched), kernels.lanes
        gradients = kernels.numbers(kernels.random(*shape, seed=1) * touched[:, np.newaxis])
        weights = kernels.numbers(kernels.random(*shape, seed=2))
        expected = weights.copy()
        kernels.update("sgd", gradients, STEP, expected)
        inputs = sparse(kernels, X)
        for first, last in ranges_of(n_in, kernels.lanes):
            kernels.run.sparse_step(
                inputs, n_rows, first, last, n_out, few, STEP, gradients, weights
            )
        np.testing.assert_array_equal(weights, expected)
        assert not gradients.any()
