"""Each kernel of each variant, called from Python as it stands: for tests and for measuring.

Arrays are C-contiguous memory in the layouts that table.pxd and the kernels' own comments name; nothing is checked.
"""

from libc.math cimport INFINITY
from libc.stdint cimport int32_t

from cbackprop._kernels.dispatch cimport kernels_for
from cbackprop._kernels.table cimport MOST_STATES, Kernels, SparseRows, Step
from cbackprop._memory cimport Pointer
from cbackprop._typedefs cimport lanes_t

import time

import numpy as np

ACTIVATIONS = ("identity", "sigmoid", "tanh", "relu", "softsign", "exp", "softmax")
LOSSES = ("squared_error", "log_loss", "binary_log_loss", "poisson")
RULES = ("sgd", "momentum", "nesterov", "adam", "adam_w", "rmsprop",
         "rprop_minus", "rprop_plus", "rprop_iminus",
         "rprop_iplus")


cdef lanes_t* at(array) except? NULL:
    """The memory of an array that the caller keeps alive; NULL for None"""
    cdef Pointer pointer
    if array is None:
        return NULL
    pointer = Pointer(array)
    return <lanes_t*>pointer.at


cdef SparseRows sparse_rows(arrays):
    """indptr, indices and data of a CSR matrix, of intp, int32 and numbers, that the caller keeps alive"""
    cdef SparseRows rows
    indptr, indices, data = arrays
    rows.begins = <const Py_ssize_t*>at(indptr)
    rows.ends = rows.begins + 1
    rows.indices = <const int32_t*>at(indices)
    rows.data = at(data)
    return rows


cdef class Bench:
    """The kernels of one instruction set and precision."""

    cdef const Kernels* kernels
    cdef readonly str isa
    cdef readonly object dtype

    def __init__(self, isa, dtype):
        self.isa = isa
        self.dtype = np.dtype(dtype)
        self.kernels = kernels_for(self.dtype, isa)

    @property
    def lanes(self):
        return self.kernels.lanes

    @property
    def scratch_rows(self):
        return self.kernels.scratch_rows

    def activate(self, name, rows, Py_ssize_t n_rows):
        if name == "log":
            self.kernels.log(at(rows), n_rows)
        elif name == "log1p":
            self.kernels.log1p(at(rows), n_rows)
        else:
            self.kernels.activate[<int>ACTIVATIONS.index(name)](at(rows), n_rows)

    def derivative(self, name, activations, Py_ssize_t n_rows, deltas):
        self.kernels.derivative[<int>ACTIVATIONS.index(name)](at(activations), n_rows, at(deltas))

    def tangent(self, name, activations, tangents, Py_ssize_t n_rows, deltas, tangent_deltas):
        self.kernels.tangent[<int>ACTIVATIONS.index(name)](
            at(activations), at(tangents), n_rows, at(deltas), at(tangent_deltas))

    def softmax_backward(self, outputs, Py_ssize_t stride, Py_ssize_t n_out, Py_ssize_t n_rows, deltas):
        self.kernels.softmax_backward(at(outputs), stride, n_out, n_rows, at(deltas))

    def softmax(self, rows, Py_ssize_t stride, Py_ssize_t n_out, Py_ssize_t n_rows):
        self.kernels.softmax(at(rows), stride, n_out, n_rows)

    def loss(self, name, outputs, weights, Py_ssize_t stride, Py_ssize_t n_out, Py_ssize_t n_rows, deltas,
             double limit=INFINITY):
        return self.kernels.loss[<int>LOSSES.index(name)](
            at(outputs), at(weights), stride, n_out, n_rows, limit, at(deltas))

    def update(self, name, gradients, Py_ssize_t n_rows, step, state, parameters):
        cdef Step c_step = step
        cdef lanes_t* pointers[MOST_STATES]
        cdef Py_ssize_t k
        for k in range(len(state)):
            pointers[k] = at(state[k])
        self.kernels.update[<int>RULES.index(name)](at(gradients), n_rows, &c_step, pointers, at(parameters))

    def forward(self, inputs, Py_ssize_t in_stride, weights, biases, Py_ssize_t n_in, Py_ssize_t n_out,
                Py_ssize_t n_rows, activation, out, Py_ssize_t out_stride):
        self.kernels.forward(
            at(inputs), in_stride, at(weights), at(biases), n_in, n_out, n_rows,
            self.kernels.activate[<int>ACTIVATIONS.index(activation)], at(out), out_stride)

    def few_forward(self, inputs, Py_ssize_t in_stride, weights, biases, Py_ssize_t in_panels, Py_ssize_t n_out,
                    Py_ssize_t n_rows, out):
        self.kernels.few_forward(at(inputs), in_stride, at(weights), at(biases), in_panels, n_out, n_rows, at(out))

    def deltas_below(self, deltas, Py_ssize_t stride, weights, Py_ssize_t n_in, Py_ssize_t n_out,
                     Py_ssize_t first_panel, Py_ssize_t last_panel, Py_ssize_t n_rows, activation, activations,
                     Py_ssize_t act_stride, scratch, out, Py_ssize_t out_stride):
        self.kernels.deltas_below(
            at(deltas), stride, at(weights), n_in, n_out, first_panel, last_panel, n_rows,
            self.kernels.derivative[<int>ACTIVATIONS.index(activation)], at(activations), act_stride, at(scratch),
            at(out), out_stride)

    def gradients(self, activations, Py_ssize_t act_stride, deltas, Py_ssize_t stride, Py_ssize_t n_in,
                  Py_ssize_t first_panel, Py_ssize_t last_panel, Py_ssize_t n_out, Py_ssize_t n_rows, step, out):
        cdef Step c_step
        if step is not None:
            c_step = step
        self.kernels.gradients(
            at(activations), act_stride, at(deltas), stride, n_in, first_panel, last_panel, n_out, n_rows,
            &c_step if step is not None else NULL, at(out))

    def direct_forward(self, inputs, weights, biases, Py_ssize_t n_in, Py_ssize_t n_out, bint few, out):
        self.kernels.direct_forward(at(inputs), at(weights), at(biases), n_in, n_out, few, at(out))

    def bias_gradients(self, deltas, Py_ssize_t stride, Py_ssize_t out_panels, Py_ssize_t n_rows, step, out):
        cdef Step c_step
        if step is not None:
            c_step = step
        self.kernels.bias_gradients(
            at(deltas), stride, out_panels, n_rows, &c_step if step is not None else NULL, at(out))

    def sparse_forward(self, inputs, Py_ssize_t n_rows, weights, biases, Py_ssize_t n_in, Py_ssize_t out_panels,
                       out, Py_ssize_t out_stride):
        cdef SparseRows rows = sparse_rows(inputs)
        return self.kernels.sparse_forward(
            &rows, n_rows, at(weights), at(biases), n_in, out_panels, at(out), out_stride)

    def sparse_few_forward(self, inputs, Py_ssize_t n_rows, weights, biases, Py_ssize_t n_in,
                           Py_ssize_t n_out, out):
        cdef SparseRows rows = sparse_rows(inputs)
        return self.kernels.sparse_few_forward(
            &rows, n_rows, at(weights), at(biases), n_in, n_out, at(out))

    def sparse_gradients(self, inputs, Py_ssize_t n_rows, deltas, Py_ssize_t first_column, Py_ssize_t last_column, out):
        cdef SparseRows rows = sparse_rows(inputs)
        self.kernels.sparse_gradients(&rows, n_rows, at(deltas), first_column, last_column, at(out))

    def sparse_few_gradients(self, inputs, Py_ssize_t n_rows, deltas, Py_ssize_t first_column,
                             Py_ssize_t last_column, Py_ssize_t n_out, out):
        cdef SparseRows rows = sparse_rows(inputs)
        self.kernels.sparse_few_gradients(
            &rows, n_rows, at(deltas), first_column, last_column, n_out, at(out))

    def sparse_step(self, inputs, Py_ssize_t n_rows, Py_ssize_t first_column, Py_ssize_t last_column,
                    Py_ssize_t n_out, bint few, step, gradients, weights):
        cdef SparseRows rows = sparse_rows(inputs)
        cdef Step c_step = step
        self.kernels.sparse_step(
            &rows, n_rows, first_column, last_column, n_out, few, &c_step, at(gradients), at(weights))

    def outer_products(self, activations, deltas, Py_ssize_t stride, Py_ssize_t n_in, Py_ssize_t n_out,
                       Py_ssize_t n_rows, out, Py_ssize_t row_size):
        self.kernels.outer_products(at(activations), at(deltas), stride, n_in, n_out, n_rows, at(out), row_size)

    def gather(self, source, Py_ssize_t n_columns, order, Py_ssize_t n_rows, out, Py_ssize_t stride):
        return self.kernels.gather(at(source), n_columns, <const Py_ssize_t*>at(order), n_rows, at(out), stride)

    def gather_numbers(self, source, order, Py_ssize_t n_rows, out):
        cdef double total
        good = self.kernels.gather_numbers(at(source), <const Py_ssize_t*>at(order), n_rows, at(out), &total)
        return good, total

    def gather_classes(self, classes, order, Py_ssize_t n_rows, Py_ssize_t n_out, out, Py_ssize_t stride):
        return self.kernels.gather_classes(
            <const Py_ssize_t*>at(classes), <const Py_ssize_t*>at(order), n_rows, n_out, at(out), stride)

    def scatter(self, source, Py_ssize_t stride, Py_ssize_t n_columns, Py_ssize_t n_rows, out):
        self.kernels.scatter(at(source), stride, n_columns, n_rows, at(out))

    def pack_few(self, weights, Py_ssize_t n_in, Py_ssize_t n_out, out):
        self.kernels.pack_few(at(weights), n_in, n_out, at(out))

    def unpack_few(self, source, Py_ssize_t n_in, Py_ssize_t n_out, weights):
        self.kernels.unpack_few(at(source), n_in, n_out, at(weights))

    def clear_lanes(self, rows, Py_ssize_t n_rows, Py_ssize_t n_valid):
        self.kernels.clear_lanes(at(rows), n_rows, n_valid)

    def add_rows(self, rows, Py_ssize_t n_rows, out):
        self.kernels.add_rows(at(rows), n_rows, at(out))

    def combine(self, double a, x, double b, y, Py_ssize_t n_rows, out):
        self.kernels.combine(a, at(x), b, at(y), n_rows, at(out))

    def dot(self, x, y, Py_ssize_t n_rows):
        return self.kernels.dot(at(x), at(y), n_rows)

    def scale_rows(self, numbers, Py_ssize_t n_rows, rows):
        self.kernels.scale_rows(at(numbers), n_rows, at(rows))

    def cholesky_rows(self, Py_ssize_t first, Py_ssize_t n_rows, Py_ssize_t n_panels, Py_ssize_t stride, square):
        return self.kernels.cholesky_rows(first, n_rows, n_panels, stride, at(square))

    def solve_upper(self, square, Py_ssize_t stride, Py_ssize_t n, out):
        self.kernels.solve_upper(at(square), stride, n, at(out))

    def largest(self, rows, Py_ssize_t n_rows):
        return self.kernels.largest(at(rows), n_rows)

    def all_finite(self, rows, Py_ssize_t n_rows):
        return self.kernels.all_finite(at(rows), n_rows)

    def fma_peak(self, double seconds=0.05):
        """Floating-point operations a second of register-only fused multiply-adds, the best of a few runs."""
        cdef Py_ssize_t n_rounds = 1000
        cdef double operations
        best = elapsed = 0.0
        while elapsed < seconds:
            start = time.perf_counter()
            with nogil:
                operations = self.kernels.fma_peak(n_rounds)
            run = time.perf_counter() - start
            elapsed += run
            best = max(best, operations / run)
            n_rounds = max(n_rounds, int(n_rounds * min(8.0, seconds / 5 / run)))
        return best
