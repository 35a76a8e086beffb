"""Cases of test_pool.py that need a process of their own: `python threads.py <case>` prints "done".

What is left undone makes the process fail, or wait until the test's time is up.
"""

import os
import resource
import signal
import sys
import threading
import time

import numpy as np

from cbackprop import SGD, Adam, Network

FOREVER = 10**9  # epochs
TIMEOUT = 30  # seconds
RNG = np.random.default_rng(0)
X = RNG.normal(size=(700, 40))
Y = RNG.normal(size=(700, 3))


def trained(n_threads, n_epochs=3, seed=0, network=None, **arguments):
    """A network after some training."""
    network = network or Network((40, 130, 70, 3), random_state=seed)
    network.train(
        X, Y, optimizer=Adam(), n_epochs=n_epochs, batch_size=300, random_state=seed,
        n_threads=n_threads, **arguments,
    )  # fmt: skip
    return network


EXPECTED = trained(1)


def train_for_ever(n_threads):
    """In a daemon thread; it has begun."""
    network = Network((40, 130, 70, 3))
    options = {"n_epochs": FOREVER, "network": network}
    threading.Thread(target=trained, args=(n_threads,), kwargs=options, daemon=True).start()
    time.sleep(0.1)  # not less: a network that is read is not trained
    while not in_training(network):
        time.sleep(0.1)


def in_training(network):
    try:
        network.predict(X[:1])
    except RuntimeError:
        return True
    return False


def n_tasks():
    """Threads of this process, whoever made them."""
    return len(os.listdir("/proc/self/task"))


def in_child(function):
    """Forks, and waits for the child's success."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            function()
            status = 0
        finally:
            os._exit(status)
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            assert os.waitstatus_to_exitcode(status) == 0
            return
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    raise AssertionError("the child hangs")


def check():
    assert trained(2) == EXPECTED
    assert trained(4) == EXPECTED
    for n_threads in (1, 3):
        assert np.array_equal(EXPECTED.predict(X, n_threads=n_threads), EXPECTED.predict(X))


# ---- forks ----


def fork_after():
    check()
    for _ in range(20):
        in_child(check)
    in_child(lambda: in_child(check))
    check()


def fork_meanwhile():
    train_for_ever(2)
    for _ in range(20):
        in_child(check)
        time.sleep(0.003)
    check()


def fork_in_callback():
    """The child trains on where its parent's threads are not."""
    children = []

    def fork(state):
        if state.epoch == 2:
            children.append(os.fork())

    network = trained(3, n_epochs=3, callback=fork)
    if children == [0]:
        os._exit(0 if network == EXPECTED and trained(2) == EXPECTED else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]) == 0
    assert network == EXPECTED


def fork_in_handler():
    """The threads' shares are lost to the child: it is told so, and may compute anew."""
    children = []

    def fork(*_):
        children.append(os.fork())
        if children[0]:
            raise KeyboardInterrupt

    signal.signal(signal.SIGALRM, fork)
    large = Network((500, 1000, 500), dtype="float32")
    data = RNG.normal(size=(256 * 100, 500)).astype("f")
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        large.train(data, data, optimizer=SGD(1e-9), batch_size=256, n_threads=2)
    except KeyboardInterrupt:
        assert children[0]
    except RuntimeError as error:
        assert "forked" in str(error)
        assert children == [0]
        check()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]) == 0
    check()


def spawned(_):
    check()
    return True


def processes(method):
    import multiprocessing

    check()
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.map_async(spawned, range(4)).get(TIMEOUT) == [True] * 4


# ---- threads ----


def idle():
    """Threads without work take no processor, and are not made anew for each call."""
    trained(4)
    before = n_tasks()
    for _ in range(20):
        trained(4)
        EXPECTED.predict(X, n_threads=3)
    assert n_tasks() == before
    time.sleep(0.05)
    used = time.process_time()
    time.sleep(0.5)
    assert time.process_time() - used < 0.02


def as_many_as_asked_for():
    before = n_tasks()
    for n_threads in (1, 2, 5, 3):
        trained(n_threads)
        made = n_tasks() - before
        assert made == {1: 0, 2: 1, 5: 4, 3: 4}[n_threads]
    trained(None)  # too small to be worth a thread
    assert n_tasks() == before + 4


def no_thread_to_be_had():
    """One thread then computes what many would."""
    if os.geteuid() == 0:
        os.setuid(65534)
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    try:
        threading.Thread(target=print).start()
    except RuntimeError:
        check()
    else:
        print("not limited")
        sys.exit()


def signals_go_to_python():
    """A worker gets no signal: whatever it is sent, the main thread handles it."""
    seen = []
    signal.signal(signal.SIGUSR1, lambda *_: seen.append(threading.current_thread()))
    tasks = set(os.listdir("/proc/self/task"))
    trained(4)
    workers = set(os.listdir("/proc/self/task")) - tasks
    assert len(workers) == 3
    for worker in workers:
        with open(f"/proc/self/task/{worker}/status") as status:
            blocked = next(line for line in status if line.startswith("SigBlk"))
        assert int(blocked.split()[1], 16) >> (signal.SIGUSR1 - 1) & 1
    os.kill(os.getpid(), signal.SIGUSR1)
    assert seen == [threading.main_thread()]


def side_by_side():
    """Two Python threads that each train with threads of their own, and predict."""
    expected = [trained(1, 10, seed) for seed in range(2)]
    found = [[], []]

    def train(seed):
        for _ in range(10):
            network = trained(2 + seed, 10, seed)
            assert np.array_equal(network.predict(X, n_threads=2), expected[seed].predict(X))
            found[seed].append(network == expected[seed])

    threads = [threading.Thread(target=train, args=(seed,)) for seed in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT)
    assert found == [[True] * 10] * 2


def nested():
    """A callback computes with threads while the training holds its own."""

    def compute(state):
        assert np.isfinite(state.network.predict(X, n_threads=2)).all()
        assert trained(3) == EXPECTED

    assert trained(2, callback=compute) == EXPECTED


def exit_meanwhile():
    train_for_ever(2)


CASES = {
    case.__name__: case
    for case in (
        *(fork_after, fork_meanwhile, fork_in_callback, fork_in_handler, idle, nested),
        *(as_many_as_asked_for, no_thread_to_be_had, signals_go_to_python, side_by_side),
        *(exit_meanwhile,),
    )
} | {method: lambda method=method: processes(method) for method in ("fork", "spawn", "forkserver")}


if __name__ == "__main__":
    CASES[sys.argv[1]]()
    print("done")
