"""Jacobians, single rows' gradients, J^T J and second derivatives, against differences and JAX.

The judge of first derivatives is the textbook's network of test_gradients.py, in NumPy's float64;
of second derivatives the gradient, which is judged there.
"""

import itertools

import numpy as np
import pytest
from textbook import (
    ACTIVATIONS,
    CASES,
    LOSSES,
    MIXED,
    PAIRS,
    STEP,
    make_case,
    make_targets,
    reference,
)

from cbackprop import Network


def outputs(network, parameters, X):
    """In NumPy, in the precision of what is given"""
    start, activations = 0, X
    names = (*network.activation, network.output_activation)
    for name, n_in, n_out in zip(
        names, network.layer_sizes[:-1], network.layer_sizes[1:], strict=True
    ):
        weights = parameters[start : start + n_in * n_out].reshape(n_in, n_out)
        biases = parameters[start + n_in * n_out : start + (n_in + 1) * n_out]
        start += (n_in + 1) * n_out
        activations = ACTIVATIONS[name](activations @ weights + biases)
    return activations


def check_linear_map(jacobian, f, rng, shape):
    """jacobian(direction) against the differences of order 4 of f at 0, along two directions"""
    scale = np.abs(f(np.zeros(shape))).max()
    for _ in range(2):
        direction = rng.normal(size=shape)
        direction /= np.linalg.norm(direction)
        near = f(STEP * direction) - f(-STEP * direction)
        far = f(2 * STEP * direction) - f(-2 * STEP * direction)
        expected = (8 * near - far) / (12 * STEP)
        bound = 1e-15 / STEP * (1 + scale)
        np.testing.assert_allclose(jacobian(direction), expected, rtol=1e-8, atol=bound)


@pytest.mark.parametrize(
    ("layer_sizes", "activation", "loss", "output_activation"),
    CASES[::2],  # of every size, activation and pair some
    ids=lambda value: "-".join(map(str, value)) if isinstance(value, tuple) else value or "none",
)
class TestEveryNetwork:
    def test_jacobian(self, layer_sizes, activation, loss, output_activation):
        network, X, _, rng = make_case(layer_sizes, activation, loss, output_activation)
        parameters = network.parameters
        jacobian = network.jacobian(X)
        assert jacobian.shape == (len(X), layer_sizes[-1], network.n_parameters)
        check_linear_map(
            lambda direction: jacobian @ direction,
            lambda shift: outputs(network, parameters + shift, X),
            rng,
            parameters.shape,
        )

    def test_input_jacobian(self, layer_sizes, activation, loss, output_activation):
        network, X, _, rng = make_case(layer_sizes, activation, loss, output_activation)
        jacobian = network.input_jacobian(X)
        assert jacobian.shape == (len(X), layer_sizes[-1], layer_sizes[0])
        check_linear_map(
            lambda direction: np.einsum("rof,rf->ro", jacobian, direction),
            lambda shift: outputs(network, network.parameters, X + shift),
            rng,
            X.shape,
        )

    def test_per_sample_gradients(self, layer_sizes, activation, loss, output_activation):
        network, X, y, rng = make_case(layer_sizes, activation, loss, output_activation)
        gradients = network.per_sample_gradients(X, y)
        assert gradients.shape == (len(X), network.n_parameters)
        check_linear_map(
            lambda direction: gradients @ direction,
            lambda shift: reference(network, network.parameters + shift, X, y),
            rng,
            network.parameters.shape,
        )

    def test_weights_multiply_per_sample_gradients(
        self, layer_sizes, activation, loss, output_activation
    ):
        network, X, y, rng = make_case(layer_sizes, activation, loss, output_activation)
        weights = rng.random(len(X)) * (np.arange(len(X)) % 3 > 0)
        np.testing.assert_allclose(
            network.per_sample_gradients(X, y, weights),
            weights[:, None] * network.per_sample_gradients(X, y),
            rtol=1e-13,
            atol=1e-15,
        )

    def test_hessian_vector_product(self, layer_sizes, activation, loss, output_activation):
        network, X, y, rng = make_case(layer_sizes, activation, loss, output_activation)
        check_hessian(network, X, y, rng)


@pytest.mark.parametrize("shortcuts", [False, True])
def test_large_layers_are_written_in_parts(shortcuts):
    """A million numbers at a time: each is one activation times one delta."""
    network = Network((1201, 1100, 2), dtype="float32", random_state=0, shortcuts=shortcuts)
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(3, 1201)).astype("f4"), rng.normal(size=(3, 2)).astype("f4")
    _, hidden, _ = network.activations(X)
    inputs = X, np.hstack([X, hidden]) if shortcuts else hidden
    parts = []
    for a, d in zip(inputs, network.deltas(X, y), strict=True):
        parts += [(a[:, :, None] * d[:, None]).reshape(3, -1), d]
    assert np.array_equal(network.per_sample_gradients(X, y), np.hstack(parts))


def check_hessian(network, X, y, rng, *weights_and_reduction, spoil=None):
    """Against differences of the gradient; `spoil` changes the product before that."""
    parameters = network.parameters.copy()

    def gradient(shift):
        network.parameters = parameters + shift
        found = network.loss_and_gradient(X, y, *weights_and_reduction)[1]
        network.parameters = parameters
        return found

    def product(direction):
        found = network.hessian_vector_product(X, y, direction, *weights_and_reduction)
        assert found.shape == parameters.shape
        return spoil(found) if spoil else found

    check_linear_map(product, gradient, rng, parameters.shape)


WEIGHTS = {
    "none": lambda rng, n: None,
    "some": lambda rng, n: rng.uniform(0.5, 2, size=n),
    "zeros": lambda rng, n: rng.integers(0, 2, size=n) + (np.arange(n) == 0),
}


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize(
    ("n_samples", "loss", "output_activation"),
    [
        *((n_samples, *pair) for pair in PAIRS for n_samples in (1, 600)),
        *((n, "log_loss", "softmax") for n in (256, 257, 1025)),
    ],
)
def test_hessian_over_rows(n_samples, loss, output_activation, weights, reduction):
    network, X, y, rng = make_case(*MIXED, loss, output_activation, n_samples)
    sample_weight = WEIGHTS[weights](rng, n_samples)
    check_hessian(network, X, y, rng, sample_weight, reduction)


def test_the_check_sees_a_wrong_product():
    network, X, y, rng = make_case(*MIXED, "squared_error", "tanh")
    for spoil in (np.negative, lambda product: product * (1 + 1e-6), np.zeros_like):
        with pytest.raises(AssertionError):
            check_hessian(network, X, y, rng, spoil=spoil)


def test_hessian_is_symmetric():
    network, X, y, _ = make_case((3, 5, 4, 2), "tanh", "squared_error", "sigmoid", 20)
    hessian = np.array(
        [network.hessian_vector_product(X, y, row) for row in np.eye(network.n_parameters)]
    )
    np.testing.assert_allclose(hessian, hessian.T, rtol=1e-12, atol=1e-14)


# ---- J^T J ----

SIZES = [(3, 1), (5, 3), (1, 10, 1), (4, 7, 2), (3, 16, 5, 3), (9, 33, 1), (2, 6, 17)]


OF_OUTPUTS = "identity", "sigmoid", "tanh", "relu", "softsign", "exp"


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("layer_sizes", SIZES, ids=str)
def test_gauss_newton(layer_sizes, weights):
    rng = np.random.default_rng(0)
    for n_samples, output_activation in zip([1, 63, 64, 65, 257, 600], OF_OUTPUTS, strict=True):
        network = Network(layer_sizes, "tanh", output_activation, random_state=1)
        X = rng.normal(size=(n_samples, layer_sizes[0]))
        y = rng.normal(size=(n_samples, layer_sizes[-1]))
        sample_weight = WEIGHTS[weights](rng, n_samples)
        square, gradient = network.gauss_newton(X, y, sample_weight)
        jacobian = network.jacobian(X).reshape(-1, network.n_parameters)
        factors = np.ones(n_samples) if sample_weight is None else sample_weight
        weighted = jacobian * np.repeat(factors, layer_sizes[-1])[:, None]
        residuals = (network.predict(X) - y).ravel()
        for got, right in ((square, jacobian), (gradient, residuals)):
            # digits are lost where numbers of both signs add up
            bound = 1e-14 * (np.abs(weighted).T @ np.abs(right)).max() + 1e-300
            np.testing.assert_allclose(got, weighted.T @ right, rtol=0, atol=bound)
        assert (square == square.T).all()
        expected = network.loss_and_gradient(X, y, sample_weight, "sum")[1]
        np.testing.assert_allclose(gradient, expected, rtol=1e-10, atol=1e-12)


def test_gauss_newton_is_of_squared_error():
    network = Network((2, 3), output_activation="softmax", loss="log_loss")
    with pytest.raises(ValueError, match=r"squared_error.*log_loss"):
        network.gauss_newton([[0.0, 1.0]], [1])


# ---- against JAX ----


@pytest.fixture(scope="module")
def jax():
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    return jax


def jax_network(jax, network):
    """(outputs(parameters, X), losses(parameters, X, y)) in JAX, one row's losses each"""
    jnp, nn = jax.numpy, jax.nn
    functions = {
        "identity": lambda z: z,
        "sigmoid": nn.sigmoid,
        "tanh": jnp.tanh,
        "relu": nn.relu,
        "softsign": nn.soft_sign,
        "exp": jnp.exp,
        "softmax": nn.softmax,
    }
    losses_of = {
        "squared_error": lambda z, p, t: ((p - t) ** 2).sum(axis=1) / 2,
        "log_loss": lambda z, p, t: -(t * nn.log_softmax(z)).sum(axis=1),
        "binary_log_loss": lambda z, p, t: (nn.softplus(z) - t * z).sum(axis=1),
        "poisson": lambda z, p, t: (p - t * z + jax.scipy.special.xlogy(t, t) - t).sum(axis=1),
    }
    assert losses_of.keys() == LOSSES.keys()
    names = (*network.activation, network.output_activation)

    def run(parameters, X):
        start, activations = 0, X
        for name, n_in, n_out in zip(
            names, network.layer_sizes[:-1], network.layer_sizes[1:], strict=True
        ):
            weights = parameters[start : start + n_in * n_out].reshape(n_in, n_out)
            biases = parameters[start + n_in * n_out : start + (n_in + 1) * n_out]
            start += (n_in + 1) * n_out
            preactivations = activations @ weights + biases
            activations = functions[name](preactivations)
        return preactivations, activations

    def losses(parameters, X, y):
        return losses_of[network.loss](*run(parameters, X), y)

    return lambda parameters, X: run(parameters, X)[1], losses


@pytest.mark.parametrize(
    ("layer_sizes", "activation", "pair", "dtype"),
    [
        *itertools.product([(5, 2)], [[]], PAIRS, ["float64"]),
        *itertools.product([(4, 7, 3)], [["tanh"]], PAIRS, ["float32"]),
        *itertools.product([(9, 1, 6, 2)], [["sigmoid", "softsign"]], PAIRS, ["float64"]),
        *itertools.product([(4, 7, 3)], [["identity"], ["relu"]], PAIRS[2:4], ["float64"]),
    ],
    ids=str,
)
def test_against_jax(jax, layer_sizes, activation, pair, dtype):
    """All five, weights and both reductions included; the same formulas, differentiated by JAX."""
    rng = np.random.default_rng(1)
    loss, output_activation = pair
    network = Network(layer_sizes, activation, output_activation, loss, dtype, random_state=2)
    X = rng.normal(size=(30, layer_sizes[0])).astype(dtype)
    y = make_targets(loss, 30, layer_sizes[-1], rng).astype(dtype)
    v, sample_weight = rng.normal(size=network.n_parameters), rng.uniform(0.5, 2, size=30)
    v, sample_weight = v.astype(dtype), sample_weight.astype(dtype)
    parameters = network.parameters.astype(np.float64)
    X64, y64, weights64 = (array.astype(np.float64) for array in (X, y, sample_weight))
    their_outputs, their_losses = jax_network(jax, network)
    epsilon = np.finfo(dtype).eps

    def assert_same(got, expected):
        assert got.dtype == dtype
        size = np.abs(expected).max()
        np.testing.assert_allclose(got, expected, rtol=0, atol=200 * epsilon * (size + 1e-3))

    jacobian = jax.jacrev(their_outputs)(parameters, X64)
    assert_same(network.jacobian(X), jacobian)
    assert_same(network.per_sample_gradients(X, y), jax.jacrev(their_losses)(parameters, X64, y64))
    by_row = jax.vmap(lambda row: jax.jacrev(lambda x: their_outputs(parameters, x[None])[0])(row))
    assert_same(network.input_jacobian(X), by_row(X64))
    for reduction, divisor in (("mean", weights64.sum()), ("sum", 1)):

        def total(parameters, divisor=divisor):
            return (their_losses(parameters, X64, y64) * weights64).sum() / divisor

        product = jax.jvp(jax.grad(total), (parameters,), (v.astype(np.float64),))[1]
        assert_same(network.hessian_vector_product(X, y, v, sample_weight, reduction), product)
    if loss == "squared_error":
        square, gradient = network.gauss_newton(X, y, sample_weight)
        residuals = np.asarray(their_outputs(parameters, X64)) - y64
        assert_same(square, np.einsum("r,rop,roq->pq", weights64, jacobian, jacobian))
        assert_same(gradient, np.einsum("r,rop,ro->p", weights64, jacobian, residuals))


# ---- the arrays themselves ----


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_row_does_not_depend_on_the_others(dtype):
    network, X, y, _ = make_case(*MIXED, "log_loss", "softmax", 300, dtype)
    whole = network.jacobian(X), network.input_jacobian(X), network.per_sample_gradients(X, y)
    for i in (0, 255, 256, 299):
        row = X[i : i + 1], y[i : i + 1]
        alone = (
            network.jacobian(row[0]),
            network.input_jacobian(row[0]),
            network.per_sample_gradients(*row),
        )
        for one, many in zip(alone, whole, strict=True):
            assert one.dtype == dtype
            assert np.array_equal(one[0], many[i])


def test_class_numbers_are_rows_of_probabilities():
    network, X, _, rng = make_case((4, 6, 3), "tanh", "log_loss", "softmax", 20)
    classes = rng.integers(3, size=20)
    v = rng.normal(size=network.n_parameters)
    for y in (classes, classes.tolist()):
        assert np.array_equal(
            network.per_sample_gradients(X, y), network.per_sample_gradients(X, np.eye(3)[classes])
        )
        assert np.array_equal(
            network.hessian_vector_product(X, y, v),
            network.hessian_vector_product(X, np.eye(3)[classes], v),
        )


def test_relu_bends_nowhere():
    """At its kink, too, the second derivative is taken for 0, as the gradient takes f'(0) for 0."""
    network = Network((1, 1, 1), "relu")
    network.parameters = [1.0, 0.0, 1.0, 0.0]
    product = network.hessian_vector_product([[0.0]], [1.0], np.ones(4))
    assert product.tolist() == [0, 0, 0, 1]


def test_bad_arguments_are_named():
    network = Network((2, 3, 1), random_state=0)
    X, y, v = np.ones((4, 2)), np.ones(4), np.ones(network.n_parameters)
    for call in (network.jacobian, network.input_jacobian):
        with pytest.raises(ValueError, match="X must have 2 columns"):
            call(np.ones((4, 3)))
        with pytest.raises(ValueError, match=r"X must be finite.*\[3, 1\]"):
            call([[0, 0], [0, 0], [0, 0], [0, np.nan]])
    for call in (
        network.per_sample_gradients,
        network.gauss_newton,
        lambda X, y: network.hessian_vector_product(X, y, v),
    ):
        with pytest.raises(ValueError, match="y must have as many rows as X"):
            call(X, y[:3])
        with pytest.raises(ValueError, match="y must be finite"):
            call(X, np.array([0, 0, np.inf, 0]))
        with pytest.raises(ValueError, match="X must be finite"):
            call(X * np.nan, y)
    for call in (network.per_sample_gradients, network.gauss_newton):
        with pytest.raises(ValueError, match="sample_weight must not be negative"):
            call(X, y, [1, 1, 1, -1])
    with pytest.raises(ValueError, match=r"v must have shape \(13,\), got \(12,\)"):
        network.hessian_vector_product(X, y, v[1:])
    with pytest.raises(ValueError, match=r"v must be finite.*\[2\]"):
        network.hessian_vector_product(X, y, np.where(np.arange(13) == 2, np.nan, v))
    with pytest.raises(TypeError, match="v must hold real numbers"):
        network.hessian_vector_product(X, y, v + 0j)
    with pytest.raises(ValueError, match="reduction is 'max'"):
        network.hessian_vector_product(X, y, v, reduction="max")


def test_sparse_inputs_where_they_are_taken():
    scipy_sparse = pytest.importorskip("scipy.sparse")
    network, X, y, rng = make_case((5, 4, 2), "tanh", "squared_error", "identity", 20)
    X = np.where(rng.uniform(size=X.shape) < 0.5, X, 0)
    sparse, v = scipy_sparse.csr_array(X), np.ones(network.n_parameters)
    assert np.array_equal(network.input_jacobian(sparse), network.input_jacobian(X))
    for call in (
        network.jacobian,
        lambda X: network.per_sample_gradients(X, y),
        lambda X: network.gauss_newton(X, y),
        lambda X: network.hessian_vector_product(X, y, v),
    ):
        with pytest.raises(TypeError, match="X must be dense here, got a sparse csr_array"):
            call(sparse)


def test_too_large_for_memory():
    network = Network((1000, 3000, 1), dtype="float32", random_state=0)  # three million parameters
    X = np.zeros((100_000, 1000), np.float32)
    shape = rf"\(100000, 1, {network.n_parameters}\) in float32 is too large for memory"
    with pytest.raises(MemoryError, match=shape):
        network.jacobian(X)
    with pytest.raises(MemoryError, match="too large for memory"):
        network.per_sample_gradients(X, np.zeros(100_000))
    with pytest.raises(MemoryError, match=r"no memory|too large for memory"):
        network.gauss_newton(X[:1], [0.0])
    # it is nobody's any more
    network.parameters = network.parameters
