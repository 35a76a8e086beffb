"""The same seed, the same bits: whatever the instruction set, the batch, or the layout of the data.

(The kernels' own promises are in test_kernels_bits.py; here speak `Network` and its training.)
"""

import copy
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from processes import run_python

import cbackprop
from cbackprop import Network, backprop
from cbackprop._kernels import dispatch

SCRIPT = Path(__file__).parent / "scripts" / "hash_networks.py"
FUSED = [isa for isa in dispatch.FOUND if isa != "baseline"]

# With layers of few outputs and of many, below and above a panel and a block of the summed index.
NETWORKS = {
    "linear": ((5, 1), "sigmoid", "identity", "squared_error"),
    "smallest": ((2, 2, 1), "sigmoid", "identity", "squared_error"),
    "few": ((20, 33, 3), "tanh", "sigmoid", "binary_log_loss"),
    "classes": ((64, 50, 10), "relu", "softmax", "log_loss"),
    "counts": ((9, 17, 18, 2), "softsign", "exp", "poisson"),
    "long sums": ((300, 270, 17), "sigmoid", "tanh", "squared_error"),
}
BLOCK_ROWS = 256  # that go through a network together
OPTIMIZERS = {
    "descent": lambda: cbackprop.SGD(0.01),
    "nesterov": lambda: cbackprop.SGD(0.01, momentum=0.9, nesterov=True),
    "adam": lambda: cbackprop.Adam(0.01),
    "rmsprop": lambda: cbackprop.RMSprop(0.01, centered=True),
    "rprop": lambda: cbackprop.Rprop("plus", 0.01),
}


def assert_same_bits(got, expected):
    got, expected = np.asarray(got), np.asarray(expected)
    assert got.dtype == expected.dtype
    assert got.shape == expected.shape
    assert got.tobytes() == expected.tobytes()


def make(name, dtype="float64", n_samples=700, seed=0):
    """A network and data for it, numbers that both precisions hold."""
    layer_sizes, activation, output_activation, loss = NETWORKS[name]
    network = Network(layer_sizes, activation, output_activation, loss, dtype, random_state=seed)
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_samples, layer_sizes[0])).astype("float32").astype(dtype)
    y = rng.integers(9, size=(n_samples, layer_sizes[-1])) / 8
    if loss == "log_loss":
        y = np.eye(layer_sizes[-1])[rng.integers(layer_sizes[-1], size=n_samples)]
    return network, X, y.astype(dtype)


# ---- instruction sets ----


def hashes(isa, folder):
    """What the script says when an instruction set is forced."""
    result = run_python(SCRIPT, cwd=folder, CBACKPROP_ISA=isa)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_instruction_sets_agree(tmp_path):
    if not FUSED:
        pytest.skip("this processor, or this build, has no instruction set with FMA")
    expected = hashes(FUSED[0], tmp_path)
    assert len(expected) > 500
    assert len(set(expected.values())) == len(expected)  # bits of many different results
    if len(FUSED) == 1:
        pytest.skip(f"{FUSED[0]} is the only instruction set with FMA here: nothing to compare")
    for isa in FUSED[1:]:
        found = hashes(isa, tmp_path)
        assert found.keys() == expected.keys()
        differing = [case for case in expected if found[case] != expected[case]]
        assert not differing, f"{len(differing)} differ on {isa} and {FUSED[0]}: {differing[:3]}"


# ---- the batch a row is in ----


def by_row(network, X, y):
    """Everything that is computed for each row by itself, side by side."""
    outs = [network.predict(X), *network.activations(X), *network.deltas(X, y)]
    return np.hstack([*outs, network.input_gradient(X, y)])


@pytest.mark.parametrize("name", NETWORKS)
def test_a_row_does_not_depend_on_its_batch(name, dtype):
    network, X, y = make(name, dtype)
    expected = by_row(network, X, y)
    for k in [*range(20), 255, 256, 257, 699]:
        assert_same_bits(by_row(network, X[k : k + 1], y[k : k + 1]), expected[k : k + 1])
    rng = np.random.default_rng(1)
    for _ in range(20):
        first, last = np.sort(rng.choice(len(X) + 1, size=2, replace=False))
        assert_same_bits(by_row(network, X[first:last], y[first:last]), expected[first:last])
    order = rng.permutation(len(X))
    assert_same_bits(by_row(network, X[order], y[order]), expected[order])
    again = np.tile(np.arange(len(X)), 3)
    assert_same_bits(by_row(network, X[again], y[again]), expected[again])


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("n_blocks", [1, 2, 3, 6, 7])
def test_a_gradient_over_many_rows_is_a_tree_over_blocks(name, n_blocks, dtype):
    """Each block's gradient may be computed elsewhere, and each subtree's sum."""
    n_samples = n_blocks * BLOCK_ROWS - 20
    network, X, y = make(name, dtype, n_samples)

    def gradient(first, last):
        rows = slice(first * BLOCK_ROWS, last * BLOCK_ROWS)
        return network.loss_and_gradient(X[rows], y[rows], reduction="sum")[1]

    def tree(first, last):
        if last - first == 1:
            return gradient(first, last)
        left = 1 << (last - first - 1).bit_length() - 1  # the largest power of two below
        return tree(first, first + left) + tree(first + left, last)

    assert_same_bits(gradient(0, n_blocks), tree(0, n_blocks))


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_the_loss_is_one_number(name, reduction, dtype):
    network, X, y = make(name, dtype)
    weight = np.arange(len(X)) % 3 + 0.5
    loss, _ = network.loss_and_gradient(X, y, weight, reduction)
    assert network.loss_value(X, y, weight, reduction) == loss
    network.train(X, y, optimizer=cbackprop.Adam())  # of other parameters, another
    assert network.loss_value(X, y, weight, reduction) != loss


# ---- training ----


@pytest.mark.parametrize("batch_size", [1, 7, 256, 300])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", NETWORKS)
def test_training_sees_rows_not_where_they_lie(name, optimizer, batch_size, dtype):
    """A shuffled epoch is one over rows that were laid in that order before."""
    n_samples = 40 if batch_size < 10 else 700
    shuffled, X, y = make(name, dtype, n_samples)
    losses = shuffled.train(
        X, y, optimizer=OPTIMIZERS[optimizer](), batch_size=batch_size, random_state=3
    )
    laid, _, _ = make(name, dtype, n_samples)
    order = np.random.RandomState(3).permutation(n_samples)
    laid_losses = laid.train(
        X[order], y[order], optimizer=OPTIMIZERS[optimizer](), batch_size=batch_size, shuffle=False
    )
    assert_same_bits(shuffled.parameters, laid.parameters)
    assert_same_bits(losses, laid_losses)


@pytest.mark.parametrize("batch_size", [1, 7, 256, 300])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", NETWORKS)
def test_an_epoch_is_its_batches(name, optimizer, batch_size, dtype):
    """One call over all batches, or one call for each batch."""
    n_samples = 20 if batch_size < 10 else 700
    whole, X, y = make(name, dtype, n_samples)
    whole.train(
        X, y, optimizer=OPTIMIZERS[optimizer](), batch_size=batch_size, n_epochs=2, shuffle=False
    )
    parts, _, _ = make(name, dtype, n_samples)
    of_parts = OPTIMIZERS[optimizer]()
    for _ in range(2):
        for first in range(0, n_samples, batch_size):
            rows = slice(first, first + batch_size)
            parts.train(X[rows], y[rows], optimizer=of_parts, shuffle=False)
    assert_same_bits(whole.parameters, parts.parameters)


@pytest.mark.parametrize("name", NETWORKS)
def test_seeds_repeat_and_differ(name, dtype):
    def trained(seed, training_seed):
        network, X, y = make(name, dtype, n_samples=50)
        network = Network(*NETWORKS[name], dtype, random_state=seed)
        arguments = {"batch_size": 8, "n_epochs": 3, "random_state": training_seed}
        network.train(X, y, optimizer=cbackprop.SGD(0.01), **arguments)
        return network.parameters

    assert_same_bits(trained(1, 2), trained(1, 2))
    assert (trained(1, 2) != trained(1, 3)).any()
    assert (trained(1, 2) != trained(4, 2)).any()


# ---- where numbers lie, and how ----


def misaligned(array):
    memory = np.empty(array.nbytes + 1, np.uint8)
    found = memory[1:].view(array.dtype).reshape(array.shape)
    found[...] = array
    return found


def strided(array):
    wide = np.full([2 * n for n in array.shape], 7, array.dtype)
    found = wide[tuple(slice(None, None, 2) for _ in array.shape)]
    found[...] = array
    return found


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


LAYOUTS = {
    "as it is": lambda array: array,
    "Fortran": lambda array: np.array(array, order="F"),
    "strided": strided,
    "backwards": lambda array: array[::-1].copy()[::-1],
    "byte-swapped": lambda array: array.astype(array.dtype.newbyteorder()),
    "read-only": read_only,
    "misaligned": misaligned,
    "list": lambda array: array.tolist(),
    "the other precision": lambda array: array.astype(
        "float32" if array.dtype == "float64" else "float64"
    ),
    "long double": lambda array: array.astype(np.longdouble),
    "in a larger array": lambda array: np.pad(array, 3)[(slice(3, -3),) * array.ndim],
}


def everything(network, X, y, sample_weight):
    """What can be computed from data, the trained parameters last."""
    network = copy.deepcopy(network)
    loss, gradient = network.loss_and_gradient(X, y, sample_weight)
    results = [
        network.predict(X),
        *network.activations(X)[1:],
        loss,
        gradient,
        network.loss_value(X, y, sample_weight),
        *network.deltas(X, y),
        network.input_gradient(X, y),
    ]
    losses = network.train(
        X,
        y,
        optimizer=cbackprop.SGD(0.01, momentum=0.5),
        batch_size=100,
        n_epochs=2,
        random_state=0,
        sample_weight=sample_weight,
    )
    return [*results, losses, network.parameters]


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_of_the_data(layout, name, dtype):
    network, X, y = make(name, dtype, n_samples=300)
    sample_weight = (np.arange(300) % 4 / 4 + 0.25).astype(dtype)
    change = LAYOUTS[layout]
    found = everything(network, change(X), change(y), change(sample_weight))
    for got, expected in zip(found, everything(network, X, y, sample_weight), strict=True):
        assert_same_bits(got, expected)


def test_the_layouts_are_what_they_are_called():
    array = np.arange(12.0).reshape(4, 3)
    changed = {name: change(array) for name, change in LAYOUTS.items()}
    for name, found in changed.items():
        assert np.array_equal(found, array), name
    assert not changed["Fortran"].flags.c_contiguous
    assert changed["strided"].strides == (96, 16)
    assert changed["backwards"].strides == (-24, 8)
    assert not changed["byte-swapped"].dtype.isnative
    assert not changed["read-only"].flags.writeable
    assert not changed["misaligned"].flags.aligned
    assert not changed["in a larger array"].flags.contiguous


def test_memory_maps(tmp_path, dtype):
    network, X, y = make("few", dtype)
    for name, array in (("X.npy", X), ("y.npy", y)):
        np.save(tmp_path / name, array)
    mapped = [np.load(tmp_path / name, mmap_mode="r") for name in ("X.npy", "y.npy")]
    assert all(isinstance(array, np.memmap) for array in mapped)
    for got, expected in zip(
        everything(network, *mapped, None), everything(network, X, y, None), strict=True
    ):
        assert_same_bits(got, expected)


def test_integers_are_the_numbers_they_stand_for(dtype):
    network, X, _ = make("few", dtype)
    X = np.round(4 * X)
    for kind in ("int8", "int32", "int64"):
        assert_same_bits(network.predict(X.astype(kind)), network.predict(X))
    assert_same_bits(network.predict(X > 0), network.predict((X > 0).astype(dtype)))


def test_predictions_into_an_array_of_the_caller(dtype):
    network, X, _ = make("few", dtype)
    out = np.full((len(X), 3), np.nan, dtype)
    assert network.predict(X, out) is out
    assert_same_bits(out, network.predict(X))


# ---- how parameters got there ----


def through_views(network, values):
    network.parameters[...] = values


def through_layers(network, values):
    start = 0
    for weights, biases in zip(network.weights, network.biases, strict=True):
        for view in (weights, biases):
            view[...] = values[start : start + view.size].reshape(view.shape)
            start += view.size


def through_columns(network, values):
    """One column of the weights after the other."""
    start = 0
    for weights, biases in zip(network.weights, network.biases, strict=True):
        rows = values[start : start + weights.size].reshape(weights.shape)
        for j in range(weights.shape[1]):
            weights[:, j] = rows[:, j]
        biases[:] = values[start + weights.size : start + weights.size + biases.size]
        start += weights.size + biases.size


def by_the_setter(network, values):
    network.parameters = values


def by_the_setter_from_a_list(network, values):
    network.parameters = values.tolist()


@pytest.mark.parametrize(
    "put",
    [
        through_views,
        through_layers,
        through_columns,
        by_the_setter,
        by_the_setter_from_a_list,
    ],
)
@pytest.mark.parametrize("name", NETWORKS)
def test_parameters_are_the_same_however_they_came(put, name, dtype):
    source, X, y = make(name, dtype, n_samples=300)
    target = Network(*NETWORKS[name], dtype, random_state=9)
    put(target, source.parameters.copy())
    for got, expected in zip(
        everything(target, X, y, None), everything(source, X, y, None), strict=True
    ):
        assert_same_bits(got, expected)


@pytest.mark.parametrize(
    "duplicate", [copy.copy, copy.deepcopy, lambda n: pickle.loads(pickle.dumps(n))]
)
@pytest.mark.parametrize("name", NETWORKS)
def test_a_copy_computes_the_same(duplicate, name, dtype):
    network, X, y = make(name, dtype, n_samples=300)
    for got, expected in zip(
        everything(duplicate(network), X, y, None), everything(network, X, y, None), strict=True
    ):
        assert_same_bits(got, expected)


# ---- the parts, for those who build something else from them ----


@pytest.mark.parametrize("name", NETWORKS)
def test_the_parts_compute_what_the_engine_computes(name, dtype):
    network, X, y = make(name, dtype, n_samples=BLOCK_ROWS)
    activation = (*network.activation, network.output_activation)
    activations = backprop.forward(X, network.weights, network.biases, activation)
    for got, expected in zip(activations, network.activations(X), strict=True):
        assert_same_bits(got, expected)
    expected = network.deltas(X, y)
    deltas = backprop.deltas(expected[-1], network.weights, activations, network.activation)
    for got, of_engine in zip(deltas, expected, strict=True):
        assert_same_bits(got, of_engine)
    pairs = zip(*backprop.gradients(activations, deltas), strict=True)
    flat = np.concatenate([array.ravel() for pair in pairs for array in pair])
    assert_same_bits(flat, network.loss_and_gradient(X, y, reduction="sum")[1])
