"""``cbackprop demo``: what the package does, on one screen, every figure computed on the spot."""

import math
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cbackprop import SGD, Adam, MLPRegressor, Network, __version__
from cbackprop.cli.peers import Cbackprop, NumpyByHand, PurePython
from cbackprop.cli.terminal import (
    Terminal,
    bar,
    image,
    in_microseconds,
    in_times,
    line_plot,
)
from cbackprop.cli.workloads import Problem
from cbackprop.datasets import load_auto_mpg, load_digits

XOR_INPUTS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
XOR_TARGETS = np.array([0.0, 1.0, 1.0, 0.0])


def add_arguments(parser):
    """The options of the demo."""
    parser.add_argument(
        "--plot",
        metavar="FILE.png",
        type=Path,
        help="write the loss curves to a picture (needs matplotlib)",
    )
    parser.add_argument(
        "--seed",
        type=seed,
        default=0,
        help="seed of initial weights, held-out parts and shuffles (default: 0)",
    )


def seed(text):
    """A seed that NumPy takes; the name is what argparse calls a wrong one by."""
    value = int(text)
    if not 0 <= value < 2**32:
        raise ValueError
    return value


def run(args):
    """Print the five parts; returns the exit status."""
    terminal = Terminal()
    terminal.write(f"cbackprop {__version__}: feedforward networks that train at C speed")
    show_gradient(terminal, args.seed)
    curves = {
        "XOR": show_xor(terminal, args.seed),
        "fuel consumption": show_fuel_consumption(terminal, args.seed),
        "handwritten digits": show_digits(terminal, args.seed),
    }
    show_times(terminal, args.seed)
    return 0 if args.plot is None else write_plot(terminal, curves, args.plot)


def write_plot(terminal, curves, path):
    """The curves of the demo as a picture; returns the exit status."""
    from cbackprop.plotting import plot_loss_curves

    try:
        plot_loss_curves(curves, path)
    except (ImportError, OSError, ValueError) as error:
        # No matplotlib, no such folder, or a format that matplotlib does not know.
        print(f"cbackprop demo: no plot: {error}", file=sys.stderr)
        return 1
    terminal.write(f"\nThe loss curves are in {path}")
    return 0


# ---- 1: a gradient -------------------------------------------------------------------------


def show_gradient(terminal, seed):
    """Every derivative of the 2-2-1 network by the chain rule, beside the engine's."""
    network = Network([2, 2, 1], random_state=seed)
    x, y = (0.6, -1.5), 0.8
    terminal.write_heading(
        "1  The gradient of C = (p - y)^2 / 2, by the chain rule and by cbackprop"
    )
    terminal.write("   2 inputs x, 2 sigmoid hidden units a, linear output p = a1 v1 + a2 v2 + c")
    terminal.write(f"{'by hand':>54}{'cbackprop':>16}{'differ':>8}")
    _, gradient = network.loss_and_gradient([x], [y])
    by_hand = chain_rule(network.parameters.tolist(), x, y)
    for (name, formula, derivative), engine in zip(by_hand, gradient.tolist(), strict=True):
        difference = abs(derivative - engine)
        terminal.write(
            f"   {name:7} = {formula:25}  {derivative:14.11f}  {engine:14.11f}"
            f"  {f'{difference:.0e}' if difference else '0':>6}"
        )


def chain_rule(parameters, x, y):
    """Name, formula and value of each derivative, in the order of `Network.parameters`."""
    w11, w12, w21, w22, b1, b2, v1, v2, c = parameters
    x1, x2 = x
    a1 = 1 / (1 + math.exp(-(x1 * w11 + x2 * w21 + b1)))
    a2 = 1 / (1 + math.exp(-(x1 * w12 + x2 * w22 + b2)))
    p = a1 * v1 + a2 * v2 + c
    return [
        ("∂C/∂w11", "(p - y) v1 a1 (1 - a1) x1", (p - y) * v1 * a1 * (1 - a1) * x1),
        ("∂C/∂w12", "(p - y) v2 a2 (1 - a2) x1", (p - y) * v2 * a2 * (1 - a2) * x1),
        ("∂C/∂w21", "(p - y) v1 a1 (1 - a1) x2", (p - y) * v1 * a1 * (1 - a1) * x2),
        ("∂C/∂w22", "(p - y) v2 a2 (1 - a2) x2", (p - y) * v2 * a2 * (1 - a2) * x2),
        ("∂C/∂b1", "(p - y) v1 a1 (1 - a1)", (p - y) * v1 * a1 * (1 - a1)),
        ("∂C/∂b2", "(p - y) v2 a2 (1 - a2)", (p - y) * v2 * a2 * (1 - a2)),
        ("∂C/∂v1", "(p - y) a1", (p - y) * a1),
        ("∂C/∂v2", "(p - y) a2", (p - y) * a2),
        ("∂C/∂c", "(p - y)", p - y),
    ]


# ---- 2: XOR --------------------------------------------------------------------------------


def show_xor(terminal, seed, n_starts=100, n_epochs=2000):
    """XOR from many random starts, since a 2-2-1 network does not learn it from every one."""
    random_state = np.random.RandomState(seed)
    best_curve, best, n_learnt, elapsed = [math.inf], None, 0, 0.0
    for i in range(n_starts):
        terminal.show_progress(f"   start {i + 1} of {n_starts}")
        network = Network([2, 2, 1], random_state=random_state)
        began = time.perf_counter()
        curve = network.train(
            XOR_INPUTS,
            XOR_TARGETS,
            optimizer=SGD(0.5),
            batch_size=1,
            n_epochs=n_epochs,
            random_state=random_state,
        )
        elapsed += time.perf_counter() - began
        outputs = network.predict(XOR_INPUTS)[:, 0]
        n_learnt += np.abs(outputs - XOR_TARGETS).max() < 0.1
        if curve[-1] < best_curve[-1]:
            best, best_curve = outputs, curve

    n_steps = n_starts * n_epochs * len(XOR_INPUTS)
    terminal.write_heading("2  XOR learnt, to within 0.1, by a 2-2-1 network, one point a step")
    terminal.write(
        f"   {n_learnt} of {n_starts} random starts learn it; {n_steps:,} steps in "
        f"{elapsed:.2g} s, {elapsed / n_steps * 1e9:,.0f} ns each"
    )
    results = [
        f"{a:.0f} xor {b:.0f} = {output:.3f}"
        for (a, b), output in zip(XOR_INPUTS, best, strict=True)
    ]
    terminal.write(f"   the best: {'  '.join(results)}")
    return best_curve


# ---- 3: fuel consumption -------------------------------------------------------------------


def show_fuel_consumption(terminal, seed):
    """Miles per gallon of cars not seen in training, beside the mean and a linear fit."""
    cars = load_auto_mpg()
    learn, held_out = split(len(cars.y), seed)
    X = standardised(cars.X, learn)
    regressor = MLPRegressor(
        hidden_layer_sizes=(16,),
        activation="logistic",
        alpha=0.1,
        batch_size=32,
        learning_rate_init=0.01,
        max_iter=2000,
        random_state=seed,
    ).fit(X[learn], cars.y[learn])

    with_one = np.column_stack([X, np.ones(len(X))])
    coefficients, *_ = np.linalg.lstsq(with_one[learn], cars.y[learn], rcond=None)
    predictions = {
        "mean of the others": np.full(len(X), cars.y[learn].mean()),
        "linear least squares": with_one @ coefficients,
        f"MLPRegressor {X.shape[1]}-16-1": regressor.predict(X),
    }
    terminal.write_heading(
        f"3  Miles per gallon of {len(held_out)} held-out cars, learnt from {len(learn)} others"
    )
    terminal.write("   error (root mean square)")
    errors = {
        name: np.sqrt(np.mean((prediction[held_out] - cars.y[held_out]) ** 2))
        for name, prediction in predictions.items()
    }
    for name, error in errors.items():
        length = bar(error / max(errors.values()), 43, unicode=terminal.unicode)
        terminal.write(f"   {name:21} {error:5.2f} mpg  {length}")
    return regressor.loss_curve_


def split(n_samples, seed):
    """A random quarter to be held out, and the rest to learn from: (learn, held_out)."""
    order = np.random.RandomState(seed).permutation(n_samples)
    return np.split(order, [n_samples - n_samples // 4])


def standardised(X, learn):
    """Every feature with mean 0 and standard deviation 1 over the rows to learn from."""
    return (X - X[learn].mean(axis=0)) / X[learn].std(axis=0)


# ---- 4: digits -----------------------------------------------------------------------------


def show_digits(terminal, seed, n_epochs=25):
    """Handwritten digits: accuracy, loss curve, and some of them with their predictions."""
    digits = load_digits()
    X = digits.X / digits.X.max()
    learn, held_out = split(len(digits.y), seed)
    shifted = shifted_by_a_pixel(X[learn])
    network = Network(
        [64, 256, 10],
        activation="relu",
        output_activation="softmax",
        loss="log_loss",
        dtype="float32",
        random_state=seed,
    )

    def show_epoch(state):
        done = bar(state.epoch / n_epochs, 30, unicode=terminal.unicode).ljust(30, "─")
        terminal.show_progress(f"   epoch {state.epoch:2}  {done}  loss {state.loss:.4f}")

    began = time.perf_counter()
    curve = network.train(
        np.concatenate(shifted),
        np.tile(digits.y[learn], len(shifted)),
        optimizer=Adam(0.002),
        batch_size=32,
        n_epochs=n_epochs,
        random_state=seed,
        callback=show_epoch,
    )
    elapsed = time.perf_counter() - began

    predicted = network.predict(X[held_out]).argmax(axis=1)
    right = predicted == digits.y[held_out]
    terminal.write_heading(
        f"4  Handwritten digits: {right.mean():.2%} of {len(held_out)} held-out ones are read right"
    )
    terminal.write(
        f"   64-256-10 trained on {len(learn)} others, each also moved by a pixel in 4 directions\n"
        f"   {n_epochs} epochs in {elapsed:.2f} s; the loss of every epoch:"
    )
    for line in line_plot(curve, width=66, height=7, unicode=terminal.unicode):
        terminal.write(f"   {line}")
    show_pictures(terminal, X[held_out], digits.y[held_out], predicted)
    return curve


def shifted_by_a_pixel(X):
    """The pictures as they are, and moved left, right, up and down by one pixel."""
    padded = np.pad(X.reshape(-1, 8, 8), ((0, 0), (1, 1), (1, 1)))
    corners = [(1, 1), (1, 2), (1, 0), (2, 1), (0, 1)]
    return [padded[:, i : i + 8, j : j + 8].reshape(-1, 64) for i, j in corners]


def show_pictures(terminal, X, y, predicted, *, n_right=4, n_wrong=3):
    """Some pictures side by side, first right ones, then wrong ones."""
    right, wrong = np.flatnonzero(predicted == y), np.flatnonzero(predicted != y)
    shown = [*right[:n_right], *wrong[:n_wrong]]
    pictures = [image(X[i].reshape(8, 8), unicode=terminal.unicode) for i in shown]
    for line in zip(*pictures, strict=True):
        terminal.write("   " + " ".join(line).rstrip())
    captions = [
        f"{predicted[i]}" if predicted[i] == y[i] else f"{predicted[i]}, is {y[i]}!" for i in shown
    ]
    terminal.write("   " + " ".join(f"{caption:^10}" for caption in captions).rstrip())


# ---- 5: three ways -------------------------------------------------------------------------


def show_times(terminal, seed):
    """The same training in cbackprop, NumPy and pure Python, timed in turn."""
    cars, digits = load_auto_mpg(), load_digits()
    X, y = standardised(cars.X, slice(None)), cars.y / cars.y.std()
    fuel = time_training(terminal, make_problem([7, 16, 1], X, y, 1, seed), n_epochs=10)
    rows = np.random.RandomState(seed).permutation(len(digits.y))[:640]
    X, y = digits.X[rows] / digits.X.max(), digits.y[rows]
    pixels = time_training(terminal, make_problem([64, 128, 10], X, y, 32, seed), n_epochs=1)

    terminal.write_heading("5  The same training three ways: microseconds a step (× cbackprop's)")
    terminal.write(f"{'cbackprop':>43}{'NumPy':>15}{'pure Python':>20}")
    for name, times in (("fuel, 7-16-1, one car", fuel), ("digits, 64-128-10, 32 digits", pixels)):
        ours, *others = times.seconds_per_step
        columns = [f"{in_microseconds(ours):>10}"]
        columns += [f"{in_microseconds(other):>9} {in_times(other / ours):>7}" for other in others]
        terminal.write(f"   {name:30}{''.join(columns)}")
    largest = max(fuel.difference, pixels.difference)
    terminal.write(
        "   Plain gradient descent in float64 from one start, by the same batches; the\n"
        f"   final weights of the three differ by {largest:.0e} at most"
    )


def make_problem(layer_sizes, X, y, batch_size, seed):
    """What the three train on: numbers to predict for one output, classes for several."""
    output = {"output_activation": "identity", "loss": "squared_error"}
    if layer_sizes[-1] > 1:
        output = {"output_activation": "softmax", "loss": "log_loss"}
    start = Network(layer_sizes, **output, random_state=seed).parameters.copy()
    return Problem(tuple(layer_sizes), batch_size, output, X, y, start)


class Times(NamedTuple):
    """Seconds a step of each, and the largest difference between the weights at the end."""

    seconds_per_step: list
    difference: float


def time_training(terminal, problem, *, n_epochs, n_rounds=5):
    """Train from the start in all three, several times in turn; the shortest times are taken."""
    peers = [peer(problem) for peer in (Cbackprop, NumpyByHand, PurePython)]
    n_steps = n_epochs * problem.steps_per_epoch
    seconds = np.empty((n_rounds, len(peers)))
    for i in range(n_rounds):
        terminal.show_progress(f"   timing {problem.layer_sizes}, round {i + 1} of {n_rounds}")
        for j, peer in enumerate(peers):
            peer.restart()
            began = time.perf_counter()
            peer.train(n_steps)
            seconds[i, j] = time.perf_counter() - began
    ours, *others = (peer.parameters for peer in peers)
    difference = max(np.abs(other - ours).max() for other in others)
    if not difference < 1e-9:
        raise RuntimeError(f"the three trainings ended at weights that differ by {difference:.0e}")
    return Times((seconds.min(axis=0) / n_steps).tolist(), difference)
