"""The gradients of a dense layer's weights and biases, summed over rows or row by row; a step of gradient descent."""

from cbackprop._kernels.simd cimport (
    GRADIENT_ROWS, LANES, TILE_PANELS, TILE_ROWS, VECTOR_LANES, VECTORS, hset, real_t, some_vec, vec, vfma, vload, vset,
    vstore,
)
from cbackprop._kernels.table cimport Step
from cbackprop._kernels.tiles cimport columns_at_once, gradient_tile, tile_height
from cbackprop._typedefs cimport lanes_t

cdef enum:
    # Panels of deltas, 16 KB each at most, that stay in the second-level cache while the activations pass.
    PANELS_AT_ONCE = 16


cdef inline void gradient_panel(
    some_vec like,
    const real_t* a, const real_t* d, Py_ssize_t d_stride,
    Py_ssize_t n_rows, Py_ssize_t features, Py_ssize_t columns,
    const Step* step, real_t* out, Py_ssize_t out_stride,
) noexcept nogil:
    """gradient_tile over the features of one panel; the tile's heights are constants"""
    cdef Py_ssize_t f = 0
    # with GRADIENT_ROWS there would be too few chains of sums to keep the multipliers busy
    cdef Py_ssize_t height = tile_height(like, TILE_ROWS if columns == LANES * 3 // 2 else GRADIENT_ROWS, columns)
    while features - f >= height:
        gradient_tile(like, a + f, d, d_stride, n_rows, height, columns, step, out + f * LANES, out_stride)
        f += height
    if height > 8 and features - f >= 8:
        gradient_tile(like, a + f, d, d_stride, n_rows, 8, columns, step, out + f * LANES, out_stride)
        f += 8
    if height > 4 and features - f >= 4:
        gradient_tile(like, a + f, d, d_stride, n_rows, 4, columns, step, out + f * LANES, out_stride)
        f += 4
    if height > 2 and features - f >= 2:
        gradient_tile(like, a + f, d, d_stride, n_rows, 2, columns, step, out + f * LANES, out_stride)
        f += 2
    if features - f >= 1:
        gradient_tile(like, a + f, d, d_stride, n_rows, 1, columns, step, out + f * LANES, out_stride)


cdef inline void dense_gradients(
    const lanes_t* activations, Py_ssize_t act_stride,  # (in_panels, act_stride)
    const lanes_t* deltas, Py_ssize_t stride,  # (out_panels, stride)
    Py_ssize_t n_in, Py_ssize_t first_panel, Py_ssize_t last_panel, Py_ssize_t n_out, Py_ssize_t n_rows,
    const Step* step,  # NULL: out is overwritten by the gradients; else it is updated by them
    lanes_t* out,  # (out_panels, n_in), the rows of input panels first_panel to last_panel
) noexcept nogil:
    """out := activations.T @ deltas, or one step of gradient descent on out"""
    cdef Py_ssize_t q, p, features, columns, first = 0, last, out_panels = (n_out + LANES - 1) // LANES
    cdef const real_t* a
    cdef const real_t* d
    cdef real_t* target
    while first < out_panels:
        last = min(first + PANELS_AT_ONCE, out_panels)
        for q in range(first_panel, last_panel):
            features = min(LANES, n_in - q * LANES)
            a = <const real_t*>(activations + q * act_stride)
            p = first
            while p < last:
                # the panels of the next turn are not this one's
                columns = columns_at_once(min(n_out, last * LANES) - p * LANES)
                d = <const real_t*>(deltas + p * stride)
                target = <real_t*>(out + p * n_in + q * LANES)
                if columns == TILE_PANELS * LANES:
                    gradient_panel(vset(0), a, d, stride * LANES, n_rows, features, TILE_PANELS * LANES,
                                   step, target, n_in * LANES)
                elif columns == LANES * 3 // 2:
                    gradient_panel(vset(0), a, d, stride * LANES, n_rows, features, LANES * 3 // 2,
                                   step, target, n_in * LANES)
                elif columns == LANES:
                    gradient_panel(vset(0), a, d, stride * LANES, n_rows, features, LANES,
                                   step, target, n_in * LANES)
                else:
                    gradient_panel(hset(0), a, d, stride * LANES, n_rows, features, LANES // 2,
                                   step, target, n_in * LANES)
                p += (columns + LANES - 1) // LANES
        first = last


cdef inline void bias_panels(
    const real_t* d, Py_ssize_t d_stride, Py_ssize_t n_rows, Py_ssize_t panels,
    const Step* step, real_t* out,
) noexcept nogil:
    """The bias gradients of a few panels; their number is a constant"""
    cdef vec[64] totals
    cdef vec minus_step
    cdef Py_ssize_t r, i
    for i in range(panels * VECTORS):
        totals[i] = vload(d + i // VECTORS * d_stride + i % VECTORS * (LANES // VECTORS))
    for r in range(1, n_rows):
        for i in range(panels * VECTORS):
            totals[i] = totals[i] + vload(d + r * LANES + i // VECTORS * d_stride + i % VECTORS * (LANES // VECTORS))
    if step != NULL:
        minus_step = vset(<real_t>(-step.learning_rate * step.scale))
    for i in range(panels * VECTORS):
        if step != NULL:
            totals[i] = vfma(minus_step, totals[i], vload(out + i * (LANES // VECTORS)))
        vstore(out + i * (LANES // VECTORS), totals[i])


cdef inline void dense_bias_gradients(
    const lanes_t* deltas, Py_ssize_t stride,  # (out_panels, stride)
    Py_ssize_t out_panels, Py_ssize_t n_rows,
    const Step* step,  # as in dense_gradients; its alpha does not apply to biases
    lanes_t* out,  # (out_panels,)
) noexcept nogil:
    """out := deltas.sum(axis=0), or one step of gradient descent on out"""
    cdef Py_ssize_t p = 0
    while out_panels - p >= 4:
        bias_panels(<const real_t*>(deltas + p * stride), stride * LANES, n_rows, 4, step, <real_t*>(out + p))
        p += 4
    while p < out_panels:
        bias_panels(<const real_t*>(deltas + p * stride), stride * LANES, n_rows, 1, step, <real_t*>(out + p))
        p += 1


cdef inline void outer_products(
    const lanes_t* activations,  # (ceil(n_in / LANES), stride)
    const lanes_t* deltas,  # (ceil(n_out / LANES), stride)
    Py_ssize_t stride, Py_ssize_t n_in, Py_ssize_t n_out, Py_ssize_t n_rows,
    lanes_t* out,  # (n_rows, row_size) numbers, the first (n_in + 1) * n_out of each row overwritten
    Py_ssize_t row_size,
) noexcept nogil:
    """out[r] := the gradients of row r alone: its weights', activations[r, i] * deltas[r, j], then its biases'"""
    cdef const real_t* a
    cdef const real_t* d
    cdef real_t* target
    cdef real_t factor
    cdef Py_ssize_t r, i, _p, v, j, full = n_out // LANES
    for r in range(n_rows):
        a = <const real_t*>(activations + r)
        target = <real_t*>out + r * row_size
        for i in range(n_in + 1):
            factor = a[i // LANES * stride * LANES + i % LANES] if i < n_in else <real_t>1
            d = <const real_t*>(deltas + r)
            for _p in range(full):
                for v in range(VECTORS):
                    vstore(target + v * VECTOR_LANES, vset(factor) * vload(d + v * VECTOR_LANES))
                d += stride * LANES
                target += LANES
            for j in range(n_out - full * LANES):
                target[j] = factor * d[j]
            target += n_out - full * LANES


cdef inline void scale_rows(
    const lanes_t* numbers,  # n_rows numbers
    Py_ssize_t n_rows,
    lanes_t* rows,  # (n_rows,), updated
) noexcept nogil:
    """rows[r] *= numbers[r]"""
    cdef real_t* x = <real_t*>rows
    cdef Py_ssize_t r, _v
    for r in range(n_rows):
        for _v in range(VECTORS):
            vstore(x, vset((<const real_t*>numbers)[r]) * vload(x))
            x += VECTOR_LANES
