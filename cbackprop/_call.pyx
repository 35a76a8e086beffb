"""One call of a method of `Network`: what it lends the engine, and what stops it."""

from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport int32_t, uint64_t

from cbackprop._float_mode cimport exchange_float_mode, float_mode, flush_denormals, set_float_mode
from cbackprop._memory cimport Block, Pointer
from cbackprop._typedefs cimport lanes_t
from cbackprop.backprop cimport BAD_SAMPLE_WEIGHT, BAD_X, BAD_Y, FORKED, Plan, Rows, Workspace

from cbackprop import _checks as checks


cdef bint poll_signals(void* context) noexcept with gil:
    """Runs Python's signal handlers; an exception of theirs is kept in the context, and stops the computation"""
    cdef Call call = <Call>context
    cdef uint64_t mode = exchange_float_mode(call.float_mode)
    try:
        PyErr_CheckSignals()
    except BaseException as error:
        call.error = error
    set_float_mode(mode)
    return call.error is not None


cdef class Call:
    """One call on its way through the engine: workspace, packed parameters, pointers into the caller's arrays."""

    def __cinit__(
        self, Plan plan, parameters, Py_ssize_t n_rows, X, targets=None, classes=None, sample_weight=None, *,
        Workspace workspace=None, Block packed=None, **kwargs
    ):
        """`parameters`: the public ones; X to sample_weight as `Network.loss_value` takes them, checked.

        workspace, packed: memory to be used; without them it is made, the workspace with kwargs.
        """
        self.workspace = workspace
        if workspace is None:
            self.workspace = Workspace(plan, n_rows, sparse=isinstance(X, checks.SparseRows), **kwargs)
        self.workspace.watch.poll = poll_signals
        self.workspace.watch.context = <void*>self
        self.float_mode = float_mode()
        self.arrays = [Pointer(parameters)]
        self.data = self.rows_of((X, targets, classes, sample_weight))
        self.parameters = Block(plan.parameter_rows) if packed is None else packed
        cdef const char* public = (<Pointer>self.arrays[0]).at
        with nogil:
            flush_denormals()
            plan.pack(public, self.parameters.rows, &self.workspace.watch)
            set_float_mode(self.float_mode)
        if self.error is not None:
            raise self.error

    cdef Rows rows_of(self, data):
        """Pointers into the arrays (X, targets, classes, sample_weight), which the call keeps alive."""
        cdef Rows rows
        X, targets, classes, sample_weight = data
        rows.X = NULL
        rows.sparse_X.begins = rows.sparse_X.ends = NULL
        rows.sparse_X.indices = NULL
        rows.sparse_X.data = NULL
        if isinstance(X, checks.SparseRows):
            rows.sparse_X.begins = <const Py_ssize_t*>self._pointer(X.indptr)
            rows.sparse_X.ends = rows.sparse_X.begins + 1
            rows.sparse_X.indices = <const int32_t*>self._pointer(X.indices)
            rows.sparse_X.data = self._pointer(X.data)
        else:
            rows.X = self._pointer(X)
        rows.y = self._pointer(targets)
        rows.classes = <const Py_ssize_t*>self._pointer(classes)
        rows.sample_weight = self._pointer(sample_weight)
        return rows

    cdef lanes_t* _pointer(self, array):
        if array is None:
            return NULL
        self.arrays.append(Pointer(array))
        return <lanes_t*>(<Pointer>self.arrays[-1]).at

    cdef check(self, X, targets, sample_weight, prefix=""):
        """Raises what stopped the computation, if anything did; the prefix says whose the arrays are."""
        if self.error is not None:
            raise self.error
        if self.workspace.fault == BAD_X:
            raise checks.not_finite(f"{prefix}X", X)
        if self.workspace.fault == BAD_Y:
            raise (
                ValueError(f"{prefix}y changed while it was read") if targets is None
                else checks.not_finite(f"{prefix}y", targets))
        if self.workspace.fault == BAD_SAMPLE_WEIGHT:
            raise checks.not_finite(f"{prefix}sample_weight", sample_weight)
        if self.workspace.fault == FORKED:
            raise RuntimeError(
                "a signal handler forked the process while threads computed: they go on in the parent only")
