"""The applications of examples/: in an event loop, as a web service, in a control loop."""

import asyncio
import functools
import multiprocessing
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from cbackprop import Adam, Network

FOLDER = Path(__file__).parents[1] / "examples"

if not FOLDER.is_dir():
    pytest.skip("the examples do not lie beside the tests", allow_module_level=True)


@pytest.fixture
def application(import_from):
    """A function that imports one by name, for this test only."""
    return functools.partial(import_from, FOLDER)


# ---- an event loop ----


def test_training_in_an_event_loop_is_training(application):
    example = application("asyncio_training")
    X, y = example.make_data(200)
    network, alone = (Network((8, 5, 1), random_state=0) for _ in range(2))
    options = {"batch_size": 32, "n_epochs": 30, "random_state": 1}
    threads, reported = set(), []

    def report(epoch, loss):
        threads.add(threading.current_thread())
        reported.append((epoch, loss))

    losses = asyncio.run(example.train(network, X, y, report=report, optimizer=Adam(), **options))
    expected = alone.train(X, y, optimizer=Adam(), **options)
    assert network == alone
    assert np.array_equal(losses, expected)
    assert threads == {threading.current_thread()}
    assert reported == list(enumerate(expected, 1))


def test_a_cancelled_training_leaves_its_last_epoch(application):
    example = application("asyncio_training")
    X, y = example.make_data(200)
    network, alone = (Network((8, 5, 1), random_state=0) for _ in range(2))
    optimizer, its_optimizer = Adam(), Adam()

    async def cancel_after_some():
        some = asyncio.Event()
        task = asyncio.create_task(
            example.train(
                network, X, y, optimizer=optimizer, n_epochs=10**9, shuffle=False,
                report=lambda epoch, _: some.set() if epoch == 5 else None,
            )
        )  # fmt: skip
        await some.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel_after_some())
    assert optimizer.n_steps >= 5
    alone.train(X, y, optimizer=its_optimizer, n_epochs=optimizer.n_steps, shuffle=False)
    assert network == alone
    assert optimizer == its_optimizer


def test_an_error_of_training_comes_out_of_the_event_loop(application):
    example = application("asyncio_training")
    X, y = example.make_data(20)
    with pytest.raises(ValueError, match="y must have"):
        asyncio.run(
            example.train(Network((8, 5, 1)), X, y[:-1], optimizer=Adam(), report=lambda *_: None)
        )


# ---- a service ----

needs_fork = pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="the service forks its workers"
)


@pytest.fixture
def service(application):
    """The module and the port of two workers."""
    example = application("service")
    port, workers = example.start(2)
    yield example, port
    example.stop(workers)


@needs_fork
def test_the_service_answers_what_the_network_predicts(service):
    example, port = service
    rows = np.random.default_rng(0).uniform(-1, 1, (40, 8))
    expected = example.make_network().predict(rows)
    assert example.ask(port, rows.tolist()) == (200, {"predictions": expected.tolist()})
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda row: example.ask(port, [row]), rows.tolist()))
    for (status, answer), row in zip(answers, rows, strict=True):
        assert status == 200
        assert answer["predictions"] == example.make_network().predict(row[None]).tolist()


@needs_fork
@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([[1.0] * 7], "X must have 8 columns"),
        ([["a"] * 8], "X must hold real numbers"),
        ([[float("nan")] * 8], "X must be finite"),
        ([], "X must have two dimensions"),
    ],
)
def test_the_service_says_what_is_wrong_with_rows(service, rows, said):
    example, port = service
    status, answer = example.ask(port, rows)
    assert status == 400
    assert said in answer["error"]
    assert example.ask(port, [[0.0] * 8])[0] == 200


@needs_fork
def test_the_service_is_measured(application):
    rate, median, most = application("service").measure(2, n_clients=2, n_requests=10)
    assert rate > 0
    assert 0 < median <= most < np.inf


# ---- a control loop ----


def test_the_control_loop_learns_and_learns_anew(application):
    example = application("control_loop")
    began, ended, errors = example.run(6000)
    assert (began >= 0).all()
    assert (ended > began).all()
    first, learnt, changed, last = errors[:50], errors[2500:3000], errors[3000:3050], errors[-500:]
    assert learnt.mean() < first.mean() / 20
    assert last.mean() < changed.mean() / 2


def test_the_control_loop_says_how_late_it_was(application, capsys):
    example = application("control_loop")
    period = example.PERIOD
    began = np.array([0, 1000, 2000.0] * 100)
    ended = np.array([30_000, 40_000, 2.5 * period] * 100)
    example.report(began, ended, np.full(300, 0.01))
    said = capsys.readouterr().out
    assert "began after 1.0 us (median), 2.0 us (99 %), 2 us (worst)" in said
    assert "ended after 40.0 us (median), 250.0 us (99 %), 250 us (worst)" in said
    assert "200 of 500 periods were left out" in said
    assert "at last: 0.1000" in said
