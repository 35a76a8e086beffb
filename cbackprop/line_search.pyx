"""A step along a direction that lowers the loss enough: the search of Moré & Thuente 1994 (ACM TOMS 20, 286).

The constants are those of MINPACK-2's `dcsrch`, and the conditions those that L-BFGS-B asks of it.
"""

from libc.math cimport fabs, isfinite, sqrt

cdef double DECREASE = 1e-3  # the loss is to fall by this part of what the slope promises
cdef double FLATTER = 0.9  # and the slope to this part of itself
cdef double NARROWEST = 0.1  # an interval of this part of its upper end is as good as a minimum
cdef double LONGEST = 1e10


cdef void begin_search(LineSearch* search, double loss, double slope, double first) noexcept nogil:
    """Before the loss at the step `first` is known; the slope is negative"""
    search.start.step, search.start.loss, search.start.slope = 0, loss, slope
    search.best = search.end = search.start
    search.bracketed = search.second_stage = False
    search.least, search.most = 0, 5 * first
    search.width, search.width_before = LONGEST, 2 * LONGEST


cdef bint is_found(const LineSearch* search, Point here) noexcept nogil:
    """Whether the search ends here: at a point that is good enough, or where no better one can be told from it"""
    if is_low(search, here) and fabs(here.slope) <= -FLATTER * search.start.slope:
        return True
    if search.bracketed:
        return is_at_an_end(search, here.step)
    return here.step == LONGEST and is_low(search, here) and here.slope <= DECREASE * search.start.slope


cdef double next_step(LineSearch* search, Point here) noexcept nogil:
    """Where to look next; the search has not found it here"""
    cdef double slope_wanted = DECREASE * search.start.slope, step
    cdef bint low = is_low(search, here)
    if not (isfinite(here.loss) and isfinite(here.slope)):
        # beyond the paper: such a point says only that it lies too far
        return 0.5 * (search.best.step + here.step)
    if low and here.slope >= 0:
        search.second_stage = True
    if not search.second_stage and here.loss <= search.best.loss and not low:
        # a function whose minimisers fulfil the first condition
        tilt(search, &here, -slope_wanted)
        step = narrow(search, here)
        tilt(search, &here, slope_wanted)
    else:
        step = narrow(search, here)
    if search.bracketed:
        if fabs(search.end.step - search.best.step) >= 0.66 * search.width_before:
            step = 0.5 * (search.best.step + search.end.step)
        search.width_before = search.width
        search.width = fabs(search.end.step - search.best.step)
        search.least = min(search.best.step, search.end.step)
        search.most = max(search.best.step, search.end.step)
    else:
        search.least = step + 1.1 * (step - search.best.step)
        search.most = step + 4 * (step - search.best.step)
    step = max(0.0, min(step, LONGEST))
    return search.best.step if search.bracketed and is_at_an_end(search, step) else step


cdef bint is_low(const LineSearch* search, Point here) noexcept nogil:
    """The first condition: the loss has fallen by its part of what the slope promised"""
    return here.loss <= search.start.loss + here.step * (DECREASE * search.start.slope)


cdef bint is_at_an_end(const LineSearch* search, double step) noexcept nogil:
    """Whether the interval leaves no better step than one of its ends"""
    return (
        step <= search.least or step >= search.most
        or search.most - search.least <= NARROWEST * search.most)


cdef void tilt(LineSearch* search, Point* here, double slope) noexcept nogil:
    """Adds a line through the origin to the loss"""
    cdef Py_ssize_t k
    cdef Point* points[3]
    points[0], points[1], points[2] = here, &search.best, &search.end
    for k in range(3):
        points[k].loss += slope * points[k].step
        points[k].slope += slope


cdef double narrow(LineSearch* search, Point here) noexcept nogil:
    """The paper's section 4: the next step by interpolation, and the interval that the minimum lies in then"""
    cdef Point best = search.best
    cdef double cubic, secant, step
    cdef double farthest = search.most if here.step > best.step else search.least
    cdef bint turned = here.slope * best.slope < 0
    if here.loss > best.loss:  # case 1: a minimum lies between them
        # of the parabola through both losses with the slope at the best
        secant = best.step + (here.step - best.step) * best.slope / (
            2 * ((best.loss - here.loss) / (here.step - best.step) + best.slope))
        cubic = cubic_minimum(best, here, secant)
        step = cubic if fabs(cubic - best.step) < fabs(secant - best.step) else cubic + (secant - cubic) / 2
        search.bracketed = True
        search.end = here
        return step
    secant = here.step + (here.slope / (here.slope - best.slope)) * (best.step - here.step)
    if turned:  # case 2: it lies between them, too
        cubic = cubic_minimum(here, best, secant)
        step = cubic if fabs(cubic - here.step) > fabs(secant - here.step) else secant
        search.bracketed = True
        search.end = best
    elif fabs(here.slope) < fabs(best.slope):  # case 3: it lies farther on, if anywhere
        cubic = cubic_minimum(here, best, farthest)
        if not (cubic - here.step) * (here.step - best.step) > 0:
            cubic = farthest
        if search.bracketed:
            step = cubic if fabs(cubic - here.step) < fabs(secant - here.step) else secant
            cubic = here.step + 0.66 * (search.end.step - here.step)
            step = min(cubic, step) if here.step > best.step else max(cubic, step)
        else:
            step = cubic if fabs(cubic - here.step) > fabs(secant - here.step) else secant
            step = max(search.least, min(step, search.most))
    elif search.bracketed:  # case 4: the slope has not become flatter
        step = cubic_minimum(here, search.end, 0.5 * (here.step + search.end.step))
    else:
        step = farthest
    search.best = here
    return step


cdef double cubic_minimum(Point a, Point b, double otherwise) noexcept nogil:
    """The step where the cubic with both losses and slopes has its minimum, reckoned from a; or `otherwise`"""
    cdef double theta = 3 * (a.loss - b.loss) / (b.step - a.step) + a.slope + b.slope
    cdef double scale = max(fabs(theta), fabs(a.slope), fabs(b.slope))
    cdef double square = (theta / scale) * (theta / scale) - (a.slope / scale) * (b.slope / scale)
    cdef double gamma
    if not square > 0:
        return otherwise
    gamma = scale * sqrt(square) if a.step < b.step else -scale * sqrt(square)
    return a.step + (gamma - a.slope + theta) / (gamma - a.slope + gamma + b.slope) * (b.step - a.step)
