"""Odd input gives the numbers of plain input; bad input is refused and leaves the network alone.

Of `Network`, of `train`, and of the parts (dense, activations, backprop).
"""

import copy
import pickle
import threading
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cbackprop import SGD, Adam, Network, activations, backprop, dense

N_SAMPLES, N_FEATURES = 300, 17  # more than a block of rows, more than a panel of columns

# loss: the output activation that goes with it
LOSSES = {
    "squared_error": "identity",
    "log_loss": "softmax",
    "binary_log_loss": "sigmoid",
    "poisson": "exp",
}


def make_network(loss="squared_error", dtype="float64", n_outputs=3):
    layer_sizes = N_FEATURES, 5, n_outputs
    return Network(layer_sizes, "tanh", LOSSES[loss], loss, dtype, random_state=0)


def make_data(loss="squared_error", n_outputs=3):
    """Numbers that float32 and float16 hold exactly, too."""
    rng = np.random.default_rng(0)
    X = rng.integers(-16, 17, size=(N_SAMPLES, N_FEATURES)) / 8
    y = rng.integers(9, size=(N_SAMPLES, n_outputs)) / 8
    if loss == "log_loss":
        y = np.eye(n_outputs)[rng.integers(n_outputs, size=N_SAMPLES)]
    return X, y


def calls(X, y, **options):
    """What can be asked of a network and data: {name: function of the network}."""
    return {
        "predict": lambda network: network.predict(X),
        "activations": lambda network: network.activations(X),
        "loss_value": lambda network: network.loss_value(X, y, **options),
        "loss_and_gradient": lambda network: network.loss_and_gradient(X, y, **options),
        "deltas": lambda network: network.deltas(X, y),
        "input_gradient": lambda network: network.input_gradient(X, y),
        "train": lambda network: train(network, X, y, **options),
    }


CALLS = calls(None, None)
WITH_TARGETS = [name for name in CALLS if name not in ("predict", "activations")]
WITH_WEIGHTS = ["loss_value", "loss_and_gradient", "train"]


def train(network, X, y, optimizer=None, **options):
    options = {"batch_size": 64, "n_epochs": 2, "random_state": 0} | options
    return network.train(X, y, optimizer=optimizer or Adam(0.01), **options)


def bits(result):
    """Every bit of an array, a number, or a list or tuple of them."""
    if isinstance(result, (list, tuple)):
        return [bits(part) for part in result]
    return np.asarray(result).dtype.str, np.asarray(result).shape, np.asarray(result).tobytes()


def assert_same_bits(dtype, loss, plain, odd, names=CALLS, n_outputs=3, **options):
    """Odd data are as good as plain ones: (X, y, options that only the odd get)."""
    for name in names:
        results = []
        for X, y, more in (plain, odd):
            network = make_network(loss, dtype, n_outputs)
            wanted = (options | more) if name in WITH_WEIGHTS else {}
            result = calls(X, y, **wanted)[name](network)
            results.append(bits([result, network.parameters]))
        assert results[0] == results[1], name


# ---- odd input ----


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def every_second(array):
    spread = np.full((2 * len(array), *array.shape[1:]), np.nan)
    spread[::2] = array
    return spread[::2]


def columns_among_others(array):
    spread = np.full((*array.shape[:-1], array.shape[-1] + 2), np.nan)
    spread[..., 1:-1] = array
    return spread[..., 1:-1]


def misaligned(array):
    memory = np.empty(array.nbytes + 1, np.uint8)
    moved = memory[1:].view(array.dtype).reshape(array.shape)
    moved[...] = array
    assert not moved.flags.aligned
    return moved


def memory_map(array, tmp_path, dtype):
    path = tmp_path / f"{array.ndim}-{array.shape[-1]}"
    array.astype(dtype).tofile(path)
    return np.memmap(path, dtype, "r", shape=array.shape)


class Exporter:
    """Not an array, but knows how to become one."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return np.array(self.array, dtype)


LAYOUTS = {
    "read-only": read_only,
    "every second row": every_second,
    "among other columns": columns_among_others,
    "reversed": lambda array: array[::-1].copy()[::-1],
    "byte-swapped": lambda array: array.astype(array.dtype.newbyteorder("S")),
    "Fortran-ordered": np.asfortranarray,
    "misaligned": misaligned,
    "misaligned float32": lambda array: misaligned(array.astype(np.float32)),
    "byte-swapped float32": lambda array: array.astype(np.dtype(np.float32).newbyteorder("S")),
    "list": lambda array: array.tolist(),
    "tuple of arrays": tuple,
    "exporter": Exporter,
    "float16": lambda array: array.astype(np.float16),
    "float32": lambda array: array.astype(np.float32),
    "float64": lambda array: array.astype(np.float64),
    "long double": lambda array: array.astype(np.longdouble),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_and_types_of_arrays(layout, loss, dtype):
    X, y = make_data(loss)
    weights = np.random.default_rng(1).integers(1, 9, size=N_SAMPLES) / 4
    change = LAYOUTS[layout]
    odd = change(X), change(y), {"sample_weight": change(weights)}
    assert_same_bits(dtype, loss, (X, y, {}), odd, sample_weight=weights)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("stored", ["float32", "float64", ">f4", ">f8"])
def test_memory_maps(stored, dtype, tmp_path):
    X, y = make_data()
    weights = np.arange(1.0, N_SAMPLES + 1)
    maps = [memory_map(array, tmp_path, stored) for array in (X, y, weights)]
    odd = maps[0], maps[1], {"sample_weight": maps[2]}
    assert_same_bits(dtype, "squared_error", (X, y, {}), odd, sample_weight=weights)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", [bool, np.int8, np.uint8, np.int32, np.int64, np.uint64, int])
def test_whole_numbers_and_bools(kind, dtype):
    rng = np.random.default_rng(0)
    X, y = rng.integers(2, size=(N_SAMPLES, 17)), rng.integers(2, size=(N_SAMPLES, 3))
    weights = 1 + rng.integers(2, size=N_SAMPLES) * (kind is not bool)
    plain = X.astype(float), y.astype(float), {}
    if kind is int:
        odd = X.tolist(), y.tolist(), {"sample_weight": weights.tolist()}
    else:
        odd = X.astype(kind), y.astype(kind), {"sample_weight": weights.astype(kind)}
    for loss in ("squared_error", "binary_log_loss", "poisson"):
        assert_same_bits(dtype, loss, plain, odd, sample_weight=weights.astype(float))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "change",
    [
        list,
        lambda classes: classes.tolist(),
        every_second,
        read_only,
        lambda classes: classes.astype(np.uint8),
        lambda classes: classes.astype(np.float16),
        lambda classes: classes.astype(">i4"),
        lambda classes: classes.astype(">f8"),
        lambda classes: np.stack([classes, classes], axis=1)[:, 0],
        lambda classes: misaligned(classes.astype(np.intp)),
    ],
)
def test_class_numbers(change, dtype):
    X, y = make_data("log_loss")
    odd = X, change(y.argmax(axis=1)), {}
    assert_same_bits(dtype, "log_loss", (X, y, {}), odd, WITH_TARGETS)


def test_two_classes_may_be_bools():
    X, y = make_data("log_loss", n_outputs=2)
    odd = X, y[:, 1].astype(bool), {}
    assert_same_bits("float64", "log_loss", (X, y, {}), odd, WITH_TARGETS, n_outputs=2)


@pytest.mark.parametrize("loss", ["squared_error", "binary_log_loss", "poisson"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_vector_of_targets_for_one_output(layout, loss):
    X, y = make_data(loss, n_outputs=1)
    odd = X, LAYOUTS[layout](y.ravel()), {}
    assert_same_bits("float64", loss, (X, y, {}), odd, WITH_TARGETS, n_outputs=1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("row", [0, 255, 256, 299])
def test_one_sample(row, loss, dtype):
    X, y = make_data(loss)
    network = make_network(loss, dtype)
    assert bits(network.predict(X[[row]])) == bits(network.predict(X)[[row]])
    for together, alone in (
        (network.activations(X), network.activations(X[[row]])),
        (network.deltas(X, y), network.deltas(X[[row]], y[[row]])),
        ([network.input_gradient(X, y)], [network.input_gradient(X[[row]], y[[row]])]),
    ):
        assert bits([layer[[row]] for layer in together]) == bits(alone)
    value, gradient = network.loss_and_gradient(X[[row]], y[[row]])
    assert value == network.loss_value(X[[row]], y[[row]])
    assert np.isfinite(gradient).all()
    assert train(network, X[[row]], y[[row]], n_epochs=1).tolist() == [value]


@pytest.mark.parametrize("batch_size", [N_SAMPLES, N_SAMPLES + 1, 10**6, 2**64, np.int16(999)])
def test_a_batch_size_above_the_number_of_samples(batch_size):
    X, y = make_data()
    odd = X, y, {"batch_size": batch_size}
    assert_same_bits("float64", "squared_error", (X, y, {}), odd, ["train"], batch_size=None)


def test_numbers_may_be_of_any_type():
    X, y = make_data()
    plain = {"alpha": 0.5, "tol": 0.25, "n_epochs": 3, "n_iter_no_change": 2, "batch_size": 4}
    odd = {"alpha": np.float16(0.5), "tol": np.float32(0.25), "n_epochs": np.uint8(3)}
    odd |= {"n_iter_no_change": np.int64(2), "batch_size": np.int32(4), "shuffle": np.True_}
    assert_same_bits("float64", "squared_error", (X, y, plain), (X, y, odd), ["train"])
    assert SGD(1, True * 1, np.False_) == SGD(1.0, np.float32(1), False)
    assert Adam(np.float64(1), 0, 0, 1) == Adam(1.0, 0.0, 0.0, 1.0)


@pytest.mark.parametrize(
    "layer_sizes", [[3, 2], np.array([3, 2]), (np.int8(3), 2), range(3, 1, -1)]
)
def test_layer_sizes_may_be_any_sequence(layer_sizes):
    network = Network(layer_sizes)
    assert network.layer_sizes == (3, 2)
    assert [type(size) for size in network.layer_sizes] == [int, int]


@pytest.mark.parametrize("dtype", ["float32", np.float32, np.dtype("float32"), "f4", "single"])
def test_dtype_may_be_anything_that_numpy_knows(dtype):
    network = Network((3, 2), dtype=dtype)
    assert network.dtype == network.parameters.dtype == np.dtype("float32")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_parameters_in_any_layout(layout):
    values = np.random.default_rng(0).integers(-16, 17, size=108) / 8
    network, expected = make_network(), make_network()
    held = network.parameters
    network.parameters = LAYOUTS[layout](values)
    expected.parameters = values
    assert network.parameters is held  # its own memory, and views of it
    assert network == expected
    assert network.parameters.tolist() == values.tolist()


def test_parameters_of_itself():
    network = make_network()
    values = network.parameters.copy()
    network.parameters = network.parameters[::-1]
    assert network.parameters.tolist() == values[::-1].tolist()
    network.parameters += 1
    assert network.parameters.tolist() == (values[::-1] + 1).tolist()


class TestOut:
    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_it_is_filled_and_returned(self, dtype):
        network, (X, _) = make_network(dtype=dtype), make_data()
        out = np.full((N_SAMPLES, 3), np.nan, dtype)
        assert network.predict(X, out=out) is out
        assert bits(out) == bits(network.predict(X))

    def test_it_may_be_a_part_of_an_array(self):
        network, (X, _) = make_network(), make_data()
        whole = np.full((N_SAMPLES + 2, 3), np.nan)
        out = whole[1:-1]
        assert network.predict(X, out) is out
        assert bits(whole[1:-1].copy()) == bits(network.predict(X))
        assert np.isnan(whole[[0, -1]]).all()

    def test_it_may_be_a_memory_map(self, tmp_path):
        network, (X, _) = make_network(), make_data()
        out = np.memmap(tmp_path / "out", float, "w+", shape=(N_SAMPLES, 3))
        assert network.predict(X, out) is out
        assert bits(np.array(out)) == bits(network.predict(X))

    @pytest.mark.parametrize("shift", [0, 1, 2, 255, 256, 300])
    @pytest.mark.parametrize("behind", [False, True])
    def test_it_may_overlap_X(self, behind, shift):
        network = Network((4, 9, 4), random_state=0)
        memory = np.random.default_rng(0).normal(size=(N_SAMPLES + shift, 4))
        X, out = memory[:N_SAMPLES], memory[shift:]
        if behind:
            X, out = out, X
        expected = network.predict(X.copy())
        assert network.predict(X, out) is out
        assert bits(out.copy()) == bits(expected)

    @pytest.mark.parametrize(
        ("make_out", "error", "found"),
        [
            (lambda: [[0.0] * 3] * N_SAMPLES, TypeError, "list"),
            (lambda: "out", TypeError, "str"),
            (lambda: memoryview(np.empty((N_SAMPLES, 3))), TypeError, "memoryview"),
            (lambda: np.empty((N_SAMPLES, 3), np.float32), TypeError, "float32"),
            (lambda: np.empty((N_SAMPLES, 3), int), TypeError, "int64"),
            (lambda: np.empty((N_SAMPLES, 3), object), TypeError, "object"),
            (lambda: np.empty((N_SAMPLES, 3), ">f8"), TypeError, ">f8"),
            (lambda: np.empty((N_SAMPLES, 2)), ValueError, "(300, 2)"),
            (lambda: np.empty((N_SAMPLES + 1, 3)), ValueError, "(301, 3)"),
            (lambda: np.empty((N_SAMPLES - 1, 3)), ValueError, "(299, 3)"),
            (lambda: np.empty(3 * N_SAMPLES), ValueError, "(900,)"),
            (lambda: np.empty((0, 3)), ValueError, "(0, 3)"),
            (lambda: np.empty((3, N_SAMPLES)).T, ValueError, "C-contiguous"),
            (lambda: np.empty((2 * N_SAMPLES, 3))[::2], ValueError, "C-contiguous"),
            (lambda: read_only(np.empty((N_SAMPLES, 3))), ValueError, "writable"),
            (lambda: misaligned(np.empty((N_SAMPLES, 3))), ValueError, "aligned"),
        ],
    )
    def test_bad_ones(self, make_out, error, found):
        X, _ = make_data()
        check_refused(make_network(), lambda it: it.predict(X, make_out()), error, "out", found)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    layer_sizes=st.lists(st.integers(1, 40), min_size=2, max_size=4),
    n_samples=st.integers(1, 600),
    layout=st.sampled_from(["every second row", "Fortran-ordered", "misaligned", "byte-swapped"]),
    dtype=st.sampled_from(["float32", "float64"]),
)
def test_layouts_of_any_shape(layer_sizes, n_samples, layout, dtype):
    rng = np.random.default_rng(n_samples)
    arrays = (
        rng.normal(size=(n_samples, layer_sizes[0])),
        rng.normal(size=(n_samples, layer_sizes[-1])),
    )
    results = []
    for X, y in (arrays, map(LAYOUTS[layout], arrays)):
        network = Network(layer_sizes, dtype=dtype, random_state=0)
        found = [network.predict(X), network.loss_and_gradient(X, y), network.input_gradient(X, y)]
        results.append(bits([found, train(network, X, y), network.parameters]))
    assert results[0] == results[1]


# ---- bad input ----


def check_refused(network, call, error, *words):
    """The call raises this very error, with these words, and the network keeps every bit."""
    before = copy.deepcopy(network)
    with pytest.raises(error) as caught:
        call(network)
    assert caught.type is error
    for word in words:
        assert word in str(caught.value)
    assert network.parameters.tobytes() == before.parameters.tobytes()
    assert network == before
    # nor is it locked
    network.parameters = before.parameters


def check_data_refused(name, error, words, X, y, loss="squared_error", dtype="float64", **options):
    optimizer = Adam(0.01)
    if name == "train":
        options["optimizer"] = optimizer
    n_outputs = 1 if np.ndim(y) == 1 and loss != "log_loss" else 3
    network = make_network(loss, dtype, n_outputs)
    check_refused(network, calls(X, y, **options)[name], error, *words)
    assert optimizer == Adam(0.01)


def with_entry(array, at, value):
    array = array.copy()
    array[at] = value
    return array


def with_none(array):
    array = array.astype(object)
    array[-1, ...] = None
    return array


# how to spoil an array: the error, what it says
BAD_ARRAYS = {
    "None": (lambda array: None, TypeError, "object"),
    "string": (lambda array: "numbers", TypeError, "<U7"),
    "bytes": (lambda array: b"numbers", TypeError, "|S7"),
    "strings": (lambda array: array.astype(str), TypeError, "<U"),
    "objects": (lambda array: array.astype(object), TypeError, "object"),
    "complex": (lambda array: array.astype(complex), TypeError, "complex128"),
    "dates": (lambda array: array.astype("M8[s]"), TypeError, "datetime64"),
    "records": (lambda array: array.astype([("x", float)]), TypeError, "[('x'"),
    "a None inside": (lambda array: with_none(array).tolist(), TypeError, "object"),
    "ragged": (lambda array: [[1.0, 2.0], [3.0]], ValueError, "inhomogeneous"),
    "dict": (lambda array: {0: array}, TypeError, "object"),
    "generator": (lambda array: (row for row in array), TypeError, "object"),
    "number": (lambda array: 1.0, ValueError, "()"),
    "no rows": (lambda array: array[:0], ValueError, "(0,"),
    "no rows, a list": (lambda array: [], ValueError, "(0,)"),
    "three dimensions": (lambda array: array[None, None], ValueError, "(1, 1, "),
    "one row less": (lambda array: array[:-1], ValueError, "299"),
    "one row more": (lambda array: np.concatenate([array, array[:1]]), ValueError, "301"),
}


BAD = [*BAD_ARRAYS, "transposed", "one column less", "no columns", "1-D"]
LENGTHS = ["one row less", "one row more"]


class TestBadArrays:
    def spoiled(self, array, bad):
        """(array, error, words)"""
        more = {
            "transposed": (array.T, ValueError, f"{array.T.shape}"),
            "one column less": (array[..., :-1], ValueError, f"{array[..., :-1].shape}"),
            "no columns": (array[..., :0], ValueError, "0)"),
            "1-D": (array[..., 0], ValueError, f"{array[..., 0].shape}"),
        }
        if bad in more:
            return more[bad]
        spoil, error, word = BAD_ARRAYS[bad]
        return spoil(array), error, word

    @pytest.mark.parametrize("name", CALLS)
    @pytest.mark.parametrize("bad", [bad for bad in BAD if bad not in LENGTHS])
    def test_X(self, bad, name):
        X, y = make_data()
        spoiled, error, word = self.spoiled(X, bad)
        check_data_refused(name, error, ["X", word], spoiled, y)

    @pytest.mark.parametrize("name", WITH_TARGETS)
    @pytest.mark.parametrize("bad", LENGTHS)
    def test_X_and_y_of_two_lengths(self, bad, name):
        X, y = make_data()
        spoiled, error, word = self.spoiled(X, bad)
        check_data_refused(name, error, ["X", "y", word, "300"], spoiled, y)

    @pytest.mark.parametrize("name", WITH_TARGETS)
    @pytest.mark.parametrize(
        ("bad", "loss"),
        # for log_loss one dimension is that of class numbers
        [(bad, loss) for bad in BAD for loss in LOSSES if (bad, loss) != ("1-D", "log_loss")],
    )
    def test_y(self, bad, loss, name):
        X, y = make_data(loss)
        spoiled, error, word = self.spoiled(y, bad)
        optimizer = Adam(0.01)
        options = {"optimizer": optimizer} if name == "train" else {}
        call = calls(X, spoiled, **options)[name]
        check_refused(make_network(loss), call, error, "y", word)
        assert optimizer == Adam(0.01)

    @pytest.mark.parametrize("name", WITH_WEIGHTS)
    @pytest.mark.parametrize("bad", [bad for bad in BAD_ARRAYS if bad != "None"])
    def test_sample_weight(self, bad, name):
        X, y = make_data()
        spoiled, error, word = self.spoiled(np.ones(N_SAMPLES), bad)
        options = {"sample_weight": spoiled}
        check_data_refused(name, error, ["sample_weight", word], X, y, **options)


def test_parameters_of_other_shapes_and_types():
    network = make_network()
    n = network.n_parameters
    for values, error, word in [
        (np.zeros(n - 1), ValueError, f"({n - 1},)"),
        (np.zeros(n + 1), ValueError, f"({n + 1},)"),
        (np.zeros((n, 1)), ValueError, f"({n}, 1)"),
        (np.zeros((1, n)), ValueError, f"(1, {n})"),
        (0.0, ValueError, "()"),
        ([], ValueError, "(0,)"),
        (None, TypeError, "object"),
        ("weights", TypeError, "<U7"),
        (np.zeros(n, complex), TypeError, "complex128"),
        (np.zeros(n, object), TypeError, "object"),
        ([[1.0], [2.0, 3.0]], ValueError, "inhomogeneous"),
    ]:
        check_refused(
            network,
            lambda network, values=values: setattr(network, "parameters", values),
            error,
            "parameters",
            word,
        )


HIDDEN = ["identity", "sigmoid", "tanh", "relu", "softsign", "logistic"]
NOT_FINITE = [np.nan, np.inf, -np.inf]


def shown(value):
    """A number as messages have it."""
    return "NaN" if np.isnan(value) else str(value)


ROWS = [0, 1, 63, 64, 255, 256, 299]
MANY = {"float32": 1e39, "float64": np.longdouble("1e309")}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
class TestNotFinite:
    @pytest.mark.parametrize("value", NOT_FINITE)
    @pytest.mark.parametrize("name", CALLS)
    def test_in_X(self, name, value, dtype):
        X, y = make_data()
        for row, column in product(ROWS, (0, 7, 15, 16)):
            words = ["X", dtype, shown(value), f"[{row}, {column}]"]
            spoiled = with_entry(X, (row, column), value)
            check_data_refused(name, ValueError, words, spoiled, y, dtype=dtype)

    @pytest.mark.parametrize("n_features", [1, 15, 16, 17, 32, 33])
    def test_in_the_last_row_and_column(self, n_features, dtype):
        for n_samples in (1, 2, 256, 257):
            network = Network((n_features, 2), dtype=dtype)
            X = np.zeros((n_samples, n_features))
            X[-1, -1] = np.nan
            y = np.zeros((n_samples, 2))
            at = f"[{n_samples - 1}, {n_features - 1}]"
            for name, call in calls(X, y).items():
                check_refused(network, call, ValueError, "X", at), name

    @pytest.mark.parametrize("value", NOT_FINITE)
    @pytest.mark.parametrize("name", WITH_TARGETS)
    @pytest.mark.parametrize("loss", LOSSES)
    def test_in_y(self, loss, name, value, dtype):
        X, y = make_data(loss)
        for row, column in product(ROWS, (0, 1, 2)):
            words = ["y", dtype, shown(value), f"[{row}, {column}]"]
            spoiled = with_entry(y, (row, column), value)
            check_data_refused(name, ValueError, words, X, spoiled, loss, dtype)

    @pytest.mark.parametrize("value", NOT_FINITE)
    @pytest.mark.parametrize("name", WITH_TARGETS)
    def test_in_class_numbers(self, name, value, dtype):
        X, y = make_data("log_loss")
        for row in (0, 256, 299):
            spoiled = with_entry(y.argmax(axis=1).astype(float), row, value)
            words = ["y", shown(value), f"[{row}]"]
            check_data_refused(name, ValueError, words, X, spoiled, "log_loss", dtype)

    @pytest.mark.parametrize("value", NOT_FINITE)
    @pytest.mark.parametrize("name", WITH_WEIGHTS)
    def test_in_sample_weight(self, name, value, dtype):
        X, y = make_data()
        for row in ROWS:
            options = {"dtype": dtype, "sample_weight": with_entry(np.ones(N_SAMPLES), row, value)}
            words = ["sample_weight", dtype, shown(value), f"[{row}]"]
            check_data_refused(name, ValueError, words, X, y, **options)

    @pytest.mark.parametrize("value", NOT_FINITE)
    def test_in_parameters(self, value, dtype):
        network = make_network(dtype=dtype)
        for at in range(network.n_parameters):
            spoiled = with_entry(network.parameters, at, value)
            check_refused(
                network,
                lambda network, spoiled=spoiled: setattr(network, "parameters", spoiled),
                ValueError,
                "parameters",
                shown(value),
                f"[{at}]",
            )

    @pytest.mark.parametrize("sign", [1, -1])
    def test_numbers_that_are_too_large_for_the_precision(self, sign, dtype):
        large = sign * MANY[dtype]
        if np.isinf(large):
            pytest.skip("long double is no wider than double here")
        X, y = (array.astype(type(large)) for array in make_data())
        weights = np.ones(N_SAMPLES, type(large))
        found = ["finite", dtype, "inf"]
        for row in (0, 256, 299):
            spoiled = with_entry(X, (row, 16), large)
            for name in CALLS:
                words = ["X", *found, f"[{row}, 16]"]
                check_data_refused(name, ValueError, words, spoiled, y, dtype=dtype)
            spoiled = with_entry(y, (row, 2), large)
            for name in WITH_TARGETS:
                words = ["y", *found, f"[{row}, 2]"]
                check_data_refused(name, ValueError, words, X, spoiled, dtype=dtype)
            options = {"sample_weight": with_entry(weights, row, large), "dtype": dtype}
            for name in WITH_WEIGHTS:
                words = ["sample_weight", *found, f"[{row}]"]
                check_data_refused(name, ValueError, words, X, y, **options)
        network = make_network(dtype=dtype)
        values = network.parameters.astype(type(large))
        values[107] = large
        check_refused(
            network,
            lambda network: setattr(network, "parameters", values),
            ValueError,
            "parameters",
            *found,
            "[107]",
        )

    @pytest.mark.parametrize("value", NOT_FINITE)
    @pytest.mark.parametrize("activation", HIDDEN)
    def test_in_training_of_the_smallest_networks(self, activation, value, dtype):
        """Batches of one have a path of their own there."""
        rng = np.random.default_rng(0)
        for layer_sizes in ((2, 2, 1), (5, 3, 1), (3, 16, 1), (3, 17, 1)):
            X, y = rng.normal(size=(30, layer_sizes[0])), rng.normal(size=(30, 1))
            for row in (0, 29):
                for column in range(layer_sizes[0]):
                    spoiled = with_entry(X, (row, column), value)
                    network = Network(layer_sizes, activation, dtype=dtype, random_state=0)
                    call = calls(spoiled, y, batch_size=1, optimizer=SGD(0.01))["train"]
                    check_refused(
                        network, call, ValueError, "X", f"{shown(value)} at [{row}, {column}]"
                    )
                spoiled = with_entry(y, (row, 0), value)
                network = Network(layer_sizes, activation, dtype=dtype, random_state=0)
                call = calls(X, spoiled, batch_size=1, optimizer=SGD(0.01))["train"]
                check_refused(network, call, ValueError, "y", f"{shown(value)} at [{row}, 0]")

    def test_found_only_in_a_late_batch(self, dtype):
        """Batches before the bad row have changed the private parameters by then."""
        X, y = make_data()
        for optimizer in (SGD(0.1), SGD(0.1, 0.9), Adam(0.01)):
            for batch_size in (1, 7, 299, 300):
                network = make_network(dtype=dtype)
                train(network, X, y, optimizer)
                held, seen = copy.deepcopy(optimizer), []
                options = {"batch_size": batch_size, "shuffle": False, "callback": seen.append}
                options |= {"optimizer": optimizer}
                for data in (
                    (with_entry(X, (299, 16), np.nan), y),
                    (X, with_entry(y, (299, 2), np.inf)),
                ):
                    call = calls(*data, **options)["train"]
                    check_refused(network, call, ValueError, "[299, ")
                    assert optimizer == held
                    assert seen == []


def test_finite_weights_with_an_infinite_sum():
    X, y = make_data()
    for name in WITH_WEIGHTS:
        options = {"sample_weight": np.full(N_SAMPLES, 1e308)}
        check_data_refused(name, ValueError, ["sample_weight", "sum"], X, y, **options)


@pytest.mark.parametrize("name", WITH_TARGETS)
class TestBadTargets:
    """Numbers, but not such as go with the loss."""

    def check(self, name, loss, y, entry, value, *words):
        """A value that must not be at an entry of any row."""
        X, _ = make_data(loss)
        for row in (0, 255, 256, 299):
            spoiled = with_entry(y, (row, *entry), value)
            check_data_refused(
                name, ValueError, ["y", *(word.format(row=row) for word in words)], X, spoiled, loss
            )

    @pytest.mark.parametrize("value", [3, -1, 2**40, -(2**40)])
    @pytest.mark.parametrize("kind", [np.int64, float])
    def test_class_numbers_outside_the_range(self, name, kind, value):
        _, y = make_data("log_loss")
        classes = y.argmax(axis=1).astype(kind)
        self.check(name, "log_loss", classes, (), value, "0 to 2", str(value))

    @pytest.mark.parametrize(("value", "kind"), [(255, np.uint8), (-128, np.int8), (2**63, "u8")])
    def test_class_numbers_that_might_wrap_around(self, name, value, kind):
        _, y = make_data("log_loss")
        classes = y.argmax(axis=1).astype(kind)
        self.check(name, "log_loss", classes, (), value, "0 to 2", str(value))

    @pytest.mark.parametrize("value", [0.5, 1.999, -0.5, 1e-300, 1e300])
    def test_class_numbers_that_are_no_integers(self, name, value):
        _, y = make_data("log_loss")
        classes = y.argmax(axis=1).astype(float)
        self.check(name, "log_loss", classes, (), value, str(value))

    @pytest.mark.parametrize("value", [-1e-3, 1.001, 2])
    def test_binary_log_loss_outside_0_to_1(self, name, value):
        _, y = make_data()
        words = ["binary_log_loss", "[0, 1]", f"{value}"]
        self.check(name, "binary_log_loss", y, (2,), value, *words)

    @pytest.mark.parametrize("value", [-1e-3, -1])
    def test_negative_for_poisson(self, name, value):
        _, y = make_data()
        self.check(name, "poisson", y, (2,), value, "poisson", ">= 0", f"{value}")

    @pytest.mark.parametrize("value", [-1e-3, 1.001, 2])
    def test_no_probabilities(self, name, value):
        _, y = make_data("log_loss")
        self.check(name, "log_loss", y, (2,), value, "log_loss", "[0, 1]", f"{value}")

    @pytest.mark.parametrize("rest", [[0, 0, 0], [0.25, 0.25, 0.25], [0.5, 0.5, 0.5], [1, 1, 0]])
    def test_rows_of_another_sum(self, name, rest):
        _, y = make_data("log_loss")
        self.check(name, "log_loss", y, (), rest, "log_loss", "row {row}", f"{sum(rest)}")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rounded_probabilities_are_good(dtype):
    X, _ = make_data("log_loss")
    y = np.random.default_rng(0).dirichlet([1, 1, 1], size=N_SAMPLES).astype(np.float32)
    for call in calls(X, y).values():
        call(make_network("log_loss", dtype))


@pytest.mark.parametrize("name", WITH_WEIGHTS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bad_weights(dtype, name):
    X, y = make_data()
    ones = np.ones(N_SAMPLES)
    for weights, word in [
        (with_entry(ones, 0, -1), "-1"),
        (
            with_entry(ones, 299, -1e-30),
            "-1e-30" if dtype == "float64" else "-1.0000000031710769e-30",
        ),
        (-ones, "-1"),
        (0 * ones, "zero"),
        (np.zeros(N_SAMPLES, bool), "zero"),
        (ones[:-1], "(299,)"),
        (ones[:1], "(1,)"),
        (np.ones((N_SAMPLES, 1)), "(300, 1)"),
        (np.ones((1, N_SAMPLES)), "(1, 300)"),
        (2.0, "()"),
    ]:
        words = ["sample_weight", word]
        if "e-30" in word:
            words = ["sample_weight", "-1"]
        options = {"sample_weight": weights, "dtype": dtype}
        check_data_refused(name, ValueError, words, X, y, **options)


NOT_NUMBERS = [None, "0.1", [0.1], 1j, True, np.True_, np.array([0.1])]


@pytest.mark.parametrize(
    ("argument", "value", "error", "words"),
    [
        *(("batch_size", value, ValueError, [repr(value)]) for value in (0, -1, -(2**70))),
        *(("batch_size", value, TypeError, [repr(value)])
          for value in (1.5, 2.0, True, np.True_, "auto", "7", [7], (), np.array([1, 2]), np.nan)),
        *(("n_epochs", value, ValueError, [repr(value)]) for value in (0, -1)),
        *(("n_epochs", value, TypeError, [repr(value)])
          for value in (1.5, 2.0, None, False, "3", np.inf)),
        *(("alpha", value, ValueError, [repr(value)])
          for value in (-1e-300, -1, np.nan, np.inf, -np.inf)),
        ("alpha", 10**400, ValueError, []),
        *(("alpha", value, TypeError, [repr(value)]) for value in NOT_NUMBERS),
        *(("tol", value, ValueError, [repr(value)]) for value in (-1e-300, -1, np.nan)),
        *(("tol", value, TypeError, [repr(value)]) for value in NOT_NUMBERS[1:]),
        *(("n_iter_no_change", value, ValueError, [repr(value)]) for value in (0, -1)),
        *(("n_iter_no_change", value, TypeError, [repr(value)])
          for value in (1.5, 2.0, None, True, "10", np.nan, -np.inf)),
        *(("reduction", value, ValueError, [repr(value), "mean", "sum"])
          for value in ("average", "", "Mean", None, 1)),
        *(("shuffle", value, TypeError, [repr(value)]) for value in (None, 1, 0, "yes", [])),
        *(("callback", value, TypeError, [repr(value)]) for value in (1, "print", [print], True)),
        *(("optimizer", value, TypeError, [repr(value), "SGD", "Adam"])
          for value in ("sgd", 0.1, Adam, SGD, [])),
        *(("random_state", value, ValueError, [repr(value)]) for value in (-1, 2**32, 2**70)),
        *(("random_state", value, TypeError, []) for value in (
            1.5, "0", True, [1], np.random, np.random.default_rng(0), np.random.MT19937(0))),
    ],
    ids=str,
)  # fmt: skip
def test_options_of_training(argument, value, error, words):
    X, y = make_data()
    random_state = np.random.RandomState(0)
    optimizer = Adam(0.01)
    options = {"optimizer": optimizer, "random_state": random_state, "batch_size": 64}
    options |= {argument: value}
    check_refused(
        make_network(), lambda network: network.train(X, y, **options), error, argument, *words
    )
    assert optimizer == Adam(0.01)
    assert random_state.randint(2**31) == np.random.RandomState(0).randint(2**31)


def test_training_without_an_optimizer():
    for call in (lambda network: network.train(*make_data()),
                 lambda network: network.train(*make_data(), optimizer=None)):  # fmt: skip
        check_refused(make_network(), call, TypeError, "optimizer")


@pytest.mark.parametrize("name", ["loss_value", "loss_and_gradient"])
@pytest.mark.parametrize("value", ["average", "", None, 1, ["mean"]])
def test_bad_reductions(value, name):
    call = calls(*make_data(), reduction=value)[name]
    check_refused(make_network(), call, ValueError, "reduction", repr(value), "mean", "sum")


@pytest.mark.parametrize(
    ("make", "argument", "good", "bad"),
    [
        (SGD, "learning_rate", {}, [0, 0.0, -1, -1e-300, np.nan, np.inf, -np.inf, 10**400]),
        (SGD, "momentum", {"learning_rate": 1}, [-1e-9, -1, 1.0000001, 2, np.nan, np.inf]),
        (Adam, "learning_rate", {}, [0, 0.0, -1, np.nan, np.inf, -np.inf, 10**400]),
        (Adam, "beta_1", {}, [-1e-9, 1, 1.0, 1.5, np.nan, np.inf]),
        (Adam, "beta_2", {}, [-1e-9, 1, 1.0, 1.5, np.nan, np.inf]),
        (Adam, "epsilon", {}, [0, -1e-8, np.nan, np.inf]),
    ],
)
def test_numbers_of_optimizers(make, argument, good, bad):
    for value in bad:
        with pytest.raises(ValueError, match=argument) as caught:
            make(**good, **{argument: value})
        if value != 10**400:
            found = float(str(caught.value).split("got ")[1])
            assert found == value or np.isnan([found, value]).all()
    for value in NOT_NUMBERS:
        with pytest.raises(TypeError, match=argument) as caught:
            make(**good, **{argument: value})
        assert repr(value) in str(caught.value)


@pytest.mark.parametrize("make", [lambda: SGD(0.1), lambda: Adam(0.1)])
def test_a_bad_new_learning_rate_leaves_the_old(make):
    optimizer = make()
    for value, error in [(0, ValueError), (-1, ValueError), (np.nan, ValueError), ("1", TypeError)]:
        with pytest.raises(error, match="learning_rate"):
            optimizer.learning_rate = value
    assert optimizer == make()


def test_nesterov_is_a_bool():
    for value in (None, 1, 0, "yes"):
        with pytest.raises(TypeError, match="nesterov") as caught:
            SGD(0.1, 0.9, value)
        assert repr(value) in str(caught.value)


def test_an_epsilon_that_float32_does_not_hold():
    X, y = make_data()
    optimizer = Adam(epsilon=1e-60)
    options = {"optimizer": optimizer}
    call = calls(X, y, **options)["train"]
    check_refused(make_network(dtype="float32"), call, ValueError, "epsilon", "1e-60", "float32")
    assert optimizer == Adam(epsilon=1e-60)
    call(make_network())


UNKNOWN = ["", "Tanh", " tanh", "tanh\0", "selu", "\N{SNOWMAN}"]


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        # layer_sizes
        *(({"layer_sizes": value}, ValueError, ["layer_sizes", repr(value)])
          for value in ((), [], (3,), [3], (0, 1), (3, 0), (3, 0, 1), (-1, 2), (3, -(2**70), 1))),
        *(({"layer_sizes": value}, TypeError, ["layer_sizes", repr(value)])
          for value in (3, None, 3.5, "31", "ab", (3.0, 1), (3, 1.5), ("3", "1"), (3, None),
                        ((3, 1),), (3, np.nan), (3, np.inf), [[3, 1]])),
        *(({"layer_sizes": value}, MemoryError, ["layer_sizes", repr(value)])
          for value in ((2**32, 2**32), (2**31, 2**31, 2**31), (2**40, 2**40, 1), (2**63, 1),
                        (1, 2**63), (2**64, 2**64), (1, 2**62, 1), (10**400, 1),
                        # a 64-bit product of the sizes would be 0, or small
                        (2**63, 2), (2**32, 2**32, 3), (2**61, 8))),
        *(({"layer_sizes": value}, MemoryError, ["layer_sizes", repr(value)])
          for value in ((10**8, 10**7), (2**45, 4), (3, 10**8, 10**7, 1))),
        # names
        *(({"activation": name}, ValueError, ["activation", repr(name), *HIDDEN])
          for name in [*UNKNOWN, "softmax", "exp"]),
        *(({"activation": ["tanh", name]}, ValueError, ["activation", repr(name), *HIDDEN])
          for name in [*UNKNOWN, "softmax", "exp"]),
        *(({"activation": name, "layer_sizes": (3, 1)}, ValueError, ["activation", repr(name)])
          for name in UNKNOWN),
        *(({"output_activation": name}, ValueError,
           ["output_activation", repr(name), *HIDDEN, "exp", "softmax"]) for name in UNKNOWN),
        *(({"loss": name}, ValueError, ["loss", repr(name), *LOSSES])
          for name in ("", "mse", "Poisson", "squared_error ", "hinge")),
        *(({argument: value}, TypeError, [argument, repr(value)])
          for argument in ("activation", "output_activation", "loss")
          for value in (None, 1, b"tanh", np.tanh, {"tanh"})),
        *(({argument: value}, TypeError, [argument, repr(value)])
          for argument in ("output_activation", "loss") for value in (["tanh"], ("exp", "exp"))),
        *(({"activation": ["tanh", value]}, TypeError, ["activation", repr(value)])
          for value in (None, 1, b"tanh", ["tanh"])),
        # of another length
        *(({"activation": value}, ValueError, ["activation", repr(value), "2"])
          for value in ([], (), ["tanh"], ["tanh"] * 3, ("relu",))),
        ({"activation": ["tanh"], "layer_sizes": (3, 1)}, ValueError, ["activation", "0"]),
        # pairs
        *(({"loss": loss, "output_activation": output}, ValueError,
           [repr(loss), LOSSES[loss], "output_activation", repr(output)])
          for loss in ("log_loss", "binary_log_loss", "poisson")
          for output in ("identity", "sigmoid", "tanh", "relu", "softsign", "exp", "softmax")
          if output != LOSSES[loss]),
        ({"output_activation": "softmax"}, ValueError,
         ["squared_error", "softmax", "output_activation", "identity"]),
        # dtype
        *(({"dtype": value}, ValueError, ["dtype", "float32", "float64", str(np.dtype(value))])
          for value in (int, "float16", "longdouble", "complex64", bool, "U3", object, "M8[s]",
                        "f8,f8", [("x", "f8")], ">f8" if np.little_endian else "<f8")),
        *(({"dtype": value}, TypeError, ["dtype", "float32", "float64", repr(value)])
          for value in (None, "double precision", "", 64, 1.5, (), "(2,", [1], "f8,,")),
        # random_state
        *(({"random_state": value}, ValueError, ["random_state", repr(value)])
          for value in (-1, 2**32, 2**70)),
        *(({"random_state": value}, TypeError, ["random_state", repr(value)])
          for value in (1.5, "0", True, np.True_, [1], (), np.random, np.random.default_rng(0),
                        np.random.MT19937(0), np.array([1, 2]))),
    ],
    ids=lambda value: str(value)[:60].encode("ascii", "replace").decode(),
)  # fmt: skip
def test_networks_that_cannot_be(arguments, error, words):
    arguments = {"layer_sizes": (3, 4, 5, 1)} | arguments
    with pytest.raises(error) as caught:
        Network(**arguments)
    for word in words:
        assert word in str(caught.value)


def test_huge_networks_in_float32():
    """Half as many bytes still are too many."""
    for layer_sizes in ((2**32, 2**32), (2**61, 2), (2**60, 1), (10**8, 10**7)):
        with pytest.raises(MemoryError, match="layer_sizes"):
            Network(layer_sizes, dtype="float32")


def test_what_cannot_be_set():
    network = make_network()
    for name in ("layer_sizes", "activation", "output_activation", "loss", "dtype", "n_parameters",
                 "weights", "biases", "anything"):  # fmt: skip
        with pytest.raises(AttributeError):
            setattr(network, name, getattr(network, name, None))
    for optimizer in (SGD(0.1), Adam()):
        for name in ("n_steps", "velocity", "mean_squares", "momentum", "beta_1", "nesterov"):
            with pytest.raises(AttributeError):
                setattr(optimizer, name, 1)


def test_a_network_is_built_once():
    check_refused(make_network(), lambda network: network.__init__((2, 1)), RuntimeError, "once")


# ---- a second thread ----


def test_a_second_thread_is_refused_while_a_network_is_trained():
    network, (X, y) = make_network(), make_data()
    optimizer = Adam(0.01)
    attempts = calls(X, y) | {
        "parameters": lambda network: network.parameters,
        "weights": lambda network: network.weights,
        "biases": lambda network: network.biases,
        "assign": lambda network: setattr(network, "parameters", np.zeros(network.n_parameters)),
        "pickle": pickle.dumps,
        "deepcopy": copy.deepcopy,
        "==": lambda network: network == make_network(),
        "its optimizer": lambda network: train(make_network(), X, y, optimizer),
    }
    found = {}

    def intrude():
        for name, attempt in attempts.items():
            try:
                attempt(network)
            except RuntimeError as error:
                found[name] = str(error)

    def callback(state):
        thread = threading.Thread(target=intrude)
        thread.start()
        thread.join()

    losses = train(network, X, y, optimizer, callback=callback)
    assert found.keys() == attempts.keys()
    for name, message in found.items():
        assert "optimizer" if name == "its optimizer" else "network" in message
        assert "thread" in message
    expected = make_network()
    assert losses.tolist() == train(expected, X, y).tolist()
    assert network == expected
    # afterwards everyone may
    found.clear()
    intrude()
    assert found == {}


# ---- the parts ----

FORWARD = ["sigmoid", "tanh", "relu", "softsign", "exp", "softmax"]
BACKWARD = [
    "sigmoid_backward",
    "tanh_backward",
    "relu_backward",
    "softsign_backward",
    "exp_backward",
]


def zeros(*shape, dtype=float):
    return np.zeros(shape, dtype)


# function: good arguments, all of three rows, four inputs, two outputs; those written to
PARTS = {
    dense.forward: ({"X": (3, 4), "weights": (4, 2), "biases": (2,), "out": (3, 2)}, {"out"}),
    dense.deltas_below: ({"deltas": (3, 2), "weights": (4, 2), "out": (3, 4)}, {"out"}),
    dense.gradients: (
        {"activations": (3, 4), "deltas": (3, 2), "weight_grads": (4, 2), "bias_grads": (2,)},
        {"weight_grads", "bias_grads"},
    ),
    **{getattr(activations, name): ({"z": (3, 4), "out": (3, 4)}, {"out"}) for name in FORWARD},
    **{
        getattr(activations, name): ({"activations": (3, 4), "deltas": (3, 4)}, {"deltas"})
        for name in BACKWARD
    },
}
PART_IDS = [f"{function.__module__}.{function.__name__}" for function in PARTS]


def good_arguments(function, dtype="float64", seed=0):
    rng = np.random.default_rng(seed)
    shapes, _ = PARTS[function]
    return {name: rng.normal(size=shape).astype(dtype) for name, shape in shapes.items()}


@pytest.mark.parametrize("function", PARTS, ids=PART_IDS)
class TestParts:
    """Thin faces: they take C-contiguous arrays of one precision, and check before they begin."""

    def check(self, function, error, arguments, *words):
        before = {name: bits(array) for name, array in arguments.items() if hasattr(array, "dtype")}
        with pytest.raises(error) as caught:
            function(**arguments)
        for word in words:
            assert word in str(caught.value)
        for name, expected in before.items():
            assert bits(arguments[name]) == expected

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_only_the_outputs_change(self, function, dtype):
        arguments = good_arguments(function, dtype)
        for name in arguments.keys() - PARTS[function][1]:
            arguments[name].flags.writeable = False
        before = {name: array.copy() for name, array in arguments.items()}
        assert function(**arguments) is None
        for name, array in arguments.items():
            changed = bits(array) != bits(before[name])
            assert changed == (name in PARTS[function][1])

    @pytest.mark.parametrize(
        "wrong",
        [None, "numbers", 1.0, [[1.0]], zeros(3, 4, dtype=int), zeros(3, 4, dtype=complex),
         zeros(3, 4, dtype=np.float16), zeros(3, 4, dtype=object), zeros(3, 4, dtype=">f8"),
         zeros(), zeros(1, 3, 4)],
        ids=lambda value: f"{getattr(value, 'dtype', '')}{getattr(value, 'shape', value)}",
    )  # fmt: skip
    def test_what_is_no_such_array(self, function, wrong):
        for name in PARTS[function][0]:
            arguments = good_arguments(function) | {name: wrong}
            self.check(function, (TypeError, ValueError), arguments)

    def test_two_precisions(self, function):
        for name, array in good_arguments(function).items():
            arguments = good_arguments(function) | {name: array.astype(np.float32)}
            self.check(function, (TypeError, ValueError), arguments)

    @pytest.mark.parametrize("change", [1, -1])
    def test_shapes_that_do_not_go_together(self, function, change):
        for name, shape in PARTS[function][0].items():
            for axis in range(len(shape)):
                other = tuple(size + change * (k == axis) for k, size in enumerate(shape))
                arguments = good_arguments(function) | {name: np.ones(other)}
                self.check(function, ValueError, arguments, name, str(other[axis]))

    def test_another_number_of_dimensions(self, function):
        for name, array in good_arguments(function).items():
            for other in (array[0, ...], array[None]):
                arguments = good_arguments(function) | {name: other}
                self.check(function, (TypeError, ValueError), arguments)

    def test_arrays_that_are_not_contiguous(self, function):
        for name, array in good_arguments(function).items():
            spread = np.repeat(array, 2, axis=-1)[..., ::2]
            arguments = good_arguments(function) | {name: spread}
            self.check(function, ValueError, arguments, "contiguous")

    def test_outputs_that_are_read_only(self, function):
        for name in PARTS[function][1]:
            arguments = good_arguments(function)
            arguments[name].flags.writeable = False
            self.check(function, ValueError, arguments, "read-only")

    def test_nothing(self, function):
        shapes, _ = PARTS[function]
        for size in {size for shape in shapes.values() for size in shape}:
            # no rows, no inputs, no outputs
            arguments = {
                name: zeros(*(0 if n == size else n for n in shape))
                for name, shape in shapes.items()
            }
            self.check(function, ValueError, arguments, "empty", "0")


@pytest.mark.parametrize("n_out", [1, 2, 16, 17, 40])
@pytest.mark.parametrize("shift", [0, 1, 3, 7])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_outputs_of_the_parts_may_overlap_inputs(dtype, shift, n_out):
    rng = np.random.default_rng(0)
    weights, biases = rng.normal(size=(n_out, n_out)).astype(dtype), np.ones(n_out, dtype)

    def overlapping():
        memory = np.random.default_rng(1).normal(size=(20 + shift, n_out)).astype(dtype)
        return memory[:20], memory[shift:]

    for function in (
        *(getattr(activations, name) for name in FORWARD),
        lambda z, out: dense.forward(z, weights, biases, out),
        lambda z, out: dense.deltas_below(z, weights, out),
    ):
        for swap in (False, True):
            z, out = reversed(overlapping()) if swap else overlapping()
            expected = np.empty_like(out)
            function(z.copy(), expected)
            function(z, out)
            assert bits(out.copy()) == bits(expected)


@pytest.mark.parametrize("n_out", [1, 3, 17])
@pytest.mark.parametrize("value", NOT_FINITE)
def test_the_parts_keep_what_is_not_finite_in_its_row(value, n_out):
    """They are arithmetic on arrays: NaN goes where NaN belongs."""
    rng = np.random.default_rng(0)
    X, weights, biases = rng.normal(size=(9, 20)), rng.normal(size=(20, n_out)), np.ones(n_out)
    good, out = np.empty((9, n_out)), np.empty((9, n_out))
    dense.forward(X, weights, biases, good)
    dense.forward(with_entry(X, (4, 19), value), weights, biases, out)
    assert not np.isfinite(out[4]).any()
    others = np.arange(9) != 4
    assert bits(out[others]) == bits(good[others])


class TestBackprop:
    """`forward`, `deltas` and `gradients` over a network of four inputs, two units, one output"""

    def arguments(self):
        rng = np.random.default_rng(0)
        weights, biases = [rng.normal(size=(4, 2)), rng.normal(size=(2, 1))], [zeros(2), zeros(1)]
        return rng.normal(size=(3, 4)), weights, biases, ["tanh", "identity"]

    def parts(self):
        X, weights, biases, names = self.arguments()
        found = backprop.forward(X, weights, biases, names)
        return found, backprop.deltas(found[-1] - 1, weights, found, names[:-1])

    def check(self, error, call, *words):
        with pytest.raises(error) as caught:
            call()
        for word in words:
            assert word in str(caught.value)

    def test_the_parts_are_the_network(self):
        X, weights, biases, _ = self.arguments()
        network = Network((4, 2, 1), "tanh")
        pairs = zip(weights, biases, strict=True)
        network.parameters = np.concatenate([part.ravel() for pair in pairs for part in pair])
        found, deltas = self.parts()
        y = np.ones((3, 1))
        assert bits(found) == bits(network.activations(X))
        assert bits(deltas) == bits(network.deltas(X, y))
        pairs = zip(*backprop.gradients(found, deltas), strict=True)
        gradient = np.concatenate([part.ravel() for pair in pairs for part in pair])
        assert bits(gradient) == bits(network.loss_and_gradient(X, y, reduction="sum")[1])

    @pytest.mark.parametrize("wrong", [None, 1, "tanh", "selu", ["tanh"], ["tanh"] * 3, []])
    def test_lists_of_other_lengths(self, wrong):
        X, weights, biases, names = self.arguments()
        found, deltas = self.parts()
        error = (TypeError, ValueError)
        self.check(error, lambda: backprop.forward(X, weights, biases, wrong))
        self.check(error, lambda: backprop.forward(X, weights, wrong, names))
        self.check(error, lambda: backprop.forward(X, wrong, biases, names))
        if wrong != ["tanh"]:
            self.check(error, lambda: backprop.deltas(deltas[-1], weights, found, wrong))
        self.check(error, lambda: backprop.deltas(deltas[-1], weights, wrong, names[:-1]))
        self.check(error, lambda: backprop.deltas(deltas[-1], wrong, found, names[:-1]))
        self.check(error, lambda: backprop.gradients(found, wrong))
        self.check(error, lambda: backprop.gradients(wrong, deltas))

    def test_unknown_names(self):
        X, weights, biases, _ = self.arguments()
        found, deltas = self.parts()
        call = lambda: backprop.forward(X, weights, biases, ["selu", "identity"])  # noqa: E731
        self.check(ValueError, call, "activation", "'selu'", *HIDDEN, "softmax")
        for name in ("selu", "softmax", "exp"):
            call = lambda: backprop.deltas(deltas[-1], weights, found, [name])  # noqa: B023, E731
            self.check(ValueError, call, "activation", repr(name), *HIDDEN)

    @pytest.mark.parametrize(
        "wrong",
        [None, 1.0, "numbers", [[1.0]], zeros(), zeros(2), zeros(4), zeros(1, 3, 4), zeros(5, 7),
         zeros(0, 4), zeros(3, 0), zeros(3, 4, dtype=int), zeros(3, 4, dtype=">f8"),
         np.asfortranarray(np.ones((3, 4)))],
        ids=lambda value: f"{getattr(value, 'dtype', '')}{getattr(value, 'shape', value)}",
    )  # fmt: skip
    def test_wrong_arrays(self, wrong):
        X, weights, biases, names = self.arguments()
        found, deltas = self.parts()
        error = (TypeError, ValueError)
        self.check(error, lambda: backprop.forward(wrong, weights, biases, names))
        for k in (0, 1):
            self.check(
                error,
                lambda k=k: backprop.forward(X, replaced(weights, k, wrong), biases, names),
            )
            if not (k == 0 and np.shape(wrong) == (2,)):  # these are biases as good as others
                self.check(
                    error,
                    lambda k=k: backprop.forward(X, weights, replaced(biases, k, wrong), names),
                )
        self.check(error, lambda: backprop.deltas(wrong, weights, found, names[:-1]))
        self.check(
            error,
            lambda: backprop.deltas(deltas[-1], replaced(weights, 1, wrong), found, names[:-1]),
        )
        self.check(
            error,
            lambda: backprop.deltas(deltas[-1], weights, replaced(found, 1, wrong), names[:-1]),
        )
        for k in (0, 1):
            self.check(error, lambda k=k: backprop.gradients(found, replaced(deltas, k, wrong)))
            self.check(error, lambda k=k: backprop.gradients(replaced(found, k, wrong), deltas))


def replaced(parts, k, part):
    return [*parts[:k], part, *parts[k + 1 :]]


# ---- a network that was never built ----


@pytest.mark.parametrize(
    "use",
    [
        lambda network: network.predict([[1.0]]),
        lambda network: network.predict(np.ones((1, 1))),
        lambda network: network.activations([[1.0]]),
        lambda network: network.loss_value([[1.0]], [1.0]),
        lambda network: network.loss_and_gradient([[1.0]], [1.0]),
        lambda network: network.deltas([[1.0]], [1.0]),
        lambda network: network.input_gradient([[1.0]], [1.0]),
        lambda network: network.jacobian([[1.0]]),
        lambda network: network.train([[1.0]], [1.0], optimizer=SGD(0.1)),
        lambda network: network.parameters.size,
        lambda network: network.weights[0],
        lambda network: pickle.dumps(network),
        lambda network: network == Network((1, 1)),
    ],
)
def test_a_network_without_init_is_no_crash(use):
    with pytest.raises((TypeError, AttributeError)):
        use(Network.__new__(Network))
