"""The package as it is installed: where it comes from, what it loads, what it says of itself."""

import copy
import doctest
import importlib.machinery
import importlib.metadata
import importlib.util
import inspect
import json
import pkgutil
import random
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from processes import run_python

import cbackprop
from cbackprop import activations, backprop, datasets, dense, plotting, pure
from cbackprop._kernels import dispatch

ROOT = Path(__file__).parent.parent
PACKAGE = Path(cbackprop.__file__).parent
MODULES = [
    module.name
    for module in pkgutil.walk_packages(cbackprop.__path__, "cbackprop.")
    if not module.name.startswith(
        ("cbackprop._kernels._", "cbackprop.cli.peers.")
    )  # other libraries
    and (module.name != "cbackprop.estimators._sklearn" or importlib.util.find_spec("sklearn"))
    and "__main__" not in module.name
]


def run(code, folder, **environment):
    return run_python("-c", code, cwd=folder, timeout=60, **environment)


# ---- where it comes from ----


def installations():
    """Those that this Python finds, but for what a build leaves in the source tree."""
    found = importlib.metadata.distributions(name="cbackprop")
    return [one for one in found if Path(one.locate_file("")).resolve() != ROOT.resolve()]


def is_editable(installation):
    about = json.loads(installation.read_text("direct_url.json") or "{}")
    return about.get("dir_info", {}).get("editable", False)


def test_the_installed_package_is_tested():
    """And not the source folder, unless the installation says so."""
    if not installations():
        pytest.skip("cbackprop is not installed but built in place")
    if any(map(is_editable, installations())):
        assert PACKAGE.resolve() == (ROOT / "cbackprop").resolve()
        pytest.skip("the installation is editable: it is the source folder")
    assert PACKAGE.resolve() != (ROOT / "cbackprop").resolve()


@pytest.mark.parametrize("name", MODULES)
def test_every_module_comes_from_one_place(name):
    module = importlib.import_module(name)
    assert PACKAGE in Path(module.__file__).parents
    assert Path(module.__file__).relative_to(PACKAGE).parts[0].split(".")[0] == name.split(".")[1]


def test_every_extension_is_there():
    """One shared object for each module that is compiled, and for each kernel variant."""
    suffixes = tuple(importlib.machinery.EXTENSION_SUFFIXES)
    found = {
        path.relative_to(PACKAGE).as_posix().split(".")[0]
        for path in PACKAGE.rglob("*")
        if path.name.endswith(suffixes)
    }
    modules = {
        *("_memory", "_threads", "activations", "dense", "sparse", "losses", "backprop"),
        "optimizers",
        *("team", "training", "predicting", "derivatives"),
        *("line_search", "whole_set", "conjugate_gradient", "lbfgs", "levenberg_marquardt"),
        *("_call", "_train", "network", "capi"),
        *("_kernels/dispatch", "_kernels/testing"),
    }
    variants = {
        f"_kernels/_{isa.replace('-', '_')}_{precision}"
        for isa in dispatch.BUILT
        for precision in ("float32", "float64")
    }
    assert found == modules | variants


def test_other_processes_find_the_same(tmp_path):
    result = run("import cbackprop; print(cbackprop.__file__)", tmp_path)
    assert Path(result.stdout.strip()) == Path(cbackprop.__file__), result.stderr


def test_the_version_is_that_of_the_installation():
    if not installations():
        pytest.skip("cbackprop is not installed but built in place")
    assert {one.version for one in installations()} == {cbackprop.__version__}
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.?(a|b|rc|dev)\d+)?", cbackprop.__version__)


def test_numpy_is_all_that_is_required():
    if not installations():
        pytest.skip("cbackprop is not installed but built in place")
    required = installations()[0].requires
    assert [line for line in required if "extra" not in line] == ["numpy>=1.26"]


UNBUILT = """
import sys
# an editable installation has a finder of its own, which knows the built modules
sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in finder.__module__]
import cbackprop
"""


def test_an_unbuilt_source_tree_says_what_to_do(tmp_path):
    suffixes = tuple(importlib.machinery.EXTENSION_SUFFIXES)
    shutil.copytree(
        PACKAGE,
        tmp_path / "cbackprop",
        ignore=lambda _, names: [n for n in names if n.endswith(suffixes) or n == "__pycache__"],
    )
    result = run(UNBUILT, tmp_path, PYTHONSAFEPATH="")
    assert result.returncode == 1
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: cbackprop's extension modules are not built")
    assert "pip install ." in last


def test_another_missing_module_is_named(tmp_path):
    """The advice to build is for our own modules only."""
    result = run("import sys; sys.modules['numpy'] = None; import cbackprop", tmp_path)
    last = result.stderr.strip().splitlines()[-1]
    assert result.returncode == 1
    assert last.startswith("ModuleNotFoundError")
    assert "numpy" in last


# ---- what it loads ----

LOADED = """
import sys
{}
print(*(name for name in sys.modules))
"""


def loaded(code, folder, **environment):
    result = run(LOADED.format(code), folder, **environment)
    assert result.returncode == 0, result.stderr
    return set(result.stdout.split())


def test_import_loads_the_network_only(tmp_path):
    modules = loaded("import cbackprop", tmp_path)
    assert {"cbackprop.network", "numpy"} <= modules
    assert not {"sklearn", "scipy", "matplotlib", "torch", "Cython"} & modules
    later = ("estimators", "cli", "datasets", "plotting", "pure")
    assert not {f"cbackprop.{name}" for name in later} & modules
    assert not {"argparse", "subprocess", "multiprocessing", "asyncio"} & (
        modules - loaded("import numpy", tmp_path)
    )


def test_the_estimators_come_when_asked_for(tmp_path):
    modules = loaded("import cbackprop; cbackprop.MLPClassifier", tmp_path)
    assert "cbackprop.estimators" in modules
    assert not {"matplotlib", "cbackprop.cli", "cbackprop.datasets"} & modules


def test_training_loads_nothing_more(tmp_path):
    train = (
        "import cbackprop; n = cbackprop.Network((2, 1)); "
        "n.train([[1, 2]], [3], optimizer=cbackprop.SGD(0.1)); n.predict([[1, 2]])"
    )
    more = loaded(train, tmp_path) - loaded("import cbackprop", tmp_path)
    assert {name for name in more if name.split(".")[0] in ("cbackprop", "scipy", "sklearn")} == {
        f"cbackprop._kernels._{dispatch.IN_USE.replace('-', '_')}_float64"
    }


@pytest.mark.parametrize("isa", dispatch.FOUND)
def test_other_instruction_sets_are_not_loaded(isa, tmp_path):
    """A processor without them would die of it."""
    code = "import cbackprop; cbackprop.Network((2, 1)); cbackprop.Network((2, 1), dtype='float32')"
    modules = loaded(code, tmp_path, CBACKPROP_ISA=isa)
    variants = {name for name in modules if name.startswith("cbackprop._kernels._")}
    name = f"cbackprop._kernels._{isa.replace('-', '_')}"
    assert variants == {f"{name}_float32", f"{name}_float64"}


# ---- names ----


def test_public_names_exist():
    assert sorted(cbackprop.__all__) == sorted(set(cbackprop.__all__))
    for name in cbackprop.__all__:
        assert getattr(cbackprop, name) is not None
        assert name in dir(cbackprop)
    names = {}
    exec("from cbackprop import *", names)
    assert names.keys() >= set(cbackprop.__all__)
    for name in ("Network", "SGD", "Adam", "MLPRegressor", "MLPClassifier", "show_config"):
        assert name in cbackprop.__all__


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'cbackprop' has no attribute 'Netwrok'"):
        cbackprop.Netwrok  # noqa: B018


@pytest.mark.parametrize("module", [pure, datasets])
def test_names_of_modules_exist(module):
    assert all(hasattr(module, name) for name in getattr(module, "__all__", ()))


def test_the_twin_has_the_names_of_the_engine():
    assert {"Network", "SGD", "Adam"} <= set(dir(pure))
    public = {name for name in dir(pure.Network) if not name.startswith("_")}
    assert {"predict", "activations", "loss_value", "loss_and_gradient", "train"} <= public
    assert not {name for name in public if not hasattr(cbackprop.Network, name)}


# ---- docstrings ----


def public_callables():
    """(name, object) of everything that a visitor may call."""
    found = {name: getattr(cbackprop, name) for name in cbackprop.__all__}
    for module in (dense, activations, backprop, datasets, plotting):
        short = module.__name__.removeprefix("cbackprop.")
        for name, value in vars(module).items():
            if not name.startswith("_") and getattr(value, "__module__", "") == module.__name__:
                found[f"{short}.{name}"] = value
    for name, value in list(found.items()):
        if inspect.isclass(value):
            for attribute in dir(value):
                if not attribute.startswith("_"):
                    found[f"{name}.{attribute}"] = inspect.getattr_static(value, attribute)
    del found["activations.canonical"]  # for other rooms of the house
    return {name: value for name, value in found.items() if callable(value)}


CALLABLES = public_callables()


def parameters_of(value):
    """Their names, without self; none of the classes of Cython, which do not tell."""
    try:
        names = list(inspect.signature(value).parameters)
    except ValueError:
        return []
    return [name for name in names if name not in ("self", "args", "kwargs")]


def test_there_is_something_to_document():
    assert len(CALLABLES) > 40
    assert {"Network.train", "dense.forward", "activations.sigmoid", "show_config"} <= set(
        CALLABLES
    )
    assert parameters_of(cbackprop.Network.predict) == ["X", "out", "n_threads"]


@pytest.mark.parametrize("name", CALLABLES)
def test_docstrings(name):
    value = CALLABLES[name]
    text = inspect.getdoc(value)
    assert text, f"{name} has no docstring"
    first = text.splitlines()[0]
    assert len(first) <= 120
    for parameter in parameters_of(value):
        assert re.search(rf"\b{parameter}\b", text), f"{name} does not speak of {parameter}"


@pytest.mark.parametrize(
    "name", [name for name in CALLABLES if name.split(".")[0] in cbackprop.__all__]
)
def test_docstrings_are_numpydoc(name):
    text = inspect.getdoc(CALLABLES[name])
    if inspect.isclass(CALLABLES[name]):
        assert re.search(r"^(Parameters|Attributes)\n-{10}$", text, re.MULTILINE)
    elif parameters_of(CALLABLES[name]):
        assert re.search(r"^Parameters\n-{10}$", text, re.MULTILINE)
    for title, line in re.findall(r"^([A-Z][a-z]+)\n(-{3,})$", text, re.MULTILINE):
        assert len(line) == len(title)


@pytest.mark.parametrize("name", MODULES)
def test_modules_say_what_they_are(name):
    assert importlib.import_module(name).__doc__.strip()


def examples_of(name):
    return [
        test
        for test in doctest.DocTestFinder().find(importlib.import_module(name))
        if test.examples
    ]


def test_there_are_examples():
    found = {test.name for name in MODULES for test in examples_of(name)}
    assert found >= {"cbackprop.activations", "cbackprop.dense", "cbackprop.network.Network"}
    estimators = ("_classifier.MLPClassifier", "_regressor.MLPRegressor")
    assert found >= {f"cbackprop.estimators.{name}" for name in estimators}


@pytest.mark.parametrize("name", [name for name in MODULES if examples_of(name)])
def test_the_examples_run(name):
    for test in examples_of(name):
        result = doctest.DocTestRunner().run(test)
        assert result.attempted > 0
        assert result.failed == 0


# ---- what it leaves alone ----


def global_state():
    numpys = np.random.get_state(legacy=False)  # noqa: NPY002
    numpys["state"]["key"] = numpys["state"]["key"].tobytes()
    return copy.deepcopy((numpys, random.getstate(), np.geterr(), np.get_printoptions()))


@pytest.mark.parametrize("random_state", [None, 0, np.random.RandomState(1)], ids=repr)
def test_nothing_global_is_touched(random_state):
    before = global_state()
    network = cbackprop.Network((3, 4, 2), random_state=random_state)
    X = np.ones((5, 3))
    network.train(X, X[:, :2], optimizer=cbackprop.Adam(), n_epochs=3, random_state=random_state)
    network.predict(X)
    assert global_state() == before


def test_the_environment_is_left_alone(tmp_path):
    code = (
        "import os, signal, threading; before = dict(os.environ), signal.getsignal(signal.SIGINT);"
        "import cbackprop; cbackprop.Network((2, 3, 1)).predict([[1, 2]]);"
        "assert before == (dict(os.environ), signal.getsignal(signal.SIGINT));"
        "assert threading.active_count() == 1"
    )
    result = run(code, tmp_path)
    assert result.returncode == 0, result.stderr
    assert list(tmp_path.iterdir()) == []
