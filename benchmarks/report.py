"""Make the figures and charts of docs/benchmarks.md from the results beside this script.

python benchmarks/report.py [--results FOLDER] [--page FILE]

What stands on the page between the two marks is replaced; the rest is written by hand. The charts
(SVG) go into the folder `charts` beside the page. Results are the files of `cbackprop bench
--json`, bench*.json in the order of their names, and those of the other scripts, under the names
of these: adam.json, fits.json, sklearn_fits.json, scaling.json, threads.json, memory.json,
proben1.json, marquardt.json, gauss_newton.json, trainers.json, applications.json. What is not
there is left out.
"""

import argparse
import json
import statistics
from pathlib import Path

import charts
import goals
import marquardt
import proben1
from scaling import off_the_line
from threads import best_round, default_over_one

from cbackprop.cli.bench import share_of_peak, units_of
from cbackprop.cli.terminal import in_microseconds, in_milliseconds, in_times

HERE = Path(__file__).parent
BEGIN, END = "<!-- made by benchmarks/report.py -->", "<!-- until here -->"


def main():
    """Replace the page's figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=HERE / "results", metavar="FOLDER")
    parser.add_argument("--page", type=Path, default=HERE.parent / "docs" / "benchmarks.md")
    args = parser.parse_args()
    before, _, rest = args.page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        parser.exit(1, f"{args.page} lacks the marks {BEGIN} and {END}\n")
    files = {
        path.stem: json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(args.results.glob("*.json"))
    }
    if not files:
        parser.exit(1, f"there are no results in {args.results}\n")
    folder = args.page.parent / "charts"
    folder.mkdir(exist_ok=True)
    lines = [BEGIN, "", *figures(files, folder), END]
    args.page.write_text(before + "\n".join(lines) + after, encoding="utf-8")


def figures(files, folder):
    """The lines between the marks; charts are drawn on the way."""
    benches = {name: result for name, result in files.items() if name.startswith("bench")}
    yield from goals_section(benches, files)
    for task, title in (("training", "Training"), ("predicting", "Predicting")):
        chosen = {name: rows_of(result, task) for name, result in benches.items()}
        chosen = {name: rows for name, rows in chosen.items() if rows}
        if not chosen:
            continue
        yield from (f"## {title}", "")
        if task == "training":
            labelled = {
                f"{benches[name]['machine']['cpu']}, {label(benches[name])}": rows
                for name, rows in chosen.items()
            }
            charts.draw_shares(labelled, folder / "shares.svg")
            yield from ("![Share of the FMA peak of each workload](charts/shares.svg)", "")
        for name, rows in chosen.items():
            yield from (f"### {benches[name]['machine']['cpu']}, {label(benches[name])}", "")
            yield from (circumstances(benches[name]), "")
            chart = f"{name}-{task}.svg"
            charts.draw_bars(rows, f"{title}, {label(benches[name])}", folder / chart)
            yield from (f"![{title}: times of each peer](charts/{chart})", "")
            yield from peers_table(rows, task)
            yield ""
    if benches:
        yield from ("## Where a peer is faster", "", *faster_peers(benches), "")
    for name, section in SECTIONS.items():
        if name in files:
            yield from section(files[name], folder)
            yield ""


def goals_section(benches, files):
    """What was to be reached, and what was."""
    yield from ("## Goals", "", "Those that these results miss are bold.", "")
    for result in benches.values():
        yield from (f"{result['machine']['cpu']}, {label(result)}:", "")
        yield from (*table(list(goals.training_goals(result)), n_words=1), "")
        predicting = list(goals.predicting_goals(result))
        if len(predicting) > 1:
            yield from (*table(predicting, n_words=1), "")
    if "marquardt" in files:
        yield from ("Levenberg–Marquardt, median times:", "")
        yield from (*table(list(goals.marquardt_goals(files["marquardt"])), n_words=2), "")
    others = list(goals.other_goals(files))
    if len(others) > 1:
        yield from (*table(others, n_words=1), "")


def rows_of(result, task):
    """The workloads of a task."""
    return [row for row in result["workloads"] if row["task"] == task]


def label(result):
    """What sets one file of results off from another."""
    return f"{result['machine']['instruction_set']}, {result['dtype']}"


def measured_on(result):
    """Where, when and with what, in one line."""
    return (
        f"{result['date']}; {result['machine']['cpu']}, {label(result)}; "
        f"cbackprop {result['versions']['cbackprop']}{at_commit(result)}."
    )


def at_commit(result):
    """If there was one."""
    return f" at commit {result['commit']}" if result["commit"] else ""


def circumstances(result):
    """The same of all peers, and how steady the machine was."""
    machine, versions = result["machine"], dict(result["versions"])
    own = versions.pop("cbackprop")
    core = "Not held to one core" if machine["core"] is None else "Held to one core"
    peaks = [peak for workload in result["workloads"] for peak in workload["peaks_gflops"]]
    share = min(workload["share_of_core"] for workload in result["workloads"])
    others = ", ".join(f"{name} {version}" for name, version in versions.items())
    return (
        f"{result['date']}; {machine['system']}, {machine['compiler']}; "
        f"cbackprop {own}{at_commit(result)}; {others}. {core}; FMA peak {min(peaks):.1f} to "
        f"{max(peaks):.1f} GFLOP/s; up to {result['rounds']} rounds, in which the process had the "
        f"core for at least {share:.0%} of the time."
    )


# ---- tables --------------------------------------------------------------------------------


UNITS = {
    "training": "Microseconds a step.",
    "predicting": "Microseconds a row, for calls that predict one row and 20,000 rows; cbackprop "
    "is `Network.predict(X, out=...)`.",
}


def peers_table(rows, task):
    """A line for each row of results, a column for each peer."""
    yield (
        f"{UNITS[task]} Of cbackprop the fastest round, and the median one in parentheses; of the "
        "others the fastest, and how many times as long as cbackprop's that is."
    )
    yield ""
    names = dict.fromkeys(name for row in rows for name in row["peers"])
    others = [name for name in names if name != "cbackprop"]
    size = "batch" if task == "training" else "rows"
    lines = [["workload", "layers", size, "cbackprop", "share of peak", *others]]
    for row in rows:
        n_units = units_of(row)
        cells = [row["name"], layers_of(row), f"{row[size]:,}"]
        cells += [own_times(row, n_units), f"{share_of_peak(row):.1%}"]
        lines.append(cells + [peer_cell(row, name, n_units) for name in others])
    yield from table(lines, n_words=2)


def table(lines, n_words):
    """Markdown; the first columns hold words, the others numbers."""
    first, *others = lines
    rule = ["---"] * n_words + ["---:"] * (len(first) - n_words)
    return [f"| {' | '.join(cells)} |" for cells in (first, rule, *others)]


def layers_of(row):
    """As 8-64-64-1."""
    return "-".join(map(str, row["layers"]))


def own_times(row, n_units):
    """The fastest round, and the median one in parentheses."""
    own = row["peers"]["cbackprop"]
    fastest, median = (in_microseconds(own[f"seconds_{k}"] / n_units) for k in ("min", "median"))
    return f"{fastest} ({median})"


def peer_cell(row, name, n_units):
    """Time and ratio, or a dash."""
    if name not in row["peers"]:
        return "–"
    seconds = row["peers"][name]["seconds_min"]
    ratio = in_times(seconds / row["peers"]["cbackprop"]["seconds_min"])
    return f"{in_microseconds(seconds / n_units)}, {ratio}"


def faster_peers(benches):
    """A line for each row of results where some are; our own other ways do not count."""
    lines = []
    for result in benches.values():
        for row in result["workloads"]:
            own = row["peers"]["cbackprop"]["seconds_min"]
            ratios = {
                name: peer["seconds_min"] / own
                for name, peer in row["peers"].items()
                if name not in charts.OURS and peer["seconds_min"] < own
            }
            if ratios:
                what = f", {row['rows']:,} at once" if row["task"] == "predicting" else ""
                found = ", ".join(f"{name} {in_times(ratio)}" for name, ratio in ratios.items())
                lines.append(f"- {row['task']} {row['name']}{what} ({label(result)}): {found}")
    if not lines:
        return ["Nowhere in these results."]
    return ["Their times, as a part of cbackprop's:", "", *lines]


# ---- the other scripts' results ------------------------------------------------------------


def adam_section(result, folder):
    """Adam against plain gradient descent."""
    yield from ("## Adam", "", measured_on(result) + " Microseconds a step.", "")
    lines = [["workload", "layers", "SGD", "Adam", "ratio"]]
    for row in result["workloads"]:
        sgd, adam = (row["peers"][name]["seconds_min"] for name in ("cbackprop", "Adam"))
        cells = [row["name"], layers_of(row), in_microseconds(sgd), in_microseconds(adam)]
        lines.append([*cells, in_times(adam / sgd)])
    yield from table(lines, n_words=2)


def fits_section(result, folder):
    """What the estimators add."""
    *large, tiny = result["workloads"]
    yield from ("## Whole fits", "", measured_on(result), "")
    yield (
        "What `fit` of the estimators takes more than `Network.train` of as many epochs: "
        + ", ".join(f"{row['name']} {row['overhead']:+.1%}" for row in large)
        + f". On xor's four rows: {1e6 * tiny['seconds_per_epoch']:.2f} µs an epoch."
    )


def sklearn_fits_section(result, folder):
    """Whole fits, seconds and memory, beside what they were to be."""
    yield from ("## Whole fits against scikit-learn", "", measured_on(result), "")
    yield (
        "The same work by both, through the same interface, from the same seed to the same result; "
        "in kilobytes, the memory that it takes beyond the data. What misses its goal is bold."
    )
    yield from ("", *table(list(goals.fit_goals(result)), n_words=1))
    for row in result["workloads"]:
        for name, reason in row["skipped"].items():
            yield from ("", f"Left out: {row['name']} ({name}: {reason}).")


def scaling_section(result, folder):
    """The chart, and the points that are off."""
    charts.draw_scaling(result, folder / "scaling.svg")
    yield from ("## Width, depth and batch", "", measured_on(result), "")
    yield from ("![Time of a step against width, depth and batch](charts/scaling.svg)", "")
    off = [
        f"{axis} {size} ({ratio:.2f}×)"
        for axis, points in result["axes"].items()
        for (size, _), ratio in off_the_line([(p["size"], p["seconds_min"]) for p in points])
    ]
    n_points = sum(map(len, result["axes"].values()))
    yield (
        f"Of {n_points} points, these are more than 1.3 times off the line of their neighbours: "
        f"{', '.join(off) or 'none'}."
    )


def threads_section(result, folder):
    """Gains of a second thread."""
    yield from ("## Threads", "", measured_on(result), "")
    lines = [["workload", "batch", "", "gain of two threads", "control", "gain / control"]]
    for row in result["rows"]:
        if "gains" in row:
            gain, control = best_round(row)
            cells = [row["name"], str(row["batch"]), row["kind"], f"{gain:.2f}", f"{control:.2f}"]
            lines.append([*cells, f"{gain / control:.3f}"])
    yield from table(lines, n_words=3)
    defaults = []
    for row in result["rows"]:
        if row["kind"] == "default":
            defaults.append(f"{row['name']} {default_over_one(row):.3f}")
    yield from ("", f"`n_threads=None`, as a part of one thread's time: {', '.join(defaults)}.")


def memory_section(result, folder):
    """Memory, start, denormals."""
    yield from ("## Memory, start, denormal numbers", "", measured_on(result), "")
    lines = [["workload", "kB beyond the data", "allowed"]]
    for name, row in result["memory"].items():
        lines.append([name, f"{row['kilobytes']:,.0f}", f"{row['allowed']:,.0f}"])
    yield from table(lines, n_words=1)
    ordinary = result["denormals"]["ordinary"]["seconds_min"]
    weights, inputs = (
        in_times(result["denormals"][kind]["seconds_min"] / ordinary)
        for kind in ("weights", "inputs")
    )
    yield ""
    yield (
        f"A million steps leave {result['growth_kilobytes']:,.0f} kB. `import cbackprop` takes "
        f"{1e3 * min(result['import_seconds']):.1f} ms after `import numpy`; the package's files "
        f"are {result['installed_megabytes']:.1f} MB. A step with denormal weights takes {weights} "
        f"the ordinary one, with denormal inputs {inputs}."
    )


def proben1_section(result, folder):
    """The report's recipe beside its figures, the better one beside them, too."""
    rows, machine = result["rows"], result["machine"]
    yield from ("## Proben1", "")
    yield (
        f"{result['date']}; {machine['cpu']}, {machine['instruction_set']}; "
        f"cbackprop {result['versions']['cbackprop']}{at_commit(result)}. Squared error "
        f"percentages of the test parts, means ± standard deviations of {result['runs']} runs, "
        f"and of the {proben1.PUBLISHED_RUNS} published ones (L. Prechelt, *PROBEN1*, Technical "
        "Report 21/94, Universität Karlsruhe, 1994, tables 10 and 11)."
    )
    yield from ("", "### By the report's recipe", "")
    yield (
        "RPROP on the whole training part, softsign hidden units, squared error, stopped by the "
        "validation error as the report says. Of Rprop's variants it is iplus: the report does not "
        "say which, and of those tried this one meets its figures best. The difference is in "
        "standard errors of it."
    )
    yield ""
    lines = [["problem", "hidden", "published", "ours", "difference"]]
    lines[0] += ["class error, published", "ours", "epochs, published", "ours"]
    for row in rows:
        ours, published = row["reported"], row["published"]
        cells = [published["problem"], proben1.layers_of(ours)]
        cells += [proben1.with_deviation(published), proben1.with_deviation(ours)]
        cells.append(f"{ours['standard_errors']:+.1f}")
        cells += [proben1.or_dash(kind["class_err_pct"], ".2f") for kind in (published, ours)]
        lines.append([*cells, f"{published['epochs']:.0f}", f"{ours['epochs']:.0f}"])
    yield from table(lines, n_words=2)
    yield ""
    n_runs = len(rows) * result["runs"]
    yield f"{proben1.met(rows)} All {n_runs:,} runs took {result['seconds']:.0f} s."
    yield from ("", "### By a better one", "")
    yield (
        "One recipe for all problems: softmax and log loss for classes, else sigmoid outputs and "
        "their log loss; inputs standardised by the training part; RPROP with weight decay "
        "`alpha`. Hidden layers, their activation, decay and epochs are those of the lowest "
        f"validation error of {proben1.N_CHOOSING} networks trained on the training part. A "
        "model is then the mean outputs of five networks with other initial weights, trained on "
        "the training and validation parts together for so many epochs; a single network is one "
        "of these. (The published networks are single, were trained on the training "
        "part alone and stopped by the validation part.) p is of Welch's t-test, one-sided, the "
        "second one after Holm's correction for the number of problems. The recipe was fixed with "
        "single networks before their test errors were looked at; the mean of five is a second "
        "attempt, with the same choices and the same networks, because they were better on too "
        f"few problems. {result['runs']} single networks make "
        f"{result['runs'] // proben1.N_TOGETHER} models of five."
    )
    yield ""
    lines = [["problem", "hidden", "activation", "`alpha`", "epochs", "published", "single"]]
    lines[0] += ["p", "corrected", "five", "p", "corrected", "class error"]
    for row in rows:
        ours, published = row["better"], row["published"]
        cells = [published["problem"], proben1.layers_of(ours), ours["activation"]]
        cells += [f"{ours['alpha']:g}", str(ours["epochs"]), proben1.with_deviation(published)]
        for one in (ours["single"], ours):
            cells += [proben1.with_deviation(one), f"{one['p']:.1e}", f"{one['p_holm']:.1e}"]
        lines.append([*cells, proben1.or_dash(ours["class_err_pct"], ".2f")])
    yield from table(lines, n_words=3)
    yield ""
    yield proben1.beaten(rows)


def marquardt_section(result, folder):
    """Every contestant, for each problem and target."""
    yield from ("## Levenberg–Marquardt", "", measured_on(result), "")
    libraries = ", ".join(f"{name} {version}" for name, version in result["peers"].items())
    yield (
        "Least squares to a mean squared error (targets of variance 1), each contestant from the "
        f"same {result['rounds']} initial weights on one thread: how many arrive within the limit, "
        "and the medians over all, in milliseconds and epochs (iterations; gradients for L-BFGS; "
        "Jacobians for SciPy). A dash: less than half arrive. Our damping is MATLAB's, or "
        f"Nielsen's. {libraries}. `benchmarks/marquardt.py` says how each is set up "
        "and how problems and limits were chosen, `benchmarks/data.py` what the problems are."
    )
    yield ""
    lines = [
        ["problem", "layers", "rows", "limit, s", "to", "contestant", "arrived", "ms", "epochs"]
    ]
    for row in result["problems"]:
        for k, target in enumerate(row["targets"]):
            for name, one in marquardt.summary(row, k).items():
                cells = [row["name"], layers_of(row), str(row["rows"]), f"{row['limit']:g}"]
                cells += [f"{target:g}", name]
                lines.append([*cells, *marquardt.cells_of(one, len(row["runs"][name]))])
    yield from table(lines, n_words=6)


def gauss_newton_section(result, folder):
    """Shares of the peak."""
    yield from ("## Gauss–Newton matrices", "", measured_on(result), "")
    shares = [
        f"{name} {1e3 * one['seconds_min']:.1f} ms, {one['share']:.1%}"
        for name, one in result["peers"].items()
    ]
    yield (
        f"{layers_of(result)}, {result['parameters']} parameters, {result['rows']:,} rows; share "
        f"of the FMA peak ({max(result['peaks_gflops']):.1f} GFLOP/s): {'; '.join(shares)}."
    )


def trainers_section(result, folder):
    """A line for each trainer, and the chart of docs/trainers.md."""
    charts.draw_trainers(result["problems"], folder / "trainers.svg")
    yield from ("## Trainers", "", measured_on(result), "")
    problems = result["problems"]
    yield (
        "Milliseconds an epoch, and milliseconds until the training loss is as low as given, of "
        f"the middle one of {result['rounds']} seeds; rates are the best of a few "
        "(`benchmarks/trainers.py`). A dash: it is not so low after the problem's seconds, or the "
        "problem is not for that trainer. [Which trainer when](trainers.md) has the curves."
    )
    yield ""
    first = ["trainer"]
    for row in problems:
        what = f"{row['name']}, {layers_of(row)}"
        first += [f"{what}: ms an epoch", f"to {row['target']:g} in {row['seconds']:g} s"]
    lines = [first]
    names = dict.fromkeys(name for row in problems for name in row["trainers"])
    for name in names:
        lines.append([f"`{name}`"])
        for row in problems:
            one = row["trainers"].get(name)
            for key in ("seconds_per_epoch", "seconds_to_target"):
                known = one is not None and one[key] is not None
                lines[-1].append(in_milliseconds(one[key]) if known else "–")
    yield from table(lines, n_words=1)


def applications_section(result, folder):
    """Service, control loop, event loop."""
    yield from ("## Applications", "", measured_on(result), "")
    yield (
        "The programs of `examples/`. The service's four clients and its workers share the "
        f"machine; of {result['rounds']} rounds, the one with the most requests."
    )
    lines = [["service", "requests a second", "median, ms", "99 %, ms"]]
    for n_workers, its_rounds in result["service"].items():
        rate, *seconds = max(its_rounds)
        lines.append([f"workers: {n_workers}", f"{rate:,.0f}", *map(in_milliseconds, seconds)])
    yield from ("", *table(lines, n_words=1), "")
    periods = result["control_loop"]
    began, ended = (
        f"{in_microseconds(median)} µs (median), {in_microseconds(most)} (99 %), "
        f"{in_microseconds(worst)} (worst)"
        for median, most, worst in (periods["began"], periods["ended"])
    )
    yield (
        f"The control loop's periods of 100 µs began {began} after they were due, and ended "
        f"{ended}; {periods['left_out']:,} of {periods['due']:,} were left out, for one before "
        "took longer."
    )
    pauses = [
        f"{what} {in_milliseconds(statistics.median(seconds))} ({in_milliseconds(max(seconds))})"
        for what, seconds in result["event_loop"].items()
    ]
    yield from ("", f"The event loop, ms in the median round (at most): {', '.join(pauses)}.")


SECTIONS = {
    "adam": adam_section,
    "fits": fits_section,
    "sklearn_fits": sklearn_fits_section,
    "scaling": scaling_section,
    "threads": threads_section,
    "memory": memory_section,
    "proben1": proben1_section,
    "marquardt": marquardt_section,
    "gauss_newton": gauss_newton_section,
    "trainers": trainers_section,
    "applications": applications_section,
}


if __name__ == "__main__":
    main()
