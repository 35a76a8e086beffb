"""Levenberg-Marquardt and Bayesian regularisation against the papers' algorithms, and SciPy.

The restatements take outputs and Jacobians from the network (test_derivatives.py judges those) and
solve by NumPy.
"""

import copy
import pickle

import numpy as np
import pytest

from cbackprop import SGD, BayesianRegularization, LevenbergMarquardt, Network


def problem(n_outputs=1, n=40, noise=0.0):
    """Waves over a line"""
    X = np.linspace(-1, 1, n)[:, None]
    y = np.sin(3 * X + np.arange(n_outputs)) + noise * np.random.default_rng(0).normal(size=(n, 1))
    return X, y


def make_network(n_outputs=1, seed=0, **kwargs):
    return Network((1, 6, 4, n_outputs), "tanh", random_state=seed, **kwargs)


class ByHand:
    """Steps, their damping and losses; alpha as in `Network.train`."""

    def __init__(self, network, X, y, sample_weight=None, alpha=0.0, reduction="mean"):
        self.network, self.X, self.y = network, X, y
        self.parameters = network.parameters.copy()
        self.weights = np.ones(len(X)) if sample_weight is None else sample_weight
        of_weights = [
            np.repeat([1.0, 0.0], [w.size, b.size])
            for w, b in zip(network.weights, network.biases, strict=True)
        ]
        self.decays = alpha * np.concatenate(of_weights)
        self.factor = 1.0
        self.divisor = self.weights.sum() if reduction == "mean" else 1
        self.losses = []

    def residuals(self, parameters):
        self.network.parameters = parameters
        return self.network.predict(self.X) - self.y

    def errors(self, parameters):
        return self.weights @ (self.residuals(parameters) ** 2).sum(axis=1)

    def objective(self, parameters):
        return self.factor * self.errors(parameters) / 2 + self.decays @ parameters**2 / 2

    def linearise(self):
        residuals = self.residuals(self.parameters).ravel()
        J = self.network.jacobian(self.X).reshape(len(residuals), -1)
        weighted = J.T * np.repeat(self.weights, self.y.shape[1])
        self.square, self.slope = weighted @ J, weighted @ residuals

    def step(self, mu):
        matrix = self.factor * self.square + np.diag(self.decays + mu)
        self.gradient = self.factor * self.slope + self.decays * self.parameters
        return np.linalg.solve(matrix, self.gradient)

    def record(self):
        data = self.errors(self.parameters) / 2
        penalty = 0 if self.factor != 1 else self.decays @ self.parameters**2 / 2
        self.losses.append((data + penalty) / self.divisor)

    def marquardt(self, n, mu):
        """Hagan & Menhaj"""
        for _ in range(n):
            mu = self.epoch_of_marquardt(mu)
        return mu

    def epoch_of_marquardt(self, mu):
        self.linearise()
        while mu <= 1e10:
            there = self.parameters - self.step(mu)
            if self.objective(there) < self.objective(self.parameters):
                self.parameters = there
                mu /= 10
                break
            mu *= 10
        self.record()
        return mu

    def nielsen(self, n, tau):
        mu, growth = None, 2
        for _ in range(n):
            self.linearise()
            mu = tau * self.square.diagonal().max() if mu is None else mu
            while mu <= 1e10:
                step = self.step(mu)
                gain = self.objective(self.parameters) - self.objective(self.parameters - step)
                if gain > 0:
                    ratio = gain / (step @ (mu * step + self.gradient) / 2)
                    self.parameters = self.parameters - step
                    mu, growth = mu * max(1 / 3, 1 - (2 * ratio - 1) ** 3), 2
                    break
                mu, growth = mu * growth, growth * 2
            self.record()
        return mu

    def bayesian(self, n, mu):
        """Foresee & Hagan"""
        n_parameters = effective = len(self.parameters)
        self.alpha, self.beta = 0.0, 1.0
        for k in range(n):
            if k > 0:
                self.linearise()
                if self.alpha > 0:
                    hessian = self.beta * self.square + self.alpha * np.eye(n_parameters)
                    effective = n_parameters - self.alpha * np.trace(np.linalg.inv(hessian))
                n_errors = self.weights.sum() * self.y.shape[1]
                self.beta = (n_errors - effective) / (2 * self.errors(self.parameters))
                self.beta = self.beta if self.beta > 0 else 1.0
                self.alpha = effective / (2 * self.parameters @ self.parameters)
            self.factor, self.decays = self.beta, np.full(n_parameters, self.alpha)
            mu = self.epoch_of_marquardt(mu)
        self.effective = effective
        return mu


WEIGHTS = {"unweighted": None, "weighted": np.random.default_rng(1).uniform(0, 2, size=40)}


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("alpha", [0.0, 0.01])
@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("n_outputs", [1, 3])
@pytest.mark.parametrize("damping", ["marquardt", "nielsen"])
def test_ten_steps_are_the_papers(damping, n_outputs, weights, alpha, reduction):
    X, y = problem(n_outputs)
    network, sample_weight = make_network(n_outputs), WEIGHTS[weights]
    by_hand = ByHand(make_network(n_outputs), X, y, sample_weight, alpha, reduction)
    mu = getattr(by_hand, damping)(10, 0.001)
    optimizer = LevenbergMarquardt(damping=damping)
    losses = network.train(
        *(X, y), optimizer=optimizer, n_epochs=10, alpha=alpha, sample_weight=sample_weight,
        reduction=reduction,
    )  # fmt: skip
    np.testing.assert_allclose(network.parameters, by_hand.parameters, rtol=0, atol=1e-8)
    np.testing.assert_allclose(losses, by_hand.losses, rtol=1e-9)
    assert optimizer.current_mu == pytest.approx(mu, rel=1e-6)
    assert optimizer.n_steps == 10


@pytest.mark.parametrize("output_activation", ["sigmoid", "tanh", "softsign", "exp"])
def test_other_outputs(output_activation):
    X, y = problem(2)
    y = (y + 1.2) / 2.5
    network, twin = (make_network(2, output_activation=output_activation) for _ in range(2))
    by_hand = ByHand(twin, X, y)
    by_hand.marquardt(10, 0.001)
    network.train(X, y, optimizer=LevenbergMarquardt(), n_epochs=10)
    np.testing.assert_allclose(network.parameters, by_hand.parameters, rtol=0, atol=1e-8)


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("n_outputs", [1, 2])
def test_bayesian_regularisation_is_the_papers(n_outputs, weights):
    X, y = problem(n_outputs, noise=0.1)
    sample_weight = WEIGHTS[weights]
    network, optimizer = make_network(n_outputs), BayesianRegularization()
    by_hand = ByHand(make_network(n_outputs), X, y, sample_weight)
    mu = by_hand.bayesian(10, 0.005)
    network.train(X, y, optimizer=optimizer, n_epochs=10, sample_weight=sample_weight)
    np.testing.assert_allclose(network.parameters, by_hand.parameters, rtol=0, atol=1e-7)
    assert optimizer.current_mu == pytest.approx(mu)
    assert optimizer.n_effective == pytest.approx(by_hand.effective, rel=1e-8)
    assert optimizer.alpha == pytest.approx(by_hand.alpha, rel=1e-8)
    assert optimizer.beta == pytest.approx(by_hand.beta, rel=1e-8)


def test_bayesian_regularisation_finds_the_noise():
    """Twice as many units change little: what the data determine is what they determine."""
    X, y = problem(n=200, noise=0.1)
    found = []
    for n_hidden in (10, 20):
        network = Network((1, n_hidden, 1), "tanh", random_state=0)
        optimizer = BayesianRegularization()
        network.train(X, y, optimizer=optimizer, n_epochs=300)
        assert (1 / (2 * optimizer.beta)) ** 0.5 == pytest.approx(0.1, rel=0.15)
        assert ((network.predict(X) - np.sin(3 * X)) ** 2).mean() < 0.1**2 / 10
        found.append(optimizer.n_effective)
    assert max(found) < 15
    assert found[1] == pytest.approx(found[0], abs=2)


def test_minima_are_scipys():
    optimize = pytest.importorskip("scipy.optimize")
    X, y = problem(noise=0.1, n=60)
    network = Network((1, 1, 1), "tanh", random_state=1)
    start = network.parameters.copy()

    def residuals(parameters):
        network.parameters = parameters
        return (network.predict(X) - y).ravel()

    found = optimize.least_squares(residuals, start, method="lm", max_nfev=10_000)
    network.parameters = start
    losses = network.train(X, y, optimizer=LevenbergMarquardt(), n_epochs=500)
    assert losses[-1] * 60 == pytest.approx(found.cost, rel=1e-7)


# ---- what goes wrong ----


def test_more_parameters_than_data_points():
    X, y = problem(n=5)
    network = make_network()
    losses = network.train(X, y, optimizer=LevenbergMarquardt(), n_epochs=100)
    assert losses[-1] < 1e-12
    assert (np.diff(losses) <= 0).all()


def test_singular_equations():
    """Two inputs are the same, one is zero, and a unit is dead."""
    X, y = problem()
    X = np.column_stack([X, X, np.zeros_like(X)])
    network = Network((3, 5, 1), "relu", random_state=5)
    network.weights[0][:, 0], network.biases[0][0] = 0, -1
    dead = network.weights[0][:, 0].copy()
    losses = network.train(X, y, optimizer=LevenbergMarquardt(), n_epochs=100)
    assert losses[-1] < 0.1 * losses[0]
    assert (np.diff(losses) <= 0).all()
    assert np.array_equal(network.weights[0][:, 0], dead)
    assert np.isfinite(network.parameters).all()


def test_exploding_steps_are_not_taken():
    """Undamped, the exponential of the first step is infinite."""
    X, y = problem()
    network = Network((1, 3, 1), "tanh", "exp", random_state=0)
    network.parameters = network.parameters - 5
    losses = network.train(X, y + 2, optimizer=LevenbergMarquardt(mu=1e-20), n_epochs=50)
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0] < network.loss_value(X, y + 100)


def test_it_ends_at_a_minimum():
    X, y = problem(noise=0.1)
    network, optimizer = Network((1, 1)), LevenbergMarquardt()
    losses = network.train(X, y, optimizer=optimizer, n_epochs=100)
    assert len(losses) < 10  # the gradient is as good as zero
    exact = np.linalg.lstsq(np.column_stack([X, np.ones(40)]), y, rcond=None)[0].ravel()
    np.testing.assert_allclose(network.parameters, exact, rtol=1e-6)
    before, optimizer = network.parameters.copy(), LevenbergMarquardt(min_grad=0)
    losses = network.train(X, y, optimizer=optimizer, n_epochs=1000)
    assert len(losses) < 100  # no step lowers the loss any more
    assert optimizer.current_mu > optimizer.mu_max
    np.testing.assert_allclose(network.parameters, before, rtol=1e-6)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("alpha", [0.0, 0.5])
def test_it_ends_where_the_gradient_is_small(reduction, alpha):
    X, y = problem()
    gradient = make_network().loss_and_gradient(X, y, reduction=reduction)[1]
    of_weights = ByHand(make_network(), X, y, alpha=alpha).decays * make_network().parameters
    norm = np.linalg.norm(gradient + of_weights / (40 if reduction == "mean" else 1))
    for min_grad, n_epochs in ((norm * 1.001, 1), (norm * 0.999, 2)):
        network, optimizer = make_network(), LevenbergMarquardt(min_grad=min_grad)
        losses = network.train(
            *(X, y), optimizer=optimizer, n_epochs=2, reduction=reduction, alpha=alpha
        )
        assert len(losses) == n_epochs
        assert (network == make_network()) == (n_epochs == 1)


def test_a_loss_that_is_infinite():
    network, optimizer = Network((1, 1), random_state=0), LevenbergMarquardt()
    before = network.parameters.copy()
    with pytest.raises(ValueError, match="diverged in epoch 1"):
        network.train([[1e200]], [1e200], optimizer=optimizer)
    assert np.array_equal(network.parameters, before)
    assert optimizer == LevenbergMarquardt()


# ---- the object ----

KINDS = [
    lambda: LevenbergMarquardt(),
    lambda: LevenbergMarquardt(damping="nielsen"),
    lambda: BayesianRegularization(),
]


@pytest.mark.parametrize("make", KINDS)
def test_two_calls_are_one(make):
    X, y = problem(2, noise=0.1)
    once, twice = make_network(2), make_network(2)
    optimizer, others = make(), make()
    losses = once.train(X, y, optimizer=optimizer, n_epochs=8)
    first = twice.train(X, y, optimizer=others, n_epochs=3)
    others = pickle.loads(pickle.dumps(others))
    second = twice.train(X, y, optimizer=others, n_epochs=5)
    assert once == twice
    assert optimizer == others
    assert np.array_equal(losses, [*first, *second])
    assert copy.deepcopy(optimizer) == optimizer != make()


@pytest.mark.parametrize("make", KINDS)
def test_callbacks_see_every_epoch(make):
    X, y = problem(noise=0.1)
    network, twin, seen = make_network(), make_network(), []

    def look(state):
        data_loss = state.network.loss_value(X, y)
        assert state.loss == pytest.approx(data_loss, rel=1e-12)
        seen.append(state.loss)
        return state.epoch == 6

    losses = network.train(X, y, optimizer=make(), n_epochs=100, callback=look)
    assert losses.tolist() == seen
    assert len(seen) == 6
    twin.train(X, y, optimizer=make(), n_epochs=6)
    assert network == twin


def test_threads_and_shuffling_change_nothing():
    X, y = problem(n=700)
    found = []
    for arguments in ({"n_threads": 1}, {"n_threads": 2}, {"shuffle": False}, {"random_state": 5}):
        network = make_network()
        stream = np.random.RandomState(3)
        arguments = {"random_state": stream} | arguments
        network.train(X, y, optimizer=LevenbergMarquardt(), n_epochs=5, **arguments)
        assert stream.randint(10**9) == np.random.RandomState(3).randint(10**9)
        found.append(network)
    assert all(network == found[0] for network in found)


def test_repr_and_equality():
    optimizer = LevenbergMarquardt(mu=0.5, damping="nielsen")
    assert repr(optimizer) == (
        "LevenbergMarquardt(mu=0.5, mu_inc=10.0, mu_dec=0.1, mu_max=10000000000.0, min_grad=1e-07, "
        "damping='nielsen', max_memory=1073741824)"
    )
    assert optimizer == LevenbergMarquardt(mu=0.5, damping="nielsen")
    assert optimizer != LevenbergMarquardt(mu=0.5)
    assert BayesianRegularization(mu=0.001) != LevenbergMarquardt()
    assert optimizer.current_mu is None
    assert LevenbergMarquardt().current_mu == 0.001
    bayesian = BayesianRegularization()
    assert bayesian.mu == 0.005
    assert bayesian.alpha is bayesian.beta is bayesian.n_effective is None


@pytest.mark.parametrize("kind", [LevenbergMarquardt, BayesianRegularization])
@pytest.mark.parametrize(
    ("name", "bad"),
    [
        *(("mu", value) for value in (0, -1, np.inf, np.nan)),
        *(("mu_inc", value) for value in (1, 0.5, np.inf)),
        *(("mu_dec", value) for value in (0, 1, -0.1)),
        *(("mu_max", value) for value in (0, -1, np.nan)),
        *(("min_grad", value) for value in (-1, np.nan)),
        *(("damping", value) for value in ("levenberg", None)),
        *(("max_memory", value) for value in (0, -1)),
    ],
)
def test_bad_values_are_named(kind, name, bad):
    with pytest.raises(ValueError, match=f"^{name} "):
        kind(**{name: bad})


def test_what_it_is_not_for():
    X, y = problem()
    for kind in (LevenbergMarquardt, BayesianRegularization):
        with pytest.raises(ValueError, match=f"{kind.__name__}.*float64.*float32"):
            make_network(dtype="float32").train(X, y, optimizer=kind())
        classifier = Network((1, 2), output_activation="softmax", loss="log_loss")
        with pytest.raises(ValueError, match=f"{kind.__name__}.*squared_error"):
            classifier.train(X, np.zeros(40, int), optimizer=kind())
        with pytest.raises(ValueError, match="batch_size must be None"):
            make_network().train(X, y, optimizer=kind(), batch_size=10)
        with pytest.raises(MemoryError, match=f"{kind.__name__} needs .* max_memory is 1_000"):
            make_network().train(X, y, optimizer=kind(max_memory=1000))
        network = make_network()
        network.train(X, y, optimizer=kind(), batch_size=40)
    with pytest.raises(ValueError, match="alpha must be 0 with BayesianRegularization"):
        make_network().train(X, y, optimizer=BayesianRegularization(), alpha=0.1)


def test_sparse_inputs_are_refused():
    scipy_sparse = pytest.importorskip("scipy.sparse")
    X, y = problem()
    with pytest.raises(TypeError, match="X must be dense"):
        make_network().train(scipy_sparse.csr_array(X), y, optimizer=LevenbergMarquardt())


def test_it_needs_few_epochs():
    """Ten tanh units learn a sine to a mean squared error of 1e-6."""
    X, y = problem(n=100)
    network = Network((1, 10, 1), "tanh", random_state=0)
    losses = network.train(X, y, optimizer=LevenbergMarquardt(), n_epochs=100)
    assert 2 * losses[-1] < 1e-6
    network = Network((1, 10, 1), "tanh", random_state=0)
    assert network.train(X, y, optimizer=SGD(0.1), n_epochs=1000)[-1] > 100 * losses[-1]
