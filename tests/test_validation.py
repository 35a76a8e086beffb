"""Validation data in `Network.train`, and what else ends training: a target loss, time."""

import copy
import time

import numpy as np
import pytest
from numpy.testing import assert_allclose

from cbackprop import LBFGS, SGD, Adam, Network, Rprop, ScaledConjugateGradient
from cbackprop.network import train_with_order
from cbackprop.training import Progress


def make_network(dtype="float64", loss="squared_error", seed=0):
    output_activation = {"squared_error": "identity", "log_loss": "softmax"}[loss]
    return Network((3, 6, 2), "tanh", output_activation, loss, dtype, random_state=seed)


def make_data(n_samples, loss="squared_error", seed=0):
    """Noisy: what is learnt by heart does not hold elsewhere."""
    rng = np.random.default_rng([n_samples, seed])
    X = rng.normal(size=(n_samples, 3))
    if loss == "log_loss":
        return X, rng.integers(2, size=n_samples)
    return X, np.column_stack([np.sin(X[:, 0]), X[:, 1]]) + rng.normal(
        scale=0.5, size=(n_samples, 2)
    )


TRAIN, VALIDATION = make_data(30), make_data(300)
OPTIMIZERS = {
    "adam": (lambda: Adam(0.02), {"batch_size": 10}),
    "rprop": (lambda: Rprop(initial_step=0.01), {}),
    "row by row": (lambda: SGD(0.05), {"batch_size": 1}),
}


def train(network, optimizer=None, data=TRAIN, **options):
    options = {"n_epochs": 60, "random_state": 3, "validation_data": VALIDATION} | options
    return network.train(*data, optimizer=optimizer or Adam(0.05), **options)


# ---- both curves ----


@pytest.mark.parametrize("with_callback", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_validation_changes_no_training(name, dtype, with_callback):
    """The losses are those of a training without, the validation losses those of its networks."""
    make_optimizer, options = OPTIMIZERS[name]
    expected, seen, states = [], [], []
    judge = make_network(dtype)
    losses = train(
        judge,
        make_optimizer(),
        validation_data=None,
        callback=lambda state: seen.append(
            (state.network.parameters.copy(), state.validation_loss)
        ),
        **options,
    )
    for parameters, validation_loss in seen:
        assert validation_loss is None
        judge.parameters = parameters
        expected.append(judge.loss_value(*VALIDATION))
    network = make_network(dtype)
    callback = (lambda state: states.append(copy.copy(state))) if with_callback else None
    result = train(network, make_optimizer(), callback=callback, **options)
    assert type(result) is tuple
    assert result[0].tolist() == losses.tolist()
    assert result[1].tolist() == expected
    assert result[1].dtype == np.float64
    best = int(np.argmin(expected))
    assert 0 < best < 59
    assert network.parameters.tobytes() == seen[best][0].tobytes()
    if with_callback:
        assert [state.validation_loss for state in states] == expected
        last = states[-1]
        assert repr(last) == (
            f"TrainingState(epoch=60, loss={losses[-1]}, validation_loss={expected[-1]})"
        )


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("loss", ["squared_error", "log_loss"])
def test_weights_and_reductions(loss, reduction):
    (X, y), validation = make_data(300, loss), make_data(20, loss)
    weights = np.arange(20) % 3 / 2
    network = make_network(loss=loss)
    _, validation_losses = network.train(
        *(X, y),
        optimizer=SGD(0.001),
        batch_size=50,
        alpha=0.7,
        reduction=reduction,
        validation_data=(*validation, weights),
    )
    # one epoch: the network is as it was left, and alpha is no part of it
    expected = network.loss_value(*validation, weights, reduction)
    assert validation_losses.tolist() == [expected]


def test_any_number_of_threads_gives_the_same_bits():
    found = set()
    for n_threads in (1, 2, 3):
        network = Network((3, 90, 2), "tanh", random_state=0)
        curves = train(network, data=make_data(700), n_epochs=8, n_threads=n_threads)
        found.add((np.array(curves).tobytes(), network.parameters.tobytes()))
    assert len(found) == 1


# ---- when it stops ----


def n_epochs_of(losses, tol, n_iter_no_change):
    """scikit-learn's rule."""
    best, n_bad = np.inf, 0
    for epoch, loss in enumerate(losses, 1):
        n_bad = n_bad + 1 if loss > best - tol else 0
        best = min(best, loss)
        if n_bad > n_iter_no_change:
            return epoch
    return len(losses)


@pytest.mark.parametrize("with_callback", [False, True])
@pytest.mark.parametrize("n_iter_no_change", [1, 3, 10])
@pytest.mark.parametrize("tol", [0, 1e-4, 1e-2])
def test_patience_is_with_the_validation_loss(tol, n_iter_no_change, with_callback):
    losses, validation_losses = train(make_network())
    expected = n_epochs_of(validation_losses, tol, n_iter_no_change)
    assert expected != n_epochs_of(losses, tol, n_iter_no_change)
    callback = (lambda state: None) if with_callback else None
    network, longer = make_network(), make_network()
    stopped = train(network, tol=tol, n_iter_no_change=n_iter_no_change, callback=callback)
    assert stopped[1].tolist() == validation_losses[:expected].tolist()
    train(longer, n_epochs=expected)
    assert network == longer
    assert network.loss_value(*VALIDATION) == stopped[1].min()


@pytest.mark.parametrize("with_callback", [False, True])
def test_a_target_loss(with_callback):
    callback = (lambda state: None) if with_callback else None
    losses = train(make_network(), validation_data=None)
    for at in (0, 7, 40):
        got = train(
            make_network(),
            validation_data=None,
            target_loss=losses[: at + 1].min(),
            callback=callback,
        )
        assert got.tolist() == losses[: losses[: at + 1].argmin() + 1].tolist()
    assert len(train(make_network(), validation_data=None, target_loss=0)) == 60
    _, validation_losses = train(make_network())
    best = int(validation_losses.argmin())
    _, got = train(make_network(), target_loss=validation_losses[best], callback=callback)
    assert got.tolist() == validation_losses[: best + 1].tolist()


class TestTime:
    def test_many_short_epochs(self):
        network, optimizer = make_network(), Adam()
        began = time.monotonic()
        losses = train(network, optimizer, n_epochs=10**9, max_time=0.2, validation_data=None)
        assert time.monotonic() - began >= 0.2
        assert len(losses) > 1
        twin, of_twin = make_network(), Adam()
        again = train(twin, of_twin, n_epochs=len(losses), validation_data=None)
        assert losses.tolist() == again.tolist()
        assert network == twin
        assert optimizer == of_twin

    @pytest.mark.parametrize("n_threads", [1, 2])
    def test_an_epoch_longer_than_that(self, n_threads):
        network, optimizer = Network((200, 2000, 2000, 1), dtype="float32", random_state=0), Adam()
        X = np.zeros((20_000, 200), np.float32)
        before = network.parameters.copy()
        began = time.process_time()
        losses = network.train(
            X, X[:, 0], optimizer=optimizer, n_epochs=9, max_time=0.15, n_threads=n_threads
        )
        assert losses.shape == (0,)
        assert np.array_equal(network.parameters, before)
        assert optimizer == Adam()
        assert time.process_time() - began < 10  # of some hundred seconds

    def test_the_callback_sees_finished_epochs_only(self):
        network, epochs = make_network(), []

        def callback(state):
            epochs.append(state.epoch)
            time.sleep(0.02)

        losses, _ = train(network, callback=callback, max_time=0.1, n_epochs=1000)
        assert epochs == list(range(1, len(losses) + 1))
        assert 1 <= len(losses) <= 6


# ---- what it leaves ----


@pytest.mark.parametrize("error", [KeyboardInterrupt, LookupError])
def test_whatever_ends_it_the_best_epoch_is_left(error):
    _, validation_losses = train(make_network())
    last = int(validation_losses.argmin()) + 5

    def callback(state):
        if state.epoch == last:
            raise error

    network, expected = make_network(), make_network()
    with pytest.raises(error):
        train(network, callback=callback)
    train(expected, n_epochs=last)
    assert network == expected
    assert network.loss_value(*VALIDATION) == validation_losses[:last].min()
    train(network)  # nothing is locked


def test_a_divergence_leaves_the_best_epoch_too():
    network = Network((3, 2), random_state=0)
    with pytest.raises(ValueError, match="diverged"):
        train(network, SGD(2.0), n_epochs=10**6)
    curve, twin = [], Network((3, 2), random_state=0)
    with pytest.raises(ValueError, match="diverged"):
        train(
            twin,
            SGD(2.0),
            n_epochs=10**6,
            callback=lambda state: curve.append(
                (state.validation_loss, state.network.parameters.tobytes())
            ),
        )
    assert network == twin
    assert network.parameters.tobytes() == min(curve)[1]


def test_progress_goes_on():
    """What the estimators keep: both curves, and the best of them."""
    progress, network = Progress([1.5]), make_network()
    options = {"optimizer": Adam(0.02), "shuffle": False, "validation_data": VALIDATION}
    first = train_with_order(network, *TRAIN, n_epochs=3, progress=progress, **options)
    assert progress.losses == [1.5, *first[0].tolist()]
    assert progress.validation_losses == first[1].tolist()
    assert progress.best_loss == first[1].min()
    # no epoch of this call is better: the network is as the last one left it
    progress.best_loss = 0
    losses, validation_losses = train_with_order(
        network, *TRAIN, n_epochs=3, progress=progress, **options
    )
    assert network.loss_value(*VALIDATION) == validation_losses[-1]
    assert progress.losses[-3:] == losses.tolist()


TRAINERS = {
    "adam": lambda: Adam(0.05),
    "scg": ScaledConjugateGradient,
    "lbfgs": LBFGS,
}


@pytest.mark.parametrize("make_trainer", TRAINERS.values(), ids=TRAINERS)
def test_an_estimator_watches_and_goes_by_the_training_loss(make_trainer):
    options = {"tol": 1e-4, "n_iter_no_change": 2, "shuffle": False, "target_loss": 0.02}
    plain, watched = make_network(), make_network()
    losses = train(plain, make_trainer(), validation_data=None, n_epochs=900, **options)
    assert len(losses) < 900
    progress = Progress([3.0], validation_losses=[2.0])
    curves = train_with_order(
        watched, *TRAIN, optimizer=make_trainer(), n_epochs=900, progress=progress,
        validation_data=VALIDATION, by_validation=False, **options,
    )  # fmt: skip
    assert watched == plain
    assert curves[0].tolist() == losses.tolist()
    # the last epoch's, not the best one's
    assert curves[1][-1] == pytest.approx(watched.loss_value(*VALIDATION), rel=1e-12)
    assert curves[1].min() < curves[1][-1]
    assert progress.losses == [3.0, *losses]
    assert progress.validation_losses == [2.0, *curves[1]]
    assert progress.best_loss == losses.min()
    assert progress.n_seen == len(losses) * len(TRAIN[0])


# ---- bad arguments ----


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"validation_data": 3}, TypeError, r"validation_data must be \(X, y\)"),
        ({"validation_data": VALIDATION[:1]}, TypeError, r"validation_data must be \(X, y\)"),
        (
            {"validation_data": (VALIDATION[0][:, 1:], VALIDATION[1])},
            ValueError,
            "validation_data: X",
        ),
        ({"validation_data": (VALIDATION[0], VALIDATION[1][1:])}, ValueError, "validation_data: y"),
        ({"validation_data": (*VALIDATION, [1])}, ValueError, "validation_data: sample_weight"),
        ({"validation_data": (VALIDATION[0], "a")}, TypeError, "validation_data: y"),
        ({"target_loss": -1}, ValueError, "target_loss"),
        ({"target_loss": "low"}, TypeError, "target_loss"),
        ({"max_time": 0}, ValueError, "max_time"),
        ({"max_time": "long"}, TypeError, "max_time"),
    ],
)
def test_bad_arguments_are_named(options, error, words):
    network, expected = make_network(), make_network()
    with pytest.raises(error, match=words):
        train(network, **options)
    assert network == expected


@pytest.mark.parametrize("argument", [0, 1])
def test_validation_data_that_are_not_finite(argument):
    bad = [array.copy() for array in VALIDATION]
    bad[argument][270, 1] = np.nan
    network, expected, optimizer = make_network(), make_network(), Adam()
    with pytest.raises(
        ValueError, match=rf"validation_data: {'Xy'[argument]} must be finite.*270, 1"
    ):
        train(network, optimizer, validation_data=bad)
    assert network == expected
    assert optimizer == Adam()


def test_a_validation_set_of_any_size():
    """Below and above the rows of a batch, and of a block."""
    for n_rows in (1, 31, 32, 33, 256, 257, 600):
        network = make_network()
        validation = make_data(n_rows, seed=1)
        _, losses = train(network, n_epochs=2, batch_size=8, validation_data=validation)
        assert_allclose(network.loss_value(*validation), losses.min(), rtol=0)


# ---- sparse ----


@pytest.mark.parametrize("make_optimizer", [Adam, ScaledConjugateGradient, LBFGS])
def test_sparse_data(make_optimizer):
    """The same as dense ones, but for the order of sums."""
    sparse = pytest.importorskip("scipy.sparse")
    (X, y), (X_validation, y_validation) = make_data(40), make_data(300)
    X[np.abs(X) < 1] = X_validation[np.abs(X_validation) < 1] = 0
    networks, curves = [make_network(), make_network()], []
    for network, convert in zip(networks, (np.asarray, sparse.csr_array), strict=True):
        validation = convert(X_validation), y_validation
        optimizer = make_optimizer()
        curves.append(
            network.train(
                *(convert(X), y),
                optimizer=optimizer,
                n_epochs=6,
                shuffle=False,
                validation_data=validation,
            )
        )
        assert network.loss_value(*validation) == pytest.approx(curves[-1][1].min(), rel=1e-12)
    assert_allclose(curves[0], curves[1], rtol=1e-6)
    assert_allclose(networks[0].parameters, networks[1].parameters, rtol=1e-5, atol=1e-6)
    with pytest.raises(TypeError, match="validation_data: X must be sparse where X is"):
        networks[0].train(
            sparse.csr_array(X), y, optimizer=make_optimizer(), validation_data=(X, y)
        )
    bad = sparse.csr_array(X_validation)
    bad.data[7] = np.inf
    with pytest.raises(ValueError, match="validation_data: X must be finite"):
        networks[0].train(
            *(sparse.csr_array(X), y),
            optimizer=make_optimizer(),
            validation_data=(bad, y_validation),
        )
