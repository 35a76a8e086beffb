"""The projects under examples/, built by pip or make against the installed package, and run."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from engine import ENGINE

import cbackprop

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
NEEDED = ("pip", "setuptools", "Cython")
if not EXAMPLES.is_dir():
    pytest.skip("the examples do not lie beside the tests", allow_module_level=True)


def environment(*folders):
    """Where the package and NumPy are found by processes that have a path of their own."""
    import numpy

    homes = [str(Path(module.__file__).parent.parent) for module in (cbackprop, numpy)]
    return os.environ | {"PYTHONPATH": os.pathsep.join([*map(str, folders), *homes])}


def called(command, folder, stderr=subprocess.PIPE, **options):
    pipes = {"stdout": subprocess.PIPE, "stderr": stderr}
    result = subprocess.run(command, cwd=folder, text=True, timeout=300, **pipes, **options)
    assert result.returncode == 0, result.stdout + (result.stderr or "")
    return result.stdout


def python(code, *folders):
    return called([sys.executable, "-c", code], folders[0], env=environment(*folders))


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder into which pip has installed both extensions."""
    if any(importlib.util.find_spec(name) is None for name in NEEDED):
        pytest.skip(f"building needs {', '.join(NEEDED)}")
    if not shutil.which(sysconfig.get_config_var("CC").split()[0]):
        pytest.skip("there is no C compiler")
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        pytest.skip("Python's headers are not installed")
    folder = tmp_path_factory.mktemp("examples")
    projects = []
    for name in ("cython_extension", "c_extension"):
        projects.append(shutil.copytree(EXAMPLES / name, folder / name))  # builds write there
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    pip += ["--no-index", "--disable-pip-version-check", "--target", str(folder / "installed")]
    called([*pip, *map(str, projects)], folder, env=environment() | {"CFLAGS": "-O1"})
    return folder / "installed"


FOLLOW = """
import cbackprop, follower
network = cbackprop.Network((8, 32, 1), random_state=0)
for optimizer in cbackprop.SGD(0.05), cbackprop.Adam():
    print(*follower.follow(network, optimizer, 4000), optimizer.n_steps)
try:
    follower.follow(cbackprop, optimizer, 4000)
except RuntimeError as error:
    print(error)
"""


def test_a_cython_extension_trains_in_its_own_loop(built):
    *lines, refusal = python(FOLLOW, built).splitlines()
    for line in lines:
        first, last, n_steps = map(float, line.split())
        assert 0 < last < first / 2
        assert n_steps == 4000
    assert refusal == ENGINE.message(5).decode()


def test_a_c_extension_trains_without_the_gil(built):
    loss = float(python("import identify; print(identify.identify(20_000))", built))
    assert 0 < loss < 1e-3


def test_a_cpp_program_embeds_python(tmp_path):
    if not (shutil.which("make") and shutil.which("c++")):
        pytest.skip("make and a C++ compiler are needed")
    library = Path(sysconfig.get_config_var("LIBDIR"), sysconfig.get_config_var("LDLIBRARY"))
    if not library.exists():
        pytest.skip("there is no libpython to embed")
    project = shutil.copytree(EXAMPLES / "cpp_embedding", tmp_path / "project")
    command = ["make", f"PYTHON={sys.executable}"]
    # compilers warn there
    output = called(command, project, stderr=subprocess.STDOUT, env=environment())
    assert "warning" not in output
    lines = called(["./xor"], project, env=environment()).splitlines()
    found = [re.fullmatch(r"(\d) xor (\d): (\d\.\d\d)", line).groups() for line in lines]
    assert [round(float(value)) for _, _, value in found] == [0, 1, 1, 0]
    assert [(a, b) for a, b, _ in found] == [("0", "0"), ("0", "1"), ("1", "0"), ("1", "1")]


def test_the_page_shows_the_examples():
    """Its code is copied from there, so that it compiles."""
    page = (ROOT / "docs" / "embedding.md").read_text("utf-8")
    blocks = re.findall(r"```(?:cython|c|cpp|toml|python)\n(.*?)```", page, re.DOTALL)
    sources = [path.read_text("utf-8") for path in EXAMPLES.rglob("*") if path.is_file()]
    assert len(blocks) >= 4
    for block in blocks:
        assert any(block in source for source in sources), block
