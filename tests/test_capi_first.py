"""Programs that were compiled with the first release's cbackprop.h run with today's, and later."""

import ctypes
import re
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest
from engine import HEADER, Table
from processes import run_python

TESTS = Path(__file__).parent
FIRST = TESTS / "capi_first" / "cbackprop.h"

# ---- the header ----


def stripped(header):
    return re.sub(r"/\*.*?\*/", "", header.read_text("utf-8"), flags=re.DOTALL)


def entries_of(header):
    """What the table declares, one by one, without spaces."""
    (body,) = re.findall(
        r"typedef struct cbackprop_table \{(.*?)\} cbackprop_table", stripped(header), re.DOTALL
    )
    return ["".join(entry.split()) for entry in body.split(";")[:-1]]


def constants_of(header):
    return dict(re.findall(r"(CBACKPROP_\w+)(?: = | )(\d+)", stripped(header)))


def test_the_table_begins_with_the_first_one():
    first, today = entries_of(FIRST), entries_of(HEADER)
    assert first[0] == "size_tsize"
    assert len(first) == 14
    assert today[: len(first)] == first


def test_the_constants_are_those_of_the_first():
    first, today = constants_of(FIRST), constants_of(HEADER)
    assert first["CBACKPROP_ABI_VERSION"] == "1"
    assert len(first) == 1 + 15 + 7 + 4 + 2
    assert today | first == today


# ---- a program ----


@pytest.fixture(scope="module", params=[FIRST, HEADER], ids=["first", "today"])
def consumer(request, tmp_path_factory):
    """The folder of a C extension that was compiled with a header."""
    compiler = sysconfig.get_config_var("CC").split()[0]
    if not shutil.which(compiler):
        pytest.skip("there is no C compiler")
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        pytest.skip("Python's headers are not installed")
    folder = tmp_path_factory.mktemp("consumer")
    shutil.copy(request.param, folder)
    source = shutil.copy(FIRST.parent / "consumer.c", folder)
    command = [
        compiler,
        "-shared",
        "-fPIC",
        "-Wall",
        "-Werror",
        f"-I{sysconfig.get_path('include')}",
    ]
    command += [source, "-o", folder / f"consumer{sysconfig.get_config_var('EXT_SUFFIX')}"]
    subprocess.run(command, check=True)
    return folder


USE = """
import numpy as np
from cbackprop import SGD, Network
X, y = np.array([[0., 0], [0, 1], [1, 0], [1, 1]]), np.array([0., 1, 1, 0])
made, lent = Network((2, 3, 1), "tanh", random_state=7), Network((2, 3, 1), random_state=8)
twin = Network((2, 3, 1), random_state=8)

def work(network):
    network.parameters[0] = 0.5
    loss, gradient = network.loss_and_gradient(X, y)
    losses = [loss, *network.train(X, y, optimizer=SGD(0.2), shuffle=False)]
    order = [3, 1, 2, 0]
    shuffled = X[order], y[order]
    losses += [*network.train(*shuffled, optimizer=SGD(0.2), batch_size=2, shuffle=False)]
    found = losses, network.predict(X).ravel(), network.parameters, gradient
    return np.concatenate(found).tobytes()

import consumer
code, said, by_made, by_lent = consumer.use(lent, SGD(0.1))
assert code == 0, code
assert said == "the network or the optimizer is being used elsewhere"
assert by_made == work(made)
assert by_lent == work(twin)
assert lent == twin
print("all is as it was")
"""

GROWN = """
import ctypes, sys
sys.path.append({tests!r})
from cbackprop import capi
from engine import ENGINE, Table

class Grown(ctypes.Structure):
    _fields_ = [("table", Table), ("new", ctypes.c_void_p * 3)]

grown = Grown(ENGINE)
grown.table.size = {size}
grown.table.abi_version = {abi_version}
new = ctypes.pythonapi.PyCapsule_New
new.restype, new.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
capi.table = new(ctypes.addressof(grown), b"cbackprop.capi.table", None)
"""
SIZE = ctypes.sizeof(Table)


def with_table(consumer, **changes):
    """The last line of what it says when that is the library's table."""
    changes = {"tests": str(TESTS), "size": "ctypes.sizeof(grown)", "abi_version": 1} | changes
    result = run_python("-c", GROWN.format(**changes) + USE, cwd=consumer)
    return (result.stdout or result.stderr).splitlines()[-1]


def test_it_runs_with_the_table_of_today(consumer):
    result = run_python("-c", USE, cwd=consumer)
    assert result.stdout == "all is as it was\n", result.stderr


def test_it_runs_with_the_table_of_tomorrow(consumer):
    assert with_table(consumer) == "all is as it was"


def test_a_table_that_does_not_fit_is_an_import_error(consumer):
    assert with_table(consumer, size=SIZE - 8) == (
        "ImportError: this program was compiled for a newer cbackprop: it needs a table of "
        f"{SIZE} bytes, the installed one has {SIZE - 8}"
    )
    assert with_table(consumer, abi_version=2) == (
        "ImportError: this program was compiled for ABI 1 of cbackprop, the installed one has 2"
    )
