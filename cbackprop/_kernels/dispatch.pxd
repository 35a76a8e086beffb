from cbackprop._kernels.table cimport Kernels

cdef const Kernels* kernels_for(object dtype, object isa=*) except NULL
