"""Activations, forward and backward side by side: passes over the rows of one panel while it is in cache.

A derivative is written in terms of the activation, so nothing but the activations is kept.
"""

from libc.math cimport INFINITY

from cbackprop._kernels.elementary cimport exp_, sigmoid_, tanh_
from cbackprop._kernels.simd cimport (
    LANES, VECTOR_LANES, VECTORS, real_t, vabs, vec, vfold, vfold_max, vload, vmax, vselect_less,
    vset, vstore,
)
from cbackprop._typedefs cimport lanes_t


cdef inline void sigmoid_forward(lanes_t* rows, Py_ssize_t n_rows) noexcept nogil:
    """rows := 1 / (1 + exp(-rows))"""
    cdef real_t* x = <real_t*>rows
    cdef Py_ssize_t i
    for i in range(n_rows * VECTORS):
        vstore(x + i * VECTOR_LANES, sigmoid_(vload(x + i * VECTOR_LANES)))


cdef inline void sigmoid_backward(
    const lanes_t* activations, Py_ssize_t n_rows, lanes_t* deltas
) noexcept nogil:
    """deltas *= activations * (1 - activations)"""
    cdef const real_t* x = <const real_t*>activations
    cdef real_t* d = <real_t*>deltas
    cdef vec a
    cdef Py_ssize_t i
    for i in range(n_rows * VECTORS):
        a = vload(x + i * VECTOR_LANES)
        vstore(d + i * VECTOR_LANES, vload(d + i * VECTOR_LANES) * (a * (vset(1) - a)))


cdef inline void tanh_forward(lanes_t* rows, Py_ssize_t n_rows) noexcept nogil:
    """rows := tanh(rows)"""
    cdef real_t* x = <real_t*>rows
    cdef Py_ssize_t i
    for i in range(n_rows * VECTORS):
        vstore(x + i * VECTOR_LANES, tanh_(vload(x + i * VECTOR_LANES)))


cdef inline void tanh_backward(
    const lanes_t* activations, Py_ssize_t n_rows, lanes_t* deltas
) noexcept nogil:
    """deltas *= 1 - activations ** 2"""
    cdef const real_t* x = <const real_t*>activations
    cdef real_t* d = <real_t*>deltas
    cdef vec a
    cdef Py_ssize_t i
    for i in range(n_rows * VECTORS):
        a = vload(x + i * VECTOR_LANES)
        # (1 - a) (1 + a) keeps its digits where 1 - a * a would lose them
        vstore(d + i * VECTOR_LANES, vload(d + i * VECTOR_LANES) * ((vset(1) - a) * (vset(1) + a)))


cdef inline void relu_forward(lanes_t* rows, Py_ssize_t n_rows) noexcept nogil:
    """rows := max(0, rows)"""
    cdef real_t* x = <real_t*>rows
    cdef Py_ssize_t i
    for i in range(n_rows * VECTORS):
        vstore(x + i * VECTOR_LANES, vmax(vset(0), vload(x + i * VECTOR_LANES)))


cdef inline void relu_backward(
    const lanes_t* activations, Py_ssize_t n_rows, lanes_t* deltas
) noexcept nogil:
    """deltas *= activations > 0"""
    cdef const real_t* x = <const real_t*>activations
    cdef real_t* d = <real_t*>deltas
    cdef Py_ssize_t i
    for i in range(n_rows * VECTORS):
        vstore(d + i * VECTOR_LANES, vselect_less(
            vset(0), vload(x + i * VECTOR_LANES), vload(d + i * VECTOR_LANES), vset(0)))


cdef inline void softsign_forward(lanes_t* rows, Py_ssize_t n_rows) noexcept nogil:
    """rows := rows / (1 + abs(rows))"""
    cdef real_t* x = <real_t*>rows
    cdef vec z
    cdef Py_ssize_t i
    for i in range(n_rows * VECTORS):
        z = vload(x + i * VECTOR_LANES)
        vstore(x + i * VECTOR_LANES, z / (vset(1) + vabs(z)))


cdef inline void softsign_backward(
    const lanes_t* activations, Py_ssize_t n_rows, lanes_t* deltas
) noexcept nogil:
    """deltas *= (1 - abs(activations)) ** 2"""
    cdef const real_t* x = <const real_t*>activations
    cdef real_t* d = <real_t*>deltas
    cdef vec slope
    cdef Py_ssize_t i
    for i in range(n_rows * VECTORS):
        slope = vset(1) - vabs(vload(x + i * VECTOR_LANES))
        vstore(d + i * VECTOR_LANES, vload(d + i * VECTOR_LANES) * (slope * slope))


cdef inline void exp_forward(lanes_t* rows, Py_ssize_t n_rows) noexcept nogil:
    """rows := exp(rows)"""
    cdef real_t* x = <real_t*>rows
    cdef Py_ssize_t i
    for i in range(n_rows * VECTORS):
        vstore(x + i * VECTOR_LANES, exp_(vload(x + i * VECTOR_LANES)))


cdef inline void exp_backward(
    const lanes_t* activations, Py_ssize_t n_rows, lanes_t* deltas
) noexcept nogil:
    """deltas *= activations"""
    cdef const real_t* x = <const real_t*>activations
    cdef real_t* d = <real_t*>deltas
    cdef Py_ssize_t i
    for i in range(n_rows * VECTORS):
        vstore(d + i * VECTOR_LANES, vload(d + i * VECTOR_LANES) * vload(x + i * VECTOR_LANES))


cdef inline void lane_mask(Py_ssize_t n_valid, real_t inside, real_t outside, real_t* mask) noexcept nogil:
    """mask := inside in the first n_valid of LANES lanes, outside in the others"""
    cdef Py_ssize_t lane
    for lane in range(LANES):
        mask[lane] = inside if lane < n_valid else outside


cdef inline real_t softmax_row(
    real_t* z, Py_ssize_t stride,  # one row of each panel: stride reals apart; overwritten by the activations
    Py_ssize_t n_out, const real_t* barrier,  # (LANES,): 0, or -inf beyond the last output
    real_t* total,  # the sum of the exponentials before the division
) noexcept nogil:
    """z := exp(z - max(z)) / total; returns max(z)"""
    cdef vec[16] part  # the largest width is VECTORS = 16
    cdef Py_ssize_t p, v, n_panels = (n_out + LANES - 1) // LANES
    cdef real_t* x
    cdef real_t largest
    cdef vec shift, e, divisor
    for v in range(VECTORS):
        part[v] = vload(barrier + v * VECTOR_LANES) + vload(z + (n_panels - 1) * stride + v * VECTOR_LANES)
        for p in range(n_panels - 1):
            part[v] = vmax(part[v], vload(z + p * stride + v * VECTOR_LANES))
    largest = vfold_max(part)
    shift = vset(largest)
    for v in range(VECTORS):
        part[v] = vset(0)
        for p in range(n_panels):
            x = z + p * stride + v * VECTOR_LANES
            e = vload(x) - shift
            if p == n_panels - 1:
                e = e + vload(barrier + v * VECTOR_LANES)
            e = exp_(e)
            vstore(x, e)
            part[v] = part[v] + e
    total[0] = vfold(part)
    divisor = vset(total[0])
    for p in range(n_panels):
        for v in range(VECTORS):
            x = z + p * stride + v * VECTOR_LANES
            vstore(x, vload(x) / divisor)
    return largest


cdef inline void softmax_forward(
    lanes_t* rows, Py_ssize_t stride,  # (ceil(n_out / LANES), stride), overwritten, zero beyond n_out
    Py_ssize_t n_out, Py_ssize_t n_rows,
) noexcept nogil:
    """rows := exp(rows) / exp(rows).sum(), row by row"""
    cdef real_t[16] barrier
    cdef real_t total
    cdef Py_ssize_t r
    lane_mask(n_out - (n_out - 1) // LANES * LANES, 0, -INFINITY, barrier)
    for r in range(n_rows):
        softmax_row(<real_t*>(rows + r), stride * LANES, n_out, barrier, &total)
