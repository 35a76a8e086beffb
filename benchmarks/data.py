"""Data that can be fitted well: inputs and targets, all scaled to mean 0 and deviation 1."""

import numpy as np

from cbackprop.datasets import load_auto_mpg, load_digits


def scaled(*arrays):
    """Each column."""
    return [(array - array.mean(axis=0)) / array.std(axis=0) for array in arrays]


def sine():
    """A period."""
    X = np.linspace(-np.pi, np.pi, 100)[:, None]
    return scaled(X, np.sin(X))


def curve():
    """94 points of a wavy curve, in the manner of MATLAB's simplefit_dataset; not its numbers."""
    X = np.linspace(0, 10, 94)[:, None]
    return scaled(X, 5 + 4 * np.cos(X) * np.exp(-X / 8))


def mackey_glass(n_rows=500, delay=17):
    """The next value from x(t) and x(t - 17).

    A step of length 1, by Euler's rule, of dx/dt = 0.2 x(t - 17) / (1 + x(t - 17)^10) - 0.1 x(t).
    """
    series = [1.2] * (delay + 1)
    while len(series) < n_rows + 2 * delay + 100:
        before, now = series[-1 - delay], series[-1]
        series.append(now + 0.2 * before / (1 + before**10) - 0.1 * now)
    x = np.array(series[-n_rows - delay - 1 :])
    return scaled(np.column_stack([x[delay:-1], x[: -delay - 1]]), x[delay + 1 :, None])


def robot_arm():
    """Where the hand of an arm with two joints is, by their angles.

    Lengths are 1 and 0.8, angles a quarter turn at most.
    """
    first, second = np.meshgrid(*2 * [np.linspace(0, np.pi / 2, 12)])
    X = np.column_stack([first.ravel(), second.ravel()])
    angle = X.sum(axis=1)
    hand = [np.cos(X[:, 0]) + 0.8 * np.cos(angle), np.sin(X[:, 0]) + 0.8 * np.sin(angle)]
    return scaled(X, np.column_stack(hand))


def auto_mpg():
    """Miles per gallon of the package's 392 cars."""
    cars = load_auto_mpg()
    return scaled(cars.X, cars.y[:, None])


def digits():
    """The package's 1797 digits, in shades from 0 to 1, and their classes."""
    found = load_digits()
    return found.X / 16, found.y


def friedman(n_rows=20_000):
    """Ten inputs, of which five count: Friedman, Annals of Statistics 19 (1991), noise 1."""
    rng = np.random.default_rng(0)
    X = rng.random((n_rows, 10))
    y = 10 * np.sin(np.pi * X[:, 0] * X[:, 1]) + 20 * (X[:, 2] - 0.5) ** 2
    y += 10 * X[:, 3] + 5 * X[:, 4] + rng.standard_normal(n_rows)
    return scaled(X, y[:, None])
