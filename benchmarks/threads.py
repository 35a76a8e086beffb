"""What a second thread gains, against what this machine gives to any two threads.

python benchmarks/threads.py [--json FILE] [--rounds N] [--dtype float64]

Virtual cores are sometimes the two halves of one. The control is two threads, each held to a core
of its own, that multiply and add in registers, against one: the same kernels as the FMA peak's.
In each round the control and the gains are measured one after the other, and a gain is divided by
the control of its round; the best round counts. Needs two cores.

- Inside a batch: `Network.train(n_threads=2)` against `n_threads=1`, at wide and deep with batches
  of 256 and 1024.
- The default: `n_threads=None` against `n_threads=1` on the seven workloads, where it may lose 3 %
  at most.
- Side by side: two Python threads, each of which trains a network of its own.
"""

import os
import threading
import time
from dataclasses import replace

import common
from cbackprop._kernels.testing import Bench

from cbackprop import SGD
from cbackprop._kernels import dispatch
from cbackprop.cli.machine import BenchError
from cbackprop.cli.peers.own import network_of
from cbackprop.cli.workloads import LEARNING_RATE, WORKLOADS

SECONDS = 0.2  # of a run at least


def measure(rounds, dtype):
    """A line for each question; the result has the gain and the control of each round."""
    cores = sorted(os.sched_getaffinity(0))[:2] if hasattr(os, "sched_getaffinity") else []
    if len(cores) < 2:
        raise BenchError("needs two cores, and a system that can hold threads to them")
    # the default is asked for two, where the other libraries are held to one
    os.environ["CBACKPROP_NUM_THREADS"] = "2"
    kernels = Bench(dispatch.IN_USE, dtype)
    rows = []
    for name in ("deep", "wide"):
        for batch_size in (256, 1024):
            work = Work(replace(WORKLOADS[name], batch_size=batch_size), dtype)
            row = {"name": name, "batch": batch_size, "kind": "inside a batch", "gains": []}
            rows.append(row)
            for _ in range(rounds):
                gain = work.seconds(1) / work.seconds(2)
                row["gains"].append([gain, control(kernels, cores)])
            yield line(row)
    for name in ("tabular", "wide"):
        works = [Work(WORKLOADS[name], dtype) for _ in range(2)]
        row = {"name": name, "batch": works[0].batch_size, "kind": "side by side", "gains": []}
        rows.append(row)
        for _ in range(rounds):
            alone = works[0].seconds(1)
            both = seconds_of_threads([lambda work=work: work.seconds(1) for work in works])
            row["gains"].append([2 * alone / both, control(kernels, cores)])
        yield line(row)
    for name, workload in WORKLOADS.items():
        work = Work(workload, dtype)
        row = {"name": name, "batch": workload.batch_size, "kind": "default", "seconds": []}
        rows.append(row)
        for _ in range(rounds):
            row["seconds"].append([work.seconds(1), work.seconds(None)])
        yield f"{name:8} default: {default_over_one(row):.3f} times as long as one thread"
    yield {"rows": rows}


def best_round(row):
    """The gain and the control of the round in which the one was the most of the other."""
    return max(row["gains"], key=lambda pair: pair[0] / pair[1])


def default_over_one(row):
    """The fastest round of the default, as a part of the fastest of one thread."""
    one, default = (min(seconds) for seconds in zip(*row["seconds"], strict=True))
    return default / one


def line(row):
    """The best round, as a line of text."""
    gain, by_control = best_round(row)
    return (
        f"{row['name']:8} batch {row['batch']:>4}, {row['kind']}: {gain:.2f} times as fast; "
        f"control {by_control:.2f}; {gain / by_control:.3f} of it"
    )


class Work:
    """A network, and epochs enough for the clock."""

    def __init__(self, workload, dtype):
        self.batch_size = workload.batch_size
        self._problem = workload.problem(dtype)
        self._network = network_of(self._problem)
        self._n_epochs = 1
        while (seconds := self.seconds(1)) < SECONDS:
            self._n_epochs = max(2 * self._n_epochs, int(self._n_epochs * SECONDS / seconds))

    def seconds(self, n_threads):
        """How long these epochs take, always from the initial weights."""
        self._network.parameters = self._problem.parameters
        began = time.perf_counter()
        self._network.train(
            self._problem.X,
            self._problem.y,
            optimizer=SGD(LEARNING_RATE),
            batch_size=self.batch_size,
            n_epochs=self._n_epochs,
            random_state=0,
            n_threads=n_threads,
        )
        return time.perf_counter() - began


def control(kernels, cores):
    """How many times the multiply-adds of one thread two make, each on a core of its own."""
    rates = []

    def multiply(core):
        os.sched_setaffinity(0, {core})  # of this thread
        rates.append(kernels.fma_peak(SECONDS))

    seconds_of_threads([lambda: multiply(cores[0])])
    alone = rates.pop()
    seconds_of_threads([lambda core=core: multiply(core) for core in cores])
    return sum(rates) / alone


def seconds_of_threads(functions):
    """From their common start until the last is done."""
    start = threading.Barrier(len(functions) + 1)

    def run(function):
        start.wait()
        function()

    threads = [threading.Thread(target=run, args=(function,)) for function in functions]
    for thread in threads:
        thread.start()
    start.wait()
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    return time.perf_counter() - began


if __name__ == "__main__":
    common.run(__doc__, measure, rounds=7, one_core=False)
