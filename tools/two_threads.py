"""What two networks in two threads gain, beside what two processes gain.

    python tools/two_threads.py

The gain is the work done in a second, over that of one thread; 2 is all there is to have.
"""

import argparse
import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np

from cbackprop import SGD, Network

ROUNDS = 5


def train(seed):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(2000, 8))
    network = Network((8, 64, 64, 1), random_state=seed)
    network.train(
        X, X[:, 0], optimizer=SGD(0.01), batch_size=32, n_epochs=100, random_state=seed, n_threads=1
    )


def call_much(seed):
    """What holds the GIL, where there is one: predictions of single rows."""
    network, row = Network((8, 32, 1), random_state=seed), np.ones((1, 8))
    for _ in range(200_000):
        network.predict(row)


def seconds(work, pool):
    start = time.perf_counter()
    list(pool.map(work, range(2)))
    return time.perf_counter() - start


def main():
    argparse.ArgumentParser(description=__doc__).parse_args()
    print("GIL", "on" if getattr(sys, "_is_gil_enabled", lambda: True)() else "off")
    spawn = multiprocessing.get_context("spawn")
    with (
        ThreadPoolExecutor(1) as one,
        ThreadPoolExecutor(2) as threads,
        ProcessPoolExecutor(2, mp_context=spawn) as processes,
    ):
        for work in (train, call_much):
            pools = {"one thread": one, "two threads": threads, "two processes": processes}
            for pool in pools.values():
                list(pool.map(work, range(2)))  # warm
            rounds = [{k: seconds(work, pool) for k, pool in pools.items()} for _ in range(ROUNDS)]
            best = {name: min(times[name] for times in rounds) for name in pools}
            for name in ("two threads", "two processes"):
                print(f"{work.__name__}: {name} gain {best['one thread'] / best[name]:.2f}")


if __name__ == "__main__":
    main()
