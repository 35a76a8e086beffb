"""Print the polynomial coefficients that stand in ``cbackprop/_kernels/elementary.pxd``.

Remez's exchange in mpmath's arithmetic, then each coefficient rounded to the precision it is for;
the error printed is that of the rounded coefficients.

    python tools/minimax.py
"""

import mpmath as mp
import numpy as np

mp.mp.prec = 200


def remez(function, weight, degree, low, high):
    """Coefficients of t ** 0 ... t ** degree of least max |weight(t) * (function(t) - p(t))|."""
    count = degree + 2  # that many times the best error takes its greatest size, in turn + and -
    knots = [
        (low + high - (high - low) * mp.cos(mp.pi * (i + 0.5) / count)) / 2 for i in range(count)
    ]
    grid = midpoints(low, high)
    for _ in range(20):
        equations = [
            [t**k for k in range(degree + 1)] + [(-1) ** i / weight(t)] for i, t in enumerate(knots)
        ]
        *coefficients, level = mp.lu_solve(equations, [function(t) for t in knots])
        errors = [weight(t) * (function(t) - mp.polyval(coefficients[::-1], t)) for t in grid]
        if max(map(abs, errors)) < abs(level) * mp.mpf("1.0001"):
            return coefficients
        knots = [grid[i] for i in alternating_peaks(errors, count)]
    raise ArithmeticError("the exchange did not settle")


def alternating_peaks(errors, count):
    """Where the errors are largest: `count` places, with alternating signs."""
    lobes = [[0]]
    for i in range(1, len(errors)):
        if errors[i] * errors[i - 1] > 0:
            lobes[-1].append(i)
        else:
            lobes.append([i])
    peaks = [max(lobe, key=lambda i: abs(errors[i])) for lobe in lobes]
    while len(peaks) > count:  # a lobe too many at one of the ends
        peaks.pop(0 if abs(errors[peaks[0]]) < abs(errors[peaks[-1]]) else -1)
    return peaks


def midpoints(low, high, n=2000):
    """A grid without the ends, where a weight may be 0."""
    return [low + (high - low) * (i + mp.mpf(1) / 2) / n for i in range(n)]


def to_nearest(x, dtype):
    """x rounded once to a number of `dtype`, as an mpf."""
    with mp.workprec(np.finfo(dtype).nmant + 1):
        return +x


def exp_tail(r):
    """(exp(r) - 1 - r - r ** 2 / 2) / r ** 3"""
    return (mp.expm1(r) - r - r**2 / 2) / r**3


def log1p_tail(w):
    """(log1p(f) - 2 s) / s ** 3, where s = f / (2 + f) and w = s ** 2"""
    s = mp.sqrt(w)
    return 2 * (mp.atanh(s) - s) / s**3


def report(title, function, weight, low, high, degrees):
    """Print one polynomial in both precisions."""
    print(title)
    for dtype, degree in degrees.items():
        best = remez(function, weight, degree, low, high)
        rounded = [to_nearest(c, dtype) for c in best]
        error = max(
            abs(weight(t) * (function(t) - mp.polyval(rounded[::-1], t)))
            for t in midpoints(low, high)
        )
        print(f"  {np.dtype(dtype)}: error at most {mp.nstr(error, 2)}")
        for power, c in enumerate(rounded):
            print(f"    t ** {power}: {np.format_float_scientific(dtype(c))}")


if __name__ == "__main__":
    # A little wider than |r| <= ln(2) / 2: the nearest integer n is found in rounded arithmetic.
    half_ln2 = mp.log(2) / 2
    report(
        "exp(r) = 1 + r + r**2 / 2 + r**3 q(r), |r| <= ln(2) / 2, relative to exp(r)",
        exp_tail,
        lambda r: abs(r) ** 3 / mp.exp(r),
        -half_ln2 * mp.mpf("1.0002"),
        half_ln2 * mp.mpf("1.0001"),
        {np.float32: 3, np.float64: 9},
    )
    report(
        "log1p(f) = 2 s + s**3 q(s**2), s = f / (2 + f), |s| <= 0.2, relative to 2 s",
        log1p_tail,
        lambda w: w / 2,
        mp.mpf(0),
        mp.mpf("0.04"),
        {np.float32: 2, np.float64: 6},
    )
