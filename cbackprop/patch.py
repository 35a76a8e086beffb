"""``python -m cbackprop.patch`` runs a program with our estimators in scikit-learn's place.

The program is not edited: what it imports from ``sklearn.neural_network`` under the names
`MLPClassifier` and `MLPRegressor` is ours. Arguments, `sys.path`, `__main__` and the exit code
are what they are without us.
"""

import io
import os
import runpy
import sys
import types

from cbackprop.interop.scikit_learn import patch_sklearn

USAGE = """\
usage: python -m cbackprop.patch script.py [argument ...]
       python -m cbackprop.patch -m module [argument ...]

Run a program with cbackprop's MLPClassifier and MLPRegressor in the place of scikit-learn's."""


def main(arguments: list[str]) -> int:
    """Run a program as ``python`` would with these arguments; the exit code, if it comes back."""
    if arguments[:1] in (["-h"], ["--help"]):
        print(USAGE)
        return 0
    as_module = arguments[:1] == ["-m"]
    program, *others = arguments[as_module:] or [""]
    if not program or program.startswith("-"):
        print(USAGE, file=sys.stderr)
        return 2
    if not as_module and not os.path.isfile(program):
        print(f"{USAGE}\n\nThere is no file {program!r}.", file=sys.stderr)
        return 2
    patch_sklearn()
    sys.argv = [program, *others]
    if as_module:
        runpy.run_module(program, run_name="__main__", alter_sys=True)
    else:
        run_script(program)
    return 0


def run_script(program: str) -> None:
    """What ``python program`` does; `runpy.run_path` has another `sys.argv` or `__file__`."""
    # in the place of the working directory, which `python -m` has put there
    if not getattr(sys.flags, "safe_path", False):
        sys.path[0] = os.path.dirname(os.path.realpath(program))
    main_module = types.ModuleType("__main__")
    main_module.__file__ = os.path.abspath(program)
    sys.modules["__main__"] = main_module
    with io.open_code(main_module.__file__) as file:
        code = compile(file.read(), main_module.__file__, "exec")
    exec(code, vars(main_module))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
