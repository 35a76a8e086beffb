"""Interrupts long computations and prints, as JSON, how long each took to notice (in seconds).

    python interrupt.py steps|huge|threads|beginning|rows|shuffle|sparse

The signal comes from another process: a thread of this one would have to wait for the GIL if the
engine kept it. On Linux the seconds are those that this process computed, so that others on the
machine do not count.
"""

import copy
import json
import os
import subprocess
import sys
import time
from functools import partial

import numpy as np

from cbackprop import LBFGS, SGD, Adam, LevenbergMarquardt, Network, ScaledConjugateGradient

TRIES = 3
BOUND = 0.1
FOREVER = 10**9
# Rows that want different answers to the same question: learning them never comes to an end.
X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]] * 2)
Y = np.array([0.0, 1.0, 1.0, 0.0, 0.3, 0.8, 0.7, 0.6])

# The processor time of a process is a clock that others may read (Linux: clock_getcpuclockid).
CLOCK = (~os.getpid() << 3 | 2) if sys.platform == "linux" else time.CLOCK_MONOTONIC
SENDER = """
import os, signal, sys, time
for after in sys.stdin:
    time.sleep(float(after))
    sent = time.clock_gettime(int(sys.argv[2]))
    os.kill(int(sys.argv[1]), signal.SIGINT)
    print(sent, flush=True)
"""
sender = subprocess.Popen(
    [sys.executable, "-c", SENDER, str(os.getpid()), str(CLOCK)],
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    text=True,
)


def delay(compute, after):
    """From the signal, sent `after` seconds into the computation, to its exception."""
    try:
        print(after, file=sender.stdin, flush=True)
        while True:
            compute()
    except KeyboardInterrupt:
        seen = time.clock_gettime(CLOCK)
    return seen - float(sender.stdout.readline())


def delays(compute, moments):
    """The best of some tries at each moment: what else the machine does only adds to them."""
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
    kinds = {
        "in registers": (lambda: SGD(0.1), 1),
        "row by row": (lambda: SGD(0.1, momentum=0.5), 1),
        "all rows": (lambda: SGD(1e-5), 8),
        "Adam": (Adam, 2),
    }
    found = {}
    for kind, (make_optimizer, batch_size) in kinds.items():
        network, optimizer = Network((2, 2, 1), random_state=0), make_optimizer()
        arguments = {"batch_size": batch_size, "random_state": np.random.RandomState(0)}

        def train(network=network, optimizer=optimizer, arguments=arguments):
            network.train(X, Y, optimizer=optimizer, n_epochs=FOREVER, **arguments)

        delay(train, 0.1)
        # What is left is the last finished epoch: as many epochs lead there without a signal.
        n_epochs, rest = divmod(optimizer.n_steps, len(X) // batch_size)
        assert n_epochs > 0
        assert rest == 0
        twin, of_twin = Network((2, 2, 1), random_state=0), make_optimizer()
        arguments["random_state"] = np.random.RandomState(0)
        twin.train(X, Y, optimizer=of_twin, n_epochs=n_epochs, **arguments)
        assert network == twin
        assert optimizer == of_twin
        # (One epoch more would have been seen.)
        twin.train(X, Y, optimizer=copy.deepcopy(of_twin), shuffle=False)
        assert network != twin
        twin.parameters = network.parameters
        # It trains on, and so does the optimizer.
        for one, its_optimizer in ((network, optimizer), (twin, of_twin)):
            one.train(X, Y, optimizer=its_optimizer, n_epochs=5, shuffle=False)
        assert network == twin
        assert n_epochs * (len(X) // batch_size) + 5 == optimizer.n_steps
        found[kind] = delays(train, (0.12, 0.2))
    return found


def large_network():
    """With data of which one step, and one prediction, takes seconds."""
    rng = np.random.default_rng(0)
    network = Network((2000, 4096, 4096, 10), dtype="float32", random_state=0)
    X = rng.standard_normal(size=(2048, 2000), dtype="float32")
    return network, X, X[:, :10].copy()


def huge():
    """One huge step, or prediction, in its midst."""
    network, X, y = large_network()
    before = network.parameters.copy()
    optimizers = {"descent": SGD(1e-4), "nesterov": SGD(1e-4, 0.9, nesterov=True), "Adam": Adam()}
    optimizers |= {"conjugate gradients": ScaledConjugateGradient(), "lbfgs": LBFGS(memory=1)}
    found = {}
    for name, optimizer in optimizers.items():

        def train(optimizer=optimizer):
            network.train(X, y, optimizer=optimizer, alpha=0.1)

        found[name] = delays(train, (0.4,))
        assert optimizer.n_steps == 0
        assert np.array_equal(network.parameters, before)  # no epoch was finished
    for name in ("loss_value", "loss_and_gradient", "deltas", "input_gradient"):
        found[name] = delays(lambda name=name: getattr(network, name)(X, y), (0.3,))
    found["predict"] = delays(lambda: network.predict(X), (0.3,))
    found["input_jacobian"] = delays(lambda: network.input_jacobian(X), (0.3,))
    found["per_sample_gradients"] = delays(
        lambda: network.per_sample_gradients(X[:2], y[:2]), (0.3,)
    )
    found["hessian_vector_product"] = delays(
        lambda: network.hessian_vector_product(X, y, before), (0.4, 1.5)
    )
    assert np.array_equal(network.parameters, before)
    assert trains_on(network, optimizers["descent"], X[:8], y[:8])
    return found


def threads():
    """One huge step, or prediction, divided among threads."""
    network, X, y = large_network()
    before = network.parameters.copy()
    optimizers = {"descent": SGD(1e-4), "Adam": Adam()}
    found = {}
    for n_threads in (2, 3):
        for name, optimizer in optimizers.items():

            def train(optimizer=optimizer, n_threads=n_threads):
                network.train(X, y, optimizer=optimizer, n_threads=n_threads)

            found[f"{name} with {n_threads}"] = delays(train, (0.3,))
            assert optimizer.n_steps == 0
        for name, call in {
            "loss_value": network.loss_value, "predict": lambda X, _, **n: network.predict(X, **n),
        }.items():  # fmt: skip
            found[f"{name} with {n_threads}"] = delays(
                lambda call=call, n_threads=n_threads: call(X, y, n_threads=n_threads), (0.2,)
            )
    assert np.array_equal(network.parameters, before)
    assert trains_on(network, optimizers["descent"], X[:8], y[:8])
    return found


def beginning():
    """The same before the first product, when parameters are laid out for the kernels."""
    network, X, y = large_network()
    before = network.parameters.copy()
    computations = {
        "descent": lambda: network.train(X, y, optimizer=SGD(1e-4)),
        "Adam": lambda: network.train(X, y, optimizer=Adam()),
        "loss_and_gradient": lambda: network.loss_and_gradient(X, y),
        "predict": lambda: network.predict(X),
    }
    found = {name: delays(compute, (0.02, 0.1)) for name, compute in computations.items()}
    assert np.array_equal(network.parameters, before)
    assert trains_on(network, SGD(1e-4), X[:8], y[:8])
    return found


def rows():
    """A small network, and very many rows."""
    rng = np.random.default_rng(0)
    network = Network((32, 256, 1), dtype="float32", random_state=0)
    X = rng.standard_normal(size=(600_000, 32), dtype="float32")
    y = X.sum(axis=1)
    smaller = Network((32, 32, 1), dtype="float32", random_state=0)
    double = Network((32, 32, 1), random_state=0)
    found = {
        "predict": delays(lambda: network.predict(X), (0.12, 0.2)),
        "loss_value": delays(lambda: network.loss_value(X, y), (0.12, 0.2)),
        "loss_and_gradient": delays(lambda: network.loss_and_gradient(X, y), (0.12, 0.2)),
        "deltas": delays(lambda: network.deltas(X, y), (0.12, 0.2)),
        "input_gradient": delays(lambda: network.input_gradient(X, y), (0.12, 0.2)),
        "input_jacobian": delays(lambda: network.input_jacobian(X), (0.12, 0.2)),
        "jacobian": delays(lambda: network.jacobian(X[:2000]), (0.12,)),
        "hessian": delays(
            lambda: network.hessian_vector_product(X, y, network.parameters), (0.12, 0.2)
        ),
        "Levenberg-Marquardt": delays(
            lambda: double.train(X, y, optimizer=LevenbergMarquardt()), (0.12, 0.5)
        ),
        "gauss_newton": delays(lambda: smaller.gauss_newton(X, y), (0.12, 0.2)),
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


def sparse():
    """One huge step on sparse rows: many, and one that is very long."""
    from scipy.sparse import csr_array

    found = {}
    for n_rows, n_numbers, n_hidden in ((2048, 4000, 512), (4, 2_000_000, 5)):
        n_features = 5 * n_numbers
        columns = np.tile(np.arange(0, n_features, 5), n_rows)
        indptr = np.arange(n_rows + 1) * n_numbers
        X = csr_array((np.ones(len(columns), "f4"), columns, indptr), (n_rows, n_features))
        network = Network((n_features, n_hidden, 1), dtype="float32", random_state=0)
        before = network.parameters.copy()
        computations = {
            "loss_and_gradient": network.loss_and_gradient,
            "descent": partial(network.train, optimizer=SGD(1e-4)),
            "Adam": partial(network.train, optimizer=Adam()),
        }
        for name, compute in computations.items():
            found[f"{name}, {n_rows} rows"] = delays(partial(compute, X, np.zeros(n_rows)), (0.3,))
        assert np.array_equal(network.parameters, before)
    return found


if __name__ == "__main__":
    cases = (steps, huge, threads, beginning, rows, shuffle, sparse)
    cases = {case.__name__: case for case in cases}
    with sender:
        print(json.dumps(cases[sys.argv[1]]()))
