"""One row through a dense layer by weights as their owner has them, row-major: nothing is packed for it.

The same operations in the same order as the tiles', so the same bits.
"""

from cbackprop._kernels.simd cimport (
    LANES, VECTOR_LANES, VECTORS, real_t, vec, vfma, vfold, vload, vload_first, vset, vstore,
)
from cbackprop._typedefs cimport lanes_t


cdef inline void direct_columns(
    const real_t* x, const real_t* weights, const real_t* biases, Py_ssize_t n_in, Py_ssize_t n_out,
    Py_ssize_t n_vectors, real_t* out,
) noexcept nogil:
    """out := biases + x @ weights for a few vectors of columns; their number is a constant"""
    cdef vec[8] sums
    cdef vec factor
    cdef Py_ssize_t k, v
    for v in range(n_vectors):
        sums[v] = vload(biases + v * VECTOR_LANES)
    for k in range(n_in):
        factor = vset(x[k])
        for v in range(n_vectors):
            sums[v] = vfma(factor, vload(weights + v * VECTOR_LANES), sums[v])
        weights += n_out
    for v in range(n_vectors):
        vstore(out + v * VECTOR_LANES, sums[v])


cdef inline void direct_rest(
    const real_t* x, const real_t* weights, const real_t* biases, Py_ssize_t n_in, Py_ssize_t n_out,
    Py_ssize_t n_columns, real_t* out,
) noexcept nogil:
    """direct_columns for less than a vector of columns"""
    cdef vec total = vload_first(biases, n_columns)
    cdef Py_ssize_t k
    for k in range(n_in):
        total = vfma(vset(x[k]), vload_first(weights, n_columns), total)
        weights += n_out
    vstore(out, total)


cdef inline real_t direct_dot(
    const real_t* x, const real_t* weights, Py_ssize_t n_in, Py_ssize_t n_out
) noexcept nogil:
    """x @ one column of the weights, as few_forward adds it up"""
    cdef vec[16] sums
    cdef real_t[16] column
    cdef Py_ssize_t i, lane, v
    for v in range(VECTORS):
        sums[v] = vset(0)
    i = 0
    while i < n_in:
        for lane in range(LANES):
            column[lane] = weights[(i + lane) * n_out] if i + lane < n_in else <real_t>0
        for v in range(VECTORS):
            sums[v] = vfma(vload(x + i + v * VECTOR_LANES), vload(column + v * VECTOR_LANES), sums[v])
        i += LANES
    return vfold(sums)


cdef inline void direct_forward(
    const lanes_t* inputs,  # (ceil(n_in / LANES),), finite beyond n_in
    const lanes_t* weights,  # (n_in, n_out) numbers, row-major
    const lanes_t* biases,  # (n_out,) numbers
    Py_ssize_t n_in, Py_ssize_t n_out, bint few,  # as in the layer
    lanes_t* out,  # (ceil(n_out / LANES),), overwritten, zero beyond n_out
) noexcept nogil:
    """out := biases + inputs @ weights"""
    cdef const real_t* x = <const real_t*>inputs
    cdef const real_t* w = <const real_t*>weights
    cdef const real_t* b = <const real_t*>biases
    cdef real_t* target = <real_t*>out
    cdef Py_ssize_t column = 0, last_panel = (n_out - 1) // LANES * LANES, v
    for v in range(VECTORS):
        vstore(target + last_panel + v * VECTOR_LANES, vset(0))
    if few:
        for column in range(n_out):
            target[column] = direct_dot(x, w + column, n_in, n_out) + b[column]
        return
    while n_out - column >= 8 * VECTOR_LANES:
        direct_columns(x, w + column, b + column, n_in, n_out, 8, target + column)
        column += 8 * VECTOR_LANES
    if n_out - column >= 4 * VECTOR_LANES:
        direct_columns(x, w + column, b + column, n_in, n_out, 4, target + column)
        column += 4 * VECTOR_LANES
    if n_out - column >= 2 * VECTOR_LANES:
        direct_columns(x, w + column, b + column, n_in, n_out, 2, target + column)
        column += 2 * VECTOR_LANES
    if n_out - column >= VECTOR_LANES:
        direct_columns(x, w + column, b + column, n_in, n_out, 1, target + column)
        column += VECTOR_LANES
    if n_out > column:
        direct_rest(x, w + column, b + column, n_in, n_out, n_out - column, target + column)
