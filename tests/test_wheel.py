"""What is installed: these files, small ones, and nothing of the machine they were built on."""

import importlib.machinery
import importlib.metadata
import re
import sys
from pathlib import Path

import pytest
from test_package import installations, is_editable

from cbackprop._kernels import dispatch

ROOT = Path(__file__).parent.parent
SUFFIXES = tuple(importlib.machinery.EXTENSION_SUFFIXES)
DATA = {
    "cbackprop/__init__.pxd",
    "cbackprop/capi.pxd",
    "cbackprop/include/cbackprop.h",
    "cbackprop/cli/peers/fann.c",
    "cbackprop/datasets/README.md",
    "cbackprop/datasets/auto_mpg.csv.gz",
    "cbackprop/datasets/digits.csv.gz",
}
ABOUT = {
    *("METADATA", "RECORD", "WHEEL", "entry_points.txt", "top_level.txt"),
    "licenses/LICENSE",
    "licenses/cbackprop/datasets/README.md",
    "licenses/cbackprop/datasets/LICENSE-CC-BY-4.0.txt",
}
INSTALLERS_OWN = {"INSTALLER", "REQUESTED", "direct_url.json"}
INSTALLED_BYTES = 6_000_000
# What any Linux has, or the C library of macOS or Windows and the interpreter itself.
LIBRARIES = re.compile(
    rb"(ld-linux[\w-]*|ld-musl-\w+|libc|libpthread|libc\.musl-\w+)\.so(\.\d+)?|/usr/lib/libSystem.B.dylib"
)


@pytest.fixture(scope="module")
def installed():
    """Each file by its name in the wheel, for one that was installed from a wheel."""
    found = [one for one in installations() if not is_editable(one)]
    if not found:
        pytest.skip("cbackprop is not installed from a wheel")
    files = {file.as_posix(): Path(file.locate()) for file in found[0].files}
    return {name: path for name, path in files.items() if "__pycache__" not in name}


@pytest.fixture(scope="module")
def compiled(installed):
    """The bytes of each extension module"""
    return {name: path.read_bytes() for name, path in installed.items() if name.endswith(SUFFIXES)}


def test_a_wheel_has_these_files_and_no_others(installed):
    sources = ROOT / "cbackprop"
    python = {
        path.relative_to(ROOT).as_posix()
        for pattern in ("*.py", "*.pyi", "py.typed")
        for path in sources.rglob(pattern)
    }
    modules = {
        path.relative_to(ROOT).with_suffix("").as_posix()
        for path in sources.rglob("*.pyx")
        if path.name != "variant.pyx"
    } | {
        f"cbackprop/_kernels/_{isa.replace('-', '_')}_{precision}"
        for isa in dispatch.BUILT
        for precision in ("float32", "float64")
    }
    found = {}
    for name in installed:
        top, _, rest = name.partition("/")
        kind = "about" if top.endswith(".dist-info") else "command" if top == ".." else "package"
        if kind == "package" and name.endswith(SUFFIXES):
            kind, rest = "modules", name.partition(".")[0]
        found.setdefault(kind, set()).add(name if kind == "package" else rest)
    assert found.pop("package") == python | DATA
    assert found.pop("modules") == modules
    assert found.pop("about") - INSTALLERS_OWN == ABOUT
    assert len(found.pop("command")) == 1
    assert not found


def test_it_is_small(installed):
    assert sum(path.stat().st_size for path in installed.values()) <= INSTALLED_BYTES


def test_every_licence_comes_along(installed):
    """The file says so itself, for tools that look there."""
    metadata = importlib.metadata.metadata("cbackprop")
    assert metadata["License-Expression"] == "BSD-3-Clause AND CC-BY-4.0"
    licences = {file.removeprefix("licenses/") for file in ABOUT if file.startswith("licenses/")}
    assert set(metadata.get_all("License-File")) == licences
    for file in licences:
        (shipped,) = (p for n, p in installed.items() if n.endswith(f".dist-info/licenses/{file}"))
        assert shipped.read_bytes() == (ROOT / file).read_bytes()


elf = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads ELF files")


@elf
def test_no_module_has_symbols_for_debuggers(compiled):
    for name, data in compiled.items():
        assert data.startswith(b"\x7fELF"), name
        assert b"\0.symtab\0" not in data, name
        assert b"\0.debug_" not in data, name


@elf
def test_modules_need_the_c_library_only(compiled):
    for name, data in compiled.items():
        needed = set(re.findall(rb"(?<=\0)[\w+.-]+\.so(?:\.\d+)*(?=\0)", data))
        assert b"libc" in {library.partition(b".")[0] for library in needed}, name
        assert not {library for library in needed if not LIBRARIES.fullmatch(library)}, name


@elf
def test_modules_name_no_folder_of_where_they_were_built(compiled):
    for name, data in compiled.items():
        # numbers and instructions may look like a name, but only like a short one
        assert re.findall(rb"(?<=\0)/[\w./+-]{3,}(?=\0)", data) == [], name
