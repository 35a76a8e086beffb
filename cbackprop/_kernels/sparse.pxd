"""A first layer on sparse rows: what a dense layer computes, with the zeros of its inputs left out.

The same operations in the same order as the tiles', where each row's columns ascend, so the same bits: a fused
multiply-add of a zero leaves its chain as it was.
"""

from libc.stdint cimport int32_t

from cbackprop._kernels.simd cimport (
    LANES, VECTOR_LANES, VECTORS, real_t, vec, vfirst, vfma, vfold, vload, vload_first, vset, vstore,
)
from cbackprop._kernels.table cimport SparseRows, Step
from cbackprop._typedefs cimport lanes_t


cdef inline bint sparse_finite(const SparseRows* inputs, Py_ssize_t n_rows) noexcept nogil:
    """Whether all numbers of the rows are finite"""
    cdef vec[16] check  # 0 * x is 0, but NaN where x is not finite
    cdef const real_t* x
    cdef Py_ssize_t r, v, n
    for v in range(VECTORS):
        check[v] = vset(0)
    for r in range(n_rows):
        x = <const real_t*>inputs.data + inputs.begins[r]
        n = inputs.ends[r] - inputs.begins[r]
        while n >= VECTOR_LANES:
            check[0] = vfma(vset(0), vload(x), check[0])
            x += VECTOR_LANES
            n -= VECTOR_LANES
        check[0] = vfma(vset(0), vload_first(x, n), check[0])
    return vfold(check) == 0


cdef inline bint sparse_columns(
    const SparseRows* inputs, Py_ssize_t n_rows,
    const real_t* weights, const real_t* biases, Py_ssize_t n_in, Py_ssize_t panels,
    real_t* out, Py_ssize_t out_stride,
) noexcept nogil:
    """sparse_forward for a few panels, whose number is a constant"""
    cdef vec[64] sums
    cdef vec x
    cdef const real_t* w
    cdef const real_t* data = <const real_t*>inputs.data
    cdef const int32_t* indices = inputs.indices
    cdef Py_ssize_t r, k, i, end
    for r in range(n_rows):
        for i in range(panels * VECTORS):
            sums[i] = vload(biases + i * VECTOR_LANES)
        end = inputs.ends[r]
        for k in range(inputs.begins[r], end):
            # they were in range when the call began, but the array is still its owner's
            if <size_t>indices[k] >= <size_t>n_in:
                return False
            x = vset(data[k])
            w = weights + indices[k] * LANES
            for i in range(panels * VECTORS):
                sums[i] = vfma(x, vload(w + i // VECTORS * n_in * LANES + i % VECTORS * VECTOR_LANES), sums[i])
        for i in range(panels * VECTORS):
            vstore(out + i // VECTORS * out_stride + r * LANES + i % VECTORS * VECTOR_LANES, sums[i])
    return True


cdef inline bint sparse_forward(
    const SparseRows* inputs, Py_ssize_t n_rows,
    const lanes_t* weights,  # (out_panels, n_in)
    const lanes_t* biases,  # (out_panels,)
    Py_ssize_t n_in, Py_ssize_t out_panels,
    lanes_t* out, Py_ssize_t out_stride,  # (out_panels, out_stride), overwritten
) noexcept nogil:
    """out := biases + inputs @ weights; returns whether all inputs are finite, in columns that there are"""
    cdef const real_t* w = <const real_t*>weights
    cdef const real_t* b = <const real_t*>biases
    cdef real_t* target = <real_t*>out
    cdef Py_ssize_t p = 0, panels
    cdef bint good = sparse_finite(inputs, n_rows)
    while good and p < out_panels:
        panels = panels_at_once(out_panels - p)
        if panels == 4:
            good = sparse_columns(inputs, n_rows, w, b, n_in, 4, target, out_stride * LANES)
        elif panels == 2:
            good = sparse_columns(inputs, n_rows, w, b, n_in, 2, target, out_stride * LANES)
        else:
            good = sparse_columns(inputs, n_rows, w, b, n_in, 1, target, out_stride * LANES)
        w += panels * n_in * LANES
        b += panels * LANES
        target += panels * out_stride * LANES
        p += panels
    return good


cdef inline Py_ssize_t panels_at_once(Py_ssize_t n_panels) noexcept nogil:
    """How many of so many panels are one loop: what is done for each number, and not for each panel, takes as long"""
    return 4 if n_panels >= 4 else 2 if n_panels >= 2 else 1


cdef inline bint sparse_few_forward(
    const SparseRows* inputs, Py_ssize_t n_rows,
    const lanes_t* weights,  # (in_panels, n_out): the transposed layout
    const lanes_t* biases,  # (1,)
    Py_ssize_t n_in, Py_ssize_t n_out,  # up to 3
    lanes_t* out,  # (n_rows,), overwritten, zero from n_out on
) noexcept nogil:
    """sparse_forward for few outputs, added up as few_forward does"""
    cdef vec[16] folded
    cdef real_t[48] sums  # of LANES virtual lanes for each output
    cdef const real_t* w
    cdef Py_ssize_t r, k, o, v, j
    cdef vec x
    for r in range(n_rows):
        for o in range(3 * LANES):
            sums[o] = 0
        for k in range(inputs.begins[r], inputs.ends[r]):
            j = inputs.indices[k]
            if <size_t>j >= <size_t>n_in:
                return False
            x = vset((<const real_t*>inputs.data)[k])
            w = <const real_t*>weights + j // LANES * n_out * LANES + j % LANES
            for o in range(n_out):
                sums[o * LANES + j % LANES] = vfirst(vfma(x, vset(w[o * LANES]), vset(sums[o * LANES + j % LANES])))
        for v in range(VECTORS):
            vstore(<real_t*>(out + r) + v * VECTOR_LANES, vset(0))
        for o in range(n_out):
            for v in range(VECTORS):
                folded[v] = vload(sums + o * LANES + v * VECTOR_LANES)
            (<real_t*>(out + r))[o] = vfold(folded) + (<const real_t*>biases)[o]
    return sparse_finite(inputs, n_rows)


cdef inline void sparse_gradients(
    const SparseRows* inputs, Py_ssize_t n_rows,
    const lanes_t* deltas,  # (n_rows,): of one panel, for which the second-level cache has room
    Py_ssize_t first_column, Py_ssize_t last_column,
    lanes_t* out,  # (n_in,): the panel, updated in these columns' rows
) noexcept nogil:
    """out += inputs.T @ deltas, each element one chain along rows"""
    cdef vec[16] d
    cdef vec x
    cdef real_t* target
    cdef const real_t* data = <const real_t*>inputs.data
    cdef const int32_t* indices = inputs.indices
    cdef Py_ssize_t r, k, v, end
    for r in range(n_rows):
        for v in range(VECTORS):
            d[v] = vload(<const real_t*>(deltas + r) + v * VECTOR_LANES)
        end = inputs.ends[r]
        for k in range(inputs.begins[r], end):
            # what is before the first column is beyond the last, too, as a number without sign
            if <size_t>(indices[k] - first_column) >= <size_t>(last_column - first_column):
                continue
            x = vset(data[k])
            target = <real_t*>(out + indices[k])
            for v in range(VECTORS):
                vstore(target + v * VECTOR_LANES, vfma(x, d[v], vload(target + v * VECTOR_LANES)))


cdef inline void sparse_few_gradients(
    const SparseRows* inputs, Py_ssize_t n_rows,
    const lanes_t* deltas,  # (n_rows,)
    Py_ssize_t first_column, Py_ssize_t last_column, Py_ssize_t n_out,
    lanes_t* out,  # (in_panels, n_out): the transposed layout, updated in these columns
) noexcept nogil:
    """sparse_gradients for few outputs"""
    cdef vec x
    cdef real_t* target
    cdef const real_t* data = <const real_t*>inputs.data
    cdef const int32_t* indices = inputs.indices
    cdef Py_ssize_t r, k, o, j, end
    for r in range(n_rows):
        end = inputs.ends[r]
        for k in range(inputs.begins[r], end):
            j = indices[k]
            if <size_t>(j - first_column) >= <size_t>(last_column - first_column):
                continue
            x = vset(data[k])
            target = <real_t*>out + j // LANES * n_out * LANES + j % LANES
            for o in range(n_out):
                target[o * LANES] = vfirst(
                    vfma(x, vset((<const real_t*>(deltas + r))[o]), vset(target[o * LANES])))


cdef inline void sparse_step(
    const SparseRows* inputs, Py_ssize_t n_rows,
    Py_ssize_t first_column, Py_ssize_t last_column,
    Py_ssize_t n_out, bint few,  # few: in the transposed layout; else one panel
    const Step* step,
    lanes_t* gradients,  # (n_in,) or (in_panels, n_out): updated, zero again wherever these rows have numbers
    lanes_t* weights,  # the same, updated
) noexcept nogil:
    """weights -= (learning_rate * scale) * gradients, where the gradients can be other than zero"""
    cdef vec minus_step = vset(<real_t>(-step.learning_rate * step.scale))
    cdef real_t* w
    cdef real_t* g
    cdef const int32_t* indices = inputs.indices
    cdef Py_ssize_t r, k, i, row, end, height = n_out if few else 1
    for r in range(n_rows):
        end = inputs.ends[r]
        for k in range(inputs.begins[r], end):
            if <size_t>(indices[k] - first_column) >= <size_t>(last_column - first_column):
                continue
            row = indices[k] // LANES * n_out if few else indices[k]
            g = <real_t*>(gradients + row)
            w = <real_t*>(weights + row)
            # what another row has in this column finds zeros, and leaves the weights as they are
            for i in range(height * VECTORS):
                vstore(w + i * VECTOR_LANES, vfma(minus_step, vload(g + i * VECTOR_LANES), vload(w + i * VECTOR_LANES)))
                vstore(g + i * VECTOR_LANES, vset(0))
