"""Proben1 (Prechelt 1994) by the report's own recipe, beside the published means.

    python benchmarks/proben1.py FOLDER

FOLDER has the report's files (`building1.dt` ..., gzip-compressed or not) and
`published_no_shortcut.csv`, its tables 10 and 11. The package keeps no copy of either.
"""

import argparse
import csv
import gzip
import math
import multiprocessing
import time
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from common import with_head

from cbackprop import Network, Rprop
from cbackprop.cli.bench import positive, write_json

# The report's recipe.
BOUND = 0.01  # of the initial weights
FIRST_STEPS = 0.005, 0.02
STRIP = 5  # epochs between two looks at the validation error
MOST_EPOCHS = 3000
LARGEST_LOSS_OF_GENERALISATION = 5
LEAST_PROGRESS = 0.1

FIGURES = "test_mse_pct", "class_err_pct", "train_mse_pct", "valid_mse_pct", "epochs"


class Problem(NamedTuple):
    """Training, validation and test set, each (X, y), and a row of the report's tables."""

    train: tuple
    validation: tuple
    test: tuple
    published: dict


def read_problem(folder, published):
    path = folder / f"{published['problem']}.dt"
    if not path.exists():
        path = path.with_suffix(".dt.gz")
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt") as file:
        head = dict(next(file).split("=") for _ in range(7))
        rows = np.loadtxt(file)
    sizes = {name: int(number) for name, number in head.items()}
    n_inputs = sizes["bool_in"] + sizes["real_in"]
    parts = np.split(
        rows,
        np.cumsum([sizes["training_examples"], sizes["validation_examples"]]),
    )
    return Problem(*((part[:, :n_inputs], part[:, n_inputs:]) for part in parts), published)


def train(problem, seed):
    """One run: the figures of the report's tables."""
    rng = np.random.RandomState(seed)
    (X, y), row = problem.train, problem.published
    hidden = [int(row[name]) for name in ("hidden1", "hidden2") if int(row[name])]
    output = {"linear": "identity", "softsign": "softsign"}[row["output"]]
    network = Network((X.shape[1], *hidden, y.shape[1]), "softsign", output, random_state=rng)
    network.parameters = rng.uniform(-BOUND, BOUND, network.n_parameters)
    # the report does not say which RPROP it was; this one trains about as long as its tables say
    optimizer = Rprop(
        "iplus", rng.uniform(*FIRST_STEPS, network.n_parameters), min_step=0.0, max_step=50.0
    )
    percent = 200 / y.shape[1]  # squared error percentage of the mean of half the squares
    best, best_parameters, least, epochs = math.inf, None, math.inf, 0
    while epochs < MOST_EPOCHS:
        errors = percent * network.train(
            X, y, optimizer=optimizer, n_epochs=STRIP, shuffle=False, n_threads=1
        )
        epochs += STRIP
        least = min(least, errors.min())
        error = percent * network.loss_value(*problem.validation, n_threads=1)
        if error < best:
            best, best_parameters = error, network.parameters.copy()
        progress = 1000 * (errors.mean() / errors.min() - 1)
        loss_of_generalisation = 100 * (error / best - 1)
        if progress < LEAST_PROGRESS or loss_of_generalisation > LARGEST_LOSS_OF_GENERALISATION:
            break
    network.parameters = best_parameters
    X, y = problem.test
    wrong = network.predict(X, n_threads=1).argmax(axis=1) != y.argmax(axis=1)
    test = percent * network.loss_value(X, y, n_threads=1)
    return dict(zip(FIGURES, (test, 100 * wrong.mean(), least, best, epochs), strict=True))


def compare(published, runs):
    """A row of the result: ours beside theirs, and how many standard errors lie between them."""
    row = {"problem": published["problem"], "runs": len(runs)}
    for figure in FIGURES:
        values = np.array([run[figure] for run in runs], dtype=float)
        row[figure] = {"mean": values.mean(), "sd": values.std(ddof=1) if len(runs) > 1 else 0.0}
        if published[figure]:
            row[figure]["published"] = float(published[figure])
    for figure, sd in (("test_mse_pct", "test_sd"), ("class_err_pct", "class_sd")):
        ours = row[figure]
        if "published" in ours:
            # the report's tables are means of 60 runs
            error = math.hypot(ours["sd"] / math.sqrt(len(runs)), float(published[sd]) / 60**0.5)
            ours["standard_errors"] = (ours["mean"] - ours["published"]) / error
    return row


def measure(folder, n_processes, rounds, dtype):
    """Lines of the table, then the result."""
    with (folder / "published_no_shortcut.csv").open() as file:
        problems = [read_problem(folder, row) for row in csv.DictReader(file)]
    yield (
        f"{'problem':<10} {'test error, %':>13} {'published':>9} {'s.e.':>6} "
        f"{'wrong, %':>9} {'published':>9} {'epochs':>7} {'published':>9}"
    )
    rows, began = [], time.perf_counter()
    with multiprocessing.get_context("spawn").Pool(n_processes) as pool:
        for problem in problems:
            runs = pool.map(partial(train, problem), range(rounds), chunksize=max(1, rounds // 8))
            rows.append(compare(problem.published, runs))
            yield line(rows[-1])
    seconds = time.perf_counter() - began
    within = sum(row["test_mse_pct"]["standard_errors"] <= 3 for row in rows)
    yield (
        f"{within} of {len(rows)} within the published mean + 3 standard errors of the difference; "
        f"{rounds * len(rows)} runs in {seconds:.0f} s, {n_processes} processes"
    )
    yield {"problems": rows, "seconds": seconds, "processes": n_processes}


def line(row):
    test, wrong, epochs = (row[name] for name in ("test_mse_pct", "class_err_pct", "epochs"))
    classes = (
        f"{wrong['mean']:9.2f} {wrong['published']:9.2f}" if "published" in wrong else " " * 19
    )
    return (
        f"{row['problem']:<10} {test['mean']:13.3f} {test['published']:9.2f} "
        f"{test['standard_errors']:6.1f} {classes} {epochs['mean']:7.0f} {epochs['published']:9.0f}"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--runs", type=positive(int), default=60, help="of each (default: 60)")
    parser.add_argument("--processes", type=positive(int), default=2, help="(default: 2)")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the result to a file")
    args = parser.parse_args()
    try:
        for item in with_head(partial(measure, args.folder, args.processes), args.runs, "float64"):
            if isinstance(item, str):
                print(item, flush=True)
            elif args.json is not None:
                write_json(args.json, item)
    except OSError as error:
        parser.exit(1, f"{parser.prog}: {error}\n")


if __name__ == "__main__":
    main()
