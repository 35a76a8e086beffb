"""What docs/threads.md promises and no other file looks at; and that its tests are there."""

import gc
import os
import platform
import random
import re
import shutil
import signal
import subprocess
import sysconfig
import tracemalloc
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from processes import run_python

import cbackprop
from cbackprop import LBFGS, SGD, Adam, MLPClassifier, MLPRegressor, Network, Rprop

ROOT = Path(__file__).parent.parent
# a fit that ends soon
ENOUGH = {
    "max_iter": 50,
    "tol": 100,
    "n_iter_no_change": 1,
    "random_state": 0,
}
REPETITIONS = int(os.environ.get("CBACKPROP_TEST_REPETITIONS", "1"))
TIMEOUT = 60  # seconds, after which a test has failed and does not hang


def test_the_page_names_tests_that_are_there():
    page = (ROOT / "docs" / "threads.md").read_text("utf-8")
    named = re.findall(r"(test_\w+\.py)::(test_\w+)", page)
    assert len(named) > 15
    for file, test in named:
        assert f"def {test}(" in (ROOT / "tests" / file).read_text("utf-8"), test


def data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100, 4))
    return X, X[:, :1].copy()


# ---- threads ----


def test_many_threads_predict_with_one_estimator():
    X, y = data()
    model = MLPClassifier((20,), **ENOUGH).fit(X, y.ravel() > 0)
    expected = model.predict_proba(X)

    def hammer(first):
        for k in range(200):
            rows = slice((first + k) % 50, None)
            assert np.array_equal(model.predict_proba(X[rows]), expected[rows])

    with ThreadPoolExecutor(8) as pool:
        for future in [pool.submit(hammer, k) for k in range(8)]:
            future.result(TIMEOUT)


# ---- processes ----


TRAINS = """
import sys, threading, time
import numpy as np
from cbackprop import SGD, Network

X = np.ones((512, 64))
network = Network((64, 64, 1), random_state=0)
threading.Thread(
    target=network.train,
    args=(X, X[:, 0]),
    kwargs=dict(
        optimizer=SGD(1e-9), n_epochs=10**9, batch_size=256, n_threads={n_threads}, {callback}
    ),
    daemon=True,
).start()
try:
    while True:
        time.sleep(0.1)  # not less: a network that is read is not trained
        network.predict(X[:1])
except RuntimeError:  # it is in training
    sys.exit(7)
"""


@pytest.mark.parametrize("callback", ["", "callback=lambda state: None"])
@pytest.mark.parametrize("n_threads", [1, 2])
def test_a_process_ends_while_a_thread_trains(n_threads, callback, tmp_path):
    for _ in range(REPETITIONS):
        result = run_python(
            *("-c", TRAINS.format(n_threads=n_threads, callback=callback)),
            cwd=tmp_path,
            timeout=TIMEOUT,
        )
        assert (result.returncode, result.stdout, result.stderr) == (7, "", "")


SECOND = """
try:
    import _interpreters as interpreters  # 3.13
except ImportError:
    import _xxsubinterpreters as interpreters
import cbackprop

second = interpreters.create()
try:
    error = getattr(interpreters, "exec", None) or interpreters.run_string
    found = error(second, "import cbackprop")
except Exception as error:
    found = error
print(found)
print(cbackprop.Network((1, 1), random_state=0).predict([[0.0]]).shape)
"""


def test_a_second_interpreter_is_refused(tmp_path):
    for _ in range(REPETITIONS):
        result = run_python("-c", SECOND, cwd=tmp_path, timeout=TIMEOUT)
        if "No module named '_xxsubinterpreters'" in result.stderr:
            pytest.skip("this Python has no way to make one")
        *said, last = result.stdout.splitlines()
        assert "ImportError" in " ".join(said), result
        assert last == "(1, 1)"
        assert result.returncode == 0


# ---- what a call never does ----


def test_nothing_is_printed(capfd):
    X, y = data()
    network = Network((4, 8, 1), random_state=0)
    for optimizer in (SGD(0.01), Adam(), Rprop()):
        network.train(X, y, optimizer=optimizer, n_epochs=3)
    network.predict(X)
    for model in (MLPClassifier(**ENOUGH), MLPRegressor(**ENOUGH)):
        model.fit(X, y.ravel() > 0).predict(X)
    assert capfd.readouterr() == ("", "")


def signals():
    """Who handles each, which are blocked, where they are written to, and the timers."""
    handlers = [signal.getsignal(number) for number in sorted(signal.valid_signals())]
    descriptor = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(descriptor)
    timers = [signal.getitimer(timer) for timer in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL)]
    return handlers, signal.pthread_sigmask(signal.SIG_BLOCK, ()), descriptor, timers


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has few signals")
@pytest.mark.parametrize("n_threads", [1, 2])
def test_signals_are_left_alone(n_threads):
    X, y = data()
    seen, before = [], signals()
    network = Network((4, 130, 70, 1), random_state=0)
    network.train(
        *(X, y),
        optimizer=SGD(0.01),
        n_epochs=3,
        n_threads=n_threads,
        callback=lambda state: seen.append(signals()),
    )
    network.predict(X, n_threads=n_threads)
    with pytest.raises(ValueError, match="finite"):
        network.train(np.nan * X, y, optimizer=SGD(0.01), n_threads=n_threads)
    MLPRegressor(hidden_layer_sizes=(8,), **ENOUGH, n_threads=n_threads).fit(X, y.ravel()).predict(
        X
    )
    assert [signals(), *seen] == [before] * 4


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
@pytest.mark.parametrize("random_state", [0, np.random.RandomState(1)], ids=["seed", "state"])
def test_seeded_estimators_draw_from_no_global_state(solver, random_state):
    X, y = data()
    settings = ENOUGH | {"hidden_layer_sizes": (8,), "solver": solver}
    settings["random_state"] = random_state
    settings["early_stopping"] = solver != "lbfgs"
    numpys = np.random.get_state(legacy=False)["state"]  # noqa: NPY002
    before = random.getstate(), numpys["pos"], numpys["key"].tobytes()
    for model in (MLPClassifier(**settings), MLPRegressor(**settings)):
        model.fit(X, y.ravel() > 0).predict(X)
    numpys = np.random.get_state(legacy=False)["state"]  # noqa: NPY002
    assert (random.getstate(), numpys["pos"], numpys["key"].tobytes()) == before


@pytest.mark.parametrize("make_optimizer", [lambda: SGD(0.01), Adam, Rprop, LBFGS])
def test_data_are_not_kept(make_optimizer):
    optimizer = make_optimizer()
    network = Network((4, 8, 1), random_state=0)
    X, y = data()
    gone = [weakref.ref(X), weakref.ref(y)]
    network.train(X, y, optimizer=optimizer, n_epochs=2, validation_data=(X, y))
    network.predict(X)
    network.loss_and_gradient(X, y)
    network.jacobian(X)
    del X, y
    gc.collect()
    assert [reference() for reference in gone] == [None, None]


def test_estimators_keep_no_data():
    X, y = data()
    gone = weakref.ref(X)
    model = MLPRegressor(hidden_layer_sizes=(8,), **ENOUGH).fit(X, y.ravel())
    model.predict(X)
    del X
    gc.collect()
    assert gone() is None


def peak_of_predictions(n_rows, n_threads=None):
    """Bytes beside `X` and `out`; NumPy tells tracemalloc of its arrays."""
    network = Network((64, 32, 16), random_state=0)
    X, out = np.ones((n_rows, 64)), np.empty((n_rows, 16))
    network.predict(X, out, n_threads=n_threads)
    tracemalloc.start()
    try:
        network.predict(X, out, n_threads=n_threads)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("n_threads", [None, 1, 2])
def test_predictions_into_an_array_make_none(n_threads):
    for n_rows in (1, 8, 9, 300, 5000):
        # objects of Python, the call's own among them
        assert peak_of_predictions(n_rows, n_threads) < 2000


ALLOCATIONS = """
import ctypes, sys
sys.path.append({tests!r})
import numpy as np
from engine import ENGINE, Lent, at
from cbackprop import SGD, Adam, Network

counter = ctypes.CDLL({library!r})
n_allocations = ctypes.c_long.in_dll(counter, "n_allocations")
X, y = np.full((6, 5), 0.1), np.full((6, 3), 0.2)
order, out, many = np.arange(6)[::-1].copy(), np.empty((6, 3)), np.empty(1000)
for sizes in (5, 9, 3), (5, 32, 1):
    for optimizer in SGD(0.01), SGD(0.01, 0.9), Adam():
        before = n_allocations.value
        with Lent(Network(sizes), optimizer) as lent:
            assert n_allocations.value > before
            arrays = map(ctypes.c_void_p, map(at, (X, y, order)))
            ends = map(ctypes.c_void_p, map(at, (out, many)))
            print(counter.of_calls(ctypes.byref(ENGINE), lent.handle, *arrays, 6, *ends))
for sizes, shortcuts in ((5, 9, 3), False), ((5, 9, 9, 3), True), ((5, 1025, 3), False):
    for dtype in "float32", "float64":
        network = Network(sizes, dtype=dtype, shortcuts=shortcuts)
        for n_rows, n_threads in (1, None), (6, None), (6, 2), (9, 1), (700, 2), (9, 2):
            rows, out = np.ones((n_rows, 5), dtype), np.empty((n_rows, 3), dtype)
            network.predict(rows, out=out, n_threads=n_threads)
            before = n_allocations.value
            for _ in range(200):
                network.predict(rows, out=out, n_threads=n_threads)
            print(n_allocations.value - before)
"""


def test_calls_that_allocate_nothing(tmp_path):
    """Not by Python's allocator, nor by any other; and nothing is printed on the way."""
    compiler = sysconfig.get_config_var("CC").split()[0]
    if platform.libc_ver()[0] != "glibc" or not shutil.which(compiler):
        pytest.skip("the counter is for glibc, and has to be compiled")
    headers = [f"-I{sysconfig.get_path('include')}", f"-I{cbackprop.get_include()}"]
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        pytest.skip("Python's headers are not installed")
    library = tmp_path / "counter.so"
    source = ROOT / "tests" / "scripts" / "allocations.c"
    command = [compiler, "-shared", "-fPIC", "-Wall", *headers, source, "-o", library]
    subprocess.run(command, check=True)
    code = ALLOCATIONS.format(tests=str(ROOT / "tests"), library=str(library))
    result = run_python("-c", code, cwd=tmp_path, timeout=TIMEOUT, LD_PRELOAD=str(library))
    assert result.stderr == ""
    from_c, from_python = result.stdout.split()[:6], result.stdout.split()[6:]
    assert from_c == ["0"] * 6
    assert len(from_python) == 36
    assert all(int(number) < 10 for number in from_python)  # of 200 calls
