"""What docs/threads.md promises and no other file looks at; and that its tests are there."""

import gc
import os
import re
import tracemalloc
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from processes import run_python

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
begun = threading.Event()
threading.Thread(
    target=network.train,
    args=(X, X[:, 0]),
    kwargs=dict(
        optimizer=SGD(1e-9), n_epochs=10**9, batch_size=256, n_threads={n_threads}, {callback}
    ),
    daemon=True,
).start()
time.sleep(0.1)
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


def test_predictions_into_an_array_make_none():
    assert peak_of_predictions(1) < 1000
    assert peak_of_predictions(8) < 1000
    # of more rows a thread keeps the activations of one block, however many rows there are
    assert abs(peak_of_predictions(5000, 1) - peak_of_predictions(50_000, 1)) < 1000
