"""The products of a dense layer, over panels: forward, and the deltas below."""

from cbackprop._kernels.simd cimport (
    LANES, TILE_PANELS, TILE_ROWS, VECTORS, hset, real_t, some_vec, transpose_square, vec, vfma, vfold, vload, vset,
)
from cbackprop._kernels.table cimport activate_t, derivative_t
from cbackprop._kernels.tiles cimport columns_at_once, product_tile, tile_height
from cbackprop._typedefs cimport lanes_t

cdef enum:
    # Rows of b in one block: 16 KB a panel, so that a block stays in the first-level cache while the rows pass.
    K_BLOCK = 256


cdef inline Py_ssize_t block_depth(Py_ssize_t n_rows) noexcept nogil:
    """Rows of b in a block, so many that n_rows of a beside them stay in the second-level cache while panels pass"""
    return K_BLOCK if n_rows <= 128 else K_BLOCK // 2


cdef inline void product_rows(
    some_vec like,
    const real_t* a, Py_ssize_t a_stride,
    const real_t* b, Py_ssize_t b_stride,
    const real_t* start, Py_ssize_t start_row, Py_ssize_t start_stride,
    Py_ssize_t n_k, Py_ssize_t n_rows, Py_ssize_t columns,
    real_t* out, Py_ssize_t out_stride,
) noexcept nogil:
    """product_tile over any number of rows; the tile's heights are constants"""
    cdef Py_ssize_t r = 0
    cdef Py_ssize_t height = tile_height(like, TILE_ROWS, columns)
    # of eight rows, 6 + 2 would leave the second tile waiting for its few chains
    while n_rows - r >= height and (height != 6 or n_rows - r != 8):
        product_tile(like, a + r * LANES, a_stride, b, b_stride, start + r * start_row, start_row, start_stride,
                     n_k, height, columns, out + r * LANES, out_stride)
        r += height
    if height > 8 and n_rows - r >= 8:
        product_tile(like, a + r * LANES, a_stride, b, b_stride, start + r * start_row, start_row, start_stride,
                     n_k, 8, columns, out + r * LANES, out_stride)
        r += 8
    while height > 4 and n_rows - r >= 4:
        product_tile(like, a + r * LANES, a_stride, b, b_stride, start + r * start_row, start_row, start_stride,
                     n_k, 4, columns, out + r * LANES, out_stride)
        r += 4
    if height > 2 and n_rows - r >= 2:
        product_tile(like, a + r * LANES, a_stride, b, b_stride, start + r * start_row, start_row, start_stride,
                     n_k, 2, columns, out + r * LANES, out_stride)
        r += 2
    if n_rows - r >= 1:
        product_tile(like, a + r * LANES, a_stride, b, b_stride, start + r * start_row, start_row, start_stride,
                     n_k, 1, columns, out + r * LANES, out_stride)


cdef inline void product_block(
    const real_t* a, Py_ssize_t a_stride,
    const real_t* b, Py_ssize_t b_stride,
    const real_t* start, Py_ssize_t start_row, Py_ssize_t start_stride,
    Py_ssize_t n_k, Py_ssize_t n_rows, Py_ssize_t columns,
    real_t* out, Py_ssize_t out_stride,
) noexcept nogil:
    """product_rows with the number of columns a constant"""
    if columns == TILE_PANELS * LANES:
        product_rows(vset(0), a, a_stride, b, b_stride, start, start_row, start_stride,
                     n_k, n_rows, TILE_PANELS * LANES, out, out_stride)
    elif columns == LANES * 3 // 2:
        product_rows(vset(0), a, a_stride, b, b_stride, start, start_row, start_stride,
                     n_k, n_rows, LANES * 3 // 2, out, out_stride)
    elif columns == LANES:
        product_rows(vset(0), a, a_stride, b, b_stride, start, start_row, start_stride,
                     n_k, n_rows, LANES, out, out_stride)
    else:
        product_rows(hset(0), a, a_stride, b, b_stride, start, start_row, start_stride,
                     n_k, n_rows, LANES // 2, out, out_stride)


cdef inline void dense_forward(
    const lanes_t* inputs, Py_ssize_t in_stride,  # (in_panels, in_stride)
    const lanes_t* weights,  # (out_panels, n_in)
    const lanes_t* biases,  # (out_panels,), or NULL for zeros
    Py_ssize_t n_in, Py_ssize_t n_out, Py_ssize_t n_rows,
    activate_t activate,  # or NULL
    lanes_t* out, Py_ssize_t out_stride,  # (out_panels, out_stride), overwritten
) noexcept nogil:
    """out := activate(biases + inputs @ weights)"""
    cdef Py_ssize_t p, k = 0, i, columns, panels, out_panels = (n_out + LANES - 1) // LANES
    cdef Py_ssize_t depth = block_depth(n_rows)
    cdef const real_t* start
    cdef real_t[16] zeros
    for i in range(LANES):
        zeros[i] = 0
    while k < n_in:
        p = 0
        while p < out_panels:
            columns = columns_at_once(n_out - p * LANES)
            panels = (columns + LANES - 1) // LANES
            if k > 0:
                start = <const real_t*>(out + p * out_stride)
            else:
                start = <const real_t*>(biases + p) if biases != NULL else <const real_t*>zeros
            product_block(
                <const real_t*>(inputs + k // LANES * in_stride), in_stride * LANES,
                <const real_t*>(weights + p * n_in + k), n_in * LANES,
                start, LANES if k > 0 else 0,
                out_stride * LANES if k > 0 else (LANES if biases != NULL else 0),
                min(depth, n_in - k), n_rows, columns,
                <real_t*>(out + p * out_stride), out_stride * LANES)
            if activate != NULL and n_in - k <= depth:
                for i in range(panels):
                    activate(out + (p + i) * out_stride, n_rows)
            p += panels
        k += depth


cdef inline void dense_deltas_below(
    const lanes_t* deltas, Py_ssize_t stride,  # (out_panels, stride)
    const lanes_t* weights,  # (out_panels, n_in)
    Py_ssize_t n_in, Py_ssize_t n_out, Py_ssize_t first_panel, Py_ssize_t last_panel, Py_ssize_t n_rows,
    derivative_t derivative,  # or NULL
    const lanes_t* activations, Py_ssize_t act_stride,  # (in_panels, act_stride)
    lanes_t* scratch,  # (2 * min(K_BLOCK, n_out rounded up to LANES),)
    lanes_t* out, Py_ssize_t out_stride,  # (in_panels, out_stride), overwritten from first_panel to last_panel
) noexcept nogil:
    """out := (deltas @ weights.T) * derivative(activations)"""
    cdef Py_ssize_t p, k = 0, i, columns, panels, depth, height
    cdef real_t[16] zeros
    for i in range(LANES):
        zeros[i] = 0
    while k < n_out:
        depth = min(block_depth(n_rows), n_out - k)
        height = (depth + LANES - 1) // LANES * LANES
        p = first_panel
        while p < last_panel:
            columns = columns_at_once(min(last_panel * LANES, n_in) - p * LANES)
            panels = (columns + LANES - 1) // LANES
            for i in range(panels):
                pack_transposed(
                    <const real_t*>(weights + k // LANES * n_in + (p + i) * LANES), n_in * LANES,
                    min(LANES, n_in - (p + i) * LANES), depth, <real_t*>(scratch + i * height))
            product_block(
                <const real_t*>(deltas + k // LANES * stride), stride * LANES,
                <const real_t*>scratch, height * LANES,
                <const real_t*>zeros if k == 0 else <const real_t*>(out + p * out_stride),
                0 if k == 0 else LANES, 0 if k == 0 else out_stride * LANES,
                depth, n_rows, columns,
                <real_t*>(out + p * out_stride), out_stride * LANES)
            if derivative != NULL and k + depth == n_out:
                for i in range(panels):
                    derivative(activations + (p + i) * act_stride, n_rows, out + (p + i) * out_stride)
            p += panels
        k += depth


cdef inline void pack_transposed(
    const real_t* source, Py_ssize_t source_stride,  # (ceil(depth / LANES), source_stride / LANES, LANES)
    Py_ssize_t columns, Py_ssize_t depth,
    real_t* out,  # (depth rounded up to LANES, LANES), overwritten, zero from `columns` on
) noexcept nogil:
    """out[k, column] := source[k // LANES, column, k % LANES]"""
    cdef Py_ssize_t lane, column
    while depth > 0:
        if columns == LANES:
            transpose_square(source, out)
        else:
            for lane in range(min(LANES, depth)):
                for column in range(columns):
                    out[lane * LANES + column] = source[column * LANES + lane]
                for column in range(columns, LANES):
                    out[lane * LANES + column] = 0
        out += LANES * LANES
        source += source_stride
        depth -= LANES


cdef inline void few_forward(
    const lanes_t* inputs, Py_ssize_t in_stride,  # (in_panels, in_stride)
    const lanes_t* weights,  # (in_panels, n_out): the transposed layout, zero beyond n_in
    const lanes_t* biases,  # (1,)
    Py_ssize_t in_panels, Py_ssize_t n_out, Py_ssize_t n_rows,
    lanes_t* out,  # (n_rows,), overwritten, zero from n_out on
) noexcept nogil:
    """out := biases + inputs @ weights for few outputs: a row of virtual lanes each, then their fixed tree"""
    cdef Py_ssize_t r = 0, o
    for r in range(n_rows):
        for o in range(LANES):
            (<real_t*>(out + r))[o] = 0
    r = 0
    while n_rows - r >= 4:
        for o in range(n_out):
            few_rows(<const real_t*>(inputs + r), in_stride * LANES, <const real_t*>(weights + o), n_out * LANES,
                     (<const real_t*>biases)[o], in_panels, 4, <real_t*>(out + r) + o)
        r += 4
    while n_rows > r:
        for o in range(n_out):
            few_rows(<const real_t*>(inputs + r), in_stride * LANES, <const real_t*>(weights + o), n_out * LANES,
                     (<const real_t*>biases)[o], in_panels, 1, <real_t*>(out + r) + o)
        r += 1


cdef inline void few_rows(
    const real_t* a, Py_ssize_t a_stride,
    const real_t* w, Py_ssize_t w_stride,
    real_t bias, Py_ssize_t in_panels, Py_ssize_t rows,
    real_t* out,  # one number in each of `rows` rows
) noexcept nogil:
    """out[r] := bias + dot(a[r], w), `rows` chains at once"""
    cdef vec[64] sums
    cdef vec factor
    cdef Py_ssize_t _q, r, v
    for r in range(rows * VECTORS):
        sums[r] = vset(0)
    for _q in range(in_panels):
        for v in range(VECTORS):
            factor = vload(w + v * (LANES // VECTORS))
            for r in range(rows):
                sums[r * VECTORS + v] = vfma(
                    vload(a + r * LANES + v * (LANES // VECTORS)), factor, sums[r * VECTORS + v])
        a += a_stride
        w += w_stride
    for r in range(rows):
        out[r * LANES] = vfold(sums + r * VECTORS) + bias
