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

SIMD_INLINE void assume(int condition) {
#if CBACKPROP_HAS_VECTORS
    if (!condition)
        __builtin_unreachable();
#else
    (void)condition;
#endif
}

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

/* n numbers, less than LANES, by the binary digits of n: masked stores are slow on some processors */
SIMD_INLINE void copy_first(const real_t *from, ptrdiff_t n, real_t *to) {
    for (int part = LANES / 2; part; part /= 2)
        if (n & part) {
            memcpy(to, from, part * sizeof *to);
            from += part;
            to += part;
        }
}

/* to be masked; LANES of them are used */
static const real_t ONES[16] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};

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

/* the number in the first lane */
SIMD_INLINE real_t vfirst(vec v) { return LANE(v, 0); }

/* asks for a cache line that will be read, or written, soon */
SIMD_INLINE void vprefetch(const real_t *at) {
#if CBACKPROP_HAS_VECTORS
    __builtin_prefetch(at, 0, 3);
#else
    (void)at;
#endif
}

SIMD_INLINE void vprefetch_to_write(const real_t *at) {
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

/* ---- for the first half of a panel, where the other is empty: vectors of at most 32 bytes ---- */

#if CBACKPROP_VECTOR_BYTES == 64
typedef real_t half_vec __attribute__((vector_size(32)));

SIMD_INLINE half_vec hload(const real_t *from) {
    half_vec v;
    memcpy(&v, from, sizeof v);
    return v;
}

SIMD_INLINE void hstore(real_t *to, half_vec v) { memcpy(to, &v, sizeof v); }

SIMD_INLINE half_vec hset(real_t x) { return x - (half_vec){0}; }

SIMD_INLINE half_vec hfma(half_vec a, half_vec b, half_vec c) {
#if CBACKPROP_DOUBLE
    return _mm256_fmadd_pd(a, b, c);
#else
    return _mm256_fmadd_ps(a, b, c);
#endif
}
#else
typedef vec half_vec;
#define hload vload
#define hstore vstore
#define hset vset
#define hfma vfma
#endif

/* ---- the least and the greatest, roots, choices ---- */

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

/* The shuffles that every instruction set has work inside blocks of 16 bytes; a strip is one or two of them. */
#if CBACKPROP_VECTOR_BYTES >= 32
#define STRIP_BLOCKS 2
#if CBACKPROP_DOUBLE
#define LOW_NUMBERS 0, 4, 2, 6
#define HIGH_NUMBERS 1, 5, 3, 7
#else
#define LOW_NUMBERS 0, 8, 1, 9, 4, 12, 5, 13
#define HIGH_NUMBERS 2, 10, 3, 11, 6, 14, 7, 15
#define LOW_PAIRS 0, 1, 8, 9, 4, 5, 12, 13
#define HIGH_PAIRS 2, 3, 10, 11, 6, 7, 14, 15
#endif
#else
#define STRIP_BLOCKS 1
#if CBACKPROP_DOUBLE
#define LOW_NUMBERS 0, 2
#define HIGH_NUMBERS 1, 3
#else
#define LOW_NUMBERS 0, 4, 1, 5
#define HIGH_NUMBERS 2, 6, 3, 7
#define LOW_PAIRS 0, 1, 4, 5
#define HIGH_PAIRS 2, 3, 6, 7
#endif
#endif

#if defined(CBACKPROP_HAS_SHUFFLES)
typedef real_t strip __attribute__((vector_size(16 * STRIP_BLOCKS)));
SIMD_INLINE void store_strip(real_t *to, strip numbers) { memcpy(to, &numbers, sizeof numbers); }
#endif

SIMD_INLINE void transpose_square(const real_t *in, real_t *out) {
#if defined(CBACKPROP_HAS_SHUFFLES)
    enum { SIDE = 16 / (int)sizeof(real_t) }; /* of a square of blocks */
    for (int i = 0; i < LANES; i += SIDE * STRIP_BLOCKS)
        for (int j = 0; j < LANES; j += SIDE) {
            strip row[SIDE];
            for (int k = 0; k < SIDE; k++) {
                const real_t *from = in + (i + k) * LANES + j;
#if STRIP_BLOCKS == 2
                __m128 low = _mm_loadu_ps((const float *)from);
                __m128 high = _mm_loadu_ps((const float *)(from + SIDE * LANES));
                row[k] = (strip)_mm256_insertf128_ps(_mm256_castps128_ps256(low), high, 1);
#else
                memcpy(&row[k], from, sizeof row[k]);
#endif
            }
            real_t *to = out + j * LANES + i;
#if CBACKPROP_DOUBLE
            store_strip(to, __builtin_shufflevector(row[0], row[1], LOW_NUMBERS));
            store_strip(to + LANES, __builtin_shufflevector(row[0], row[1], HIGH_NUMBERS));
#else
            strip low01 = __builtin_shufflevector(row[0], row[1], LOW_NUMBERS);
            strip low23 = __builtin_shufflevector(row[2], row[3], LOW_NUMBERS);
            strip high01 = __builtin_shufflevector(row[0], row[1], HIGH_NUMBERS);
            strip high23 = __builtin_shufflevector(row[2], row[3], HIGH_NUMBERS);
            store_strip(to, __builtin_shufflevector(low01, low23, LOW_PAIRS));
            store_strip(to + LANES, __builtin_shufflevector(low01, low23, HIGH_PAIRS));
            store_strip(to + 2 * LANES, __builtin_shufflevector(high01, high23, LOW_PAIRS));
            store_strip(to + 3 * LANES, __builtin_shufflevector(high01, high23, HIGH_PAIRS));
#endif
        }
#else
    for (int i = 0; i < LANES; i++)
        for (int j = 0; j < LANES; j++)
            out[j * LANES + i] = in[i * LANES + j];
#endif
}

/* ---- one number from a row of a panel, always by the same tree: lane l meets lane l + half ---- */

#ifdef MM_
/* neighbours of so many bytes change places */
#if CBACKPROP_VECTOR_BYTES == 64
#define SWAP_32(v) (vec) _mm512_shuffle_f64x2((__m512d)(v), (__m512d)(v), 0x4e)
#define SWAP_16(v) (vec) _mm512_shuffle_f64x2((__m512d)(v), (__m512d)(v), 0xb1)
#define SWAP_8(v) (vec) _mm512_permute_pd((__m512d)(v), 0x55)
#define SWAP_4(v) (vec) _mm512_permute_ps((__m512)(v), 0xb1)
#elif CBACKPROP_VECTOR_BYTES == 32
#define SWAP_16(v) (vec) _mm256_permute2f128_pd((__m256d)(v), (__m256d)(v), 1)
#define SWAP_8(v) (vec) _mm256_permute_pd((__m256d)(v), 5)
#define SWAP_4(v) (vec) _mm256_permute_ps((__m256)(v), 0xb1)
#else
#define SWAP_8(v) (vec) _mm_shuffle_pd((__m128d)(v), (__m128d)(v), 1)
#define SWAP_4(v) (vec) _mm_shuffle_ps((__m128)(v), (__m128)(v), 0xb1)
#endif
/* With lanes from n on of no account, n a constant or not, the first steps are left out. */
#define FOLD_STEP(MEET, v, bytes)                                                               \
    if (n * (ptrdiff_t)sizeof(real_t) > bytes)                                                  \
        v = MEET(v, SWAP_##bytes(v));
#if CBACKPROP_VECTOR_BYTES == 64
#define FOLD_WIDE(MEET, v) FOLD_STEP(MEET, v, 32) FOLD_STEP(MEET, v, 16)
#elif CBACKPROP_VECTOR_BYTES == 32
#define FOLD_WIDE(MEET, v) FOLD_STEP(MEET, v, 16)
#else
#define FOLD_WIDE(MEET, v)
#endif
#if CBACKPROP_DOUBLE
#define FOLD_LANES(MEET, v) FOLD_WIDE(MEET, v) FOLD_STEP(MEET, v, 8)
#else
#define FOLD_LANES(MEET, v) FOLD_WIDE(MEET, v) FOLD_STEP(MEET, v, 8) FOLD_STEP(MEET, v, 4)
#endif
#else
#define FOLD_LANES(MEET, v)                                                                     \
    real_t lanes[VECTOR_LANES];                                                                 \
    memcpy(lanes, &v, sizeof lanes);                                                            \
    for (int half = VECTOR_LANES / 2; half; half /= 2)                                          \
        for (int i = 0; i < half; i++)                                                          \
            lanes[i] = MEET##1(lanes[i], lanes[i + half]);                                      \
    v = vset(lanes[0]);
#endif

#define FOLD(name, MEET)                                                                        \
    /* in the first lane */                                                                     \
    SIMD_INLINE vec name##_first(const vec *row, ptrdiff_t n) {                                 \
        vec v[VECTORS];                                                                         \
        for (int i = 0; i < VECTORS; i++)                                                       \
            v[i] = row[i];                                                                      \
        for (int half = VECTORS / 2; half; half /= 2)                                           \
            if (n > half * VECTOR_LANES)                                                        \
                for (int i = 0; i < half; i++)                                                  \
                    v[i] = MEET(v[i], v[i + half]);                                             \
        FOLD_LANES(MEET, v[0])                                                                  \
        return v[0];                                                                            \
    }                                                                                           \
    SIMD_INLINE real_t name(const vec *row) { return vfirst(name##_first(row, LANES)); }
#define SUM(a, b) ((a) + (b))
#define SUM1(a, b) ((a) + (b))
#define vmax1(a, b) ((a) > (b) ? (a) : (b))
FOLD(vfold, SUM)
FOLD(vfold_max, vmax)
#undef FOLD
#undef SUM
#undef SUM1
#undef vmax1

/* the sum of a row whose lanes from n on are zeros, in every lane */
SIMD_INLINE vec vfold_everywhere(const vec *row, ptrdiff_t n) {
    vec v = vfold_first(row, n);
#ifdef MM_
    /* sums of neighbours are the same for both: after all steps, everywhere */
    if (2 * n > VECTOR_LANES)
        return v;
#endif
    return vset(vfirst(v));
}

#endif
