from cbackprop._guard cimport Guard
from cbackprop._kernels.table cimport Rule, Step
from cbackprop._typedefs cimport lanes_t
from cbackprop._watch cimport Watch
from cbackprop.backprop cimport Plan

cdef struct Update:
    # An optimizer while it trains: what is needed without the GIL.
    Rule rule
    Step step
    double learning_rate
    Py_ssize_t n_steps
    Py_ssize_t n_states
    lanes_t* state[2]  # as the private parameters, one behind the other
    char* public_state[2]  # as the public ones: of the last finished epoch
    Py_ssize_t public_steps

cdef class Optimizer:
    cdef Guard _guard
    cdef double _learning_rate
    cdef readonly Py_ssize_t n_steps
    cdef list _state  # flat arrays in the order of the parameters; empty until it has trained

    cdef list _read_state(self)
    cdef Rule _rule(self)
    cdef list _begin(self, Plan plan, object parameters, Update* update)

cdef void next_step(Update* update, double scale) noexcept nogil
cdef bint apply(
    const Update* update, Plan plan, const lanes_t* gradients, Py_ssize_t first, Py_ssize_t last, lanes_t* parameters,
    Watch* watch) noexcept nogil
cdef bint pack_state(Update* update, Plan plan, Watch* watch) noexcept nogil
