"""One atomic word that counts an object's readers or marks its one writer."""

cdef extern from *:
    """
    #if defined(_MSC_VER) && !defined(__clang__)
    #include <intrin.h>
    static int cbackprop_swap(volatile long *word, long expected, long desired) {
        return _InterlockedCompareExchange(word, desired, expected) == expected;
    }
    static long cbackprop_read(volatile long *word) { return _InterlockedOr(word, 0); }
    #else
    static int cbackprop_swap(volatile long *word, long expected, long desired) {
        return __atomic_compare_exchange_n(word, &expected, desired, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
    }
    static long cbackprop_read(volatile long *word) { return __atomic_load_n(word, __ATOMIC_ACQUIRE); }
    #endif
    """
    bint cbackprop_swap(long* word, long expected, long desired) noexcept nogil
    long cbackprop_read(long* word) noexcept nogil


cdef inline bint enter_reader(long* word) noexcept nogil:
    """Whether there was no writer; then one reader more is counted."""
    cdef long readers
    while True:
        readers = cbackprop_read(word)
        if readers < 0:
            return False
        if cbackprop_swap(word, readers, readers + 1):
            return True


cdef inline void leave_reader(long* word) noexcept nogil:
    cdef long readers
    while True:
        readers = cbackprop_read(word)
        if cbackprop_swap(word, readers, readers - 1):
            return


cdef inline bint enter_writer(long* word) noexcept nogil:
    """Whether nobody was there; then the word is marked."""
    return cbackprop_swap(word, 0, -1)


cdef inline void leave_writer(long* word) noexcept nogil:
    cbackprop_swap(word, -1, 0)
