"""Update rules over rows of lanes: parameters, gradients and what the rule remembers lie in the same layout."""

from cbackprop._kernels.simd cimport (
    LANES, VECTOR_LANES, VECTORS, real_t, vabs, vec, vfma, vfold, vfold_max, vload, vmax, vmin, vselect_less, vset,
    vsqrt, vstore,
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
    lanes_t** state,  # not used
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
    lanes_t** state,  # (n_rows,): the velocity, updated
    lanes_t* parameters,  # (n_rows,), updated
) noexcept nogil:
    """v := momentum * v - learning_rate * gradient; parameters += v"""
    cdef real_t* w = <real_t*>parameters
    cdef real_t* velocity = <real_t*>state[0]
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
    lanes_t** state,  # (n_rows,): the velocity, updated
    lanes_t* parameters,  # (n_rows,), updated
) noexcept nogil:
    """v := momentum * v - learning_rate * gradient; parameters += momentum * v - learning_rate * gradient"""
    cdef real_t* w = <real_t*>parameters
    cdef real_t* velocity = <real_t*>state[0]
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
    lanes_t** state,  # (n_rows,) each: the mean of the gradients, and of their squares, updated
    lanes_t* parameters,  # (n_rows,), updated
) noexcept nogil:
    """m := beta_1 m + (1 - beta_1) g; v := beta_2 v + (1 - beta_2) g²;
    parameters := keep parameters - learning_rate m / (sqrt(v) + epsilon)

    The bias corrections of both means are in the learning rate: Kingma & Ba 2015, the end of section 2.
    """
    cdef real_t* w = <real_t*>parameters
    cdef real_t* means = <real_t*>state[0]
    cdef real_t* squares = <real_t*>state[1]
    cdef vec minus_rate = vset(<real_t>-step.learning_rate), epsilon = vset(<real_t>step.epsilon)
    cdef vec keep_1 = vset(<real_t>step.beta_1), take_1 = vset(<real_t>(1 - step.beta_1))
    cdef vec keep_2 = vset(<real_t>step.beta_2), take_2 = vset(<real_t>(1 - step.beta_2))
    cdef vec keep = vset(<real_t>step.keep), g, m, s
    cdef Py_ssize_t i
    for i in range(0, n_rows * VECTORS):
        g = mean_gradient(<const real_t*>gradients + i * VECTOR_LANES, w, step)
        m = vfma(keep_1, vload(means), take_1 * g)
        s = vfma(keep_2, vload(squares), take_2 * (g * g))
        vstore(means, m)
        vstore(squares, s)
        vstore(w, vfma(minus_rate, m / (vsqrt(s) + epsilon), keep * vload(w)))
        w += VECTOR_LANES
        means += VECTOR_LANES
        squares += VECTOR_LANES


cdef inline void rmsprop_rows(
    bint centered, bint heavy,  # constants
    const lanes_t* gradients, Py_ssize_t n_rows, const Step* step, lanes_t** state, lanes_t* parameters
) noexcept nogil:
    cdef real_t* w = <real_t*>parameters
    cdef real_t* squares = <real_t*>state[0]
    cdef real_t* means = <real_t*>state[1]
    cdef real_t* velocity = <real_t*>state[1 + centered]
    cdef vec minus_rate = vset(<real_t>-step.learning_rate), epsilon = vset(<real_t>step.epsilon)
    cdef vec keep = vset(<real_t>step.beta_2), take = vset(<real_t>(1 - step.beta_2))
    cdef vec momentum = vset(<real_t>step.momentum), zero = vset(0), g, s, m
    cdef Py_ssize_t i
    for i in range(0, n_rows * VECTORS):
        g = mean_gradient(<const real_t*>gradients + i * VECTOR_LANES, w, step)
        s = vfma(keep, vload(squares), take * (g * g))
        vstore(squares, s)
        if centered:
            m = vfma(keep, vload(means), take * g)
            vstore(means, m)
            # a variance, but for rounding
            s = vmax(zero, s - m * m)
            means += VECTOR_LANES
        g = g / (vsqrt(s) + epsilon)
        if heavy:
            g = vfma(momentum, vload(velocity), g)
            vstore(velocity, g)
            velocity += VECTOR_LANES
        vstore(w, vfma(minus_rate, g, vload(w)))
        w += VECTOR_LANES
        squares += VECTOR_LANES


cdef inline void rmsprop(
    const lanes_t* gradients, Py_ssize_t n_rows, const Step* step,
    lanes_t** state,  # (n_rows,) each: the means of g² and, if centered, of g; v, if there is momentum; updated
    lanes_t* parameters,  # (n_rows,), updated
) noexcept nogil:
    """s := beta_2 s + (1 - beta_2) g²; m := beta_2 m + (1 - beta_2) g;
    v := momentum v + g / (sqrt(s - m²) + epsilon); parameters -= learning_rate v, with m = 0 if not centered
    """
    if step.centered:
        if step.momentum != 0:
            rmsprop_rows(True, True, gradients, n_rows, step, state, parameters)
        else:
            rmsprop_rows(True, False, gradients, n_rows, step, state, parameters)
    elif step.momentum != 0:
        rmsprop_rows(False, True, gradients, n_rows, step, state, parameters)
    else:
        rmsprop_rows(False, False, gradients, n_rows, step, state, parameters)


cdef inline vec sign(vec v) noexcept nogil:
    """-1, 0 or 1; 0 of a NaN"""
    return vselect_less(vset(0), v, vset(1), vselect_less(v, vset(0), vset(-1), vset(0)))


cdef inline void rprop_rows(
    bint forget, bint back,  # constants
    const lanes_t* gradients, Py_ssize_t n_rows, const Step* step, lanes_t** state, lanes_t* parameters
) noexcept nogil:
    """forget: a gradient of another sign takes no step, and counts as 0 in the next; back: the last step is undone"""
    cdef real_t* w = <real_t*>parameters
    cdef real_t* sizes = <real_t*>state[0]
    cdef real_t* before = <real_t*>state[1]
    cdef vec shrink = vset(<real_t>step.eta_minus), grow = vset(<real_t>step.eta_plus)
    cdef vec least = vset(<real_t>step.min_step), most = vset(<real_t>step.max_step)
    cdef vec zero = vset(0), one = vset(1), g, size, new_size, sign_before, agreement
    cdef Py_ssize_t i
    for i in range(0, n_rows * VECTORS):
        g = mean_gradient(<const real_t*>gradients + i * VECTOR_LANES, w, step)
        size = vload(sizes)
        sign_before = sign(vload(before))
        # of the signs, for a product of small gradients is 0
        agreement = sign(g) * sign_before
        new_size = size * vselect_less(zero, agreement, grow, vselect_less(agreement, zero, shrink, one))
        new_size = vmin(most, vmax(least, new_size))
        if forget:
            g = vselect_less(agreement, zero, zero, g)
        vstore(sizes, new_size)
        vstore(before, g)
        if back:
            # the last step was that long, against that sign
            vstore(w, vload(w) + vselect_less(agreement, zero, size * sign_before, zero - new_size * sign(g)))
        else:
            vstore(w, vload(w) - new_size * sign(g))
        w += VECTOR_LANES
        sizes += VECTOR_LANES
        before += VECTOR_LANES


cdef inline void rprop_minus(
    const lanes_t* gradients, Py_ssize_t n_rows, const Step* step,
    lanes_t** state,  # (n_rows,) each: the sizes of the steps, and the gradient of the last one, updated
    lanes_t* parameters,  # (n_rows,), updated
) noexcept nogil:
    """Each size grows by eta_plus while its gradient keeps its sign, else shrinks by eta_minus, between min_step and
    max_step; parameters -= sign(gradient) size: Igel & Hüsken 2000
    """
    rprop_rows(False, False, gradients, n_rows, step, state, parameters)


cdef inline void rprop_plus(
    const lanes_t* gradients, Py_ssize_t n_rows, const Step* step,
    lanes_t** state,  # as in rprop_minus
    lanes_t* parameters,  # (n_rows,), updated
) noexcept nogil:
    """rprop_minus, but that where the sign changes the last step is undone: Riedmiller & Braun 1993"""
    rprop_rows(True, True, gradients, n_rows, step, state, parameters)


cdef inline void rprop_iminus(
    const lanes_t* gradients, Py_ssize_t n_rows, const Step* step,
    lanes_t** state,  # as in rprop_minus
    lanes_t* parameters,  # (n_rows,), updated
) noexcept nogil:
    """rprop_minus, but that where the sign changes no step is taken: Igel & Hüsken 2000"""
    rprop_rows(True, False, gradients, n_rows, step, state, parameters)


cdef inline void rprop_iplus(
    const lanes_t* gradients, Py_ssize_t n_rows, const Step* step,
    lanes_t** state,  # as in rprop_minus
    lanes_t* parameters,  # (n_rows,), updated
) noexcept nogil:
    """rprop_plus where the loss has risen, else rprop_iminus: Igel & Hüsken 2000"""
    if step.rose:
        rprop_plus(gradients, n_rows, step, state, parameters)
    else:
        rprop_iminus(gradients, n_rows, step, state, parameters)


cdef inline void add_rows(const lanes_t* rows, Py_ssize_t n_rows, lanes_t* out) noexcept nogil:
    """out += rows"""
    cdef Py_ssize_t i
    for i in range(n_rows * VECTORS):
        vstore(<real_t*>out + i * VECTOR_LANES,
               vload(<const real_t*>out + i * VECTOR_LANES) + vload(<const real_t*>rows + i * VECTOR_LANES))


cdef inline void combine(
    double a, const lanes_t* x, double b, const lanes_t* y, Py_ssize_t n_rows,
    lanes_t* out,  # (n_rows,), overwritten; x or y themselves, if wanted
) noexcept nogil:
    """out := a x + b y"""
    cdef vec of_x = vset(<real_t>a), of_y = vset(<real_t>b)
    cdef Py_ssize_t i
    for i in range(n_rows * VECTORS):
        vstore(<real_t*>out + i * VECTOR_LANES,
               vfma(of_x, vload(<const real_t*>x + i * VECTOR_LANES),
                    of_y * vload(<const real_t*>y + i * VECTOR_LANES)))


cdef inline double dot(const lanes_t* x, const lanes_t* y, Py_ssize_t n_rows) noexcept nogil:
    """sum(x * y), in eight interleaved chains of virtual lanes and their fixed tree"""
    cdef vec[128] chains  # 8 * VECTORS at most
    cdef Py_ssize_t i, v, at, r = 0
    for i in range(8 * VECTORS):
        chains[i] = vset(0)
    while r + 8 <= n_rows:
        for i in range(8 * VECTORS):
            at = r * LANES + i * VECTOR_LANES
            chains[i] = vfma(vload(<const real_t*>x + at), vload(<const real_t*>y + at), chains[i])
        r += 8
    for i in range((n_rows - r) * VECTORS):
        at = r * LANES + i * VECTOR_LANES
        chains[i] = vfma(vload(<const real_t*>x + at), vload(<const real_t*>y + at), chains[i])
    for v in range(VECTORS):
        chains[v] = (((chains[v] + chains[4 * VECTORS + v]) + (chains[2 * VECTORS + v] + chains[6 * VECTORS + v]))
                     + ((chains[VECTORS + v] + chains[5 * VECTORS + v])
                        + (chains[3 * VECTORS + v] + chains[7 * VECTORS + v])))
    return vfold(chains)


cdef inline double largest(const lanes_t* rows, Py_ssize_t n_rows) noexcept nogil:
    """The largest of |rows|, 0 if there are none"""
    cdef vec[16] most
    cdef Py_ssize_t r, v
    for v in range(VECTORS):
        most[v] = vset(0)
    for r in range(n_rows):
        for v in range(VECTORS):
            most[v] = vmax(vabs(vload(<const real_t*>rows + r * LANES + v * VECTOR_LANES)), most[v])
    return vfold_max(most)


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
