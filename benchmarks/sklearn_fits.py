"""Whole fits by our estimators and by scikit-learn's, in turn: how long, and how much memory.

python benchmarks/sklearn_fits.py [--json FILE] [--rounds N]

Both do the same work on the same data from the same seed, through the public interface alone. What
comes out (weights, scores, predictions) is compared before anything is timed: it may differ by the
job's tolerance, relative to its norm. Memory is how far the resident memory of a process rises
during the work, with the data there and the code loaded: the median of fifteen processes for each
side and job, for where the heap lies differs from one to the next (Linux only: /proc tells the
peak).
"""

import time
import warnings
from collections.abc import Callable
from typing import NamedTuple

import common
import numpy as np

import cbackprop
from cbackprop.cli.machine import BenchError
from cbackprop.cli.measuring import Contestant, compare
from cbackprop.cli.peers import CannotTakePart
from cbackprop.datasets import load_digits

try:
    import sklearn
    from sklearn import neural_network
    from sklearn.model_selection import GridSearchCV
except ImportError:
    sklearn = None


class Side(NamedTuple):
    """Whose estimators work."""

    name: str
    MLPClassifier: type
    MLPRegressor: type


class Job(NamedTuple):
    """What both are to do."""

    name: str
    prepare: Callable  # of a side: the data are made, and a function that does the work is returned
    numbers: Callable  # of what that returns: an array that the other side's has to equal
    tolerance: float


def sides():
    if sklearn is None:
        raise BenchError("this needs scikit-learn: pip install scikit-learn")
    return [
        Side("cbackprop", cbackprop.MLPClassifier, cbackprop.MLPRegressor),
        Side("scikit-learn", neural_network.MLPClassifier, neural_network.MLPRegressor),
    ]


# ---- the work ------------------------------------------------------------------------------

ENDLESS = {"tol": 0, "n_iter_no_change": np.inf, "random_state": 0}


def weights(model):
    return np.concatenate([np.ravel(array) for array in [*model.coefs_, *model.intercepts_]])


def fitted_targets(model):
    """The digits' labels as the model has learnt them."""
    return model.predict(load_digits().X)


def made(n_samples, n_features, dtype="float64"):
    """Normally distributed inputs, targets that can be learnt, and classes of these."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n_samples, n_features), dtype)
    y = np.tanh(X[:, :4]).sum(axis=1) + X[:, 0] ** 2
    return X, y, np.digitize(y, np.quantile(y, np.arange(0.1, 1, 0.1)))


def digits(side):
    data = load_digits()
    return lambda: side.MLPClassifier(random_state=0).fit(data.X, data.y)


def regression(side):
    X, y, _ = made(506, 13)
    model = side.MLPRegressor(hidden_layer_sizes=(32,), max_iter=200, **ENDLESS)
    return lambda: model.fit(X, y)


def large(side, dtype="float64"):
    X, _, labels = made(20_000, 784, dtype)
    model = side.MLPClassifier((100,), max_iter=5, **ENDLESS)
    return lambda: model.fit(X, labels)


def large_float32(side):
    return large(side, "float32")


def row_by_row(side):
    X, y, _ = made(1000, 8)
    model = side.MLPRegressor(hidden_layer_sizes=(16,), batch_size=1, max_iter=20, **ENDLESS)
    return lambda: model.fit(X, y)


def lbfgs(side):
    data = load_digits()
    model = side.MLPClassifier((30,), solver="lbfgs", max_iter=200, random_state=0)
    return lambda: model.fit(data.X, data.y)


def sparse(side):
    from scipy import sparse

    X = sparse.random(20_000, 5_000, density=0.01, format="csr", random_state=0)
    labels = np.asarray(X[:, :50].sum(axis=1)).ravel() > 0.25
    # not the model itself: what it holds already would not be counted
    try:
        side.MLPClassifier((2,), max_iter=1).fit(X[:10], labels[:10])
    except TypeError as error:
        raise CannotTakePart(str(error)) from None
    model = side.MLPClassifier((50,), max_iter=2, **ENDLESS)
    return lambda: model.fit(X, labels)


def grid_search(side):
    X, y, _ = made(300, 8)
    grid = {"hidden_layer_sizes": [(8,), (16,)], "alpha": [1e-4, 1e-3, 1e-2, 1e-1]}
    model = side.MLPRegressor(max_iter=100, learning_rate_init=0.01, random_state=0)
    search = GridSearchCV(model, grid, cv=3, n_jobs=1, refit=False)
    return lambda: search.fit(X, y)


def one_row_of_regressor(side):
    X, y, _ = made(1000, 8)
    model = side.MLPRegressor(hidden_layer_sizes=(32,), max_iter=5, **ENDLESS).fit(X, y)
    return lambda: model.predict(X[:1])


def one_row_of_classifier(side):
    data = load_digits()
    model = side.MLPClassifier(max_iter=5, **ENDLESS).fit(data.X, data.y)
    return lambda: model.predict(data.X[1:2])


JOBS = [
    Job("MLPClassifier() on digits", digits, weights, 1e-6),
    Job("MLPRegressor, (32,), 506 × 13, 200 epochs", regression, weights, 1e-6),
    Job("MLPClassifier, (100,), 20 000 × 784, 5 epochs", large, weights, 1e-6),
    # scikit-learn's own weights are 0.025 away from those that it has in float64
    Job("the same in float32", large_float32, weights, 0.1),
    Job("MLPRegressor, (16,), batches of 1, 1 000 × 8, 20 epochs", row_by_row, weights, 1e-6),
    # its path amplifies rounding, so where it arrives is compared
    Job("lbfgs on digits, (30,), at most 200 iterations", lbfgs, fitted_targets, 1e-2),
    Job("sparse, 20 000 × 5 000 at 1 %, (50,), 2 epochs", sparse, weights, 1e-6),
    Job(
        "GridSearchCV of 24 small fits",
        grid_search,
        lambda search: search.cv_results_["mean_test_score"],
        1e-6,
    ),
    Job("predict of one row, MLPRegressor 8-32-1", one_row_of_regressor, np.asarray, 1e-9),
    Job("predict of one row, MLPClassifier 64-100-10", one_row_of_classifier, np.asarray, 1e-9),
]


# ---- measuring -----------------------------------------------------------------------------

N_PEAKS = 15  # processes; pages of the heap change from run to run
PEAK = """
import sys
import sklearn_fits
print(sklearn_fits.peak(*sys.argv[1:]))
"""


def measure(rounds, dtype):
    """A line for each job; the result has the rounds of both."""
    both = sides()
    rows = []
    for job in JOBS:
        rows.append(measure_job(job, both, rounds))
        yield line_of(rows[-1])
    yield {"workloads": rows, "scikit-learn": sklearn.__version__}


def measure_job(job, both, rounds):
    """One of the result's rows."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of epochs that are not enough
        differences, skipped = compare(
            job.name,
            both,
            lambda side: job.numbers(job.prepare(side)()),
            {side.name: job.tolerance for side in both},
            "what comes out differs by {} of it",
        )
        if skipped:
            return {"name": job.name, "skipped": skipped}
        contestants = [contestant(side, job) for side in both]
        peers = common.in_turn(contestants, rounds)
    for name, peer in peers.items():
        peaks = [common.of_process(PEAK, job.name, name)[0] for _ in range(N_PEAKS)]
        peer["peak_kilobytes"] = float(np.median(peaks))
        peer["difference"] = differences[name]
    return {"name": job.name, "peers": peers, "tolerance": job.tolerance, "skipped": {}}


def contestant(side, job):
    work = job.prepare(side)

    def run(n_times):
        began = time.perf_counter()
        for _ in range(n_times):
            work()
        return time.perf_counter() - began

    return Contestant(side.name, run, 0.05)


def line_of(row):
    if row["skipped"]:
        name, reason = next(iter(row["skipped"].items()))
        return f"{row['name']}: left out, {name}: {reason}"
    own, theirs = (row["peers"][name] for name in ("cbackprop", "scikit-learn"))
    return (
        f"{row['name']}: {own['seconds_min']:.3g} s against {theirs['seconds_min']:.3g} s, "
        f"{theirs['seconds_min'] / own['seconds_min']:.3g} times; memory "
        f"{own['peak_kilobytes']:,.0f} kB against {theirs['peak_kilobytes']:,.0f}; results differ "
        f"by {theirs['difference']:.1e}"
    )


def peak(job_name, side_name):
    """Kilobytes that the work takes beyond the data; for a process of its own."""
    warnings.simplefilter("ignore")
    side = next(side for side in sides() if side.name == side_name)
    job = next(job for job in JOBS if job.name == job_name)
    load_code(side)
    work = job.prepare(side)
    return common.rise_of_memory(work)[0]


def load_code(side):
    """What is loaded, and the pages of libraries that are touched, when they are first needed."""
    few = {"hidden_layer_sizes": (2,), "max_iter": 2}
    for dtype in ("float32", "float64"):
        X, y, labels = made(20, 4, dtype)
        for how in ({}, {"batch_size": 1}, {"solver": "lbfgs"}):
            for kind, targets in ((side.MLPRegressor, y), (side.MLPClassifier, labels)):
                model = kind(**few, **how).fit(X, targets)
                model.predict(X)
                model.predict(X[:1])
    GridSearchCV(side.MLPRegressor(**few), {"alpha": [0.1, 1]}, cv=2, refit=False).fit(X, y)


if __name__ == "__main__":
    common.run(__doc__, measure, rounds=7, dtypes=("float64",))
