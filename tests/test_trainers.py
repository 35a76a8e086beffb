"""AdamW, RMSprop and Rprop: step by step against the papers' formulas, and against PyTorch."""

import copy
import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from cbackprop import Adam, AdamW, Network, RMSprop, Rprop

# ---- the formulas: parameters, gradient, loss -> parameters; what they remember is theirs ----


def adam_w(learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-8, weight_decay=0.01):
    """Algorithm 2 of Loshchilov & Hutter 2019, the schedule being the learning rate."""
    m = v = t = 0

    def step(w, g, loss):
        nonlocal m, v, t
        t += 1
        m = beta_1 * m + (1 - beta_1) * g
        v = beta_2 * v + (1 - beta_2) * g**2
        root = np.sqrt(v / (1 - beta_2**t)) + epsilon
        return w - learning_rate * (m / (1 - beta_1**t) / root + weight_decay * w)

    return step


def rmsprop(learning_rate=0.01, beta=0.99, epsilon=1e-8, momentum=0.0, centered=False):
    squares = mean = velocity = 0

    def step(w, g, loss):
        nonlocal squares, mean, velocity
        squares = beta * squares + (1 - beta) * g**2
        mean = beta * mean + (1 - beta) * g if centered else 0
        velocity = momentum * velocity + g / (np.sqrt(squares - mean**2) + epsilon)
        return w - learning_rate * velocity

    return step


def rprop(
    variant="iminus", initial_step=0.1, eta_minus=0.5, eta_plus=1.2, min_step=1e-6, max_step=50.0
):
    """The four listings of Igel & Hüsken 2000, with each weight's last step as they keep it."""
    size = before = last_step = None
    loss_before = np.inf

    def step(w, g, loss):
        nonlocal size, before, last_step, loss_before
        if size is None:
            size, before, last_step = initial_step + 0 * w, 0 * w, 0 * w
        w, g = w.copy(), g.copy()
        for i in range(len(w)):
            product = np.sign(before[i]) * np.sign(g[i])
            undone = False
            if product > 0:
                size[i] = min(size[i] * eta_plus, max_step)
            elif product < 0:
                size[i] = max(size[i] * eta_minus, min_step)
                undone = variant == "plus" or (variant == "iplus" and loss > loss_before)
                if undone:
                    w[i] -= last_step[i]
                if variant != "minus":
                    g[i] = 0
            if not undone:
                last_step[i] = -np.sign(g[i]) * size[i]
                w[i] += last_step[i]
        before, loss_before = g, loss
        return w

    return step


TRAINERS = {
    "adamw": (AdamW, adam_w, {}),
    "adamw, other numbers": (
        *(AdamW, adam_w),
        {
            "learning_rate": 0.05,
            "beta_1": 0.5,
            "beta_2": 0.8,
            "epsilon": 0.01,
            "weight_decay": 0.3,
        },
    ),
    "rmsprop": (RMSprop, rmsprop, {}),
    "rmsprop, momentum": (RMSprop, rmsprop, {"momentum": 0.9, "learning_rate": 0.003}),
    "rmsprop, centered": (RMSprop, rmsprop, {"centered": True, "beta": 0.9, "epsilon": 0.001}),
    "rmsprop, both": (RMSprop, rmsprop, {"centered": True, "momentum": 0.5, "beta": 0.8}),
    "iminus": (Rprop, rprop, {}),
    "iminus, other numbers": (
        *(Rprop, rprop),
        {
            "initial_step": 0.02,
            "eta_minus": 0.3,
            "eta_plus": 1.5,
            "min_step": 0.01,
            "max_step": 0.05,
        },
    ),
    "iplus": (Rprop, rprop, {"variant": "iplus"}),
    "minus": (Rprop, rprop, {"variant": "minus"}),
    "plus": (Rprop, rprop, {"variant": "plus"}),
}
WHOLE_SET = {"iplus"}


def make_network(dtype="float64", n_hidden=17):
    return Network((5, 3, n_hidden, 2), "tanh", dtype=dtype, random_state=1)


def make_data(n_samples=40):
    """Numbers that float32 holds exactly."""
    rng = np.random.default_rng(n_samples)
    X = rng.normal(size=(n_samples, 5)).astype(np.float32).astype(np.float64)
    return X, np.float64(rng.integers(9, size=(n_samples, 2)) / 8)


def is_weight(network):
    parts = zip(network.weights, network.biases, strict=True)
    return np.concatenate([[1.0] * w.size + [0.0] * b.size for w, b in parts])


def slow_path(network, X, y, step, batches, alpha=0.0, sample_weight=None, reduction="mean"):
    """The parameters after each of the batches, by the network's own gradients."""
    judge, found = copy.deepcopy(network), []
    weights = np.ones(len(X)) if sample_weight is None else sample_weight
    w = np.float64(judge.parameters)
    for rows in batches:
        loss, g = judge.loss_and_gradient(X[rows], y[rows], weights[rows], reduction)
        divisor = weights[rows].sum() if reduction == "mean" else 1
        penalised = alpha / divisor * is_weight(judge)
        loss += (penalised * w**2).sum() / 2
        w = step(w, np.float64(g) + penalised * w, loss)
        judge.parameters = w
        found.append(w)
    return np.array(found)


def path(network, X, y, optimizer, n_epochs, **options):
    """The parameters after each epoch."""
    found = []
    options = {"shuffle": False, "n_epochs": n_epochs} | options
    network.train(
        X,
        y,
        optimizer=optimizer,
        callback=lambda state: found.append(state.network.parameters.copy()),
        **options,
    )
    return np.array(found)


OPTIONS = {
    "mean": {},
    "weights, penalty": {"sample_weight": np.arange(40) % 4 / 2, "alpha": 0.2},
    "sum, penalty": {"reduction": "sum", "alpha": 0.3},
}


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", TRAINERS)
def test_steps_are_those_of_the_papers(name, dtype, options):
    kind, formula, numbers = TRAINERS[name]
    network, options = make_network(dtype), OPTIONS[options]
    X, y = make_data()
    expected = slow_path(network, X, y, formula(**numbers), [slice(None)] * 25, **options)
    optimizer = kind(**numbers)
    got = path(network, X, y, optimizer, 25, **options)
    assert optimizer.n_steps == 25
    if dtype == "float64":
        assert_allclose(got, expected, rtol=1e-8, atol=1e-10)
    else:  # a gradient near zero may have another sign there, and then the paths part
        assert_allclose(got[:8], expected[:8], rtol=1e-3, atol=1e-4)
    assert np.abs(np.diff(got, axis=0)).max() > 1e-4


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", [name for name in TRAINERS if name not in WHOLE_SET])
def test_small_batches(name, dtype):
    kind, formula, numbers = TRAINERS[name]
    network = make_network(dtype)
    X, y = make_data()
    batches = [slice(first, first + 7) for first in range(0, 40, 7)] * 3
    expected = slow_path(network, X, y, formula(**numbers), batches, alpha=0.1)
    got = path(network, X, y, kind(**numbers), 3, batch_size=7, alpha=0.1)
    n_epochs, tolerance = (3, 1e-8) if dtype == "float64" else (1, 2e-2)
    assert_allclose(got[:n_epochs], expected[5::6][:n_epochs], rtol=tolerance, atol=tolerance)


def test_the_variants_differ():
    """Else a test above might not know one from another."""
    X, y = make_data()
    ends = {
        variant: path(make_network(), X, y, Rprop(variant), 25)[-1].tobytes()
        for variant in ("iminus", "iplus", "minus", "plus")
    }
    assert len(set(ends.values())) == 4


# ---- against PyTorch ----

TORCH = {
    "adamw": ("AdamW", {}, AdamW()),
    "adamw, other numbers": (
        *("AdamW", {"lr": 0.05, "betas": (0.5, 0.8), "eps": 0.01, "weight_decay": 0.3}),
        AdamW(0.05, 0.5, 0.8, 0.01, 0.3),
    ),
    "rmsprop": ("RMSprop", {}, RMSprop()),
    "rmsprop, both": (
        *("RMSprop", {"lr": 0.02, "alpha": 0.9, "eps": 1e-3, "momentum": 0.5, "centered": True}),
        RMSprop(0.02, 0.9, 1e-3, 0.5, True),
    ),
    "rprop": ("Rprop", {}, Rprop(initial_step=0.01)),
    "rprop, other numbers": (
        *("Rprop", {"lr": 0.1, "etas": (0.3, 1.5), "step_sizes": (0.01, 0.3)}),
        Rprop("iminus", 0.1, 0.3, 1.5, 0.01, 0.3),
    ),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", TORCH)
def test_steps_are_those_of_pytorch(name, dtype):
    torch = pytest.importorskip("torch")
    kind, numbers, optimizer = TORCH[name]
    network = make_network(dtype)
    X, y = make_data()
    tensors = []
    for weights, biases in zip(network.weights, network.biases, strict=True):
        tensors += [torch.tensor(weights), torch.tensor(biases)]
    for tensor in tensors:
        tensor.requires_grad_()
    theirs = getattr(torch.optim, kind)(tensors, **numbers)
    inputs, targets = (torch.tensor(array.astype(dtype)) for array in (X, y))
    n_epochs = 20 if dtype == "float64" else 8
    expected = []
    for _ in range(n_epochs):
        a = inputs
        for k in range(0, len(tensors), 2):
            a = a @ tensors[k] + tensors[k + 1]
            if k + 2 < len(tensors):
                a = torch.tanh(a)
        theirs.zero_grad()
        (0.5 * ((a - targets) ** 2).sum() / len(X)).backward()
        theirs.step()
        expected.append(np.concatenate([tensor.detach().numpy().ravel() for tensor in tensors]))
    got = path(network, X, y, copy.deepcopy(optimizer), n_epochs)
    tolerance = 1e-9 if dtype == "float64" else 1e-4
    assert_allclose(got, expected, rtol=tolerance, atol=tolerance)


# ---- the objects ----


def make(name):
    kind, _, numbers = TRAINERS[name]
    return kind(**numbers)


@pytest.mark.parametrize("name", TRAINERS)
def test_two_calls_equal_one(name):
    results = []
    for calls in ([9], [4, 5], [1] * 9):
        network, optimizer = make_network(), make(name)
        stream = np.random.RandomState(0)
        losses = []
        for n_epochs in calls:
            if len(calls) > 2:
                optimizer = pickle.loads(pickle.dumps(optimizer))
            losses.extend(
                network.train(
                    *make_data(), optimizer=optimizer, n_epochs=n_epochs, random_state=stream
                )
            )
        results.append((network, optimizer, losses))
    assert results[0] == results[1] == results[2]
    assert results[0][1] != make(name)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", TRAINERS)
def test_any_number_of_threads_gives_the_same_bits(name, dtype):
    X, y = make_data(700)
    found = set()
    for n_threads in (1, 2, 3):
        network, optimizer = make_network(dtype, 70), make(name)
        losses = network.train(
            X, y, optimizer=optimizer, n_epochs=6, shuffle=False, n_threads=n_threads
        )
        found.add((losses.tobytes(), network.parameters.tobytes(), pickle.dumps(optimizer)))
    assert len(found) == 1


@pytest.mark.parametrize("name", TRAINERS)
def test_representation_and_equality(name):
    optimizer = make(name)
    again = eval(repr(optimizer))
    assert again == optimizer == copy.deepcopy(optimizer) == pickle.loads(pickle.dumps(optimizer))
    assert optimizer != Adam()
    make_network().train(*make_data(), optimizer=optimizer)
    assert again != optimizer == copy.deepcopy(optimizer) == pickle.loads(pickle.dumps(optimizer))


def test_what_they_show():
    network = make_network()
    X, y = make_data()
    adam_w, rms, heavy, centered = AdamW(), RMSprop(), RMSprop(momentum=0.5), RMSprop(centered=True)
    rprop = Rprop(initial_step=0.25)
    assert rprop.step_sizes is rprop.previous_gradients is adam_w.mean_squares is None
    gradients = []
    for optimizer in (adam_w, rms, heavy, centered, rprop):
        gradients.append(network.loss_and_gradient(X, y)[1])
        network.train(X, y, optimizer=optimizer)
    assert_allclose(adam_w.mean_gradients, 0.1 * gradients[0], rtol=1e-12)
    assert_allclose(rms.mean_squares, 0.01 * gradients[1] ** 2, rtol=1e-12)
    assert rms.velocity is rms.mean_gradients is heavy.mean_gradients is centered.velocity is None
    expected = gradients[2] / (0.1 * np.abs(gradients[2]) + 1e-8)
    assert_allclose(heavy.velocity, expected, rtol=1e-9)
    assert_allclose(centered.mean_gradients, 0.01 * gradients[3], rtol=1e-12)
    assert_array_equal(rprop.step_sizes, np.full(network.n_parameters, 0.25))
    assert_allclose(rprop.previous_gradients, gradients[4], rtol=1e-12)


def test_first_steps_of_ones_own():
    """As Proben1 draws them: uniform in 0.005 ... 0.02, one for each weight."""
    network = make_network()
    steps = np.random.default_rng(0).uniform(0.005, 0.02, network.n_parameters)
    optimizer = Rprop("plus", initial_step=steps)
    assert_array_equal(optimizer.initial_step, steps)
    assert optimizer == Rprop("plus", initial_step=steps.tolist())
    assert optimizer != Rprop("plus", initial_step=steps[::-1])
    before = network.parameters.copy()
    network.train(*make_data(), optimizer=optimizer)
    assert_allclose(np.abs(network.parameters - before), steps, rtol=1e-9)
    steps[0] = 9  # it has its own
    assert optimizer.initial_step[0] < 0.02
    with pytest.raises(ValueError, match="initial_step must be a number or have shape"):
        Network((2, 1)).train([[0, 1]], [1], optimizer=Rprop(initial_step=steps))


BAD_VALUES = [
    (AdamW, {"learning_rate": 0}, ValueError),
    (AdamW, {"beta_2": 1}, ValueError),
    (AdamW, {"weight_decay": -0.1}, ValueError),
    (AdamW, {"weight_decay": "0"}, TypeError),
    (RMSprop, {"learning_rate": -1}, ValueError),
    (RMSprop, {"beta": 1}, ValueError),
    (RMSprop, {"epsilon": 0}, ValueError),
    (RMSprop, {"momentum": 1.1}, ValueError),
    (RMSprop, {"centered": 1}, TypeError),
    (Rprop, {"variant": "i-"}, ValueError),
    (Rprop, {"variant": None}, ValueError),
    (Rprop, {"initial_step": 0}, ValueError),
    (Rprop, {"initial_step": "0.1"}, TypeError),
    (Rprop, {"initial_step": 51}, ValueError),
    (Rprop, {"initial_step": [0.1, 0]}, ValueError),
    (Rprop, {"initial_step": [0.1, 1e-7]}, ValueError),
    (Rprop, {"initial_step": [0.1, 60]}, ValueError),
    (Rprop, {"initial_step": [[0.1]]}, ValueError),
    (Rprop, {"initial_step": [0.1, np.nan]}, ValueError),
    (Rprop, {"initial_step": []}, ValueError),
    (Rprop, {"eta_minus": 1}, ValueError),
    (Rprop, {"eta_plus": 1}, ValueError),
    (Rprop, {"min_step": -1}, ValueError),
    (Rprop, {"max_step": 0}, ValueError),
    (Rprop, {"min_step": 1, "max_step": 0.5}, ValueError),
]


@pytest.mark.parametrize(("kind", "values", "error"), BAD_VALUES)
def test_bad_values_are_named(kind, values, error):
    with pytest.raises(error, match=next(iter(values))):
        kind(**values)


@pytest.mark.parametrize("optimizer", [AdamW(epsilon=1e-50), RMSprop(epsilon=1e-50)])
def test_an_epsilon_of_nothing(optimizer):
    with pytest.raises(ValueError, match="epsilon 1e-50 is 0 in float32"):
        make_network("float32").train(*make_data(), optimizer=optimizer)


def test_losses_of_parts_are_not_compared():
    network, stream = make_network(), np.random.RandomState(0)
    before = network.parameters.copy()
    with pytest.raises(ValueError, match=r"batch_size must be None.*got 39"):
        network.train(*make_data(), optimizer=Rprop("iplus"), batch_size=39)
    assert_array_equal(network.parameters, before)
    network.train(*make_data(), optimizer=Rprop("iplus"), batch_size=40, random_state=stream)
    assert stream.randint(2**32) == np.random.RandomState(0).randint(2**32)  # nothing was shuffled


@pytest.mark.parametrize(
    "optimizer",
    [
        AdamW(1e160),
        RMSprop(1e200),
        *(
            Rprop(variant, 1e160, max_step=1e200)
            for variant in ("minus", "plus", "iminus", "iplus")
        ),
    ],
    ids=repr,
)
def test_an_exploding_step_leaves_the_last_finished_epoch(optimizer):
    network, expected = Network((5, 2), random_state=0), Network((5, 2), random_state=0)
    X, y = make_data()
    twin = copy.deepcopy(optimizer)
    with pytest.raises(ValueError, match=r"diverged in epoch \d+") as caught:
        network.train(X, y, optimizer=optimizer, n_epochs=100, shuffle=False)
    assert np.isfinite(network.parameters).all()
    n_epochs = int(str(caught.value).split("epoch ")[1].split(":")[0]) - 1
    if n_epochs:
        expected.train(X, y, optimizer=twin, n_epochs=n_epochs, shuffle=False)
    assert network == expected
    assert optimizer == twin
