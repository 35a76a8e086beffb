"""Memory beyond the data, growth, the time of the import, installed size, denormal numbers.

python benchmarks/memory.py [--json FILE] [--rounds N] [--dtype float64]

- Memory: how far the resident memory of a process that holds the data rises while it trains, in
  processes of their own, against 2 MiB + 4 times the parameters + the inputs, activations and
  deltas of one block of rows (Linux only: /proc tells the peak).
- Growth: resident memory before and after a million steps in a thousand calls.
- Import: how long `import cbackprop` takes after `import numpy`, the fastest of many processes.
- Denormals: the time of a step where all weights, or all inputs, are denormal numbers (1e-310 in
  float64, 1e-40 in float32), against ordinary ones, in turn. Hidden units are tanh and the targets
  0, so that weights, activations and deltas stay denormal.
"""

import time
from pathlib import Path

import common
import numpy as np

import cbackprop
from cbackprop import SGD, Network
from cbackprop.cli.measuring import Contestant
from cbackprop.cli.terminal import in_microseconds
from cbackprop.cli.workloads import LEARNING_RATE, WORKLOADS

BLOCK_ROWS = 256
DENORMAL = {"float32": 1e-40, "float64": 1e-310}

TRAIN = """
from cbackprop import SGD, Network
from cbackprop.cli.peers.own import network_of
from cbackprop.cli.workloads import WORKLOADS
from common import rise_of_memory

def train(problem, n_calls, n_epochs):
    network = network_of(problem)

    def work():
        for _ in range(n_calls):
            network.train(problem.X, problem.y, optimizer=SGD(0.01), n_epochs=n_epochs,
                          batch_size=problem.batch_size, random_state=0)

    return rise_of_memory(work)

name, dtype, n_calls, n_epochs = sys.argv[1:]
problem = WORKLOADS[name].problem(dtype)
train(WORKLOADS[name].problem(dtype, 8), 1, 1)  # code and tables are loaded
print(*train(problem, int(n_calls), int(n_epochs)))
"""

IMPORT = """
import time, numpy
began = time.perf_counter()
import cbackprop
print(time.perf_counter() - began)
"""


def measure(rounds, dtype):
    """A line for each figure; the result has them all."""
    memory = {}
    for name, workload in WORKLOADS.items():
        peak, _ = common.of_process(TRAIN, name, dtype, 1, 1)
        allowed = allowance(workload, np.dtype(dtype).itemsize) / 1024
        memory[name] = {"kilobytes": peak, "allowed": allowed}
        yield f"{name:8} training takes {peak:,.0f} kB beyond the data, of {allowed:,.0f} allowed"
    _, growth = common.of_process(TRAIN, "xor", dtype, 1000, 250)
    yield f"a million steps in a thousand calls leave {growth:,.0f} kB"
    seconds = [common.of_process(IMPORT)[0] for _ in range(10 * rounds)]
    yield f"import cbackprop takes {1e3 * min(seconds):.1f} ms after import numpy"
    megabytes = installed_bytes() / 1e6
    yield f"the package's files are {megabytes:.1f} MB"
    denormals = common.in_turn(
        [stepper(kind, dtype) for kind in ("ordinary", "weights", "inputs")], rounds
    )
    ordinary = denormals["ordinary"]["seconds_min"]
    for kind in ("weights", "inputs"):
        taken = denormals[kind]["seconds_min"]
        yield (
            f"a step with denormal {kind} takes {in_microseconds(taken)} µs, "
            f"{taken / ordinary:.2f} times the ordinary {in_microseconds(ordinary)} µs"
        )
    yield {
        "memory": memory,
        "growth_kilobytes": growth,
        "import_seconds": seconds,
        "installed_megabytes": megabytes,
        "denormals": denormals,
    }


def allowance(workload, itemsize):
    """What training may take beyond the data, in bytes."""
    n_rows = min(workload.batch_size, BLOCK_ROWS)
    n_parameters = workload.problem("float32", 1).parameters.size
    n_inputs, *others = workload.layer_sizes
    return 2**21 + itemsize * (4 * n_parameters + n_rows * (n_inputs + 2 * sum(others)))


def installed_bytes():
    """Of modules and data, as an installation has them; sources of the build do not count."""
    suffixes = {".py", ".so", ".pyd", ".gz", ".md"}
    files = Path(cbackprop.__file__).parent.rglob("*")
    return sum(file.stat().st_size for file in files if file.suffix in suffixes)


def stepper(kind, dtype):
    """A contestant that takes tabular's steps; `kind` says what is denormal."""
    workload = WORKLOADS["tabular"]
    X = workload.problem(dtype, 2048).X
    if kind == "inputs":
        X[:] = DENORMAL[dtype]
    network = Network(workload.layer_sizes, activation="tanh", dtype=dtype, random_state=0)
    if kind == "weights":
        network.parameters = np.full(network.n_parameters, DENORMAL[dtype])
    else:
        for biases in network.biases:
            biases[:] = 0  # else activations would be ordinary, whatever the inputs
    start, y = network.parameters.copy(), np.zeros(len(X), dtype)

    def run(n_epochs):
        network.parameters = start
        began = time.perf_counter()
        network.train(
            X, y, optimizer=SGD(LEARNING_RATE), batch_size=workload.batch_size, n_epochs=n_epochs
        )
        return (time.perf_counter() - began) / (len(X) // workload.batch_size)

    return Contestant(kind, run, 0.05)


if __name__ == "__main__":
    common.run(__doc__, measure, rounds=5)
