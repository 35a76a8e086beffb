"""What this build is, and what of it runs here."""

import platform
from pathlib import Path

import numpy as np

from cbackprop._cpus import n_cpus
from cbackprop._kernels import dispatch

UNFUSED = " (no fused multiply-add: the last bits may differ from those of other machines)"


def get_include() -> str:
    """The folder of cbackprop.h, for C and C++ code that calls the engine (docs/embedding.md)."""
    return str(Path(__file__).parent / "include")


def show_config() -> None:
    """Print the version, the compiler and its flags, instruction sets, precisions and threads."""
    from cbackprop import __version__

    fused = dispatch.IN_USE != "baseline"
    rows = {
        "cbackprop": __version__,
        "Python": f"{platform.python_version()}, NumPy {np.__version__}",
        "platform": f"{platform.system()} {platform.machine()}",
        "compiler": dispatch.COMPILER,
        "flags": dispatch.FLAGS,
        "flags of instruction sets": dispatch.ISA_FLAGS,
        "instruction sets built": ", ".join(dispatch.BUILT),
        "found on this processor": ", ".join(dispatch.FOUND),
        "in use": dispatch.IN_USE + ("" if fused else UNFUSED),
        "precisions": ", ".join(
            f"{name} ({np.finfo(name).bits} bits, epsilon {np.finfo(name).eps:.3g})"
            for name in ("float32", "float64")
        ),
        "threads": f"up to {n_cpus()}",
    }
    width = max(map(len, rows))
    for name, value in rows.items():
        print(f"{name:<{width}}  {value}")
