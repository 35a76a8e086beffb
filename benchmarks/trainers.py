"""Loss against time of every trainer, on four problems.

python benchmarks/trainers.py [--json FILE] [--rounds N]

Each round is a seed for the initial weights and the order of the rows. Trainers begin with the same
weights, use one thread and have the same seconds, which are the processor's; of the seeds, the one
whose last loss is the median is shown. Those with a learning rate have batches of 32 rows and the
best of a few rates (by the lowest loss at the end), whose search is not counted; the others take
the whole set and their defaults, with rules for stopping put off. Losses are those that
`Network.train` returns; under batches they are averages over an epoch. A trainer for which a
problem is not made, or too large, is left out there.
"""

import functools
import time
from collections.abc import Callable
from typing import NamedTuple

import common
import data
import numpy as np

import cbackprop
from cbackprop import Network
from cbackprop.cli.terminal import in_milliseconds

RATES = 0.001, 0.003, 0.01, 0.03
LARGER_RATES = 0.003, 0.01, 0.03, 0.1
BATCH = 32
MOST_PARAMETERS = 2000  # for J^T J
MOST_POINTS = 80  # of a curve that is kept
ENDLESS = 10**9


class Problem(NamedTuple):
    """What is to be learnt, in how many seconds, and the loss to which the time is taken."""

    name: str
    X: np.ndarray
    y: np.ndarray
    layers: tuple
    seconds: float
    target: float
    loss: str = "squared_error"

    def network(self, seed):
        output = "softmax" if self.loss == "log_loss" else "identity"
        return Network(
            self.layers,
            activation="tanh",
            output_activation=output,
            loss=self.loss,
            random_state=seed,
        )


class Trainer(NamedTuple):
    """How a fresh optimizer is made, of a learning rate where it has one."""

    make: Callable
    rates: tuple = (None,)
    normal_equations: bool = False

    def takes(self, problem):
        n_parameters = problem.network(0).n_parameters
        return not self.normal_equations or (
            problem.loss == "squared_error" and n_parameters <= MOST_PARAMETERS
        )


def problems():
    arm, cars, digits, many = data.robot_arm(), data.auto_mpg(), data.digits(), data.friedman()
    return [
        Problem("robot arm", *arm, (2, 20, 2), 0.5, 1e-5),
        Problem("Auto MPG", *cars, (7, 20, 1), 0.5, 0.03),
        Problem("digits", *digits, (64, 50, 10), 1.5, 0.01, "log_loss"),
        Problem("Friedman", *many, (10, 64, 64, 1), 3.0, 0.021),
    ]


def trainers():
    return {
        "SGD": Trainer(functools.partial(cbackprop.SGD, momentum=0.9, nesterov=True), LARGER_RATES),
        "Adam": Trainer(cbackprop.Adam, RATES),
        "AdamW": Trainer(cbackprop.AdamW, RATES),
        "RMSprop": Trainer(cbackprop.RMSprop, RATES),
        "Rprop": Trainer(functools.partial(cbackprop.Rprop, "iplus")),
        "ScaledConjugateGradient": Trainer(cbackprop.ScaledConjugateGradient),
        "LBFGS": Trainer(functools.partial(cbackprop.LBFGS, gtol=0, ftol=0)),
        "LevenbergMarquardt": Trainer(
            functools.partial(cbackprop.LevenbergMarquardt, min_grad=0), normal_equations=True
        ),
        "BayesianRegularization": Trainer(
            functools.partial(cbackprop.BayesianRegularization, min_grad=0), normal_equations=True
        ),
    }


def measure(rounds, dtype):
    """Lines for each problem; the result has the curves."""
    rows = []
    for problem in problems():
        rows.append(
            {
                "name": problem.name,
                "layers": list(problem.layers),
                "rows": len(problem.X),
                "loss": problem.loss,
                "seconds": problem.seconds,
                "target": problem.target,
                "trainers": {},
            }
        )
        yield f"{problem.name}, {problem.seconds:g} s:"
        for name, trainer in trainers().items():
            if trainer.takes(problem):
                found = best_curve(problem, trainer, rounds)
                rows[-1]["trainers"][name] = found
                yield (
                    f"  {name:24} {in_ms(found['seconds_per_epoch'])} ms an epoch, loss "
                    f"{found['losses'][-1]:.3g}, to {problem.target:g} in "
                    f"{in_ms(found['seconds_to_target'])} ms"
                )
    yield {"problems": rows}


def in_ms(seconds):
    return "–" if seconds is None else in_milliseconds(seconds)


def best_curve(problem, trainer, rounds):
    """Of the best learning rate, the seed in the middle."""
    middles = []
    curve(problem._replace(seconds=0), trainer.make, trainer.rates[0], 0)  # code is loaded
    for rate in trainer.rates:
        runs = [curve(problem, trainer.make, rate, seed) for seed in range(rounds)]
        middles.append(sorted(runs, key=lambda run: run["losses"][-1])[rounds // 2])
    return min(middles, key=lambda run: run["losses"][-1])


def curve(problem, make, rate, seed):
    """Seconds and losses of one training."""
    network = problem.network(seed)
    optimizer = make() if rate is None else make(rate)
    seconds, losses = [], []
    began = time.process_time()

    def note(state):
        seconds.append(time.process_time() - began)
        losses.append(state.loss)
        return seconds[-1] > problem.seconds

    network.train(
        problem.X,
        problem.y,
        optimizer=optimizer,
        batch_size=None if rate is None else BATCH,
        n_epochs=ENDLESS,
        random_state=seed,
        callback=note,
        n_threads=1,
    )
    to_target = next(
        (s for s, loss in zip(seconds, losses, strict=True) if loss <= problem.target), None
    )
    kept = thinned(seconds)
    return {
        "learning_rate": rate,
        "epochs": len(losses),
        "seconds_per_epoch": seconds[-1] / len(seconds),
        "seconds_to_target": to_target,
        "seconds": [seconds[k] for k in kept],
        "losses": [losses[k] for k in kept],
    }


def thinned(seconds):
    """The places of some of them, as far apart on a logarithmic axis, the first and the last."""
    marks = np.geomspace(seconds[0], seconds[-1], MOST_POINTS)
    return sorted(set(np.searchsorted(seconds, marks).clip(max=len(seconds) - 1).tolist()))


if __name__ == "__main__":
    common.run(__doc__, measure, rounds=3, dtypes=("float64",))
