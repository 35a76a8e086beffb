"""Vectors as long as the parameters: what the trainers reckon with that go by the gradient of the whole set."""

from cbackprop._typedefs cimport lanes_t
from cbackprop._watch cimport interrupted
from cbackprop.backprop cimport NO_FAULT
from cbackprop.dense cimport Layer

cdef enum:
    # Rows of lanes between two looks at the clock: their pages may be touched for the first time.
    ROWS_AT_ONCE = 1 << 16


cdef class WholeSetTraining(Training):
    cdef bint is_over(self) noexcept nogil:
        """Whether Ctrl-C, the time or bad data end it before its end"""
        return self.workspace.watch.stopped or self.workspace.fault != NO_FAULT

    cdef double descent(self, const lanes_t* at, lanes_t* out) noexcept nogil:
        """out := minus the gradient there; returns the loss"""
        cdef double loss, weight, scale
        cdef Py_ssize_t k
        cdef const Layer* layer
        cdef const lanes_t* sums = self.workspace.sums[0]
        if self.team.sum_gradients(at, &self.data, NULL, self.n_samples, &loss, &weight):
            return 0
        scale = 1 / weight if self.mean else 1
        for k in range(self.plan.n_layers):
            layer = &self.plan.layers[k]
            self.combine_rows(
                -scale, sums + layer.biases, 0, at + layer.biases, layer.bias_rows, out + layer.biases)
            self.combine_rows(
                -scale, sums + layer.weights, -scale * self.update.change.step.alpha, at + layer.weights,
                layer.weight_rows, out + layer.weights)
        return (self.loss_scale * loss + self.penalty(at)) / (weight if self.mean else 1)

    cdef double dot(self, const lanes_t* x, const lanes_t* y) noexcept nogil:
        cdef double result = self.plan.kernels.dot(x, y, self.plan.parameter_rows)
        interrupted(&self.workspace.watch, self.plan.parameter_rows * self.plan.kernels.lanes)
        return result

    cdef void combine(self, double a, const lanes_t* x, double b, const lanes_t* y, lanes_t* out) noexcept nogil:
        """out := a x + b y; not to its end if that is interrupted"""
        self.combine_rows(a, x, b, y, self.plan.parameter_rows, out)

    cdef void combine_rows(
        self, double a, const lanes_t* x, double b, const lanes_t* y, Py_ssize_t n_rows, lanes_t* out
    ) noexcept nogil:
        cdef Py_ssize_t r = 0, rows
        while r < n_rows:
            rows = min(<Py_ssize_t>ROWS_AT_ONCE, n_rows - r)
            self.plan.kernels.combine(a, x + r, b, y + r, rows, out + r)
            # from main memory it takes about as long as sixteen multiply-adds
            if interrupted(&self.workspace.watch, 16 * rows * self.plan.kernels.lanes):
                return
            r += rows
