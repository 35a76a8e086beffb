"""Least squares to small errors by Levenberg-Marquardt, beside other libraries, seed by seed.

python benchmarks/marquardt.py [--json FILE] [--rounds N]

Each round is a seed: every contestant begins with the initial weights that it draws, and trains on
one thread until the mean squared error (over rows and outputs) is as low as the problem's two
targets, or the problem's limit of seconds is over. Contestants take turns; as many rounds run at
once as there are cores. Rules for stopping are put off as far as they go, and who stops all the
same has not arrived. Seconds are those of the processor until the evaluation that is good enough;
epochs are evaluations of derivatives: our iterations, gradients for L-BFGS, Jacobians for SciPy (of
its own differences, calls by columns).

- cbackprop: `LevenbergMarquardt`, its damping as it is by default, and Nielsen's.
- scikit-learn: `MLPRegressor(solver="lbfgs", alpha=0)`; SciPy's ftol stops it, then it goes on with
  `warm_start` as long as that lowers the error.
- PyTorch: `torch.optim.LBFGS`, `line_search_fn="strong_wolfe"`, the whole set in one closure.
- SciPy: `least_squares(method="lm")` on `Network.predict`, with its own differences, and with
  `Network.jacobian`.

The problems are those of data.py, with tanh units and linear outputs. Auto MPG is fitted to 5 % and
3 % of its variance, for no network of this size fits it to 1e-6. Their sizes, and the limits, were
chosen by first runs of all contestants: so that 1e-10 can be reached (two periods of the sine have
local minima just above it, where ours stayed in three runs of eight), and that the limit is ten
times our median at least.
"""

import contextlib
import functools
import math
import multiprocessing
import os
import signal
import statistics
import time
import warnings
from typing import NamedTuple

import common
import data
import numpy as np

from cbackprop import LevenbergMarquardt, Network
from cbackprop.cli.machine import THREAD_SETTINGS, BenchError
from cbackprop.cli.terminal import in_milliseconds, in_times

ENDLESS = 10**9


class Problem(NamedTuple):
    """What is to be fitted, how well, and in how many seconds at most."""

    name: str
    X: np.ndarray
    y: np.ndarray
    hidden: tuple
    targets: tuple
    seconds: float

    def network(self, seed):
        sizes = (self.X.shape[1], *self.hidden, self.y.shape[1])
        return Network(sizes, activation="tanh", random_state=seed)


def problems():
    both = (1e-6, 1e-10)
    return [
        Problem("sine", *data.sine(), (10,), both, 0.4),
        Problem("curve", *data.curve(), (10,), both, 0.6),
        Problem("Mackey-Glass", *data.mackey_glass(), (20,), both, 0.6),
        Problem("robot arm", *data.robot_arm(), (20,), both, 3.0),
        Problem("Auto MPG", *data.auto_mpg(), (20,), (0.05, 0.03), 0.4),
    ]


# ---- a run ---------------------------------------------------------------------------------


class Over(Exception):
    """All targets are reached, or the time is over."""


class Run:
    """Seconds and epochs until each target, of one contestant with one seed."""

    def __init__(self, problem):
        self.targets, self.seconds = problem.targets, problem.seconds
        self.reached = []
        self.epochs = 0
        self.began = time.process_time()

    @property
    def left(self):
        """Seconds."""
        return self.seconds - (time.process_time() - self.began)

    def see(self, error):
        """The error of parameters that the contestant has come to."""
        left = self.left
        while left > 0 and self.missing and error <= self.missing[0]:
            self.reached.append((self.seconds - left, self.epochs))
        if left <= 0 or not self.missing:
            raise Over

    @property
    def missing(self):
        return self.targets[len(self.reached) :]


def run_cbackprop(problem, seed, run, damping="marquardt"):
    network = problem.network(seed)
    optimizer = LevenbergMarquardt(min_grad=0, damping=damping)
    half_outputs = problem.y.shape[1] / 2
    loss, before = math.inf, None
    # until no step lowers it any more
    while loss != before:
        before = loss
        losses = network.train(
            problem.X,
            problem.y,
            optimizer=optimizer,
            n_epochs=ENDLESS,
            target_loss=run.missing[0] * half_outputs,
            max_time=max(run.left, 1e-9),
            n_threads=1,
        )
        run.epochs += len(losses)
        if len(losses):
            loss = losses[-1]
        run.see(loss / half_outputs)


def run_sklearn(problem, seed, run):
    from sklearn.neural_network import MLPRegressor

    class Watched(MLPRegressor):
        """Its loss is half the mean squared error."""

        def _loss_grad_lbfgs(self, *args):
            run.epochs += 1
            loss, gradient = super()._loss_grad_lbfgs(*args)
            run.see(2 * loss)
            return loss, gradient

    model = Watched(
        hidden_layer_sizes=problem.hidden,
        activation="tanh",
        solver="lbfgs",
        alpha=0,
        tol=0,
        max_iter=ENDLESS,
        max_fun=ENDLESS,
        warm_start=True,
        random_state=seed,
    )
    y = problem.y if problem.y.shape[1] > 1 else problem.y.ravel()
    loss = math.inf
    while model.fit(problem.X, y).loss_ < loss:
        loss = model.loss_


def run_torch(problem, seed, run):
    import torch

    initial = problem.network(seed)
    layers = []
    for weights, biases in zip(initial.weights, initial.biases, strict=True):
        layer = torch.nn.Linear(*weights.shape, dtype=torch.float64)
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(weights.T))
            layer.bias.copy_(torch.from_numpy(biases))
        layers += [layer, torch.nn.Tanh()]
    model = torch.nn.Sequential(*layers[:-1])
    X, y = torch.from_numpy(problem.X), torch.from_numpy(problem.y)
    optimizer = torch.optim.LBFGS(
        model.parameters(),
        max_iter=ENDLESS,
        max_eval=ENDLESS,
        tolerance_grad=0,
        tolerance_change=0,
        line_search_fn="strong_wolfe",
    )

    def closure():
        run.epochs += 1
        optimizer.zero_grad()
        error = torch.nn.functional.mse_loss(model(X), y)
        error.backward()
        run.see(error.item())
        return error

    optimizer.step(closure)


def run_scipy(problem, seed, run, with_jacobian=False):
    from scipy.optimize import least_squares

    network = problem.network(seed)
    n_calls = 0

    def residuals(parameters):
        nonlocal n_calls
        n_calls += 1
        if not with_jacobian:
            run.epochs = n_calls // (network.n_parameters + 1)
        network.parameters = parameters
        found = (network.predict(problem.X, n_threads=1) - problem.y).ravel()
        run.see(found @ found / found.size)
        return found

    def jacobian(parameters):
        run.epochs += 1
        network.parameters = parameters
        return network.jacobian(problem.X).reshape(-1, network.n_parameters)

    least_squares(
        residuals,
        network.parameters.copy(),
        jac=jacobian if with_jacobian else "2-point",
        method="lm",
        ftol=EPSILON,
        xtol=EPSILON,
        gtol=EPSILON,
        max_nfev=ENDLESS,
    )


EPSILON = float(np.finfo(float).eps)
OURS = OWN, WITH_NIELSEN = "cbackprop", "cbackprop, Nielsen"
LIBRARIES = "scikit-learn", "PyTorch", "SciPy"
WITH_JACOBIAN = "SciPy, our Jacobian"
CONTESTANTS = {
    OWN: run_cbackprop,
    WITH_NIELSEN: functools.partial(run_cbackprop, damping="nielsen"),
    "scikit-learn": run_sklearn,
    "PyTorch": run_torch,
    "SciPy": run_scipy,
    WITH_JACOBIAN: functools.partial(run_scipy, with_jacobian=True),
}


# ---- measuring -----------------------------------------------------------------------------


def measure(rounds, dtype):
    """Lines for each problem; the result has every run."""
    peers = versions()
    rows = []
    with multiprocessing.get_context("spawn").Pool(initializer=get_ready) as pool:
        for problem in problems():
            network = problem.network(0)
            found = pool.map(functools.partial(one_round, problem), range(rounds), chunksize=1)
            rows.append(
                {
                    "name": problem.name,
                    "layers": list(network.layer_sizes),
                    "rows": len(problem.X),
                    "parameters": network.n_parameters,
                    "targets": list(problem.targets),
                    "limit": problem.seconds,
                    "runs": {name: [one[name] for one in found] for name in CONTESTANTS},
                }
            )
            yield from lines_of(rows[-1])
    yield {"problems": rows, "peers": peers}


def get_ready():
    """A process that runs rounds: code is loaded."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C: the parent process ends this one
    versions()
    one_round(problems()[0]._replace(seconds=0.05), 0)


def one_round(problem, seed):
    """What each contestant reaches, in turn."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of searches that do not end well
        return {name: reached_by(name, problem, seed) for name in CONTESTANTS}


def versions():
    """Of the other libraries; PyTorch is told to use one thread."""
    try:
        import scipy
        import sklearn
        import torch
    except ImportError as error:
        raise BenchError(
            f"this needs scikit-learn, PyTorch and SciPy: there is no {error.name}"
        ) from None
    torch.set_num_threads(1)
    libraries = {"scikit-learn": sklearn, "PyTorch": torch, "SciPy": scipy}
    return {name: library.__version__ for name, library in libraries.items()}


def reached_by(name, problem, seed):
    """[seconds, epochs] until each target that a contestant reaches."""
    run = Run(problem)
    with contextlib.suppress(Over):
        CONTESTANTS[name](problem, seed, run)
    return run.reached


def summary(row, target):
    """By contestant: how many arrive at the row's first or second target, and the medians.

    Who does not arrive takes forever: where less than half do, medians are infinite.
    """
    found = {}
    for name, runs in row["runs"].items():
        reached = [run[target] if len(run) > target else (math.inf, math.inf) for run in runs]
        seconds, epochs = zip(*reached, strict=True)
        found[name] = {
            "arrived": sum(map(math.isfinite, seconds)),
            "seconds": statistics.median_high(seconds),
            "epochs": statistics.median_high(epochs),
        }
    return found


def factors(row, target):
    """How many times our seconds the fastest library takes, and SciPy with our Jacobian.

    (at least, whether that is all that is known: they arrive after the limit). 0 where ours does.
    """
    seconds = {name: one["seconds"] for name, one in summary(row, target).items()}
    others = min(seconds[name] for name in LIBRARIES), seconds[WITH_JACOBIAN]
    return [(min(one, row["limit"]) / seconds[OWN], one == math.inf) for one in others]


def in_words(factor, at_least):
    """As 12.3×, or > 12.3×."""
    return f"{'> ' if at_least else ''}{in_times(factor)}" if factor > 0 else "–"


def lines_of(row):
    yield f"{row['name']}, {row['rows']} rows, {row['parameters']} parameters"
    for k, target in enumerate(row["targets"]):
        for name, one in summary(row, k).items():
            yield f"  {target:g} {name:20} {' '.join(cells_of(one, len(row['runs'][name])))}"
        libraries, with_jacobian = (in_words(*one) for one in factors(row, k))
        yield f"  {target:g} times our seconds: {libraries}, with our Jacobian {with_jacobian}"


def cells_of(one, n_runs):
    """A contestant's successes and medians."""
    arrived = f"{one['arrived']} of {n_runs}"
    if not math.isfinite(one["seconds"]):
        return arrived, "–", "–"
    return arrived, in_milliseconds(one["seconds"]), f"{one['epochs']:,}"


if __name__ == "__main__":
    os.environ.update(THREAD_SETTINGS)  # of the processes that run rounds
    common.run(__doc__, measure, rounds=50, one_core=False, dtypes=("float64",))
