"""The compiled `Network` against its pure-Python twin, on networks small enough for it."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import cbackprop
from cbackprop import pure

HIDDEN = ["identity", "sigmoid", "tanh", "relu", "softsign"]
PAIRS = [
    *(("squared_error", output) for output in [*HIDDEN, "exp"]),
    ("log_loss", "softmax"),
    ("binary_log_loss", "sigmoid"),
    ("poisson", "exp"),
]
# One and more outputs, no hidden layer to three, widths around one vector and one panel.
LAYER_SIZES = [(2, 2, 1), (3, 2), (9, 1), (8, 32, 1), (5, 17, 8, 3), (4, 7, 16, 9, 5)]
RTOL = {"float64": 1e-11, "float32": 2e-4}
OPTIMIZERS = {
    "sgd": ("SGD", {"learning_rate": 0.1}),
    "momentum": ("SGD", {"learning_rate": 0.01, "momentum": 0.9}),
    "nesterov": ("SGD", {"learning_rate": 0.01, "momentum": 0.9, "nesterov": True}),
    "adam": (
        "Adam",
        {"learning_rate": 0.02, "beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-4},
    ),
}
WEIGHTS = [0.5, 2.0, 0.0, 1.0, 3.0, 0.25, 1.5]


def twins(layer_sizes, activation, loss, output_activation, dtype="float64", n_samples=7):
    """Both networks with the same parameters, and data that every dtype holds exactly."""
    rng = np.random.default_rng(sum(layer_sizes))
    compiled = cbackprop.Network(layer_sizes, activation, output_activation, loss, dtype, 0)
    python = pure.Network(layer_sizes, activation, output_activation, loss)
    python.parameters = compiled.parameters
    X = rng.normal(size=(n_samples, layer_sizes[0])).astype(np.float32)
    y = rng.integers(1, 8, size=(n_samples, layer_sizes[-1])) / 8
    if loss == "log_loss":
        y = np.eye(layer_sizes[-1])[rng.integers(layer_sizes[-1], size=n_samples)]
    return compiled, python, X.astype(dtype), y.astype(dtype)


def assert_same(got, expected, dtype):
    """Equal up to the rounding of sums, that is relative to the largest number."""
    expected = np.asarray(expected)
    assert got.dtype == dtype
    assert got.shape == expected.shape
    assert_allclose(got, expected, rtol=RTOL[dtype], atol=RTOL[dtype] * np.abs(expected).max())


@pytest.mark.parametrize("dtype", RTOL)
@pytest.mark.parametrize("layer_sizes", LAYER_SIZES, ids=lambda sizes: "-".join(map(str, sizes)))
@pytest.mark.parametrize("activation", HIDDEN)
@pytest.mark.parametrize(("loss", "output_activation"), PAIRS)
def test_forward_and_backward(loss, output_activation, activation, layer_sizes, dtype):
    compiled, python, X, y = twins(layer_sizes, activation, loss, output_activation, dtype)
    rows, targets = X.tolist(), y.tolist()

    assert_same(compiled.predict(X), python.predict(rows), dtype)
    pairs = [
        (compiled.activations(X), python.activations(rows)),
        (compiled.deltas(X, y), python.deltas(rows, targets)),
    ]
    for layers, expected in pairs:
        assert len(layers) == len(expected)
        for got, want in zip(layers, expected, strict=True):
            assert_same(got, want, dtype)
    assert_same(compiled.input_gradient(X, y), python.input_gradient(rows, targets), dtype)

    for weights in (None, WEIGHTS):
        for reduction in ("mean", "sum"):
            value, gradient = compiled.loss_and_gradient(X, y, weights, reduction)
            expected, expected_gradient = python.loss_and_gradient(
                rows, targets, weights, reduction
            )
            assert value == pytest.approx(expected, rel=RTOL[dtype])
            assert_same(gradient, expected_gradient, dtype)
            got = compiled.loss_value(X, y, weights, reduction)
            assert got == pytest.approx(expected, rel=RTOL[dtype])


@pytest.mark.parametrize("batch_size", [1, 3, None])  # 3 leaves a last batch of one
@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize(
    ("layer_sizes", "activation", "loss", "output_activation"),
    [
        ((2, 2, 1), "sigmoid", "squared_error", "identity"),
        ((8, 32, 1), "tanh", "poisson", "exp"),
        ((9, 17, 3), "softsign", "log_loss", "softmax"),
        ((4, 6, 5, 2), ["tanh", "sigmoid"], "binary_log_loss", "sigmoid"),
        ((5, 3), [], "squared_error", "tanh"),
    ],
)
class TestTraining:
    """Two epochs, then two more with what the optimizer remembers of the first."""

    def compare(self, case, name, dtype="float64", **options):
        compiled, python, X, y = twins(*case, dtype=dtype)
        kind, numbers = OPTIMIZERS[name]
        optimizers = getattr(cbackprop, kind)(**numbers), getattr(pure, kind)(**numbers)
        for _ in range(2):
            losses = compiled.train(
                X, y, optimizer=optimizers[0], n_epochs=2, shuffle=False, **options
            )
            expected = python.train(
                X.tolist(),
                y.tolist(),
                optimizer=optimizers[1],
                n_epochs=2,
                shuffle=False,
                **options,
            )
            assert max(expected) < 30  # where training diverges, rounding does, too
            assert losses.dtype == np.float64
            assert_allclose(losses, expected, rtol=RTOL[dtype])
            assert_same(compiled.parameters, python.parameters, dtype)

    def test_mean(self, layer_sizes, activation, loss, output_activation, name, batch_size):
        case = layer_sizes, activation, loss, output_activation
        self.compare(case, name, batch_size=batch_size)

    def test_float32(self, layer_sizes, activation, loss, output_activation, name, batch_size):
        case = layer_sizes, activation, loss, output_activation
        self.compare(case, name, "float32", batch_size=batch_size)

    def test_weights_and_penalty(
        self, layer_sizes, activation, loss, output_activation, name, batch_size
    ):
        # With batches of one, that of the point without weight is no step.
        case = layer_sizes, activation, loss, output_activation
        self.compare(case, name, batch_size=batch_size, sample_weight=WEIGHTS, alpha=0.3)

    def test_sum(self, layer_sizes, activation, loss, output_activation, name, batch_size):
        case = layer_sizes, activation, loss, output_activation
        self.compare(case, name, batch_size=batch_size, reduction="sum", alpha=0.02)


@pytest.mark.parametrize(("tol", "n_iter_no_change"), [(1e-3, 2), (1e-5, 1), (1e9, 3)])
def test_training_stops_at_the_same_epoch(tol, n_iter_no_change):
    compiled, python, X, y = twins((4, 6, 1), "tanh", "squared_error", "identity")
    options = {"n_epochs": 500, "batch_size": 2, "shuffle": False}
    options |= {"tol": tol, "n_iter_no_change": n_iter_no_change}
    losses = compiled.train(X, y, optimizer=cbackprop.SGD(0.4), **options)
    expected = python.train(X.tolist(), y.tolist(), optimizer=pure.SGD(0.4), **options)
    assert len(losses) == len(expected) < 500
    assert_allclose(losses, expected, rtol=1e-9)


def test_class_numbers_and_flat_targets():
    compiled, python, X, _ = twins((3, 5, 4), "tanh", "log_loss", "softmax")
    classes = [3, 0, 1, 2, 2, 0, 3]
    value, gradient = compiled.loss_and_gradient(X, classes)
    expected, expected_gradient = python.loss_and_gradient(X.tolist(), classes)
    assert value == pytest.approx(expected, rel=1e-12)
    assert_same(gradient, expected_gradient, "float64")

    compiled, python, X, y = twins((3, 5, 1), "tanh", "squared_error", "identity")
    value, gradient = compiled.loss_and_gradient(X, y.ravel())
    expected, expected_gradient = python.loss_and_gradient(X.tolist(), y.ravel().tolist())
    assert value == pytest.approx(expected, rel=1e-12)
    assert_same(gradient, expected_gradient, "float64")


def test_the_layout_of_the_parameters_and_the_names_are_the_same():
    compiled, python, _, _ = twins((4, 6, 5, 2), ["logistic", "relu"], "squared_error", "tanh")
    for name in ("layer_sizes", "activation", "output_activation", "loss", "n_parameters"):
        assert getattr(compiled, name) == getattr(python, name)
    for name in ("weights", "biases"):
        pairs = zip(getattr(compiled, name), getattr(python, name), strict=True)
        assert all(got.tolist() == expected for got, expected in pairs)


@pytest.mark.parametrize(
    ("layer_sizes", "activation"), [((30, 40, 20), "sigmoid"), ((30, 40, 20), "tanh")]
)
def test_initial_parameters_have_the_same_distribution(layer_sizes, activation):
    """Two samples: their largest numbers are close to one bound, layer by layer."""
    compiled = cbackprop.Network(layer_sizes, activation, random_state=0)
    python = pure.Network(layer_sizes, activation, random_state=0)
    for W, V in zip(compiled.weights, python.weights, strict=True):
        assert np.abs(W).max() == pytest.approx(np.abs(V).max(), rel=0.02)
        assert W.std() == pytest.approx(np.std(V), rel=0.1)
