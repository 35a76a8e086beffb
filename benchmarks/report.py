"""Print results of ``cbackprop bench --json`` as the Markdown tables of docs/benchmarks.md.

python benchmarks/report.py RESULT.json ...
"""

import argparse
import json
from pathlib import Path

from cbackprop.cli.terminal import in_microseconds, in_times


def main():
    """One section for each file."""
    parser = argparse.ArgumentParser(description="Print results as Markdown tables.")
    parser.add_argument("results", nargs="+", type=Path, metavar="RESULT.json")
    for path in parser.parse_args().results:
        result = json.loads(path.read_text(encoding="utf-8"))
        print("\n".join([*head(result), *table(result["workloads"]), ""]))


def head(result):
    """A heading, and where, when and with what it was measured."""
    machine = result["machine"]
    core = "not held to one core" if machine["core"] is None else "held to one core"
    commit = f", commit {result['commit']}" if result["commit"] else ""
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    peaks = [peak for workload in result["workloads"] for peak in workload["peaks_gflops"]]
    share = min(workload["share_of_core"] for workload in result["workloads"])
    return [
        f"### {machine['cpu']}, {machine['instruction_set']}, {result['dtype']}",
        "",
        f"{result['date']}{commit}; {machine['system']}, {machine['compiler']}; {versions}.",
        f"{core.capitalize()}; FMA peak {min(peaks):.1f} to {max(peaks):.1f} GFLOP/s; "
        f"up to {result['rounds']} rounds, in which the process had the core for at least "
        f"{share:.0%} of the time.",
        "Microseconds a step: the fastest round, the median one in parentheses; ratio: times as "
        "long as cbackprop.",
        "",
    ]


def table(workloads):
    """One line for each workload; the columns of a peer are its time and its ratio."""
    names = dict.fromkeys(name for workload in workloads for name in workload["peers"])
    others = [name for name in names if name != "cbackprop"]
    columns = ["workload", "layers", "batch", "cbackprop", "share of peak"]
    columns += [column for name in others for column in (name, "ratio")]
    lines = [columns, ["---"] * 2 + ["---:"] * (len(columns) - 2)]
    for workload in workloads:
        peers = workload["peers"]
        own = peers["cbackprop"]["seconds_per_step_min"]
        operations_per_second = workload["operations_per_step"] / own
        cells = [workload["name"], "-".join(map(str, workload["layers"])), str(workload["batch"])]
        cells.append(times(peers["cbackprop"]))
        cells.append(f"{operations_per_second / max(workload['peaks_gflops']) / 1e9:.1%}")
        for name in others:
            taken = name in peers
            cells.append(times(peers[name]) if taken else "–")
            cells.append(in_times(peers[name]["seconds_per_step_min"] / own) if taken else "–")
        lines.append(cells)
    return [f"| {' | '.join(cells)} |" for cells in lines]


def times(peer):
    """The fastest round, and the median one in parentheses."""
    fastest, median = peer["seconds_per_step_min"], peer["seconds_per_step_median"]
    return f"{in_microseconds(fastest)} ({in_microseconds(median)})"


if __name__ == "__main__":
    main()
