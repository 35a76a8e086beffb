"""The engine for C, C++ and other Cython code: functions on an opaque pointer, pointers and sizes, codes for errors.

`capi.pxd` declares them for Cython, `include/cbackprop.h` for C as the entries of a table, which is the attribute
`table` here. What is lent or created is a `Handle`: a network and its optimizer, whose guards it holds, with the
parameters in panels and all memory that a step needs.
"""

cimport cython

from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_New
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.math cimport isfinite
from libc.stdint cimport uint64_t
from libc.string cimport memcpy

from cbackprop._float_mode cimport flush_denormals, set_float_mode
from cbackprop._kernels.table cimport LAST_STEP, OUTPUT, ROW, Online
from cbackprop._guard cimport Guard, enter_stranger, leave_writer
from cbackprop._memory cimport Block, Pointer
from cbackprop._threads cimport enter_callers, leave_callers
from cbackprop._typedefs cimport lanes_t
from cbackprop.backprop cimport (
    BAD_SAMPLE_WEIGHT, BAD_X, BAD_Y, BLOCK_ROWS, NO_FAULT, Fault, Plan, Rows, Workspace, n_sums,
)
from cbackprop.optimizers cimport Optimizer, Update, pack_state
from cbackprop.team cimport Team
from cbackprop.training cimport Training

from cbackprop.losses import OUTPUTS
from cbackprop.network import Network, parts_of
from cbackprop.optimizers import SGD

cdef extern from "cbackprop.h":
    const int CBACKPROP_ABI_VERSION
    ctypedef struct cbackprop_table:
        size_t size
        int abi_version
        const char* (*message)(int code) noexcept nogil
        int (*create)(
            const Py_ssize_t* layer_sizes, Py_ssize_t n_layers, const int* activations, int loss, int precision,
            double learning_rate, unsigned int seed, Py_ssize_t max_rows, cbackprop_network** network) noexcept
        int (*lend)(object network, object optimizer, Py_ssize_t max_rows, cbackprop_network** handle) noexcept
        int (*release)(cbackprop_network* network) noexcept
        int (*describe)(
            const cbackprop_network* network, Py_ssize_t* n_features, Py_ssize_t* n_outputs, Py_ssize_t* n_parameters,
            int* precision) noexcept nogil
        int (*get_parameters)(cbackprop_network* network, void* out) noexcept nogil
        int (*set_parameters)(cbackprop_network* network, const void* values) noexcept nogil
        int (*set_learning_rate)(cbackprop_network* network, double learning_rate) noexcept nogil
        int (*predict)(cbackprop_network* network, const void* X, Py_ssize_t n_rows, void* out) noexcept nogil
        int (*step)(
            cbackprop_network* network, const void* X, const void* y, const void* sample_weight, Py_ssize_t n_rows,
            double* loss) noexcept nogil
        int (*train)(
            cbackprop_network* network, const void* X, const void* y, const void* sample_weight, Py_ssize_t n_rows,
            const Py_ssize_t* order, Py_ssize_t batch_size, double* loss) noexcept nogil
        int (*loss_and_gradient)(
            cbackprop_network* network, const void* X, const void* y, const void* sample_weight, Py_ssize_t n_rows,
            double* loss, void* gradient) noexcept nogil

# by their codes
cdef tuple ACTIVATIONS = ("identity", "sigmoid", "tanh", "relu", "softsign", "exp", "softmax")
cdef tuple LOSSES = ("squared_error", "log_loss", "binary_log_loss", "poisson")
cdef dict PRECISIONS = {CBACKPROP_FLOAT32: "float32", CBACKPROP_FLOAT64: "float64"}


cdef const char* message(int code) noexcept nogil:
    if code == CBACKPROP_OK:
        return "it worked"
    if code == CBACKPROP_NULL_POINTER:
        return "a pointer is NULL that must not be"
    if code == CBACKPROP_BAD_SIZE:
        return "a size is below 1, or above what the network was made for"
    if code == CBACKPROP_BAD_NAME:
        return "an activation, a loss or a precision is unknown, or the loss does not go with the output activation"
    if code == CBACKPROP_BAD_NUMBER:
        return "the learning rate is not a finite number above 0"
    if code == CBACKPROP_BAD_OBJECT:
        return "the object is not a Network, or the optimizer not one that can train it step by step"
    if code == CBACKPROP_BUSY:
        return "the network or the optimizer is being used elsewhere"
    if code == CBACKPROP_NO_MEMORY:
        return "there is not enough memory"
    if code == CBACKPROP_BAD_X:
        return "X has a number that is not finite"
    if code == CBACKPROP_BAD_Y:
        return "y has a number that is not finite"
    if code == CBACKPROP_BAD_SAMPLE_WEIGHT:
        return "sample_weight has a number that is not finite, or adds up to 0 where its mean is wanted"
    if code == CBACKPROP_BAD_PARAMETERS:
        return "a parameter is not finite"
    if code == CBACKPROP_BAD_ORDER:
        return "order names a row that is not there"
    if code == CBACKPROP_DIVERGED:
        return "training diverged: the loss or a parameter is not finite"
    if code == CBACKPROP_PYTHON_ERROR:
        return "Python raised an exception"
    return "no code of cbackprop's"


@cython.final
cdef class Handle:
    """A network that C computes with, and its optimizer; nobody else may come in until `finish`."""

    cdef object network
    cdef Guard* guard  # the network's
    cdef Optimizer optimizer
    cdef Plan plan
    cdef Training training
    cdef Workspace workspace
    cdef Block parameters
    cdef Block states
    cdef Block kept  # room for the same, while many steps are taken
    cdef list arrays  # the optimizer's state
    cdef list pointers  # to the network's parameters and that state
    cdef Py_ssize_t n_features, n_outputs, n_parameters, max_rows
    # a step of one row without a weight, and the outputs of one, go by the kernel for the smallest networks
    cdef bint online, smallest
    cdef Online job, question
    cdef Block rows  # for its jobs: a row of X, and its deltas
    cdef bint waiting  # the first weights wait for that row's step

    def __cinit__(self, network, Plan plan, parameters, Optimizer optimizer, Py_ssize_t max_rows):
        cdef Py_ssize_t k
        cdef Training training = Training()
        self.network, self.plan, self.optimizer, self.training = network, plan, optimizer, training
        self.max_rows = max_rows
        self.n_features = plan.layers[0].n_in
        self.n_outputs = plan.layers[plan.n_layers - 1].n_out
        self.n_parameters = parameters.size
        self.arrays = optimizer._begin(plan, parameters, &training.update)
        self.pointers = [Pointer(array, True) for array in (parameters, *self.arrays)]
        self.parameters = Block(plan.parameter_rows)
        self.states = Block(plan.parameter_rows * training.update.n_states)
        self.kept = Block(plan.parameter_rows * (1 + training.update.n_states))
        self.workspace = Workspace(plan, max_rows, n_sums=n_sums(max_rows))
        for k in range(training.update.n_states):
            training.update.public_state[k] = (<Pointer>self.pointers[k + 1]).at
            training.update.change.state[k] = self.states.rows + k * plan.parameter_rows
        training.update.learning_rate = optimizer._learning_rate
        training.plan, training.workspace = plan, self.workspace
        training.team = Team(plan, self.workspace, 1)
        training.parameters = self.parameters.rows
        training.public_parameters = (<Pointer>self.pointers[0]).at
        training.mean = True
        training.loss_scale = 1
        training.batch_size = training.n_samples = 1
        self.online, self.smallest = training.is_online(), training.is_smallest()
        self.rows = Block(plan.layers[0].in_panels + plan.layers[0].out_panels)
        if self.smallest:
            training.describe_job()
            training.job.learning_rate = training.update.learning_rate
            self.job = self.question = training.job
            self.job.X_before, self.job.deltas = self.rows.rows, self.rows.rows + plan.layers[0].in_panels
        plan.pack(training.public_parameters, self.parameters.rows, &self.workspace.watch)
        pack_state(&training.update, plan, &self.workspace.watch)

    cdef int finish(self):
        """Leaves the parameters and the optimizer's state to their owners, if they are finite"""
        cdef Update* update = &self.training.update
        self.settle()
        if not (
            self.plan.kernels.all_finite(self.parameters.rows, self.plan.parameter_rows)
            and self.plan.kernels.all_finite(self.states.rows, self.plan.parameter_rows * update.n_states)
        ):
            return CBACKPROP_DIVERGED
        self.training.kept = NULL
        self.training.finish_epoch()
        self.optimizer._take_back(update)
        self.optimizer._state = self.arrays
        return CBACKPROP_OK

    cdef int outcome(self, double loss) noexcept nogil:
        """The code for what has been computed; forgets what stopped it"""
        cdef Fault fault = self.workspace.fault
        self.workspace.fault = NO_FAULT
        if fault == BAD_X:
            return CBACKPROP_BAD_X
        if fault == BAD_Y:
            return CBACKPROP_BAD_Y
        if fault == BAD_SAMPLE_WEIGHT:
            return CBACKPROP_BAD_SAMPLE_WEIGHT
        return CBACKPROP_OK if isfinite(loss) else CBACKPROP_DIVERGED

    cdef int predict(self, const Rows* data, Py_ssize_t n_rows, char* out) noexcept nogil:
        cdef Py_ssize_t first = 0, rows, n_layers = self.plan.n_layers
        cdef Rows block
        self.settle()
        while first < n_rows:
            rows = min(self.max_rows, <Py_ssize_t>BLOCK_ROWS, n_rows - first)
            block = self.workspace.rows_from(data, first)
            if self.workspace.forward(self.parameters.rows, &block, NULL, rows, True):
                return self.outcome(0)
            self.plan.kernels.scatter(
                self.workspace.activations[n_layers], self.workspace.stride, self.n_outputs, rows,
                <lanes_t*>(out + first * self.n_outputs * self.plan.itemsize))
            first += rows
        return CBACKPROP_OK

    cdef bint answer(self, const void* X, char* out) noexcept nogil:
        """`predict` for one row by the kernel for the smallest networks; false where it is not a number"""
        cdef double output
        self.settle()
        self.question.X = <const lanes_t*>X
        output = self.plan.kernels.online[<int>OUTPUT](&self.question)
        if output != output:
            return False
        if self.plan.itemsize == sizeof(float):
            (<float*>out)[0] = <float>output
        else:
            (<double*>out)[0] = output
        return True

    cdef int step(self, const Rows* data, Py_ssize_t n_rows, double* loss) noexcept nogil:
        self.settle()
        self.training.fused = self.training.update.n_states == 0 and n_rows <= BLOCK_ROWS
        loss[0] = self.training.step(data, NULL, n_rows)
        return self.outcome(loss[0])

    cdef int online_step(self, const void* X, const void* y, double* loss) noexcept nogil:
        """`step` for one row by the kernel for the smallest networks; `settle` ends it"""
        cdef uint64_t mode = flush_denormals()
        cdef double found
        self.job.X, self.job.y = <const lanes_t*>X, <const lanes_t*>y
        found = self.plan.kernels.online[<int>ROW](&self.job)
        set_float_mode(mode)
        if loss != NULL:
            loss[0] = found
        if not isfinite(found):
            return self.cause(self.job.X, self.job.y, 1)
        self.waiting = True
        self.training.update.n_steps += 1
        return CBACKPROP_OK

    cdef int cause(self, const void* X, const void* y, Py_ssize_t n_rows) noexcept nogil:
        """The code for a loss that is not finite, where the kernel has not looked at the data"""
        if not self.all_finite(X, n_rows * self.n_features):
            return CBACKPROP_BAD_X
        return CBACKPROP_DIVERGED if self.all_finite(y, n_rows * self.n_outputs) else CBACKPROP_BAD_Y

    cdef void settle(self) noexcept nogil:
        """The first weights take the last row's step, if they wait for it"""
        if self.waiting:
            self.plan.kernels.online[<int>LAST_STEP](&self.job)
            self.waiting = False

    cdef int train(
        self, const Rows* data, Py_ssize_t n_rows, const Py_ssize_t* order, Py_ssize_t batch_size, double* loss
    ) noexcept nogil:
        cdef Update before = self.training.update
        cdef size_t size = self.plan.parameter_rows * sizeof(lanes_t)
        cdef int code
        self.settle()
        memcpy(self.kept.rows, self.parameters.rows, size)
        memcpy(self.kept.rows + self.plan.parameter_rows, self.states.rows, before.n_states * size)
        self.training.data = data[0]
        self.training.n_samples = n_rows
        self.training.batch_size = batch_size
        self.training.order = <Py_ssize_t*>order  # which is not changed, for there is nothing to shuffle it by
        self.training.fused = before.n_states == 0 and batch_size <= BLOCK_ROWS
        self.training.online = self.training.is_online()
        loss[0] = self.training.epoch()
        code = self.outcome(loss[0])
        if not self.plan.kernels.all_finite(self.parameters.rows, self.plan.parameter_rows):
            code = CBACKPROP_DIVERGED
        if code == CBACKPROP_DIVERGED:
            code = self.cause(data.X, data.y, n_rows)
        if code != CBACKPROP_OK:
            memcpy(self.parameters.rows, self.kept.rows, size)
            memcpy(self.states.rows, self.kept.rows + self.plan.parameter_rows, before.n_states * size)
            self.training.update = before
        return code

    cdef int loss_and_gradient(self, const Rows* data, Py_ssize_t n_rows, double* loss, void* gradient) noexcept nogil:
        """The gradient's sum, and in the end its mean: that is divided with denormal numbers, as in `Network`"""
        cdef double total, weight
        cdef uint64_t mode = flush_denormals()
        cdef int code
        self.settle()
        if gradient == NULL:
            self.training.team.sum_losses(self.parameters.rows, data, n_rows, &total, &weight)
        else:
            self.training.team.sum_gradients(self.parameters.rows, data, NULL, n_rows, &total, &weight)
        set_float_mode(mode)
        code = self.outcome(0)
        if code == CBACKPROP_OK and weight == 0:
            code = CBACKPROP_BAD_SAMPLE_WEIGHT
        if code != CBACKPROP_OK:
            return code
        loss[0] = total / weight
        if gradient != NULL:
            self.plan.unpack(self.workspace.sums[0], <char*>gradient, &self.workspace.watch)
            if self.plan.itemsize == sizeof(float):
                divide(<float*>gradient, self.n_parameters, <float>weight)
            else:
                divide(<double*>gradient, self.n_parameters, weight)
        return CBACKPROP_OK

    cdef bint all_finite(self, const void* numbers, Py_ssize_t n) noexcept nogil:
        cdef Py_ssize_t i
        for i in range(n):
            if not isfinite((<const float*>numbers)[i] if self.plan.itemsize == sizeof(float)
                            else (<const double*>numbers)[i]):
                return False
        return True


ctypedef fused real:
    float
    double


cdef void divide(real* numbers, Py_ssize_t n, real divisor) noexcept nogil:
    """numbers /= divisor"""
    cdef Py_ssize_t i
    for i in range(n):
        numbers[i] /= divisor


# ---- handles ----


cdef int lend(object network, object optimizer, Py_ssize_t max_rows, cbackprop_network** handle) noexcept:
    if handle == NULL:
        return CBACKPROP_NULL_POINTER
    handle[0] = NULL
    if max_rows < 1:
        return CBACKPROP_BAD_SIZE
    try:
        if not isinstance(network, Network) or not isinstance(optimizer, Optimizer) or optimizer.whole_set:
            return CBACKPROP_BAD_OBJECT
        plan, parameters, guard = parts_of(network)
        return enter(network, plan, parameters, guard, optimizer, max_rows, handle)
    except MemoryError:
        return CBACKPROP_NO_MEMORY
    except (TypeError, ValueError):  # a network that was never built, an optimizer of another one
        return CBACKPROP_BAD_OBJECT
    except BaseException:
        return CBACKPROP_PYTHON_ERROR


cdef int enter(
    network, Plan plan, parameters, capsule, Optimizer optimizer, Py_ssize_t max_rows, cbackprop_network** handle
) except -1:
    """Makes the handle, as the writer of both guards"""
    cdef Guard* guard = <Guard*>PyCapsule_GetPointer(capsule, "cbackprop._guard")
    cdef Handle made
    if not enter_stranger(guard):
        return CBACKPROP_BUSY
    if not enter_stranger(&optimizer._guard):
        leave_writer(guard)
        return CBACKPROP_BUSY
    try:
        made = Handle(network, plan, parameters, optimizer, max_rows)
    except BaseException:
        leave_writer(&optimizer._guard)
        leave_writer(guard)
        raise
    made.guard = guard
    Py_INCREF(made)
    handle[0] = <cbackprop_network*><void*>made
    return CBACKPROP_OK


cdef int create(
    const Py_ssize_t* layer_sizes, Py_ssize_t n_layers, const int* activations, int loss, int precision,
    double learning_rate, unsigned int seed, Py_ssize_t max_rows, cbackprop_network** network,
) noexcept with gil:
    cdef Py_ssize_t k
    if network == NULL:
        return CBACKPROP_NULL_POINTER
    network[0] = NULL
    if layer_sizes == NULL or activations == NULL:
        return CBACKPROP_NULL_POINTER
    if n_layers < 1 or max_rows < 1:
        return CBACKPROP_BAD_SIZE
    for k in range(n_layers + 1):
        if layer_sizes[k] < 1:
            return CBACKPROP_BAD_SIZE
    for k in range(n_layers):
        if not 0 <= activations[k] < (CBACKPROP_EXP if k < n_layers - 1 else len(ACTIVATIONS)):
            return CBACKPROP_BAD_NAME
    if not 0 <= loss < len(LOSSES) or precision not in PRECISIONS:
        return CBACKPROP_BAD_NAME
    if ACTIVATIONS[activations[n_layers - 1]] not in OUTPUTS[LOSSES[loss]]:
        return CBACKPROP_BAD_NAME
    if not is_rate(learning_rate):
        return CBACKPROP_BAD_NUMBER
    try:
        *hidden, output = [ACTIVATIONS[activations[k]] for k in range(n_layers)]
        made = Network([layer_sizes[k] for k in range(n_layers + 1)], hidden, output, LOSSES[loss],
                       PRECISIONS[precision], seed)
        return lend(made, SGD(learning_rate), max_rows, network)
    except MemoryError:
        return CBACKPROP_NO_MEMORY
    except BaseException:
        return CBACKPROP_PYTHON_ERROR


cdef int release(cbackprop_network* network) noexcept with gil:
    cdef Handle handle
    cdef int code
    if network == NULL:
        return CBACKPROP_OK
    handle = <Handle><void*>network
    Py_DECREF(handle)  # `lend`'s
    code = handle.finish()
    leave_writer(&handle.optimizer._guard)
    leave_writer(handle.guard)
    return code


cdef bint is_rate(double number) noexcept nogil:
    return isfinite(number) and number > 0


# ---- what has nothing to do with Python ----


cdef int describe(
    const cbackprop_network* network, Py_ssize_t* n_features, Py_ssize_t* n_outputs, Py_ssize_t* n_parameters,
    int* precision,
) noexcept nogil:
    if network == NULL:
        return CBACKPROP_NULL_POINTER
    if n_features != NULL:
        n_features[0] = (<Handle><void*>network).n_features
    if n_outputs != NULL:
        n_outputs[0] = (<Handle><void*>network).n_outputs
    if n_parameters != NULL:
        n_parameters[0] = (<Handle><void*>network).n_parameters
    if precision != NULL:
        precision[0] = <int>(<Handle><void*>network).plan.itemsize
    return CBACKPROP_OK


cdef int get_parameters(cbackprop_network* network, void* out) noexcept nogil:
    if network == NULL or out == NULL:
        return CBACKPROP_NULL_POINTER
    (<Handle><void*>network).settle()
    (<Handle><void*>network).plan.unpack(
        (<Handle><void*>network).parameters.rows, <char*>out, &(<Handle><void*>network).workspace.watch)
    return CBACKPROP_OK


cdef int set_parameters(cbackprop_network* network, const void* values) noexcept nogil:
    if network == NULL or values == NULL:
        return CBACKPROP_NULL_POINTER
    if not (<Handle><void*>network).all_finite(values, (<Handle><void*>network).n_parameters):
        return CBACKPROP_BAD_PARAMETERS
    (<Handle><void*>network).settle()
    (<Handle><void*>network).plan.pack(
        <const char*>values, (<Handle><void*>network).parameters.rows, &(<Handle><void*>network).workspace.watch)
    return CBACKPROP_OK


cdef int set_learning_rate(cbackprop_network* network, double learning_rate) noexcept nogil:
    if network == NULL:
        return CBACKPROP_NULL_POINTER
    if not is_rate(learning_rate):
        return CBACKPROP_BAD_NUMBER
    (<Handle><void*>network).settle()
    (<Handle><void*>network).training.update.learning_rate = learning_rate
    (<Handle><void*>network).job.learning_rate = learning_rate
    return CBACKPROP_OK


cdef inline Rows rows_at(const void* X, const void* y, const void* sample_weight) noexcept nogil:
    cdef Rows rows
    rows.X, rows.y, rows.sample_weight = <const lanes_t*>X, <const lanes_t*>y, <const lanes_t*>sample_weight
    rows.sparse_X.begins = rows.sparse_X.ends = NULL
    rows.sparse_X.indices = NULL
    rows.sparse_X.data = NULL
    rows.classes = NULL
    return rows


cdef int predict(cbackprop_network* network, const void* X, Py_ssize_t n_rows, void* out) noexcept nogil:
    cdef uint64_t mode
    cdef Rows data
    cdef int code = CBACKPROP_OK
    if network == NULL or X == NULL or out == NULL:
        return CBACKPROP_NULL_POINTER
    if n_rows < 1:
        return CBACKPROP_BAD_SIZE
    mode = flush_denormals()
    if not (n_rows == 1 and (<Handle><void*>network).smallest and (<Handle><void*>network).answer(X, <char*>out)):
        data = rows_at(X, NULL, NULL)
        code = (<Handle><void*>network).predict(&data, n_rows, <char*>out)
    set_float_mode(mode)
    return code


cdef int step(
    cbackprop_network* network, const void* X, const void* y, const void* sample_weight, Py_ssize_t n_rows, double* loss
) noexcept nogil:
    cdef uint64_t mode
    cdef double found = 0
    cdef Rows data
    cdef int code
    if network == NULL or X == NULL or y == NULL:
        return CBACKPROP_NULL_POINTER
    if n_rows == 1 and sample_weight == NULL and (<Handle><void*>network).online:
        return (<Handle><void*>network).online_step(X, y, loss)
    if n_rows < 1 or n_rows > (<Handle><void*>network).max_rows:
        return CBACKPROP_BAD_SIZE
    mode = flush_denormals()
    data = rows_at(X, y, sample_weight)
    code = (<Handle><void*>network).step(&data, n_rows, &found)
    set_float_mode(mode)
    if loss != NULL:
        loss[0] = found
    return code


cdef int train(
    cbackprop_network* network, const void* X, const void* y, const void* sample_weight, Py_ssize_t n_rows,
    const Py_ssize_t* order, Py_ssize_t batch_size, double* loss,
) noexcept nogil:
    cdef uint64_t mode
    cdef double found = 0
    cdef Rows data = rows_at(X, y, sample_weight)
    cdef int code
    cdef Py_ssize_t k
    if network == NULL or X == NULL or y == NULL:
        return CBACKPROP_NULL_POINTER
    if n_rows < 1 or batch_size < 1 or batch_size > (<Handle><void*>network).max_rows:
        return CBACKPROP_BAD_SIZE
    if order != NULL:
        for k in range(n_rows):
            if order[k] < 0 or order[k] >= n_rows:
                return CBACKPROP_BAD_ORDER
    enter_callers()
    mode = flush_denormals()
    code = (<Handle><void*>network).train(&data, n_rows, order, min(batch_size, n_rows), &found)
    set_float_mode(mode)
    leave_callers()
    if loss != NULL:
        loss[0] = found
    return code


cdef int loss_and_gradient(
    cbackprop_network* network, const void* X, const void* y, const void* sample_weight, Py_ssize_t n_rows,
    double* loss, void* gradient,
) noexcept nogil:
    cdef double found = 0
    cdef Rows data = rows_at(X, y, sample_weight)
    cdef int code
    if network == NULL or X == NULL or y == NULL:
        return CBACKPROP_NULL_POINTER
    if n_rows < 1 or n_rows > (<Handle><void*>network).max_rows:
        return CBACKPROP_BAD_SIZE
    enter_callers()
    code = (<Handle><void*>network).loss_and_gradient(&data, n_rows, &found, gradient)
    leave_callers()
    if loss != NULL:
        loss[0] = found
    return code


cdef cbackprop_table _table
_table.size = sizeof(_table)
_table.abi_version = CBACKPROP_ABI_VERSION
_table.message = message
_table.create = create
_table.lend = lend
_table.release = release
_table.describe = describe
_table.get_parameters = get_parameters
_table.set_parameters = set_parameters
_table.set_learning_rate = set_learning_rate
_table.predict = predict
_table.step = step
_table.train = train
_table.loss_and_gradient = loss_and_gradient

#: a capsule with the table of include/cbackprop.h
table = PyCapsule_New(&_table, "cbackprop.capi.table", NULL)
