"""Real problems with published results: Proben1, by the report's own recipe and by a better one.

python benchmarks/proben1.py FOLDER [--json FILE] [--runs N] [--problems NAME ...]

FOLDER has the files `*.dt.gz` of L. Prechelt, PROBEN1, Technical Report 21/94, Universität
Karlsruhe, 1994, and `published_no_shortcut.csv`, its tables 10 and 11. Errors are the report's
squared error percentages, 100 times the mean of (output - target) ** 2.

First the report's recipe (`train_as_reported`): RPROP on the whole training set, softsign hidden
units, squared error, small initial weights, stopped by the validation error. What the report
leaves open is as its figures are met best. Where a gradient changes its sign, the weight is set
back if the loss has risen, else it waits for a step (Rprop's variant iplus). Set back always, as
in the paper of 1993, building3 and heartac3 are missed; never set back (iminus), building3 is.
An epoch's validation error is that of the same weights as its training error, those before its
update.

Then one recipe for all problems (`choose`, `train_as_chosen`): softmax and log loss for classes,
else sigmoid outputs and their log loss; inputs standardised by the training part; weight decay;
RPROP. Hidden layers, their activation, decay and the number of epochs are chosen for each problem
by the validation error of a few networks trained on the training part; each run then trains five
networks with other initial weights on the training and validation parts together for so many
epochs, and their mean outputs are its model's. There are a fifth as many runs as of the report's
recipe. The test part is looked at when that is done.

That recipe was fixed with single networks first, and their test errors, which are in the result,
too, were looked at; the mean of five is the second and last attempt. All else is as it was.

The published test error is beaten where Welch's t-test, one-sided, with Holm's correction over
the problems, says so at 1 %. Needs SciPy.
"""

import argparse
import csv
import functools
import gzip
import itertools
import math
import multiprocessing
import signal
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

try:
    from scipy import stats
except ImportError:
    stats = None

from cbackprop import Network, Rprop
from cbackprop.cli.bench import positive, write_json
from cbackprop.cli.machine import BenchError, describe

SIZES = ("bool_in", "real_in", "bool_out", "real_out")
PARTS = ("training_examples", "validation_examples", "test_examples")
WORDS = ("problem", "output")  # columns of the published results that are not numbers
NUMBERS = ("hidden1", "hidden2", "test_mse_pct", "test_sd", "class_err_pct", "epochs")
OUTPUTS = {"linear": "identity", "softsign": "softsign"}
PUBLISHED_RUNS = 60

# the report's recipe
STRIP = 5  # epochs between two looks at the validation error
MOST_EPOCHS = 3000
MOST_GL, LEAST_P5 = 5, 0.1

# what the better one chooses from, and by how many networks
LAYERS = (("tanh", (16,)), ("tanh", (32, 16)), ("relu", (32, 16)))
ALPHAS = (0.003, 0.03, 0.1, 0.3, 1.0, 3.0)
EPOCHS = tuple(sorted({round(10 * 1.3**k) for k in range(19)}))
N_CHOOSING = 3
N_TOGETHER = 5  # networks whose mean outputs are a model's
FIRST_STEP = 0.0125  # of Igel & Hüsken
CHOOSING_SEED = 1_000_000  # that and the following are no run's

MOST_ERRORS = 3  # standard errors of the difference
HALF_DIGIT = 0.005  # to which published means are known
SIGNIFICANT = 0.01


class Part(NamedTuple):
    """Of a problem: the inputs and the targets."""

    X: np.ndarray
    y: np.ndarray


class Problem(NamedTuple):
    """As a file has it."""

    name: str
    training: Part
    validation: Part
    test: Part


def main():
    """Print a line for each problem, write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="the report's files")
    parser.add_argument("--runs", type=positive(int), default=60, help="(default: 60)")
    parser.add_argument("--problems", nargs="+", metavar="NAME", help="(default: all)")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the result to a file")
    args = parser.parse_args()
    try:
        if args.runs < 2 * N_TOGETHER:
            raise BenchError(f"--runs must be {2 * N_TOGETHER} at least, got {args.runs}")
        if stats is None:
            raise BenchError("Welch's test needs SciPy")
        result = measure(args.folder, args.problems, args.runs)
        if args.json is not None:
            write_json(args.json, result)
    except BenchError as error:
        parser.exit(1, f"{parser.prog}: {error}\n")


def measure(folder, names, n_runs):
    """The result, printed on the way."""
    published = read_published(folder / "published_no_shortcut.csv")
    unknown = set(names or ()) - set(published)
    if unknown:
        raise BenchError(f"no published results of {', '.join(sorted(unknown))}")
    rows = [{"published": row} for name, row in published.items() if not names or name in names]
    problems = [read_problem(folder / f"{row['published']['problem']}.dt.gz") for row in rows]
    with multiprocessing.get_context("spawn").Pool(
        initializer=signal.signal, initargs=(signal.SIGINT, signal.SIG_IGN)
    ) as pool:
        pool.map(abs, range(100))  # imports are not timed
        began = time.perf_counter()
        print(HEAD_REPORTED)
        for row, problem in zip(rows, problems, strict=True):
            row["reported"] = measure_reported(pool, problem, row["published"], n_runs)
            print(line_reported(row), flush=True)
        seconds = time.perf_counter() - began
        print(f"{n_runs * len(rows)} runs took {seconds:.1f} s.\n\n{HEAD_BETTER}")
        for row, problem in zip(rows, problems, strict=True):
            row["better"] = measure_better(pool, problem, row["published"], n_runs)
            print(line_better(row), flush=True)
    correct([row["better"] for row in rows])
    correct([row["better"]["single"] for row in rows])
    print(f"\n{met(rows)}\n{beaten(rows)}")
    return describe() | {"runs": n_runs, "seconds": seconds, "rows": rows}


# ---- what is printed -----------------------------------------------------------------------


def met(rows):
    """Of how many problems the report's recipe gave the report's figure."""
    missed = [row for row in rows if row["reported"]["standard_errors"] > MOST_ERRORS]
    text = f"At most {MOST_ERRORS} standard errors above the published mean: "
    text += f"{len(rows) - len(missed)} of {len(rows)}"
    rounded = [
        row["published"]["problem"]
        for row in missed
        if row["reported"]["standard_errors"] - HALF_DIGIT / row["reported"]["standard_error"]
        <= MOST_ERRORS
    ]
    if rounded:
        text += f"; {', '.join(rounded)} too, where half a unit of its last digit is allowed for"
    return text + "."


def beaten(rows):
    """Of how many problems the better recipe is better."""
    ours = [row["better"] for row in rows]
    n_better, n_singles = (
        sum(one["p_holm"] < SIGNIFICANT for one in kind)
        for kind in (ours, [one["single"] for one in ours])
    )
    return (
        f"Better with a corrected p below {SIGNIFICANT}: {n_better} of {len(rows)}; single "
        f"networks: {n_singles}."
    )


HEAD_REPORTED = """\
The report's recipe       test error           standard  class error      epochs
              layers      published      ours    errors  publ.   ours  publ.   ours"""
HEAD_BETTER = """\
The better recipe         alpha  epochs   test error                              class
              layers                      published       one     five         p  error"""


def layers_of(ours):
    """The hidden ones, as 16-8."""
    return "-".join(map(str, ours["hidden"]))


def with_deviation(row):
    """As 1.36 ± 0.63."""
    return f"{row['test_mse_pct']:.2f} ±{row['test_sd']:.2f}"


def or_dash(value, form):
    """A number, if there is one."""
    return "–" if value is None else format(value, form)


def line_reported(row):
    """Of a problem."""
    ours, published = row["reported"], row["published"]
    return (
        f"{published['problem']:14}{layers_of(ours):6}"
        f"{with_deviation(published):>15}{with_deviation(ours):>15}"
        f"{ours['standard_errors']:7.1f}{or_dash(published['class_err_pct'], '.2f'):>7}"
        f"{or_dash(ours['class_err_pct'], '.2f'):>7}{published['epochs']:7.0f}{ours['epochs']:7.0f}"
    )


def line_better(row):
    """Of a problem; the p is not yet corrected."""
    ours, published = row["better"], row["published"]
    return (
        f"{published['problem']:14}{layers_of(ours):6}"
        f"{ours['alpha']:11g}{ours['epochs']:8}"
        f"{with_deviation(published):>15}{with_deviation(ours['single']):>15}"
        f"{with_deviation(ours):>15}{ours['p']:10.1e}"
        f"{or_dash(ours['class_err_pct'], '.2f'):>7}"
    )


# ---- files ---------------------------------------------------------------------------------


def read_published(path):
    """Rows by the name of the problem; numbers are floats, None where there is none."""
    try:
        with open(path, encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        missing = {*WORDS, *NUMBERS} - set(rows[0] if rows else ())
        if missing:
            raise ValueError(f"columns are missing: {', '.join(sorted(missing))}")
        for row in rows:
            if row["output"] not in OUTPUTS:
                raise ValueError(f"output must be linear or softsign, got {row['output']!r}")
            for name in set(row) - set(WORDS):
                # values have no classes
                optional = name in ("class_err_pct", "class_sd") and row[name] == ""
                row[name] = None if optional else float(row[name])
    except (OSError, ValueError, TypeError) as error:
        raise BenchError(f"{path}: {error}") from error
    return {row["problem"]: row for row in rows}


def read_problem(path):
    """A file: seven lines name=value, then one example a line, inputs before outputs."""
    try:
        with gzip.open(path, "rt", encoding="ascii") as file:
            head = {}
            for name in (*SIZES, *PARTS):
                line = file.readline().strip()
                found, _, value = line.partition("=")
                if found != name or not value.isdecimal():
                    raise ValueError(f"expected a line {name}=NUMBER, found {line!r}")
                head[name] = int(value)
            numbers = np.loadtxt(file, ndmin=2)
    except (OSError, EOFError, ValueError) as error:
        raise BenchError(f"{path}: {error}") from error
    shape = sum(head[name] for name in PARTS), sum(head[name] for name in SIZES)
    if numbers.shape != shape:
        raise BenchError(f"{path}: the head says {shape} rows and columns, found {numbers.shape}")
    n_inputs = head["bool_in"] + head["real_in"]
    y = numbers[:, n_inputs:]
    if not (np.isfinite(numbers).all() and (y >= 0).all() and (y <= 1).all()):
        raise BenchError(f"{path}: a number is not finite, or an output not in 0..1")
    ends = np.cumsum([head[name] for name in PARTS])
    parts = (
        Part(*map(np.ascontiguousarray, (rows[:, :n_inputs], rows[:, n_inputs:])))
        for rows in np.split(numbers, ends[:-1])
    )
    return Problem(path.name.removesuffix(".dt.gz"), *parts)


# ---- errors --------------------------------------------------------------------------------


def squared_error_pct(outputs, y):
    """100 times the mean squared difference."""
    return 100 * np.mean((outputs - y) ** 2, dtype=float)


def class_error_pct(outputs, y):
    """How many percent of the examples have their largest output not at the class."""
    return 100 * np.mean(outputs.argmax(axis=1) != y.argmax(axis=1))


def test_errors(problem, outputs):
    """Both, the second where there are classes."""
    y = problem.test.y
    class_error = class_error_pct(outputs, y) if has_classes(problem) else None
    return {"test_mse_pct": squared_error_pct(outputs, y), "class_err_pct": class_error}


def has_classes(problem):
    """Whether each example has one output that is 1, and zeros beside it."""
    y = problem.training.y
    return y.shape[1] > 1 and bool(np.isin(y, (0, 1)).all() and (y.sum(axis=1) == 1).all())


# ---- the report's recipe -------------------------------------------------------------------


def train_as_reported(problem, hidden, output, seed):
    """One run: its errors and its number of epochs."""
    random_state = np.random.RandomState(seed)
    network = Network(
        (problem.training.X.shape[1], *hidden, problem.training.y.shape[1]),
        activation="softsign",
        output_activation=OUTPUTS[output],
        random_state=0,
    )
    network.parameters = random_state.uniform(-0.01, 0.01, network.n_parameters)
    steps = random_state.uniform(0.005, 0.02, network.n_parameters)
    optimizer = Rprop("iplus", steps, eta_minus=0.5, eta_plus=1.2, min_step=0, max_step=50)
    rule = StoppingRule(problem.validation)
    losses = network.train(
        *problem.training, optimizer=optimizer, n_epochs=MOST_EPOCHS, shuffle=False, callback=rule
    )
    network.parameters = rule.parameters
    return {
        "train_mse_pct": in_pct(losses.min(), problem),
        "valid_mse_pct": in_pct(rule.best, problem),
        "epochs": len(losses),
    } | test_errors(problem, network.predict(problem.test.X))


class StoppingRule:
    """A callback that ends training after a strip by GL or P5, and keeps the best weights."""

    def __init__(self, validation):
        self.validation, self.losses = validation, []
        self.best = math.inf

    def __call__(self, state):
        self.losses.append(state.loss)
        # the training error of a strip's last epoch will be that of the weights before it
        if state.epoch % STRIP == STRIP - 1:
            self.error = state.network.loss_value(*self.validation)
            if self.error < self.best:
                self.best, self.parameters = self.error, state.network.parameters.copy()
        return state.epoch % STRIP == 0 and (
            generalisation_loss(self.error, self.best) > MOST_GL
            or progress(self.losses[-STRIP:]) < LEAST_P5
        )


def generalisation_loss(error, best):
    """GL: by how many percent the validation error is above the lowest so far."""
    return 100 * (error / best - 1)


def progress(errors):
    """P5: by how many per mille a strip's mean training error is above its minimum."""
    return 1000 * (np.mean(errors) / np.min(errors) - 1)


def in_pct(loss, problem):
    """The squared error percentage: the loss is half of the sum over the outputs."""
    return 200 * loss / problem.training.y.shape[1]


# ---- the better recipe ---------------------------------------------------------------------


def new_network(problem, activation, hidden, seed):
    """With initial weights of its own."""
    outputs = ("softmax", "log_loss") if has_classes(problem) else ("sigmoid", "binary_log_loss")
    return Network(
        (problem.training.X.shape[1], *hidden, problem.training.y.shape[1]),
        activation,
        *outputs,
        dtype="float32",
        random_state=seed,
    )


def standardised(problem):
    """In float32, each input with mean 0 and standard deviation 1 in the training part."""
    mean, deviation = problem.training.X.mean(axis=0), problem.training.X.std(axis=0)
    deviation[deviation == 0] = 1
    parts = (
        Part(((X - mean) / deviation).astype(np.float32), y.astype(np.float32))
        for X, y in problem[1:]
    )
    return Problem(problem.name, *parts)


def validation_errors(problem, choice):
    """After so many EPOCHS, by the training part: the mean of some networks."""
    (activation, hidden), alpha = choice
    errors = np.empty((N_CHOOSING, len(EPOCHS)))
    for k in range(N_CHOOSING):
        network, optimizer = (
            new_network(problem, activation, hidden, CHOOSING_SEED + k),
            Rprop(initial_step=FIRST_STEP),
        )
        for j, n_epochs in enumerate(np.diff(EPOCHS, prepend=0).tolist()):
            network.train(
                *problem.training,
                optimizer=optimizer,
                n_epochs=n_epochs,
                alpha=alpha,
                shuffle=False,
            )
            errors[k, j] = squared_error_pct(
                network.predict(problem.validation.X), problem.validation.y
            )
    return errors.mean(axis=0)


def choose(pool, problem):
    """Hidden layers, activation, decay and epochs; the test part is not looked at."""
    choices = list(itertools.product(LAYERS, ALPHAS))
    blind = problem._replace(test=None)
    errors = np.array(pool.map(functools.partial(validation_errors, blind), choices, chunksize=1))
    choice, epochs = np.unravel_index(errors.argmin(), errors.shape)
    (activation, hidden), alpha = choices[choice]
    return {
        "activation": activation,
        "hidden": list(hidden),
        "alpha": alpha,
        "epochs": EPOCHS[epochs],
        "valid_mse_pct": errors.min(),
    }


def train_as_chosen(problem, choice, run):
    """One run: its test errors, and those of each of its networks."""
    X, y = map(np.concatenate, zip(problem.training, problem.validation, strict=True))
    outputs = []
    for k in range(N_TOGETHER):
        seed = N_TOGETHER * run + k
        network = new_network(problem, choice["activation"], choice["hidden"], seed)
        network.train(
            X,
            y,
            optimizer=Rprop(initial_step=FIRST_STEP),
            n_epochs=choice["epochs"],
            alpha=choice["alpha"],
            shuffle=False,
        )
        outputs.append(network.predict(problem.test.X))
    singles = [squared_error_pct(one, problem.test.y) for one in outputs]
    return test_errors(problem, np.mean(outputs, axis=0)) | {"singles": singles}


# ---- runs, means, tests --------------------------------------------------------------------


def measure_reported(pool, problem, row, n_runs):
    """Means of the report's recipe, and how far its test error is from the published one."""
    hidden = [int(row[name]) for name in ("hidden1", "hidden2") if row[name]]
    run = functools.partial(train_as_reported, problem, hidden, row["output"])
    ours = {"hidden": hidden} | summary(pool.map(run, range(n_runs), chunksize=2))
    error = math.hypot(ours["test_sd"] / n_runs**0.5, row["test_sd"] / PUBLISHED_RUNS**0.5)
    ours["standard_error"] = error
    ours["standard_errors"] = (ours["test_mse_pct"] - row["test_mse_pct"]) / error
    return ours


def measure_better(pool, problem, row, n_runs):
    """What was chosen, means of the runs, and Welch's p against the published test error."""
    scaled = standardised(problem)
    choice = choose(pool, scaled)
    run = functools.partial(train_as_chosen, scaled, choice)
    runs = pool.map(run, range(n_runs // N_TOGETHER), chunksize=1)
    singles = [{"test_mse_pct": error} for one in runs for error in one.pop("singles")]
    return choice | with_p(runs, row) | {"single": with_p(singles, row)}


def with_p(runs, row):
    """Their summary, and Welch's p of a mean test error below the published one by chance."""
    ours = summary(runs)
    test = stats.ttest_ind_from_stats(
        *(ours["test_mse_pct"], ours["test_sd"], len(runs)),
        *(row["test_mse_pct"], row["test_sd"], PUBLISHED_RUNS),
        equal_var=False,
        alternative="less",
    )
    return ours | {"p": float(test.pvalue)}


def summary(runs):
    """The means of what the runs have, and the standard deviation of their test errors."""
    means = {
        name: None if value is None else float(np.mean([run[name] for run in runs]))
        for name, value in runs[0].items()
    }
    return means | {"test_sd": float(np.std([run["test_mse_pct"] for run in runs], ddof=1))}


def correct(ours):
    """Adds to each the p that is corrected for their number."""
    for one, p in zip(ours, holm([one["p"] for one in ours]), strict=True):
        one["p_holm"] = p


def holm(p_values):
    """p-values corrected for their number (Holm 1979)."""
    order = np.argsort(p_values)
    corrected = np.sort(p_values) * np.arange(len(p_values), 0, -1)
    result = np.empty(len(p_values))
    result[order] = np.minimum(np.maximum.accumulate(corrected), 1)
    return result.tolist()


if __name__ == "__main__":
    main()
