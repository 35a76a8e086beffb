"""Which kernels are chosen, what a wrong choice says, and what `show_config` tells."""

import ctypes
import os
import platform
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

import cbackprop
from cbackprop._cpus import n_cpus
from cbackprop._kernels import dispatch

# The kernels in the order of their table, whose last entries they are.
KERNELS = [
    *("softmax", "softmax_backward", "forward", "deltas_below", "gradients", "bias_gradients"),
    *("outer_products", "few_forward", "direct_forward", "sparse_forward", "sparse_few_forward"),
    *("sparse_gradients", "sparse_few_gradients", "sparse_step"),
    *("gather", "gather_numbers", "gather_classes", "scatter", "pack_few", "unpack_few"),
    *("clear_lanes", "add_rows", "combine", "dot", "scale_rows", "largest", "all_finite"),
    *("cholesky_rows", "solve_upper", "log", "log1p", "fma_peak"),
]
# Before them: three numbers, then the activations, their derivatives and tangents, the losses, the
# rules, and the tasks of the smallest networks.
N_ENTRIES = 3 + 7 + 7 + 7 + 4 + 10 + 4 + len(KERNELS)
CAPSULE = b"cbackprop._kernels"


def run(code, isa=None):
    """The code in a process of its own, for which CBACKPROP_ISA is `isa`."""
    environment = {name: value for name, value in os.environ.items() if name != "CBACKPROP_ISA"}
    if isa is not None:
        environment["CBACKPROP_ISA"] = isa
    # where this process has the package from, too
    folder = Path(cbackprop.__file__).parents[1]
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


PREDICT = """
import numpy as np, cbackprop
from cbackprop._cpus import n_cpus
from cbackprop._kernels import dispatch
network = cbackprop.Network((3, 20, 2), random_state=0)
X = np.linspace(-1, 1, 21).reshape(7, 3)
network.train(X, X[:, :2] ** 2, optimizer=cbackprop.SGD(0.1), batch_size=3, random_state=0)
print(dispatch.IN_USE, network.predict(X).tobytes().hex())
"""


@pytest.fixture(scope="module")
def predicted():
    """What is in use where each instruction set is forced, and what is predicted with it."""
    results = {}
    for isa in dispatch.FOUND:
        process = run(PREDICT, isa)
        assert process.returncode == 0, process.stderr
        in_use, outputs = process.stdout.split()
        results[isa] = in_use, np.frombuffer(bytes.fromhex(outputs))
    return results


@pytest.mark.parametrize("isa", dispatch.FOUND)
def test_forcing_an_instruction_set(predicted, isa):
    in_use, outputs = predicted[isa]
    assert in_use == isa
    np.testing.assert_allclose(outputs, predicted[dispatch.FOUND[0]][1])


def test_instruction_sets_with_fused_multiply_add_predict_the_same_bits(predicted):
    fused = [outputs.tobytes() for isa, (_, outputs) in predicted.items() if isa != "baseline"]
    assert len(set(fused)) <= 1


@pytest.mark.parametrize("isa", [None, ""])
def test_the_best_instruction_set_is_taken_unasked(isa):
    process = run("from cbackprop._kernels import dispatch; print(dispatch.IN_USE)", isa)
    assert process.stdout.strip() == dispatch.FOUND[-1]


@pytest.mark.parametrize("isa", ["x86-64-v5", "avx2", "Baseline"])
def test_an_unknown_instruction_set_is_an_import_error(isa):
    process = run("import cbackprop", isa)
    assert process.returncode == 1
    message = process.stderr.splitlines()[-1]
    assert message.startswith("ImportError: CBACKPROP_ISA is ")
    assert repr(isa) in message
    assert message.endswith(", ".join(dispatch.BUILT))


def test_what_the_processor_lacks_is_an_import_error():
    lacking = [isa for isa in dispatch.BUILT if isa not in dispatch.FOUND]
    if not lacking:
        pytest.skip("this processor runs everything that was built")
    process = run("import cbackprop", lacking[0])
    assert process.returncode == 1
    message = process.stderr.splitlines()[-1]
    assert f"ImportError: CBACKPROP_ISA is {lacking[0]!r}, but this processor has only" in message


def test_what_is_found_is_what_linux_tells():
    if not sys.platform.startswith("linux") or platform.machine() != "x86_64":
        pytest.skip("no /proc/cpuinfo of an x86-64 processor here")
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    flags = set(next(line for line in lines if line.startswith("flags")).split())
    has_v3 = flags >= {"avx2", "fma", "bmi1", "bmi2", "f16c", "movbe"}
    has_v4 = has_v3 and flags >= {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}
    expected = ("baseline",) + has_v3 * ("x86-64-v3",) + has_v4 * ("x86-64-v4",)
    expected = tuple(isa for isa in expected if isa in dispatch.BUILT)
    assert expected == dispatch.FOUND


# ---- the table of kernels ----


def pretend(monkeypatch, isa, dtype, module):
    name = f"cbackprop._kernels._{isa.replace('-', '_')}_{dtype}"
    monkeypatch.setitem(sys.modules, name, module)
    return name


def table_of(capsule):
    """The entries of a table, copied"""
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return (ctypes.c_size_t * N_ENTRIES).from_buffer_copy(
        ctypes.string_at(pointer(capsule, CAPSULE), N_ENTRIES * ctypes.sizeof(ctypes.c_size_t))
    )


def module_of(table):
    """A module as the variants are; it needs the table alive."""
    capsule = ctypes.pythonapi.PyCapsule_New
    capsule.restype = ctypes.py_object
    capsule.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    module = types.ModuleType("a variant")
    module.table = capsule(ctypes.addressof(table), CAPSULE, None)
    return module


@pytest.mark.parametrize("missing", KERNELS)
def test_a_table_without_a_kernel_is_an_import_error(monkeypatch, missing):
    isa = dispatch.FOUND[0]
    table = table_of(dispatch._load(isa, "float32"))
    name = pretend(monkeypatch, isa, "float32", module_of(table))
    dispatch._load(isa, "float32")
    table[N_ENTRIES - len(KERNELS) + KERNELS.index(missing)] = 0
    with pytest.raises(ImportError, match=f"{name} has no kernel '{missing}'"):
        dispatch._load(isa, "float32")


@pytest.mark.parametrize("isa", dispatch.BUILT)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_kernels_that_do_not_load_are_an_import_error(monkeypatch, isa, dtype):
    pretend(monkeypatch, isa, dtype, None)
    with pytest.raises(
        ImportError, match=f"kernels for {isa} in {dtype} were built but do not load"
    ):
        dispatch._load(isa, dtype)


# ---- show_config ----


def rows_of(output):
    """{name: value} of a table whose columns are two spaces apart"""
    return dict(line.split("  ", 1) for line in output.splitlines())


def test_show_config(capsys):
    cbackprop.show_config()
    shown = {name: value.strip() for name, value in rows_of(capsys.readouterr().out).items()}
    assert shown["cbackprop"] == cbackprop.__version__
    assert platform.python_version() in shown["Python"]
    assert np.__version__ in shown["Python"]
    assert shown["platform"] == f"{platform.system()} {platform.machine()}"
    assert shown["compiler"] == dispatch.COMPILER
    assert shown["instruction sets built"] == ", ".join(dispatch.BUILT)
    assert shown["found on this processor"] == ", ".join(dispatch.FOUND)
    assert shown["in use"].startswith(dispatch.IN_USE)
    for fact in ("float32 (32 bits, epsilon 1.19e-07)", "float64 (64 bits, epsilon 2.22e-16)"):
        assert fact in shown["precisions"]
    assert shown["threads"] == f"up to {n_cpus()}"


def test_the_flags_keep_the_arithmetic():
    if platform.system() == "Windows":
        pytest.skip("another compiler's flags")
    flags = dispatch.FLAGS.split()
    assert "-ffp-contract=off" in flags
    assert not {"-ffast-math", "-Ofast", "-march=native"} & set(flags)


@pytest.mark.parametrize("isa", dispatch.FOUND)
def test_show_config_says_where_nothing_is_fused(isa):
    shown = rows_of(run("import cbackprop; cbackprop.show_config()", isa).stdout)
    assert shown["in use"].split()[0] == isa
    assert ("no fused multiply-add" in shown["in use"]) == (isa == "baseline")
