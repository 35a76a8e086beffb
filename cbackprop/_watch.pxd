"""A look at the clock from inside long computations, so that Ctrl-C is seen in time."""

cdef extern from "time.h" nogil:
    cdef struct timespec:
        long long tv_sec
        long tv_nsec
    int timespec_get(timespec* now, int base)
    const int TIME_UTC

cdef extern from *:
    """
    /* what one thread sets and others read */
    #if defined(__GNUC__)
    static void cbackprop_set_flag(int *flag) { __atomic_store_n(flag, 1, __ATOMIC_RELAXED); }
    static int cbackprop_is_set(const int *flag) { return __atomic_load_n(flag, __ATOMIC_RELAXED); }
    #else
    static void cbackprop_set_flag(int *flag) { *(volatile int *)flag = 1; }
    static int cbackprop_is_set(const int *flag) { return *(const volatile int *)flag; }
    #endif
    """
    void cbackprop_set_flag(bint* flag) noexcept nogil
    bint cbackprop_is_set(const bint* flag) noexcept nogil

cdef enum:
    # Multiply-adds between two looks at the clock: well under 10 ms on the slowest instruction set.
    WORK_BETWEEN_LOOKS = 1 << 24

cdef struct Watch:
    bint (*poll)(void* context) noexcept nogil  # lent by whoever owns Python; true: stop
    void* context
    double next_poll  # seconds
    Py_ssize_t work  # multiply-adds since the last look
    Watch* leader  # of a thread that does a share of another's work: it stops when that one does
    bint stopped


cdef inline double now() noexcept nogil:
    """Seconds."""
    cdef timespec time
    timespec_get(&time, TIME_UTC)
    return time.tv_sec + 1e-9 * time.tv_nsec


cdef inline bint interrupted(Watch* watch, Py_ssize_t work) noexcept nogil:
    """Whether to stop, `work` multiply-adds after the last call; polls every 50 ms"""
    cdef double time
    watch.work += work
    if watch.work < WORK_BETWEEN_LOOKS:
        return watch.stopped
    watch.work = 0
    if watch.leader != NULL:
        watch.stopped = cbackprop_is_set(&watch.leader.stopped)
    elif watch.poll != NULL:
        time = now()
        # a clock that was set back must not put off the next poll
        if time >= watch.next_poll or time < watch.next_poll - 0.05:
            watch.next_poll = time + 0.05
            if watch.poll(watch.context):
                cbackprop_set_flag(&watch.stopped)
    return watch.stopped
