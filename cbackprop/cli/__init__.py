"""The command ``cbackprop``.

Each subcommand is a module of this package with `add_arguments(parser)` and `run(args)`, which
returns the exit status; only the module of the subcommand in use is imported.
"""

import argparse
import importlib
import os
import sys

from cbackprop import __version__

SUBCOMMANDS = {
    "demo": "show on one screen what the package does",
    "bench": "time training steps against NumPy and pure Python",
}


def main(argv=None):
    """Run the command with these arguments (default: the process's); returns the exit status."""
    argv = sys.argv[1:] if argv is None else list(argv)
    # An option before the subcommand takes no value, so the first plain word is the subcommand.
    parser = make_parser(next((word for word in argv if not word.startswith("-")), None))
    args = parser.parse_args(argv)
    if args.subcommand is None:
        parser.print_help()
        return 0
    try:
        status = args.run(args)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has left, as in `cbackprop demo | head`. Python flushes stdout once more when
        # it exits: let that go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return 130  # what a shell reports for a command that Ctrl-C ended
    return status


def make_parser(subcommand):
    """A parser that knows every subcommand by name, and the options of the one in use."""
    parser = argparse.ArgumentParser(
        prog="cbackprop", description="Feedforward neural networks that train at C speed."
    )
    parser.add_argument("--version", action="version", version=f"cbackprop {__version__}")
    subparsers = parser.add_subparsers(dest="subcommand", metavar="subcommand")
    for name, summary in SUBCOMMANDS.items():
        description = f"{summary[0].upper()}{summary[1:]}."
        subparser = subparsers.add_parser(name, help=summary, description=description)
        if name == subcommand:
            module = importlib.import_module(f"cbackprop.cli.{name}")
            module.add_arguments(subparser)
            subparser.set_defaults(run=module.run)
    return parser
