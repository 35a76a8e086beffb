"""Which kernels this processor runs: chosen once, at import."""

import importlib
import os

from cpython.pycapsule cimport PyCapsule_GetPointer

from cbackprop._kernels.table cimport Kernels

cdef extern from *:
    """
    #if defined(__x86_64__) && defined(__GNUC__)
    /* libgcc and compiler-rt ask the operating system, too, whether it keeps the wide registers (xgetbv). */
    static int cbackprop_x86_level(void) {
        __builtin_cpu_init();
        if (!(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi")
              && __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt")))
            return 1;
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
               && __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq")
               && __builtin_cpu_supports("avx512vl") ? 4 : 3;
    }
    #else
    static int cbackprop_x86_level(void) { return 1; }
    #endif
    #if defined(__clang__)
    #define CBACKPROP_COMPILER "Clang " __clang_version__
    #elif defined(__GNUC__)
    #define CBACKPROP_COMPILER "GCC " __VERSION__
    #else
    #define CBACKPROP_COMPILER "unknown"
    #endif
    """
    int cbackprop_x86_level() noexcept
    const char* CBACKPROP_COMPILER
    const char* CBACKPROP_FLAGS
    const char* CBACKPROP_ISAS
    const char* CBACKPROP_ISA_FLAGS

COMPILER = CBACKPROP_COMPILER.decode()
FLAGS = CBACKPROP_FLAGS.decode()
ISA_FLAGS = CBACKPROP_ISA_FLAGS.decode()
BUILT = tuple(CBACKPROP_ISAS.decode().split())  # ascending

_LEVELS = {"baseline": 1, "x86-64-v3": 3, "x86-64-v4": 4, "neon": 1}


def _choose():
    found = tuple(isa for isa in BUILT if _LEVELS[isa] <= cbackprop_x86_level())
    forced = os.environ.get("CBACKPROP_ISA", "")
    if not forced:
        return found, found[-1]
    if forced not in BUILT:
        raise ImportError(
            f"CBACKPROP_ISA is {forced!r}, but this build of cbackprop has only {', '.join(BUILT)}")
    if forced not in found:
        raise ImportError(
            f"CBACKPROP_ISA is {forced!r}, but this processor has only {', '.join(found)}")
    return found, forced


FOUND, IN_USE = _choose()

_tables = {}


def _load(isa, name):
    """The capsule with the table of one variant; an ImportError if it does not load or is not whole."""
    module = f"cbackprop._kernels._{isa.replace('-', '_')}_{name}"
    try:
        capsule = importlib.import_module(module).table
    except ImportError as error:
        raise ImportError(f"the kernels for {isa} in {name} were built but do not load: {error}") from error
    _check(module, capsule)
    return capsule


cdef _check(module, capsule):
    cdef Py_ssize_t k
    cdef const Kernels* kernels = <const Kernels*>PyCapsule_GetPointer(capsule, "cbackprop._kernels")
    entries = {
        "softmax": <size_t>kernels.softmax, "softmax_backward": <size_t>kernels.softmax_backward,
        "outer_products": <size_t>kernels.outer_products, "scale_rows": <size_t>kernels.scale_rows,
        "cholesky_rows": <size_t>kernels.cholesky_rows, "solve_upper": <size_t>kernels.solve_upper,
        "forward": <size_t>kernels.forward,
        "deltas_below": <size_t>kernels.deltas_below, "gradients": <size_t>kernels.gradients,
        "bias_gradients": <size_t>kernels.bias_gradients, "few_forward": <size_t>kernels.few_forward,
        "direct_forward": <size_t>kernels.direct_forward,
        "sparse_forward": <size_t>kernels.sparse_forward, "sparse_few_forward": <size_t>kernels.sparse_few_forward,
        "sparse_gradients": <size_t>kernels.sparse_gradients,
        "sparse_few_gradients": <size_t>kernels.sparse_few_gradients, "sparse_step": <size_t>kernels.sparse_step,
        "gather": <size_t>kernels.gather, "gather_numbers": <size_t>kernels.gather_numbers,
        "gather_classes": <size_t>kernels.gather_classes, "scatter": <size_t>kernels.scatter,
        "pack_few": <size_t>kernels.pack_few, "unpack_few": <size_t>kernels.unpack_few,
        "clear_lanes": <size_t>kernels.clear_lanes, "add_rows": <size_t>kernels.add_rows,
        "combine": <size_t>kernels.combine, "dot": <size_t>kernels.dot,
        "largest": <size_t>kernels.largest, "all_finite": <size_t>kernels.all_finite,
        "log": <size_t>kernels.log, "log1p": <size_t>kernels.log1p,
        "fma_peak": <size_t>kernels.fma_peak,
    }
    for k in range(4):
        entries[f"loss {k}"] = <size_t>kernels.loss[k]
        entries[f"online {k}"] = <size_t>kernels.online[k]
    for k in range(10):
        entries[f"update {k}"] = <size_t>kernels.update[k]
    for k in range(1, 6):  # identity and softmax have no passes
        entries[f"activate {k}"] = <size_t>kernels.activate[k]
        entries[f"derivative {k}"] = <size_t>kernels.derivative[k]
        entries[f"tangent {k}"] = <size_t>kernels.tangent[k]
    for name, address in entries.items():
        if not address:
            raise ImportError(f"{module} has no kernel {name!r}")


cdef const Kernels* kernels_for(object dtype, object isa=None) except NULL:
    """The kernels for a NumPy dtype, float32 or float64, of the instruction set in use or of another."""
    key = isa or IN_USE, dtype.name
    if key not in _tables:
        _tables[key] = _load(*key)
    return <const Kernels*>PyCapsule_GetPointer(_tables[key], "cbackprop._kernels")
