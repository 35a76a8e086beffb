"""The vector of the kernels. Cython takes it for a double; the C compiler knows better."""

cdef extern from "simd.h" nogil:
    ctypedef double real_t
    ctypedef double vec
    ctypedef float half_vec  # of at most half a row; another type, so that Cython tells them apart

    const bint REAL_IS_DOUBLE
    const Py_ssize_t LANES  # real numbers in a row of a panel: 64 bytes
    const Py_ssize_t VECTORS  # vectors in a row of a panel
    const Py_ssize_t VECTOR_LANES
    const Py_ssize_t TILE_ROWS, TILE_PANELS, GRADIENT_ROWS

    void assume(bint condition) noexcept  # tells the compiler what always holds
    vec vload(const real_t* source) noexcept
    const real_t[16] ONES
    vec vload_first(const real_t* source, Py_ssize_t n) noexcept  # n numbers, then zeros
    void vstore(real_t* target, vec v) noexcept
    void copy_first(const real_t* source, Py_ssize_t n, real_t* target) noexcept  # n < LANES numbers
    vec vset(real_t x) noexcept
    real_t vfirst(vec v) noexcept
    void vprefetch(const real_t* address) noexcept
    void vprefetch_to_write(const real_t* address) noexcept
    vec vfma(vec a, vec b, vec c) noexcept  # a * b + c
    half_vec hload(const real_t* source) noexcept
    void hstore(real_t* target, half_vec v) noexcept
    half_vec hset(real_t x) noexcept
    half_vec hfma(half_vec a, half_vec b, half_vec c) noexcept
    vec vmin(vec a, vec b) noexcept  # a NaN in b stays
    vec vmax(vec a, vec b) noexcept  # a NaN in b stays
    vec vabs(vec v) noexcept
    vec vsqrt(vec v) noexcept
    vec vselect_less(vec a, vec b, vec x, vec y) noexcept  # a < b ? x : y
    vec vcopysign(vec v, vec sign) noexcept  # v >= 0 with the sign of the other
    const real_t POWER_SHIFT
    vec vpower(vec shifted) noexcept  # 2^n; shifted = n + POWER_SHIFT
    vec vexponent(vec v) noexcept
    vec vmantissa(vec v) noexcept
    void transpose_square(const real_t* source, real_t* target) noexcept  # LANES by LANES
    real_t vfold(const vec* row) noexcept  # the sum of a panel's row
    vec vfold_everywhere(const vec* row, Py_ssize_t n) noexcept  # of the first n lanes, in every lane
    real_t vfold_max(const vec* row) noexcept


ctypedef fused some_vec:
    # What a tile is made of: a call gives any value of the type as `like`.
    vec
    half_vec


cdef inline some_vec load(some_vec like, const real_t* source) noexcept nogil:
    if some_vec is vec:
        return vload(source)
    else:
        return hload(source)


cdef inline void store(real_t* target, some_vec v) noexcept nogil:
    if some_vec is vec:
        vstore(target, v)
    else:
        hstore(target, v)


cdef inline some_vec everywhere(some_vec like, real_t x) noexcept nogil:
    if some_vec is vec:
        return vset(x)
    else:
        return hset(x)


cdef inline some_vec fma(some_vec a, some_vec b, some_vec c) noexcept nogil:
    if some_vec is vec:
        return vfma(a, b, c)
    else:
        return hfma(a, b, c)
