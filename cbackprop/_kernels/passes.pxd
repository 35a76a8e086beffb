"""Activations, forward and backward side by side: passes over the rows of one panel while it is in cache.

A derivative is written in terms of the activation, so nothing but the activations is kept.
"""

from libc.math cimport INFINITY

from cbackprop._kernels.elementary cimport exp_, sigmoid_, tanh_
from cbackprop._kernels.simd cimport (
    LANES, VECTOR_LANES, VECTORS, real_t, vabs, vcopysign, vec, vfma, vfold, vfold_max, vload, vmax, vselect_less,
    vset, vstore,
)
from cbackprop._kernels.table cimport EXP, RELU, SIGMOID, SOFTSIGN, TANH, Activation
from cbackprop._typedefs cimport lanes_t


cdef enum:
    ROWS_TOGETHER = 64  # rows of a softmax between its passes: their numbers for each row wait on the stack


cdef inline vec value(Activation f, vec z) noexcept nogil:
    """f(z); f is a constant wherever this is called"""
    if f == SIGMOID:
        return sigmoid_(z)
    if f == TANH:
        return tanh_(z)
    if f == RELU:
        return vmax(vset(0), z)
    if f == SOFTSIGN:
        return z / (vset(1) + vabs(z))
    if f == EXP:
        return exp_(z)
    return z


cdef inline vec times_slope(Activation f, vec a, vec delta) noexcept nogil:
    """delta * f'(z), where a = f(z)"""
    if f == SIGMOID:
        return delta * (a * (vset(1) - a))
    if f == TANH:
        # (1 - a) (1 + a) keeps digits that 1 - a * a would lose
        return delta * ((vset(1) - a) * (vset(1) + a))
    if f == RELU:
        return vselect_less(vset(0), a, delta, vset(0))
    if f == SOFTSIGN:
        a = vset(1) - vabs(a)
        return delta * (a * a)
    if f == EXP:
        return delta * a
    return delta


cdef inline vec slope_change(Activation f, vec a) noexcept nogil:
    """f'' / f' at z, where a = f(z): how f'(z) changes with a"""
    if f == SIGMOID:
        return vset(1) - (a + a)
    if f == TANH:
        return vset(-2) * a
    if f == SOFTSIGN:
        return vset(-2) * vcopysign(vset(1) - vabs(a), a)
    if f == EXP:
        return vset(1)
    return vset(0)


cdef inline void forward_rows(Activation f, lanes_t* rows, Py_ssize_t n_rows) noexcept nogil:
    """rows := f(rows)"""
    cdef real_t* x = <real_t*>rows
    cdef Py_ssize_t i
    for i in range(n_rows * VECTORS):
        vstore(x + i * VECTOR_LANES, value(f, vload(x + i * VECTOR_LANES)))


cdef inline void backward_rows(
    Activation f, const lanes_t* activations, Py_ssize_t n_rows, lanes_t* deltas
) noexcept nogil:
    """deltas *= f'(z), where activations = f(z)"""
    cdef const real_t* x = <const real_t*>activations
    cdef real_t* d = <real_t*>deltas
    cdef Py_ssize_t i
    for i in range(n_rows * VECTORS):
        vstore(d + i * VECTOR_LANES, times_slope(f, vload(x + i * VECTOR_LANES), vload(d + i * VECTOR_LANES)))


cdef inline void tangent_rows(
    Activation f, const lanes_t* activations, const lanes_t* tangents, Py_ssize_t n_rows,
    lanes_t* deltas, lanes_t* tangent_deltas,
) noexcept nogil:
    """tangent_deltas := f' * tangent_deltas + deltas * f'' / f' * tangents; deltas *= f'

    The rule for a product's derivative along some direction, in which f' changes by f'' / f' times what the
    activations change by: the tangents.
    """
    cdef const real_t* x = <const real_t*>activations
    cdef const real_t* t = <const real_t*>tangents
    cdef real_t* d = <real_t*>deltas
    cdef real_t* out = <real_t*>tangent_deltas
    cdef vec a, delta
    cdef Py_ssize_t _i
    for _i in range(n_rows * VECTORS):
        a, delta = vload(x), vload(d)
        vstore(out, vfma(delta * slope_change(f, a), vload(t), times_slope(f, a, vload(out))))
        vstore(d, times_slope(f, a, delta))
        x += VECTOR_LANES
        t += VECTOR_LANES
        d += VECTOR_LANES
        out += VECTOR_LANES


cdef inline void sigmoid_forward(lanes_t* rows, Py_ssize_t n_rows) noexcept nogil:
    forward_rows(SIGMOID, rows, n_rows)


cdef inline void sigmoid_backward(const lanes_t* activations, Py_ssize_t n_rows, lanes_t* deltas) noexcept nogil:
    backward_rows(SIGMOID, activations, n_rows, deltas)


cdef inline void sigmoid_tangent(
    const lanes_t* activations, const lanes_t* tangents, Py_ssize_t n_rows, lanes_t* deltas, lanes_t* tangent_deltas
) noexcept nogil:
    tangent_rows(SIGMOID, activations, tangents, n_rows, deltas, tangent_deltas)


cdef inline void tanh_forward(lanes_t* rows, Py_ssize_t n_rows) noexcept nogil:
    forward_rows(TANH, rows, n_rows)


cdef inline void tanh_backward(const lanes_t* activations, Py_ssize_t n_rows, lanes_t* deltas) noexcept nogil:
    backward_rows(TANH, activations, n_rows, deltas)


cdef inline void tanh_tangent(
    const lanes_t* activations, const lanes_t* tangents, Py_ssize_t n_rows, lanes_t* deltas, lanes_t* tangent_deltas
) noexcept nogil:
    tangent_rows(TANH, activations, tangents, n_rows, deltas, tangent_deltas)


cdef inline void relu_forward(lanes_t* rows, Py_ssize_t n_rows) noexcept nogil:
    forward_rows(RELU, rows, n_rows)


cdef inline void relu_backward(const lanes_t* activations, Py_ssize_t n_rows, lanes_t* deltas) noexcept nogil:
    backward_rows(RELU, activations, n_rows, deltas)


cdef inline void relu_tangent(
    const lanes_t* activations, const lanes_t* tangents, Py_ssize_t n_rows, lanes_t* deltas, lanes_t* tangent_deltas
) noexcept nogil:
    tangent_rows(RELU, activations, tangents, n_rows, deltas, tangent_deltas)


cdef inline void softsign_forward(lanes_t* rows, Py_ssize_t n_rows) noexcept nogil:
    forward_rows(SOFTSIGN, rows, n_rows)


cdef inline void softsign_backward(const lanes_t* activations, Py_ssize_t n_rows, lanes_t* deltas) noexcept nogil:
    backward_rows(SOFTSIGN, activations, n_rows, deltas)


cdef inline void softsign_tangent(
    const lanes_t* activations, const lanes_t* tangents, Py_ssize_t n_rows, lanes_t* deltas, lanes_t* tangent_deltas
) noexcept nogil:
    tangent_rows(SOFTSIGN, activations, tangents, n_rows, deltas, tangent_deltas)


cdef inline void exp_forward(lanes_t* rows, Py_ssize_t n_rows) noexcept nogil:
    forward_rows(EXP, rows, n_rows)


cdef inline void exp_backward(const lanes_t* activations, Py_ssize_t n_rows, lanes_t* deltas) noexcept nogil:
    backward_rows(EXP, activations, n_rows, deltas)


cdef inline void exp_tangent(
    const lanes_t* activations, const lanes_t* tangents, Py_ssize_t n_rows, lanes_t* deltas, lanes_t* tangent_deltas
) noexcept nogil:
    tangent_rows(EXP, activations, tangents, n_rows, deltas, tangent_deltas)


cdef inline void lane_mask(Py_ssize_t n_valid, real_t inside, real_t outside, real_t* mask) noexcept nogil:
    """mask := inside in the first n_valid of LANES lanes, outside in the others"""
    cdef Py_ssize_t lane
    for lane in range(LANES):
        mask[lane] = inside if lane < n_valid else outside


cdef inline void softmax_rows(
    real_t* z, Py_ssize_t stride,  # panels of rows, stride reals apart; overwritten, zero beyond n_out
    Py_ssize_t n_out, Py_ssize_t n_rows,  # up to ROWS_TOGETHER
    real_t* largest,  # (n_rows,), overwritten: max(z)
    real_t* totals,  # (n_rows,), overwritten: sum(exp(z - max(z)))
) noexcept nogil:
    """z := exp(z - largest) / totals, row by row"""
    # One pass over the rows for each step: in one loop the folds would wait for one another.
    cdef real_t[16] barrier  # -inf beyond the last output
    cdef vec[16] part
    cdef Py_ssize_t r, p, v, last = (n_out - 1) // LANES
    cdef real_t* x
    cdef vec shift, e, divisor
    lane_mask(n_out - last * LANES, 0, -INFINITY, barrier)
    for r in range(n_rows):
        for v in range(VECTORS):
            x = z + r * LANES + v * VECTOR_LANES
            part[v] = vload(barrier + v * VECTOR_LANES) + vload(x + last * stride)
            for p in range(last):
                part[v] = vmax(part[v], vload(x + p * stride))
        largest[r] = vfold_max(part)
    for r in range(n_rows):
        shift = vset(largest[r])
        for v in range(VECTORS):
            part[v] = vset(0)
            for p in range(last + (v * VECTOR_LANES < n_out - last * LANES)):
                x = z + p * stride + r * LANES + v * VECTOR_LANES
                e = vload(x) - shift
                if p == last:
                    e = e + vload(barrier + v * VECTOR_LANES)
                e = exp_(e)
                vstore(x, e)
                part[v] = part[v] + e
        totals[r] = vfold(part)
    for r in range(n_rows):
        divisor = vset(totals[r])
        for v in range(VECTORS):
            for p in range(last + (v * VECTOR_LANES < n_out - last * LANES)):
                x = z + p * stride + r * LANES + v * VECTOR_LANES
                vstore(x, vload(x) / divisor)
            if n_out - last * LANES <= v * VECTOR_LANES:
                vstore(z + last * stride + r * LANES + v * VECTOR_LANES, vset(0))


cdef inline void softmax_forward(
    lanes_t* rows, Py_ssize_t stride,  # (ceil(n_out / LANES), stride), overwritten, zero beyond n_out
    Py_ssize_t n_out, Py_ssize_t n_rows,
) noexcept nogil:
    """rows := exp(rows) / exp(rows).sum(), row by row"""
    cdef real_t[ROWS_TOGETHER] largest
    cdef real_t[ROWS_TOGETHER] totals
    cdef Py_ssize_t r
    for r in range(0, n_rows, 64):
        softmax_rows(<real_t*>(rows + r), stride * LANES, n_out, min(ROWS_TOGETHER, n_rows - r), largest, totals)


cdef inline void softmax_backward(
    const lanes_t* outputs, Py_ssize_t stride,  # (ceil(n_out / LANES), stride): a softmax, zero beyond n_out
    Py_ssize_t n_out, Py_ssize_t n_rows,
    lanes_t* deltas,  # as outputs, updated, zero beyond n_out
) noexcept nogil:
    """deltas := outputs * (deltas - sum(outputs * deltas)), row by row: the softmax's derivative, which is symmetric"""
    cdef const real_t* a = <const real_t*>outputs
    cdef real_t* d = <real_t*>deltas
    cdef vec[16] part
    cdef vec total
    cdef Py_ssize_t r, p, v, at, n_panels = (n_out + LANES - 1) // LANES
    for r in range(n_rows):
        for v in range(VECTORS):
            part[v] = vset(0)
            for p in range(n_panels):
                at = (p * stride + r) * LANES + v * VECTOR_LANES
                part[v] = vfma(vload(a + at), vload(d + at), part[v])
        total = vset(vfold(part))
        for p in range(n_panels):
            for v in range(VECTORS):
                at = (p * stride + r) * LANES + v * VECTOR_LANES
                vstore(d + at, vload(a + at) * (vload(d + at) - total))
