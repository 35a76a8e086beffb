"""One dense layer on panels, as the engine calls it."""

from cbackprop._kernels.table cimport Activation, Change, Kernels, Step
from cbackprop._typedefs cimport lanes_t
from cbackprop._watch cimport Watch

cdef struct Layer:
    Py_ssize_t n_in, n_out  # as the kernels count them: with shortcuts n_in has the columns that X's last panel lacks
    Py_ssize_t in_panels, out_panels
    Py_ssize_t n_below  # units of the layer below, or X's columns
    Py_ssize_t n_shortcuts, shortcut_panels  # X's columns and panels that stand before those of the layer below
    bint few  # one to three outputs and more inputs: weights lie transposed, as panels of the inputs
    Activation activation
    Py_ssize_t biases, weights  # where they begin in the private parameters, in rows of lanes
    Py_ssize_t bias_rows, weight_rows
    Py_ssize_t groups  # of panels, a tile of the gradients wide
    Py_ssize_t gradient_tiles  # what of the gradients can be computed by itself
    Py_ssize_t public_weights, public_biases  # where they begin in `Network.parameters`, in numbers

cdef Py_ssize_t rows_at_once(Py_ssize_t n_rows, Py_ssize_t work) noexcept nogil

cdef Py_ssize_t describe(
    Layer* layer, const Kernels* kernels, Py_ssize_t n_below, Py_ssize_t n_shortcuts, Py_ssize_t n_out,
    Activation activation, Py_ssize_t first_row, Py_ssize_t first_number) noexcept nogil

cdef bint pack_layer(
    const Kernels* kernels, const Layer* layer, const char* source, Py_ssize_t itemsize, lanes_t* parameters,
    Watch* watch) noexcept nogil

cdef bint unpack_layer(
    const Kernels* kernels, const Layer* layer, const lanes_t* parameters, Py_ssize_t itemsize, char* out,
    Watch* watch) noexcept nogil

cdef bint forward_panels(
    const Kernels* kernels, const Layer* layer, const lanes_t* parameters,
    const lanes_t* inputs, Py_ssize_t stride, Py_ssize_t n_rows, bint activate,
    lanes_t* out, Watch* watch) noexcept nogil

cdef bint softmax_panels(
    const Kernels* kernels, const Layer* layer, Py_ssize_t stride, Py_ssize_t n_rows, lanes_t* out, Watch* watch
) noexcept nogil

cdef void forward_directly(
    const Kernels* kernels, const Layer* layer, const char* public, Py_ssize_t itemsize,
    const lanes_t* inputs, lanes_t* out) noexcept nogil

cdef bint deltas_below_panels(
    const Kernels* kernels, const Layer* layer, const lanes_t* parameters,
    const lanes_t* deltas, Py_ssize_t stride, Py_ssize_t n_rows, Py_ssize_t first, Py_ssize_t last,
    Activation activation_below, const lanes_t* activations_below, lanes_t* scratch,
    lanes_t* out, Watch* watch) noexcept nogil

cdef bint gradient_panels(
    const Kernels* kernels, const Layer* layer,
    const lanes_t* activations, const lanes_t* deltas, Py_ssize_t stride, Py_ssize_t n_rows,
    Py_ssize_t first, Py_ssize_t last, const Step* step, lanes_t* out, Watch* watch) noexcept nogil

cdef bint take_step(
    const Kernels* kernels, const Change* change, const Step* step, const lanes_t* gradients,
    Py_ssize_t first, Py_ssize_t n_rows, lanes_t* parameters, Watch* watch) noexcept nogil
