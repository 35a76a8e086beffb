"""Register tiles: the two inner loops that nearly all the time of training goes into.

`rows`, `features` and `columns` are constants wherever a tile is called, so that after inlining the
accumulators are registers and their loops are unrolled. `columns` are those of whole panels, or of one and a
half, made of vectors, or of the first half of one, made of half vectors; `like` is any of them.
"""

from cbackprop._kernels.simd cimport (
    LANES, TILE_PANELS, TILE_ROWS, VECTORS, everywhere, fma, load, real_t, some_vec, store, vprefetch,
    vprefetch_to_write,
)
from cbackprop._kernels.table cimport Step


cdef inline Py_ssize_t columns_at_once(Py_ssize_t n_columns) noexcept nogil:
    """How many of so many columns the next tiles take: some panels, or with the first half of a last one, or that"""
    if n_columns <= LANES // 2:
        return LANES // 2
    # 4 rows of 3 vectors need fewer loads than 12 of one
    if TILE_ROWS == 6 and LANES < n_columns <= LANES * 3 // 2:
        return LANES * 3 // 2
    # a panel that is half empty goes alone
    return min(TILE_PANELS * LANES, (n_columns + LANES // 2 - 1) // LANES * LANES)


cdef inline Py_ssize_t tile_height(some_vec like, Py_ssize_t full_height, Py_ssize_t columns) noexcept nogil:
    """Rows of a tile with as many accumulators as `full_height` rows of TILE_PANELS panels of vectors make"""
    return min(16, full_height * TILE_PANELS * VECTORS * <Py_ssize_t>(sizeof(some_vec) // sizeof(real_t)) // columns)


cdef inline void product_tile(
    some_vec like,
    const real_t* a, Py_ssize_t a_stride,  # (ceil(n_k / LANES), a_stride / LANES, LANES): panels
    const real_t* b, Py_ssize_t b_stride,  # (panels, b_stride / LANES, LANES)
    const real_t* start, Py_ssize_t start_row, Py_ssize_t start_stride,  # as out; start_row = 0: one row for all
    Py_ssize_t n_k,  # 1 at least
    Py_ssize_t rows, Py_ssize_t columns,
    real_t* out, Py_ssize_t out_stride,  # (panels, out_stride / LANES, LANES), overwritten in `rows` rows
) noexcept nogil:
    """out := start + a @ b, each element one chain of fused multiply-adds along k; zeros in a half left out"""
    cdef some_vec[32] sums
    cdef some_vec factor
    cdef Py_ssize_t width = sizeof(some_vec) // sizeof(real_t), n = columns // width
    cdef Py_ssize_t r, i, lane, depth
    for r in range(rows):
        for i in range(n):
            sums[r * n + i] = load(
                like, start + r * start_row + i * width // LANES * start_stride + i * width % LANES)
    # The loops' ends are tested at their ends: for loops that may not run at all GCC keeps two copies of the sums.
    while True:
        lane = 0
        depth = min(LANES, n_k)
        # the next panel lies too far off for the processor to guess
        for r in range(rows):
            vprefetch(a + a_stride + r * LANES)
        while True:
            for r in range(rows):
                factor = everywhere(like, a[r * LANES + lane])
                for i in range(n):
                    sums[r * n + i] = fma(
                        factor, load(like, b + i * width // LANES * b_stride + i * width % LANES), sums[r * n + i])
            b += LANES
            lane += 1
            if lane == depth:
                break
        a += a_stride
        n_k -= LANES
        if n_k <= 0:
            break
    for r in range(rows):
        for i in range(n):
            store(out + i * width // LANES * out_stride + r * LANES + i * width % LANES, sums[r * n + i])
        for i in range(n, (columns + LANES - 1) // LANES * LANES // width):
            store(out + i * width // LANES * out_stride + r * LANES + i * width % LANES, everywhere(like, 0))


cdef inline void gradient_tile(
    some_vec like,
    const real_t* a,  # (n_rows, LANES), the first of `features` columns
    const real_t* d, Py_ssize_t d_stride,  # (panels, d_stride / LANES, LANES)
    Py_ssize_t n_rows, Py_ssize_t features, Py_ssize_t columns,
    const Step* step,  # NULL: out is overwritten by the gradient; else it is updated by it
    real_t* out, Py_ssize_t out_stride,  # (panels, out_stride / LANES, LANES), in `features` rows
) noexcept nogil:
    """out := a.T @ d, or out -= (learning_rate * scale) * (a.T @ d + alpha * out); each a.T @ d one chain along rows

    A half left out is overwritten by zeros, or as it was.
    """
    cdef some_vec[32] sums
    cdef some_vec factor, parameters, alpha, minus_step
    cdef real_t* target
    cdef Py_ssize_t width = sizeof(some_vec) // sizeof(real_t), n = columns // width
    cdef Py_ssize_t _r, f, i
    for f in range(features):
        for i in range(n):
            if step != NULL and i * width % LANES == 0:
                vprefetch_to_write(out + i * width // LANES * out_stride + f * LANES)
            sums[f * n + i] = everywhere(like, 0)
    for _r in range(n_rows):
        for f in range(features):
            factor = everywhere(like, a[f])
            for i in range(n):
                sums[f * n + i] = fma(
                    factor, load(like, d + i * width // LANES * d_stride + i * width % LANES), sums[f * n + i])
        a += LANES
        d += LANES
    if step != NULL:
        minus_step = everywhere(like, <real_t>(-step.learning_rate * step.scale))
        if step.alpha != 0:
            alpha = everywhere(like, <real_t>step.alpha)
            for f in range(features):
                for i in range(n):
                    parameters = load(like, out + i * width // LANES * out_stride + f * LANES + i * width % LANES)
                    sums[f * n + i] = fma(alpha, parameters, sums[f * n + i])
    for f in range(features):
        for i in range(n):
            target = out + i * width // LANES * out_stride + f * LANES + i * width % LANES
            if step == NULL:
                store(target, sums[f * n + i])
            else:
                store(target, fma(minus_step, sums[f * n + i], load(like, target)))
        if step == NULL:
            for i in range(n, (columns + LANES - 1) // LANES * LANES // width):
                store(out + i * width // LANES * out_stride + f * LANES + i * width % LANES, everywhere(like, 0))
