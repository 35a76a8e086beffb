"""Between row-major arrays and panels: gather a batch, scatter predictions, pack and unpack weights."""

from cbackprop._kernels.simd cimport (
    LANES, VECTOR_LANES, VECTORS, copy_first, real_t, vec, vfma, vfold, vload, vload_first, vprefetch, vset, vstore,
)
from cbackprop._typedefs cimport lanes_t

cdef enum:
    # Numbers between what gather reads and what it asks for: rows in a random order are nothing a processor guesses.
    GATHER_AHEAD = 1024


cdef inline bint gather(
    const lanes_t* source,  # (?, n_columns) numbers, row-major
    Py_ssize_t n_columns,
    const Py_ssize_t* order,  # (n_rows,): which rows; NULL for the first n_rows
    Py_ssize_t n_rows,
    lanes_t* out, Py_ssize_t stride,  # (ceil(n_columns / LANES), stride), overwritten, zero beyond n_columns
) noexcept nogil:
    """out[p, r, lane] := source[order[r], p * LANES + lane]; returns whether all numbers are finite"""
    cdef vec[16] check  # 0 * x is 0, but NaN where x is not finite
    cdef vec part
    cdef const real_t* x
    cdef const real_t* soon
    cdef real_t* target
    cdef Py_ssize_t r, _p, v, ahead = min(<Py_ssize_t>12, GATHER_AHEAD // n_columns + 1)
    cdef Py_ssize_t full = n_columns // LANES, rest = n_columns - full * LANES
    for v in range(VECTORS):
        check[v] = vset(0)
    for r in range(n_rows):
        x = <const real_t*>source + (order[r] if order != NULL else r) * n_columns
        soon = <const real_t*>source + order[min(r + ahead, n_rows - 1)] * n_columns if order != NULL else x
        target = <real_t*>(out + r)
        for _p in range(full):
            vprefetch(soon)
            soon += LANES
            for v in range(VECTORS):
                vstore(target + v * VECTOR_LANES, vload(x + v * VECTOR_LANES))
                check[v] = vfma(vset(0), vload(x + v * VECTOR_LANES), check[v])
            x += LANES
            target += stride * LANES
        if rest:
            vprefetch(soon)
            for v in range(VECTORS):
                part = vload_first(x + v * VECTOR_LANES, rest - v * VECTOR_LANES)
                vstore(target + v * VECTOR_LANES, part)
                check[v] = vfma(vset(0), part, check[v])
    return vfold(check) == 0


cdef inline bint gather_numbers(
    const lanes_t* source,  # (?,) numbers
    const Py_ssize_t* order, Py_ssize_t n_rows,
    lanes_t* out,  # n_rows numbers, overwritten
    double* total,  # their sum
) noexcept nogil:
    """out[r] := source[order[r]]; returns whether all numbers are finite"""
    cdef Py_ssize_t r
    cdef real_t x
    total[0] = 0
    for r in range(n_rows):
        x = (<const real_t*>source)[order[r] if order != NULL else r]
        (<real_t*>out)[r] = x
        total[0] += x
    return 0 * total[0] == 0


cdef inline bint gather_classes(
    const Py_ssize_t* classes,  # (?,)
    const Py_ssize_t* order, Py_ssize_t n_rows, Py_ssize_t n_out,
    lanes_t* out, Py_ssize_t stride,  # (ceil(n_out / LANES), stride), overwritten
) noexcept nogil:
    """out[p, r, lane] := 1 where p * LANES + lane is the row's class, else 0; returns whether all are below n_out"""
    cdef Py_ssize_t r, p, v, number
    for r in range(n_rows):
        for p in range((n_out + LANES - 1) // LANES):
            for v in range(VECTORS):
                vstore(<real_t*>(out + p * stride + r) + v * VECTOR_LANES, vset(0))
        number = classes[order[r] if order != NULL else r]
        # they were in range when the call began, but the array is still its owner's
        if number < 0 or number >= n_out:
            return False
        (<real_t*>(out + number // LANES * stride + r))[number % LANES] = 1
    return True


cdef inline void scatter(
    const lanes_t* source, Py_ssize_t stride,  # (ceil(n_columns / LANES), stride)
    Py_ssize_t n_columns, Py_ssize_t n_rows,
    lanes_t* out,  # (n_rows, n_columns) numbers, row-major, overwritten
) noexcept nogil:
    """out[r, p * LANES + lane] := source[p, r, lane]"""
    cdef const real_t* x
    cdef real_t* target = <real_t*>out
    cdef Py_ssize_t r, _p, v
    cdef Py_ssize_t full = n_columns // LANES, rest = n_columns - full * LANES
    for r in range(n_rows):
        x = <const real_t*>(source + r)
        for _p in range(full):
            for v in range(VECTORS):
                vstore(target + v * VECTOR_LANES, vload(x + v * VECTOR_LANES))
            x += stride * LANES
            target += LANES
        copy_first(x, rest, target)
        target += rest


cdef inline void pack_few(
    const lanes_t* weights,  # (n_in, n_out) numbers, row-major
    Py_ssize_t n_in, Py_ssize_t n_out,
    lanes_t* out,  # (ceil(n_in / LANES), n_out): the transposed layout, overwritten, zero beyond n_in
) noexcept nogil:
    """out[q, o, lane] := weights[q * LANES + lane, o]"""
    cdef const real_t* x = <const real_t*>weights
    cdef real_t* target = <real_t*>out
    cdef Py_ssize_t i, o
    for i in range((n_in + LANES - 1) // LANES * LANES):
        for o in range(n_out):
            target[(i // LANES * n_out + o) * LANES + i % LANES] = x[i * n_out + o] if i < n_in else 0


cdef inline void unpack_few(
    const lanes_t* source,  # (ceil(n_in / LANES), n_out)
    Py_ssize_t n_in, Py_ssize_t n_out,
    lanes_t* weights,  # (n_in, n_out) numbers, row-major, overwritten
) noexcept nogil:
    """weights[q * LANES + lane, o] := source[q, o, lane]"""
    cdef const real_t* x = <const real_t*>source
    cdef real_t* target = <real_t*>weights
    cdef Py_ssize_t i, o
    for i in range(n_in):
        for o in range(n_out):
            target[i * n_out + o] = x[(i // LANES * n_out + o) * LANES + i % LANES]


cdef inline void clear_lanes(lanes_t* rows, Py_ssize_t n_rows, Py_ssize_t n_valid) noexcept nogil:
    """rows[:, n_valid:] := 0"""
    cdef Py_ssize_t r, lane
    for r in range(n_rows):
        for lane in range(n_valid, LANES):
            (<real_t*>(rows + r))[lane] = 0


cdef inline double fma_peak(Py_ssize_t n_rounds) noexcept nogil:
    """The number of floating-point operations done: n_rounds times twelve chains of register-only vfma"""
    cdef vec[12] chains
    cdef real_t[16] sink
    cdef vec factor = vset(<real_t>0.5), term = vset(<real_t>1)
    cdef Py_ssize_t _i, j
    for j in range(12):
        chains[j] = vset(<real_t>j)
    for _i in range(n_rounds):
        for j in range(12):
            chains[j] = vfma(chains[j], factor, term)
    for j in range(1, 12):
        chains[0] = chains[0] + chains[j]
    vstore(sink, chains[0])
    # the factor depends on what was computed (2 in each chain), or the compiler would leave it out
    return 2.0 * 12 * VECTOR_LANES * n_rounds * (1 if sink[0] > 0 else 0)
