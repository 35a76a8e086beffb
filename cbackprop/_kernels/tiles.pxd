"""Register tiles: the two inner loops that nearly all the time of training goes into.

`rows`, `features` and `panels` are constants wherever a tile is called, so that after inlining the
accumulators are registers and their loops are unrolled.
"""

from cbackprop._kernels.simd cimport (
    LANES, VECTORS, real_t, vec, vfma, vload, vprefetch, vprefetch_to_write, vset, vstore,
)
from cbackprop._kernels.table cimport Step


cdef inline void product_tile(
    const real_t* a, Py_ssize_t a_stride,  # (ceil(n_k / LANES), a_stride / LANES, LANES): panels
    const real_t* b, Py_ssize_t b_stride,  # (panels, b_stride / LANES, LANES)
    const real_t* start, Py_ssize_t start_row, Py_ssize_t start_stride,  # as out; start_row = 0: one row for all
    Py_ssize_t n_k,  # 1 at least
    Py_ssize_t rows, Py_ssize_t panels,
    real_t* out, Py_ssize_t out_stride,  # (panels, out_stride / LANES, LANES), overwritten in `rows` rows
) noexcept nogil:
    """out := start + a @ b, each element one chain of fused multiply-adds along k"""
    cdef vec[32] sums
    cdef vec factor
    cdef Py_ssize_t r, p, v, lane, depth
    for r in range(rows):
        for p in range(panels):
            for v in range(VECTORS):
                sums[(r * panels + p) * VECTORS + v] = vload(
                    start + r * start_row + p * start_stride + v * (LANES // VECTORS))
    # The loops' ends are tested at their ends: for loops that may not run at all GCC keeps two copies of the sums.
    while True:
        lane = 0
        depth = min(LANES, n_k)
        # the next panel lies too far off for the processor to guess
        for r in range(rows):
            vprefetch(a + a_stride + r * LANES)
        while True:
            for r in range(rows):
                factor = vset(a[r * LANES + lane])
                for p in range(panels):
                    for v in range(VECTORS):
                        sums[(r * panels + p) * VECTORS + v] = vfma(
                            factor, vload(b + p * b_stride + v * (LANES // VECTORS)),
                            sums[(r * panels + p) * VECTORS + v])
            b += LANES
            lane += 1
            if lane == depth:
                break
        a += a_stride
        n_k -= LANES
        if n_k <= 0:
            break
    for r in range(rows):
        for p in range(panels):
            for v in range(VECTORS):
                vstore(out + p * out_stride + r * LANES + v * (LANES // VECTORS),
                       sums[(r * panels + p) * VECTORS + v])


cdef inline void gradient_tile(
    const real_t* a,  # (n_rows, LANES), the first of `features` columns
    const real_t* d, Py_ssize_t d_stride,  # (panels, d_stride / LANES, LANES)
    Py_ssize_t n_rows, Py_ssize_t features, Py_ssize_t panels,
    const Step* step,  # NULL: out is overwritten by the gradient; else it is updated by it
    real_t* out, Py_ssize_t out_stride,  # (panels, out_stride / LANES, LANES), in `features` rows
) noexcept nogil:
    """out := a.T @ d, or out -= learning_rate * scale * (a.T @ d + alpha * out); each a.T @ d one chain along rows"""
    cdef vec[32] sums
    cdef vec factor, parameters, alpha, scale, minus_rate
    cdef real_t* target
    cdef Py_ssize_t _r, f, p, v
    for f in range(features):
        for p in range(panels):
            if step != NULL:
                vprefetch_to_write(out + p * out_stride + f * LANES)
            for v in range(VECTORS):
                sums[(f * panels + p) * VECTORS + v] = vset(0)
    for _r in range(n_rows):
        for f in range(features):
            factor = vset(a[f])
            for p in range(panels):
                for v in range(VECTORS):
                    sums[(f * panels + p) * VECTORS + v] = vfma(
                        factor, vload(d + p * d_stride + v * (LANES // VECTORS)),
                        sums[(f * panels + p) * VECTORS + v])
        a += LANES
        d += LANES
    if step != NULL:
        alpha = vset(<real_t>step.alpha)
        scale = vset(<real_t>step.scale)
        minus_rate = vset(<real_t>-step.learning_rate)
    for f in range(features):
        for p in range(panels):
            for v in range(VECTORS):
                target = out + p * out_stride + f * LANES + v * (LANES // VECTORS)
                if step == NULL:
                    vstore(target, sums[(f * panels + p) * VECTORS + v])
                else:
                    parameters = vload(target)
                    vstore(target, vfma(
                        minus_rate,
                        vfma(alpha, parameters, sums[(f * panels + p) * VECTORS + v]) * scale,
                        parameters))
