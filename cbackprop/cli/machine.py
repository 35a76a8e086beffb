"""Where a measurement was made, and a process of its own for it."""

import contextlib
import datetime
import multiprocessing
import os
import platform
import signal
import subprocess
from pathlib import Path

import numpy as np

import cbackprop
from cbackprop._kernels import dispatch

# What BLAS libraries and other peers read when they are loaded, for one thread each.
THREAD_SETTINGS = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "BLIS_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
    "CBACKPROP_NUM_THREADS": "1",
    "TORCHINDUCTOR_COMPILE_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}

# The same for AVX2 at most, where CBACKPROP_ISA holds cbackprop to it. ONNX Runtime has no such
# setting, and XLA keeps its matrix products out of its own. (PyTorch's ATEN_CPU_CAPABILITY would
# have torch.compile take code that it keeps for AVX-512, and compute nonsense.)
AVX2_SETTINGS = {
    "OPENBLAS_CORETYPE": "Haswell",
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "XLA_FLAGS": THREAD_SETTINGS["XLA_FLAGS"] + " --xla_cpu_max_isa=AVX2",
}


class BenchError(Exception):
    """Why there is no result; the message is for the user."""


def describe():
    """Machine, versions, commit and date."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return {
        "machine": {
            "cpu": cpu_name(),
            "system": f"{platform.system()} {platform.machine()}",
            "instruction_set": dispatch.IN_USE,
            "instruction_sets_found": list(dispatch.FOUND),
            "compiler": dispatch.COMPILER,
            "flags": dispatch.FLAGS,
            "core": cores[0] if len(cores) == 1 else None,
        },
        "versions": {
            "cbackprop": cbackprop.__version__,
            "Python": platform.python_version(),
            "NumPy": np.__version__,
            "BLAS": f"{blas.get('name')} {blas.get('version', '')}".strip(),
        },
        "commit": commit(),
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    }


def cpu_name():
    """What the processor calls itself; in a cloud the name alone says little."""
    with contextlib.suppress(OSError, KeyError):
        first, *_ = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")
        pairs = (line.partition(":") for line in first.splitlines())
        said = {key.strip(): value.strip() for key, _, value in pairs}
        return f"{said['model name']} (family {said['cpu family']}, model {said['model']})"
    return platform.processor() or platform.machine()


def commit():
    """Of the git checkout of cbackprop that the package lies in, also in a .venv there; or None."""
    package = Path(cbackprop.__file__).parent
    try:
        top = Path(git("-C", str(package), "rev-parse", "--show-toplevel"))
        if not (top / "cbackprop" / "_kernels").is_dir():
            return None  # a checkout of something else
        return git("-C", str(top), "describe", "--always", "--dirty", "--tags")
    except (OSError, subprocess.SubprocessError):
        return None


def git(*arguments):
    """What git prints."""
    command = ["git", *arguments]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    return finished.stdout.strip()


def in_own_process(function, *args):
    """What `function(*args)` yields in a new process, held to one core and one thread."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send_all, args=(sender, function, args), daemon=True)
    with one_core():
        process.start()
    sender.close()
    try:
        while True:
            message = receiver.recv()
            if message is None:
                return
            if isinstance(message, BenchError):
                raise message
            yield message
    except EOFError:
        process.join()
        raise BenchError(f"the measuring process ended with code {process.exitcode}") from None
    finally:
        process.terminate()
        process.join()


def _send_all(sender, function, args):
    """The new process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C: the parent process ends this one
    with contextlib.suppress(BrokenPipeError):  # the parent process has gone
        try:
            for message in function(*args):
                sender.send(message)
            sender.send(None)
        except BenchError as error:
            sender.send(error)


@contextlib.contextmanager
def one_core():
    """Processes started in this thread inherit one core, the first of ours, and the settings."""
    avx2 = os.environ.get("CBACKPROP_ISA") == "x86-64-v3"
    settings = THREAD_SETTINGS | (AVX2_SETTINGS if avx2 else {})
    before = {name: os.environ.get(name) for name in settings}
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    os.environ.update(settings)
    try:
        if cores:
            with contextlib.suppress(OSError):  # forbidden here; `describe` will tell
                os.sched_setaffinity(0, {min(cores)})
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        if cores:
            with contextlib.suppress(OSError):
                os.sched_setaffinity(0, cores)
