"""Cholesky's factor of a symmetric matrix in panels, and what is solved with it.

A matrix of n rows lies in panels of its columns, of which those on and right of the diagonal count; its column n, the
right side of the equations, goes through the same steps as the others. What most of the time goes into, the products of
earlier rows, is the gradients' kernel (gradients.pxd).
"""

from libc.math cimport INFINITY

from cbackprop._kernels.simd cimport (
    LANES, VECTOR_LANES, VECTORS, real_t, vec, vfirst, vfma, vfold, vload, vset, vsqrt, vstore,
)
from cbackprop._typedefs cimport lanes_t


cdef inline bint cholesky_rows(
    Py_ssize_t first, Py_ssize_t n_rows,  # a panel's: first is a multiple of LANES
    Py_ssize_t n_panels, Py_ssize_t stride,
    lanes_t* square,  # (n_panels, stride), updated from panel first / LANES on
) noexcept nogil:
    """row[i] := (row[i] - sum(factor[m, i] * row[m], m < i)) / factor[i, i] for the rows from `first` on

    factor[i, i] is the root of what the subtraction leaves there. Of each row the products with all rows before
    `first` have been subtracted. Returns whether every root could be taken.
    """
    cdef Py_ssize_t p, i, m, v
    cdef real_t* row
    cdef real_t* later
    cdef const real_t* factor = <const real_t*>(square + first // LANES * stride + first)
    cdef real_t[16] roots
    cdef vec minus_factor
    for p in range(first // LANES, n_panels):
        for i in range(n_rows):
            if p == first // LANES:
                if not 0 < factor[i * LANES + i] < INFINITY:
                    return False
                roots[i] = vfirst(vsqrt(vset(factor[i * LANES + i])))
            row = <real_t*>(square + p * stride + first + i)
            for v in range(VECTORS):
                vstore(row + v * VECTOR_LANES, vload(row + v * VECTOR_LANES) / vset(roots[i]))
            for m in range(i + 1, n_rows):
                later = row + (m - i) * LANES
                minus_factor = vset(-factor[i * LANES + m])
                for v in range(VECTORS):
                    vstore(later + v * VECTOR_LANES,
                           vfma(minus_factor, vload(row + v * VECTOR_LANES), vload(later + v * VECTOR_LANES)))
    return True


cdef inline void solve_upper(
    const lanes_t* square, Py_ssize_t stride,  # (n // LANES + 1, stride): the factor, and y in column n
    Py_ssize_t n,
    lanes_t* out,  # (n // LANES + 1,), overwritten, zero from number n on
) noexcept nogil:
    """out := x, where factor @ x = y"""
    cdef Py_ssize_t i, p, v, last = n // LANES
    cdef const real_t* row
    cdef real_t* x = <real_t*>out
    cdef vec[16] part
    for i in range((last + 1) * LANES):
        x[i] = 0
    for i in range(n - 1, -1, -1):
        for v in range(VECTORS):
            part[v] = vset(0)
        for p in range(i // LANES, last + 1):
            row = <const real_t*>(square + p * stride + i)
            for v in range(VECTORS):
                part[v] = vfma(vload(row + v * VECTOR_LANES), vload(x + p * LANES + v * VECTOR_LANES), part[v])
        row = <const real_t*>(square + i)
        x[i] = (row[last * stride * LANES + n % LANES] - vfold(part)) / row[i // LANES * stride * LANES + i % LANES]
