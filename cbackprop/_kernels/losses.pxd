"""Losses and output deltas, row by row.

Each kernel returns the sum of the rows' losses, times their weights, added up in a double in the order of the rows,
and puts the deltas in the targets' place: dC/d preactivations, or for squared error dC/d activations (the same for
identity; for another output activation its backward pass follows). Beyond the last output deltas are zero.

A row of log_loss, an output of binary_log_loss, counts at most `limit`: scikit-learn keeps probabilities from 0.
"""

from cbackprop._kernels.elementary cimport exp_, log1p_unit_, log_, sigmoid_
from cbackprop._kernels.passes cimport ROWS_TOGETHER, lane_mask, softmax_rows
from cbackprop._kernels.simd cimport (
    LANES, VECTOR_LANES, VECTORS, real_t, vabs, vec, vfirst, vfma, vfold, vload, vmax, vmin, vselect_less, vset, vstore,
)
from cbackprop._typedefs cimport lanes_t


cdef inline double squared_error(
    lanes_t* outputs,  # (ceil(n_out / LANES), stride): activations
    const lanes_t* weights,  # n_rows numbers, or NULL for ones
    Py_ssize_t stride, Py_ssize_t n_out, Py_ssize_t n_rows, double limit,
    lanes_t* deltas,  # as outputs: the targets, overwritten
) noexcept nogil:
    """C = 1/2 sum((output - target) ** 2); deltas := output - target"""
    cdef real_t[16] mask
    cdef vec[16] part
    cdef vec difference, weight
    cdef double total = 0
    cdef real_t loss
    cdef Py_ssize_t r, p, v, at, n_panels = (n_out + LANES - 1) // LANES
    lane_mask(n_out - (n_panels - 1) * LANES, 1, 0, mask)
    for r in range(n_rows):
        weight = vset((<const real_t*>weights)[r] if weights != NULL else <real_t>1)
        for v in range(VECTORS):
            part[v] = vset(0)
            for p in range(n_panels):
                at = (p * stride + r) * LANES + v * VECTOR_LANES
                difference = vload(<const real_t*>outputs + at) - vload(<const real_t*>deltas + at)
                if p == n_panels - 1:
                    difference = difference * vload(mask + v * VECTOR_LANES)
                part[v] = vfma(difference, difference, part[v])
                vstore(<real_t*>deltas + at, difference * weight)
        # the other lanes of a single output hold zeros
        loss = <real_t>0.5 * (vfirst(part[0]) if n_out == 1 else vfold(part))
        total += loss if weights == NULL else (<const real_t*>weights)[r] * loss
    return total


cdef inline double log_loss(
    lanes_t* outputs,  # (ceil(n_out / LANES), stride): preactivations, overwritten by their softmax
    const lanes_t* weights,
    Py_ssize_t stride, Py_ssize_t n_out, Py_ssize_t n_rows, double limit,
    lanes_t* deltas,
) noexcept nogil:
    """C = -sum(target * log(softmax(z))), targets of sum 1; deltas := softmax(z) - target"""
    cdef real_t[ROWS_TOGETHER] largest
    cdef real_t[ROWS_TOGETHER] totals
    cdef real_t[ROWS_TOGETHER] dots
    cdef vec[16] part
    cdef vec weight
    cdef double total = 0
    cdef real_t loss
    cdef Py_ssize_t first = 0, rows, r, p, v, at, n_panels = (n_out + LANES - 1) // LANES
    while first < n_rows:
        rows = min(ROWS_TOGETHER, n_rows - first)
        for r in range(rows):
            for v in range(VECTORS):
                part[v] = vset(0)
                for p in range(n_panels):
                    at = (p * stride + first + r) * LANES + v * VECTOR_LANES
                    part[v] = vfma(
                        vload(<const real_t*>outputs + at), vload(<const real_t*>deltas + at), part[v])
            dots[r] = vfold(part)
        softmax_rows(<real_t*>(outputs + first), stride * LANES, n_out, rows, largest, totals)
        for r in range(rows, ROWS_TOGETHER):
            totals[r] = 1
        for v in range(ROWS_TOGETHER // VECTOR_LANES):
            vstore(totals + v * VECTOR_LANES, log_(vload(totals + v * VECTOR_LANES)))
        for r in range(rows):
            # -log(softmax(z)) = log(sum(exp(z - max))) - (z - max): finite where the softmax itself is 0
            loss = min(totals[r] + (largest[r] - dots[r]), <real_t>limit)
            total += loss if weights == NULL else (<const real_t*>weights)[first + r] * loss
            weight = vset((<const real_t*>weights)[first + r] if weights != NULL else <real_t>1)
            for p in range(n_panels):
                for v in range(VECTORS):
                    at = (p * stride + first + r) * LANES + v * VECTOR_LANES
                    vstore(<real_t*>deltas + at, weight * (
                        vload(<const real_t*>outputs + at) - vload(<const real_t*>deltas + at)))
        first += rows
    return total


cdef inline double binary_log_loss(
    lanes_t* outputs,  # (ceil(n_out / LANES), stride): preactivations, overwritten by their sigmoid
    const lanes_t* weights,
    Py_ssize_t stride, Py_ssize_t n_out, Py_ssize_t n_rows, double limit,
    lanes_t* deltas,
) noexcept nogil:
    """C = -sum(y log(p) + (1 - y) log(1 - p)), p = sigmoid(z); deltas := p - y"""
    cdef real_t[16] mask
    cdef vec[16] part
    cdef vec z, y, a, weight, term
    cdef double total = 0
    cdef real_t loss
    cdef Py_ssize_t r, p, v, at, n_panels = (n_out + LANES - 1) // LANES
    lane_mask(n_out - (n_panels - 1) * LANES, 1, 0, mask)
    for r in range(n_rows):
        weight = vset((<const real_t*>weights)[r] if weights != NULL else <real_t>1)
        for v in range(VECTORS):
            part[v] = vset(0)
            for p in range(n_panels):
                at = (p * stride + r) * LANES + v * VECTOR_LANES
                z = vload(<const real_t*>outputs + at)
                y = vload(<const real_t*>deltas + at)
                a = sigmoid_(z)
                vstore(<real_t*>outputs + at, a)
                # not through log(p): p may be 0 where the loss is finite
                term = (vmax(vset(0), z) - y * z) + log1p_unit_(exp_(-vabs(z)))
                term = vmin(vset(<real_t>limit), term)
                a = a - y
                if p == n_panels - 1:
                    term = term * vload(mask + v * VECTOR_LANES)
                    a = a * vload(mask + v * VECTOR_LANES)
                part[v] = part[v] + term
                vstore(<real_t*>deltas + at, a * weight)
        loss = vfold(part)
        total += loss if weights == NULL else (<const real_t*>weights)[r] * loss
    return total


cdef inline double poisson(
    lanes_t* outputs,  # (ceil(n_out / LANES), stride): preactivations, overwritten by their exp
    const lanes_t* weights,
    Py_ssize_t stride, Py_ssize_t n_out, Py_ssize_t n_rows, double limit,
    lanes_t* deltas,
) noexcept nogil:
    """C = sum(y log(y / p) - y + p), p = exp(z); deltas := p - y"""
    cdef real_t[16] mask
    cdef vec[16] part
    cdef vec z, y, a, weight, term
    cdef double total = 0
    cdef real_t loss
    cdef Py_ssize_t r, p, v, at, n_panels = (n_out + LANES - 1) // LANES
    lane_mask(n_out - (n_panels - 1) * LANES, 1, 0, mask)
    for r in range(n_rows):
        weight = vset((<const real_t*>weights)[r] if weights != NULL else <real_t>1)
        for v in range(VECTORS):
            part[v] = vset(0)
            for p in range(n_panels):
                at = (p * stride + r) * LANES + v * VECTOR_LANES
                z = vload(<const real_t*>outputs + at)
                y = vload(<const real_t*>deltas + at)
                a = exp_(z)
                vstore(<real_t*>outputs + at, a)
                # y (log(y) - z), and 0 where y is
                term = vselect_less(vset(0), y, y * (log_(y) - z), vset(0)) + (a - y)
                a = a - y
                if p == n_panels - 1:
                    term = term * vload(mask + v * VECTOR_LANES)
                    a = a * vload(mask + v * VECTOR_LANES)
                part[v] = part[v] + term
                vstore(<real_t*>deltas + at, a * weight)
        loss = vfold(part)
        total += loss if weights == NULL else (<const real_t*>weights)[r] * loss
    return total
