"""An asyncio application that trains a network in a thread, with progress and cancellation.

python examples/asyncio_training.py
"""

import asyncio
import threading
import time

import numpy as np

from cbackprop import Adam, Network


async def train(network, X, y, *, report, **options):
    """`Network.train` in a thread, which a cancelled task leaves after the epoch it is in.

    `report(epoch, loss)` is called in the event loop, for each epoch. What is left of a cancelled
    training is a network as the last epoch left it, free to be used.
    """
    loop = asyncio.get_running_loop()
    cancelled = threading.Event()

    def callback(state):
        loop.call_soon_threadsafe(report, state.epoch, state.loss)
        return cancelled.is_set()

    training = asyncio.ensure_future(
        asyncio.to_thread(network.train, X, y, callback=callback, **options)
    )
    try:
        return await asyncio.shield(training)
    except asyncio.CancelledError:
        cancelled.set()
        await training
        raise


async def longest_pause(seconds):
    """How long the loop let a task wait at most that wanted to run every millisecond."""
    longest, end = 0.0, time.perf_counter() + seconds
    while (began := time.perf_counter()) < end:
        await asyncio.sleep(0.001)
        longest = max(longest, time.perf_counter() - began - 0.001)
    return longest


def make_data(n_samples=2000):
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, (n_samples, 8))
    return X, np.sin(3 * X[:, :4]).sum(axis=1)


async def main():
    X, y = make_data()
    network = Network((8, 64, 1), random_state=0)
    losses = {}
    options = {"optimizer": Adam(), "batch_size": 32, "random_state": 0}

    trained = asyncio.create_task(
        train(network, X, y, n_epochs=100, report=losses.__setitem__, **options)
    )
    pause = await longest_pause(0.2)
    await trained
    print(f"trained for {len(losses)} epochs: loss {losses[1]:.3f} -> {losses[100]:.5f}")
    print(f"the event loop was late by {1000 * pause:.1f} ms at most while it trained")

    losses.clear()
    endless = asyncio.create_task(
        train(network, X, y, n_epochs=10**6, report=losses.__setitem__, **options)
    )
    await asyncio.sleep(0.1)
    endless.cancel()
    began = time.perf_counter()
    try:
        await endless
    except asyncio.CancelledError:
        waited = time.perf_counter() - began
        print(f"cancelled after {len(losses)} epochs, {1000 * waited:.1f} ms after it was asked to")
    print(f"the network is free again: {network.loss_value(X, y):.5f}")


if __name__ == "__main__":
    asyncio.run(main())
