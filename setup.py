"""Builds the extension modules; everything else about the package stands in pyproject.toml."""

import os
import platform
import shutil
import sys
import tempfile
from itertools import groupby
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build import build
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError

ROOT = Path(__file__).parent
# A wheel is made from nothing: what other builds left has other flags, or is no module any more.
WHEEL = "bdist_wheel" in sys.argv
BUILD = Path("build", "wheel") if WHEEL else Path("build")
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
# What is compiled for: cross-compilers and cibuildwheel say so in that variable.
HOST_PLATFORM = os.environ.get("_PYTHON_HOST_PLATFORM") or platform.machine()
MACHINE = HOST_PLATFORM.rpartition("-")[2].lower()
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


def extensions():
    """All of them, as Cython's sources; `directives` says how each is to be compiled."""
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
                    *("line_search", "whole_set", "conjugate_gradient", "lbfgs"),
                    "levenberg_marquardt",
                ]
            ),
            SAFE | FAST,
        ),
        # checks arguments and calls: nothing in it indexes arrays; a network that was never built,
        # as unpicklers of all kinds make, is an error there, too
        (modules(["_call", "_train", "network"]), SAFE | {"nonecheck": True}),
        (modules(["capi"]), SAFE | FAST),
    )
    for members, directives in floors:
        for extension in members:
            extension.directives = directives
    return [extension for members, _ in floors for extension in members]


NO_COMPILER = """
cbackprop is compiled here, and the C compiler failed at a file that only includes Python.h.
Install a C compiler and the headers of this Python, and try again:
    Debian, Ubuntu    apt install gcc libc6-dev python3-dev
    Fedora, RHEL      dnf install gcc python3-devel
    Alpine            apk add gcc musl-dev python3-dev
    macOS             xcode-select --install
    Windows           the "Desktop development with C++" of the Visual Studio Build Tools
The compiler said:
"""


class Build(build):
    def initialize_options(self):
        super().initialize_options()
        self.build_base = str(BUILD)


class BuildExtensions(build_ext):
    def finalize_options(self):
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count()

    def run(self):
        # Not earlier: who only asks for the package's name or files need not wait for Cython.
        for directives, members in groupby(self.extensions, lambda extension: extension.directives):
            members = list(members)
            compiled = cythonize(
                members,
                compiler_directives=directives,
                build_dir=str(BUILD / "cython"),
                include_path=["."],
                nthreads=0 if WINDOWS else os.cpu_count(),
            )
            for extension, in_c in zip(members, compiled, strict=True):
                extension.sources, extension.depends = in_c.sources, in_c.depends
        super().run()

    def build_extensions(self):
        # Where the building interpreter's libraries lie is nothing to tell to other machines.
        linker = getattr(self.compiler, "linker_so", [])
        linker[:] = [argument for argument in linker if not argument.startswith("-Wl,-rpath")]
        self.ask_for_a_compiler()
        super().build_extensions()

    def ask_for_a_compiler(self):
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "probe.c")
            source.write_text("#include <Python.h>\n")
            try:
                self.compiler.compile([str(source)], output_dir=folder)
            except CompileError as error:
                raise SystemExit(f"{NO_COMPILER}    {error}") from error


if __name__ == "__main__":
    if WHEEL:
        shutil.rmtree(BUILD, ignore_errors=True)
    setup(ext_modules=extensions(), cmdclass={"build": Build, "build_ext": BuildExtensions})
