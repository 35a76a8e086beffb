"""Networks whose inputs go to every layer: f_k(activations[k] @ W_k + X @ V_k + b_k).

The judges are the textbook's network, which puts X and the activations side by side, differences of
it, a loop of steps in NumPy, and the network without shortcuts where all V_k are 0.
"""

import copy
import itertools
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from textbook import (
    ACTIVATIONS,
    HIDDEN,
    PAIRS,
    check_deltas,
    check_derivative,
    make_case,
    make_targets,
    reference,
)

import cbackprop
from cbackprop import SGD, Adam, Network, pure

# Inputs around a vector and a panel; outputs few and many, before and behind layers of few units;
# one layer, which no shortcut goes around; sums longer than a block.
SIZES = [
    (3, 2),
    (1, 1, 2),
    (2, 2, 1),
    (8, 5, 3),
    (16, 8, 17),
    (17, 16, 2, 3),
    (5, 2, 33, 1),
    (33, 3, 1, 9, 2),
    (270, 4, 5),
]


def make(layer_sizes, dtype="float64", n_samples=20, activation="tanh", shortcuts=True, **kwargs):
    network = Network(
        layer_sizes, activation, dtype=dtype, random_state=0, shortcuts=shortcuts, **kwargs
    )
    rng = np.random.default_rng(sum(layer_sizes))
    X = rng.normal(size=(n_samples, layer_sizes[0])).astype(dtype)
    y = make_targets(network.loss, n_samples, layer_sizes[-1], rng).astype(dtype)
    return network, X, y


def numpy_outputs(network, parameters, X):
    """The activated outputs, for real or complex parameters and X"""
    start, inputs = 0, X
    names = (*network.activation, network.output_activation)
    for shape, name in zip((w.shape for w in network.weights), names, strict=True):
        weights = parameters[start : start + shape[0] * shape[1]].reshape(shape)
        start += weights.size
        biases = parameters[start : start + shape[1]]
        start += biases.size
        activations = ACTIVATIONS[name](inputs @ weights + biases)
        inputs = np.hstack([X, activations])
    return activations


# ---- the parameters ----


@pytest.mark.parametrize("layer_sizes", SIZES, ids=str)
def test_weights_are_of_the_inputs_and_of_the_layer_below(layer_sizes):
    network = Network(layer_sizes, shortcuts=True)
    n_features, *_ = layer_sizes
    units = itertools.pairwise(layer_sizes[1:])
    shapes = [layer_sizes[:2], *((n_features + n_in, n_out) for n_in, n_out in units)]
    assert [weights.shape for weights in network.weights] == shapes
    assert network.n_parameters == sum((n_in + 1) * n_out for n_in, n_out in shapes)
    network.parameters = np.arange(network.n_parameters)
    pairs = zip(network.weights, network.biases, strict=True)
    flat = np.concatenate([array.ravel() for pair in pairs for array in pair])
    assert np.array_equal(flat, network.parameters)


@pytest.mark.parametrize(("activation", "factor"), [("sigmoid", 2), ("relu", 6)])
def test_initial_weights_are_drawn_by_the_fan_in_there_is(activation, factor):
    network = Network((30, 40, 20, 5), activation, random_state=7, shortcuts=True)
    stream = np.random.RandomState(7)
    for weights, biases in zip(network.weights, network.biases, strict=True):
        bound = np.sqrt(factor / sum(weights.shape))
        assert np.array_equal(weights, stream.uniform(-bound, bound, weights.shape))
        assert np.array_equal(biases, stream.uniform(-bound, bound, biases.shape))


# ---- what is computed from them ----


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    layer_sizes=st.lists(st.integers(1, 40), min_size=2, max_size=5),
    activation=st.sampled_from(["identity", "sigmoid", "tanh"]),
    pair=st.sampled_from([pair for pair in PAIRS if pair[1] not in ("relu", "softsign")]),
    n_samples=st.integers(1, 300),
    weighted=st.booleans(),
    reduction=st.sampled_from(["mean", "sum"]),
)
def test_any_shape(layer_sizes, activation, pair, n_samples, weighted, reduction):
    network, X, y, rng = make_case(layer_sizes, activation, *pair, n_samples, shortcuts=True)
    parameters = network.parameters
    expected = numpy_outputs(network, parameters, X)
    assert_allclose(network.predict(X), expected, rtol=1e-10, atol=1e-12)

    weights = rng.uniform(0.1, 3, size=n_samples) if weighted else np.ones(n_samples)
    divisor = weights.sum() if reduction == "mean" else 1

    def loss(shift):
        return reference(network, parameters + shift, X, y) @ weights / divisor

    value, gradient = network.loss_and_gradient(X, y, weights, reduction)
    assert value == pytest.approx(loss(0), rel=1e-12, abs=1e-14)
    assert network.loss_value(X, y, weights, reduction) == value
    check_derivative(loss, gradient, rng)

    check_deltas(network, X[:7], y[:7], rng)


@pytest.mark.parametrize("activation", HIDDEN)
@pytest.mark.parametrize("layer_sizes", SIZES, ids=str)
def test_float32_is_near_float64(layer_sizes, activation):
    activation = activation if len(layer_sizes) > 2 else []
    network, X, y, rng = make_case(
        layer_sizes, activation, "squared_error", "sigmoid", 300, "float32", shortcuts=True
    )
    X, y = X.astype("float32"), y.astype("float32")
    double = Network(layer_sizes, activation, "sigmoid", shortcuts=True)
    double.parameters = network.parameters
    v = rng.normal(size=network.n_parameters).astype("float32")

    def everything(network, X, y, v):
        few = X[:3], y[:3]
        yield from network.activations(X)
        yield from network.deltas(X, y)
        yield network.input_gradient(X, y)
        yield network.loss_and_gradient(X, y)[1]
        yield network.input_jacobian(few[0])
        yield network.jacobian(few[0])
        yield network.per_sample_gradients(*few)
        yield network.hessian_vector_product(X, y, v)

    pairs = zip(everything(network, X, y, v), everything(double, X, y, v), strict=True)
    for got, expected in pairs:
        assert got.dtype == "float32"
        bound = 1e-5 * (1 + np.abs(expected).max())
        assert_allclose(got, expected, rtol=1e-4, atol=bound)


@pytest.mark.parametrize("output_activation", ["identity", "tanh", "exp"])
@pytest.mark.parametrize("layer_sizes", SIZES, ids=str)
def test_jacobians_by_complex_steps(layer_sizes, output_activation):
    """Along a direction, exact but for rounding: no difference is taken."""
    network, X, y = make(layer_sizes, output_activation=output_activation)
    rng = np.random.default_rng(1)
    by_parameters, by_inputs = rng.normal(size=network.n_parameters), rng.normal(size=X.shape)
    tiny = 1e-100j
    shifted = numpy_outputs(network, network.parameters + tiny * by_parameters, X)
    expected = shifted.imag / tiny.imag
    jacobian = network.jacobian(X)
    assert_allclose(jacobian @ by_parameters, expected, rtol=1e-9, atol=1e-11)
    shifted = numpy_outputs(network, network.parameters.astype(complex), X + tiny * by_inputs)
    got = np.einsum("rof,rf->ro", network.input_jacobian(X), by_inputs)
    assert_allclose(got, shifted.imag / tiny.imag, rtol=1e-9, atol=1e-11)

    residuals = numpy_outputs(network, network.parameters, X) - y
    gradients = np.einsum("ro,rop->rp", residuals, jacobian)
    assert_allclose(network.per_sample_gradients(X, y), gradients, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("layer_sizes", SIZES[:-1], ids=str)
def test_gauss_newton(layer_sizes, weighted):
    network, X, y = make(layer_sizes, n_samples=300)
    weights = np.random.default_rng(0).uniform(0.5, 2, size=300) if weighted else None
    square, gradient = network.gauss_newton(X, y, weights)
    jacobian = network.jacobian(X).reshape(-1, network.n_parameters)
    each = np.repeat(np.ones(300) if weights is None else weights, layer_sizes[-1])
    size = np.abs(square).max()
    assert_allclose(square, jacobian.T @ (each[:, None] * jacobian), rtol=0, atol=1e-12 * size)
    expected = network.loss_and_gradient(X, y, weights, "sum")[1]
    assert_allclose(gradient, expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(("loss", "output_activation"), PAIRS[::3])
@pytest.mark.parametrize("layer_sizes", SIZES, ids=str)
def test_hessian_vector_product(layer_sizes, loss, output_activation):
    """Against differences of the gradient, over more than one block of rows"""
    activation = "tanh" if len(layer_sizes) > 2 else []
    network, X, y, rng = make_case(
        layer_sizes, activation, loss, output_activation, 300, shortcuts=True
    )
    weights = rng.uniform(0.5, 2, size=300)
    shifted, step = copy.copy(network), 1e-4

    def gradient(shift):
        shifted.parameters = network.parameters + shift
        return shifted.loss_and_gradient(X, y, weights)[1]

    v = rng.normal(size=network.n_parameters)
    v /= np.linalg.norm(v)
    near = gradient(step * v) - gradient(-step * v)
    far = gradient(2 * step * v) - gradient(-2 * step * v)
    expected = (8 * near - far) / (12 * step)
    product = network.hessian_vector_product(X, y, v, weights)
    # the gradient's rounding, divided by the step
    bound = 1e-15 / step * (1 + np.abs(gradient(0)).max())
    assert_allclose(product, expected, rtol=1e-8, atol=bound)


@pytest.mark.parametrize("layer_sizes", SIZES, ids=str)
def test_the_twin_in_pure_python(layer_sizes):
    network, X, y = make(layer_sizes, n_samples=5, output_activation="sigmoid")
    twin = pure.Network(layer_sizes, "tanh", "sigmoid", shortcuts=True)
    assert [np.shape(weights) for weights in twin.weights] == [w.shape for w in network.weights]
    twin.parameters = network.parameters
    rows, targets = X.tolist(), y.tolist()
    pairs = [
        *zip(network.activations(X), twin.activations(rows), strict=True),
        *zip(network.deltas(X, y), twin.deltas(rows, targets), strict=True),
        (network.input_gradient(X, y), twin.input_gradient(rows, targets)),
        (network.loss_and_gradient(X, y)[1], twin.loss_and_gradient(rows, targets)[1]),
    ]
    network.train(X, y, optimizer=Adam(), batch_size=2, n_epochs=3, shuffle=False, alpha=0.1)
    twin.train(
        rows, targets, optimizer=pure.Adam(), batch_size=2, n_epochs=3, shuffle=False, alpha=0.1
    )
    for got, expected in [*pairs, (network.parameters, twin.parameters)]:
        assert_allclose(got, expected, rtol=1e-9, atol=1e-12)


# ---- beside the network without them ----


@pytest.mark.parametrize("layer_sizes", [(5, 4, 2), (17, 33, 3), (20, 9, 8, 16), (7, 3)], ids=str)
def test_without_weights_of_shortcuts_it_is_the_network_without(layer_sizes, dtype):
    """To the same bits, for a product with zeros changes no sum."""
    network, X, y = make(layer_sizes, dtype, 300)
    plain = Network(layer_sizes, "tanh", dtype=dtype, random_state=3)
    skipped = [0, *[layer_sizes[0]] * (len(layer_sizes) - 2)]
    for k, first in enumerate(skipped):
        network.weights[k][:first] = 0
        network.weights[k][first:] = plain.weights[k]
        network.biases[k][:] = plain.biases[k]
    for name, *arguments in (
        ("predict", X),
        ("activations", X),
        ("deltas", X, y),
        ("input_gradient", X, y),
        ("input_jacobian", X),
    ):
        got, expected = (getattr(each, name)(*arguments) for each in (network, plain))
        for one, other in zip(got, expected, strict=True):
            assert np.array_equal(one, other), name
    loss, gradient = network.loss_and_gradient(X, y)
    expected_loss, expected_gradient = plain.loss_and_gradient(X, y)
    assert loss == expected_loss
    network.parameters, plain.parameters = gradient, expected_gradient
    for k, first in enumerate(skipped):
        assert np.array_equal(network.weights[k][first:], plain.weights[k])
        assert np.array_equal(network.biases[k], plain.biases[k])


def test_one_layer_has_none():
    network, X, y = make((5, 3))
    plain = Network((5, 3), "tanh", random_state=0)
    assert np.array_equal(network.parameters, plain.parameters)
    for each in (network, plain):
        each.train(X, y, optimizer=SGD(0.1), batch_size=1, n_epochs=3, random_state=0)
    assert np.array_equal(network.parameters, plain.parameters)
    assert np.array_equal(network.predict(X), plain.predict(X))
    assert network != plain


# ---- bits ----


@pytest.mark.parametrize("layer_sizes", SIZES, ids=str)
def test_a_row_does_not_depend_on_its_batch(layer_sizes, dtype):
    network, X, y = make(layer_sizes, dtype, 300)

    def by_row(rows):
        outs = network.activations(X[rows])
        assert np.array_equal(network.predict(X[rows]), outs[-1])
        return np.hstack([*outs, *network.deltas(X[rows], y[rows]), inputs(rows)])

    def inputs(rows):
        return network.input_gradient(X[rows], y[rows])

    whole = by_row(slice(None))
    for first, last in [(0, 1), (1, 9), (17, 30), (255, 257), (299, 300), (40, 300)]:
        assert np.array_equal(by_row(slice(first, last)), whole[first:last])


@pytest.mark.parametrize("optimizer", [lambda: SGD(0.01), lambda: Adam(0.01)])
@pytest.mark.parametrize("layer_sizes", SIZES, ids=str)
def test_any_number_of_threads_computes_the_same_bits(layer_sizes, optimizer, dtype):
    found = []
    for n_threads in (1, 2, 3):
        network, X, y = make(layer_sizes, dtype, 600)
        arguments = {"batch_size": 200, "n_epochs": 2, "random_state": 0, "n_threads": n_threads}
        losses = network.train(X, y, optimizer=optimizer(), **arguments)
        loss, gradient = network.loss_and_gradient(X, y, n_threads=n_threads)
        outputs = network.predict(X, n_threads=n_threads)
        arrays = network.parameters, losses, gradient, outputs
        found.append([loss, *(array.tobytes() for array in arrays)])
    assert found == [found[0]] * 3


# ---- training ----


def numpy_gradient(network, W, b, X, y, weights):
    """Sums over the rows, for tanh and squared error with identity"""
    inputs, activations = [], X
    for k, (weight, bias) in enumerate(zip(W, b, strict=True)):
        inputs.append(np.hstack([X, activations]) if k > 0 else X)
        z = inputs[-1] @ weight + bias
        activations = np.tanh(z) if k < len(W) - 1 else z
    residuals = activations - y
    deltas, gradients = weights[:, None] * residuals, []
    for k in range(len(W) - 1, -1, -1):
        gradients.insert(0, (inputs[k].T @ deltas, deltas.sum(axis=0)))
        if k > 0:
            a = inputs[k][:, X.shape[1] :]
            deltas = (deltas @ W[k][X.shape[1] :].T) * (1 - a**2)
    return weights @ (residuals**2).sum(axis=1) / 2, gradients


class Descent:
    """Plain, or with momentum"""

    def __init__(self, momentum):
        self.momentum, self.velocity = momentum, {}

    def change(self, key, gradient):
        self.velocity[key] = self.momentum * self.velocity.get(key, 0) - 0.02 * gradient
        return self.velocity[key]


class SlowAdam:
    def __init__(self):
        self.moments = {}

    def change(self, key, gradient):
        m, v, t = self.moments.get(key, (0, 0, 0))
        m, v, t = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2, t + 1
        self.moments[key] = m, v, t
        return -0.02 * np.sqrt(1 - 0.999**t) / (1 - 0.9**t) * m / (np.sqrt(v) + 1e-8)


OPTIMIZERS = {
    "descent": (lambda: SGD(0.02), lambda: Descent(0)),
    "momentum": (lambda: SGD(0.02, momentum=0.8), lambda: Descent(0.8)),
    "adam": (lambda: Adam(0.02), SlowAdam),
}


@pytest.mark.parametrize("batch_size", [1, 7, None])
@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("layer_sizes", SIZES[:-1], ids=str)
def test_steps_are_those_of_a_slow_loop(layer_sizes, name, batch_size, dtype):
    """With weights of the rows and the L2 term, which the gap in the panels must not see."""
    quick, slow = (make_optimizer() for make_optimizer in OPTIMIZERS[name])
    n_samples = 20 if batch_size == 1 else 310
    network, X, y = make(layer_sizes, dtype, n_samples)
    plain = batch_size == 1  # as the smallest networks are trained in registers
    sample_weight = np.ones(n_samples) if plain else np.arange(n_samples) % 3 + 0.5
    alpha = 0 if plain else 0.7
    W = [weights.astype(np.float64) for weights in network.weights]
    b = [biases.astype(np.float64) for biases in network.biases]
    losses = network.train(
        *(X, y),
        optimizer=quick,
        batch_size=batch_size,
        n_epochs=3,
        shuffle=False,
        sample_weight=None if plain else sample_weight,
        alpha=alpha,
    )
    expected = []
    for _ in range(3):
        expected.append(0)
        for first in range(0, n_samples, batch_size or n_samples):
            rows = slice(first, first + (batch_size or n_samples))
            weights = sample_weight[rows]
            loss, gradients = numpy_gradient(network, W, b, X[rows], y[rows], weights)
            loss += alpha / 2 * sum((weight**2).sum() for weight in W)
            expected[-1] += loss / weights.sum() * len(weights) / n_samples
            for k, (of_weights, of_biases) in enumerate(gradients):
                of_weights += alpha * W[k]
                W[k] += slow.change((k, "W"), of_weights / weights.sum())
                b[k] += slow.change((k, "b"), of_biases / weights.sum())
    rtol = 1e-9 if dtype == "float64" else 1e-2
    assert_allclose(losses, expected, rtol=rtol)
    for got, want in zip([*network.weights, *network.biases], [*W, *b], strict=True):
        assert_allclose(got, want, rtol=rtol, atol=rtol * np.abs(want).max())


TRAINERS = {
    "descent": lambda: SGD(0.02),
    "nesterov": lambda: SGD(0.02, momentum=0.5, nesterov=True),
    "Adam": lambda: Adam(0.01),
    "AdamW": lambda: cbackprop.AdamW(0.01),
    "RMSprop": lambda: cbackprop.RMSprop(0.01, centered=True),
    **{
        f"Rprop {variant}": lambda variant=variant: cbackprop.Rprop(variant, 0.01)
        for variant in ("minus", "plus", "iminus", "iplus")
    },
    "conjugate gradients": cbackprop.ScaledConjugateGradient,
    "Levenberg": cbackprop.LevenbergMarquardt,
    "Bayesian": cbackprop.BayesianRegularization,
    "L-BFGS": cbackprop.LBFGS,
}


def learnable(n_samples=60):
    X = np.random.default_rng(0).uniform(-1, 1, size=(n_samples, 3))
    y = np.column_stack([np.sin(3 * X[:, 0]) + 2 * X[:, 1], X[:, 1] * X[:, 2]])
    return Network((3, 5, 4, 2), "tanh", random_state=0, shortcuts=True), X, y


@pytest.mark.parametrize("name", TRAINERS)
def test_every_trainer_learns_and_goes_on(name):
    """Two calls equal one, with a pickle of both in between."""
    network, X, y = learnable()
    optimizer, before = TRAINERS[name](), network.loss_value(X, y)
    losses = network.train(X, y, optimizer=optimizer, n_epochs=40, shuffle=False)
    assert network.loss_value(X, y) < 0.7 * before
    assert np.isfinite(losses).all()
    if name == "L-BFGS":
        return
    twice, _, _ = learnable()
    optimizer = TRAINERS[name]()
    for n_epochs in (15, 25):
        twice.train(X, y, optimizer=optimizer, n_epochs=n_epochs, shuffle=False)
        twice, optimizer = pickle.loads(pickle.dumps((twice, optimizer)))
    assert np.array_equal(network.parameters, twice.parameters)


@pytest.mark.parametrize("name", ["conjugate gradients", "Levenberg", "L-BFGS"])
def test_the_l2_term_of_trainers_of_whole_sets(name):
    network, X, y = learnable()
    losses = network.train(X, y, optimizer=TRAINERS[name](), n_epochs=20, alpha=0.5)
    squares = sum((weights**2).sum() for weights in network.weights)
    expected = network.loss_value(X, y) + 0.25 * squares / len(X)
    assert losses[-1] == pytest.approx(expected, rel=1e-12)
    # at a minimum, or near it, of that sum
    _, gradient = network.loss_and_gradient(X, y)
    for weights in network.weights:
        weights *= 0.5 / len(X)
    for biases in network.biases:
        biases[:] = 0
    assert np.abs(gradient + network.parameters).max() < 0.05


def test_bayesian_regularisation_counts_the_parameters_there_are():
    network, X, y = learnable()
    optimizer = cbackprop.BayesianRegularization()
    network.train(X, y, optimizer=optimizer, n_epochs=30)
    assert 5 < optimizer.n_effective < network.n_parameters


def test_validation_data():
    network, X, y = learnable(200)
    losses, validation_losses = network.train(
        *(X[:50], y[:50]),
        validation_data=(X[50:], y[50:]),
        optimizer=Adam(0.02),
        n_epochs=200,
        batch_size=10,
        random_state=0,
    )
    assert len(losses) == len(validation_losses) == 200
    assert network.loss_value(X[50:], y[50:]) == validation_losses.min()


# ---- the object itself ----


@pytest.mark.parametrize("layer_sizes", SIZES, ids=str)
def test_copies_are_equal_and_compute_the_same(layer_sizes, dtype):
    network, X, _ = make(layer_sizes, dtype)
    for same in (
        pickle.loads(pickle.dumps(network)),
        copy.copy(network),
        copy.deepcopy(network),
    ):
        assert same == network
        assert same.shortcuts is True
        assert np.array_equal(same.predict(X), network.predict(X))
        same.parameters = same.parameters + 1
        assert same != network


def test_equality_and_repr():
    assert Network((3, 4, 1), random_state=0, shortcuts=True).shortcuts is True
    assert Network((3, 4, 1), random_state=0).shortcuts is False
    network, plain = make((3, 1))[0], make((3, 1), shortcuts=False)[0]
    assert np.array_equal(network.parameters, plain.parameters)
    assert network != plain
    assert repr(plain) + ", shortcuts=True)" == repr(network).replace("'float64'", "'float64')", 1)
    assert eval(repr(network), {"Network": Network}).shortcuts is True


def test_pickles_from_before_there_were_shortcuts():
    plain, X, _ = make((3, 4, 2), shortcuts=False)
    function, arguments, *_ = plain.__reduce__()
    old = function(*arguments[:7])
    assert old == plain
    assert old.shortcuts is False
    assert np.array_equal(old.predict(X), plain.predict(X))


@pytest.mark.parametrize("value", [1, 0, None, "yes", [True]])
def test_it_is_true_or_false(value):
    with pytest.raises(TypeError, match="shortcuts must be a bool, got"):
        Network((3, 4, 1), shortcuts=value)


def test_it_has_no_place_but_a_name():
    with pytest.raises(TypeError, match="positional"):
        Network((3, 4, 1), "tanh", "identity", "squared_error", "float64", 0, True)


def test_sparse_inputs_are_refused():
    scipy_sparse = pytest.importorskip("scipy.sparse")
    network, X, y = make((5, 4, 2))
    sparse = scipy_sparse.csr_array(X)
    for call in (
        network.predict,
        network.activations,
        network.jacobian,
        network.input_jacobian,
        lambda X: network.loss_value(X, y),
        lambda X: network.loss_and_gradient(X, y),
        lambda X: network.deltas(X, y),
        lambda X: network.input_gradient(X, y),
        lambda X: network.per_sample_gradients(X, y),
        lambda X: network.gauss_newton(X, y),
        lambda X: network.hessian_vector_product(X, y, network.parameters),
        lambda X: network.train(X, y, optimizer=SGD(0.1)),
        lambda X: network.train(y @ np.ones((2, 5)), y, validation_data=(X, y), optimizer=SGD(0.1)),
    ):
        with pytest.raises(TypeError, match="X must be dense here, got a sparse csr_array"):
            call(sparse)


def test_bad_data_are_named():
    network, X, y = make((5, 4, 3, 2))
    before = network.parameters.copy()
    X[7, 3] = np.nan
    for call in (
        network.predict,
        lambda X: network.predict(X[7:8]),
        lambda X: network.loss_and_gradient(X, y),
        lambda X: network.train(X, y, optimizer=SGD(0.1)),
        lambda X: network.train(X, y, optimizer=SGD(0.1), batch_size=1),
    ):
        with pytest.raises(ValueError, match=r"X must be finite in float64, got NaN at \[\d, 3\]"):
            call(X)
    assert np.array_equal(network.parameters, before)
    with pytest.raises(ValueError, match=r"parameters must have shape \(72,\), got \(47,\)"):
        network.parameters = np.zeros(47)
    with pytest.raises(MemoryError, match="too many for memory"):
        Network((10**10, 10**10, 10**10), shortcuts=True)
