"""Denormal numbers taken for zeros while the engine computes: arithmetic on them costs a hundred cycles and more."""

from libc.stdint cimport uint64_t

cdef extern from *:
    """
    #if defined(__SSE2__) || (defined(_M_X64) && !defined(_M_ARM64EC))
    #include <xmmintrin.h>
    /* MXCSR: flush to zero (results), denormals are zeros (operands) */
    static uint64_t cbackprop_flush_denormals(void) {
        unsigned mode = _mm_getcsr();
        _mm_setcsr(mode | 0x8040);
        return mode;
    }
    static void cbackprop_restore_float_mode(uint64_t mode) { _mm_setcsr((unsigned)mode); }
    #elif defined(__aarch64__) && defined(__GNUC__)
    /* FPCR: flush to zero, operands and results */
    static uint64_t cbackprop_flush_denormals(void) {
        uint64_t mode;
        __asm__ __volatile__("mrs %0, fpcr" : "=r"(mode));
        __asm__ __volatile__("msr fpcr, %0" : : "r"(mode | (1u << 24)));
        return mode;
    }
    static void cbackprop_restore_float_mode(uint64_t mode) { __asm__ __volatile__("msr fpcr, %0" : : "r"(mode)); }
    #else
    static uint64_t cbackprop_flush_denormals(void) { return 0; }
    static void cbackprop_restore_float_mode(uint64_t mode) { (void)mode; }
    #endif
    """
    # From here on this thread takes denormal numbers for zeros; returns the mode before.
    uint64_t flush_denormals "cbackprop_flush_denormals"() noexcept nogil
    void restore_float_mode "cbackprop_restore_float_mode"(uint64_t mode) noexcept nogil
