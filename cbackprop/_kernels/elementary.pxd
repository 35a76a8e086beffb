"""exp, sigmoid, tanh, log and log1p on the kernels' vectors.

They are ours, not the C library's, so that every instruction set with FMA gives the same bits: what is fused is said
by vfma. The coefficients come from tools/minimax.py. Errors are in units in the last place (ulp) of the true value;
tests/test_elementary.py holds the functions to these bounds, docs/design.md says what was found in a wider search.
"""

from libc.math cimport INFINITY

from cbackprop._kernels.simd cimport (
    POWER_SHIFT, REAL_IS_DOUBLE, vabs, vcopysign, vec, vexponent, vfma, vmantissa, vmax, vmin, vpower, vselect_less,
    vset, vsqrt,
)


cdef inline vec constant(double for_float32, double for_float64) noexcept nogil:
    """The one of the two that belongs to this precision, in every lane."""
    return vset(for_float64 if REAL_IS_DOUBLE else for_float32)


# ln(2) = LN2_HIGH + LN2_LOW; LN2_HIGH has so few bits that its product with an exponent is exact.
cdef inline vec ln2_high(double sign) noexcept nogil:
    return constant(sign * 0.693145751953125, sign * 0.6931471803691238)


cdef inline vec ln2_low(double sign) noexcept nogil:
    return constant(sign * 1.4286068203094172e-06, sign * 1.9082149292705877e-10)


cdef inline vec exp_tail(vec r, double sign) noexcept nogil:
    """t(r), where exp(sign r) = 1 + sign (r + r^2 t(r)), for |r| <= ln(2) / 2; sign is 1 or -1"""
    cdef vec t
    if REAL_IS_DOUBLE:
        t = vset(sign * 2.083821601101091e-09)
        t = vfma(t, r, vset(2.5111189698184688e-08))
        t = vfma(t, r, vset(sign * 2.755752670903466e-07))
        t = vfma(t, r, vset(2.7557237613005487e-06))
        t = vfma(t, r, vset(sign * 2.48015870253055e-05))
        t = vfma(t, r, vset(1.9841269893187665e-04))
        t = vfma(t, r, vset(sign * 1.3888888889033203e-03))
        t = vfma(t, r, vset(8.333333333318588e-03))
        t = vfma(t, r, vset(sign * 4.1666666666666415e-02))
        t = vfma(t, r, vset(1.666666666666668e-01))
    else:
        t = vset(sign * 1.386362e-03)
        t = vfma(t, r, vset(8.36745e-03))
        t = vfma(t, r, vset(sign * 4.1667238e-02))
        t = vfma(t, r, vset(1.6666535e-01))
    return vfma(t, r, vset(sign * 0.5))


cdef inline vec exp_(vec x) noexcept nogil:
    """exp(x), within 1 ulp; inf above the greatest number, 0 below 2^-126.5 (float64: 2^-1022.5), NaN for NaN"""
    x = vmin(constant(89, 710), vmax(constant(-88, -709), x))  # where the result is inf or 0 already
    cdef vec shifted = vfma(x, vset(1.4426950408889634), vset(POWER_SHIFT))
    cdef vec n = shifted - vset(POWER_SHIFT)
    # r = x - n ln(2); s = exp(r) - 1 begins with r's two parts, for their sum is rounded: without that, 1.03 ulp.
    cdef vec high = vfma(n, ln2_high(-1), x)
    cdef vec low = n * ln2_low(-1)
    cdef vec r = high + low
    cdef vec s = high + vfma(r * exp_tail(r, 1), r, low)
    # 2^128 (2^1024) is no number, so where n is that, the last power of two is taken and the result doubled.
    cdef vec within = vmin(shifted, constant(POWER_SHIFT + 127, POWER_SHIFT + 1023))
    cdef vec power = vpower(within)
    cdef vec y = vfma(s, power, power)
    return vfma(y, shifted - within, y)


cdef inline vec sigmoid_(vec x) noexcept nogil:
    """1 / (1 + exp(-x)), within 2.5 ulp; 0 below 2^-127.5 (float64: 2^-1023.5), NaN for NaN"""
    # exp(-x) = 2^n exp(-r). At the limits 2^n is inf and 0, which makes the result 0 and 1.
    x = vmin(constant(88, 709), vmax(constant(-89, -710), x))
    cdef vec shifted = vfma(x, vset(-1.4426950408889634), vset(POWER_SHIFT))
    cdef vec n = shifted - vset(POWER_SHIFT)
    cdef vec r = vfma(n, ln2_low(1), vfma(n, ln2_high(1), x))
    cdef vec exp_r = vfma(vfma(exp_tail(r, -1), r, vset(1)), -r, vset(1))
    return vset(1) / vfma(exp_r, vpower(shifted), vset(1))


cdef inline vec tanh_(vec x) noexcept nogil:
    """tanh(x), within 2 ulp; odd to the bit, NaN for NaN"""
    # tanh(y / 2) = (1 - exp(-y)) / (1 + exp(-y)), exp(-y) = 2^n exp(-r) = 2^n (1 - s). The numerator keeps its digits
    # near 0, where n is 0. The denominator is not 2 - numerator, which would let the same rounding count twice.
    cdef vec y = vmin(vset(40), vabs(x) + vabs(x))  # from there on the result is 1
    cdef vec shifted = vfma(y, vset(-1.4426950408889634), vset(POWER_SHIFT))
    cdef vec n = shifted - vset(POWER_SHIFT)
    cdef vec r = vfma(n, vset(0.6931471805599453), y)
    cdef vec s = r * exp_tail(r, -1)
    cdef vec rest
    if REAL_IS_DOUBLE:
        # the rest of ln(2), times exp(-r); float32 has ln(2) well enough
        rest = n * vset(2.3190468138462996e-17)
        s = r + vfma(s, r, vfma(-r, rest, rest))
    else:
        s = vfma(s, r, r)
    cdef vec power = vpower(shifted)
    return vcopysign(vfma(s, power, vset(1) - power) / vfma(-s, power, vset(1) + power), x)


cdef inline vec log1p_tail(vec f) noexcept nogil:
    """log(1 + f) - f for f in sqrt(1/2) - 1 ... 1/2"""
    # With s = f / (2 + f): log(1 + f) = 2 s + s^3 q(s^2) = f - f^2 / 2 + s (f^2 / 2 + s^2 q(s^2))
    cdef vec s = f / (f + vset(2))
    cdef vec w = s * s
    cdef vec half_square = f * f * vset(0.5)
    cdef vec q
    if REAL_IS_DOUBLE:
        q = vset(1.5367634685306616e-01)
        q = vfma(q, w, vset(1.525026003186792e-01))
        q = vfma(q, w, vset(1.8186352502399164e-01))
        q = vfma(q, w, vset(2.2222138588541335e-01))
        q = vfma(q, w, vset(2.857142939422639e-01))
        q = vfma(q, w, vset(3.9999999996167596e-01))
        q = vfma(q, w, vset(6.66666666666727e-01))
    else:
        q = vset(3.0360097e-01)
        q = vfma(q, w, vset(3.9957848e-01))
        q = vfma(q, w, vset(6.666695e-01))
    return vfma(s, vfma(q, w, half_square), -half_square)


cdef inline vec log_(vec x) noexcept nogil:
    """log(x), within 1 ulp; -inf for 0, NaN below and for NaN, inf for inf"""
    # a subnormal x is made normal first
    cdef vec least = constant(1.1754943508222875e-38, 2.2250738585072014e-308)
    cdef vec scaled = vselect_less(x, least, x * constant(16777216.0, 18014398509481984.0), x)
    cdef vec n = vexponent(scaled) - vselect_less(x, least, constant(24, 54), vset(0))
    cdef vec f = vmantissa(scaled) - vset(1)
    cdef vec y = vfma(n, ln2_high(1), f + vfma(n, ln2_low(1), log1p_tail(f)))
    y = vselect_less(x, vset(INFINITY), y, x)
    return vselect_less(vset(0), x, y, vsqrt(x) - vset(INFINITY))


cdef inline vec log1p_unit_(vec t) noexcept nogil:
    """log(1 + t) for t in 0 ... 1, within 1.1 ulp; NaN for NaN"""
    # From 1/2 on log(1 + t) = ln(2) + log(1 + f), where 1 + f = (1 + t) / 2 without rounding.
    cdef vec n = vselect_less(t, vset(0.5), vset(0), vset(1))
    cdef vec f = vselect_less(t, vset(0.5), t, vfma(t, vset(0.5), vset(-0.5)))
    return vfma(n, ln2_high(1), f + vfma(n, ln2_low(1), log1p_tail(f)))
