"""Builds the extension modules; everything else about the package stands in pyproject.toml."""

import os
import platform
import shutil
import sys
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).parent
BUILD = Path("build")
DEBUG = os.environ.get("CBACKPROP_DEBUG", "0") != "0"

SAFE = {"language_level": 3, "freethreading_compatible": True, "auto_pickle": False}
FAST = {"boundscheck": DEBUG, "wraparound": DEBUG, "initializedcheck": DEBUG, "cdivision": True}
# The kernels work on pointers: nothing there that bounds checks could see.
KERNEL = SAFE | {
    "boundscheck": False,
    "wraparound": False,
    "initializedcheck": False,
    "cdivision": True,
}

WINDOWS = sys.platform == "win32"
MACHINE = platform.machine().lower()
# -ffp-contract=off: what is fused is said in the source, so that all compilers give the same bits.
FLAGS = (
    ["/O2"]
    if WINDOWS
    else [
        "-O3",
        "-fno-math-errno",
        "-ffp-contract=off",
        "-fvisibility=hidden",
        "-g0",
        # Cython's own loops compare signed with unsigned; vectors stay inside one module
        "-Wno-sign-compare",
        "-Wno-psabi",
        "-Wno-unused-function",
    ]
)
LINK = [] if WINDOWS or sys.platform == "darwin" else ["-Wl,-s"]

# What _kernels/dispatch.pyx asks the processor for, and no more.
AVX2 = ["-mavx2", "-mfma", "-mbmi", "-mbmi2"]
AVX512 = AVX2 + ["-mavx512f", "-mavx512bw", "-mavx512cd", "-mavx512dq", "-mavx512vl"]

# instruction set: bytes in a vector (0: a compiler without vector types), flags
if WINDOWS:
    VARIANTS = {"baseline": (0, [])}
elif MACHINE in ("x86_64", "amd64"):
    VARIANTS = {
        "baseline": (16, []),
        "x86-64-v3": (32, AVX2),
        "x86-64-v4": (64, AVX512),
    }
elif MACHINE in ("aarch64", "arm64"):
    VARIANTS = {"neon": (16, [])}
else:
    VARIANTS = {"baseline": (0, [])}
if os.environ.get("CBACKPROP_TEST_VECTORS", "0") != "0":
    # For tests of what is seldom run: one lane, and 64-byte vectors without AVX-512.
    VARIANTS = {"baseline": (0, []), "x86-64-v3": (64, AVX2)}
PRECISIONS = {"float32": ("float", 4), "float64": ("double", 8)}


def modules(names, macros=()):
    return [
        Extension(
            f"cbackprop.{name}",
            [f"cbackprop/{name.replace('.', '/')}.pyx"],
            define_macros=list(macros),
            include_dirs=["cbackprop", "cbackprop/include"],
            depends=["cbackprop/_threads.h", "cbackprop/include/cbackprop.h"],
            extra_compile_args=FLAGS,
            extra_link_args=LINK,
        )
        for name in names
    ]


def kernels():
    """One extension for each instruction set and precision, each from a copy of its own.

    Parallel builds of one shared source would write one object file at once (setuptools #3942).
    """
    copies = BUILD / "kernels"
    copies.mkdir(parents=True, exist_ok=True)
    source = ROOT / "cbackprop" / "_kernels" / "variant.pyx"
    # Cython does not follow the copies' cimports: each is made anew after any change there.
    changed = max(path.stat().st_mtime for path in source.parent.glob("*.[ph]*"))
    found = []
    for isa, (vector_bytes, flags) in VARIANTS.items():
        for precision, (real, real_bytes) in PRECISIONS.items():
            name = f"_{isa.replace('-', '_')}_{precision}"
            copy = copies / f"{name}.pyx"
            if not copy.exists() or copy.stat().st_mtime < changed:
                shutil.copyfile(source, copy)
            found.append(
                Extension(
                    f"cbackprop._kernels.{name}",
                    [str(copy)],
                    define_macros=[
                        ("CBACKPROP_REAL", real),
                        ("CBACKPROP_REAL_BYTES", str(real_bytes)),
                        ("CBACKPROP_VECTOR_BYTES", str(vector_bytes)),
                    ],
                    include_dirs=["cbackprop/_kernels"],
                    depends=["cbackprop/_kernels/simd.h"],
                    extra_compile_args=FLAGS + flags,
                    extra_link_args=LINK,
                )
            )
    return found


class BuildInParallel(build_ext):
    def finalize_options(self):
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count()


def extensions():
    isa_flags = "; ".join(f"{isa}: {' '.join(flags)}" for isa, (_, flags) in VARIANTS.items())
    config = [
        ("CBACKPROP_FLAGS", f'"{" ".join(FLAGS)}"'),
        ("CBACKPROP_ISAS", f'"{" ".join(VARIANTS)}"'),
        ("CBACKPROP_ISA_FLAGS", f'"{isa_flags}"'),
    ]
    floors = (
        (kernels(), KERNEL),
        (modules(["_kernels.dispatch"], config) + modules(["_kernels.testing"]), SAFE),
        (
            modules(
                [
                    *("_memory", "_threads", "activations", "dense", "sparse", "losses"),
                    *("backprop", "optimizers", "team", "training", "predicting", "derivatives"),
                    *("conjugate_gradient", "levenberg_marquardt"),
                ]
            ),
            SAFE | FAST,
        ),
        # checks arguments and calls: nothing in it indexes arrays; a network that was never built,
        # as unpicklers of all kinds make, is an error there, too
        (modules(["_call", "_train", "network"]), SAFE | {"nonecheck": True}),
        (modules(["capi"]), SAFE | FAST),
    )
    return [
        extension
        for sources, directives in floors
        for extension in cythonize(
            sources,
            compiler_directives=directives,
            build_dir=str(BUILD / "cython"),
            include_path=["."],
            nthreads=0 if WINDOWS else os.cpu_count(),
        )
    ]


if __name__ == "__main__":
    setup(ext_modules=extensions(), cmdclass={"build_ext": BuildInParallel})
