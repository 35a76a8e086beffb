"""What this build is, and what of it runs here."""

import platform

import numpy as np

from cbackprop._kernels import dispatch


def show_config():
    """Prints the version, the compiler and its flags, the instruction sets, the precisions and the threads."""
    from cbackprop import __version__

    fused = dispatch.IN_USE != "baseline"
    rows = {
        "cbackprop": __version__,
        "Python": f"{platform.python_version()}, NumPy {np.__version__}",
        "platform": f"{platform.system()} {platform.machine()}",
        "compiler": dispatch.COMPILER,
        "flags": dispatch.FLAGS,
        "instruction sets built": ", ".join(dispatch.BUILT),
        "found on this processor": ", ".join(dispatch.FOUND),
        "in use": dispatch.IN_USE
        + ("" if fused else " (no fused multiply-add: results may differ from other machines' in the last bits)"),
        "precisions": ", ".join(
            f"{name} ({np.finfo(name).bits} bits, epsilon {np.finfo(name).eps:.3g})"
            for name in ("float32", "float64")
        ),
        "threads": "1",
    }
    width = max(map(len, rows))
    for name, value in rows.items():
        print(f"{name:<{width}}  {value}")
