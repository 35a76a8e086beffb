"""Our classes in the place of scikit-learn's, and whole programs run so."""

import os
import pickle
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import cbackprop
from cbackprop import patch

pytest.importorskip("sklearn")
from processes import run_python
from sklearn import neural_network
from sklearn.neural_network import _multilayer_perceptron

THEIRS = neural_network.MLPClassifier

NAMES = "MLPClassifier", "MLPRegressor"


def public():
    return [getattr(neural_network, name) for name in NAMES]


@pytest.fixture
def patched():
    cbackprop.patch_sklearn()
    yield
    cbackprop.unpatch_sklearn()


def test_the_names_are_ours_until_they_are_theirs_again():
    everything = dict(vars(neural_network))
    private = dict(vars(_multilayer_perceptron))
    cbackprop.unpatch_sklearn()
    assert vars(neural_network) == everything
    for _ in range(2):
        cbackprop.patch_sklearn()
        assert public() == [cbackprop.MLPClassifier, cbackprop.MLPRegressor]
    others = {name: value for name, value in everything.items() if name not in NAMES}
    assert vars(neural_network).items() >= others.items()
    for _ in range(2):
        cbackprop.unpatch_sklearn()
        assert vars(neural_network) == everything
    assert vars(_multilayer_perceptron) == private


def test_lists_of_estimators_have_ours(patched):
    from sklearn.base import BaseEstimator
    from sklearn.utils.discovery import all_estimators

    listed = dict(all_estimators())
    for own in (cbackprop.MLPClassifier, cbackprop.MLPRegressor):
        expected = own if issubclass(own, BaseEstimator) else None
        assert listed.get(own.__name__) is expected


def test_what_others_have_put_there_stays(monkeypatch):
    monkeypatch.setattr(neural_network, "MLPClassifier", dict)
    for change in (cbackprop.patch_sklearn, cbackprop.unpatch_sklearn):
        change()
        assert neural_network.MLPClassifier is dict


def test_pickles_of_both_kinds_stay_what_they_are(patched):
    own, theirs = neural_network.MLPClassifier(alpha=0.3), THEIRS(alpha=0.4)
    assert type(pickle.loads(pickle.dumps(own))) is cbackprop.MLPClassifier
    assert b"sklearn.neural_network" not in pickle.dumps(own)
    again = pickle.loads(pickle.dumps(theirs))
    assert type(again) is THEIRS
    assert again.alpha == 0.4


def test_conversions_go_on(patched):
    own = neural_network.MLPClassifier((3,), max_iter=3, tol=1e9, n_iter_no_change=1)
    theirs = own.fit([[1], [2], [3], [4]], [0, 1, 1, 0]).to_sklearn()
    assert type(theirs) is THEIRS
    assert type(cbackprop.from_sklearn(theirs)) is cbackprop.MLPClassifier


# ---- programs ----

PROGRAM = """
import pickle, sys
from sklearn.neural_network import MLPClassifier

class Model(MLPClassifier):
    pass

if __name__ == "__main__":
    print(MLPClassifier.__module__.split(".")[0], __name__, sys.modules["__main__"].Model is Model)
    print(sys.argv, sys.path[0], __file__, __spec__ and __spec__.name)
    print(type(pickle.loads(pickle.dumps(Model()))) is Model)
    import beside
    {}
"""


@pytest.fixture
def write(tmp_path):
    """A function that writes a program with this last line and a module beside it."""

    def write(last_line):
        scripts = tmp_path / "scripts"
        scripts.mkdir()
        program = scripts / "program.py"
        program.write_text(PROGRAM.format(last_line), "utf-8")
        (scripts / "beside.py").write_text("", "utf-8")
        return program

    return write


def run(*arguments, cwd):
    """A new Python; what is built in place and not installed is found by its path."""
    paths = [str(Path(cbackprop.__file__).parents[1]), os.environ.get("PYTHONPATH")]
    return run_python(*arguments, cwd=cwd, PYTHONPATH=os.pathsep.join(filter(None, paths)))


@pytest.mark.parametrize(
    ("arguments", "last_line", "code"),
    [
        (["scripts/program.py", "-m", "x"], "sys.exit(3)", 3),
        (["-m", "scripts.program", "--a"], "raise RuntimeError('broken')", 1),
    ],
)
def test_a_program_runs_and_ends_as_it_would(arguments, last_line, code, write, tmp_path):
    write(last_line)
    (tmp_path / "beside.py").touch()  # with -m the working directory counts
    plain = run(*arguments, cwd=tmp_path)
    ours = run("-m", "cbackprop.patch", *arguments, cwd=tmp_path)
    assert plain.stdout.startswith("sklearn __main__ True"), plain.stderr
    assert ours.stdout == plain.stdout.replace("sklearn", "cbackprop", 1)
    assert ours.returncode == plain.returncode == code
    # frames of ours may come before the program's own
    assert ours.stderr.splitlines()[-3:] == plain.stderr.splitlines()[-3:]


@pytest.fixture
def process(monkeypatch):
    """This process's, given back afterwards."""
    monkeypatch.setattr(sys, "argv", ["patch"])
    monkeypatch.setattr(sys, "path", ["working directory", *sys.path])
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    yield monkeypatch
    cbackprop.unpatch_sklearn()
    sys.modules.pop("beside", None)


@pytest.mark.parametrize("end", [SystemExit("words"), KeyboardInterrupt(), ValueError("broken")])
def test_what_ends_a_program_is_passed_on(end, write, process):
    with pytest.raises(type(end)) as caught:
        patch.main([str(write(f"raise {end!r}"))])
    assert caught.value.args == end.args


def test_a_safe_path_is_left_alone(write, process):
    flags = {name: getattr(sys.flags, name) for name in dir(sys.flags)}
    process.setattr(sys, "flags", SimpleNamespace(**flags | {"safe_path": True}))
    with pytest.raises(ModuleNotFoundError, match="beside"):
        patch.main([str(write("pass"))])
    assert sys.path[0] == "working directory"


@pytest.mark.parametrize(
    "arguments", [[], ["-m"], ["-c", "pass"], ["--frobnicate"], ["absent.py"], ["-m", "-x"], ["."]]
)
def test_bad_usage_is_said(arguments, capsys, process):
    assert patch.main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("usage: python -m cbackprop.patch script.py")
    assert printed.out == ""
    assert sys.argv == ["patch"]
    assert public()[0] is THEIRS


def test_help_is_given(capsys):
    assert patch.main(["--help"]) == 0
    assert capsys.readouterr().out.startswith("usage: python -m cbackprop.patch script.py")
