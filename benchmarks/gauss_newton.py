"""The arithmetic of a step of Levenberg-Marquardt as a share of the FMA peak.

python benchmarks/gauss_newton.py [--json FILE] [--rounds N]

`Network.gauss_newton` makes J^T J and J^T r; counted are rows * n * (n + 1) operations, those of
one half of the symmetric product and of J^T r, nothing else that it does. An epoch of
`Network.train` solves the equations, too, n ** 3 / 3 operations each time. One thread; seconds are
the processor's.
"""

import math
import time

import common
import numpy as np
from cbackprop._kernels.testing import Bench

from cbackprop import LevenbergMarquardt, Network
from cbackprop._kernels import dispatch
from cbackprop.cli.measuring import Contestant

LAYERS, N_ROWS, N_EPOCHS = (8, 50, 1), 5000, 5


def measure(rounds, dtype):
    """A line for each; the result has the rounds of both."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((N_ROWS, LAYERS[0]))
    y = np.sin(X).sum(axis=1)
    network = Network(LAYERS, activation="tanh", random_state=0)
    n = network.n_parameters
    square, solution = N_ROWS * n * (n + 1), n**3 / 3

    def make_square(n_times):
        began = time.process_time()
        for _ in range(n_times):
            network.gauss_newton(X, y)
        return time.process_time() - began

    def train(n_times):
        seconds = 0.0
        for _ in range(n_times):
            trained = Network(LAYERS, activation="tanh", random_state=0)
            optimizer = LevenbergMarquardt()
            began = time.process_time()
            trained.train(X, y, optimizer=optimizer, n_epochs=N_EPOCHS, n_threads=1)
            seconds += time.process_time() - began
        # of each success a division by ten, of each failure a multiplication
        raised = round(math.log10(optimizer.current_mu / optimizer.mu)) + N_EPOCHS
        operations["an epoch"] = square + (N_EPOCHS + raised) / N_EPOCHS * solution
        return seconds / N_EPOCHS

    operations = {"JᵀJ and Jᵀr": square}
    contestants = [Contestant("JᵀJ and Jᵀr", make_square, 0.1), Contestant("an epoch", train, 0.2)]
    kernels = Bench(dispatch.IN_USE, dtype)
    peaks = [kernels.fma_peak(0.02) / 1e9 for _ in range(rounds)]
    peers = common.in_turn(contestants, rounds)
    peaks += [kernels.fma_peak(0.02) / 1e9 for _ in range(rounds)]
    for name, peer in peers.items():
        peer["share"] = operations[name] / peer["seconds_min"] / 1e9 / max(peaks)
        yield (
            f"{name}: {1e3 * peer['seconds_min']:.2f} ms, {peer['share']:.1%} of the FMA peak "
            f"({max(peaks):.1f} GFLOP/s)"
        )
    yield {
        "layers": list(LAYERS),
        "rows": N_ROWS,
        "parameters": n,
        "peaks_gflops": peaks,
        "peers": peers,
    }


if __name__ == "__main__":
    common.run(__doc__, measure, rounds=20, dtypes=("float64",))
