"""Gradient descent row by row in the smallest networks: one hidden layer of up to four panels, one linear output.

The hidden activations, the deltas, the biases and the output's weights stay in registers from row to row. The same
operations in the same order as the tiles' and passes', so the same bits.
"""

from libc.math cimport NAN

from cbackprop._kernels.passes cimport times_slope, value
from cbackprop._kernels.simd cimport (
    LANES, ONES, VECTOR_LANES, VECTORS, real_t, vec, vfirst, vfma, vfold_everywhere, vload, vload_first, vset, vstore,
)
from cbackprop._kernels.table cimport (
    IDENTITY, OUTPUT, RELU, ROW, ROWS, SIGMOID, SOFTSIGN, TANH, Activation, Online,
)


cdef inline vec forward_row(
    Activation f, Py_ssize_t n_vectors, bint look,  # constants
    Py_ssize_t n_in, Py_ssize_t n_hidden,
    const real_t* x,  # (n_in,)
    const real_t* x_before, const vec* d,  # of the row before, which takes its step where this one needs the weights
    const vec* w, vec c, real_t y, vec minus_rate,
    real_t* weights,  # updated
    vec* a,  # updated: the biases become the hidden activations
) noexcept nogil:
    """The output - y, in every lane; NaN, if it is to look, where x is not finite"""
    cdef vec[16] sums
    cdef vec factor, factor_before, updated, check = vset(0)  # 0 * x is 0, but NaN where x is not finite
    cdef real_t* target
    cdef Py_ssize_t i, v
    for i in range(n_in):
        factor, factor_before = vset(x[i]), vset(x_before[i])
        if look:
            check = vfma(vset(0), factor, check)
        for v in range(n_vectors):
            target = weights + (v // VECTORS * n_in + i) * LANES + v % VECTORS * VECTOR_LANES
            updated = vfma(minus_rate, vfma(factor_before, d[v], vset(0)), vload(target))
            vstore(target, updated)
            a[v] = vfma(factor, updated, a[v])
    for v in range(VECTORS):
        sums[v] = check
    for v in range(n_vectors):
        a[v] = value(f, a[v])
        sums[v % VECTORS] = vfma(a[v], w[v], sums[v % VECTORS])
    return vfold_everywhere(sums, n_hidden if n_vectors == 1 else LANES) + c - vset(y)


cdef inline void backward_row(
    Activation f, Py_ssize_t n_vectors, vec error, vec minus_rate, const vec* a, const vec* mask,
    vec* d, vec* b, vec* w, vec* c,  # updated; d overwritten
) noexcept nogil:
    """The step of all but the first weights"""
    cdef Py_ssize_t v
    c[0] = vfma(minus_rate, error, c[0])
    for v in range(n_vectors):
        d[v] = times_slope(f, a[v], vfma(error, w[v], vset(0)))
        # beyond the last hidden unit the activation is f(0), but the weight must stay zero
        w[v] = vfma(minus_rate, vfma(error, a[v] * mask[v], vset(0)), w[v])
        b[v] = vfma(minus_rate, d[v], b[v])


cdef inline void begin(Py_ssize_t n_vectors, const Online* job, vec* b, vec* w, vec* c, vec* mask) noexcept nogil:
    """From memory into registers"""
    cdef Py_ssize_t v
    c[0] = vset((<real_t*>job.out_bias)[0])
    for v in range(n_vectors):
        b[v] = vload(<real_t*>job.biases + v * VECTOR_LANES)
        w[v] = vload(<real_t*>job.out_weights + v * VECTOR_LANES)
        mask[v] = vload_first(ONES, job.n_hidden - v * VECTOR_LANES)


cdef inline void end(Py_ssize_t n_vectors, const Online* job, const vec* b, const vec* w, vec c) noexcept nogil:
    """And back"""
    cdef Py_ssize_t v
    (<real_t*>job.out_bias)[0] = vfirst(c)
    for v in range(n_vectors):
        vstore(<real_t*>job.biases + v * VECTOR_LANES, b[v])
        vstore(<real_t*>job.out_weights + v * VECTOR_LANES, w[v])


cdef inline void finish_weights(
    Py_ssize_t n_vectors, const Online* job, const real_t* x_before, const vec* d
) noexcept nogil:
    """The first weights take the last row's step"""
    cdef real_t* weights = <real_t*>job.weights
    cdef vec minus_rate = vset(<real_t>-job.learning_rate)
    cdef real_t* target
    cdef Py_ssize_t i, v, n_in = job.n_in
    for i in range(n_in):
        for v in range(n_vectors):
            target = weights + (v // VECTORS * n_in + i) * LANES + v % VECTORS * VECTOR_LANES
            vstore(target, vfma(minus_rate, vfma(vset(x_before[i]), d[v], vset(0)), vload(target)))


cdef inline double online_rows(Activation f, Py_ssize_t n_vectors, const Online* job) noexcept nogil:
    """One step for each row; returns the sum of the losses before the steps; f and n_vectors are constants"""
    cdef const real_t* X = <const real_t*>job.X
    cdef const real_t* y = <const real_t*>job.y
    cdef vec[64] a, b, d, w, mask  # n_vectors at most
    cdef vec minus_rate = vset(<real_t>-job.learning_rate), error, c
    cdef double total = 0
    cdef const real_t* x
    cdef const real_t* x_before = X + (job.order[0] if job.order != NULL else 0) * job.n_in
    cdef real_t* weights = <real_t*>job.weights
    cdef Py_ssize_t r, v, row, n_in = job.n_in, n_hidden = job.n_hidden
    begin(n_vectors, job, b, w, &c, mask)
    for v in range(n_vectors):
        d[v] = vset(0)
    for r in range(job.n_rows):
        row = job.order[r] if job.order != NULL else r
        x = X + row * n_in
        for v in range(n_vectors):
            a[v] = b[v]
        error = forward_row(
            f, n_vectors, False, n_in, n_hidden, x, x_before, d, w, c, y[row], minus_rate, weights, a)
        total += <real_t>0.5 * (vfirst(error) * vfirst(error))
        backward_row(f, n_vectors, error, minus_rate, a, mask, d, b, w, &c)
        x_before = x
    finish_weights(n_vectors, job, x_before, d)
    end(n_vectors, job, b, w, c)
    return total


cdef inline double online_row(Activation f, Py_ssize_t n_vectors, const Online* job) noexcept nogil:
    """online_rows for a row that others follow: the first weights are gone through once

    Where the row or the loss is not finite, which the result says, nothing takes a step but, as always, the first
    weights that of the row before. No loop over rows: for one the compiler would store all constants on the stack.
    """
    cdef vec[64] a, b, d, w, mask
    cdef vec minus_rate = vset(<real_t>-job.learning_rate), error, c
    cdef real_t loss
    cdef real_t* deltas = <real_t*>job.deltas
    cdef Py_ssize_t v
    begin(n_vectors, job, b, w, &c, mask)
    for v in range(n_vectors):
        a[v] = vload(<real_t*>job.biases + v * VECTOR_LANES)
        d[v] = vload(deltas + v * VECTOR_LANES)
    error = forward_row(
        f, n_vectors, True, job.n_in, job.n_hidden, <const real_t*>job.X, <const real_t*>job.X_before, d, w, c,
        (<const real_t*>job.y)[0], minus_rate, <real_t*>job.weights, a)
    loss = <real_t>0.5 * (vfirst(error) * vfirst(error))
    if 0 * loss != 0:
        for v in range(n_vectors):
            vstore(deltas + v * VECTOR_LANES, vset(0))
        return loss
    backward_row(f, n_vectors, error, minus_rate, a, mask, d, b, w, &c)
    for v in range(n_vectors):
        vstore(deltas + v * VECTOR_LANES, d[v])
    end(n_vectors, job, b, w, c)
    return loss


cdef inline double last_step(Py_ssize_t n_vectors, const Online* job) noexcept nogil:
    """What online_row has left to the row that follows: there is none"""
    cdef vec[64] d
    cdef Py_ssize_t v
    for v in range(n_vectors):
        d[v] = vload(<real_t*>job.deltas + v * VECTOR_LANES)
        vstore(<real_t*>job.deltas + v * VECTOR_LANES, vset(0))
    finish_weights(n_vectors, job, <const real_t*>job.X_before, d)
    return 0


cdef inline double output_of_row(Activation f, Py_ssize_t n_vectors, const Online* job) noexcept nogil:
    """The output of the first row; NaN if the row is not finite; f and n_vectors are constants"""
    cdef const real_t* x = <const real_t*>job.X
    cdef const real_t* weights = <const real_t*>job.weights
    cdef vec[64] a
    cdef vec[16] sums
    cdef vec factor, check = vset(0)  # 0 * x is 0, but NaN where x is not finite
    cdef Py_ssize_t i, v
    for v in range(n_vectors):
        a[v] = vload(<const real_t*>job.biases + v * VECTOR_LANES)
    for i in range(job.n_in):
        factor = vset(x[i])
        check = vfma(vset(0), factor, check)
        for v in range(n_vectors):
            a[v] = vfma(factor, vload(weights + (v // VECTORS * job.n_in + i) * LANES + v % VECTORS * VECTOR_LANES),
                        a[v])
    for v in range(VECTORS):
        sums[v] = vset(0)
    for v in range(n_vectors):
        sums[v % VECTORS] = vfma(value(f, a[v]), vload(<const real_t*>job.out_weights + v * VECTOR_LANES),
                                 sums[v % VECTORS])
    factor = vfold_everywhere(sums, job.n_hidden if n_vectors == 1 else LANES)
    return vfirst(factor) + (<const real_t*>job.out_bias)[0] if vfirst(check) == 0 else <real_t>NAN


cdef inline double in_registers(Activation f, Py_ssize_t n_vectors, const Online* job) noexcept nogil:
    if job.task == ROWS:
        return online_rows(f, n_vectors, job)
    if job.task == ROW:
        return online_row(f, n_vectors, job)
    return output_of_row(f, n_vectors, job) if job.task == OUTPUT else last_step(n_vectors, job)


cdef inline double online_panels(Activation f, const Online* job) noexcept nogil:
    # the smallest leave half of a panel alone
    if job.n_hidden <= VECTOR_LANES and VECTORS > 1:
        return in_registers(f, 1, job)
    if job.n_hidden <= LANES:
        return in_registers(f, VECTORS, job)
    if job.n_hidden <= 2 * LANES:
        return in_registers(f, 2 * VECTORS, job)
    if job.n_hidden <= 3 * LANES:
        return in_registers(f, 3 * VECTORS, job)
    return in_registers(f, 4 * VECTORS, job)


cdef inline double online(const Online* job) noexcept nogil:
    """The job's task, with its constants"""
    if job.activation == SIGMOID:
        return online_panels(SIGMOID, job)
    if job.activation == TANH:
        return online_panels(TANH, job)
    if job.activation == RELU:
        return online_panels(RELU, job)
    if job.activation == SOFTSIGN:
        return online_panels(SOFTSIGN, job)
    return online_panels(IDENTITY, job)
