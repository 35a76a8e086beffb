"""Who may come in: an atomic word that counts an object's readers or marks its one writer."""

from cpython.pythread cimport PyThread_get_thread_ident

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


cdef struct Guard:
    long word  # the number of readers, or -1: a writer
    long writer  # its thread, while there is one


cdef enum Entry:
    REFUSED
    ENTERED
    OWN  # the writer itself wants to read: there is nothing to leave


cdef inline bint is_writer(Guard* guard) noexcept:
    """Whether this thread is the writer, and so in a callback."""
    return cbackprop_read(&guard.word) < 0 and cbackprop_read(&guard.writer) == <long>PyThread_get_thread_ident()


cdef inline Entry enter_reader(Guard* guard) noexcept:
    cdef long readers
    while True:
        readers = cbackprop_read(&guard.word)
        if readers < 0:
            return OWN if is_writer(guard) else REFUSED
        if cbackprop_swap(&guard.word, readers, readers + 1):
            return ENTERED


cdef inline void leave_reader(Guard* guard) noexcept:
    cdef long readers
    while True:
        readers = cbackprop_read(&guard.word)
        if cbackprop_swap(&guard.word, readers, readers - 1):
            return


cdef inline bint enter_writer(Guard* guard) noexcept:
    """Whether nobody was there; then this thread is the writer."""
    if not cbackprop_swap(&guard.word, 0, -1):
        return False
    cbackprop_swap(&guard.writer, 0, <long>PyThread_get_thread_ident())
    return True


cdef inline bint enter_stranger(Guard* guard) noexcept:
    """Whether nobody was there; then there is a writer that is no thread: not even this one may read."""
    return cbackprop_swap(&guard.word, 0, -1)


cdef inline void leave_writer(Guard* guard) noexcept:
    cbackprop_swap(&guard.writer, cbackprop_read(&guard.writer), 0)
    cbackprop_swap(&guard.word, -1, 0)
