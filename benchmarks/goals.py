"""What the project set out to reach, beside what the results say; what misses its goal is bold."""

import marquardt
from charts import OURS
from scaling import off_the_line
from threads import best_round, default_over_one

from cbackprop.cli.bench import share_of_peak, units_of
from cbackprop.cli.terminal import in_milliseconds, in_times

# Of a step of training: nanoseconds at most (float32), or the share of the FMA peak at least; and
# how many times the fastest peer's time it is to be.
NANOSECONDS = {"xor": 42, "online": 60}
SHARES = {
    "x86-64-v3": {"tabular": 0.66, "digits": 0.66, "mnist": 0.80, "deep": 0.88, "wide": 0.88},
    "x86-64-v4": {"tabular": 0.72, "digits": 0.69, "mnist": 0.84, "deep": 0.91, "wide": 0.92},
}
LESS_IN_FLOAT64 = 0.05
FACTORS = {"xor": 3, "online": 15, "tabular": 2.6, "digits": 2.1, "mnist": 1.3}
FACTORS |= {"deep": 1.33, "wide": 1.12}
# The same for a whole fit and scikit-learn, by the jobs of sklearn_fits.py.
FIT_FACTORS = {
    "MLPClassifier() on digits": 3.5,
    "MLPRegressor, (32,), 506 × 13, 200 epochs": 15,
    "MLPClassifier, (100,), 20 000 × 784, 5 epochs": 1.8,
    "the same in float32": 1.9,
    "MLPRegressor, (16,), batches of 1, 1 000 × 8, 20 epochs": 300,
    "lbfgs on digits, (30,), at most 200 iterations": 2.5,
    "sparse, 20 000 × 5 000 at 1 %, (50,), 2 epochs": 3.5,
    "GridSearchCV of 24 small fits": 5,
    "predict of one row, MLPRegressor 8-32-1": 30,
    "predict of one row, MLPClassifier 64-100-10": 30,
}


def cell(text, met):
    """Bold where the goal is missed."""
    return text if met else f"**{text}**"


def training_goals(result):
    """A line of cells for each workload: time or share, then the fastest peer."""
    shares = SHARES.get(result["machine"]["instruction_set"], {})
    single = result["dtype"] == "float32"
    yield ["workload", "goal", "measured", "times the fastest peer: goal", "measured", ""]
    for row in result["workloads"]:
        name = row["name"]
        if row["task"] != "training":
            continue
        own = row["peers"]["cbackprop"]["seconds_min"]
        cells = [name, "–", "–"]
        if name in shares:
            goal = shares[name] - (0 if single else LESS_IN_FLOAT64)
            share = share_of_peak(row)
            cells[1:] = f"≥ {goal:.0%} of peak", cell(f"{share:.1%}", share >= goal)
        elif name in NANOSECONDS:
            nanoseconds = 1e9 * own
            cells[1] = f"≤ {NANOSECONDS[name]} ns" if single else "–"
            met = not single or nanoseconds <= NANOSECONDS[name]
            cells[2] = cell(f"{nanoseconds:.1f} ns", met)
        yield [*cells, *fastest_peer(row, FACTORS.get(name))]


def fastest_peer(row, goal=None):
    """How many times its time, and its name."""
    others = {name: peer["seconds_min"] for name, peer in row["peers"].items() if name not in OURS}
    if not others:
        return ["–", "–", ""]
    name = min(others, key=others.get)
    ratio = others[name] / row["peers"]["cbackprop"]["seconds_min"]
    return [
        "–" if goal is None else f"≥ {goal}×",
        cell(in_times(ratio), goal is None or ratio >= goal),
        name,
    ]


def fit_goals(result):
    """A line of cells for each job: times, their factor, memory at the peak."""
    yield [
        *("", "scikit-learn, ms", "cbackprop, ms", "factor: goal", "measured"),
        *("scikit-learn, kB", "cbackprop, kB"),
    ]
    for row in result["workloads"]:
        goal = FIT_FACTORS[row["name"]]
        if row["skipped"]:
            yield [row["name"], "–", "–", f"≥ {goal}×", "–", "–", "–"]
            continue
        theirs, own = (row["peers"][name] for name in ("scikit-learn", "cbackprop"))
        ratio = theirs["seconds_min"] / own["seconds_min"]
        peaks = theirs["peak_kilobytes"], own["peak_kilobytes"]
        yield [
            row["name"],
            *(in_milliseconds(side["seconds_min"]) for side in (theirs, own)),
            f"≥ {goal}×",
            cell(in_times(ratio), ratio >= goal),
            f"{peaks[0]:,.0f}",
            cell(f"{peaks[1]:,.0f}", peaks[1] <= peaks[0]),
        ]


def predicting_goals(result):
    """(what, goal, measured) of one row and of many."""
    yield ["predicting", "goal", "measured"]
    for row in result["workloads"]:
        if row["task"] != "predicting":
            continue
        what = f"{row['name']}, {row['rows']:,} row{'s' if row['rows'] > 1 else ''}"
        seconds = {name: peer["seconds_min"] for name, peer in row["peers"].items()}
        if row["rows"] == 1:
            if row["name"] == "online":
                own = 1e6 * seconds.get("without out=", seconds["cbackprop"])
                yield [what, "≤ 1 µs", cell(f"{own:.2f} µs", own <= 1)]
            if "estimator" in seconds:
                own = 1e6 * seconds["estimator"]
                yield [f"{what}, estimator", "≤ 5 µs", cell(f"{own:.2f} µs", own <= 5)]
        elif row["name"] == "online":
            own = 1e9 * seconds["cbackprop"] / units_of(row)
            met = own <= 26 or result["dtype"] != "float32"
            yield [what, "≤ 26 ns a row in float32", cell(f"{own:.1f} ns", met)]
        elif row["name"] == "mnist":
            share = share_of_peak(row)
            yield [what, "≥ 90% of peak", cell(f"{share:.1%}", share >= 0.9)]
        if "ONNX Runtime" in seconds:
            ratio = seconds["ONNX Runtime"] / seconds["cbackprop"]
            yield [f"{what}, against ONNX Runtime", "≥ 1×", cell(in_times(ratio), ratio >= 1)]


def marquardt_goals(result):
    """A line of cells for each problem and target: times our seconds, and how many arrive."""
    yield [
        *("fit", "to", "libraries: goal", "measured", "SciPy, our Jacobian: goal", "measured"),
        *("arrived, best of the others", "ours"),
    ]
    for row in result["problems"]:
        for k, target in enumerate(row["targets"]):
            found = marquardt.summary(row, k)
            libraries, with_jacobian = marquardt.factors(row, k)
            own = found[marquardt.OWN]["arrived"]
            others = max(
                one["arrived"] for name, one in found.items() if name not in marquardt.OURS
            )
            yield [
                *(row["name"], f"{target:g}"),
                *("≥ 10×", cell(marquardt.in_words(*libraries), libraries[0] >= 10)),
                *("≥ 3×", cell(marquardt.in_words(*with_jacobian), with_jacobian[0] >= 3)),
                *(str(others), cell(str(own), own >= others)),
            ]


def other_goals(files):
    """(what, goal, measured) of what the other scripts measure, as far as results are there."""
    yield ["what", "goal", "measured"]
    for row in files.get("adam", {"workloads": []})["workloads"]:
        sgd, adam = (row["peers"][name]["seconds_min"] for name in ("cbackprop", "Adam"))
        if row["name"] in FACTORS and row["name"] not in NANOSECONDS:
            yield [
                f"Adam, {row['name']}",
                "≤ 1.25 × SGD",
                cell(in_times(adam / sgd), adam / sgd <= 1.25),
            ]
    if "fits" in files:
        *large, tiny = files["fits"]["workloads"]
        worst = max(large, key=lambda row: row["overhead"])
        text = f"{worst['overhead']:+.1%} ({worst['name']})"
        yield ["`fit` over `Network.train`, at most", "< 10%", cell(text, worst["overhead"] < 0.1)]
        micro = 1e6 * tiny["seconds_per_epoch"]
        yield ["`fit`, an epoch of tiny data", "< 5 µs", cell(f"{micro:.2f} µs", micro < 5)]
    if "scaling" in files:
        axes = files["scaling"]["axes"].values()
        points = ([(p["size"], p["seconds_min"]) for p in points] for points in axes)
        n_off = sum(len(list(off_the_line(one))) for one in points)
        yield ["points off the line by 1.3", "0", cell(str(n_off), n_off == 0)]
    if "threads" in files:
        yield from thread_goals(files["threads"]["rows"])
    if "memory" in files:
        yield from memory_goals(files["memory"])
    if "gauss_newton" in files:
        result = files["gauss_newton"]
        for name, one in result["peers"].items():
            what = f"{name}, {result['parameters']} parameters, {result['rows']:,} rows"
            share = one["share"]
            yield [what, "≥ 50% of peak", cell(f"{share:.1%}", share >= 0.5)]


def thread_goals(rows):
    """Gains of two threads against the control's, and the default's losses."""
    goals = {"inside a batch": 0.92, "side by side": 0.95}
    for row in rows:
        if row["kind"] in goals:
            gain, control = best_round(row)
            goal, found = goals[row["kind"]], gain / control
            what = f"two threads, {row['kind']}, {row['name']}, batch {row['batch']}"
            yield [what, f"≥ {goal} of the control's gain", cell(f"{found:.3f}", found >= goal)]
    defaults = {row["name"]: default_over_one(row) for row in rows if row["kind"] == "default"}
    name = max(defaults, key=defaults.get)
    text = f"{defaults[name]:.3f} ({name})"
    yield [
        "`n_threads=None` against one thread",
        "≤ 1.03 × its time",
        cell(text, defaults[name] <= 1.03),
    ]


def memory_goals(result):
    """Memory, start, denormal numbers."""
    memory = result["memory"]
    name = max(memory, key=lambda name: memory[name]["kilobytes"] / memory[name]["allowed"])
    part = memory[name]["kilobytes"] / memory[name]["allowed"]
    text = f"{part:.0%} of it ({name})"
    yield ["memory beyond the data, at most", "what is allowed", cell(text, part <= 1)]
    milliseconds = 1e3 * min(result["import_seconds"])
    text = f"{milliseconds:.1f} ms"
    yield ["`import cbackprop` after NumPy", "≤ 25 ms", cell(text, milliseconds <= 25)]
    megabytes = result["installed_megabytes"]
    yield ["installed", "≤ 6 MB", cell(f"{megabytes:.1f} MB", megabytes <= 6)]
    steps = {kind: one["seconds_min"] for kind, one in result["denormals"].items()}
    ratio = max(steps["weights"], steps["inputs"]) / steps["ordinary"]
    yield [
        "a step with denormal numbers",
        "≤ 1.5× the ordinary",
        cell(in_times(ratio), ratio <= 1.5),
    ]
