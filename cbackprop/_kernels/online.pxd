"""Gradient descent row by row in the smallest networks: one hidden layer of up to four panels, one linear output.

The hidden activations, the deltas, the biases and the output's weights stay in registers from row to row. The same
operations in the same order as the tiles' and passes', so the same bits.
"""

from cbackprop._kernels.passes cimport lane_mask, times_slope, value
from cbackprop._kernels.simd cimport (
    LANES, VECTOR_LANES, VECTORS, real_t, vec, vfirst, vfma, vfold_everywhere, vload, vset, vstore,
)
from cbackprop._kernels.table cimport IDENTITY, RELU, SIGMOID, SOFTSIGN, TANH, Activation, Online


cdef inline double online_rows(Activation f, Py_ssize_t n_vectors, const Online* job) noexcept nogil:
    """One step for each row; returns the sum of the losses before the steps; f and n_vectors are constants"""
    cdef const real_t* X = <const real_t*>job.X
    cdef const real_t* y = <const real_t*>job.y
    cdef real_t* weights = <real_t*>job.weights
    cdef real_t* biases = <real_t*>job.biases
    cdef real_t* out_weights = <real_t*>job.out_weights
    cdef Py_ssize_t n_in = job.n_in, n_hidden = job.n_hidden
    cdef vec[64] a, b, d, w, mask  # n_vectors at most
    cdef vec[16] sums
    cdef real_t[64] valid
    cdef vec minus_rate = vset(<real_t>-job.learning_rate), factor, factor_before, updated
    cdef vec error, c = vset((<real_t*>job.out_bias)[0])  # the same in every lane
    cdef double total = 0
    cdef const real_t* x
    cdef const real_t* x_before = X + (job.order[0] if job.order != NULL else 0) * n_in
    cdef real_t* target
    cdef Py_ssize_t r, i, v, row
    for v in range(n_vectors):
        lane_mask(n_hidden - v // VECTORS * LANES, 1, 0, valid)
        b[v] = vload(biases + v * VECTOR_LANES)
        w[v] = vload(out_weights + v * VECTOR_LANES)
        mask[v] = vload(valid + v % VECTORS * VECTOR_LANES)
        d[v] = vset(0)
    for r in range(job.n_rows):
        row = job.order[r] if job.order != NULL else r
        x = X + row * n_in
        for v in range(n_vectors):
            a[v] = b[v]
        for i in range(n_in):
            factor, factor_before = vset(x[i]), vset(x_before[i])
            for v in range(n_vectors):
                # the row before takes its step where this row needs the weights, not through memory
                target = weights + (v // VECTORS * n_in + i) * LANES + v % VECTORS * VECTOR_LANES
                updated = vfma(minus_rate, vfma(factor_before, d[v], vset(0)), vload(target))
                vstore(target, updated)
                a[v] = vfma(factor, updated, a[v])
        for v in range(VECTORS):
            sums[v] = vset(0)
        for v in range(n_vectors):
            a[v] = value(f, a[v])
            sums[v % VECTORS] = vfma(a[v], w[v], sums[v % VECTORS])
        error = vfold_everywhere(sums, n_hidden if n_vectors == 1 else LANES) + c - vset(y[row])
        total += <real_t>0.5 * (vfirst(error) * vfirst(error))
        c = vfma(minus_rate, error, c)
        for v in range(n_vectors):
            d[v] = times_slope(f, a[v], vfma(error, w[v], vset(0)))
            # beyond the last hidden unit the activation is f(0), but the weight must stay zero
            w[v] = vfma(minus_rate, vfma(error, a[v] * mask[v], vset(0)), w[v])
            b[v] = vfma(minus_rate, d[v], b[v])
        x_before = x
    for i in range(n_in):
        for v in range(n_vectors):
            target = weights + (v // VECTORS * n_in + i) * LANES + v % VECTORS * VECTOR_LANES
            vstore(target, vfma(minus_rate, vfma(vset(x_before[i]), d[v], vset(0)), vload(target)))
    for v in range(n_vectors):
        vstore(biases + v * VECTOR_LANES, b[v])
        vstore(out_weights + v * VECTOR_LANES, w[v])
    (<real_t*>job.out_bias)[0] = vfirst(c)
    return total


cdef inline double online_panels(Activation f, const Online* job) noexcept nogil:
    # the smallest leave half of a panel alone
    if job.n_hidden <= VECTOR_LANES and VECTORS > 1:
        return online_rows(f, 1, job)
    if job.n_hidden <= LANES:
        return online_rows(f, VECTORS, job)
    if job.n_hidden <= 2 * LANES:
        return online_rows(f, 2 * VECTORS, job)
    if job.n_hidden <= 3 * LANES:
        return online_rows(f, 3 * VECTORS, job)
    return online_rows(f, 4 * VECTORS, job)


cdef inline double online(const Online* job) noexcept nogil:
    """online_rows with its constants"""
    if job.activation == SIGMOID:
        return online_panels(SIGMOID, job)
    if job.activation == TANH:
        return online_panels(TANH, job)
    if job.activation == RELU:
        return online_panels(RELU, job)
    if job.activation == SOFTSIGN:
        return online_panels(SOFTSIGN, job)
    return online_panels(IDENTITY, job)
