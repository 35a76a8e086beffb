cdef struct Point:
    # Of the line: how far along the direction, the loss there, its slope.
    double step, loss, slope

cdef struct LineSearch:
    Point start
    Point best  # the lowest loss so far, by the search's own measure
    Point end  # of the interval that a minimum lies in, beside `best`
    bint bracketed  # there is such an interval
    bint second_stage
    double least, most  # the next step lies between them
    double width, width_before

cdef void begin_search(LineSearch* search, double loss, double slope, double first) noexcept nogil
cdef bint is_found(const LineSearch* search, Point here) noexcept nogil
cdef double next_step(LineSearch* search, Point here) noexcept nogil
