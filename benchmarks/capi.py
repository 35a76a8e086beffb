"""What a call through the table of cbackprop.h costs, beside the same step inside `Network.train`.

python benchmarks/capi.py [--json FILE] [--rounds N] [--dtype float64]

The loops are C (capi.c), compiled here: a C compiler and Python's headers are needed. Short rounds,
in turn, of which the fastest counts.
"""

import ctypes
import subprocess
import sysconfig
import tempfile
import time
from pathlib import Path

import common
import numpy as np

import cbackprop
from cbackprop import SGD, Network, capi
from cbackprop.cli.machine import BenchError
from cbackprop.cli.workloads import WORKLOADS

POINTER, SIZE = ctypes.c_void_p, ctypes.c_ssize_t
CALLS = 2000  # of a round: less than a scheduler's slice
EPOCHS = 20  # in a call of Network.train, whose own beginning and end are little beside them


class Engine(ctypes.Structure):
    """The beginning of the table."""

    _fields_ = [
        ("size", ctypes.c_size_t),
        ("abi_version", ctypes.c_int),
        ("message", POINTER),
        ("create", POINTER),
        (
            "lend",
            ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.py_object, SIZE, POINTER),
        ),
        ("release", ctypes.CFUNCTYPE(ctypes.c_int, POINTER)),
    ]


def compiled(folder):
    """The loops of capi.c."""
    compiler = sysconfig.get_config_var("CC").split()[0]
    library = Path(folder, "loops.so")
    command = [compiler, "-O2", "-shared", "-fPIC", "-o", library, common.HERE / "capi.c"]
    command += [f"-I{cbackprop.get_include()}", f"-I{sysconfig.get_path('include')}"]
    try:
        subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise BenchError(f"{compiler} could not compile capi.c: {error}") from error
    loops = ctypes.CDLL(str(library))
    for function in (loops.predictions, loops.steps, loops.epochs):
        function.restype = ctypes.c_double
    return loops


def measure(rounds, dtype):
    """A line for each workload; the result has the rounds of all."""
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = POINTER, [ctypes.py_object, ctypes.c_char_p]
    table = get(capi.table, b"cbackprop.capi.table")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        loops = compiled(folder)
        for name in ("xor", "online"):
            seconds = timed(loops, table, WORKLOADS[name], dtype, rounds)
            least = {what: min(values) for what, values in seconds.items()}
            rows.append({"name": name, "seconds": seconds})
            predict, step, train, shuffled, unshuffled = (1e9 * value for value in least.values())
            yield (
                f"{name:8} {WORKLOADS[name].layers:8} predict {predict:.0f} ns, step {step:.0f}, "
                f"a row of train {train:.0f}; a step of Network.train {shuffled:.0f} ("
                f"{step / shuffled:.2f}), without shuffling {unshuffled:.0f} "
                f"({step / unshuffled:.2f})"
            )
    yield {"workloads": rows}


def timed(loops, table, workload, dtype, rounds):
    """Seconds of one call, or step, in each round."""
    problem = workload.problem(dtype)
    engine = Engine.from_address(table)
    X, y = problem.X[:1000].copy(), problem.y[:1000].copy()
    n_rows, size = len(X), X.itemsize
    lent, own = (Network(workload.layer_sizes, dtype=dtype, random_state=0) for _ in range(2))
    handle, out = POINTER(), np.empty(1, dtype)
    if engine.lend(lent, SGD(1e-3), 1, ctypes.addressof(handle)):
        raise BenchError("the network could not be lent")
    head = POINTER(table), handle, POINTER(X.ctypes.data), SIZE(X.shape[1] * size)
    targets = POINTER(y.ctypes.data)
    epochs = max(1, CALLS // n_rows)

    def network_train(shuffle):
        state = np.random.RandomState(0)
        began = time.perf_counter()
        own.train(
            *(X, y),
            optimizer=SGD(1e-3),
            batch_size=1,
            n_epochs=EPOCHS * epochs,
            shuffle=shuffle,
            random_state=state,
        )
        return (time.perf_counter() - began) / (EPOCHS * epochs * n_rows)

    turns = {
        "predict": lambda: (
            loops.predictions(*head, SIZE(n_rows), SIZE(CALLS), POINTER(out.ctypes.data)) / CALLS
        ),
        "step": lambda: loops.steps(*head, targets, SIZE(size), SIZE(n_rows), SIZE(CALLS)) / CALLS,
        "train": lambda: (
            loops.epochs(*head[:3], targets, None, SIZE(n_rows), SIZE(epochs)) / (epochs * n_rows)
        ),
        "Network.train": lambda: network_train(True),
        "Network.train, without shuffling": lambda: network_train(False),
    }
    seconds = {name: [] for name in turns}
    for _ in range(rounds):
        for name, turn in turns.items():
            seconds[name].append(turn())
    engine.release(handle)
    if min(map(min, seconds.values())) < 0:
        raise BenchError("a call through the table returned an error")
    return seconds


if __name__ == "__main__":
    common.run(__doc__, measure, rounds=200, dtypes=("float32", "float64"))
