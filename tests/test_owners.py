"""What the owner of an object may do while it is in use, and what nobody may."""

import copy
import pickle
import threading

import numpy as np
import pytest

from cbackprop import Adam, Network


def data(n_samples=400, seed=0):
    rng = np.random.RandomState(seed)
    return rng.normal(size=(n_samples, 3)), rng.randint(0, 4, n_samples)


def classifier(**options):
    return Network((3, 5, 4), "tanh", "softmax", "log_loss", random_state=0, **options)


@pytest.mark.parametrize("value", [4, -1, 1000, 5_000_000, 2**62])
def test_class_numbers_that_change_in_training_are_an_error(value):
    X, y = data()
    network, y = classifier(), y.astype(np.intp)

    def spoil(state):
        y[350] = value

    with pytest.raises(ValueError, match="y changed"):
        network.train(X, y, optimizer=Adam(), batch_size=50, n_epochs=3, callback=spoil)
    assert np.isfinite(network.parameters).all()


def test_an_optimizer_in_training_is_not_read_by_other_threads():
    X, y = data()
    network, optimizer, found = classifier(), Adam(), {}

    def attempt(name, call):
        try:
            found[name] = call()
        except RuntimeError as error:
            found[name] = error

    def look(state):
        assert len(pickle.dumps(optimizer)) > network.parameters.nbytes  # its own thread may
        for name, call in {
            "pickle": lambda: pickle.dumps(optimizer),
            "means": lambda: optimizer.mean_gradients,
            "==": lambda: optimizer == copy.copy(optimizer),
        }.items():
            other = threading.Thread(target=attempt, args=(name, call))
            other.start()
            other.join()

    network.train(X, y, optimizer=optimizer, n_epochs=2, callback=look)
    assert found.keys() == {"pickle", "means", "=="}
    for error in found.values():
        assert isinstance(error, RuntimeError)
        assert "optimizer" in str(error)
    assert pickle.loads(pickle.dumps(optimizer)) == optimizer


@pytest.mark.parametrize("n_epochs", [1, 4_000_000])
def test_the_random_stream_is_free_meanwhile(n_epochs):
    """Long epochs and many short ones: another thread draws from the same stream in between."""
    stream = np.random.RandomState(0)
    if n_epochs == 1:
        X = np.random.RandomState(1).normal(size=(40_000, 64))
        network = Network((64, 256, 256, 1), random_state=0)
    else:
        X = np.random.RandomState(1).normal(size=(4, 2))
        network = Network((2, 4, 1), random_state=0)
    done, draws = threading.Event(), []

    def train():
        network.train(
            X,
            X[:, 0],
            optimizer=Adam(),
            batch_size=32,
            n_epochs=n_epochs,
            random_state=stream,
        )
        done.set()

    thread = threading.Thread(target=train)
    thread.start()
    while not done.wait(0.001):
        draws.append(stream.random_sample())
    thread.join()
    assert len(draws) > 5


class Named(Network):
    """A subclass with an attribute of its own."""


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))])
def test_subclasses_stay_what_they_are(copied):
    network = Named((2, 3, 1), random_state=0)
    network.name = ["mine"]
    twin = copied(network)
    assert type(twin) is Named
    assert twin == network
    assert twin.name == ["mine"]


def test_parameters_that_are_not_finite_are_copied_as_they_are():
    network = Network((2, 3, 1), random_state=0)
    network.weights[0][0, 0] = np.nan
    twin = copy.deepcopy(network)
    assert np.isnan(twin.weights[0][0, 0])
    np.testing.assert_array_equal(twin.parameters, network.parameters)


@pytest.mark.parametrize("weight", [3e38, 1e-40])
def test_weights_whose_sum_float32_cannot_hold(weight):
    X, y = data(10)
    network = classifier(dtype="float32")
    for call in (network.loss_value, network.loss_and_gradient):
        with pytest.raises(ValueError, match="sample_weight has a sum"):
            call(X, y, sample_weight=np.full(10, weight))
