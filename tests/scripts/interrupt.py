"""Interrupts long computations and prints, as JSON, how long each took to notice (in seconds).

    python interrupt.py steps|huge|rows|shuffle

A timer sends the signal, not a thread: that would have to wait for the GIL if the engine kept it.
"""

import json
import signal
import sys
import time

import numpy as np

from cbackprop import SGD, Adam, Network

TRIES = 3
BOUND = 0.1
FOREVER = 10**9
XOR = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), np.array([0.0, 1.0, 1.0, 0.0])


def delay(compute, after):
    """From the signal, sent `after` seconds into the computation, to its exception."""
    start = time.perf_counter()
    try:
        signal.setitimer(signal.ITIMER_REAL, after)
        while True:
            compute()
    except KeyboardInterrupt:
        return time.perf_counter() - start - after


def delays(compute, moments):
    """The best of some tries at each moment: other work on the machine only adds to them."""
    found = {}
    for after in moments:
        tries = []
        while len(tries) < TRIES and min(tries, default=BOUND) >= BOUND:
            tries.append(delay(compute, after))
        found[after] = min(tries)
    return found


def trains_on(network, optimizer, X, y):
    """Whether the network is free again, and learns."""
    before = network.loss_value(X, y)
    network.train(X, y, optimizer=optimizer, n_epochs=3)
    return network.loss_value(X, y) < before


def steps():
    """Very many tiny ones, in each of the loops that there are for them."""
    X, y = XOR
    found = {}
    kinds = {
        "in registers": (SGD(0.1), 1),
        "row by row": (SGD(0.1, momentum=0.5), 1),
        "all rows": (SGD(0.1), None),
        "Adam": (Adam(), 2),
    }
    for kind, (optimizer, batch_size) in kinds.items():
        network = Network((2, 2, 1), random_state=0)

        def train(network=network, optimizer=optimizer, batch_size=batch_size):
            network.train(X, y, optimizer=optimizer, batch_size=batch_size, n_epochs=FOREVER)

        found[kind] = delays(train, (0.12, 0.2))
        assert optimizer.n_steps % -(-4 // (batch_size or 4)) == 0  # whole epochs
        network.predict(X)

    # What is left is the last finished epoch: as many epochs at once lead there, too.
    network, optimizer = Network((2, 2, 1), random_state=0), SGD(0.1)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        network.train(
            X, y, optimizer=optimizer, batch_size=1, n_epochs=FOREVER, random_state=np.random.RandomState(0)
        )
    except KeyboardInterrupt:
        pass
    assert optimizer.n_steps > 0
    assert optimizer.n_steps % 4 == 0
    same = Network((2, 2, 1), random_state=0)
    same.train(
        X, y, optimizer=SGD(0.1), batch_size=1, n_epochs=optimizer.n_steps // 4,
        random_state=np.random.RandomState(0),
    )
    assert network == same
    assert trains_on(network, optimizer, X, y)
    return found


def huge():
    """One step of a large network takes seconds, and so does a prediction."""
    rng = np.random.default_rng(0)
    network = Network((2000, 4096, 4096, 10), dtype="float32", random_state=0)
    X = rng.normal(size=(2048, 2000)).astype("float32")
    y = rng.normal(size=(2048, 10)).astype("float32")
    before = network.parameters.copy()
    optimizers = {"descent": SGD(1e-4), "momentum": SGD(1e-4, momentum=0.9), "adam": Adam(1e-4)}
    found = {}
    for name, optimizer in optimizers.items():
        found[name] = delays(
            lambda optimizer=optimizer: network.train(X, y, optimizer=optimizer, alpha=0.1),
            (0.02, 0.12, 0.3),
        )
        assert optimizer.n_steps == 0
        assert np.array_equal(network.parameters, before)  # no epoch was finished
    found["predict"] = delays(lambda: network.predict(X), (0.02, 0.12, 0.3))
    found["loss_value"] = delays(lambda: network.loss_value(X, y), (0.12,))
    found["loss_and_gradient"] = delays(lambda: network.loss_and_gradient(X, y), (0.02, 0.12, 0.3))
    found["deltas"] = delays(lambda: network.deltas(X, y), (0.12,))
    found["input_gradient"] = delays(lambda: network.input_gradient(X, y), (0.12,))
    assert trains_on(network, optimizers["descent"], X[:8], y[:8])
    return found


def rows():
    """A small network, and very many rows."""
    rng = np.random.default_rng(0)
    network = Network((32, 256, 1), dtype="float32", random_state=0)
    X = rng.standard_normal(size=(600_000, 32), dtype="float32")
    y = X.sum(axis=1)
    found = {
        "predict": delays(lambda: network.predict(X), (0.12, 0.2)),
        "loss_value": delays(lambda: network.loss_value(X, y), (0.12, 0.2)),
        "loss_and_gradient": delays(lambda: network.loss_and_gradient(X, y), (0.12, 0.2)),
        "deltas": delays(lambda: network.deltas(X, y), (0.12, 0.2)),
        "input_gradient": delays(lambda: network.input_gradient(X, y), (0.12, 0.2)),
        "activations": delays(lambda: network.activations(X[:100_000]), (0.12, 0.2)),
    }
    assert trains_on(network, Adam(), X[:100], y[:100])
    return found


def shuffle():
    """The order alone of so many rows takes seconds."""
    X = np.linspace(-1, 1, 20_000_000)[:, None]
    network, optimizer = Network((1, 1), random_state=0), SGD(0.1)
    before = network.parameters.copy()
    found = {
        "shuffle": delays(
            lambda: network.train(X, X, optimizer=optimizer, n_epochs=FOREVER), (0.12, 0.2, 0.3)
        )
    }
    assert np.array_equal(network.parameters, before)
    assert trains_on(network, optimizer, X[::100000], X[::100000])
    return found


if __name__ == "__main__":
    # what SIGINT does
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    print(json.dumps({"steps": steps, "huge": huge, "rows": rows, "shuffle": shuffle}[sys.argv[1]]()))
