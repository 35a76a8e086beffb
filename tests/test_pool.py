"""Threads inside a batch: the same bits for any number of them, and none in anybody's way."""

import importlib.util
import math
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from processes import run_python

from cbackprop import SGD, Adam, Network, _cpus

SCRIPTS = Path(__file__).parent / "scripts"
TIMEOUT = 100  # seconds, after which a test has failed and does not hang
NUMBERS = (1, 2, 3, 4, 7, 8)  # of threads
N_NETWORKS = 200
REPETITIONS = int(os.environ.get("CBACKPROP_TEST_REPETITIONS", "1"))


def script(name):
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ---- the same bits ----


def everything(case, n_threads):
    """Bits of all that a network and its optimizer are after training, and of what it computes."""
    hash_networks = script("hash_networks")
    network, X, y, name, arguments = hash_networks.random_case(case)
    optimizer = hash_networks.OPTIMIZERS[name]()
    arguments |= {"n_threads": n_threads}
    losses = network.train(X, y, optimizer=optimizer, n_epochs=3, random_state=case, **arguments)
    weight, reduction = arguments["sample_weight"], arguments["reduction"]
    state = ("velocity", "mean_gradients", "mean_squares")
    found = {
        "losses": losses,
        "parameters": network.parameters,
        "loss": network.loss_value(X, y, weight, reduction, n_threads=n_threads),
        "gradient": network.loss_and_gradient(X, y, weight, reduction, n_threads=n_threads)[1],
        "predictions": network.predict(X, n_threads=n_threads),
    } | {name: getattr(optimizer, name) for name in state if hasattr(optimizer, name)}
    return {name: np.asarray(value).tobytes() for name, value in found.items() if value is not None}


@pytest.mark.parametrize("cases", np.array_split(np.arange(N_NETWORKS), 10), ids=lambda c: c[0])
def test_any_number_of_threads_computes_the_same_bits(cases):
    for case in map(int, cases):
        alone = everything(case, 1)
        for n_threads in NUMBERS[1:]:
            found = everything(case, n_threads)
            assert {name for name in alone if found[name] != alone[name]} == set(), (
                case,
                n_threads,
            )


def test_large_layers_are_divided_within_and_across(dtype):
    """Whole layers, parts of one, and (with few outputs) the transposed layout."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(640, 300)), rng.normal(size=(640, 2))
    found = []
    for n_threads in (1, 2, 5, 16):
        network = Network((300, 200, 700, 2), dtype=dtype, random_state=0)
        network.train(X, y, optimizer=SGD(0.01), batch_size=256, shuffle=False, n_threads=n_threads)
        loss, gradient = network.loss_and_gradient(X, y, n_threads=n_threads)
        found.append((network.parameters.tobytes(), loss, gradient.tobytes()))
    assert found == [found[0]] * 4


def test_the_default_computes_the_same_bits(monkeypatch):
    """With work enough for it to take more than one."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(512, 400)).astype("float32")
    found = []
    for cpus in ("1", "2", "3"):
        monkeypatch.setenv("CBACKPROP_NUM_THREADS", cpus)
        network = Network((400, 500, 10), dtype="float32", random_state=0)
        network.train(X, X[:, :10], optimizer=Adam(), batch_size=256, random_state=0)
        found.append((network.parameters.tobytes(), network.predict(X).tobytes()))
    assert found == [found[0]] * 3


@pytest.mark.parametrize("n_threads", NUMBERS)
def test_the_fault_that_is_found_does_not_depend_on_threads(n_threads):
    rng = np.random.default_rng(0)
    X, y, weight = rng.normal(size=(256, 5)), rng.normal(size=(256, 2)), np.ones(256)
    network = Network((5, 9, 2), random_state=0)
    before = network.parameters.copy()

    def complaint():
        with pytest.raises(ValueError, match="must be finite") as raised:
            network.train(
                X, y, sample_weight=weight, optimizer=SGD(0.1), shuffle=False, n_threads=n_threads
            )
        assert np.array_equal(network.parameters, before)
        return str(raised.value).split()[0]

    y[-1] = np.nan
    assert complaint() == "y"
    y[40] = np.nan
    X[200] = np.inf
    assert complaint() == "X"
    X[200] = 0
    X[3] = np.nan
    assert complaint() == "X"
    with pytest.raises(ValueError, match="X must be finite"):
        network.predict(X, n_threads=n_threads)


# ---- the argument, and its default ----

CALLS = {
    "train": lambda network, X, y, n: network.train(X, y, optimizer=SGD(0.1), n_threads=n),
    "predict": lambda network, X, y, n: network.predict(X, n_threads=n),
    "loss_value": lambda network, X, y, n: network.loss_value(X, y, n_threads=n),
    "loss_and_gradient": lambda network, X, y, n: network.loss_and_gradient(X, y, n_threads=n),
}


@pytest.mark.parametrize("call", CALLS)
def test_bad_numbers_of_threads(call):
    network, X = Network((2, 3, 1), random_state=0), np.ones((4, 2))
    for n_threads, error in ((0, ValueError), (-1, ValueError), (1.5, TypeError), ("2", TypeError)):
        with pytest.raises(error, match="n_threads must be"):
            CALLS[call](network, X, X[:, :1], n_threads)
    CALLS[call](network, X, X[:, :1], np.int64(2))
    CALLS[call](network, X, X[:, :1], 10**30)


@pytest.fixture
def environment(monkeypatch):
    for name in ("CBACKPROP_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch.setenv


LARGE = 1 << 40  # multiply-adds


def test_the_environment_says_how_many(environment):
    environment("CBACKPROP_NUM_THREADS", "7")
    environment("OMP_NUM_THREADS", "1")
    assert _cpus.as_n_threads(None, LARGE) == (7, 7)
    assert _cpus.as_n_threads(3, LARGE) == (3, 0)
    assert _cpus.as_n_threads(None, 1000) == (1, 0)  # not worth it
    assert _cpus.as_n_threads(3, 1) == (3, 0)


@pytest.mark.parametrize("said", ["0", "-2", "two", "1.5"])
def test_a_bad_environment(environment, said):
    environment("CBACKPROP_NUM_THREADS", said)
    network = Network((600, 600, 600), dtype="float32", random_state=0)
    X = np.ones((256, 600), "float32")
    with pytest.raises((ValueError, TypeError), match=f"CBACKPROP_NUM_THREADS must be.*{said}"):
        network.train(X, X, optimizer=SGD(0.1))
    network.train(X, X, optimizer=SGD(1e-9), n_threads=1)


def test_other_libraries_limits_count(environment):
    alone = _cpus.n_cpus()
    environment("OMP_NUM_THREADS", "1")
    assert _cpus.n_cpus() == 1
    environment("OMP_NUM_THREADS", "1,4")
    assert _cpus.n_cpus() == 1
    environment("OMP_NUM_THREADS", str(10**6))
    assert _cpus.n_cpus() == alone
    environment("OMP_NUM_THREADS", "many")  # is for others to complain about
    assert _cpus.n_cpus() == alone


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="nothing holds processes to cores")
def test_affinity_counts(environment):
    cores = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(cores)})
        assert _cpus.n_cpus() == 1
        os.sched_setaffinity(0, cores)
        assert _cpus.n_cpus() == min(len(cores), _cpus.quota())
    finally:
        os.sched_setaffinity(0, cores)


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, math.inf),
        ({"proc/self/cgroup": "0::/\n"}, math.inf),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, math.inf),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "150000 100000\n"}, 2),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "1000 100000\n"}, 1),
        (
            {
                "proc/self/cgroup": "0::/a/b\n",
                "sys/fs/cgroup/a/cpu.max": "300000 100000\n",
                "sys/fs/cgroup/a/b/cpu.max": "max 100000\n",
            },
            3,
        ),
        ({"proc/self/cgroup": "0::/outer\n", "sys/fs/cgroup/cpu.max": "400000 100000\n"}, 4),
        (
            {
                "proc/self/cgroup": "3:cpu,cpuacct:/a\n2:cpuset:/\n",
                "sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": "250000\n",
                "sys/fs/cgroup/cpu/a/cpu.cfs_period_us": "100000\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            3,
        ),
    ],
)
def test_quotas_of_control_groups_count(files, expected, tmp_path):
    for name, text in files.items():
        write(tmp_path / name, text)
    assert _cpus.quota(tmp_path) == expected


def test_a_quota_limits_the_default(environment, monkeypatch):
    monkeypatch.setattr(_cpus, "quota", lambda: 1)
    assert _cpus.n_cpus() == 1


WORKER = """
import concurrent.futures, multiprocessing
from cbackprop import _cpus

if __name__ == "__main__":
    for method in ("fork", "spawn", "forkserver"):
        context = multiprocessing.get_context(method)
        with concurrent.futures.ProcessPoolExecutor(2, context) as pool:
            print(pool.submit(_cpus.n_cpus).result(60))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_workers_of_multiprocessing_get_one_thread(environment, tmp_path):
    path = tmp_path / "worker.py"
    path.write_text(WORKER)
    assert run_python(path, cwd=tmp_path, timeout=TIMEOUT).stdout.split() == ["1"] * 3
    environment("CBACKPROP_NUM_THREADS", "2")
    assert run_python(path, cwd=tmp_path, timeout=TIMEOUT).stdout.split() == ["2"] * 3


def test_workers_of_joblib(environment):
    joblib = pytest.importorskip("joblib")
    hash_networks = script("hash_networks")
    network, X, *_ = hash_networks.random_case(3)
    expected = network.predict(X)
    for backend in ("loky", "threading") * REPETITIONS:
        parallel = joblib.Parallel(n_jobs=2, backend=backend, timeout=TIMEOUT)
        for predicted in parallel(
            joblib.delayed(network.predict)(X, n_threads=2) for _ in range(8)
        ):
            assert np.array_equal(predicted, expected)
        # else the next ones are the same
        joblib.externals.loky.get_reusable_executor().shutdown()
    cores = joblib.Parallel(n_jobs=_cpus.n_cpus(), backend="loky", timeout=TIMEOUT)(
        joblib.delayed(_cpus.n_cpus)() for _ in range(4)
    )
    assert cores == [1] * 4


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="nothing tells who computes")
def test_callers_share_the_processors_by_default(environment):
    """Two Python threads that train take no third processor for a worker."""
    environment("CBACKPROP_NUM_THREADS", "2")
    X = np.random.default_rng(0).normal(size=(256, 512)).astype("float32")

    def train(seed, n_epochs):
        network = Network((512, 1024, 10), dtype="float32", random_state=seed)
        network.train(X, X[:, :10], optimizer=SGD(1e-9), n_epochs=n_epochs, batch_size=256)

    def switches():
        """Of each thread, how often it went to sleep of its own will: workers do so when idle."""
        found = {}
        for task in os.listdir("/proc/self/task"):
            with open(f"/proc/self/task/{task}/schedstat") as file:
                found[task] = int(file.read().split()[0]) * 1e-9
        return found

    train(0, 2)
    callers = set()

    def both(seed):
        callers.add(str(threading.get_native_id()))
        barrier.wait(TIMEOUT)
        train(seed, 30)

    barrier = threading.Barrier(2)
    before = switches()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(both, range(2)))
        after = switches()
    by_workers = {task: after[task] - before.get(task, 0) for task in after.keys() - callers}
    by_callers = [after[task] - before.get(task, 0) for task in callers]
    # when one is done, the other may take a second thread
    assert sum(by_workers.values()) < 0.5 * sum(by_callers)


# ---- in a process of its own ----


CASES = (
    *("fork_after", "fork_meanwhile", "fork_in_callback", "fork_in_handler"),
    *("fork", "spawn", "forkserver"),
    *("idle", "nested", "as_many_as_asked_for", "no_thread_to_be_had", "signals_go_to_python"),
    *("side_by_side", "exit_meanwhile"),
)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the cases are written for Linux")
@pytest.mark.parametrize("case", CASES)
def test_threads_of_a_process(case, tmp_path):
    for _ in range(REPETITIONS):
        began = time.monotonic()
        result = run_python(SCRIPTS / "threads.py", case, cwd=tmp_path, timeout=TIMEOUT)
        assert result.returncode == 0, result.stderr
        if result.stdout == "not limited\n":
            pytest.skip("this system does not limit the number of threads")
        assert result.stdout == "done\n", result.stderr
        assert time.monotonic() - began < TIMEOUT
