"""Threads, signals and forks: many may predict, one may train, and Ctrl-C is seen in time."""

import copy
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from processes import run_python

import cbackprop
from cbackprop import SGD, Adam, Network

SCRIPT = Path(__file__).parent / "scripts" / "interrupt.py"
N_THREADS = 8
TIMEOUT = 60  # seconds, after which a test has failed and does not hang
FOREVER = 10**9  # epochs
# Rows that want different answers to the same question: learning them never comes to an end.
RESTLESS = (
    np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]] * 2),
    np.array([0.0, 1.0, 1.0, 0.0, 0.3, 0.8, 0.7, 0.6]),
)


def make(layer_sizes=(5, 17, 3), n_samples=600, seed=0, **kwargs):
    network = Network(layer_sizes, random_state=seed, **kwargs)
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_samples, layer_sizes[0]))
    return network, X, rng.normal(size=(n_samples, layer_sizes[-1]))


def together(*functions):
    """Calls each in a thread of its own, all at the same moment; returns what they return."""
    barrier = threading.Barrier(len(functions))

    def call(function):
        barrier.wait(TIMEOUT)
        return function()

    with ThreadPoolExecutor(len(functions)) as pool:
        futures = [pool.submit(call, function) for function in functions]
        return [future.result(TIMEOUT) for future in futures]


# ---- many readers ----


def test_many_threads_compute_with_one_network(dtype):
    network, X, y = make(dtype=dtype)

    def computed(rows):
        loss, gradient = network.loss_and_gradient(X[rows], y[rows])
        out = np.empty((len(X[rows]), 3), dtype)
        return [
            network.predict(X[rows]),
            network.predict(X[rows], out=out),
            *network.activations(X[rows]),
            loss,
            network.loss_value(X[rows], y[rows]),
            gradient,
            *network.deltas(X[rows], y[rows]),
            network.input_gradient(X[rows], y[rows]),
        ]

    pieces = [slice(k, k + 1 + 37 * k % 500) for k in range(N_THREADS)]
    known = [computed(piece) for piece in pieces]

    def hammer(first):
        for k in range(50):
            at = (first + k) % len(pieces)
            for got, expected in zip(computed(pieces[at]), known[at], strict=True):
                assert np.array_equal(got, expected)
        return True

    assert all(together(*(lambda k=k: hammer(k) for k in range(N_THREADS))))
    network.train(X, y, optimizer=SGD(0.1))  # every reader has left


def test_many_threads_copy_one_network():
    network, X, _ = make()
    expected = network.predict(X)

    def hammer():
        for _ in range(50):
            for same in (pickle.loads(pickle.dumps(network)), copy.deepcopy(network)):
                assert same == network
            assert np.array_equal(same.predict(X), expected)
        return True

    assert all(together(*[hammer] * N_THREADS))


# ---- one writer ----


@contextmanager
def in_training(network, X, y, optimizer, **kwargs):
    """Another thread trains the network, and waits in its callback as long as we are here."""
    inside, leave = threading.Event(), threading.Event()

    def wait(_):
        inside.set()
        assert leave.wait(TIMEOUT)

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(
            network.train, X, y, optimizer=optimizer, callback=wait, shuffle=False, **kwargs
        )
        try:
            assert inside.wait(TIMEOUT)
            yield future
        finally:
            leave.set()
        future.result(TIMEOUT)


TOUCHES = {
    "predict": lambda network, X, y: network.predict(X),
    "activations": lambda network, X, y: network.activations(X),
    "loss_value": lambda network, X, y: network.loss_value(X, y),
    "loss_and_gradient": lambda network, X, y: network.loss_and_gradient(X, y),
    "deltas": lambda network, X, y: network.deltas(X, y),
    "input_gradient": lambda network, X, y: network.input_gradient(X, y),
    "parameters": lambda network, X, y: network.parameters,
    "parameters, set": lambda network, X, y: setattr(
        network, "parameters", np.zeros(network.n_parameters)
    ),
    "weights": lambda network, X, y: network.weights,
    "biases": lambda network, X, y: network.biases,
    "train": lambda network, X, y: network.train(X, y, optimizer=SGD(0.1)),
    "pickle": lambda network, X, y: pickle.dumps(network),
    "copy": lambda network, X, y: copy.copy(network),
    "deepcopy": lambda network, X, y: copy.deepcopy(network),
    "==": lambda network, X, y: network == make()[0],
    "== from the other side": lambda network, X, y: make()[0] == network,
}


@pytest.mark.parametrize("touch", TOUCHES)
def test_a_network_in_training_is_not_touched_by_another_thread(touch):
    network, X, y = make()
    alone, _, _ = make()
    expected = alone.train(X, y, optimizer=Adam(), n_epochs=3, shuffle=False)
    busy = pytest.raises(RuntimeError, match="network is being trained")
    with in_training(network, X, y, Adam(), n_epochs=3) as future, busy:
        TOUCHES[touch](network, X, y)
    assert np.array_equal(future.result(), expected)
    assert network == alone
    TOUCHES[touch](network, X, y)  # and afterwards it may


def test_what_a_network_is_may_be_asked_while_it_trains():
    network, X, y = make()
    with in_training(network, X, y, SGD(0.1)):
        assert repr(network).startswith("Network((5, 17, 3)")
        assert network.layer_sizes == (5, 17, 3)
        assert network.n_parameters == 6 * 17 + 18 * 3
        assert network.dtype == "float64"


def test_another_thread_is_kept_out_in_the_midst_of_an_epoch():
    X, y = RESTLESS
    network, alone = (Network((2, 2, 1), random_state=0) for _ in range(2))
    n_epochs, refused = 100_000, 0
    while refused < 100:  # a training that was over too soon is tried again, with more epochs
        arguments = {"n_epochs": n_epochs, "batch_size": 1, "shuffle": False}
        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(network.train, X, y, optimizer=SGD(0.1), **arguments)
            while not future.done():
                try:
                    _ = network.parameters  # to predict would keep the trainer out in its turn
                except RuntimeError:
                    refused += 1
            future.result()
        alone.train(X, y, optimizer=SGD(0.1), **arguments)
        assert network == alone
        n_epochs *= 2
        assert n_epochs < FOREVER


def test_a_network_that_is_read_is_not_changed():
    network, X, y = make((64, 256, 1), n_samples=20_000)
    values = network.parameters.copy()
    expected = network.loss_and_gradient(X, y)
    refused = set()
    deadline = time.monotonic() + TIMEOUT
    while refused != {"set", "train"}:
        assert time.monotonic() < deadline
        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(network.loss_and_gradient, X, y)
            while not future.done():
                try:
                    network.parameters = values
                except RuntimeError as error:
                    assert "read by another thread" in str(error)
                    refused.add("set")
                try:
                    if "set" in refused:
                        network.train(X[:1], y[:1], optimizer=SGD(1e-300))  # changes no bit
                except RuntimeError as error:
                    assert "read by another thread" in str(error)
                    refused.add("train")
                network.predict(X[:1])  # reading together is no harm
            loss, gradient = future.result()
        assert loss == expected[0]
        assert np.array_equal(gradient, expected[1])


def test_a_callback_reads_while_others_may_not():
    network, X, y = make()
    seen = []

    def read(state):
        with ThreadPoolExecutor(1) as pool, pytest.raises(RuntimeError, match="being trained"):
            pool.submit(network.predict, X).result(TIMEOUT)
        copied = copy.deepcopy(network)
        assert copied == state.network
        seen.append((state.loss, network.predict(X), copied.predict(X), network.parameters.copy()))

    losses = network.train(X, y, optimizer=SGD(0.1), n_epochs=3, callback=read)
    assert [loss for loss, *_ in seen] == losses.tolist()
    for _, predicted, of_copy, _ in seen:
        assert np.array_equal(predicted, of_copy)
    assert not np.array_equal(seen[0][3], seen[1][3])
    assert np.array_equal(seen[2][3], network.parameters)


class Stop(Exception):
    pass


def fails_in_callback(network, X, y):
    def stop(_):
        raise Stop

    network.train(X, y, optimizer=SGD(0.1), callback=stop)


def trains_with_anothers_optimizer(network, X, y):
    optimizer = Adam()
    other = Network((1, 1))
    other.train([[1.0]], [1.0], optimizer=optimizer)
    network.train(X, y, optimizer=optimizer)


def with_nan(array):
    array = array.copy()
    array[-1, 0] = np.nan
    return array


FAILURES = {
    "predict": (ValueError, lambda n, X, y: n.predict(with_nan(X))),
    "activations": (ValueError, lambda n, X, y: n.activations(with_nan(X))),
    "loss_value": (ValueError, lambda n, X, y: n.loss_value(X, with_nan(y))),
    "loss_and_gradient": (ValueError, lambda n, X, y: n.loss_and_gradient(with_nan(X), y)),
    "deltas": (ValueError, lambda n, X, y: n.deltas(X, with_nan(y))),
    "input_gradient": (ValueError, lambda n, X, y: n.input_gradient(with_nan(X), y)),
    "parameters": (ValueError, lambda n, X, y: setattr(n, "parameters", np.zeros(3))),
    "train, bad data": (ValueError, lambda n, X, y: n.train(with_nan(X), y, optimizer=SGD(0.1))),
    "train, bad argument": (ValueError, lambda n, X, y: n.train(X, y, optimizer=SGD(0.1), tol=-1)),
    "train, diverging": (
        ValueError,
        lambda n, X, y: n.train(X, y, optimizer=SGD(1e200), n_epochs=9),
    ),
    "train, another's optimizer": (ValueError, trains_with_anothers_optimizer),
    "train, callback": (Stop, fails_in_callback),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_what_fails_leaves_the_network_free(failure):
    network, X, y = make()
    exception, call = FAILURES[failure]
    for _ in range(3):
        with pytest.raises(exception):
            call(network, X, y)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(network.predict, X).result(TIMEOUT)
        pool.submit(setattr, network, "parameters", np.zeros(network.n_parameters)).result(TIMEOUT)
        pool.submit(network.train, X, y, optimizer=SGD(0.01)).result(TIMEOUT)


# ---- optimizers are busy, too ----


@pytest.mark.parametrize("optimizer", [SGD(0.1), SGD(0.1, momentum=0.9), Adam()], ids=repr)
def test_an_optimizer_trains_one_network_at_a_time(optimizer):
    network, X, y = make()
    other, _, _ = make(seed=1)
    before = other.parameters.copy()
    with in_training(network, X, y, optimizer, n_epochs=2):
        with pytest.raises(RuntimeError, match="optimizer is training another network"):
            other.train(X, y, optimizer=optimizer)
        assert np.array_equal(other.parameters, before)
        other.train(X, y, optimizer=SGD(0.1))  # the other network is free
    assert optimizer.n_steps == 2
    other.train(X, y, optimizer=optimizer)  # and so is the optimizer afterwards
    assert optimizer.n_steps == 3


def test_a_failed_training_leaves_the_optimizer_free():
    network, X, y = make()
    optimizer = Adam()
    for _ in range(3):
        with pytest.raises(ValueError, match="X must be finite"):
            network.train(with_nan(X), y, optimizer=optimizer)
    network.train(X, y, optimizer=optimizer)
    assert optimizer.n_steps == 1


# ---- training beside other threads ----


@pytest.mark.parametrize("make_optimizer", [lambda: SGD(0.01), Adam])
def test_networks_train_side_by_side(make_optimizer):
    shapes = [(5, 17, 3), (5, 64, 64, 3), (5, 3), (5, 200, 3)]

    def trained(k):
        network, X, y = make(shapes[k], seed=k)
        losses = network.train(
            X, y, optimizer=make_optimizer(), batch_size=32, n_epochs=20, random_state=k
        )
        return losses, network

    alone = [trained(k) for k in range(len(shapes))]
    beside = together(*(lambda k=k: trained(k) for k in range(len(shapes))))
    for (losses, network), (expected_losses, expected) in zip(beside, alone, strict=True):
        assert np.array_equal(losses, expected_losses)
        assert network == expected


def test_trainings_share_a_stream_of_random_numbers():
    stream = np.random.RandomState(0)

    def train():
        network, X, y = make()
        network.train(
            X, y, optimizer=SGD(0.1), n_epochs=20, random_state=stream, callback=lambda _: None
        )
        return np.isfinite(network.parameters).all()

    assert all(together(*[train] * 4))


class Ticker:
    """A Python thread that notes the time again and again, whenever it gets the GIL."""

    def __enter__(self):
        self.times, self.stop = [], threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()

    def run(self):
        while not self.stop.wait(0.001):
            self.times.append(time.perf_counter())


# with one thread, which leaves a processor to the others: it is the GIL that is looked at
ONE = {"n_threads": 1}
LONG = {
    "train": lambda n, X, y, k: n.train(
        X, y, optimizer=SGD(0.01), n_epochs=k, batch_size=32, **ONE
    ),
    "train, large batches": lambda n, X, y, k: n.train(X, y, optimizer=Adam(), n_epochs=k, **ONE),
    "predict": lambda n, X, y, k: n.predict(np.tile(X, (k, 1)), **ONE),
    "loss_value": lambda n, X, y, k: n.loss_value(np.tile(X, (k, 1)), np.tile(y, (k, 1)), **ONE),
    "loss_and_gradient": lambda n, X, y, k: n.loss_and_gradient(
        np.tile(X, (k, 1)), np.tile(y, (k, 1)), **ONE
    ),
    "deltas": lambda n, X, y, k: n.deltas(np.tile(X, (k, 1)), np.tile(y, (k, 1))),
    "one huge step": lambda n, X, y, k: make((500, 100 * k, 500), 2000)[0].train(
        np.ones((2000, 500)), np.ones((2000, 500)), optimizer=SGD(1e-9), **ONE
    ),
}


@pytest.mark.parametrize("name", LONG)
def test_other_threads_run_meanwhile(name):
    network, X, y = make((16, 400, 1), n_samples=1000)
    size, seconds = 1, 0
    while seconds < 0.25:
        with Ticker() as ticker:
            start = time.perf_counter()
            LONG[name](network, X, y, size)
            end = time.perf_counter()
        seconds = end - start
        size *= 2
    # not at its beginning and end, where the GIL is held
    inner = [t for t in ticker.times if start + seconds * 0.3 < t < end - seconds * 0.3]
    assert len(inner) >= 3


def test_training_in_another_thread():
    network, X, y = make()
    losses = network.train(X, y, optimizer=Adam(), n_epochs=5, random_state=0)
    other, _, _ = make()
    found = []

    def train():
        found.append(other.train(X, y, optimizer=Adam(), n_epochs=5, random_state=0))

    thread = threading.Thread(target=train)
    thread.start()
    thread.join(TIMEOUT)
    assert np.array_equal(found[0], losses)
    assert other == network


FORK = """
import os, threading, time
import numpy as np
from cbackprop import Adam, Network, SGD

X = np.random.RandomState(0).normal(size=(300, 5))
network, optimizer = Network((5, 40, 2), random_state=0), Adam()
network.train(X, X[:, :2], optimizer=optimizer, n_epochs=2)
expected = network.predict(X)
loss = network.loss_value(X, X[:, :2])
# another thread is in the midst of training, and computes on in the parent
busy = Network((5, 40, 2))
threading.Thread(
    target=lambda: busy.train(X, X[:, :2], optimizer=SGD(0.01), n_epochs=3000, batch_size=30),
).start()
time.sleep(0.02)

pid = os.fork()
if pid == 0:
    status = 1
    try:
        assert np.array_equal(network.predict(X), expected)
        network.train(X, X[:, :2], optimizer=optimizer, n_epochs=20)
        assert network.loss_value(X, X[:, :2]) < loss
        status = 0
    finally:
        os._exit(status)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
assert np.array_equal(network.predict(X), expected)  # what the child did stayed there
print("done")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_computes(tmp_path):
    result = run_python("-c", FORK, cwd=tmp_path, timeout=TIMEOUT)
    assert (result.returncode, result.stdout) == (0, "done\n"), result.stderr


# ---- signals ----

needs_timers = pytest.mark.skipif(
    not hasattr(signal, "setitimer"), reason="this system has no timers that send signals"
)


class Enough(Exception):
    pass


@contextmanager
def handler_of_timer(handle):
    """What `setitimer(ITIMER_VIRTUAL, ...)` leads to; its clock runs while this process does."""
    before = signal.signal(signal.SIGVTALRM, lambda *_: handle())
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


@contextmanager
def five_signals(call):
    """A signal comes every 20 ms of computing: each makes the call, the fifth raises `Enough`."""
    seen = []

    def handle():
        call()
        seen.append(None)
        if len(seen) == 5:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            raise Enough

    with handler_of_timer(handle):
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.02, 0.02)
        yield


@needs_timers
@pytest.mark.parametrize("batch_size", [1, 2])
def test_signal_handlers_run_during_training(batch_size):
    X, y = RESTLESS
    network, optimizer = Network((2, 2, 1), random_state=0), SGD(0.1)
    predicted, refused = [], []

    def look():
        predicted.append(network.predict(X))
        for touch in ("train", "parameters, set"):
            try:
                TOUCHES[touch](network, X, y)
            except RuntimeError:
                refused.append(touch)

    with pytest.raises(Enough), five_signals(look):
        network.train(
            X, y, optimizer=optimizer, n_epochs=FOREVER, batch_size=batch_size, shuffle=False
        )
    assert refused == ["train", "parameters, set"] * 5
    assert np.isfinite(predicted).all()

    # The handlers did no harm: so many epochs at once lead to the same.
    twin = Network((2, 2, 1), random_state=0)
    n_epochs = optimizer.n_steps * batch_size // len(X)
    twin.train(X, y, optimizer=SGD(0.1), n_epochs=n_epochs, batch_size=batch_size, shuffle=False)
    assert n_epochs > 0
    assert network == twin


@needs_timers
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("make_optimizer", [lambda: SGD(0.1), Adam])
def test_wherever_a_handler_raises_the_last_finished_epoch_is_left(make_optimizer, shuffle):
    """In the midst of an epoch, or of the few lines of Python between very many epochs."""
    X, y = RESTLESS

    def enough():
        raise Enough

    for k in range(10):
        network, optimizer = Network((2, 2, 1), random_state=0), make_optimizer()
        twin, of_twin = Network((2, 2, 1), random_state=0), make_optimizer()
        arguments = {"batch_size": 1, "shuffle": shuffle}
        with pytest.raises(Enough), handler_of_timer(enough):
            signal.setitimer(signal.ITIMER_VIRTUAL, 0.02 + 0.007 * k)
            network.train(X, y, optimizer=optimizer, n_epochs=FOREVER, random_state=k, **arguments)
        if optimizer.n_steps:
            n_epochs = optimizer.n_steps // len(X)
            twin.train(X, y, optimizer=of_twin, n_epochs=n_epochs, random_state=k, **arguments)
        assert network == twin
        assert optimizer == of_twin


@needs_timers
def test_signal_handlers_run_during_predictions():
    network, X, _ = make((16, 1600, 1), n_samples=1000)
    expected = network.predict(X[:5])
    predicted = []
    again = five_signals(lambda: predicted.append(network.predict(X[:5])))
    with pytest.raises(Enough), again:
        network.predict(np.tile(X, (500, 1)))  # takes a second
    assert len(predicted) == 5
    assert all(np.array_equal(got, expected) for got in predicted)


@pytest.mark.skipif(sys.platform == "win32", reason="nothing sends a Ctrl-C there")
@pytest.mark.parametrize(
    ("case", "isa"),
    [
        ("steps", None),
        ("rows", None),
        ("shuffle", None),
        ("huge", None),
        ("huge", "baseline"),
        ("threads", None),
        ("beginning", None),
        ("sparse", None),
    ],
)
def test_an_interrupt_is_seen_within_100_ms(case, isa, tmp_path):
    if isa not in (None, *cbackprop._kernels.dispatch.BUILT):
        pytest.skip(f"{isa} was not built")
    if case == "sparse":
        pytest.importorskip("scipy.sparse")
    environment = {} if isa is None else {"CBACKPROP_ISA": isa}
    result = run_python(SCRIPT, case, cwd=tmp_path, timeout=TIMEOUT, **environment)
    assert result.returncode == 0, result.stderr
    found = {
        f"{what}, after {moment} s": round(delay, 3)
        for what, moments in json.loads(result.stdout).items()
        for moment, delay in moments.items()
    }
    print(found)
    late = {what: delay for what, delay in found.items() if delay >= 0.1}
    assert not late


CTRL_C = """
import numpy as np
from cbackprop import Network, SGD

X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
network, optimizer = Network((2, 2, 1), random_state=0), SGD(0.1)
print("ready", flush=True)
try:
    network.train(X, X[:, 0], optimizer=optimizer, n_epochs=10**9)
except KeyboardInterrupt:
    print("interrupted after", optimizer.n_steps, flush=True)
network.train(X, X[:, 0], optimizer=optimizer, n_epochs=1)
print("trained on to", optimizer.n_steps, flush=True)
network.train(X, X[:, 0], optimizer=optimizer, n_epochs=10**9)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="nothing sends a Ctrl-C there")
def test_ctrl_c(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", CTRL_C],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        *words, n_steps = process.stdout.readline().split()
        assert words == ["interrupted", "after"]
        assert int(n_steps) > 0
        assert process.stdout.readline() == f"trained on to {int(n_steps) + 1}\n"
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=TIMEOUT)
        assert errors.rstrip().endswith("KeyboardInterrupt")
        assert process.returncode == -signal.SIGINT
    finally:
        process.kill()
        process.communicate()
