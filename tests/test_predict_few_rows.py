"""Predictions of a few rows, for which nothing is packed: those of many rows, bit by bit."""

import re
import threading
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cbackprop import SGD, Network

HIDDEN = ["identity", "sigmoid", "tanh", "relu", "softsign"]
OUTPUTS = [
    ("identity", "squared_error"),
    ("tanh", "squared_error"),
    ("sigmoid", "binary_log_loss"),
    ("softmax", "log_loss"),
    ("exp", "poisson"),
]


def make(layer_sizes, dtype="float64", **options):
    network = Network(layer_sizes, dtype=dtype, random_state=0, **options)
    X = np.random.default_rng(0).normal(size=(40, layer_sizes[0])).astype(dtype)
    return network, X


def assert_rows(network, X, n_rows):
    """The first, and the last, so many rows are predicted as in the midst of many."""
    together = network.predict(np.tile(X, (20, 1)))[: len(X)]
    for rows in (slice(n_rows), slice(-n_rows, None)):
        found = network.predict(X[rows])
        assert found.shape == together[rows].shape
        assert found.tobytes() == together[rows].tobytes()


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    layer_sizes=st.lists(st.one_of(st.integers(1, 5), st.integers(1, 150)), min_size=2, max_size=5),
    hidden=st.sampled_from(HIDDEN),
    output=st.sampled_from(OUTPUTS),
    dtype=st.sampled_from(["float32", "float64"]),
    n_rows=st.integers(1, 10),
)
def test_they_are_the_rows_of_many(layer_sizes, hidden, output, dtype, n_rows):
    output_activation, loss = output
    network, X = make(
        layer_sizes, dtype, activation=hidden, output_activation=output_activation, loss=loss
    )
    assert_rows(network, X, n_rows)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layer_sizes", [(1025, 3, 1), (2, 1025, 2), (3, 40, 2000), (5000, 1)])
def test_wide_layers(layer_sizes, dtype):
    for n_rows in (1, 3):
        assert_rows(*make(layer_sizes, dtype), n_rows)


@pytest.mark.parametrize("n_rows", [1, 2, 7])
def test_other_arrays_are_taken_too(n_rows):
    network, X = make((6, 9, 3))
    X = np.round(X[:n_rows], 1)
    expected = network.predict(X).tobytes()
    read_only = X.copy()
    read_only.flags.writeable = False
    for same in (read_only, X.tolist(), np.asfortranarray(X), np.repeat(X, 2, axis=0)[::2]):
        assert network.predict(same).tobytes() == expected
    assert network.predict(X.astype(">f8")).tobytes() == expected
    assert network.predict((10 * X).astype(int)).shape == (n_rows, 3)


class TestOut:
    @pytest.mark.parametrize("layer_sizes", [(6, 9, 3), (6, 1100, 3)])
    @pytest.mark.parametrize("n_rows", [1, 4])
    def test_it_is_filled_and_returned(self, n_rows, layer_sizes):
        network, X = make(layer_sizes)
        whole = np.full((n_rows + 2, 3), np.nan)
        out = whole[1:-1]
        assert network.predict(X[:n_rows], out=out) is out
        assert out.tobytes() == network.predict(X[:n_rows]).tobytes()
        assert np.isnan(whole[[0, -1]]).all()

    @pytest.mark.parametrize("shift", [0, 1, 2, 3])
    @pytest.mark.parametrize("behind", [False, True])
    def test_it_may_overlap_X(self, behind, shift):
        network, memory = make((4, 9, 4))
        memory = memory[: 3 + shift]
        X, out = memory[:3], memory[shift:]
        if behind:
            X, out = out, X
        expected = network.predict(X.copy())
        assert network.predict(X, out) is out
        assert out.tobytes() == expected.tobytes()

    @pytest.mark.parametrize(
        ("out", "error", "found"),
        [
            ([[0.0] * 3] * 2, TypeError, "list"),
            (np.empty((2, 3), np.float32), TypeError, "float32"),
            (np.empty((2, 3), ">f8"), TypeError, ">f8"),
            (np.empty((2, 2)), ValueError, "(2, 2)"),
            (np.empty((1, 3)), ValueError, "(1, 3)"),
            (np.empty((3, 3)), ValueError, "(3, 3)"),
            (np.empty(6), ValueError, "(6,)"),
            (np.empty((3, 2)).T, ValueError, "C-contiguous"),
            (np.broadcast_to(np.zeros(3), (2, 3)), ValueError, "C-contiguous"),
            (np.frombuffer(bytes(48)).reshape(2, 3), ValueError, "writable"),
            (np.empty(49, np.uint8)[1:].view(float).reshape(2, 3), ValueError, "aligned"),
        ],
    )
    def test_bad_ones(self, out, error, found):
        network, X = make((6, 9, 3))
        with pytest.raises(error, match=rf"out.*{re.escape(found)}"):
            network.predict(X[:2], out=out)

    @settings(max_examples=60, deadline=None, derandomize=True)
    @given(
        layer_sizes=st.sampled_from([(6, 9, 3), (6, 1100, 3), (6, 9, 700)]),
        shortcuts=st.booleans(),
        calls=st.lists(
            st.tuples(
                st.sampled_from([1, 8, 9, 40, 255, 256, 257, 600]),
                st.sampled_from([None, 1, 2, 3]),
                st.booleans(),
            ),
            min_size=2,
            max_size=6,
        ),
    )
    def test_calls_follow_each_other(self, layer_sizes, shortcuts, calls):
        """In the memory that an earlier one left, with other parameters, and after an error."""
        network, X = make(layer_sizes, shortcuts=shortcuts)
        X = np.tile(X, (15, 1))
        for n_rows, n_threads, bad in calls:
            out = np.empty((n_rows, layer_sizes[-1]))
            if bad:
                rows = X[:n_rows].copy()
                rows[-1, -1] = np.nan
                with pytest.raises(ValueError, match="X"):
                    network.predict(rows, out, n_threads=n_threads)
            network.predict(X[:n_rows], out, n_threads=n_threads)
            assert out.tobytes() == network.predict(X[:n_rows]).tobytes()
            network.parameters *= 0.9

    def test_nothing_is_allocated(self):
        network, X = make((6, 200, 100))
        X, out = X[:1], np.empty((1, 100))
        network.predict(X, out)
        tracemalloc.start()
        try:
            network.predict(X, out)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 600  # a few small objects; the activations alone are 1,600 bytes


class TestBadRows:
    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    @pytest.mark.parametrize("column", [0, 5])
    @pytest.mark.parametrize("row", [0, 3])
    def test_what_is_not_finite_is_named(self, row, column, value):
        network, X = make((6, 9, 3))
        X = X[:4].copy()
        X[row, column] = value
        with pytest.raises(ValueError, match=rf"X must be finite.*\[{row}, {column}\]"):
            network.predict(X)

    @pytest.mark.parametrize(
        ("shape", "found"), [((1, 5), "6 columns"), ((6,), "two dimensions"), ((0, 6), "empty")]
    )
    def test_shapes(self, shape, found):
        network, _ = make((6, 9, 3))
        with pytest.raises(ValueError, match=rf"X.*{found}"):
            network.predict(np.zeros(shape))


def test_a_network_in_training_is_left_alone():
    network, X = make((6, 9, 3))
    errors = []

    def predict():
        try:
            network.predict(X[:1])
        except RuntimeError as error:
            errors.append(str(error))

    def callback(state):
        thread = threading.Thread(target=predict)
        thread.start()
        thread.join()
        assert state.network.predict(X[:1]).shape == (1, 3)  # by the trainer's own thread

    network.train(X, X[:, :3], optimizer=SGD(0.01), n_epochs=2, callback=callback)
    assert len(errors) == 2
    assert all("trained" in error for error in errors)
    network.predict(X[:1])


def test_changes_of_the_parameters_are_seen():
    network, X = make((6, 9, 3))
    network.weights[0][...] = 0
    network.biases[1][...] = 7
    network.weights[1][...] = 0
    assert (network.predict(X[:1]) == 7).all()
