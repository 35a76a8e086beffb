"""Writes this version's pickles, which later versions must read: once, before a release.

    python tests/pickles/make.py

Parameters are multiples of 1/64, so that what they stand for is known without a random stream.
"""

import pickle
import warnings
from pathlib import Path

import numpy as np

import cbackprop
from cbackprop import SGD, Adam, LevenbergMarquardt, MLPClassifier, MLPRegressor, Network, Rprop

X = np.array([[0.0, 1.0], [1.0, -1.0], [0.5, 0.25], [-1.0, 0.75]])


def known(n):
    """n parameters that look like any, and are the same everywhere."""
    return (np.arange(n) * 37 % 101 - 50) / 64


def networks():
    plain = Network((2, 3, 1), activation="tanh")
    deep = Network(
        (2, 4, 3, 2), activation=("relu", "sigmoid"), output_activation="softmax",
        loss="log_loss", dtype="float32",
    )  # fmt: skip
    shortcuts = Network((2, 3, 2, 1), shortcuts=True)
    found = {"plain": plain, "deep": deep, "shortcuts": shortcuts}
    for network in found.values():
        network.parameters = known(network.n_parameters)
    return found


def optimizers():
    """Each after one step, with the network that it is to train on."""
    found = {}
    for optimizer in (SGD(0.1, momentum=0.5), Adam(), Rprop(), LevenbergMarquardt()):
        network = networks()["plain"]
        network.train(X, X[:, 0], optimizer=optimizer)
        found[type(optimizer).__name__] = (optimizer, network)
    return found


def estimators():
    found = {}
    for kind, y in ((MLPRegressor, X[:, 0]), (MLPClassifier, np.array(["no", "yes", "no", "yes"]))):
        model = kind(hidden_layer_sizes=(3,), max_iter=2, random_state=0).fit(X, y)
        for array in (*model.coefs_, *model.intercepts_):
            array[...] = known(array.size).reshape(array.shape)
        found[kind.__name__] = model
    return found


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # of epochs that are not enough
    things = {"networks": networks(), "optimizers": optimizers(), "estimators": estimators()}
    path = Path(__file__).parent / f"{cbackprop.__version__}.pickle"
    path.write_bytes(pickle.dumps(things, protocol=4))
    print(f"{path}: {path.stat().st_size:,} bytes")
