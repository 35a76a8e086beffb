"""A control loop at 10 kHz: a network foresees the plant, and learns from every step.

    python examples/control_loop.py [--seconds S]

In each period of 100 us the loop reads the plant, lets the network learn the step that has just
been seen, and chooses the input whose foreseen output comes nearest to the reference. Half way
through, the plant changes. Printed is how late the periods began and ended, on a system without
real-time guarantees.
"""

import argparse
import gc
import time

import numpy as np

from cbackprop import SGD, Network

PERIOD = 100_000  # ns
CANDIDATES = np.linspace(-1, 1, 8)


class Plant:
    """y' = 0.9 y + gain tanh(2 u), and noise."""

    def __init__(self):
        self.gain = 0.2
        self.y = 0.0
        self.noise = iter(np.random.default_rng(0).normal(0, 0.002, 2**20).tolist())

    def step(self, u):
        self.y = 0.9 * self.y + self.gain * np.tanh(2 * u) + next(self.noise)
        return self.y


class Controller:
    """Foresees the next output from the last one and the input, and learns to."""

    def __init__(self):
        self.network = Network((2, 16, 1), activation="tanh", random_state=0)
        self.optimizer = SGD(0.05)
        self.inputs = np.column_stack([np.zeros_like(CANDIDATES), CANDIDATES])
        self.foreseen = np.empty((len(CANDIDATES), 1))
        self.seen = np.empty((1, 2))
        self.target = np.empty((1, 1))

    def learn(self, y_before, u, y):
        self.seen[0] = y_before, u
        self.target[0] = y
        # the loss of a step is that before it
        return self.network.train(
            self.seen, self.target, optimizer=self.optimizer, shuffle=False, n_threads=1
        )[0]

    def choose(self, y, reference):
        self.inputs[:, 0] = y
        self.network.predict(self.inputs, out=self.foreseen)
        return float(CANDIDATES[np.abs(self.foreseen[:, 0] - reference).argmin()])


def run(n_periods):
    """Begins and ends of the periods, in ns after they were due, and squared errors of foresight.

    A period that is due while another lasts is left out.
    """
    plant, controller = Plant(), Controller()
    began, ended, errors = (np.empty(n_periods) for _ in range(3))
    y = u = 0.0
    controller.learn(0.0, 0.0, 0.0)  # what is loaded at first use is loaded now
    controller.choose(0.0, 0.0)
    gc.collect()
    gc.disable()
    try:
        due = time.perf_counter_ns() + PERIOD
        for k in range(n_periods):
            while (now := time.perf_counter_ns()) < due:
                pass
            began[k] = now - due
            if k == n_periods // 2:
                plant.gain = 0.1
            y_before, y = y, plant.step(u)
            errors[k] = 2 * controller.learn(y_before, u, y)
            u = controller.choose(y, 0.5 if k // 1000 % 2 else -0.5)
            ended[k] = time.perf_counter_ns() - due
            due += PERIOD * (1 + int(ended[k]) // PERIOD)
    finally:
        gc.enable()
    return began, ended, errors


def report(began, ended, errors):
    for what, delays in {"began": began, "ended": ended}.items():
        median, most = np.percentile(delays, [50, 99]) / 1000
        print(
            f"periods {what} after {median:.1f} us (median), {most:.1f} us (99 %), "
            f"{delays.max() / 1000:.0f} us (worst)"
        )
    left_out = int((ended // PERIOD).sum())
    print(
        f"{left_out:,} of {len(ended) + left_out:,} periods were left out: one before took too long"
    )
    half = len(errors) // 2
    tenth = len(errors) // 10
    for when, part in {
        "at first": errors[:100],
        "then": errors[half - tenth : half],
        "after the plant changed": errors[half : half + 100],
        "at last": errors[-tenth:],
    }.items():
        print(f"error of foresight {when}: {np.sqrt(part.mean()):.4f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A control loop at 10 kHz that learns online.")
    parser.add_argument("--seconds", type=float, default=5.0)
    report(*run(int(parser.parse_args().seconds * 1e9 / PERIOD)))
