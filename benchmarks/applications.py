"""The applications of examples/: a web service, a control loop at 10 kHz, a training event loop.

python benchmarks/applications.py [--json FILE] [--rounds N]

- The service: requests a second of four clients, and how long one takes, with one worker and with
  two, in turn; the round with the most requests counts. All of them share this machine.
- The control loop: how late its periods of 100 us begin and end, over the periods of all rounds.
- The event loop: by how much it was late at most, in half a second without training and in one with
  it; how soon a training that is cancelled has ended.

A system without real-time guarantees and other work on the machine show in all of it. Needs a
system that forks.
"""

import asyncio
import multiprocessing
import sys
import time

import common
import numpy as np

from cbackprop import Adam, Network
from cbackprop.cli.machine import BenchError

sys.path.append(str(common.HERE.parent / "examples"))

N_REQUESTS = 500  # of each client
N_PERIODS = 20_000  # two seconds
SECONDS = 0.5  # of the event loop


def measure(rounds, dtype):
    """A line for each; the result has every round of service and event loop."""
    if "fork" not in multiprocessing.get_all_start_methods():
        raise BenchError("needs a system that forks")
    answers = service(rounds)
    for n_workers, found in answers.items():
        rate, median, most = max(found)  # the round with the most requests
        yield (
            f"service, workers: {n_workers}: {rate:,.0f} requests a second, "
            f"{1e3 * median:.2f} ms (median), {1e3 * most:.2f} ms (99 %)"
        )
    periods = control_loop(rounds)
    for what in ("began", "ended"):
        median, most, worst = periods[what]
        yield (
            f"control loop: periods {what} after {1e6 * median:.1f} us (median), "
            f"{1e6 * most:.1f} us (99 %), {1e6 * worst:.0f} us (worst)"
        )
    yield f"control loop: {periods['left_out']:,} of {periods['due']:,} periods were left out"
    pauses = event_loop(rounds)
    for what, seconds in pauses.items():
        median, worst = 1e3 * np.median(seconds), 1e3 * max(seconds)
        yield f"event loop, {what}: {median:.1f} ms, {worst:.1f} at most"
    yield {"service": answers, "control_loop": periods, "event_loop": pauses}


def service(rounds):
    """For one worker and two, by rounds: requests a second, percentiles 50 and 99 of seconds."""
    import service as example

    found = {"1": [], "2": []}
    for _ in range(rounds):
        for n_workers, its_rounds in found.items():
            answers = example.measure(int(n_workers), n_requests=N_REQUESTS)
            its_rounds.append([float(number) for number in answers])
    return found


def control_loop(rounds):
    """Percentiles 50, 99 and 100 of the seconds after which periods began and ended."""
    import control_loop as example

    began, ended, _ = zip(*(example.run(N_PERIODS) for _ in range(rounds)), strict=True)
    began, ended = np.concatenate(began), np.concatenate(ended)
    left_out = int((ended // example.PERIOD).sum())
    found = {"left_out": left_out, "due": len(ended) + left_out}
    for what, delays in {"began": began, "ended": ended}.items():
        found[what] = (np.percentile(delays, [50, 99, 100]) / 1e9).tolist()
    return found


def event_loop(rounds):
    """Seconds of each round, by what took them."""
    found = {
        "late without training": [],
        "late while it trains": [],
        "until a cancel is obeyed": [],
    }
    for _ in range(rounds):
        for its_rounds, seconds in zip(found.values(), asyncio.run(trained()), strict=True):
            its_rounds.append(seconds)
    return found


async def trained():
    """The loop's longest pauses without and with a training, and how long its end took."""
    import asyncio_training as example

    X, y = example.make_data()
    idle = await example.longest_pause(SECONDS)
    training = asyncio.create_task(
        example.train(
            Network((8, 64, 1), random_state=0),
            *(X, y),
            report=lambda *_: None,
            optimizer=Adam(),
            batch_size=32,
            n_epochs=10**6,
        )
    )
    busy = await example.longest_pause(SECONDS)
    training.cancel()
    began = time.perf_counter()
    try:
        await training
    except asyncio.CancelledError:
        return idle, busy, time.perf_counter() - began
    raise BenchError("the training has ended before it was cancelled")


if __name__ == "__main__":
    common.run(__doc__, measure, rounds=5, one_core=False, dtypes=("float64",))
