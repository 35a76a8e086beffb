"""Denormal numbers: zeros to the engine, themselves to everyone else in the same thread."""

import signal
import sys
import time

import numpy as np
import pytest

from cbackprop import SGD, Adam, Network

DENORMAL = {"float32": 1e-40, "float64": 1e-310}
RANDOM = np.random.default_rng(0)
X, Y = RANDOM.normal(size=(70, 5)), RANDOM.normal(size=(70, 2))

CALLS = {
    "predict": lambda network: network.predict(X),
    "predict one row": lambda network: network.predict(X[:1]),
    "activations": lambda network: network.activations(X),
    "loss_value": lambda network: network.loss_value(X, Y),
    "loss_and_gradient": lambda network: network.loss_and_gradient(X, Y),
    "deltas": lambda network: network.deltas(X, Y),
    "input_gradient": lambda network: network.input_gradient(X, Y),
    "train": lambda network: network.train(X, Y, optimizer=SGD(0.01), n_epochs=3),
    "train, in batches": lambda network: network.train(
        X, Y, optimizer=Adam(), batch_size=7, n_epochs=3
    ),
    "train, row by row": lambda network: network.train(
        X, Y, optimizer=SGD(0.01), batch_size=1, n_epochs=3
    ),
}


def denormals_count():
    """Whether this thread's arithmetic has denormal numbers."""
    return all((np.full(40, tiny, dtype) * 1 != 0).all() for dtype, tiny in DENORMAL.items())


@pytest.mark.parametrize("dtype", DENORMAL)
@pytest.mark.parametrize("name", CALLS)
def test_the_mode_is_the_callers_afterwards(name, dtype):
    CALLS[name](Network((5, 4, 2), dtype=dtype, random_state=0))
    assert denormals_count()


@pytest.mark.parametrize("dtype", DENORMAL)
@pytest.mark.parametrize("name", ["predict", "predict one row", "loss_value", "train"])
def test_the_mode_is_the_callers_after_an_error(name, dtype):
    network = Network((5, 4, 2), dtype=dtype, random_state=0)
    bad = np.where(np.arange(70)[:, np.newaxis] == 69, np.nan, X)
    with pytest.raises(ValueError, match="must be finite"):
        if name == "train":
            network.train(bad, Y, optimizer=SGD(0.01))
        elif name == "loss_value":
            network.loss_value(bad, Y)
        else:
            network.predict(bad[-1:] if name == "predict one row" else bad)
    assert denormals_count()


def test_the_mode_is_the_callers_in_a_callback():
    seen = []
    Network((5, 4, 2)).train(
        X, Y, optimizer=SGD(0.01), n_epochs=2, callback=lambda _: seen.append(denormals_count())
    )
    assert seen == [True, True]


@pytest.mark.skipif(sys.platform == "win32", reason="no timers")
@pytest.mark.parametrize("n_rows", [2000, 1_000_000], ids=["batches", "a long shuffle"])
def test_the_mode_is_the_callers_in_a_signal_handler(n_rows):
    seen = []

    def handler(*_):
        seen.append(denormals_count())

    network = Network((5, 300, 2), random_state=0)
    data = np.ones((n_rows, 5)), np.ones((n_rows, 2))
    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
    try:
        until = time.monotonic() + 10
        while len(seen) < 5 and time.monotonic() < until:
            network.train(*data, optimizer=SGD(1e-6), batch_size=100_000, n_epochs=1)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert len(seen) >= 5
    assert all(seen)
    assert denormals_count()


@pytest.mark.parametrize("n_rows", [1, 70])
@pytest.mark.parametrize("layer_sizes", [(5, 2), (5, 40, 1), (3, 20, 20, 4)])
@pytest.mark.parametrize("dtype", DENORMAL)
def test_the_engine_takes_them_for_zeros(layer_sizes, dtype, n_rows):
    """Weights, inputs and results."""
    tiny = DENORMAL[dtype]
    network = Network(layer_sizes, activation="tanh", dtype=dtype, random_state=0)
    ordinary = network.parameters.copy()
    rows = np.ones((n_rows, layer_sizes[0]))
    for values in (tiny, np.finfo(dtype).tiny):  # the sums of the second are denormal no more
        network.parameters[:] = values
        outputs = network.predict(rows)
        assert (outputs == 0).all() == (values == tiny)
    network.parameters = ordinary
    np.testing.assert_array_equal(network.predict(rows * tiny), network.predict(rows * 0))
