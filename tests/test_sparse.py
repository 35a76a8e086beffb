"""Sparse inputs: the same bits as the same numbers in an array, from those that are not zero."""

import threading
import tracemalloc
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cbackprop import SGD, Adam, AdamW, Network, RMSprop, Rprop
from cbackprop import _checks as checks

scipy_sparse = pytest.importorskip("scipy.sparse")

# With first layers of many outputs and of few, and with none but the last.
NETWORKS = {
    "classes": ((30, 50, 4), "relu", "softmax", "log_loss"),
    "more than a block": ((300, 17, 1), "tanh", "identity", "squared_error"),
    "few outputs": ((40, 3), "sigmoid", "sigmoid", "binary_log_loss"),
    "few hidden": ((70, 2, 2), "tanh", "exp", "poisson"),
    "one panel": ((5, 7), "sigmoid", "softmax", "log_loss"),
    "few inputs": ((2, 3, 1), "softsign", "identity", "squared_error"),
    "more panels than inputs": ((3, 70, 1), "tanh", "identity", "squared_error"),
}
OPTIMIZERS = {
    "descent": lambda: SGD(0.01),
    "momentum": lambda: SGD(0.01, momentum=0.9),
    "nesterov": lambda: SGD(0.01, momentum=0.9, nesterov=True),
    "adam": lambda: Adam(0.01),
    "adam_w": lambda: AdamW(0.01, weight_decay=0.1),
    "rmsprop": lambda: RMSprop(0.001, momentum=0.5, centered=True),
    **{name: lambda name=name: Rprop(name) for name in ("minus", "plus", "iminus")},
}
N_SAMPLES = 320


def make(name, dtype="float64", density=0.1, n_samples=N_SAMPLES, seed=0):
    """A network, a CSR matrix and targets"""
    layer_sizes, activation, output_activation, loss = NETWORKS[name]
    network = Network(layer_sizes, activation, output_activation, loss, dtype, random_state=seed)
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_samples, layer_sizes[0]))
    X[rng.random(X.shape) > density] = 0
    y = rng.random((n_samples, layer_sizes[-1]))
    if loss == "log_loss":
        y = rng.integers(layer_sizes[-1], size=n_samples)
    return network, scipy_sparse.csr_matrix(X), y


def assert_same_bits(found, expected):
    for got, wanted in zip(found, expected, strict=True):
        np.testing.assert_array_equal(got, wanted)


def everything(network, X, y, sample_weight=None, n_threads=1):
    """What is computed without training."""
    return [
        network.predict(X, n_threads=n_threads),
        *network.activations(X)[1:],
        network.loss_value(X, y, sample_weight, n_threads=n_threads),
        *network.loss_and_gradient(X, y, sample_weight, n_threads=n_threads),
        *network.deltas(X, y),
        network.input_gradient(X, y),
    ]


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("n_threads", [1, 3])
def test_everything_has_the_bits_of_an_array(name, dtype, n_threads):
    network, X, y = make(name, dtype)
    weights = np.arange(N_SAMPLES) % 3.0
    assert_same_bits(
        everything(network, X, y, weights, n_threads),
        everything(network, X.toarray(), y, weights, n_threads),
    )
    assert_same_bits(everything(network, X[:3], y[:3]), everything(network, X[:3].toarray(), y[:3]))


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_training_has_the_bits_of_an_array(name, optimizer, dtype):
    weights = np.arange(N_SAMPLES) % 3.0
    for batch_size, alpha, sample_weight, n_threads, density in [
        *product([1, 100, 256, 300], [0, 0.01], [None], [1, 3], [0.1]),
        *product([7, None], [0, 0.01], [weights], [1, 2], [0.01, 0.9]),
    ]:
        trained = []
        for form in (lambda X: X, lambda X: X.toarray()):
            network, X, y = make(name, dtype, density)
            losses = network.train(
                form(X),
                y,
                optimizer=OPTIMIZERS[optimizer](),
                batch_size=batch_size,
                n_epochs=2,
                shuffle=batch_size != 7,
                random_state=1,
                sample_weight=sample_weight,
                alpha=alpha,
                n_threads=n_threads,
            )
            trained.append((network.parameters, losses))
        (found, losses), (expected, of_array) = trained
        assert np.isfinite(expected).all()
        np.testing.assert_array_equal(found, expected, (batch_size, alpha, n_threads))
        # (the kernel for the smallest networks adds the losses up in runs)
        np.testing.assert_allclose(losses, of_array, 1e-12)
        if batch_size != 1:
            np.testing.assert_array_equal(losses, of_array)


def test_loss_and_gradient_with_scipys_products():
    network, X, y = make("classes")
    y = np.eye(4)[y]
    (W, V), (b, c) = network.weights, network.biases
    hidden = np.maximum(X @ W + b, 0)
    outputs = np.exp(hidden @ V + c)
    outputs /= outputs.sum(axis=1, keepdims=True)
    deltas = (outputs - y) / N_SAMPLES
    below = (deltas @ V.T) * (hidden > 0)
    expected = [X.T @ below, below.sum(axis=0), hidden.T @ deltas, deltas.sum(axis=0)]
    loss, gradient = network.loss_and_gradient(X, y)
    np.testing.assert_allclose(loss, -np.mean(np.log((outputs * y).sum(axis=1))), 1e-13)
    np.testing.assert_allclose(gradient, np.concatenate([g.ravel() for g in expected]), 0, 1e-15)


def test_activations_begin_with_a_copy_of_their_own():
    network, X, _ = make("classes", "float32")
    first, *_ = network.activations(X.tocsc())
    assert first.format == "csr"
    assert first.dtype == np.float32
    first.data[:] = 0
    assert X.data.all()


# ---- what X may be ----

FORMATS = ("csr", "csc", "coo", "lil", "dok", "bsr", "dia")


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("kind", ["matrix", "array"])
def test_formats(name, kind):
    network, X, y = make("classes")
    X, y = X[:20], y[:20]
    again = getattr(scipy_sparse, f"{name}_{kind}")(X)
    assert_same_bits(everything(network, again, y), everything(network, X.toarray(), y))


@st.composite
def csr_parts(draw):
    """(data, indices, indptr), shape: any that SciPy takes, with all it does not promise."""
    n_rows, n_columns = draw(st.integers(1, 20)), draw(st.integers(1, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    lengths = rng.integers(0, draw(st.integers(1, 2 * n_columns + 1)), size=n_rows)
    lengths[rng.random(n_rows) < 0.3] = 0
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    indices = rng.integers(n_columns, size=indptr[-1])  # not in order, some twice
    data = rng.integers(-2, 3, size=indptr[-1])
    dtype = draw(st.sampled_from(["f8", "f4", "f2", "i1", "i8", "?", "g", ">f8"]))
    if draw(st.booleans()):  # room behind the last number
        indices, data = np.append(indices, [10**6]), np.append(data, [1])
    width = draw(st.sampled_from(["i4", "i8"]))
    return (data.astype(dtype), indices.astype(width), indptr.astype(width)), (n_rows, n_columns)


def matrix_of(parts, shape, kind):
    """One that has these very arrays"""
    matrix = kind(shape)
    matrix.data, matrix.indices, matrix.indptr = parts
    return matrix


def dense(parts, shape):
    """What `toarray` gives, without SciPy"""
    data, indices, indptr = parts
    X = np.zeros(shape, data.dtype.newbyteorder("="))
    rows = np.repeat(np.arange(shape[0]), np.diff(indptr))
    np.add.at(X, (rows, indices[: len(rows)]), data[: len(rows)])
    return X


@given(csr_parts(), st.booleans(), st.sampled_from(["float32", "float64"]), st.integers(1, 5))
@settings(max_examples=200, deadline=None)
def test_whatever_scipy_can_hold(drawn, by_columns, dtype, n_hidden):
    parts, shape = drawn
    kept = [array.copy() for array in parts]
    kind = scipy_sparse.csc_array if by_columns else scipy_sparse.csr_array
    X = matrix_of(parts, shape[::-1] if by_columns else shape, kind)
    dense_X = dense(parts, shape).T if by_columns else dense(parts, shape)
    network = Network((dense_X.shape[1], n_hidden, 1), dtype=dtype, random_state=0)
    y = np.linspace(-1, 1, len(dense_X))
    assert_same_bits(everything(network, X, y), everything(network, dense_X, y))
    for array, before in zip((X.data, X.indices, X.indptr), kept, strict=True):
        np.testing.assert_array_equal(array, before)
        assert array.dtype == before.dtype


def test_read_only_arrays():
    network, X, y = make("classes")
    for array in (X.data, X.indices, X.indptr):
        array.flags.writeable = False
    assert_same_bits(everything(network, X, y), everything(network, X.toarray(), y))


# ---- what it may not be ----


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"indptr": [0, 2, 1, 3]}, "begins with 0 and does not fall"),
        ({"indptr": [1, 1, 2, 3]}, "begins with 0 and does not fall"),
        ({"indptr": [-1, 1, 2, 3]}, "begins with 0 and does not fall"),
        ({"indptr": [0, 1, 2, 4]}, "as many indices and data as its indptr says, 4, got 3 and 3"),
        ({"indptr": [0, 1, 3]}, r"indptr of shape \(4,\)"),
        ({"indptr": [[0, 1, 2, 3]]}, r"indptr of shape \(4,\)"),
        ({"indices": [0, 1]}, "as many indices and data as its indptr says, 3, got 2 and 3"),
        ({"data": [1.0, 2.0]}, "as many indices and data as its indptr says, 3, got 3 and 2"),
        ({"data": [[1.0], [2.0], [3.0]]}, "of one dimension"),
        ({"indices": [[0], [1], [2]]}, "of one dimension"),
        ({"indices": [0, 5, 2]}, "indices from 0 to 4, got from 0 to 5"),
        ({"indices": [0, -1, 2]}, "indices from 0 to 4, got from -1 to 2"),
        ({"indices": [0, 2**40, 2]}, "indices from 0 to 4, got from 0 to"),
    ],
)
@pytest.mark.parametrize("kind", ["csr_matrix", "csc_matrix"])
def test_arrays_that_do_not_fit_together(kind, change, message):
    parts = {"data": [1.0, 2.0, 3.0], "indices": [0, 1, 2], "indptr": [0, 1, 2, 3]} | change
    X = getattr(scipy_sparse, kind)((3, 5) if kind == "csr_matrix" else (5, 3))
    for name, values in parts.items():
        setattr(X, name, np.array(values))
    network = Network((X.shape[1], 2), random_state=0)
    with pytest.raises(ValueError, match=f"X must have .*{message}"):
        network.predict(X)


def test_indices_that_are_no_integers():
    _, X, _ = make("classes")
    X.indices = X.indices.astype(float)
    with pytest.raises(TypeError, match="X must have integers for indptr and indices"):
        Network((30, 2), random_state=0).predict(X)


def test_shapes_and_dtypes():
    network, X, y = make("classes")
    with pytest.raises(ValueError, match=r"X must have 30 columns.*\(320, 29\)"):
        network.predict(X[:, :29])
    with pytest.raises(ValueError, match=r"X is empty: its shape is \(0, 30\)"):
        network.predict(X[:0])
    with pytest.raises(ValueError, match=r"X must have 30 columns.*\(30,\)"):
        network.predict(scipy_sparse.coo_array(np.ones(30)))
    with pytest.raises(TypeError, match="X must hold real numbers, got dtype complex128"):
        network.predict(X.astype(complex))
    with pytest.raises(ValueError, match="y must have as many rows as X, 320"):
        network.loss_value(X, y[:5])
    with pytest.raises(ValueError, match="X is sparse and has too many columns: 2147483648"):
        checks.as_rows("X", scipy_sparse.csr_array((1, 2**31)), "f8", 2**31, "features")


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("name", ["classes", "few outputs"])
def test_what_is_not_finite_is_named(number, n_threads, name, dtype):
    network, X, y = make(name, dtype)
    before = network.parameters.copy()
    k = len(X.data) // 2
    X.data[k] = number
    row, column = np.searchsorted(X.indptr, k, "right") - 1, X.indices[k]
    where = rf"X must be finite in {dtype}, got {number} at \[{row}, {column}\]"
    for call in (
        lambda: network.predict(X, n_threads=n_threads),
        lambda: network.loss_value(X, y, n_threads=n_threads),
        lambda: network.train(X, y, optimizer=SGD(0.1), batch_size=50, n_threads=n_threads),
        lambda: network.train(X, y, optimizer=SGD(0.1), batch_size=1),
        lambda: network.deltas(X, y),
    ):
        with pytest.raises(ValueError, match=where):
            call()
    np.testing.assert_array_equal(network.parameters, before)


def test_too_large_for_float32_is_not_finite():
    network, X, _ = make("classes", "float32")
    X.data[0] = 1e300
    with pytest.raises(ValueError, match="X must be finite in float32, got inf at"):
        network.predict(X)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("name", ["classes", "few hidden"])
def test_columns_that_change_during_training(optimizer, n_threads, name):
    """The arrays are the caller's own, not copies; who reads outside them may end the process."""
    network, X, y = make(name)
    kept = []

    def spoil(state):
        kept.append(state.network.parameters.copy())
        X.indices[::7] = 2**31 - 1
        X.indices[1::7] = -(2**31)

    with pytest.raises(ValueError, match="X must be finite; it changed while it was read"):
        network.train(
            X,
            y,
            optimizer=OPTIMIZERS[optimizer](),
            batch_size=100,
            n_epochs=3,
            callback=spoil,
            n_threads=n_threads,
        )
    assert len(kept) == 1
    np.testing.assert_array_equal(network.parameters, kept[0])


# ---- what it takes ----


def test_memory_grows_with_the_numbers():
    """No row of X is ever written out."""
    n_features = 100_000
    X = scipy_sparse.random_array((300, n_features), density=1e-4, rng=0, format="csr")
    y = np.zeros(300)
    network = Network((n_features, 16, 1), random_state=0)  # two panels
    n_bytes = network.parameters.nbytes
    for call, copies in [
        (lambda: network.predict(X), 1),
        (lambda: network.loss_value(X, y), 1),
        # then come the gradients of two blocks, and what is returned
        (lambda: network.loss_and_gradient(X, y), 4),
        # or the gradient of one panel, and Adam's means twice
        (lambda: network.train(X, y, optimizer=SGD(0.1), batch_size=100), 1.5),
        (lambda: network.train(X, y, optimizer=Adam(), batch_size=100), 5.5),
    ]:
        tracemalloc.start()
        call()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < copies * n_bytes + 2e6


def test_many_threads_share_a_matrix():
    network, X, _ = make("classes")
    expected, found = network.predict(X), {}

    def predict(k):
        found[k] = network.predict(X)

    threads = [threading.Thread(target=predict, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert_same_bits(found.values(), [expected] * 8)
