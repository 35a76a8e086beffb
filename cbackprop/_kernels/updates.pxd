"""Update rules over rows of lanes: parameters, gradients and the rule's state lie in the same layout."""

from cbackprop._kernels.simd cimport (
    LANES, VECTOR_LANES, VECTORS, real_t, vec, vfma, vfold, vload, vset, vsqrt, vstore,
)
from cbackprop._kernels.table cimport Step
from cbackprop._typedefs cimport lanes_t


cdef inline vec mean_gradient(
    const real_t* gradients, const real_t* parameters, const Step* step
) noexcept nogil:
    """scale * (gradients + alpha * parameters)"""
    return vfma(vset(<real_t>step.alpha), vload(parameters), vload(gradients)) * vset(<real_t>step.scale)


cdef inline void sgd(
    const lanes_t* gradients, Py_ssize_t n_rows, const Step* step,
    lanes_t* first, lanes_t* second,  # not used
    lanes_t* parameters,  # (n_rows,), updated
) noexcept nogil:
    """parameters -= (learning_rate * scale) * (gradients + alpha * parameters): what the gradient tile does, too"""
    cdef real_t* w = <real_t*>parameters
    cdef vec minus_step = vset(<real_t>(-step.learning_rate * step.scale)), alpha = vset(<real_t>step.alpha)
    cdef Py_ssize_t i
    for i in range(0, n_rows * VECTORS):
        vstore(w, vfma(
            minus_step, vfma(alpha, vload(w), vload(<const real_t*>gradients + i * VECTOR_LANES)), vload(w)))
        w += VECTOR_LANES


cdef inline void momentum(
    const lanes_t* gradients, Py_ssize_t n_rows, const Step* step,
    lanes_t* first,  # (n_rows,): the velocity, updated
    lanes_t* second,  # not used
    lanes_t* parameters,  # (n_rows,), updated
) noexcept nogil:
    """v := momentum * v - learning_rate * gradient; parameters += v"""
    cdef real_t* w = <real_t*>parameters
    cdef real_t* velocity = <real_t*>first
    cdef vec minus_rate = vset(<real_t>-step.learning_rate), keep = vset(<real_t>step.momentum), v
    cdef Py_ssize_t i
    for i in range(0, n_rows * VECTORS):
        v = minus_rate * mean_gradient(<const real_t*>gradients + i * VECTOR_LANES, w, step)
        v = vfma(keep, vload(velocity), v)
        vstore(velocity, v)
        vstore(w, vload(w) + v)
        w += VECTOR_LANES
        velocity += VECTOR_LANES


cdef inline void nesterov(
    const lanes_t* gradients, Py_ssize_t n_rows, const Step* step,
    lanes_t* first,  # (n_rows,): the velocity, updated
    lanes_t* second,  # not used
    lanes_t* parameters,  # (n_rows,), updated
) noexcept nogil:
    """v := momentum * v - learning_rate * gradient; parameters += momentum * v - learning_rate * gradient"""
    cdef real_t* w = <real_t*>parameters
    cdef real_t* velocity = <real_t*>first
    cdef vec minus_rate = vset(<real_t>-step.learning_rate), keep = vset(<real_t>step.momentum), v, downhill
    cdef Py_ssize_t i
    for i in range(0, n_rows * VECTORS):
        downhill = minus_rate * mean_gradient(<const real_t*>gradients + i * VECTOR_LANES, w, step)
        v = vfma(keep, vload(velocity), downhill)
        vstore(velocity, v)
        vstore(w, vload(w) + vfma(keep, v, downhill))
        w += VECTOR_LANES
        velocity += VECTOR_LANES


cdef inline void adam(
    const lanes_t* gradients, Py_ssize_t n_rows, const Step* step,
    lanes_t* first,  # (n_rows,): the mean of the gradients, updated
    lanes_t* second,  # (n_rows,): the mean of their squares, updated
    lanes_t* parameters,  # (n_rows,), updated
) noexcept nogil:
    """m := beta_1 m + (1 - beta_1) g; v := beta_2 v + (1 - beta_2) g²;
    parameters -= learning_rate m / (sqrt(v) + epsilon)

    The bias corrections of both means are in the learning rate: Kingma & Ba 2015, the end of section 2.
    """
    cdef real_t* w = <real_t*>parameters
    cdef real_t* means = <real_t*>first
    cdef real_t* squares = <real_t*>second
    cdef vec minus_rate = vset(<real_t>-step.learning_rate), epsilon = vset(<real_t>step.epsilon)
    cdef vec keep_1 = vset(<real_t>step.beta_1), take_1 = vset(<real_t>(1 - step.beta_1))
    cdef vec keep_2 = vset(<real_t>step.beta_2), take_2 = vset(<real_t>(1 - step.beta_2))
    cdef vec g, m, s
    cdef Py_ssize_t i
    for i in range(0, n_rows * VECTORS):
        g = mean_gradient(<const real_t*>gradients + i * VECTOR_LANES, w, step)
        m = vfma(keep_1, vload(means), take_1 * g)
        s = vfma(keep_2, vload(squares), take_2 * (g * g))
        vstore(means, m)
        vstore(squares, s)
        vstore(w, vfma(minus_rate, m / (vsqrt(s) + epsilon), vload(w)))
        w += VECTOR_LANES
        means += VECTOR_LANES
        squares += VECTOR_LANES


cdef inline void add_rows(const lanes_t* rows, Py_ssize_t n_rows, lanes_t* out) noexcept nogil:
    """out += rows"""
    cdef Py_ssize_t i
    for i in range(n_rows * VECTORS):
        vstore(<real_t*>out + i * VECTOR_LANES,
               vload(<const real_t*>out + i * VECTOR_LANES) + vload(<const real_t*>rows + i * VECTOR_LANES))


cdef inline double sum_of_squares(const lanes_t* rows, Py_ssize_t n_rows) noexcept nogil:
    """sum(rows ** 2), in eight interleaved chains of virtual lanes and their fixed tree"""
    cdef vec[128] chains  # 8 * VECTORS at most
    cdef Py_ssize_t i, v, r = 0
    cdef const real_t* x = <const real_t*>rows
    cdef vec number
    for i in range(8 * VECTORS):
        chains[i] = vset(0)
    while r + 8 <= n_rows:
        for i in range(8 * VECTORS):
            number = vload(x + r * LANES + i * VECTOR_LANES)
            chains[i] = vfma(number, number, chains[i])
        r += 8
    for i in range((n_rows - r) * VECTORS):
        number = vload(x + r * LANES + i * VECTOR_LANES)
        chains[i] = vfma(number, number, chains[i])
    for v in range(VECTORS):
        chains[v] = (((chains[v] + chains[4 * VECTORS + v]) + (chains[2 * VECTORS + v] + chains[6 * VECTORS + v]))
                     + ((chains[VECTORS + v] + chains[5 * VECTORS + v])
                        + (chains[3 * VECTORS + v] + chains[7 * VECTORS + v])))
    return vfold(chains)


cdef inline bint all_finite(const lanes_t* rows, Py_ssize_t n_rows) noexcept nogil:
    """Whether no number in rows is infinite or NaN"""
    cdef vec[16] check  # 0 * x is 0, but NaN where x is not finite
    cdef const real_t* x = <const real_t*>rows
    cdef Py_ssize_t _r, v
    for v in range(VECTORS):
        check[v] = vset(0)
    for _r in range(n_rows):
        for v in range(VECTORS):
            check[v] = vfma(vset(0), vload(x + v * VECTOR_LANES), check[v])
        x += LANES
    return vfold(check) == 0
