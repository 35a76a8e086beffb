"""How many threads compute where nobody says: those the process may use, if they are worth it."""

import functools
import math
import os
import sys
from pathlib import Path

from cbackprop import _checks as checks

# Multiply-adds of a block of rows, in training or predicting, from which on a further thread is a
# gain: some hundred times what it takes to hand a share over and to wait for the slower thread.
WORK_OF_A_THREAD = 1 << 23


def as_n_threads(n_threads, work):
    """(threads to be had, processors to be shared with other callers, or 0 for all the threads)"""
    if n_threads is not None:
        return checks.as_count("n_threads", n_threads), 0
    if work < 2 * WORK_OF_A_THREAD:
        return 1, 0
    cpus = n_cpus()
    return min(cpus, work // WORK_OF_A_THREAD), cpus


def work_of_a_row(X, n_parameters, n_out):
    """Multiply-adds of a forward pass whose first layer has n_out outputs; sparse rows' average."""
    if not isinstance(X, checks.SparseRows):
        return n_parameters
    n_rows, n_in = X.shape
    return n_parameters + (X.data.size // n_rows - n_in) * n_out


def n_cpus():
    """How many threads this process may let compute at a time.

    CBACKPROP_NUM_THREADS says so. Else it is the processors it may run on, its group's quota of
    time rounded up, and what OMP_NUM_THREADS allows, whichever is least; where that is not set, a
    worker of multiprocessing gets one, for its brothers have the others.
    """
    said = os.environ.get("CBACKPROP_NUM_THREADS", "").strip()
    if said:
        return checks.as_count("CBACKPROP_NUM_THREADS", int(said) if said.isdecimal() else said)
    return min(_affinity(), quota(), _limit())


def _affinity():
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on this system
        return os.cpu_count() or 1


def _limit():
    # libraries' pools of workers (joblib's, Dask's) set it for theirs; "4,2" is for nested loops
    said = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if said.isdecimal() and int(said) > 0:
        return int(said)
    processes = sys.modules.get("multiprocessing.process")
    return 1 if processes and processes.parent_process() is not None else sys.maxsize


@functools.cache
def quota(root="/"):
    """The processors' worth of time that the control groups of this process allow, at least 1."""
    root = Path(root)
    limits = [math.inf]
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:  # version 2
            folder, names = root / "sys/fs/cgroup", ("cpu.max",)
        elif "cpu" in controllers.split(","):
            folder, names = root / "sys/fs/cgroup/cpu", ("cpu.cfs_quota_us", "cpu.cfs_period_us")
        else:
            continue
        # a group is held to its parents' limits; in a container the path may be the outer one
        group = Path(path.lstrip("/"))
        for part in (group, *group.parents):
            numbers = " ".join(_read(folder / part / name) for name in names).split()
            if len(numbers) == 2 and all(number.isdecimal() for number in numbers):
                limits.append(math.ceil(int(numbers[0]) / int(numbers[1])))
    return max(1, min(limits))


def _read(path):
    try:
        return path.read_text()
    except OSError:
        return ""
