"""One order of summation: what the kernels promise to the last bit.

A sum's order follows from the shapes alone: not from the instruction set (among those with fused
multiply-adds), nor from the batch a row came in, nor from how the work was divided.
"""

from fractions import Fraction

import numpy as np
import pytest

import cbackprop
from cbackprop._kernels import testing

ACTIVATIONS = ("sigmoid", "tanh", "relu", "softsign", "exp")
STEP = {
    "learning_rate": 0.1,
    "scale": 1 / 7,
    "alpha": 0.3,
    "momentum": 0.9,
    "beta_1": 0.9,
    "beta_2": 0.999,
    "epsilon": 1e-8,
    "keep": 0.99,
    "centered": True,
    "eta_minus": 0.5,
    "eta_plus": 1.2,
    "min_step": 1e-6,
    "max_step": 50,
    "rose": True,
}
# Kernels that add and multiply nothing, or whose result is no number.
MOVERS = {
    *("gather", "gather_classes", "scatter", "pack_few", "unpack_few", "clear_lanes"),
    *("largest", "all_finite", "fma_peak"),
}


def assert_same_bits(got, expected, *where):
    """NaN equals NaN; 0 and -0 differ."""
    got, expected = np.asarray(got), np.asarray(expected)
    assert got.dtype == expected.dtype, where
    assert got.shape == expected.shape, where
    bits = f"u{got.dtype.itemsize}"
    same = np.ascontiguousarray(got).view(bits) == np.ascontiguousarray(expected).view(bits)
    assert (same | (np.isnan(got) & np.isnan(expected))).all(), where


# ---- the judge: a fused multiply-add out of NumPy's additions and multiplications ----


def two_sum(a, b):
    """a + b rounded, and what was rounded off."""
    total = a + b
    of_b = total - a
    return total, (a - (total - of_b)) + (b - of_b)


def halves(a):
    """Two numbers of half the digits, whose sum is a (Veltkamp)."""
    digits = np.finfo(a.dtype).nmant + 1
    c = a * a.dtype.type(2 ** ((digits + 1) // 2) + 1)
    high = c - (c - a)
    return high, a - high


def two_product(a, b):
    """a * b rounded, and what was rounded off (Dekker)."""
    (a_high, a_low), (b_high, b_low), whole = halves(a), halves(b), a * b
    rest = a_high * b_high - whole + a_high * b_low + a_low * b_high
    return whole, rest + a_low * b_low


def sum_to_odd(a, b):
    """a + b; where that is not exact, the neighbour whose last bit is 1."""
    total, rest = two_sum(a, b)
    even = total.view(f"u{total.dtype.itemsize}") % 2 == 0
    neighbour = np.nextafter(total, np.copysign(np.inf, rest).astype(total.dtype))
    return np.where((rest != 0) & even, neighbour, total)


def fma(a, b, c):
    """a * b + c, rounded once (Boldo & Melquiond 2008, far from overflow and underflow)."""
    a, b, c = np.broadcast_arrays(a, b, c)
    product_high, product_low = two_product(a, b)
    low_high, low_low = two_sum(c, product_low)
    high, rest = two_sum(product_high, low_high)
    return high + sum_to_odd(low_low, rest)


def chain(a, b, start):
    """start + a @ b: one fused multiply-add after the other for each element."""
    for k in range(a.shape[1]):
        start = fma(a[:, [k]], b[[k]], start)
    return start


def fold(lanes):
    """The sum along the last axis: lane l meets lane l + half, down to one."""
    while lanes.shape[-1] > 1:
        half = lanes.shape[-1] // 2
        lanes = lanes[..., :half] + lanes[..., half:]
    return lanes[..., 0]


def assert_rounded_once(got, a, b, c):
    exact = Fraction(float(a)) * Fraction(float(b)) + Fraction(float(c))

    def distance(x):
        return abs(Fraction(float(x)) - exact)

    for direction in (-np.inf, np.inf):
        neighbour = np.nextafter(got, got.dtype.type(direction))
        assert distance(got) <= distance(neighbour)
        if distance(got) == distance(neighbour):
            assert got.view(f"u{got.dtype.itemsize}") % 2 == 0


def test_the_judge_rounds_once(dtype):
    rng = np.random.default_rng(0)
    a, b, c = rng.normal(size=(3, 300)).astype(dtype)
    c[::3] = -(a * b)[::3]
    for numbers in zip(fma(a, b, c), a, b, c, strict=True):
        assert_rounded_once(*numbers)


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("inside", [-1, 1])
def test_the_judge_rounds_once_near_the_middle_of_two_numbers(dtype, inside, sign):
    # a b is half a unit in the last place of c, but for a square too small to be seen beside it
    digits = np.finfo(dtype).nmant + 1
    small = 2.0 ** -(3 * digits // 4)
    for last_bit in (0, 2.0 ** (1 - digits)):
        a, b = sign * (1 + small), 2.0**-digits * (1 + inside * small)
        numbers = np.array([[a], [b], [sign * (1 + last_bit)]], dtype)
        assert_rounded_once(fma(*numbers)[0], *numbers[:, 0])


# ---- the order of every sum ----


@pytest.fixture
def fused(fused_kernels):
    if not fused_kernels:
        pytest.skip("this processor's kernels have no fused multiply-add")
    return fused_kernels


def shapes(lanes):
    """(n_rows, n_in, n_out), some beyond one block along the sum: 256, or 128 from 129 rows on"""
    return [
        *((n_rows, lanes + 1, 2 * lanes + 3) for n_rows in (1, 2, 5, 17)),
        *((3, n_k, n_k // 100 + 2) for n_k in (lanes, 255, 256, 257, 513)),
        (129, 257, lanes + 2),
        (2, 3, 17 * lanes + 1),
    ]


def test_forward_is_a_chain(fused):
    for kernels in fused:
        for n_rows, n_in, n_out in shapes(kernels.lanes):
            X, W = kernels.random(n_rows, n_in), kernels.random(n_in, n_out)
            b = kernels.random(1, n_out)
            out = kernels.forward(kernels.panels(X), kernels.panels(W), kernels.panels(b))
            assert_same_bits(out.matrix, chain(X, W, b), kernels.isa, n_rows, n_in, n_out)


def test_few_forward_is_a_tree_of_chains(fused):
    for kernels in fused:
        lanes = kernels.lanes
        for n_rows, n_in, n_out in [(1, 1, 1), (4, lanes, 2), (5, 2 * lanes + 3, 3), (9, 257, 1)]:
            X, W = kernels.random(n_rows, n_in), kernels.random(n_in, n_out)
            b = kernels.random(1, n_out)
            out = kernels.few_forward(kernels.panels(X), W, kernels.panels(b))
            sums = np.zeros((n_rows, n_out, lanes), kernels.dtype)
            X, W = kernels.panels(X).rows, kernels.panels(W.T.copy()).rows
            for panel in range(X.shape[1]):
                sums = fma(X[:, None, panel], W[None, :, panel], sums)
            assert_same_bits(out.matrix, fold(sums) + b, kernels.isa, n_rows, n_in, n_out)


def test_direct_forward_is_forward(fused):
    for kernels in fused:
        for n_in, n_out in [(1, 1), (5, 3), (257, 2), (300, 9 * kernels.lanes + 1), (4, 40)]:
            x, W = kernels.random(1, n_in), kernels.random(n_in, n_out)
            b = kernels.random(1, n_out)
            if n_out <= 3 and n_out < n_in:
                expected = kernels.few_forward(kernels.panels(x), W, kernels.panels(b))
            else:
                expected = kernels.forward(kernels.panels(x), kernels.panels(W), kernels.panels(b))
            got = kernels.direct_forward(x, W, b)
            assert_same_bits(got.matrix, expected.matrix, kernels.isa, n_in, n_out)


def test_deltas_below_are_chains(fused):
    for kernels in fused:
        for n_rows, n_out, n_in in shapes(kernels.lanes):
            D, W = kernels.random(n_rows, n_out), kernels.random(n_in, n_out)
            A = kernels.panels(kernels.random(n_rows, n_in))
            out = kernels.deltas_below(kernels.panels(D), kernels.panels(W), A)
            expected = chain(D, W.T, kernels.dtype.type(0))
            assert_same_bits(out.matrix, expected, kernels.isa, n_rows, n_in, n_out)


def test_gradients_are_chains(fused):
    for kernels in fused:
        for n_in, n_rows, n_out in [*shapes(kernels.lanes), (1, 1, 1)]:
            A, D = kernels.random(n_rows, n_in), kernels.random(n_rows, n_out)
            out = kernels.gradients(kernels.panels(A), kernels.panels(D))
            expected = chain(A.T, D, kernels.dtype.type(0))
            assert_same_bits(out.matrix, expected, kernels.isa, n_rows, n_in, n_out)


def test_bias_gradients_are_added_row_by_row(kernels):
    for n_rows in (1, 2, 17, 257):
        D = kernels.random(n_rows, kernels.lanes + 1)
        expected = D[:1]
        for row in range(1, n_rows):
            expected = expected + D[[row]]
        assert_same_bits(kernels.bias_gradients(kernels.panels(D)).matrix, expected, n_rows)


def test_dot_is_a_tree_of_chains(fused):
    for kernels in fused:
        for n_rows in range(1, 30):
            x = kernels.random(n_rows, kernels.lanes) ** 5
            chains = np.zeros((8, kernels.lanes), kernels.dtype)
            for row in range(n_rows):
                chains[row % 8] = fma(x[row], x[row], chains[row % 8])
            got = kernels.run.dot(kernels.numbers(x), kernels.numbers(x), n_rows)
            expected = fold(fold(chains.T))
            assert_same_bits(got, np.float64(expected), kernels.isa, n_rows)


# ---- one result for every instruction set ----


def everything(kernels):
    """(the kernel's name, something it computed) for every kernel that computes."""
    lanes = kernels.lanes
    for n_rows, n_in, n_out in shapes(lanes):
        X, D = kernels.random(n_rows, n_in), kernels.panels(kernels.random(n_rows, n_out, seed=1))
        W, b = kernels.random(n_in, n_out), kernels.panels(kernels.random(1, n_out))
        inputs, weights = kernels.panels(X, n_rows + 1), kernels.panels(W)
        yield "forward", kernels.forward(inputs, weights, b, "tanh").padded
        yield "few_forward", kernels.few_forward(inputs, W[:, :3], b).padded
        yield "direct_forward", kernels.direct_forward(X[:1], W, b.matrix).padded
        below = kernels.deltas_below(D, weights, inputs, "tanh")
        yield "deltas_below", below.padded
        yield "gradients", kernels.gradients(inputs, D).padded
        yield "gradients", kernels.gradients(inputs, D, step=STEP, weights=weights).padded
        yield "bias_gradients", kernels.bias_gradients(D).padded
        yield "bias_gradients", kernels.bias_gradients(D, STEP, b).padded
        yield "dot", kernels.run.dot(weights.memory, weights.memory, len(weights.memory))
        yield "softmax", kernels.softmax(kernels.panels(5 * X)).padded
    yield from activations_everywhere(kernels)
    for loss in testing.LOSSES:
        z, y = 8 * kernels.random(67, lanes + 3), np.abs(kernels.random(67, lanes + 3, seed=1))
        y /= y.sum(axis=1, keepdims=True)
        total, outputs, deltas = kernels.loss(loss, z, y, np.arange(67) / 3)
        yield "loss", total
        yield "loss", outputs.padded
        yield "loss", deltas.padded
    for rule in testing.RULES:
        w, gradients, *state = (
            kernels.numbers(np.abs(kernels.random(5, lanes, seed=seed))) for seed in range(5)
        )
        kernels.update(rule, gradients, STEP, w, *state)
        yield from (("update", array) for array in (w, *state))
    a, b = (kernels.numbers(kernels.random(5, lanes, seed=seed)) for seed in range(2))
    out = kernels.numbers(a)
    kernels.run.combine(0.3, a, -1.7, b, 5, out)
    yield "combine", out
    yield "dot", kernels.run.dot(a, b, 5)
    kernels.run.add_rows(a, 5, b)
    yield "add_rows", b
    kernels.run.scale_rows(kernels.numbers(kernels.random(5)), 5, a)
    yield "scale_rows", a
    yield from derivatives_everywhere(kernels)
    numbers = np.abs(kernels.random(40))
    _, total = kernels.run.gather_numbers(kernels.numbers(numbers), None, 40, numbers)
    yield "gather_numbers", total


def derivatives_everywhere(kernels):
    """What derivatives beyond the gradient, and Cholesky's factor, are made of"""
    n = 3 * kernels.lanes + 1
    outputs, deltas = (kernels.panels(kernels.random(3, n, seed=seed)) for seed in range(2))
    kernels.run.softmax_backward(outputs.memory, 3, n, 3, deltas.memory)
    yield "softmax_backward", deltas.matrix
    out = kernels.numbers(np.zeros((3, (n + 1) * n)))
    kernels.run.outer_products(
        outputs.memory, deltas.memory, outputs.stride, n, n, 3, out, out.shape[1]
    )
    yield "outer_products", out
    for name in ACTIVATIONS:
        rows = [kernels.numbers(kernels.random(4, kernels.lanes, seed=seed)) for seed in range(4)]
        kernels.run.tangent(name, *rows[:2], 4, *rows[2:])
        yield from (("tangent", array) for array in rows[2:])
    # one panel of rows, the first: what is left of it is the gradients' kernel
    square = kernels.panels(
        np.abs(kernels.random(n, n + 1)) + 9 * np.eye(n, n + 1, dtype=kernels.dtype)
    )
    assert kernels.run.cholesky_rows(0, kernels.lanes, square.n_panels, n, square.memory)
    yield "cholesky_rows", square.matrix
    out = kernels.numbers(np.zeros((n // kernels.lanes + 1, kernels.lanes)))
    kernels.run.solve_upper(square.memory, n, n, out)
    yield "solve_upper", out


def activations_everywhere(kernels):
    """Activations and logarithms all over the numbers, special ones included"""
    info = np.finfo(kernels.dtype)
    special = [0.0, -0.0, np.inf, -np.inf, np.nan, info.tiny, -info.tiny, info.max, info.min]
    powers = np.exp2(np.linspace(info.minexp - 3, info.maxexp - 1, 1000))
    values = [*special, *np.linspace(-120, 120, 3001), *powers, *-powers]
    values = np.resize(np.array(values).astype(kernels.dtype), (400, kernels.lanes))
    for name in (*ACTIVATIONS, "log"):
        rows = kernels.numbers(values)
        kernels.run.activate(name, rows, len(rows))
        yield "activate", rows
    for name in ACTIVATIONS:
        rows, deltas = kernels.numbers(np.clip(values, -1, 1)), kernels.numbers(values[::-1])
        kernels.run.derivative(name, rows, len(rows), deltas)
        yield "derivative", deltas
    rows = kernels.numbers(np.clip(np.abs(values), 0, 1))
    kernels.run.activate("log1p", rows, len(rows))
    yield "activate", rows


def test_everything_is_everything(kernels):
    methods = {name for name in dir(testing.Bench) if not name.startswith("_")}
    methods -= {"isa", "dtype", "lanes", "scratch_rows"}
    # those for sparse inputs have the bits of the dense ones: test_kernels_sparse.py
    methods -= {name for name in methods if name.startswith("sparse_")}
    assert {name for name, _ in everything(kernels)} | MOVERS == methods


def test_all_instruction_sets_with_fused_multiply_add_agree(fused):
    if len(fused) < 2:
        pytest.skip(f"this processor has only {fused[0].isa}")
    first, *others = fused
    for other in others:
        for (name, expected), (_, got) in zip(everything(first), everything(other), strict=True):
            assert_same_bits(got, expected, name, first.isa, other.isa)


# ---- one result for every batch, and for every division of the work ----


@pytest.mark.parametrize("activation", ["identity", *ACTIVATIONS])
def test_a_row_alone_is_the_row_in_the_batch(kernels, activation):
    n_rows, n_in, n_out = 19, 259, kernels.lanes + 3
    X, D = kernels.random(n_rows, n_in), kernels.random(n_rows, n_out)
    W, b = kernels.random(n_in, n_out), kernels.panels(kernels.random(1, n_out))
    weights, crosswise = kernels.panels(W), kernels.panels(W.T.copy())

    def compute(X, D):
        """The two products both ways: the sum is short in one, longer than a block in the other."""
        X, D = kernels.panels(X / 16), kernels.panels(D / 16)
        yield kernels.forward(X, weights, b, activation).padded
        yield kernels.deltas_below(D, weights, X, activation).padded
        yield kernels.forward(D, crosswise, None, activation).padded
        yield kernels.deltas_below(X, crosswise, D, activation).padded
        yield kernels.few_forward(X, W[:, :3], b).padded

    batch = list(compute(X, D))
    for row in range(n_rows):
        for whole, alone in zip(batch, compute(X[[row]], D[[row]]), strict=True):
            assert_same_bits(alone[0], whole[row], row)


def test_the_softmax_of_a_row_is_the_one_in_the_batch(kernels):
    z = 3 * kernels.random(67, 2 * kernels.lanes + 3)
    batch = kernels.softmax(kernels.panels(z)).padded
    for row in range(len(z)):
        assert_same_bits(kernels.softmax(kernels.panels(z[[row]])).padded[0], batch[row], row)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("loss", testing.LOSSES)
def test_the_loss_of_a_batch_is_the_sum_of_its_rows(kernels, loss, weighted):
    z, y = (kernels.random(67, 2 * kernels.lanes + 3, seed=seed) for seed in range(2))
    y = np.abs(y) / np.abs(y).sum(axis=1, keepdims=True)
    weights = np.arange(67) / 3 if weighted else None
    total, outputs, deltas = kernels.loss(loss, z, y, weights)
    expected = 0.0
    for row in range(len(z)):
        one = [row]
        alone = kernels.loss(loss, z[one], y[one], weights[one] if weighted else None)
        expected += alone[0]
        assert_same_bits(alone[1].padded[0], outputs.padded[row], row)
        assert_same_bits(alone[2].padded[0], deltas.padded[row], row)
    assert total == expected


def test_panels_one_at_a_time_or_all_at_once(kernels):
    lanes = kernels.lanes
    n_rows, n_in, n_out = 5, 4 * lanes + 3, 2 * lanes + 3
    X, D = (
        kernels.panels(kernels.random(n_rows, n_in)),
        kernels.panels(kernels.random(n_rows, n_out)),
    )
    W, b = kernels.random(n_in, n_out), kernels.random(1, n_out)
    weights = kernels.panels(W)
    forward = kernels.forward(X, weights, kernels.panels(b)).matrix
    below, gradients = kernels.deltas_below(D, weights, X), kernels.gradients(X, D)
    for panel in range(X.n_panels):
        one = (panel, panel + 1)
        assert_same_bits(
            kernels.deltas_below(D, weights, X, panels=one).rows[:, panel], below.rows[:, panel]
        )
        features = np.s_[panel * lanes : (panel + 1) * lanes]
        part = kernels.gradients(X, D, panels=one)
        assert_same_bits(part.matrix[features], gradients.matrix[features])
    for first in range(0, n_out, lanes):
        one = np.s_[:, first : first + lanes]
        part = kernels.forward(X, kernels.panels(W[one]), kernels.panels(b[one]))
        assert_same_bits(part.matrix, forward[one])


def test_gradients_with_a_step_are_gradients_and_then_sgd(kernels):
    for n_rows, n_in, n_out in shapes(kernels.lanes):
        X = kernels.panels(kernels.random(n_rows, n_in))
        D = kernels.panels(kernels.random(n_rows, n_out, seed=1))
        W, b = kernels.random(n_in, n_out), kernels.random(1, n_out)
        for step in (STEP, STEP | {"alpha": 0}):
            fused, apart = kernels.panels(W), kernels.panels(W)
            kernels.gradients(X, D, step=step, weights=fused)
            kernels.update("sgd", kernels.gradients(X, D).memory, step, apart.memory)
            assert_same_bits(fused.matrix, apart.matrix, n_rows, n_in, n_out)
        fused, apart = kernels.panels(b), kernels.panels(b)
        kernels.bias_gradients(D, STEP, fused)
        # alpha is for weights alone
        kernels.update("sgd", kernels.bias_gradients(D).memory, STEP | {"alpha": 0}, apart.memory)
        assert_same_bits(fused.matrix, apart.matrix, n_rows, n_in, n_out)


@pytest.mark.parametrize("activation", ["identity", *ACTIVATIONS[:-1]])
def test_the_smallest_networks_learn_the_same_bits_by_their_own_kernel(guarded, dtype, activation):
    """The kernel in use trains them row by row; with sample weights the general ones do."""
    lanes = 64 // np.dtype(dtype).itemsize
    for n_in, n_hidden in [
        (1, 2),
        (2, lanes - 1),
        (3, lanes),
        (lanes + 1, lanes + 1),
        (5, 2 * lanes),
    ]:
        rng = np.random.default_rng(n_hidden)
        X, y = guarded((7, n_in), dtype), guarded((7,), dtype)
        X[:], y[:] = rng.normal(size=X.shape), rng.normal(size=y.shape)
        alone, general = (
            cbackprop.Network((n_in, n_hidden, 1), activation, dtype=dtype, random_state=0)
            for _ in range(2)
        )
        task = {"batch_size": 1, "n_epochs": 3, "random_state": 0}
        for shuffle in (True, False):
            task |= {"shuffle": shuffle, "optimizer": cbackprop.SGD(0.05)}
            losses = alone.train(X, y, **task)
            expected = general.train(X, y, sample_weight=np.ones(7, dtype), **task)
            assert_same_bits(alone.parameters, general.parameters, n_in, n_hidden, shuffle)
            assert_same_bits(losses, expected, n_in, n_hidden, shuffle)
