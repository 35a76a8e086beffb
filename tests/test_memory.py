"""What training takes beyond the data: little, and no more after a million steps."""

import itertools
import sys

import numpy as np
import pytest
from processes import run_python

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc tells what memory is in use")

BLOCK_ROWS = 256

COMMON = """
import ctypes, re, resource, sys
from pathlib import Path
import numpy as np
from cbackprop import SGD, Adam, Network

def kilobytes(what):
    return int(re.search(what + r":\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])

def train(layer_sizes, n_rows, n_calls=1, optimizer=SGD, **options):
    # in the form that the engine takes as it is
    X, y = np.ones((n_rows, layer_sizes[0]), "f4"), np.ones((n_rows, layer_sizes[-1]), "f4")
    network = Network(layer_sizes, dtype="float32", random_state=0)
    if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)  # else training would find room in what was freed before
    before = kilobytes("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak is the present
    for _ in range(n_calls):
        network.train(X, y, optimizer=optimizer(1e-6), random_state=0, **options)
    print(kilobytes("VmHWM") - before, kilobytes("VmRSS") - before)
"""


def numbers_of(code, folder):
    """What a process prints."""
    finished = run_python("-c", COMMON + code, cwd=folder)
    assert finished.returncode == 0, finished.stderr
    return [int(word) for word in finished.stdout.split()]


@pytest.mark.parametrize(
    ("layer_sizes", "batch_size", "optimizer", "more_copies"),
    [
        ((784, 128, 10), 32, "SGD", 0),
        ((500, 1500, 1500, 10), 256, "SGD", 0),
        ((500, 1500, 1500, 10), 32, "Adam", 0),  # its state is twice the parameters
        ((500, 1500, 1500, 10), 1000, "SGD", 3),  # four blocks, three gradients of the tree
    ],
)
def test_training_takes_no_more_than_it_needs(
    layer_sizes, batch_size, optimizer, more_copies, tmp_path
):
    """2 MB + 4 x the parameters + one block's rows, and the gradients of the summation tree."""
    peak, _ = numbers_of(
        "train((2, 3, 1), 8)\n"  # code and tables are loaded
        f"train({layer_sizes}, 2000, batch_size={batch_size}, optimizer={optimizer})",
        tmp_path,
    )[2:]
    n_parameters = sum((a + 1) * b for a, b in itertools.pairwise(layer_sizes))
    block = min(batch_size, BLOCK_ROWS) * (layer_sizes[0] + 2 * sum(layer_sizes[1:]))
    copies = 4 + more_copies + (2 if optimizer == "Adam" else 0)
    assert peak <= (2**21 + 4 * (copies * n_parameters + block)) / 1024


def test_a_million_steps_leave_nothing(tmp_path):
    _, growth = numbers_of(
        "train((2, 2, 1), 4, batch_size=1, n_epochs=100)\n"
        "train((2, 2, 1), 4, n_calls=500, batch_size=1, n_epochs=500)",
        tmp_path,
    )[2:]
    assert growth < 500


def test_data_are_not_copied(tmp_path):
    """Not even where a shuffled order takes them from everywhere."""
    peak, _ = numbers_of("train((1000, 2), 50_000, batch_size=100)", tmp_path)
    assert peak < 20_000  # of 200,000


@pytest.mark.parametrize("shuffle", [True, False])
def test_a_memory_map_larger_than_memory(shuffle, tmp_path):
    """Read-only data larger than RLIMIT_DATA are trained on, each batch read as it is needed."""
    n_rows, n_features = 500_000, 200
    for name, shape in (("X", (n_rows, n_features)), ("y", (n_rows, 1))):
        np.memmap(tmp_path / name, np.float32, "w+", shape=shape)  # zeros, which take no room
    limit = 100 << 20
    assert n_rows * n_features * 4 > 3 * limit
    code = f"""
resource.setrlimit(resource.RLIMIT_DATA, 2 * ({limit} + 1024 * kilobytes("VmData"),))
X = np.memmap("X", np.float32, "r", shape=({n_rows}, {n_features}))
y = np.memmap("y", np.float32, "r", shape=({n_rows}, 1))
try:
    X.copy()
except MemoryError:
    print(1)
network = Network(({n_features}, 4, 1), dtype="float32", random_state=0)
losses = network.train(X, y, optimizer=SGD(0.1), batch_size=1000, shuffle={shuffle})
print(int(losses[0] * 1e6))
"""
    too_large, loss = numbers_of(code, tmp_path)
    assert too_large == 1
    assert 0 < loss < 1e6
