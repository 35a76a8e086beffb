"""The vector of the kernels. Cython takes it for a double; the C compiler knows better."""

cdef extern from "simd.h" nogil:
    ctypedef double real_t
    ctypedef double vec

    const bint REAL_IS_DOUBLE
    const Py_ssize_t LANES  # real numbers in a row of a panel: 64 bytes
    const Py_ssize_t VECTORS  # vectors in a row of a panel
    const Py_ssize_t VECTOR_LANES
    const Py_ssize_t TILE_ROWS, TILE_PANELS, GRADIENT_ROWS

    vec vload(const real_t* source) noexcept
    vec vload_first(const real_t* source, Py_ssize_t n) noexcept  # n numbers, then zeros
    void vstore(real_t* target, vec v) noexcept
    void copy_first(const real_t* source, Py_ssize_t n, real_t* target) noexcept  # n < LANES numbers
    vec vset(real_t x) noexcept
    real_t vfirst(vec v) noexcept
    void vprefetch(const real_t* address) noexcept
    void vprefetch_to_write(const real_t* address) noexcept
    vec vfma(vec a, vec b, vec c) noexcept  # a * b + c
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
