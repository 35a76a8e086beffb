"""Denormal numbers taken for zeros while the engine computes: arithmetic on them costs a hundred cycles and more.

The mode is the thread's own. Who sets it sets it back before Python code runs.
"""

from libc.stdint cimport uint64_t

cdef extern from *:
    """
    #if defined(__SSE2__) || (defined(_M_X64) && !defined(_M_ARM64EC))
    #include <xmmintrin.h>
    static uint64_t cbackprop_float_mode(void) { return _mm_getcsr(); }
    static void cbackprop_set_float_mode(uint64_t mode) { _mm_setcsr((unsigned)mode); }
    /* MXCSR: flush to zero (results), denormals are zeros (operands) */
    #define CBACKPROP_FLUSHING 0x8040
    #elif defined(__aarch64__) && defined(__GNUC__)
    static uint64_t cbackprop_float_mode(void) {
        uint64_t mode;
        __asm__ __volatile__("mrs %0, fpcr" : "=r"(mode));
        return mode;
    }
    static void cbackprop_set_float_mode(uint64_t mode) { __asm__ __volatile__("msr fpcr, %0" : : "r"(mode)); }
    /* FPCR: flush to zero, operands and results */
    #define CBACKPROP_FLUSHING (1u << 24)
    #else
    static uint64_t cbackprop_float_mode(void) { return 0; }
    static void cbackprop_set_float_mode(uint64_t mode) { (void)mode; }
    #define CBACKPROP_FLUSHING 0
    #endif
    """
    uint64_t float_mode "cbackprop_float_mode"() noexcept nogil
    void set_float_mode "cbackprop_set_float_mode"(uint64_t mode) noexcept nogil
    const uint64_t FLUSHING "CBACKPROP_FLUSHING"


cdef inline uint64_t flush_denormals() noexcept nogil:
    """From here on this thread takes denormal numbers for zeros; returns the mode before"""
    cdef uint64_t mode = float_mode()
    set_float_mode(mode | FLUSHING)
    return mode


cdef inline uint64_t exchange_float_mode(uint64_t mode) noexcept nogil:
    """Sets the mode; returns the one before"""
    cdef uint64_t before = float_mode()
    set_float_mode(mode)
    return before
