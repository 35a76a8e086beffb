"""The contract between the kernels and all that is above them: one table of functions, filled by each variant.

Pointers to lanes_t are panels, but where a comment says numbers: those are plain arrays in the variant's precision.
The formulas stand where the functions are: products.pxd, direct.pxd, gradients.pxd, passes.pxd, losses.pxd,
updates.pxd, rows.pxd, sparse.pxd, cholesky.pxd.
"""

from libc.stdint cimport int32_t

from cbackprop._typedefs cimport lanes_t

cdef enum Activation:
    IDENTITY
    SIGMOID
    TANH
    RELU
    SOFTSIGN
    EXP
    SOFTMAX

cdef enum Loss:
    SQUARED_ERROR
    LOG_LOSS
    BINARY_LOG_LOSS
    POISSON

cdef enum Rule:
    PLAIN_SGD
    MOMENTUM
    NESTEROV
    ADAM
    ADAM_W
    RMSPROP
    RPROP_MINUS
    RPROP_PLUS
    RPROP_IMINUS
    RPROP_IPLUS

cdef enum:
    # Arrays that a rule remembers, at most.
    MOST_STATES = 3

cdef struct Step:
    # One update of the parameters, whose gradient is scale * (gradients + alpha * parameters).
    double learning_rate
    double scale  # 1 / the number of rows in the batch, or their sum of weights; 1 for sums
    double alpha
    # as far as the rule has them
    double momentum, beta_1, beta_2, epsilon
    double keep  # what is left of the parameters themselves
    bint centered
    double eta_minus, eta_plus, min_step, max_step
    bint rose  # the loss, since the last step

cdef struct Change:
    # A rule, its next step, and what it remembers.
    Rule rule
    Step step
    # each as the private parameters, one behind the other; NULL beyond those that the rule has
    lanes_t* state[MOST_STATES]


ctypedef void (*activate_t)(lanes_t* rows, Py_ssize_t n_rows) noexcept nogil
ctypedef void (*derivative_t)(
    const lanes_t* activations, Py_ssize_t n_rows, lanes_t* deltas) noexcept nogil

ctypedef void (*tangent_t)(
    const lanes_t* activations, const lanes_t* tangents, Py_ssize_t n_rows,
    lanes_t* deltas, lanes_t* tangent_deltas) noexcept nogil

ctypedef double (*loss_t)(
    lanes_t* outputs, const lanes_t* weights,
    Py_ssize_t stride, Py_ssize_t n_out, Py_ssize_t n_rows, double limit, lanes_t* deltas) noexcept nogil

ctypedef void (*update_t)(
    const lanes_t* gradients, Py_ssize_t n_rows, const Step* step,
    lanes_t** state, lanes_t* parameters) noexcept nogil

cdef enum Task:
    # What the kernel for the smallest networks does.
    ROWS  # a step for each row
    ROW  # a step for one that others follow, whose first weights the next job changes
    LAST_STEP  # of the row before
    OUTPUT  # of one row

cdef struct Online:
    # A job for the smallest networks: one hidden layer of up to four panels, one linear output, squared error, plain
    # gradient descent row by row.
    Activation activation
    const lanes_t* X  # (?, n_in) numbers
    const lanes_t* y  # (?,) numbers
    const Py_ssize_t* order  # (n_rows,): which rows; NULL for the first n_rows
    Py_ssize_t n_rows, n_in, n_hidden
    double learning_rate
    lanes_t* weights  # (panels, n_in), updated
    lanes_t* biases  # (panels,), updated
    lanes_t* out_weights  # (panels,), updated, zero beyond n_hidden
    lanes_t* out_bias  # (1,), updated
    # of rows that are jobs of their own, as long as the learning rate stays
    lanes_t* X_before  # (n_in,) numbers: the row before; then this one
    lanes_t* deltas  # (panels,): its, of the hidden layer; updated, zero where there is no step to take

ctypedef double (*online_t)(const Online* job) noexcept nogil  # one for each task

cdef struct SparseRows:
    # Rows of which only some numbers are given, in ascending columns; the others are zeros.
    const Py_ssize_t* begins  # (?,): where each row's numbers begin in indices and data
    const Py_ssize_t* ends  # (?,)
    const int32_t* indices  # their columns
    const lanes_t* data  # numbers


cdef struct Kernels:
    Py_ssize_t lanes  # numbers in a row of a panel
    Py_ssize_t tile_panels  # panels that a product takes at a time
    Py_ssize_t scratch_rows  # rows of lanes that deltas_below asks for, at most; two for each output are enough

    # NULL where there is nothing to do (identity) or no pass by panels (softmax)
    activate_t[7] activate
    derivative_t[7] derivative
    tangent_t[7] tangent
    loss_t[4] loss
    update_t[10] update
    online_t[4] online

    void (*softmax)(lanes_t* rows, Py_ssize_t stride, Py_ssize_t n_out, Py_ssize_t n_rows) noexcept nogil
    void (*softmax_backward)(
        const lanes_t* outputs, Py_ssize_t stride, Py_ssize_t n_out, Py_ssize_t n_rows, lanes_t* deltas) noexcept nogil

    void (*forward)(
        const lanes_t* inputs, Py_ssize_t in_stride, const lanes_t* weights, const lanes_t* biases,
        Py_ssize_t n_in, Py_ssize_t n_out, Py_ssize_t n_rows, activate_t activate,
        lanes_t* out, Py_ssize_t out_stride) noexcept nogil
    void (*deltas_below)(
        const lanes_t* deltas, Py_ssize_t stride, const lanes_t* weights, Py_ssize_t n_in, Py_ssize_t n_out,
        Py_ssize_t first_panel, Py_ssize_t last_panel, Py_ssize_t n_rows, derivative_t derivative,
        const lanes_t* activations, Py_ssize_t act_stride, lanes_t* scratch,
        lanes_t* out, Py_ssize_t out_stride) noexcept nogil
    void (*gradients)(
        const lanes_t* activations, Py_ssize_t act_stride, const lanes_t* deltas, Py_ssize_t stride,
        Py_ssize_t n_in, Py_ssize_t first_panel, Py_ssize_t last_panel, Py_ssize_t n_out, Py_ssize_t n_rows,
        const Step* step, lanes_t* out) noexcept nogil
    void (*bias_gradients)(
        const lanes_t* deltas, Py_ssize_t stride, Py_ssize_t out_panels, Py_ssize_t n_rows,
        const Step* step, lanes_t* out) noexcept nogil
    void (*outer_products)(
        const lanes_t* activations, const lanes_t* deltas, Py_ssize_t stride, Py_ssize_t n_in, Py_ssize_t n_out,
        Py_ssize_t n_rows, lanes_t* out, Py_ssize_t row_size) noexcept nogil
    void (*few_forward)(
        const lanes_t* inputs, Py_ssize_t in_stride, const lanes_t* weights, const lanes_t* biases,
        Py_ssize_t in_panels, Py_ssize_t n_out, Py_ssize_t n_rows, lanes_t* out) noexcept nogil

    void (*direct_forward)(
        const lanes_t* inputs, const lanes_t* weights, const lanes_t* biases,
        Py_ssize_t n_in, Py_ssize_t n_out, bint few, lanes_t* out) noexcept nogil

    bint (*sparse_forward)(
        const SparseRows* inputs, Py_ssize_t n_rows, const lanes_t* weights,
        const lanes_t* biases, Py_ssize_t n_in, Py_ssize_t out_panels,
        lanes_t* out, Py_ssize_t out_stride) noexcept nogil
    bint (*sparse_few_forward)(
        const SparseRows* inputs, Py_ssize_t n_rows, const lanes_t* weights,
        const lanes_t* biases, Py_ssize_t n_in, Py_ssize_t n_out, lanes_t* out) noexcept nogil
    void (*sparse_gradients)(
        const SparseRows* inputs, Py_ssize_t n_rows, const lanes_t* deltas,
        Py_ssize_t first_column, Py_ssize_t last_column, lanes_t* out) noexcept nogil
    void (*sparse_few_gradients)(
        const SparseRows* inputs, Py_ssize_t n_rows, const lanes_t* deltas,
        Py_ssize_t first_column, Py_ssize_t last_column, Py_ssize_t n_out, lanes_t* out) noexcept nogil
    void (*sparse_step)(
        const SparseRows* inputs, Py_ssize_t n_rows,
        Py_ssize_t first_column, Py_ssize_t last_column, Py_ssize_t n_out, bint few,
        const Step* step, lanes_t* gradients, lanes_t* weights) noexcept nogil

    bint (*gather)(
        const lanes_t* source, Py_ssize_t n_columns, const Py_ssize_t* order, Py_ssize_t n_rows,
        lanes_t* out, Py_ssize_t stride) noexcept nogil
    bint (*gather_numbers)(
        const lanes_t* source, const Py_ssize_t* order, Py_ssize_t n_rows, lanes_t* out, double* total) noexcept nogil
    bint (*gather_classes)(
        const Py_ssize_t* classes, const Py_ssize_t* order, Py_ssize_t n_rows, Py_ssize_t n_out,
        lanes_t* out, Py_ssize_t stride) noexcept nogil
    void (*scatter)(
        const lanes_t* source, Py_ssize_t stride, Py_ssize_t n_columns, Py_ssize_t n_rows, lanes_t* out) noexcept nogil
    void (*pack_few)(
        const lanes_t* weights, Py_ssize_t n_in, Py_ssize_t n_out, lanes_t* out) noexcept nogil
    void (*unpack_few)(
        const lanes_t* source, Py_ssize_t n_in, Py_ssize_t n_out, lanes_t* weights) noexcept nogil
    void (*clear_lanes)(lanes_t* rows, Py_ssize_t n_rows, Py_ssize_t n_valid) noexcept nogil

    void (*add_rows)(const lanes_t* rows, Py_ssize_t n_rows, lanes_t* out) noexcept nogil
    void (*combine)(
        double a, const lanes_t* x, double b, const lanes_t* y, Py_ssize_t n_rows, lanes_t* out) noexcept nogil
    double (*dot)(const lanes_t* x, const lanes_t* y, Py_ssize_t n_rows) noexcept nogil
    void (*scale_rows)(const lanes_t* numbers, Py_ssize_t n_rows, lanes_t* rows) noexcept nogil
    double (*largest)(const lanes_t* rows, Py_ssize_t n_rows) noexcept nogil
    bint (*all_finite)(const lanes_t* rows, Py_ssize_t n_rows) noexcept nogil

    bint (*cholesky_rows)(
        Py_ssize_t first, Py_ssize_t n_rows, Py_ssize_t n_panels, Py_ssize_t stride, lanes_t* square) noexcept nogil
    void (*solve_upper)(const lanes_t* square, Py_ssize_t stride, Py_ssize_t n, lanes_t* out) noexcept nogil

    activate_t log  # beside the activations' passes, for tests
    activate_t log1p
    double (*fma_peak)(Py_ssize_t n_rounds) noexcept nogil
