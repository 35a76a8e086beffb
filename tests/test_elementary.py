"""exp, sigmoid, tanh, log and log1p against mpmath, in every variant this processor runs.

Errors are in units in the last place (ulp) of the true value.
"""

import functools

import mpmath as mp
import numpy as np
import pytest

from cbackprop._kernels import dispatch, testing

FUNCTIONS = {
    "exp": mp.exp,
    "sigmoid": lambda x: 1 / (1 + mp.exp(-x)),
    "tanh": mp.tanh,
    "log": mp.log,
    "log1p": mp.log1p,
}
BOUNDS = {"exp": 1, "sigmoid": 2.5, "tanh": 2, "log": 1, "log1p": 1.1}
FUSED = [isa for isa in dispatch.FOUND if isa != "baseline"]


def evaluate(name, x, isa):
    """The kernel's own function of each number of a vector."""
    bench = testing.Bench(isa, x.dtype)
    n_rows = -(-len(x) // bench.lanes)
    rows = np.ones(n_rows * bench.lanes, x.dtype)
    rows[: len(x)] = x
    bench.activate(name, rows, n_rows)
    return rows[: len(x)]


@functools.cache
def points(name, dtype):
    """About two thousand arguments with finite results."""
    rng = np.random.default_rng(0)
    info = np.finfo(dtype)
    greatest, least = np.log(float(info.max)), np.log(float(info.tiny))
    small = np.exp(rng.uniform(least, 0, 300))
    signs = rng.choice([-1, 1], 300)
    # Halfway between two multiples of ln(2), and on them, the reduction of exp's argument changes.
    steps = np.log(2) / 2 * rng.integers(least, greatest, 100)
    chosen = {
        "exp": [rng.uniform(least, greatest, 600), rng.uniform(-1, 1, 600), small * signs, steps],
        "sigmoid": [
            *(rng.uniform(least, 40, 600), rng.uniform(-2, 2, 300), small * signs, steps),
            # the largest errors: the last bit of 1 + exp(-x) is worth 2 there
            -(info.nmant + 1) * np.log(2) + rng.uniform(-0.05, 0.05, 600),
        ],
        "tanh": [
            *(rng.uniform(-0.6, 0.6, 900), rng.uniform(-20, 20, 300), small * signs, steps / 2),
        ],
        "log": [
            *(np.exp(rng.uniform(least, greatest, 600)), rng.uniform(0.5, 2, 600)),
            1 + signs * small / 2,
        ],
        "log1p": [rng.uniform(0, 1, 900), small, [0.5, 1 - float(info.eps), 1e-30]],
    }
    x = np.concatenate([np.asarray(part, dtype) for part in chosen[name]])
    if name == "log":  # of a subnormal number, too
        x = np.append(x, info.smallest_subnormal * np.array([1, 2, 3, 1000, 54321], dtype))
    return x


@functools.cache
def truth(name, dtype):
    """The true values at `points`."""
    with mp.workprec(200):
        return [FUNCTIONS[name](mp.mpf(float(x))) for x in points(name, dtype)]


def errors(got, expected):
    """|got - expected| in ulp of the expected; a subnormal one's are those of the least normal."""
    info = np.finfo(got.dtype)
    found = []
    with mp.workprec(200):
        for number, exact in zip(got.tolist(), expected, strict=True):
            binade = max(mp.frexp(exact)[1] - 1, info.minexp) if exact else info.minexp
            found.append(float(abs(mp.mpf(number) - exact) / mp.ldexp(1, binade - info.nmant)))
    return np.array(found)


def is_normal(expected, dtype):
    return np.array([abs(exact) >= float(np.finfo(dtype).tiny) for exact in expected])


@pytest.fixture(params=dispatch.FOUND)
def isa(request):
    return request.param


@pytest.fixture(params=[np.float32, np.float64], ids=["float32", "float64"])
def dtype(request):
    return request.param


@pytest.mark.parametrize("name", FUNCTIONS)
def test_normal_results_are_within_the_bound(name, dtype, isa):
    x, expected = points(name, dtype), truth(name, dtype)
    found = errors(evaluate(name, x, isa), expected)
    found[~is_normal(expected, dtype)] = 0
    assert found.max() <= BOUNDS[name], x[found.argmax()]


@pytest.mark.parametrize("name", ["exp", "sigmoid"])
def test_subnormal_results_are_near_or_zero(name, dtype, isa):
    info = np.finfo(dtype)
    x = np.linspace(np.log(float(info.tiny)) - 40, np.log(float(info.tiny)), 500).astype(dtype)
    got = evaluate(name, x, isa)
    with mp.workprec(200):
        expected = [FUNCTIONS[name](mp.mpf(float(number))) for number in x]
    close = errors(got, expected) <= BOUNDS[name]
    assert np.all(close | (~is_normal(expected, dtype) & (got == 0)))


@pytest.mark.parametrize(
    ("name", "x", "expected"),
    [
        ("exp", [0, -0.0, np.inf, -np.inf, 1e30, -1e30], [1, 1, np.inf, 0, np.inf, 0]),
        ("sigmoid", [0, -0.0, np.inf, -np.inf, 1e30, -1e30], [0.5, 0.5, 1, 0, 1, 0]),
        ("tanh", [0, -0.0, np.inf, -np.inf, 1e30, -1e30], [0, -0.0, 1, -1, 1, -1]),
        ("log", [0, -0.0, 1, np.inf], [-np.inf, -np.inf, 0, np.inf]),
        ("log", [-1, -np.inf, -1e-40], [np.nan, np.nan, np.nan]),
        ("log1p", [0], [0]),
    ],
)
def test_limits(name, x, expected, dtype, isa):
    got = evaluate(name, np.array(x, dtype), isa)
    np.testing.assert_array_equal(got, np.array(expected, dtype))
    np.testing.assert_array_equal(np.signbit(got[got == 0]), np.signbit(expected)[got == 0])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_nan_stays(name, dtype, isa):
    # whatever the bits beside those that make a NaN: some functions compute with them
    bits = np.dtype(f"u{np.dtype(dtype).itemsize}")
    payloads = np.random.default_rng(0).integers(1, 1 << np.finfo(dtype).nmant, 200, dtype=bits)
    x = (payloads | np.array(np.inf, dtype).view(bits)).view(dtype)
    assert np.isnan(evaluate(name, np.concatenate([x, -x, [dtype(np.nan)]]), isa)).all()


def test_exp_is_infinite_only_beyond_the_greatest_number(dtype, isa):
    with mp.workprec(200):
        limit = mp.log(mp.mpf(float(np.finfo(dtype).max)))
        bits = np.array(float(limit), dtype).view(f"i{np.dtype(dtype).itemsize}")
        x = (bits + np.arange(-5, 6, dtype=bits.dtype)).view(dtype)
        beyond = np.array([mp.mpf(float(number)) > limit for number in x])
    assert 3 < beyond.sum() < 9
    np.testing.assert_array_equal(np.isinf(evaluate("exp", x, isa)), beyond)


def test_tanh_is_odd_and_never_beyond_1(dtype, isa):
    x = np.concatenate([points("tanh", dtype), np.linspace(0, 25, 5000, dtype=dtype)])
    got = evaluate("tanh", x, isa)
    np.testing.assert_array_equal(evaluate("tanh", -x, isa), -got)
    assert np.abs(got).max() == 1


def test_tanh_of_a_small_number_is_that_number(dtype, isa):
    info = np.finfo(dtype)
    x = np.array([info.smallest_subnormal, info.tiny / 3, info.tiny, info.eps / 64], dtype)
    np.testing.assert_array_equal(evaluate("tanh", x, isa), x)


@pytest.mark.skipif(len(FUSED) < 2, reason="needs two instruction sets with fused multiply-adds")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_fused_variants_agree_to_the_bit(name, dtype):
    first, *others = (evaluate(name, points(name, dtype), isa).tobytes() for isa in FUSED)
    assert all(bits == first for bits in others)
