from cbackprop._guard cimport Guard
from cbackprop._kernels.table cimport MOST_STATES, Change
from cbackprop._typedefs cimport lanes_t
from cbackprop._watch cimport Watch
from cbackprop.backprop cimport Plan

cdef enum:
    # Numbers that an optimizer remembers beside its arrays, at most.
    N_NUMBERS = 6

cdef struct Update:
    # An optimizer while it trains: what is needed without the GIL.
    Change change
    double learning_rate, epsilon, weight_decay
    Py_ssize_t n_steps
    Py_ssize_t n_states
    double numbers[N_NUMBERS]
    # of the last finished epoch
    Py_ssize_t public_steps
    char* public_state[MOST_STATES]  # as the public parameters
    double public_numbers[N_NUMBERS]

cdef class Optimizer:
    cdef Guard _guard
    cdef double _learning_rate
    cdef readonly Py_ssize_t n_steps
    cdef list _state  # flat arrays in the order of the parameters; empty until it has trained
    cdef double _numbers[N_NUMBERS]
    cdef readonly bint whole_set  # every step takes all rows

    cdef list _read_state(self)
    cdef object _at(self, name)
    cdef object _new_training(self)
    cdef list _new_state(self, object parameters)
    cdef list _begin(self, Plan plan, object parameters, Update* update)
    cdef void _take_back(self, const Update* update) noexcept

cdef void next_step(Update* update, double scale, double loss) noexcept nogil
cdef bint apply(
    const Update* update, Plan plan, const lanes_t* gradients, Py_ssize_t first, Py_ssize_t last, lanes_t* parameters,
    Watch* watch) noexcept nogil
cdef bint pack_state(Update* update, Plan plan, Watch* watch) noexcept nogil
