"""Who is how fast: peers that were seen to compute the same, timed in turn."""

import math
import statistics
import time

import numpy as np

from cbackprop._kernels import dispatch
from cbackprop._kernels.testing import Bench
from cbackprop.cli import peers as all_peers
from cbackprop.cli.machine import BenchError, describe
from cbackprop.cli.peers import PEERS, PREDICTORS, CannotTakePart
from cbackprop.cli.workloads import WORKLOADS

# Largest difference of a peer's change of the weights to cbackprop's, relative to that change, and
# of its predictions, relative to them. Rounding alone makes about a tenth of it, where the steps
# are short compared with the weights.
TOLERANCE = {"float32": 1e-4, "float64": 1e-11}

# Predicted at once: what a call costs, and what a row costs.
ROWS = 1, 20_000


def measure(training, predicting, dtype, rounds, seconds, with_others):
    """First the head of the result, then each workload's part of it, lines of progress between.

    Parameters
    ----------
    training, predicting : list of str
        Names of workloads.
    dtype : str
    rounds : int
    seconds : float
        For all turns of a peer on a workload.
    with_others : bool
        Whether other libraries take part.
    """
    peers, predictors = PEERS, PREDICTORS
    if with_others:
        yield "importing the other libraries"
        peers = [*peers, *all_peers.load(all_peers.OTHER_PEERS)]
        predictors = [*predictors, *all_peers.load(all_peers.OTHER_PREDICTORS)]
    head = describe()
    head["versions"] |= {
        peer.name: peer.version for peer in (*peers, *predictors) if peer.version is not None
    }
    yield head | {"dtype": dtype, "rounds": rounds, "seconds": seconds, "workloads": []}
    for name in training:
        yield from measure_training(WORKLOADS[name], dtype, rounds, seconds, peers)
    for name in predicting:
        for n_rows in ROWS:
            yield from measure_predicting(
                WORKLOADS[name], n_rows, dtype, rounds, seconds, predictors
            )


def measure_training(workload, dtype, rounds, seconds, peers=PEERS):
    """The steps of a workload."""
    title = workload.name
    yield f"{title}: do all compute the same?"
    differences, skipped = compare_training(workload, dtype, peers)
    problem = workload.problem(dtype)

    def make(peer_class):
        peer = peer_class(problem)
        contestant = trainer(peer, workload, seconds / rounds)
        if contestant.seconds_per_step > peer.longest_step:
            raise CannotTakePart(f"a step takes {contestant.seconds_per_step:.2g} s")
        return contestant

    timed = yield from time_in_turn(title, peers, make, skipped, differences, dtype, rounds)
    yield {
        "task": "training",
        "name": workload.name,
        "layers": list(workload.layer_sizes),
        "batch": workload.batch_size,
        "rows": workload.n_samples,
        "steps_per_epoch": workload.steps_per_epoch,
        "operations_per_step": workload.operations_per_step,
    } | timed


def measure_predicting(workload, n_rows, dtype, rounds, seconds, peers=PREDICTORS):
    """Calls that predict so many rows with a workload's network."""
    title = f"{workload.name}, predicting {n_rows}"
    yield f"{title}: do all compute the same?"
    problem = workload.problem(dtype, n_rows)
    differences, skipped = compare_predicting(title, problem, peers)

    def make(peer_class):
        peer = peer_class(problem)

        def run(n_calls):
            began = time.perf_counter()
            peer.predict(n_calls)
            return time.perf_counter() - began

        return Contestant(peer.name, run, seconds / rounds)

    timed = yield from time_in_turn(title, peers, make, skipped, differences, dtype, rounds)
    yield {
        "task": "predicting",
        "name": workload.name,
        "layers": list(workload.layer_sizes),
        "rows": n_rows,
        "operations_per_step": n_rows * workload.operations_to_predict,
    } | timed


def time_in_turn(title, peers, make, skipped, differences, dtype, rounds):
    """A B A B ..., and before each round the machine's own peak; returns that part of the result.

    `make` turns a peer's class into a `Contestant`. Who cannot take part is added to `skipped`.
    """
    contestants = []
    for peer in peers:
        if peer.name in skipped:
            continue
        yield f"{title}: getting {peer.name} ready"
        try:
            contestants.append(make(peer))
        except CannotTakePart as reason:
            skipped[peer.name] = str(reason)

    kernels = Bench(dispatch.IN_USE, dtype)
    peaks = []
    began, cpu_began = time.perf_counter(), time.process_time()
    for i in range(rounds):
        yield f"{title}: round {i + 1} of {rounds}"
        peaks.append(kernels.fma_peak(min(0.02, contestants[0].seconds_per_turn)) / 1e9)
        for contestant in contestants:
            if contestant.spent < rounds * contestant.seconds_per_turn:
                contestant.take_turn()
    elapsed, cpu_elapsed = time.perf_counter() - began, time.process_time() - cpu_began
    return {
        "peaks_gflops": peaks,
        "share_of_core": cpu_elapsed / elapsed,
        "peers": {
            contestant.name: contestant.result() | {"difference": differences[contestant.name]}
            for contestant in contestants
        },
        "skipped": skipped,
    }


def trainer(peer, workload, seconds_per_turn):
    """A `Contestant` that takes a workload's steps, always from the initial weights."""

    def run(n_steps):
        peer.restart()
        began = time.perf_counter()
        peer.train(n_steps)
        return time.perf_counter() - began

    least = workload.steps_per_epoch if peer.whole_epochs else 1
    most = workload.steps_per_epoch * workload.n_epochs
    return Contestant(peer.name, run, seconds_per_turn, least, most)


class Contestant:
    """Somebody's steps, and how long its turns took.

    A turn repeats runs as often as they fit into its time, so that all get turns of about the same
    length; a run is as many steps as fit, up to `most`.

    Parameters
    ----------
    name : str
    run : callable
        ``run(n_steps)`` takes the steps and returns the seconds.
    seconds_per_turn : float
    least : int
        Steps that a run is made of.
    most : int
        Steps in a run.
    """

    def __init__(self, name, run, seconds_per_turn, least=1, most=math.inf):
        self.name = name
        self.seconds_per_turn = seconds_per_turn
        self.seconds = []  # a step, of each turn
        self.spent = 0.0
        self._run = run
        self.n_steps, self.n_runs = least, 1
        run(least)  # warms up
        # runs grow until the clock can tell
        while True:
            self.seconds_per_step = run(self.n_steps) / self.n_steps
            fitting = min(most, seconds_per_turn / self.seconds_per_step)
            if fitting <= 4 * self.n_steps:
                break
            self.n_steps *= 4
        self.n_steps = max(1, int(fitting / least)) * least
        self.n_runs = max(1, round(seconds_per_turn / (self.n_steps * self.seconds_per_step)))

    def take_turn(self):
        """Work as long as a turn lasts."""
        seconds = sum(self._run(self.n_steps) for _ in range(self.n_runs))
        self.spent += seconds
        self.seconds.append(seconds / (self.n_runs * self.n_steps))

    def result(self):
        """Its part of the result; a step is a step of training or a call that predicts."""
        return {
            "seconds_min": min(self.seconds),
            "seconds_median": statistics.median(self.seconds),
            "rounds": self.seconds,
            "steps_per_round": self.n_runs * self.n_steps,
        }


# ---- do all compute the same? --------------------------------------------------------------


def compare_training(workload, dtype, peers):
    """Train a few steps with each: how far the changes of their weights are from the first's.

    Returns
    -------
    differences : dict
        By name, relative to the change.
    skipped : dict
        By name, why somebody cannot take part.
    """
    batch_size = workload.batch_size
    # A full batch and a short one, twice: the second epoch has an order of its own.
    problem = workload.problem(dtype, n_samples=max(8, batch_size + batch_size // 2))

    def change(peer_class):
        peer = peer_class(problem)
        peer.restart()
        peer.train(2 * problem.steps_per_epoch)
        return np.asarray(peer.parameters, dtype=np.float64) - problem.parameters

    tolerances = {peer.name: peer.tolerance or TOLERANCE[dtype] for peer in peers}
    steps = 2 * problem.steps_per_epoch
    what = f"after {steps} steps the changes of their weights differ by {{}} of the change"
    return compare(workload.name, peers, change, tolerances, what)


def compare_predicting(title, problem, peers):
    """The same for the outputs of each."""

    def outputs(peer_class):
        values = np.asarray(peer_class(problem).predict(1), dtype=np.float64)
        return values.reshape(len(problem.X), -1)

    tolerances = {peer.name: TOLERANCE[problem.X.dtype.name] for peer in peers}
    return compare(title, peers, outputs, tolerances, "their outputs differ by {} of them")


def compare(title, peers, values_of, tolerances, what):
    """Differences from the first, those skipped; a `BenchError` where one is too large."""
    values, skipped = {}, {}
    for peer in peers:
        try:
            values[peer.name] = values_of(peer)
        except CannotTakePart as reason:
            skipped[peer.name] = str(reason)
    first, expected = next(iter(values.items()))
    differences = {}
    for name, found in values.items():
        difference = float(np.linalg.norm(found - expected) / np.linalg.norm(expected))
        if not difference < tolerances[name]:
            raise BenchError(
                f"{title}: {name} and {first} do not compute the same: "
                f"{what.format(f'{difference:.1e}')} ({tolerances[name]:.0e} is allowed)"
            )
        differences[name] = difference
    return differences, skipped
