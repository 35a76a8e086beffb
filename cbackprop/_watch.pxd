"""A look at the clock from inside long computations, so that Ctrl-C, or the end of the time, is seen in time."""

cdef extern from *:
    """
    #if defined(_WIN32)
    #include <windows.h>
    static double cbackprop_now(void) {
        LARGE_INTEGER ticks, a_second;
        QueryPerformanceCounter(&ticks);
        QueryPerformanceFrequency(&a_second);
        return (double)ticks.QuadPart / (double)a_second.QuadPart;
    }
    #else
    #include <time.h>
    static double cbackprop_now(void) {
        struct timespec time;
        clock_gettime(CLOCK_MONOTONIC, &time);
        return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
    }
    #endif
    /* what one thread sets and others read */
    #if defined(__GNUC__)
    static void cbackprop_set_flag(int *flag) { __atomic_store_n(flag, 1, __ATOMIC_RELAXED); }
    static int cbackprop_is_set(const int *flag) { return __atomic_load_n(flag, __ATOMIC_RELAXED); }
    #else
    static void cbackprop_set_flag(int *flag) { *(volatile int *)flag = 1; }
    static int cbackprop_is_set(const int *flag) { return *(const volatile int *)flag; }
    #endif
    """
    double now "cbackprop_now"() noexcept nogil  # seconds, of a clock that is never set
    void cbackprop_set_flag(bint* flag) noexcept nogil
    bint cbackprop_is_set(const bint* flag) noexcept nogil

cdef enum:
    # Multiply-adds between two looks at the clock: well under 5 ms on the slowest instruction set.
    WORK_BETWEEN_LOOKS = 1 << 23

cdef struct Watch:
    bint (*poll)(void* context) noexcept nogil  # lent by whoever owns Python; true: stop
    void* context
    double next_poll  # seconds
    double deadline  # seconds; 0: none
    bint late  # the deadline has been seen to be over
    Py_ssize_t work  # multiply-adds since the last look
    Watch* leader  # of a thread that does a share of another's work: it stops when that one does
    bint stopped


cdef inline bint is_late(Watch* watch) noexcept nogil:
    """Whether there is a deadline, and it is over"""
    watch.late = watch.late or (watch.deadline > 0 and now() >= watch.deadline)
    return watch.late


cdef inline bint interrupted(Watch* watch, Py_ssize_t work) noexcept nogil:
    """Whether to stop, `work` multiply-adds after the last call; polls every 20 ms"""
    cdef double time
    watch.work += work
    if watch.work < WORK_BETWEEN_LOOKS:
        return watch.stopped
    watch.work = 0
    if watch.leader != NULL:
        watch.stopped = cbackprop_is_set(&watch.leader.stopped)
    elif is_late(watch):
        cbackprop_set_flag(&watch.stopped)
    elif watch.poll != NULL:
        time = now()
        if time >= watch.next_poll:
            watch.next_poll = time + 0.02
            if watch.poll(watch.context):
                cbackprop_set_flag(&watch.stopped)
    return watch.stopped
