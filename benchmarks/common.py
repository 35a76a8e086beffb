"""What the scripts of this folder share: their options, turns, and the result's file."""

import argparse
import math
from pathlib import Path

from cbackprop.cli.bench import positive, write_json
from cbackprop.cli.machine import BenchError, describe, in_own_process


def run(description, measure, rounds, *, one_core=True):
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
    """
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument(
        "--rounds", type=positive(int), default=rounds, help=f"turns (default: {rounds})"
    )
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
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
