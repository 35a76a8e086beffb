"""What `fit` of the estimators adds to `Network.train` on the same data, in turn.

python benchmarks/fits.py [--json FILE] [--rounds N] [--dtype float64]

Both train the same network with plain gradient descent on the same batches' sizes for as many
epochs. What `fit` adds is its checks of the data, the encoding of labels, initial weights, the
rule that stops, and the loss of each epoch in a list. On tiny data it is told as microseconds an
epoch, from the difference between fits of many epochs and of few, and as microseconds a fit, from
fits of one epoch.
"""

import time
import warnings

import common
import numpy as np

from cbackprop import SGD, MLPClassifier, MLPRegressor
from cbackprop.cli.measuring import Contestant
from cbackprop.cli.peers.own import estimator_of, network_of
from cbackprop.cli.workloads import LEARNING_RATE, SHUFFLE_SEED, WORKLOADS

LARGE = "tabular", "digits", "mnist", "deep", "wide"
N_EPOCHS = 5
FEW, MANY = 1, 2001  # epochs on tiny data


def measure(rounds, dtype):
    """A line for each workload; the result has the rounds of both."""
    rows = []
    for name in LARGE:
        peers = time_both(WORKLOADS[name], dtype, N_EPOCHS, rounds)
        fit, train = (peers[kind]["seconds_min"] for kind in ("fit", "train"))
        rows.append({"name": name, "peers": peers, "overhead": fit / train - 1})
        yield f"{name:8} fit takes {fit / train - 1:+.1%} of Network.train's time more"
    few, many = (time_both(WORKLOADS["xor"], dtype, n_epochs, rounds) for n_epochs in (FEW, MANY))
    added = [peers["fit"]["seconds_min"] - peers["train"]["seconds_min"] for peers in (few, many)]
    an_epoch = (added[1] - added[0]) / (MANY - FEW)
    rows.append({"name": "xor", "few": few, "many": many, "seconds_per_epoch": an_epoch})
    yield f"xor      fit adds {1e6 * an_epoch:.3f} µs an epoch, {1e6 * added[0]:.0f} µs a fit"
    yield {"workloads": rows}


def time_both(workload, dtype, n_epochs, rounds):
    """Whole trainings by both, in turn, by name."""
    problem = workload.problem(dtype)
    estimator = estimator_of(
        problem,
        (MLPRegressor, MLPClassifier),
        max_iter=n_epochs,
        tol=0,
        n_iter_no_change=np.inf,
        random_state=SHUFFLE_SEED,
    )

    def fit(n_fits):
        began = time.perf_counter()
        for _ in range(n_fits):
            estimator.fit(problem.X, problem.y)
        return time.perf_counter() - began

    def train(n_fits):
        seconds = 0.0
        for _ in range(n_fits):
            network = network_of(problem)
            began = time.perf_counter()
            network.train(
                problem.X,
                problem.y,
                optimizer=SGD(LEARNING_RATE),
                batch_size=problem.batch_size,
                n_epochs=n_epochs,
                random_state=SHUFFLE_SEED,
            )
            seconds += time.perf_counter() - began
        return seconds

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of epochs that are not enough
        contestants = [Contestant("fit", fit, 0.05), Contestant("train", train, 0.05)]
        return common.in_turn(contestants, rounds, seconds=10)


if __name__ == "__main__":
    common.run(__doc__, measure, rounds=40)
