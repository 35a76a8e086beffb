from cbackprop._kernels.table cimport Loss

cdef Loss code_of(name) except *
