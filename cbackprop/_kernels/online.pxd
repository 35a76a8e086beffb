"""Gradient descent row by row in the smallest networks: one hidden layer of up to four panels, one linear output.

The hidden activations, the deltas, the biases and the output's weights stay in registers from row to row. The same
operations in the same order as the tiles' and passes', so the same bits.
"""

from libc.math cimport NAN

from cbackprop._kernels.passes cimport times_slope, value
from cbackprop._kernels.simd cimport (
    LANES, ONES, VECTOR_LANES, VECTORS, assume, real_t, vec, vfirst, vfma, vfold, vfold_everywhere, vload, vload_first,
    vset, vstore,
)
from cbackprop._kernels.table cimport (
    IDENTITY, LAST_STEP, OUTPUT, RELU, ROW, ROWS, SIGMOID, SOFTSIGN, TANH, Activation, Online, Task,
)


cdef inline void first_layer(
    Py_ssize_t n_vectors,  # a constant
    Py_ssize_t n_in,
    const real_t* x,  # (n_in,)
    const real_t* x_before,  # (n_in,): of the row before, which takes its step where this one needs the weights
    const vec* d, vec minus_rate,
    real_t* weights,  # updated
    vec* a,  # updated: the biases become the preactivations
) noexcept nogil:
    """The vectors of hidden units in groups, whose sums and deltas the registers hold

    With one group the compiler must know that there are inputs, or else the sums go by the stack after the loop: a
    seventh of a `ROW`'s time. With more they go there anyway, and it does better when it does not know.
    """
    cdef vec factor, factor_before, updated
    cdef real_t* target
    cdef Py_ssize_t i, v, first
    assume(n_vectors > 4 or n_in > 0)
    for first in range(0, n_vectors, 4):
        for i in range(n_in):
            factor, factor_before = vset(x[i]), vset(x_before[i])
            for v in range(first, min(first + 4, n_vectors)):
                target = weights + (v // VECTORS * n_in + i) * LANES + v % VECTORS * VECTOR_LANES
                updated = vfma(minus_rate, vfma(factor_before, d[v], vset(0)), vload(target))
                vstore(target, updated)
                a[v] = vfma(factor, updated, a[v])


cdef inline vec kept_row(
    const real_t* x,  # (n_in,)
    Py_ssize_t n_in,
    real_t* x_before,  # (n_in,), overwritten up to a whole vector
) noexcept nogil:
    """x_before := x; returns zeros, but NaN in some lane where x is not finite"""
    cdef vec some, check = vset(0)  # 0 * x is 0, but NaN where x is not finite
    cdef Py_ssize_t i = 0
    while i < n_in:
        some = vload_first(x + i, n_in - i)
        vstore(x_before + i, some)
        check = vfma(vset(0), some, check)
        i += VECTOR_LANES
    return check


cdef inline vec mask_of(Py_ssize_t n_vectors, Py_ssize_t v, Py_ssize_t n_hidden) noexcept nogil:
    """1 for hidden units; 0 beyond the last, where the activation is f(0), but the output's weight must stay zero"""
    # only the last panel is not full; n_vectors and v are constants
    return vset(1) if v < n_vectors - VECTORS else vload_first(ONES, n_hidden - v * VECTOR_LANES)


cdef inline void backward_vector(
    Activation f, vec error, vec minus_rate, vec a, vec mask,
    vec* d,  # overwritten
    vec* b, vec* w,  # updated
) noexcept nogil:
    """The step of a vector of hidden units, but for the first weights"""
    d[0] = times_slope(f, a, vfma(error, w[0], vset(0)))
    w[0] = vfma(minus_rate, vfma(error, a * mask, vset(0)), w[0])
    b[0] = vfma(minus_rate, d[0], b[0])


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
    cdef vec[16] sums
    cdef vec minus_rate = vset(<real_t>-job.learning_rate), error, c = vset((<real_t*>job.out_bias)[0])
    cdef double total = 0
    cdef const real_t* x
    cdef const real_t* x_before = X + (job.order[0] if job.order != NULL else 0) * job.n_in
    cdef real_t* weights = <real_t*>job.weights
    cdef Py_ssize_t r, v, row, n_in = job.n_in, n_hidden = job.n_hidden
    for v in range(n_vectors):
        b[v] = vload(<real_t*>job.biases + v * VECTOR_LANES)
        w[v] = vload(<real_t*>job.out_weights + v * VECTOR_LANES)
        mask[v] = mask_of(n_vectors, v, n_hidden)
        d[v] = vset(0)
    for r in range(job.n_rows):
        row = job.order[r] if job.order != NULL else r
        x = X + row * n_in
        for v in range(n_vectors):
            a[v] = b[v]
        first_layer(n_vectors, n_in, x, x_before, d, minus_rate, weights, a)
        for v in range(VECTORS):
            sums[v] = vset(0)
        for v in range(n_vectors):
            a[v] = value(f, a[v])
            sums[v % VECTORS] = vfma(a[v], w[v], sums[v % VECTORS])
        error = vfold_everywhere(sums, n_hidden if n_vectors == 1 else LANES) + c - vset(y[row])
        total += <real_t>0.5 * (vfirst(error) * vfirst(error))
        c = vfma(minus_rate, error, c)
        for v in range(n_vectors):
            backward_vector(f, error, minus_rate, a[v], mask[v], &d[v], &b[v], &w[v])
        x_before = x
    finish_weights(n_vectors, job, x_before, d)
    (<real_t*>job.out_bias)[0] = vfirst(c)
    for v in range(n_vectors):
        vstore(<real_t*>job.biases + v * VECTOR_LANES, b[v])
        vstore(<real_t*>job.out_weights + v * VECTOR_LANES, w[v])
    return total


cdef inline vec output(
    Activation f, Py_ssize_t n_vectors,  # constants
    Py_ssize_t n_hidden,
    const real_t* weights, real_t bias,
    vec start,  # zeros, or NaN to have it come out
    vec* a,  # updated: the preactivations become the hidden activations
) noexcept nogil:
    """Of one row, in every lane"""
    cdef vec[16] sums
    cdef Py_ssize_t v
    for v in range(VECTORS):
        sums[v] = start if v == 0 else vset(0)
    for v in range(n_vectors):
        a[v] = value(f, a[v])
        sums[v % VECTORS] = vfma(a[v], vload(weights + v * VECTOR_LANES), sums[v % VECTORS])
    return vfold_everywhere(sums, n_hidden if n_vectors == 1 else LANES) + vset(bias)


cdef inline double online_row(Activation f, Py_ssize_t n_vectors, const Online* job) noexcept nogil:
    """online_rows for a row that others follow: the first weights are gone through once

    Where the row or the loss is not finite, which the result says, nothing takes a step but, as always, the first
    weights that of the row before. No loop over rows: for one the compiler would store all constants on the stack.
    What is needed once is read where it is needed: earlier, it would go by the stack, too.
    """
    cdef vec[64] a, d
    cdef vec[16] check
    cdef vec minus_rate = vset(<real_t>-job.learning_rate), error, b, w
    cdef real_t loss
    cdef const real_t* x = <const real_t*>job.X
    cdef real_t* x_before = <real_t*>job.X_before
    cdef real_t* biases = <real_t*>job.biases
    cdef real_t* out_weights = <real_t*>job.out_weights
    cdef real_t* out_bias = <real_t*>job.out_bias
    cdef real_t* deltas = <real_t*>job.deltas
    cdef real_t y = (<const real_t*>job.y)[0]
    cdef Py_ssize_t i, v, n_in = job.n_in, n_hidden = job.n_hidden
    for v in range(n_vectors):
        a[v] = vload(biases + v * VECTOR_LANES)
        d[v] = vload(deltas + v * VECTOR_LANES)
    first_layer(n_vectors, n_in, x, x_before, d, minus_rate, <real_t*>job.weights, a)
    check[0] = kept_row(x, n_in, x_before)
    for v in range(1, VECTORS):
        check[v] = vset(0)
    error = output(
        f, n_vectors, n_hidden, out_weights, out_bias[0],
        check[0] if n_vectors > 1 else vset(vfold(check)), a) - vset(y)
    loss = <real_t>0.5 * (vfirst(error) * vfirst(error))
    if 0 * loss != 0:
        for i in range(n_in):
            x_before[i] = 0
        for v in range(n_vectors):
            vstore(deltas + v * VECTOR_LANES, vset(0))
        return loss
    out_bias[0] = vfirst(vfma(minus_rate, error, vset(out_bias[0])))
    for v in range(n_vectors):
        b, w = vload(biases + v * VECTOR_LANES), vload(out_weights + v * VECTOR_LANES)
        backward_vector(f, error, minus_rate, a[v], mask_of(n_vectors, v, n_hidden), &d[v], &b, &w)
        vstore(deltas + v * VECTOR_LANES, d[v])
        vstore(out_weights + v * VECTOR_LANES, w)
        vstore(biases + v * VECTOR_LANES, b)
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
    cdef vec factor, check = vset(0)  # 0 * x is 0, but NaN where x is not finite
    cdef Py_ssize_t i, v
    for v in range(n_vectors):
        a[v] = vload(<const real_t*>job.biases + v * VECTOR_LANES)
    assume(n_vectors > 4 or job.n_in > 0)  # as in `first_layer`
    for i in range(job.n_in):
        factor = vset(x[i])
        check = vfma(vset(0), factor, check)
        for v in range(n_vectors):
            a[v] = vfma(factor, vload(weights + (v // VECTORS * job.n_in + i) * LANES + v % VECTORS * VECTOR_LANES),
                        a[v])
    factor = output(
        f, n_vectors, job.n_hidden, <const real_t*>job.out_weights, (<const real_t*>job.out_bias)[0], vset(0), a)
    return vfirst(factor) if vfirst(check) == 0 else <real_t>NAN


cdef inline double of_vectors(Task task, Activation f, Py_ssize_t n_vectors, const Online* job) noexcept nogil:
    if task == ROWS:
        return online_rows(f, n_vectors, job)
    if task == ROW:
        return online_row(f, n_vectors, job)
    return output_of_row(f, n_vectors, job) if task == OUTPUT else last_step(n_vectors, job)


cdef inline double of_panels(Task task, Activation f, const Online* job) noexcept nogil:
    # the smallest leave half of a panel alone
    if job.n_hidden <= VECTOR_LANES and VECTORS > 1:
        return of_vectors(task, f, 1, job)
    if job.n_hidden <= LANES:
        return of_vectors(task, f, VECTORS, job)
    if job.n_hidden <= 2 * LANES:
        return of_vectors(task, f, 2 * VECTORS, job)
    if job.n_hidden <= 3 * LANES:
        return of_vectors(task, f, 3 * VECTORS, job)
    return of_vectors(task, f, 4 * VECTORS, job)


cdef inline double of_activation(Task task, const Online* job) noexcept nogil:
    """A task, with its constants"""
    if job.activation == SIGMOID:
        return of_panels(task, SIGMOID, job)
    if job.activation == TANH:
        return of_panels(task, TANH, job)
    if job.activation == RELU:
        return of_panels(task, RELU, job)
    if job.activation == SOFTSIGN:
        return of_panels(task, SOFTSIGN, job)
    return of_panels(task, IDENTITY, job)


cdef inline double rows_task(const Online* job) noexcept nogil:
    return of_activation(ROWS, job)


cdef inline double row_task(const Online* job) noexcept nogil:
    return of_activation(ROW, job)


cdef inline double last_step_task(const Online* job) noexcept nogil:
    return of_panels(LAST_STEP, IDENTITY, job)  # whatever the activation


cdef inline double output_task(const Online* job) noexcept nogil:
    return of_activation(OUTPUT, job)
