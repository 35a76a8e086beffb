"""``cbackprop bench``: the seven workloads, timed in turn with other peers.

The measuring is done in a process of its own that is held to one core from its start, because a
library that has already started its threads would let them fight for that core.
"""

import argparse
import contextlib
import json
import math
import sys
import textwrap
from pathlib import Path

from cbackprop.cli.machine import BenchError, in_own_process
from cbackprop.cli.measuring import TOLERANCE, measure
from cbackprop.cli.terminal import WIDTH, Terminal, in_microseconds, in_times
from cbackprop.cli.workloads import WORKLOADS

TASKS = {"training": list(WORKLOADS), "predicting": ["online", "tabular", "mnist"]}


def add_arguments(parser):
    """The options of the benchmark."""
    parser.add_argument(
        "workloads",
        nargs="*",
        type=workload_name,
        metavar="workload",
        help=f"of {', '.join(WORKLOADS)} (default: all; predicting: "
        f"{', '.join(TASKS['predicting'])})",
    )
    parser.add_argument(
        "--peers", action="store_true", help="time other libraries, too, those that are installed"
    )
    parser.add_argument(
        "--task",
        choices=[*TASKS, "both"],
        default="training",
        help="steps of training (the default), calls that predict 1 and 20,000 rows, or both",
    )
    parser.add_argument(
        "--dtype", choices=TOLERANCE, default="float32", help="precision (default: float32)"
    )
    parser.add_argument(
        "--rounds",
        type=positive(int),
        default=10,
        help="turns each peer gets on each workload (default: 10)",
    )
    parser.add_argument(
        "--seconds",
        type=positive(float),
        default=2.5,
        help="time for all turns of a peer on a workload (default: 2.5, about a minute in all)",
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the results to a file")


def workload_name(text):
    """One of the seven."""
    if text not in WORKLOADS:
        raise argparse.ArgumentTypeError(
            f"no workload is called {text!r}; known are {', '.join(WORKLOADS)}"
        )
    return text


def positive(number):
    """A converter of text to a number above zero."""

    def convert(text):
        value = number(text)
        if not 0 < value < math.inf:
            raise ValueError
        return value

    convert.__name__ = f"positive {number.__name__}"  # argparse: "invalid positive int value"
    return convert


def run(args):
    """Measure and print row by row; returns the exit status."""
    try:
        if args.json is not None and not args.json.parent.is_dir():
            raise BenchError(f"there is no folder {str(args.json.parent)!r} to write to")
        result = measure_and_print(args)
        if args.json is not None:
            write_json(args.json, result)
    except BenchError as error:
        print(f"cbackprop bench: {error}", file=sys.stderr)
        return 1
    return 0


def write_json(path, result):
    """The whole result, as text that is readable, too."""
    try:
        path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise BenchError(f"the results were not written: {error}") from error


def measure_and_print(args):
    """The result as it is written to JSON."""
    terminal = Terminal()
    chosen = list(dict.fromkeys(args.workloads))
    names = [
        (chosen or default) if args.task in (task, "both") else []
        for task, default in TASKS.items()
    ]
    terminal.show_progress("starting")
    messages = in_own_process(measure, *names, args.dtype, args.rounds, args.seconds, args.peers)
    with contextlib.closing(messages):
        for message in messages:
            if isinstance(message, str):
                terminal.show_progress(message)
            elif "workloads" in message:
                result = message
                print_head(terminal, result)
            else:
                result["workloads"].append(message)
                print_workload(terminal, message)
    peaks = [peak for workload in result["workloads"] for peak in workload["peaks_gflops"]]
    result["peak_gflops"] = max(peaks)
    print_foot(terminal, result, min(peaks))
    return result


# ---- what is printed -----------------------------------------------------------------------


def print_head(terminal, result):
    """Where, when and with what, and the columns' names."""
    machine, versions = result["machine"], result["versions"].copy()
    at_commit = f" ({result['commit']})" if result["commit"] else ""
    core = machine["core"]
    held = "not held to one core: impossible here" if core is None else f"held to core {core}"
    own, blas = versions.pop("cbackprop"), versions.pop("BLAS")
    others = ", ".join(f"{name} {version}" for name, version in versions.items())
    write_wrapped(terminal, f"cbackprop {own}{at_commit}, {result['date']}")
    write_wrapped(terminal, f"{machine['cpu']}, {machine['instruction_set']}; one thread, {held}")
    write_wrapped(terminal, f"{machine['compiler']}; {others}; BLAS {blas}")
    what = f"Microseconds, {result['dtype']}"
    terminal.write(f"\n{what:28}{'min':>12} {'median':>11} {'spread':>7} {'ratio':>8}")


def print_workload(terminal, workload):
    """One line a peer."""
    terminal.write()
    terminal.write(f"{workload['name']} {'-'.join(map(str, workload['layers']))}, {unit(workload)}")
    n_units = units_of(workload)
    own = workload["peers"]["cbackprop"]["seconds_min"]
    for name, peer in workload["peers"].items():
        fastest, median = (
            in_microseconds(peer[f"seconds_{k}"] / n_units) for k in ("min", "median")
        )
        line = f"  {name:26}{fastest:>12} {median:>11} {spread(peer):>7.2f}"
        if name == "cbackprop":
            line += f" {share_of_peak(workload):>8.1%} of peak"
        else:
            line += f" {in_times(peer['seconds_min'] / own):>8}"
        terminal.write(line)
    for name, reason in workload["skipped"].items():
        terminal.write(f"  {name:26} {textwrap.shorten(reason, WIDTH - 29)}")


def units_of(workload):
    """The number of units that a timed step or call of a workload is made of."""
    return workload["rows"] if workload["task"] == "predicting" else 1


def unit(workload):
    """What the times of a workload are of."""
    if workload["task"] == "training":
        return f"a step of {workload['batch']} row{'s' * (workload['batch'] > 1)}"
    return f"a row predicted of {workload['rows']:,}"


def spread(peer):
    """How many times as long as the fastest round the slowest took."""
    return max(peer["rounds"]) / peer["seconds_min"]


def share_of_peak(workload):
    """Of cbackprop's fastest round, by the fastest fused multiply-adds between the rounds."""
    operations_per_second = (
        workload["operations_per_step"] / workload["peers"]["cbackprop"]["seconds_min"]
    )
    return operations_per_second / max(workload["peaks_gflops"]) / 1e9


def print_foot(terminal, result, lowest_peak):
    """How to read the table, and how steady the machine was."""
    with_fann = any("FANN" in workload["peers"] for workload in result["workloads"])
    terminal.write()
    write_wrapped(
        terminal,
        "All have the same weights and data, take the same batches, and were seen to agree"
        + (", FANN as far as its sigmoid allows" if with_fann else "")
        + f". min, median: of up to {result['rounds']} rounds, taken in turn; spread: the slowest "
        "round, as a multiple of the fastest; ratio: times as long as cbackprop.",
    )
    write_wrapped(
        terminal,
        "peak: fused multiply-adds in registers on this core, "
        f"{lowest_peak:.1f} to {result['peak_gflops']:.1f} GFLOP/s between the rounds."
        + ("" if result["dtype"] == "float64" else " Pure Python computes in float64."),
    )
    share = min(workload["share_of_core"] for workload in result["workloads"])
    if share < 0.95:
        write_wrapped(
            terminal,
            f"Other processes were at work: this one had the core for {share:.0%} of the time at "
            "worst. Only runs without them show the shares of peak.",
        )


def write_wrapped(terminal, text):
    """A paragraph, no wider than the table."""
    terminal.write(textwrap.fill(text, WIDTH))
