"""The engine for other Cython code: `cimport cbackprop`, then `cbackprop.predict(...)`.

Plain functions on an opaque pointer, with pointers and sizes. What each does stands in include/cbackprop.h, where the
same functions are entries of a table.
"""

cdef extern from *:
    """
    typedef struct cbackprop_network cbackprop_network;
    """
    ctypedef struct cbackprop_network:
        pass

cdef enum:
    CBACKPROP_OK = 0
    CBACKPROP_NULL_POINTER = 1
    CBACKPROP_BAD_SIZE = 2
    CBACKPROP_BAD_NAME = 3
    CBACKPROP_BAD_NUMBER = 4
    CBACKPROP_BAD_OBJECT = 5
    CBACKPROP_BUSY = 6
    CBACKPROP_NO_MEMORY = 7
    CBACKPROP_BAD_X = 8
    CBACKPROP_BAD_Y = 9
    CBACKPROP_BAD_SAMPLE_WEIGHT = 10
    CBACKPROP_BAD_PARAMETERS = 11
    CBACKPROP_BAD_ORDER = 12
    CBACKPROP_DIVERGED = 13
    CBACKPROP_PYTHON_ERROR = 14

cdef enum:
    CBACKPROP_IDENTITY = 0
    CBACKPROP_SIGMOID = 1
    CBACKPROP_TANH = 2
    CBACKPROP_RELU = 3
    CBACKPROP_SOFTSIGN = 4
    CBACKPROP_EXP = 5
    CBACKPROP_SOFTMAX = 6

cdef enum:
    CBACKPROP_SQUARED_ERROR = 0
    CBACKPROP_LOG_LOSS = 1
    CBACKPROP_BINARY_LOG_LOSS = 2
    CBACKPROP_POISSON = 3

cdef enum:
    CBACKPROP_FLOAT32 = 4
    CBACKPROP_FLOAT64 = 8

cdef const char* message(int code) noexcept nogil

# these two take the GIL, if the thread has it not
cdef int create(
    const Py_ssize_t* layer_sizes, Py_ssize_t n_layers, const int* activations, int loss, int precision,
    double learning_rate, unsigned int seed, Py_ssize_t max_rows, cbackprop_network** network) noexcept with gil
cdef int release(cbackprop_network* network) noexcept with gil

# this one needs it
cdef int lend(object network, object optimizer, Py_ssize_t max_rows, cbackprop_network** handle) noexcept

# and these have nothing to do with it
cdef int describe(
    const cbackprop_network* network, Py_ssize_t* n_features, Py_ssize_t* n_outputs, Py_ssize_t* n_parameters,
    int* precision) noexcept nogil
cdef int get_parameters(cbackprop_network* network, void* out) noexcept nogil
cdef int set_parameters(cbackprop_network* network, const void* values) noexcept nogil
cdef int set_learning_rate(cbackprop_network* network, double learning_rate) noexcept nogil
cdef int predict(cbackprop_network* network, const void* X, Py_ssize_t n_rows, void* out) noexcept nogil
cdef int step(
    cbackprop_network* network, const void* X, const void* y, const void* sample_weight, Py_ssize_t n_rows,
    double* loss) noexcept nogil
cdef int train(
    cbackprop_network* network, const void* X, const void* y, const void* sample_weight, Py_ssize_t n_rows,
    const Py_ssize_t* order, Py_ssize_t batch_size, double* loss) noexcept nogil
cdef int loss_and_gradient(
    cbackprop_network* network, const void* X, const void* y, const void* sample_weight, Py_ssize_t n_rows,
    double* loss, void* gradient) noexcept nogil
