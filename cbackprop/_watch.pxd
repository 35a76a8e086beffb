"""A look at the clock from inside long computations, so that Ctrl-C is seen in time."""

cdef extern from "time.h" nogil:
    cdef struct timespec:
        long long tv_sec
        long tv_nsec
    int timespec_get(timespec* now, int base)
    const int TIME_UTC

cdef enum:
    # Multiply-adds between two looks at the clock: well under 10 ms on the slowest instruction set.
    WORK_BETWEEN_LOOKS = 1 << 24

cdef struct Watch:
    bint (*poll)(void* context) noexcept nogil  # lent by whoever owns Python; true: stop
    void* context
    double next_poll  # seconds
    Py_ssize_t work  # multiply-adds since the last look
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
    if watch.work < WORK_BETWEEN_LOOKS or watch.poll == NULL:
        return watch.stopped
    watch.work = 0
    time = now()
    # a clock that was set back must not put off the next poll
    if time >= watch.next_poll or time < watch.next_poll - 0.05:
        watch.next_poll = time + 0.05
        watch.stopped = watch.stopped or watch.poll(watch.context)
    return watch.stopped
