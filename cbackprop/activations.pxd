from cbackprop._kernels.table cimport Activation

cdef Activation code_of(name) except *
