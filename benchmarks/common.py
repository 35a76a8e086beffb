"""What the scripts of this folder share: their options, turns, and the result's file."""

import argparse
import ctypes
import math
import re
import subprocess
import sys
from pathlib import Path

from cbackprop.cli.bench import positive, write_json
from cbackprop.cli.machine import BenchError, describe, in_own_process

HERE = Path(__file__).parent


def run(description, measure, rounds, *, one_core=True, dtypes=("float32", "float64")):
    """Parse the options, print the lines that `measure(rounds, dtype)` yields, write its result.

    Parameters
    ----------
    description : str
    measure : function of a module
        A generator of lines of text; the last item is the result, a dict.
    rounds : int
        The default.
    one_core : bool
        Whether it runs in a process of its own that is held to one core.
    dtypes : sequence of str
        What may be chosen; the first is the default.
    """
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument(
        "--rounds", type=positive(int), default=rounds, help=f"turns (default: {rounds})"
    )
    parser.add_argument("--dtype", choices=dtypes, default=dtypes[0])
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the result to a file")
    args = parser.parse_args()
    try:
        if one_core:
            items = in_own_process(with_head, measure, args.rounds, args.dtype)
        else:
            items = with_head(measure, args.rounds, args.dtype)
        for item in items:
            if isinstance(item, str):
                print(item, flush=True)
            elif args.json is not None:
                write_json(args.json, item)
    except BenchError as error:
        parser.exit(1, f"{parser.prog}: {error}\n")


def with_head(measure, rounds, dtype):
    """The same, with machine, versions, commit and date in the result, and first in print."""
    head = describe() | {"dtype": dtype, "rounds": rounds}
    machine = head["machine"]
    yield f"{machine['cpu']}, {machine['instruction_set']}, {dtype}, {head['date']}"
    for item in measure(rounds, dtype):
        yield item if isinstance(item, str) else head | item


def in_turn(contestants, rounds, seconds=math.inf):
    """A B A B ...: the result of each contestant, by name; who had so many seconds sits out."""
    for _ in range(rounds):
        for contestant in contestants:
            if contestant.spent < seconds:
                contestant.take_turn()
    return {contestant.name: contestant.result() for contestant in contestants}


def of_process(code, *args):
    """The numbers that a new process prints; it can import the scripts of this folder."""
    code = f"import sys\nsys.path.insert(0, {str(HERE)!r})\n{code}"
    command = [sys.executable, "-c", code, *map(str, args)]
    # there: what is imported is what is installed, and not the folder it was called from
    finished = subprocess.run(command, capture_output=True, text=True, check=True, cwd=HERE)
    return [float(word) for word in finished.stdout.split()]


def rise_of_memory(work):
    """Kilobytes that this process takes more while it works, at the peak, and afterwards."""
    # else the work would find room in what the process has freed before
    if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)
    before = kilobytes("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak is the present
    work()
    return kilobytes("VmHWM") - before, kilobytes("VmRSS") - before


def kilobytes(what):
    """What Linux says of this process."""
    return int(re.search(what + r":\s+(\d+) kB", Path("/proc/self/status").read_text())[1])
