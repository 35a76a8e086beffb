"""exp, sigmoid, tanh, log and log1p on the kernels' vectors.

They are ours, not the C library's, so that every instruction set with FMA gives the same bits: what is fused is said
by vfma. The coefficients come from tools/minimax.py. Errors are in units in the last place (ulp) of the true value.
"""

from libc.math cimport INFINITY

from cbackprop._kernels.simd cimport (
    POWER_SHIFT, REAL_IS_DOUBLE, vabs, vcopysign, vec, vexponent, vfma, vmantissa, vmax, vmin, vpower, vselect_less,
    vset, vsqrt,
)


cdef inline vec either(double for_float32, double for_float64) noexcept nogil:
    """The constant of this precision in every lane."""
    return vset(for_float64 if REAL_IS_DOUBLE else for_float32)


# ln(2) = LN2_HIGH + LN2_LOW; LN2_HIGH has so few bits that its product with an exponent is exact.
cdef inline vec ln2_high(double sign) noexcept nogil:
    return either(sign * 0.693145751953125, sign * 0.6931471803691238)


cdef inline vec ln2_low(double sign) noexcept nogil:
    return either(sign * 1.4286068203094172e-06, sign * 1.9082149292705877e-10)


cdef inline vec exp_tail(vec r, double sign) noexcept nogil:
    """t(r), where exp(sign r) = 1 + sign (r + r^2 t(r)), for |r| <= ln(2) / 2; sign is 1 or -1"""
    cdef vec t
    if REAL_IS_DOUBLE:
        t = vset(2.497801992023697e-08)
        t = vfma(t, r, vset(sign * 2.7625126813574957e-07))
        t = vfma(t, r, vset(2.755764145110913e-06))
        t = vfma(t, r, vset(sign * 2.4801508821603197e-05))
        t = vfma(t, r, vset(1.9841269466141227e-04))
        t = vfma(t, r, vset(sign * 1.388888892669571e-03))
        t = vfma(t, r, vset(8.333333333499837e-03))
        t = vfma(t, r, vset(sign * 4.166666666660418e-02))
        t = vfma(t, r, vset(1.6666666666666433e-01))
    else:
        t = vset(sign * 1.386362e-03)
        t = vfma(t, r, vset(8.36745e-03))
        t = vfma(t, r, vset(sign * 4.1667238e-02))
        t = vfma(t, r, vset(1.6666535e-01))
    return vfma(t, r, vset(sign * 0.5))


cdef inline vec exp_(vec x) noexcept nogil:
    """exp(x), within 0.00 ulp; inf above the greatest number, NaN for NaN, 0 below 2^-127 (2^-1023)"""
    # x = n ln(2) + r; the limits lie where the result is inf or 0 already
    x = vmin(either(89, 710), vmax(either(-88, -709), x))
    cdef vec shifted = vfma(x, vset(1.4426950408889634), vset(POWER_SHIFT))
    cdef vec n = shifted - vset(POWER_SHIFT)
    cdef vec r = vfma(n, ln2_low(-1), vfma(n, ln2_high(-1), x))
    r = vfma(r * r, exp_tail(r, 1), r)
    # The greatest n, 128 (1024), is one too many for a power of two: there the result is doubled once more.
    cdef vec low = vmin(shifted, either(POWER_SHIFT + 127, POWER_SHIFT + 1023))
    cdef vec power = vpower(low)
    cdef vec y = vfma(r, power, power)
    return vfma(y, shifted - low, y)


cdef inline vec sigmoid_(vec x) noexcept nogil:
    """1 / (1 + exp(-x)), within 0.00 ulp where that is a normal number; NaN for NaN"""
    # exp(-x) = 2^n exp(-r). At the limits 2^n is inf and 0, which makes the result 0 and 1.
    x = vmin(either(88, 709), vmax(either(-89, -710), x))
    cdef vec shifted = vfma(x, vset(-1.4426950408889634), vset(POWER_SHIFT))
    cdef vec n = shifted - vset(POWER_SHIFT)
    cdef vec r = vfma(n, ln2_low(1), vfma(n, ln2_high(1), x))
    cdef vec exp_r = vfma(vfma(r, exp_tail(r, -1), vset(1)), -r, vset(1))
    return vset(1) / vfma(exp_r, vpower(shifted), vset(1))


cdef inline vec tanh_(vec x) noexcept nogil:
    """tanh(x), within 0.00 ulp; odd to the bit, and NaN for NaN"""
    # tanh(y / 2) = (1 - exp(-y)) / (1 + exp(-y)), exp(-y) = 2^n exp(-r) = 2^n (1 - s). The numerator keeps its digits
    # near 0, where n is 0. The denominator is not 2 - numerator, which would let the same rounding count twice.
    cdef vec y = vmin(vset(40), vabs(x) + vabs(x))  # from there on the result is 1
    cdef vec shifted = vfma(y, vset(-1.4426950408889634), vset(POWER_SHIFT))
    cdef vec n = shifted - vset(POWER_SHIFT)
    # ln(2) in one piece will do: where n is large exp(-y) is small
    cdef vec r = vfma(n, vset(0.6931471805599453), y)
    cdef vec s = vfma(r * r, exp_tail(r, -1), r)
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
    """log(x), within 0.00 ulp; -inf for 0, NaN below and for NaN, inf for inf"""
    # a subnormal x is made normal first
    cdef vec least = either(1.1754943508222875e-38, 2.2250738585072014e-308)
    cdef vec scaled = vselect_less(x, least, x * either(16777216.0, 18014398509481984.0), x)
    cdef vec n = vexponent(scaled) - vselect_less(x, least, either(24, 54), vset(0))
    cdef vec f = vmantissa(scaled) - vset(1)
    cdef vec y = vfma(n, ln2_high(1), f + vfma(n, ln2_low(1), log1p_tail(f)))
    y = vselect_less(x, vset(INFINITY), y, x)
    return vselect_less(vset(0), x, y, vsqrt(x) - vset(INFINITY))


cdef inline vec log1p_unit_(vec t) noexcept nogil:
    """log(1 + t) for t in 0 ... 1, within 0.00 ulp; NaN for NaN"""
    # From 1/2 on log(1 + t) = ln(2) + log(1 + f), where 1 + f = (1 + t) / 2 without rounding.
    cdef vec n = vselect_less(t, vset(0.5), vset(0), vset(1))
    cdef vec f = vselect_less(t, vset(0.5), t, vfma(t, vset(0.5), vset(-0.5)))
    return vfma(n, ln2_high(1), f + vfma(n, ln2_low(1), log1p_tail(f)))
