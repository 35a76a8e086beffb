/* The vector of the kernels, and the few operations on it that C cannot spell.
 *
 * The compiler is given CBACKPROP_REAL (float or double) and CBACKPROP_VECTOR_BYTES (16, 32 or 64; 0 for
 * compilers without vector types: one lane). GCC's and Clang's vectors take + - * / as numbers do; here is
 * the rest. Every operation works lane by lane and gives the same bits at every width.
 */
#ifndef CBACKPROP_SIMD_H
#define CBACKPROP_SIMD_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef CBACKPROP_REAL real_t;

enum {
    REAL_IS_DOUBLE = sizeof(real_t) == 8,
    LANES = 64 / (int)sizeof(real_t) /* real numbers in a row of a panel */
};

#if CBACKPROP_VECTOR_BYTES && (defined(__GNUC__) || defined(__clang__))
#define CBACKPROP_HAS_VECTORS 1
/* A tile's accumulators live in registers only where the tile is inlined with constant sizes. */
#undef CYTHON_INLINE
#define CYTHON_INLINE inline __attribute__((always_inline))
#define SIMD_INLINE static inline __attribute__((always_inline, unused))
#else
#define CBACKPROP_HAS_VECTORS 0
#define SIMD_INLINE static inline
#endif

/* ---- the type ---- */

#define CBACKPROP_DOUBLE (CBACKPROP_REAL_BYTES == 8)

#if CBACKPROP_HAS_VECTORS
#if defined(__x86_64__)
#include <immintrin.h>
#endif
typedef real_t vec __attribute__((vector_size(CBACKPROP_VECTOR_BYTES)));
#if CBACKPROP_DOUBLE
typedef int64_t vec_int __attribute__((vector_size(CBACKPROP_VECTOR_BYTES)));
#else
typedef int32_t vec_int __attribute__((vector_size(CBACKPROP_VECTOR_BYTES)));
#endif
#define LANE(v, i) (v)[i]
#define VECTOR_LANES (CBACKPROP_VECTOR_BYTES / (int)sizeof(real_t))
#else
typedef real_t vec;
#if CBACKPROP_DOUBLE
typedef int64_t vec_int;
#else
typedef int32_t vec_int;
#endif
#define LANE(v, i) (v)
#define VECTOR_LANES 1
#endif

enum {
    VECTORS = LANES / VECTOR_LANES, /* vectors in a row of a panel */
    /* Rows and panels of one product tile: as many accumulators as the registers hold beside the operands. */
#if CBACKPROP_VECTOR_BYTES == 64
    TILE_ROWS = 8,
    TILE_PANELS = 2,
#elif CBACKPROP_VECTOR_BYTES == 32 || defined(__aarch64__)
    TILE_ROWS = 6,
    TILE_PANELS = 1,
#else
    TILE_ROWS = 2,
    TILE_PANELS = 1,
#endif
    /* A gradient tile's rows are the features of one panel: 16 = 6 + 6 + 4, 8 = 4 + 4. */
    GRADIENT_ROWS = LANES % TILE_ROWS > 2 || LANES % TILE_ROWS == 0 ? TILE_ROWS : 4
};

/* MM(add) is _mm256_add_ps and the like, where the processor's own instruction is asked for by name. */
#if defined(__AVX512F__) && CBACKPROP_VECTOR_BYTES == 64
#define MM_(name, suffix) _mm512_##name##_##suffix
#elif defined(__AVX2__) && CBACKPROP_VECTOR_BYTES == 32
#define MM_(name, suffix) _mm256_##name##_##suffix
#elif defined(__SSE2__) && CBACKPROP_VECTOR_BYTES == 16
#define MM_(name, suffix) _mm_##name##_##suffix
#endif
#if CBACKPROP_DOUBLE
#define MM(name) MM_(name, pd)
#else
#define MM(name) MM_(name, ps)
#endif

/* ---- memory ---- */

SIMD_INLINE vec vload(const real_t *from) {
    vec v;
    memcpy(&v, from, sizeof v);
    return v;
}

SIMD_INLINE void vstore(real_t *to, vec v) { memcpy(to, &v, sizeof v); }

/* the first n numbers from there on, and zeros: nothing beyond them is touched; n may be below 0 or above VECTOR_LANES */
SIMD_INLINE vec vload_first(const real_t *from, ptrdiff_t n) {
#if defined(__AVX512F__) && CBACKPROP_VECTOR_BYTES == 64
    unsigned mask = n >= VECTOR_LANES ? ~0u : n > 0 ? (1u << n) - 1 : 0;
#if CBACKPROP_DOUBLE
    return _mm512_maskz_loadu_pd((__mmask8)mask, from);
#else
    return _mm512_maskz_loadu_ps((__mmask16)mask, from);
#endif
#elif defined(__AVX2__) && CBACKPROP_VECTOR_BYTES == 32
#if CBACKPROP_DOUBLE
    return _mm256_maskload_pd(from, (__m256i)((vec_int){0, 1, 2, 3} < n));
#else
    return _mm256_maskload_ps(from, (__m256i)((vec_int){0, 1, 2, 3, 4, 5, 6, 7} < (int32_t)n));
#endif
#else
    real_t lanes[VECTOR_LANES];
    for (int i = 0; i < VECTOR_LANES; i++)
        lanes[i] = i < n ? from[i] : 0;
    return vload(lanes);
#endif
}

/* the same number in every lane */
SIMD_INLINE vec vset(real_t x) {
#if CBACKPROP_HAS_VECTORS
    return x - (vec){0};
#else
    return x;
#endif
}

/* asks for a cache line that will be written soon */
SIMD_INLINE void vprefetch(const real_t *at) {
#if CBACKPROP_HAS_VECTORS
    __builtin_prefetch(at, 1, 3);
#else
    (void)at;
#endif
}

/* ---- arithmetic ---- */

/* a * b + c, rounded once where the instruction set has it (all but the baseline of x86-64 and the fallback) */
SIMD_INLINE vec vfma(vec a, vec b, vec c) {
#if defined(MM_) && defined(__FMA__)
    return MM(fmadd)(a, b, c);
#elif defined(__ARM_NEON) && defined(__aarch64__) && CBACKPROP_VECTOR_BYTES == 16
    vec v;
    for (int i = 0; i < VECTOR_LANES; i++)
        LANE(v, i) = CBACKPROP_DOUBLE ? __builtin_fma(LANE(a, i), LANE(b, i), LANE(c, i))
                                      : __builtin_fmaf(LANE(a, i), LANE(b, i), LANE(c, i));
    return v;
#elif CBACKPROP_HAS_VECTORS && defined(__FMA__)
    vec v;
    for (int i = 0; i < VECTOR_LANES; i++)
        LANE(v, i) = CBACKPROP_DOUBLE ? (real_t)__builtin_fma(LANE(a, i), LANE(b, i), LANE(c, i))
                                      : (real_t)__builtin_fmaf(LANE(a, i), LANE(b, i), LANE(c, i));
    return v;
#else
    return a * b + c;
#endif
}

/* vfma of one number */
SIMD_INLINE real_t fma_one(real_t a, real_t b, real_t c) {
#if defined(__FMA__) || defined(__aarch64__)
    return CBACKPROP_DOUBLE ? (real_t)__builtin_fma(a, b, c) : (real_t)__builtin_fmaf(a, b, c);
#else
    return a * b + c;
#endif
}

/* a < b ? a : b, so that a NaN in b stays */
SIMD_INLINE vec vmin(vec a, vec b) {
#ifdef MM_
    return MM(min)(a, b);
#else
    vec v;
    for (int i = 0; i < VECTOR_LANES; i++)
        LANE(v, i) = LANE(a, i) < LANE(b, i) ? LANE(a, i) : LANE(b, i);
    return v;
#endif
}

/* a > b ? a : b, so that a NaN in b stays */
SIMD_INLINE vec vmax(vec a, vec b) {
#ifdef MM_
    return MM(max)(a, b);
#else
    vec v;
    for (int i = 0; i < VECTOR_LANES; i++)
        LANE(v, i) = LANE(a, i) > LANE(b, i) ? LANE(a, i) : LANE(b, i);
    return v;
#endif
}

SIMD_INLINE vec vsqrt(vec a) {
#ifdef MM_
    return MM(sqrt)(a);
#else
    vec v;
    for (int i = 0; i < VECTOR_LANES; i++)
        LANE(v, i) = (real_t)(CBACKPROP_DOUBLE ? sqrt(LANE(a, i)) : sqrtf((float)LANE(a, i)));
    return v;
#endif
}

/* a < b ? x : y; false where a or b is NaN */
SIMD_INLINE vec vselect_less(vec a, vec b, vec x, vec y) {
#if defined(__AVX512F__) && CBACKPROP_VECTOR_BYTES == 64
#if CBACKPROP_DOUBLE
    return _mm512_mask_blend_pd(_mm512_cmp_pd_mask(a, b, _CMP_LT_OQ), y, x);
#else
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), y, x);
#endif
#elif CBACKPROP_HAS_VECTORS
    vec_int less = a < b;
    return (vec)((less & (vec_int)x) | (~less & (vec_int)y));
#else
    return a < b ? x : y;
#endif
}

/* ---- the bits of a floating-point number ---- */

#if CBACKPROP_DOUBLE
#define MANTISSA_BITS 52
#define SIGN_BIT INT64_MIN
#define SQRT_HALF_BITS 0x3fe6a09e667f3bcdLL
#define MANTISSA_MASK 0xfffffffffffffLL
#else
#define MANTISSA_BITS 23
#define SIGN_BIT INT32_MIN
#define SQRT_HALF_BITS 0x3f3504f3
#define MANTISSA_MASK 0x7fffff
#endif

SIMD_INLINE vec_int vbits(vec v) {
    vec_int bits;
    memcpy(&bits, &v, sizeof bits);
    return bits;
}

SIMD_INLINE vec vfrom_bits(vec_int bits) {
    vec v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

SIMD_INLINE vec vabs(vec v) { return vfrom_bits(vbits(v) & ~(vbits(v) & SIGN_BIT)); }

/* v with the sign of `sign`; v must not have one of its own */
SIMD_INLINE vec vcopysign(vec v, vec sign) { return vfrom_bits(vbits(v) | (vbits(sign) & SIGN_BIT)); }

/* 2^n, where shifted = n + POWER_SHIFT: the lowest bits of such a sum are the exponent's bits of 2^n.
 * Right from the least normal number on; the power below it comes out as 0, that above the greatest as inf. */
#if CBACKPROP_DOUBLE
#define POWER_SHIFT (6755399441055744.0 + 1023) /* 1.5 * 2^MANTISSA_BITS + the exponent's bias */
#else
#define POWER_SHIFT (12582912.0f + 127)
#endif

SIMD_INLINE vec vpower(vec shifted) {
#if CBACKPROP_HAS_VECTORS
    return vfrom_bits(vbits(shifted) << MANTISSA_BITS);
#elif CBACKPROP_DOUBLE
    return vfrom_bits((int64_t)((uint64_t)vbits(shifted) << MANTISSA_BITS));
#else
    return vfrom_bits((int32_t)((uint32_t)vbits(shifted) << MANTISSA_BITS));
#endif
}

/* For normal v > 0: v = vmantissa(v) * 2^vexponent(v), with a mantissa in sqrt(1/2) ... sqrt(2). */
SIMD_INLINE vec vexponent(vec v) {
    vec_int exponent = (vbits(v) - SQRT_HALF_BITS) >> MANTISSA_BITS;
#if CBACKPROP_HAS_VECTORS
    return __builtin_convertvector(exponent, vec);
#else
    return (vec)exponent;
#endif
}

SIMD_INLINE vec vmantissa(vec v) {
    return vfrom_bits(((vbits(v) - SQRT_HALF_BITS) & MANTISSA_MASK) + SQRT_HALF_BITS);
}

/* ---- a square of LANES by LANES numbers, transposed ---- */

#if CBACKPROP_HAS_VECTORS && defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define CBACKPROP_HAS_SHUFFLES 1
#endif
#endif

SIMD_INLINE void transpose_square(const real_t *in, real_t *out) {
#if defined(CBACKPROP_HAS_SHUFFLES)
    /* by blocks of 16 bytes by 16 bytes: the shuffles that every instruction set has */
    typedef real_t block_row __attribute__((vector_size(16)));
    enum { SIDE = 16 / (int)sizeof(real_t) };
    for (int i = 0; i < LANES; i += SIDE)
        for (int j = 0; j < LANES; j += SIDE) {
            block_row row[SIDE];
            for (int k = 0; k < SIDE; k++)
                memcpy(&row[k], in + (i + k) * LANES + j, sizeof row[k]);
#if CBACKPROP_DOUBLE
            block_row column[SIDE] = {__builtin_shufflevector(row[0], row[1], 0, 2),
                                      __builtin_shufflevector(row[0], row[1], 1, 3)};
#else
            block_row low01 = __builtin_shufflevector(row[0], row[1], 0, 4, 1, 5);
            block_row low23 = __builtin_shufflevector(row[2], row[3], 0, 4, 1, 5);
            block_row high01 = __builtin_shufflevector(row[0], row[1], 2, 6, 3, 7);
            block_row high23 = __builtin_shufflevector(row[2], row[3], 2, 6, 3, 7);
            block_row column[SIDE] = {__builtin_shufflevector(low01, low23, 0, 1, 4, 5),
                                      __builtin_shufflevector(low01, low23, 2, 3, 6, 7),
                                      __builtin_shufflevector(high01, high23, 0, 1, 4, 5),
                                      __builtin_shufflevector(high01, high23, 2, 3, 6, 7)};
#endif
            for (int k = 0; k < SIDE; k++)
                memcpy(out + (j + k) * LANES + i, &column[k], sizeof column[k]);
        }
#else
    for (int i = 0; i < LANES; i++)
        for (int j = 0; j < LANES; j++)
            out[j * LANES + i] = in[i * LANES + j];
#endif
}

/* ---- one number from a row of a panel, always by the same tree: lane l meets lane l + half ---- */

#define FOLD(name, MEET)                                                                        \
    SIMD_INLINE real_t name(const vec *row) {                                                   \
        vec v[VECTORS];                                                                         \
        real_t lanes[VECTOR_LANES];                                                             \
        for (int i = 0; i < VECTORS; i++)                                                       \
            v[i] = row[i];                                                                      \
        for (int half = VECTORS / 2; half; half /= 2)                                           \
            for (int i = 0; i < half; i++)                                                      \
                v[i] = MEET(v[i], v[i + half]);                                                 \
        memcpy(lanes, v, sizeof lanes);                                                         \
        for (int half = VECTOR_LANES / 2; half; half /= 2)                                      \
            for (int i = 0; i < half; i++)                                                      \
                lanes[i] = MEET##1(lanes[i], lanes[i + half]);                                  \
        return lanes[0];                                                                        \
    }
#define SUM(a, b) ((a) + (b))
#define SUM1(a, b) ((a) + (b))
#define vmax1(a, b) ((a) > (b) ? (a) : (b))
FOLD(vfold, SUM)
FOLD(vfold_max, vmax)
#undef FOLD
#undef SUM
#undef SUM1
#undef vmax1

#endif
