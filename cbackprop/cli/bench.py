"""``cbackprop bench``: training steps on the seven workloads, timed in turn with other peers.

The measuring is done in a process of its own that is held to one core from its start, because a
library that has already started its threads would let them fight for that core.
"""

import argparse
import contextlib
import datetime
import json
import math
import multiprocessing
import os
import platform
import signal
import statistics
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np

import cbackprop
from cbackprop._kernels import dispatch
from cbackprop._kernels.testing import Bench
from cbackprop.cli.peers import PEERS, CannotTakePart
from cbackprop.cli.terminal import WIDTH, Terminal, in_microseconds, in_times
from cbackprop.cli.workloads import WORKLOADS

# Largest difference of a peer's change of the weights to cbackprop's, relative to that change.
# Rounding alone makes about a tenth of it, where the steps are short compared with the weights.
TOLERANCE = {"float32": 1e-4, "float64": 1e-11}

# What BLAS libraries and other peers ask for the number of their threads, when they are loaded.
THREAD_SETTINGS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "CBACKPROP_NUM_THREADS",
)


class BenchError(Exception):
    """Why there is no result; the message is for the user."""


def add_arguments(parser):
    """The options of the benchmark."""
    parser.add_argument(
        "workloads",
        nargs="*",
        type=workload_name,
        metavar="workload",
        help=f"of {', '.join(WORKLOADS)} (default: all)",
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
    names = list(dict.fromkeys(args.workloads or WORKLOADS))
    terminal.show_progress("starting")
    messages = in_own_process(measure, names, args.dtype, args.rounds, args.seconds)
    with contextlib.closing(messages):
        for message in messages:
            if isinstance(message, str):
                terminal.show_progress(message)
            elif "workloads" in message:
                result = message
                print_head(terminal, result)
            else:
                result["workloads"].append(message)
                terminal.write(table_row(message))
    peaks = [peak for workload in result["workloads"] for peak in workload["peaks_gflops"]]
    result["peak_gflops"] = max(peaks)
    print_foot(terminal, result, min(peaks))
    return result


# ---- measuring -----------------------------------------------------------------------------


def measure(names, dtype, rounds, seconds, peers=PEERS):
    """First the head of the result, then each workload's part of it, lines of progress between."""
    yield describe() | {"dtype": dtype, "rounds": rounds, "seconds": seconds, "workloads": []}
    for name in names:
        yield from measure_workload(WORKLOADS[name], dtype, rounds, seconds, peers)


def measure_workload(workload, dtype, rounds, seconds, peers=PEERS):
    """All peers in turn: A B A B ..., and before each round the machine's own peak."""
    yield f"{workload.name}: do all compute the same?"
    differences, skipped = compare(workload, dtype, peers)
    problem = workload.problem(dtype)
    contestants = []
    for peer in peers:
        if peer.name in skipped:
            continue
        yield f"{workload.name}: getting {peer.name} ready"
        contestant = Contestant(peer(problem), workload, seconds / rounds)
        if contestant.seconds_per_step > peer.longest_step:
            skipped[peer.name] = f"a step takes {contestant.seconds_per_step:.2g} s"
        else:
            contestants.append(contestant)

    kernels = Bench(dispatch.IN_USE, dtype)
    peaks = []
    began, cpu_began = time.perf_counter(), time.process_time()
    for i in range(rounds):
        yield f"{workload.name}: round {i + 1} of {rounds}"
        peaks.append(kernels.fma_peak(min(0.02, seconds / rounds)) / 1e9)
        for contestant in contestants:
            if contestant.spent < seconds:
                contestant.take_turn()
    elapsed, cpu_elapsed = time.perf_counter() - began, time.process_time() - cpu_began
    yield {
        "name": workload.name,
        "layers": list(workload.layer_sizes),
        "batch": workload.batch_size,
        "rows": workload.n_samples,
        "steps_per_epoch": workload.steps_per_epoch,
        "operations_per_step": workload.operations_per_step,
        "peaks_gflops": peaks,
        "share_of_core": cpu_elapsed / elapsed,
        "peers": {
            contestant.peer.name: contestant.result()
            | {"difference": differences[contestant.peer.name]}
            for contestant in contestants
        },
        "skipped": skipped,
    }


def compare(workload, dtype, peers):
    """Train a few steps with each; how far they are from the first, and who cannot take part.

    The difference is that of the changes of the weights, relative to the change.
    """
    batch_size = workload.batch_size
    # A full batch and a short one, twice: the second epoch has an order of its own.
    problem = workload.problem(dtype, n_samples=max(8, batch_size + batch_size // 2))
    changes, skipped = {}, {}
    for peer_class in peers:
        try:
            peer = peer_class(problem)
        except CannotTakePart as reason:
            skipped[peer_class.name] = str(reason)
            continue
        peer.restart()
        peer.train(2 * problem.steps_per_epoch)
        change = np.asarray(peer.parameters, dtype=np.float64) - problem.parameters
        changes[peer_class.name] = change
    first, expected = next(iter(changes.items()))
    differences = {}
    for name, change in changes.items():
        difference = np.linalg.norm(change - expected) / np.linalg.norm(expected)
        if not difference < TOLERANCE[dtype]:
            raise BenchError(
                f"{workload.name}: {name} and {first} do not compute the same: after "
                f"{2 * problem.steps_per_epoch} steps the changes of their weights differ by "
                f"{difference:.1e} of the change ({TOLERANCE[dtype]:.0e} is allowed)"
            )
        differences[name] = float(difference)
    return differences, skipped


class Contestant:
    """A peer, and how long its turns took.

    A turn repeats the workload's epochs, each time from the initial weights, as often as they fit
    into its time, so that all get turns of about the same length; where the epochs do not fit
    once, it takes fewer steps.
    """

    def __init__(self, peer, workload, seconds_per_turn):
        self.peer = peer
        self.seconds = []  # a step, of each turn
        self.spent = 0.0
        least = workload.steps_per_epoch if peer.whole_epochs else 1
        most = workload.steps_per_epoch * workload.n_epochs
        self.n_steps, self.n_runs = least, 1
        # The first run warms up; the others grow until the clock can tell.
        while True:
            self.seconds_per_step = self._run() / self.n_steps
            fitting = min(most, seconds_per_turn / self.seconds_per_step)
            if fitting <= 4 * self.n_steps:
                break
            self.n_steps *= 4
        self.n_steps = max(1, int(fitting / least)) * least
        self.n_runs = max(1, round(seconds_per_turn / (self.n_steps * self.seconds_per_step)))

    def _run(self):
        self.peer.restart()
        began = time.perf_counter()
        self.peer.train(self.n_steps)
        return time.perf_counter() - began

    def take_turn(self):
        """Train as long as a turn lasts."""
        seconds = sum(self._run() for _ in range(self.n_runs))
        self.spent += seconds
        self.seconds.append(seconds / (self.n_runs * self.n_steps))

    def result(self):
        """The peer's part of the result."""
        return {
            "seconds_per_step_min": min(self.seconds),
            "seconds_per_step_median": statistics.median(self.seconds),
            "rounds": self.seconds,
            "steps_per_round": self.n_runs * self.n_steps,
        }


# ---- the machine ---------------------------------------------------------------------------


def describe():
    """Machine, versions, commit and date."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return {
        "machine": {
            "cpu": cpu_name(),
            "system": f"{platform.system()} {platform.machine()}",
            "instruction_set": dispatch.IN_USE,
            "instruction_sets_found": list(dispatch.FOUND),
            "compiler": dispatch.COMPILER,
            "flags": dispatch.FLAGS,
            "core": cores[0] if len(cores) == 1 else None,
        },
        "versions": {
            "cbackprop": cbackprop.__version__,
            "Python": platform.python_version(),
            "NumPy": np.__version__,
            "BLAS": f"{blas.get('name')} {blas.get('version', '')}".strip(),
        },
        "commit": commit(),
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    }


def cpu_name():
    """What the processor calls itself."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def commit():
    """Of the git checkout of cbackprop that the package lies in, also in a .venv there; or None."""
    package = Path(cbackprop.__file__).parent
    try:
        top = Path(git("-C", str(package), "rev-parse", "--show-toplevel"))
        if not (top / "cbackprop" / "_kernels").is_dir():
            return None  # a checkout of something else
        return git("-C", str(top), "describe", "--always", "--dirty", "--tags")
    except (OSError, subprocess.SubprocessError):
        return None


def git(*arguments):
    """What git prints."""
    command = ["git", *arguments]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    return finished.stdout.strip()


def in_own_process(function, *args):
    """What `function(*args)` yields in a new process, held to one core and one thread."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send_all, args=(sender, function, args), daemon=True)
    with one_core():
        process.start()
    sender.close()
    try:
        while True:
            message = receiver.recv()
            if message is None:
                return
            if isinstance(message, BenchError):
                raise message
            yield message
    except EOFError:
        process.join()
        raise BenchError(f"the measuring process ended with code {process.exitcode}") from None
    finally:
        process.terminate()
        process.join()


def _send_all(sender, function, args):
    """The new process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C: the parent process ends this one
    with contextlib.suppress(BrokenPipeError):  # the parent process has gone
        try:
            for message in function(*args):
                sender.send(message)
            sender.send(None)
        except BenchError as error:
            sender.send(error)


@contextlib.contextmanager
def one_core():
    """Processes started in this thread inherit one core, the first of ours, and one thread."""
    before = {name: os.environ.get(name) for name in THREAD_SETTINGS}
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    os.environ.update(dict.fromkeys(THREAD_SETTINGS, "1"))
    try:
        if cores:
            with contextlib.suppress(OSError):  # forbidden here; `describe` will tell
                os.sched_setaffinity(0, {min(cores)})
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        if cores:
            with contextlib.suppress(OSError):
                os.sched_setaffinity(0, cores)


# ---- the table -----------------------------------------------------------------------------


def print_head(terminal, result):
    """Where, when and with what, and the columns' names."""
    machine, versions = result["machine"], result["versions"]
    at_commit = f" ({result['commit']})" if result["commit"] else ""
    core = machine["core"]
    held = "not held to one core: impossible here" if core is None else f"held to core {core}"
    write_wrapped(terminal, f"cbackprop {versions['cbackprop']}{at_commit}, {result['date']}")
    write_wrapped(terminal, f"{machine['cpu']}, {machine['instruction_set']}; one thread, {held}")
    write_wrapped(
        terminal,
        f"{machine['compiler']}; Python {versions['Python']}, NumPy {versions['NumPy']} with "
        f"{versions['BLAS']}",
    )
    columns = f"{'workload':8} {'layers':16} {'batch':>5} {'cbackprop':>9} {'peak':>6}"
    for peer in PEERS[1:]:
        columns += f"{peer.name.removeprefix('pure '):>9} {'ratio':>6}"
    terminal.write(f"\nMicroseconds a step of training, {result['dtype']}:\n{columns}")


def table_row(workload):
    """One line: times, cbackprop's share of the peak, and how many times longer the others take."""
    times = {name: peer["seconds_per_step_min"] for name, peer in workload["peers"].items()}
    own = times["cbackprop"]
    share = workload["operations_per_step"] / own / max(workload["peaks_gflops"]) / 1e9
    layers = "-".join(map(str, workload["layers"]))
    row = f"{workload['name']:8} {layers:16} {workload['batch']:>5} {in_microseconds(own):>9}"
    row += f" {share:>6.1%}"
    for peer in PEERS[1:]:
        if peer.name in times:
            ratio = in_times(times[peer.name] / own)
            row += f"{in_microseconds(times[peer.name]):>9} {ratio:>6}"
        else:
            row += f"{'-':>9} {'-':>6}"
    return row


def print_foot(terminal, result, lowest_peak):
    """How to read the table, and how steady the machine was."""
    spreads = []
    for peer in PEERS:
        ratios = [
            times["seconds_per_step_median"] / times["seconds_per_step_min"]
            for workload in result["workloads"]
            for name, times in workload["peers"].items()
            if name == peer.name
        ]
        if ratios:
            spreads.append(f"{peer.name} {max(ratios):.2f}")
    terminal.write()
    write_wrapped(
        terminal,
        "All start from the same weights and take the same batches; they were seen to agree. Each "
        f"time is the fastest of up to {result['rounds']} rounds, taken in turn; the median round "
        f"took at most so many times as long: {', '.join(spreads)}.",
    )
    write_wrapped(
        terminal,
        "peak: share of this core's peak, fused multiply-adds in registers, "
        f"{lowest_peak:.1f} to {result['peak_gflops']:.1f} GFLOP/s between the rounds. "
        "ratio: times as long as cbackprop."
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
