"""Gradients, deltas and input gradients against central differences of order 4 of the loss.

The loss is written once more in NumPy, from the definitions. What the engine says its derivatives
are is compared with differences of that, along random directions: each touches every parameter,
and keeps the sign.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from textbook import (
    CASES,
    HIDDEN,
    MIXED,
    PAIRS,
    check_deltas,
    check_derivative,
    make_case,
    reference,
)

from cbackprop import Network


def total(losses, sample_weight, reduction):
    weights = np.ones(len(losses)) if sample_weight is None else sample_weight
    value = (losses * weights).sum()
    return value / weights.sum() if reduction == "mean" else value


def check_gradient(network, X, y, rng, sample_weight=None, reduction="mean", spoil=None):
    """`loss_and_gradient` against differences; `spoil` changes the gradient before that."""
    parameters = network.parameters

    def f(shift):
        losses = reference(network, parameters + shift, X, y)
        return total(losses, sample_weight, reduction)

    value, gradient = network.loss_and_gradient(X, y, sample_weight, reduction)
    assert type(value) is float
    assert gradient.shape == parameters.shape
    assert gradient.dtype == np.float64
    expected = f(0)
    assert value == pytest.approx(expected, rel=1e-12, abs=1e-14)
    assert network.loss_value(X, y, sample_weight, reduction) == pytest.approx(value, rel=1e-13)
    check_derivative(f, spoil(gradient) if spoil else gradient, rng)


@pytest.mark.parametrize(
    ("layer_sizes", "activation", "loss", "output_activation"),
    CASES,
    ids=lambda value: "-".join(map(str, value)) if isinstance(value, tuple) else value or "none",
)
class TestEveryNetwork:
    def test_gradient(self, layer_sizes, activation, loss, output_activation):
        network, X, y, rng = make_case(layer_sizes, activation, loss, output_activation)
        check_gradient(network, X, y, rng)

    def test_deltas_and_input_gradient(self, layer_sizes, activation, loss, output_activation):
        network, X, y, rng = make_case(layer_sizes, activation, loss, output_activation)
        check_deltas(network, X, y, rng)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("n_samples", "loss", "output_activation"),
    [
        *((n_samples, *pair) for pair in PAIRS for n_samples in (1, 600)),
        # A block has 256 rows; their sums are folded by a tree.
        *((n, "log_loss", "softmax") for n in (255, 256, 257, 511, 512, 513, 1025, 1300)),
    ],
)
def test_gradient_over_rows(n_samples, loss, output_activation, weighted, reduction):
    network, X, y, rng = make_case(*MIXED, loss, output_activation, n_samples)
    sample_weight = None
    if weighted:
        sample_weight = rng.uniform(0.1, 3, size=n_samples)
        sample_weight[1::7] = 0
    check_gradient(network, X, y, rng, sample_weight, reduction)


@pytest.mark.parametrize("layer_sizes", [(33, 2), (4, 17, 1)])
def test_one_row_of_many_gets_all_the_weight(layer_sizes):
    """Each row's own gradient is found in the sum, wherever its block lies."""
    network, X, y, _ = make_case(layer_sizes, "tanh", "squared_error", "identity", 1030)
    for row in (0, 255, 256, 767, 1023, 1024, 1029):
        sample_weight = np.zeros(len(X))
        sample_weight[row] = 4
        value, gradient = network.loss_and_gradient(X, y, sample_weight)
        expected, expected_gradient = network.loss_and_gradient(X[[row]], y[[row]])
        assert value == pytest.approx(expected, rel=1e-14)
        np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize(("loss", "output_activation"), PAIRS)
def test_deltas_and_input_gradient_over_several_blocks(loss, output_activation):
    network, X, y, rng = make_case(*MIXED, loss, output_activation, 600)
    check_deltas(network, X, y, rng)


@pytest.mark.parametrize("n_samples", [5, 600])
def test_class_numbers_are_rows_of_one_probability(n_samples):
    network, X, _, rng = make_case((4, 6, 17), "tanh", "log_loss", "softmax", n_samples)
    classes = rng.integers(17, size=n_samples)
    one_hot = np.eye(17)[classes]
    check_gradient(network, X, one_hot, rng)
    for y in (classes, classes.tolist(), classes.astype(np.int8), classes.astype(float)):
        value, gradient = network.loss_and_gradient(X, y)
        expected, expected_gradient = network.loss_and_gradient(X, one_hot)
        assert value == expected
        assert gradient.tobytes() == expected_gradient.tobytes()
        assert network.loss_value(X, y) == network.loss_value(X, one_hot)
        for got, want in zip(network.deltas(X, y), network.deltas(X, one_hot), strict=True):
            assert got.tobytes() == want.tobytes()
        got = network.input_gradient(X, y)
        assert got.tobytes() == network.input_gradient(X, one_hot).tobytes()


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    layer_sizes=st.lists(st.integers(1, 40), min_size=2, max_size=5),
    activation=st.sampled_from(["identity", "sigmoid", "tanh"]),
    pair=st.sampled_from(PAIRS),
    n_samples=st.integers(1, 400),
    weighted=st.booleans(),
    reduction=st.sampled_from(["mean", "sum"]),
)
def test_gradient_of_any_shape(layer_sizes, activation, pair, n_samples, weighted, reduction):
    if pair[1] in ("relu", "softsign") and layer_sizes[-1] > 10:
        layer_sizes[-1] = 10  # or too few rows would stay clear of the bends
    network, X, y, rng = make_case(tuple(layer_sizes), activation, *pair, n_samples)
    sample_weight = rng.uniform(0.1, 3, size=n_samples) if weighted else None
    check_gradient(network, X, y, rng, sample_weight, reduction)


@pytest.mark.parametrize("layer_sizes", [(33, 2), (4, 17, 16), (33, 3, 33, 1), (3, 16, 17, 33, 2)])
@pytest.mark.parametrize("activation", HIDDEN)
@pytest.mark.parametrize(("loss", "output_activation"), PAIRS)
def test_float32_is_near_float64(loss, output_activation, activation, layer_sizes):
    activation = activation if len(layer_sizes) > 2 else []
    single, X, y, rng = make_case(
        layer_sizes, activation, loss, output_activation, 300, dtype="float32"
    )
    double = Network(layer_sizes, activation, output_activation, loss)
    double.parameters = single.parameters
    # numbers that both hold exactly; each row of y still sums to 1
    X = X.astype(np.float32)
    if loss == "log_loss":
        y = np.eye(layer_sizes[-1])[rng.integers(layer_sizes[-1], size=300)]
    y = y.astype(np.float32)
    sample_weight = rng.uniform(0.1, 3, size=300).astype(np.float32)

    value, gradient = single.loss_and_gradient(X, y, sample_weight)
    expected, expected_gradient = double.loss_and_gradient(X, y, sample_weight)
    pairs = [
        (gradient, expected_gradient),
        (single.input_gradient(X, y), double.input_gradient(X, y)),
        *zip(single.deltas(X, y), double.deltas(X, y), strict=True),
    ]
    # 0 = log(1) where there is only one class: rounding is relative to the terms, of order 1
    assert value == pytest.approx(expected, rel=1e-5, abs=1e-6)
    for got, want in pairs:
        assert got.dtype == np.float32
        assert want.dtype == np.float64
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5 * (1 + np.abs(want).max()))


SMALL = (3, 4, 2), "tanh"


@pytest.mark.parametrize(("loss", "output_activation"), PAIRS)
class TestTheJudge:
    """What finds no fault with the engine must find it with a wrong gradient."""

    def check(self, loss, output_activation, spoil):
        network, X, y, rng = make_case(*SMALL, loss, output_activation)
        check_gradient(network, X, y, rng, spoil=spoil)

    @pytest.mark.parametrize(
        "spoil",
        [
            np.negative,
            np.zeros_like,
            lambda gradient: 1.0001 * gradient,
            lambda gradient: 5 * gradient,  # the sum over five rows in place of the mean
            lambda gradient: gradient[::-1],
            lambda gradient: np.roll(gradient, 1),
            # weights of the first layer transposed
            lambda gradient: np.concatenate([gradient[:12].reshape(3, 4).T.ravel(), gradient[12:]]),
        ],
        ids=["negated", "zero", "scaled", "summed", "reversed", "shifted", "transposed"],
    )
    def test_catches_a_wrong_gradient(self, loss, output_activation, spoil):
        self.check(loss, output_activation, lambda gradient: gradient)
        with pytest.raises(AssertionError, match="tolerance"):
            self.check(loss, output_activation, spoil)

    def test_catches_each_wrong_entry(self, loss, output_activation):
        for entry in range(Network(SMALL[0]).n_parameters):
            for factor in (-1, 1.001):

                def spoil(gradient, entry=entry, factor=factor):
                    gradient[entry] *= factor
                    return gradient

                with pytest.raises(AssertionError, match="tolerance"):
                    self.check(loss, output_activation, spoil)
