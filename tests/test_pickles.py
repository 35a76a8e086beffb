"""Pickles of earlier versions are read, small, and harmless when they are damaged."""

import contextlib
import pickle
import random
import struct
from pathlib import Path

import numpy as np
import pytest

from cbackprop import Adam, Network
from cbackprop._checks import checksum
from cbackprop.network import restore

FOLDER = Path(__file__).parent / "pickles"


@pytest.fixture
def make(import_from):
    """The script that writes the fixtures, as a module."""
    return import_from(FOLDER, "make")


@pytest.fixture(params=sorted(FOLDER.glob("*.pickle")), ids=lambda path: path.stem)
def of_a_version(request):
    return pickle.loads(request.param.read_bytes())


def test_there_are_some():
    assert list(FOLDER.glob("*.pickle"))


def test_networks_of_earlier_versions_are_read(of_a_version, make):
    for name, expected in make.networks().items():
        network = of_a_version["networks"][name]
        assert network == expected
        assert np.array_equal(network.parameters, make.known(network.n_parameters))
        assert np.array_equal(network.predict(make.X), expected.predict(make.X))


def test_optimizers_of_earlier_versions_train_on(of_a_version, make):
    for name, (expected, twin) in make.optimizers().items():
        optimizer, network = of_a_version["optimizers"][name]
        assert type(optimizer) is type(expected)
        assert optimizer.n_steps == 1
        for one, its_network in ((optimizer, network), (expected, twin)):
            its_network.train(make.X, make.X[:, 0], optimizer=one, n_epochs=3)
        # the first step was taken on a processor that may have no fused multiply-adds
        np.testing.assert_allclose(network.parameters, twin.parameters, rtol=1e-9)


def test_estimators_of_earlier_versions_are_read(of_a_version, make):
    regressor, classifier = (
        of_a_version["estimators"][f"MLP{n}"] for n in ("Regressor", "Classifier")
    )
    for model, size in ((regressor, 1), (classifier, 1)):
        first, last = (make.known(n).reshape(shape) for n, shape in ((6, (2, 3)), (3, (3, size))))
        outputs = np.maximum(make.X @ first + make.known(3), 0) @ last + make.known(1)
        if model is regressor:
            np.testing.assert_allclose(model.predict(make.X), outputs[:, 0], rtol=1e-14)
        else:
            assert (
                model.predict(make.X).tolist() == np.where(outputs[:, 0] > 0, "yes", "no").tolist()
            )
        assert model.get_params()["hidden_layer_sizes"] == (3,)
        assert model.n_iter_ == 2


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("sizes", [(1, 1), (20, 30, 5), tuple([3] * 900)])
def test_a_network_is_hardly_larger_than_its_weights(sizes, protocol):
    network = Network(sizes)
    assert (
        len(pickle.dumps(network, protocol))
        <= 8
        * network.n_parameters
        * (
            1 if protocol > 2 else 2  # protocol 2 writes bytes as text
        )
        + 4096
    )


PARTS = (Network, (2, 3, 1), ("tanh",), "identity", "squared_error", "float64", np.zeros(13), False)


@pytest.mark.parametrize(
    ("position", "value", "said"),
    [
        (1, (2, 0, 1), "layer_sizes"),
        (1, (2, 4, 1), "the pickle of a network holds parameters of shape"),
        (1, (2,), "layer_sizes"),
        (2, ("tanj",), "activation"),
        (2, ("tanh", "tanh"), "activation"),
        (3, "identitx", "output_activation"),
        (4, "squared", "loss"),
        (5, "float16", "dtype"),
        (5, "float32", "the pickle of a network holds parameters of shape"),
        (6, np.zeros(12), "the pickle of a network holds parameters of shape"),
        (6, np.zeros((13, 1)), "the pickle of a network holds parameters of shape"),
        (7, True, "the pickle of a network holds parameters of shape"),
    ],
)
def test_what_is_damaged_in_a_network_is_said(position, value, said):
    assert restore(*PARTS, checksum(PARTS[1:])).layer_sizes == (2, 3, 1)
    parts = list(PARTS)
    parts[position] = value
    with pytest.raises(ValueError, match="the pickle of a network is damaged"):
        restore(*parts, checksum(PARTS[1:]))
    # and by those who made a checksum to it
    with pytest.raises(ValueError, match=said):
        restore(*parts, checksum(parts[1:]))


@pytest.fixture
def little_memory():
    """Two gigabytes: pickle makes a list as long as a damaged number says, of any length."""
    sizes = Path("/proc/self/statm")
    if not sizes.exists():
        yield
        return
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_AS)
    taken = int(sizes.read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + (2 << 30), limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, limits)


@pytest.mark.usefixtures("little_memory")
@pytest.mark.parametrize("what", ["networks", "optimizers", "estimators"])
def test_damaged_bytes_are_an_error_or_another_object(what, of_a_version):
    """Nothing crashes, whichever byte is another; and what is read is what was written."""
    for thing in of_a_version[what].values():
        for one in thing if isinstance(thing, tuple) else (thing,):
            intact = pickle.dumps(one)
            rng = random.Random(0)
            for _ in range(300):
                damaged = bytearray(intact)
                damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
                try:
                    found = pickle.loads(bytes(damaged))
                except Exception:  # of pickle's framing
                    continue
                if type(found) is not type(one):
                    continue
                if what == "estimators":
                    with contextlib.suppress(ValueError):
                        found.predict(np.zeros((3, 2)))
                else:
                    assert found == one


def test_a_flipped_bit_of_a_number_is_found():
    """In the parameters, in an optimizer's state, and in its own parameters."""
    network, optimizer = Network((2, 3, 1)), Adam(0.25)
    X = np.random.default_rng(0).normal(size=(4, 2))
    network.train(X, X[:, 0], optimizer=optimizer)
    for thing, number in (
        (network, network.parameters[7]),
        (optimizer, optimizer.mean_squares[7]),
        (optimizer, optimizer.learning_rate),
    ):
        damaged = bytearray(pickle.dumps(thing))
        # an array's are as they lie in memory, those of a float in pickle's own order
        (at,) = {damaged.find(struct.pack(order, number)) for order in ("<d", ">d")} - {-1}
        damaged[at + 5] ^= 4
        with pytest.raises(ValueError, match="is damaged"):
            pickle.loads(damaged)
