"""The kernels for one instruction set and one precision.

setup.py copies this file once for each variant and compiles each copy with the flags of its instruction set.
"""

from cpython.pycapsule cimport PyCapsule_New

from cbackprop._kernels cimport (
    cholesky, direct, gradients, losses, online, passes, products, rows, sparse, updates,
)
from cbackprop._kernels.elementary cimport log1p_unit_, log_
from cbackprop._kernels.simd cimport (
    LANES, TILE_PANELS, VECTOR_LANES, VECTORS, real_t, vload, vstore,
)
from cbackprop._kernels.table cimport Kernels, activate_t, derivative_t, tangent_t
from cbackprop._typedefs cimport lanes_t


cdef void log_rows(lanes_t* numbers, Py_ssize_t n_rows) noexcept nogil:
    """numbers := log(numbers)"""
    cdef real_t* x = <real_t*>numbers
    cdef Py_ssize_t i
    for i in range(n_rows * VECTORS):
        vstore(x + i * VECTOR_LANES, log_(vload(x + i * VECTOR_LANES)))


cdef void log1p_rows(lanes_t* numbers, Py_ssize_t n_rows) noexcept nogil:
    """numbers := log(1 + numbers), for numbers in 0 ... 1"""
    cdef real_t* x = <real_t*>numbers
    cdef Py_ssize_t i
    for i in range(n_rows * VECTORS):
        vstore(x + i * VECTOR_LANES, log1p_unit_(vload(x + i * VECTOR_LANES)))


cdef Kernels kernels

kernels.lanes = LANES
kernels.tile_panels = TILE_PANELS
kernels.scratch_rows = 2 * products.K_BLOCK

kernels.activate = [
    <activate_t>NULL, passes.sigmoid_forward, passes.tanh_forward, passes.relu_forward,
    passes.softsign_forward, passes.exp_forward, <activate_t>NULL,
]
kernels.derivative = [
    <derivative_t>NULL, passes.sigmoid_backward, passes.tanh_backward, passes.relu_backward,
    passes.softsign_backward, passes.exp_backward, <derivative_t>NULL,
]
kernels.tangent = [
    <tangent_t>NULL, passes.sigmoid_tangent, passes.tanh_tangent, passes.relu_tangent,
    passes.softsign_tangent, passes.exp_tangent, <tangent_t>NULL,
]
kernels.loss = [losses.squared_error, losses.log_loss, losses.binary_log_loss, losses.poisson]
kernels.update = [
    updates.sgd, updates.momentum, updates.nesterov, updates.adam, updates.adam, updates.rmsprop,
    updates.rprop_minus, updates.rprop_plus, updates.rprop_iminus, updates.rprop_iplus,
]
kernels.online = [online.rows_task, online.row_task, online.last_step_task, online.output_task]
kernels.softmax = passes.softmax_forward
kernels.softmax_backward = passes.softmax_backward
kernels.forward = products.dense_forward
kernels.deltas_below = products.dense_deltas_below
kernels.gradients = gradients.dense_gradients
kernels.bias_gradients = gradients.dense_bias_gradients
kernels.outer_products = gradients.outer_products
kernels.few_forward = products.few_forward
kernels.direct_forward = direct.direct_forward
kernels.sparse_forward = sparse.sparse_forward
kernels.sparse_few_forward = sparse.sparse_few_forward
kernels.sparse_gradients = sparse.sparse_gradients
kernels.sparse_few_gradients = sparse.sparse_few_gradients
kernels.sparse_step = sparse.sparse_step
kernels.gather = rows.gather
kernels.gather_numbers = rows.gather_numbers
kernels.gather_classes = rows.gather_classes
kernels.scatter = rows.scatter
kernels.pack_few = rows.pack_few
kernels.unpack_few = rows.unpack_few
kernels.clear_lanes = rows.clear_lanes
kernels.add_rows = updates.add_rows
kernels.combine = updates.combine
kernels.dot = updates.dot
kernels.scale_rows = gradients.scale_rows
kernels.largest = updates.largest
kernels.all_finite = updates.all_finite
kernels.cholesky_rows = cholesky.cholesky_rows
kernels.solve_upper = cholesky.solve_upper
kernels.log = log_rows
kernels.log1p = log1p_rows
kernels.fma_peak = rows.fma_peak

table = PyCapsule_New(&kernels, "cbackprop._kernels", NULL)
