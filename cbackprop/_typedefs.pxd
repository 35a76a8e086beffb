"""The types that every floor shares."""

cdef struct lanes_t:
    # One row of a panel: 16 numbers in float32, 8 in float64. Above the kernels nobody looks inside, so what
    # is above them is written once for both precisions.
    char[64] bytes
