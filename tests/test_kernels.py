"""Each kernel of each variant in both precisions, against the slow and obvious in NumPy's float64.

The sizes lie around the length of a panel, the heights of the tiles, the blocks of 256 along a sum
and of 64 rows in a softmax; all memory ends at a forbidden page, or begins behind one (see
conftest.py). Losses and updates are in test_kernels_losses.py, what must hold to the last bit in
test_kernels_bits.py.
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
# of table.pxd's Step
FIELDS = (
    *("learning_rate", "scale", "alpha", "momentum", "beta_1", "beta_2", "epsilon", "keep"),
    *("centered", "eta_minus", "eta_plus", "min_step", "max_step", "rose"),
)
NOT_FINITE = [np.nan, np.inf, -np.inf]


def product_shapes(kernels):
    """(n_rows, n_in, n_out): every height of a tile, and every size for every number of panels."""
    lanes = kernels.lanes
    heights = product(range(1, 18), [lanes + 1], [1, 2 * lanes + 3])
    widths = product([3, 8], kernels.widths, [*kernels.widths, 4 * lanes])
    return [*heights, *widths, *product([1, 7], [255, 256, 257, 513], [1, lanes + 1])]


def wide(*arrays):
    """The same numbers in float64"""
    return [np.asarray(array, np.float64) for array in arrays]


# ---- the products of a layer ----


def check_forward(kernels, shape, activation="identity", in_stride=None, out_stride=None):
    n_rows, n_in, n_out = shape
    X, W, b = kernels.random(n_rows, n_in), kernels.random(n_in, n_out), kernels.random(1, n_out)
    # the kernel reads no column behind n_in
    inputs = kernels.panels(X, in_stride, pad=np.nan)
    out = kernels.forward(inputs, kernels.panels(W), kernels.panels(b), activation, out_stride)
    X, W, b = wide(X, W, b)
    expected = FORWARD[activation](X @ W + b)
    # every activation but exp changes by less than its argument
    steepness = np.maximum(1, expected) if activation == "exp" else 1
    size = (n_in + 8) * (np.abs(X) @ np.abs(W) + np.abs(b)) * steepness + 4 * np.abs(expected)
    kernels.assert_near(out.matrix, expected, kernels.epsilon * size, shape)
    at_zero = np.full(out.pads.shape, FORWARD[activation](np.zeros(())))
    kernels.assert_near(out.pads, at_zero, kernels.epsilon, shape)


def test_forward(kernels):
    for shape in product_shapes(kernels):
        check_forward(kernels, shape, in_stride=shape[0] + 1, out_stride=shape[0] + 2)


@pytest.mark.parametrize("activation", HIDDEN)
def test_forward_activates_every_panel(kernels, activation):
    for n_out in [*kernels.widths, 4 * kernels.lanes]:
        check_forward(kernels, (9, 5, n_out), activation)


def test_forward_without_biases(kernels):
    for n_out in kernels.widths:
        X, W = kernels.random(7, 3), kernels.random(3, n_out)
        out = kernels.forward(kernels.panels(X), kernels.panels(W), stride=9)
        X, W = wide(X, W)
        bound = 8 * kernels.epsilon * (np.abs(X) @ np.abs(W))
        kernels.assert_near(out.matrix, X @ W, bound, n_out)
        assert (out.pads == 0).all()


def check_few_forward(kernels, shape, stride=None):
    n_rows, n_in, n_out = shape
    X, W, b = kernels.random(n_rows, n_in), kernels.random(n_in, n_out), kernels.random(1, n_out)
    # the weights there are zero, so any finite number may stand behind the last input
    out = kernels.few_forward(kernels.panels(X, stride, pad=0.5), W, kernels.panels(b))
    X, W, b = wide(X, W, b)
    size = np.abs(X) @ np.abs(W) + np.abs(b)
    kernels.assert_near(out.matrix, X @ W + b, (n_in + 8) * kernels.epsilon * size, shape)
    assert (out.pads == 0).all()


def test_few_forward(kernels):
    for n_rows, n_out in product(range(1, 10), [1, 2, 3]):
        for n_in in [*kernels.widths, 257]:
            check_few_forward(kernels, (n_rows, n_in, n_out))


def test_direct_forward(kernels):
    """Weights and biases are read no further than they go, whatever the number of columns."""
    for n_in, n_out in product(
        [*kernels.widths, 257], [*kernels.widths, 3, 4, 8 * kernels.lanes + 5]
    ):
        X, W, b = kernels.random(1, n_in), kernels.random(n_in, n_out), kernels.random(1, n_out)
        out = kernels.direct_forward(X, W, b, pad=0.5)
        X, W, b = wide(X, W, b)
        size = np.abs(X) @ np.abs(W) + np.abs(b)
        kernels.assert_near(out.matrix, X @ W + b, (n_in + 8) * kernels.epsilon * size, n_in, n_out)
        assert (out.pads == 0).all()


def check_deltas_below(
    kernels, shape, activation="identity", stride=None, below_stride=None, panels=None
):
    n_rows, n_in, n_out = shape
    D, W = kernels.random(n_rows, n_out), kernels.random(n_in, n_out)
    A = FORWARD[activation](kernels.random(n_rows, n_in)).astype(kernels.dtype)
    # the kernel reads no column behind n_out, neither of the deltas nor of the weights
    deltas, weights = kernels.panels(D, stride, pad=np.nan), kernels.panels(W, pad=np.nan)
    activations = kernels.panels(A, below_stride, pad=0.5)
    out = kernels.deltas_below(deltas, weights, activations, activation, panels)
    D, W, A = wide(D, W, A)
    slope = DERIVATIVE[activation](A)
    bound = (n_out + 8) * kernels.epsilon * (np.abs(D) @ np.abs(W).T) * slope
    first, last = panels or (0, out.n_panels)
    asked = np.s_[:, first * kernels.lanes : last * kernels.lanes]
    expected = (D @ W.T) * slope
    kernels.assert_near(out.matrix[asked], expected[asked], bound[asked], shape, panels)
    if last == out.n_panels:
        assert (out.pads == 0).all()
    assert np.isnan(out.rows[:, :first]).all()
    assert np.isnan(out.rows[:, last:]).all()


def test_deltas_below(kernels):
    for n_rows, n_out, n_in in product_shapes(kernels):
        shape = (n_rows, n_in, n_out)
        check_deltas_below(kernels, shape, stride=n_rows + 1, below_stride=n_rows + 2)


@pytest.mark.parametrize("activation", HIDDEN)
def test_deltas_below_applies_the_derivative_to_every_panel(kernels, activation):
    for n_in in [*kernels.widths, 4 * kernels.lanes]:
        check_deltas_below(kernels, (9, n_in, 5), activation)


def test_deltas_below_writes_only_the_panels_asked_for(kernels):
    shape = (3, 4 * kernels.lanes + 1, kernels.lanes + 1)
    for panels in [(0, 1), (1, 2), (0, 2), (1, 4), (2, 5), (4, 5), (3, 3)]:
        check_deltas_below(kernels, shape, "tanh", panels=panels)


def check_gradients(kernels, shape, act_stride=None, stride=None, panels=None):
    n_rows, n_in, n_out = shape
    A, D = kernels.random(n_rows, n_in), kernels.random(n_rows, n_out)
    # the kernel reads no column behind n_in
    activations, deltas = kernels.panels(A, act_stride, pad=np.nan), kernels.panels(D, stride)
    out = kernels.gradients(activations, deltas, panels)
    A, D = wide(A, D)
    expected = A.T @ D
    bound = (n_rows + 2) * kernels.epsilon * (np.abs(A).T @ np.abs(D))
    first, last = panels or (0, activations.n_panels)
    asked = np.s_[first * kernels.lanes : last * kernels.lanes]
    kernels.assert_near(out.matrix[asked], expected[asked], bound[asked], shape, panels)
    assert (out.pads[asked] == 0).all()
    assert np.isnan(out.rows[: asked.start]).all()
    assert np.isnan(out.rows[asked.stop :]).all()


def test_gradients(kernels):
    lanes = kernels.lanes
    features = product([5], range(1, 2 * lanes + 4), [1, 2 * lanes + 3])
    for shape in [*features, *product_shapes(kernels)]:
        check_gradients(kernels, shape, shape[0] + 1, shape[0] + 2)


def test_gradients_writes_only_the_panels_asked_for(kernels):
    shape = (3, 3 * kernels.lanes + 1, 2 * kernels.lanes + 1)
    for panels in [(0, 1), (1, 2), (0, 2), (1, 4), (3, 4), (2, 2)]:
        check_gradients(kernels, shape, panels=panels)


def test_a_step_is_taken_once_in_every_column(kernels):
    """Sixteen panels are gone through at a time: a tile must not reach into the next sixteen."""
    step = dict.fromkeys(FIELDS, 0.0) | {"learning_rate": 0.5, "scale": 0.25, "alpha": 0.125}
    for n_out in range(16 * kernels.lanes - 1, 17 * kernels.lanes + 2, kernels.lanes // 4):
        A, D, W = kernels.random(3, 9), kernels.random(3, n_out), kernels.random(9, n_out)
        activations, deltas = kernels.panels(A), kernels.panels(D)
        out = kernels.gradients(activations, deltas, step=step, weights=kernels.panels(W))
        A, D, W = wide(A, D, W)
        expected = W - 0.125 * (A.T @ D + 0.125 * W)
        bound = 8 * kernels.epsilon * (np.abs(W) + np.abs(A).T @ np.abs(D))
        kernels.assert_near(out.matrix, expected, bound, n_out)


def test_bias_gradients(kernels):
    # four panels are taken at a time
    for n_rows, n_out in product([1, 2, 3, 17], [*kernels.widths, 5 * kernels.lanes + 1]):
        D = kernels.random(n_rows, n_out)
        out = kernels.bias_gradients(kernels.panels(D, n_rows + 2))
        (D,) = wide(D)
        bound = n_rows * kernels.epsilon * np.abs(D).sum(axis=0, keepdims=True)
        kernels.assert_near(out.matrix, D.sum(axis=0, keepdims=True), bound, n_rows, n_out)
        assert (out.pads == 0).all()


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 80), st.integers(1, 80)),
    few=st.integers(1, 3),
    slack=st.tuples(st.integers(0, 5), st.integers(0, 5)),
)
def test_products_of_any_shape_at_any_stride(kernels, shape, few, slack):
    below, above = shape[0] + slack[0], shape[0] + slack[1]
    check_forward(kernels, shape, "sigmoid", below, above)
    check_few_forward(kernels, (*shape[:2], few), below)
    check_deltas_below(kernels, shape, "softsign", above, below)
    check_gradients(kernels, shape, below, above)


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
        kernels.assert_near(rows, formula[name](z), bound, n_rows)


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
        kernels.assert_near(deltas, expected, 4 * kernels.epsilon * np.abs(expected), n_rows)


def test_softmax(kernels):
    for n_rows, n_out in product([1, 2, 5, 63, 64, 65], kernels.widths):
        z = kernels.random(n_rows, n_out)
        # what lies behind the last output takes no part
        rows = kernels.softmax(kernels.panels(z, n_rows + 1, pad=7.0))
        (z,) = wide(z)
        expected = np.exp(z - z.max(axis=1, keepdims=True))
        expected /= expected.sum(axis=1, keepdims=True)
        bound = (8 + np.ptp(z)) * kernels.epsilon * expected
        kernels.assert_near(rows.matrix, expected, bound, n_rows, n_out)
        assert (rows.pads == 0).all()


def test_softmax_of_large_numbers(kernels):
    for n_out in [3, kernels.lanes + 2]:
        z = np.full((1, n_out), -1e30)
        z[0, [0, -1]] = 1e30
        rows = kernels.softmax(kernels.panels(z))
        np.testing.assert_array_equal(rows.matrix[0], np.where(z[0] > 0, 0.5, 0))


# ---- sums ----


def test_add_rows(kernels):
    for n_rows in [1, 2, 5]:
        a, b = kernels.random(n_rows, kernels.lanes), kernels.random(n_rows, kernels.lanes, seed=1)
        out = kernels.numbers(b)
        kernels.run.add_rows(kernels.numbers(a), n_rows, out)
        # one addition is rounded once, here as there
        np.testing.assert_array_equal(out, a + b)


def test_combine(kernels):
    for n_rows in [1, 2, 5]:
        x, y = kernels.random(n_rows, kernels.lanes), kernels.random(n_rows, kernels.lanes, seed=1)
        a, b = kernels.numbers(x), kernels.numbers(y)
        out = kernels.numbers(0 * x)
        kernels.run.combine(0.25, a, -1.5, b, n_rows, out)
        expected = 0.25 * np.float64(x) - 1.5 * np.float64(y)
        bound = 2 * kernels.epsilon * (np.abs(x) + 2 * np.abs(y))
        kernels.assert_near(out, expected, bound)
        for k, argument in enumerate((a, b)):
            kernels.run.combine(*(0.25, a, -1.5, b), n_rows, argument)
            np.testing.assert_array_equal(argument, out)
            argument[...] = (x, y)[k]


def test_dot(kernels):
    for n_rows in [0, *range(1, 18), 100]:
        x, y = kernels.random(n_rows, kernels.lanes), kernels.random(n_rows, kernels.lanes, seed=1)
        got = kernels.run.dot(kernels.numbers(x), kernels.numbers(y), n_rows)
        products = np.float64(x) * np.float64(y)
        bound = (n_rows + 8) * kernels.epsilon * np.abs(products).sum()
        kernels.assert_near(got, products.sum(), bound, n_rows)


def test_largest(kernels):
    assert kernels.run.largest(kernels.numbers(np.empty((0, kernels.lanes))), 0) == 0
    for n_rows in [1, 2, 5]:
        rows = kernels.numbers(kernels.random(n_rows, kernels.lanes))
        assert kernels.run.largest(rows, n_rows) == np.abs(rows).max()
        for at, most in product(np.ndindex(rows.shape), [-7.5, 8.25]):
            rows[at] = most
            assert kernels.run.largest(rows, n_rows) == abs(most), at
            rows[at] = 0


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
    for n_rows, n_columns in product([1, 2, 5], kernels.widths):
        X = kernels.random(n_rows + ordered, n_columns)
        order = kernels.numbers([n_rows, 0, 3, 3, 1][:n_rows], np.intp) if ordered else None
        out = kernels.empty(n_rows, n_columns, n_rows + 2)
        source = kernels.numbers(X)
        assert kernels.run.gather(source, n_columns, order, n_rows, out.memory, out.stride)
        np.testing.assert_array_equal(out.matrix, X if order is None else X[order])
        assert (out.pads == 0).all()


def test_gather_finds_what_is_not_finite(kernels):
    for n_columns in kernels.widths:
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
        numbers = kernels.numbers(kernels.random(n + 1))
        numbers[-1] = -0.0
        order = kernels.numbers(np.arange(n, 0, -1), np.intp)
        out = kernels.numbers(np.zeros(n))
        for selected, which in [(numbers[1:][::-1], order), (numbers[:n], None)]:
            good, total = kernels.run.gather_numbers(numbers, which, n, out)
            assert good
            np.testing.assert_array_equal(out, selected)
            assert total == pytest.approx(math.fsum(selected), rel=1e-12)


def test_gather_numbers_finds_what_is_no_weight(kernels):
    order = kernels.numbers([2, 0, 2], np.intp)
    out = kernels.numbers(np.zeros(3))
    for row, bad in product(range(3), NOT_FINITE):
        numbers = kernels.numbers(np.ones(3))
        numbers[row] = bad
        assert not kernels.run.gather_numbers(numbers, None, 3, out)[0], (row, bad)
        assert kernels.run.gather_numbers(numbers, order, 3, out)[0] == (row == 1), (row, bad)


def test_gather_classes(kernels):
    for n_out in kernels.widths:
        classes = kernels.numbers(np.arange(n_out), np.intp)
        order = kernels.numbers(np.arange(n_out)[::-1], np.intp)
        for which in (None, order):
            out = kernels.empty(n_out, n_out, n_out + 2)
            assert kernels.run.gather_classes(classes, which, n_out, n_out, out.memory, out.stride)
            expected = np.eye(n_out)[:: 1 if which is None else -1]
            np.testing.assert_array_equal(out.matrix, expected)
            assert (out.pads == 0).all()
        for bad in (-1, n_out, 10**6, -(2**63), 2**63 - 1):
            classes[n_out - 1] = bad
            assert not kernels.run.gather_classes(
                classes, None, n_out, n_out, out.memory, out.stride
            )


def test_scatter(kernels):
    for n_rows, n_columns in product([1, 2, 5], kernels.widths):
        X = kernels.random(n_rows, n_columns)
        panels = kernels.panels(X, n_rows + 2, pad=np.nan)
        out = kernels.numbers(np.zeros_like(X))
        kernels.run.scatter(panels.memory, panels.stride, n_columns, n_rows, out)
        np.testing.assert_array_equal(out, X)


def test_pack_few(kernels):
    for n_in, n_out in product(kernels.widths, [1, 2, 3]):
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
