"""The house: imports point down, files stay short, and some things are found nowhere.

Every import and cimport of the sources is read. `FLOORS` says where each module lives; a new one
must be given its room there.
"""

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = ROOT / "cbackprop"

# From the ground up. A room, a module or a package, may import from any lower floor; where it says
# so also from its neighbours, as long as no circle arises.
FLOORS = (
    ("_typedefs",),
    ("_kernels", "_memory", "_watch", "_guard", "_float_mode", "_checks", "_threads", "_cpus"),
    ("dense", "sparse", "activations", "losses", "optimizers", "backprop", "team"),
    ("training", "predicting", "derivatives", "line_search"),
    ("whole_set",),
    ("conjugate_gradient", "levenberg_marquardt", "lbfgs"),
    ("_call",),
    ("_train",),
    ("network",),
    ("capi",),
    ("estimators",),
    ("pure", "datasets", "plotting", "interop"),  # beside the floors: the topmost reaches them
    ("__init__", "__main__", "_config", "cli", "patch"),
)
NEIGHBOURLY = ("dense", "__init__")  # one room of each such floor
# Within this room each may import from those before it.
KERNELS = (
    *(
        "simd",
        "table",
        "elementary",
        "tiles",
        "passes",
        "products",
        "direct",
        "gradients",
        "losses",
    ),
    *("rows", "updates", "sparse", "cholesky"),
    *("online", "variant", "dispatch", "testing"),
)
# Compiled for each instruction set: pointers and sizes.
ARITHMETIC = KERNELS[: KERNELS.index("dispatch")]
ALSO = {
    # The kernels' face for tests and measurements takes arrays, as the rooms of the next floor do.
    "_kernels.testing": {"_memory"},
    # While a thread waits for others it looks at the clock; they compute in its mode.
    "_threads": {"_watch", "_float_mode"},
    "_cpus": {"_checks"},
}
# What a method imports when it is called may stand above.
LAZY = {"estimators._mlp": {"interop.scikit_learn"}}

KERNEL_LINES, OTHER_LINES = 250, 500


# ---- reading sources ----

LITERAL = re.compile(
    r"""(?P<comment>\#[^\n]*)
    | (?P<long>[fFrRbB]{0,2}(?P<quotes>\"{3}|'{3})(?:\\.|.)*?(?P=quotes))
    | (?P<short>[fFrRbB]{0,2}(?:"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))""",
    re.DOTALL | re.VERBOSE,
)
IMPORT = re.compile(
    r"""^(?P<indent>[ \t]*)(?:
      from[ \t]+(?P<base>[\w.]+)[ \t]+c?import[ \t]*(?:\((?P<many>[^)]*)\)|(?P<few>[^\n;]*))
    | c?import[ \t]+(?P<whole>[^\n;]*))""",
    re.MULTILINE | re.VERBOSE,
)


def code_of(text):
    """A source without comments and docstrings, and with its other strings empty.

    A long string that stands by itself is a docstring, unless it is C code (`cdef extern`), which
    stays.
    """

    def replace(match):
        if match["comment"]:
            return ""
        if not match["long"]:
            return '""'
        line_start = text.rfind("\n", 0, match.start()) + 1
        alone = not text[line_start : match.start()].strip()
        above = text[:line_start].rstrip().rpartition("\n")[2].strip()
        if alone and not above.startswith("cdef extern"):
            return "\0"
        return match["long"]

    lines = LITERAL.sub(replace, text).splitlines()
    return "\n".join(line for line in lines if not line.strip().startswith("\0"))


def n_lines(text):
    """Of code; empty lines are not counted either."""
    return sum(bool(line.strip()) for line in code_of(text).splitlines())


def name_of(path, top):
    """The dotted name of a module in cbackprop; the package itself is `__init__`."""
    parts = list(path.relative_to(top).with_suffix("").parts)
    if parts[-1] == "__init__" and len(parts) > 1:
        parts.pop()
    return ".".join(parts)


def read(top):
    """Sources by module and file name."""
    paths = (path for suffix in ("py", "pyx", "pxd") for path in sorted(top.rglob(f"*.{suffix}")))
    return {(name_of(path, top), path.name): path.read_text("utf-8") for path in paths}


def imports_of(text, indented=True):
    """Dotted names: of modules, or of names in them; if wanted without what is indented."""
    for match in IMPORT.finditer(code_of(text).replace("\\\n", " ")):
        if match["indent"] and not indented:
            continue
        names = match["whole"] or match["many"] or match["few"]
        names = [part.split(" as ")[0].strip() for part in names.split(",")]
        base = f"{match['base']}." if match["base"] else ""
        yield from (base + name for name in names if name)


def within(name, modules):
    """The module of cbackprop that an imported name is, or is in; None for anything else."""
    if name.split(".")[0] != "cbackprop":
        return None
    parts = name.split(".")[1:]
    while parts and ".".join(parts) not in modules:
        parts.pop()
    return ".".join(parts) or "__init__"


# ---- judging them ----


def floor_of(room):
    return next((k for k, rooms in enumerate(FLOORS) if room in rooms), None)


def complaint(module, target):
    """What is wrong with a module's importing another, if anything is."""
    room, other = module.split(".")[0], target.split(".")[0]
    floor, below = floor_of(room), floor_of(other)
    inner = module.removeprefix("_kernels.")
    if floor is None or below is None:
        return f"{room if floor is None else other} has no floor: give it one in FLOORS"
    if target in ALSO.get(module, ()):
        return None
    if room == other == "_kernels":
        known = KERNELS[: KERNELS.index(inner)] if inner in KERNELS else ()
        fine = target.removeprefix("_kernels.") in known
    elif room == "_kernels" and inner in ARITHMETIC:
        fine = other == "_typedefs"
    elif floor == below:
        fine = room == other or any(floor == floor_of(friendly) for friendly in NEIGHBOURLY)
    else:
        fine = below < floor
    return None if fine else f"{module} must not import {target}"


def circle_in(edges):
    """A path that comes back to where it began, if there is one."""
    done = set()

    def search(path):
        for target in sorted(edges.get(path[-1], ())):
            if target in path:
                return [*path[path.index(target) :], target]
            if target not in done and (found := search([*path, target])):
                return found
        done.add(path[-1])
        return None

    return next(filter(None, (search([module]) for module in sorted(edges))), None)


def complaints(sources):
    """Everything that is wrong with the imports of the sources."""
    modules = {module for module, _ in sources}
    edges = {}
    for (module, _), text in sources.items():
        at_once = set(imports_of(text, indented=False))
        for name in imports_of(text):
            if name.startswith("."):
                yield f"{module} imports {name}: imports are absolute"
            if module == "pure" and name.split(".")[0] not in sys.stdlib_module_names:
                yield f"pure imports {name}"
            target = within(name, modules)
            if target in (None, module) or (target in LAZY.get(module, ()) and name not in at_once):
                continue
            if found := complaint(module, target):
                yield found
            # the package itself is there before its modules are
            if target != "__init__":
                edges.setdefault(module, set()).add(target)
    if circle := circle_in(edges):
        yield "a circle: " + " > ".join(circle)


FLAGS = re.compile(r"-ffast-math|-march=native|-Ofast|-fopenmp")
OPENMP = re.compile(r"\bprange\b|cython\.parallel|\bomp\.h\b|#\s*pragma\s+omp|\bomp_\w+\(")
DIRECTIVE = re.compile(r"^\s*#\s*(cython|distutils)\s*:", re.MULTILINE)


def taboos(name, text):
    """What is found in a source that belongs nowhere, or not there."""
    code = text if name.endswith(".h") else code_of(text)
    if found := FLAGS.search(text):
        yield f"{name}: {found[0]}"
    if found := OPENMP.search(code):
        yield f"{name}: OpenMP, {found[0]}"
    if name.endswith((".pyx", ".pxd")) and (found := DIRECTIVE.search(text)):
        yield f"{name}: directives stand in setup.py, not in {found[0].strip()}"
    if name.startswith("_kernels/") and re.search(r"\bwith\s+gil\b", code):
        yield f"{name}: with gil"


# ---- the house as it is ----


@pytest.fixture(scope="module")
def sources():
    if not (SOURCES / "network.pyx").exists():
        pytest.skip("the sources do not lie beside the tests")
    return read(SOURCES)


def test_imports_point_down(sources):
    assert list(complaints(sources)) == []


def test_all_imports_are_seen(sources):
    """Else the test before is blind."""
    modules = {module for module, _ in sources}
    assert {module.split(".")[0] for module in modules} == {
        room for rooms in FLOORS for room in rooms
    }
    kernels = {module for module in modules if module.startswith("_kernels.")}
    assert kernels == {f"_kernels.{name}" for name in KERNELS}
    found = {module: set() for module in modules}
    for (module, _), text in sources.items():
        found[module] |= {within(name, modules) for name in imports_of(text)} - {None, module}
    assert found["training"] >= {"_typedefs", "_kernels.table", "_watch", "backprop", "optimizers"}
    assert found["network"] >= {"_checks", "_guard", "_memory", "_train", "activations", "losses"}
    assert found["_kernels.variant"] >= {"_kernels.rows", "_kernels.products", "_kernels.table"}
    assert found["estimators._mlp"] >= {"network", "training", "estimators._base"}
    assert found["__init__"] >= {"network", "optimizers", "estimators", "interop.scikit_learn"}
    assert found["patch"] == {"interop.scikit_learn"}
    assert all(found[module] >= above for module, above in LAZY.items())
    assert found["pure"] == set()


def test_files_stay_short(sources):
    long = {}
    for (module, name), text in sources.items():
        limit = KERNEL_LINES if module.startswith("_kernels.") else OTHER_LINES
        if n_lines(text) >= limit:
            long[f"{module}: {name}"] = n_lines(text)
    assert long == {}


def test_taboos(sources):
    paths = [path for path in SOURCES.rglob("*") if path.suffix in (".py", ".pyx", ".pxd", ".h")]
    assert len(paths) > len(sources)  # headers, too
    found = []
    for path in (ROOT / "setup.py", ROOT / "pyproject.toml"):
        found += taboos(path.name, path.read_text("utf-8"))
    for path in paths:
        found += taboos(path.relative_to(SOURCES).as_posix(), path.read_text("utf-8"))
    assert found == []


# ---- the judge is not blind ----

SMALL_HOUSE = {
    ("_typedefs", "_typedefs.pxd"): "cdef struct lanes_t:\n    char[64] bytes\n",
    ("_kernels.simd", "simd.pxd"): "",
    ("_kernels.table", "table.pxd"): "from cbackprop._typedefs cimport lanes_t\n",
    ("_kernels.rows", "rows.pxd"): "from cbackprop._kernels.simd cimport (\n    vec,\n)\n",
    ("_kernels.dispatch", "dispatch.pyx"): "import os\nfrom cbackprop._kernels cimport table\n",
    ("_memory", "_memory.pxd"): "",
    ("dense", "dense.pyx"): "from cbackprop._memory cimport Block\nimport numpy as np\n",
    (
        "backprop",
        "backprop.pyx",
    ): "from cbackprop cimport dense\nfrom cbackprop import dense as d\n",
    ("training", "training.pyx"): "from libc.math cimport sqrt\ncimport cbackprop.backprop\n",
    ("_checks", "_checks.py"): "import numpy as np\n",
    ("network", "network.pyx"): "from cbackprop import _checks as checks, dense\n",
    ("estimators", "__init__.py"): "from cbackprop.estimators._base import Base\n",
    ("estimators._base", "_base.py"): "from cbackprop.network import Network\n",
    ("estimators._mlp", "_mlp.py"): "def f():\n    from cbackprop.interop import scikit_learn\n",
    ("interop.scikit_learn", "scikit_learn.py"): "from cbackprop.estimators import _mlp\n",
    ("datasets", "__init__.py"): "import gzip\n",
    ("pure", "pure.py"): "from math import exp\n",
    ("_config", "_config.py"): "def show():\n    from cbackprop import __version__\n",
    ("cli", "__init__.py"): "from cbackprop import Network, datasets, pure\n",
    ("__init__", "__init__.py"): (
        "try:\n    from cbackprop.network import Network\nexcept ImportError:\n    raise\n"
        "from cbackprop._config import show\n"
        "def __getattr__(name):\n    from cbackprop import estimators\n"
    ),
}


def test_a_good_house():
    assert list(complaints(SMALL_HOUSE)) == []


FORMS_OF_IMPORT = [
    "from cbackprop.network cimport Network",
    "from cbackprop.network import Network, train",
    "import cbackprop.network",
    "cimport cbackprop.network as n",
    "import os, cbackprop.network",
    "from cbackprop import network",
    "from cbackprop cimport network",
    "from cbackprop import (\n    _memory,\n    network as n,\n)",
    "from cbackprop import \\\n    network",
    "def f():\n    from cbackprop.network import Network",
    "if True:\n\timport cbackprop.network",
    '"""Words."""\nimport cbackprop.network',
    "cdef extern from *:\n    '''\n    int x;\n    '''\nimport cbackprop.network",
]


@pytest.mark.parametrize("source", FORMS_OF_IMPORT)
def test_an_import_that_points_up_is_seen(source):
    house = SMALL_HOUSE | {("dense", "dense.pxd"): source}
    assert next(complaints(house)) == "dense must not import network"


@pytest.mark.parametrize(
    ("module", "source", "expected"),
    [
        ("dense", "from .network import Network", "imports are absolute"),
        ("dense", "from . import network", "imports are absolute"),
        ("dense", "import cbackprop", "dense must not import __init__"),
        ("dense", "from cbackprop import __version__", "dense must not import __init__"),
        ("dense", "from cbackprop import backprop", "a circle: dense > backprop > dense"),
        ("_config", "from cbackprop.cli import main", "a circle: _config > cli > _config"),
        ("network", "from cbackprop.estimators import Base", "network must not import estimators"),
        ("network", "from cbackprop import datasets", "network must not import datasets"),
        ("training", "from cbackprop.network import f", "training must not import network"),
        ("_checks", "from cbackprop.network import Network", "_checks must not import network"),
        ("_memory", "from cbackprop._kernels.table cimport Kernels", "_memory must not import"),
        ("_typedefs", "from cbackprop._memory cimport Block", "_typedefs must not import _memory"),
        ("_kernels.simd", "from cbackprop._kernels cimport table", "simd must not import _kernels"),
        ("_kernels.rows", "from cbackprop._memory cimport Block", "rows must not import _memory"),
        ("_kernels.rows", "from cbackprop.dense cimport Layer", "rows must not import dense"),
        (
            "_kernels.new",
            "from cbackprop._kernels.simd cimport vec",
            "new must not import _kernels",
        ),
        ("estimators._base", "from cbackprop import pure", "must not import pure"),
        (
            "estimators._mlp",
            "from cbackprop.interop import scikit_learn",
            "_mlp must not import interop.scikit_learn",
        ),
        (
            "estimators._base",
            "def f():\n    from cbackprop.interop import scikit_learn",
            "_base must not import interop.scikit_learn",
        ),
        ("datasets", "from cbackprop.cli import main", "datasets must not import cli"),
        ("datasets", "from cbackprop.pure import Network", "datasets must not import pure"),
        ("pure", "import numpy as np", "pure imports numpy"),
        ("pure", "from cbackprop import network", "pure imports cbackprop.network"),
        ("interop", "from cbackprop.cli import main", "interop must not import cli"),
        ("attic", "from cbackprop import network", "attic has no floor"),
    ],
)
def test_a_bad_import_is_seen(module, source, expected):
    house = SMALL_HOUSE | {(module, "bad.pyx"): source}
    if module == "_config":
        house["cli", "bad.py"] = "from cbackprop._config import show"
    assert any(expected in found for found in complaints(house))


@pytest.mark.parametrize(
    "source",
    [
        '"""Words.\n\nfrom cbackprop.network import Network\n"""',
        "def f():\n    '''\n    import cbackprop.network\n    '''",
        "# import cbackprop.network",
        "x = '''\nimport no_network\n'''",
        "x = 'import cbackprop.network'",
        "import cbackprop_network",
        "from cbackprop_more import network",
        "important = cbackprop",
    ],
)
def test_words_are_no_imports(source):
    assert list(complaints(SMALL_HOUSE | {("dense", "words.pyx"): source})) == []


def test_lines_of_code_are_counted():
    assert n_lines("x = 1\n" * 499) == 499
    assert n_lines("# words\n\n" * 600 + "x = 1  # words\n") == 1
    assert n_lines('"""Words.\n' + "more\n" * 600 + '"""\nx = 1\n') == 1
    assert (
        n_lines("def f():\n    '''Words.\n" + "    more\n" * 600 + "    '''\n    return 1\n") == 2
    )
    assert n_lines('cdef extern from *:\n    """\n' + "    int x;\n" * 600 + '    """\n') == 603
    assert n_lines('x = """\n' + "a table\n" * 600 + '"""\n') == 602
    assert n_lines('s = "# no comment"\nt = \'"\'\nu = """one line"""\n') == 3


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("setup.py", 'FLAGS = ["-O3", "-ffast-math"]'),
        ("setup.py", "FLAGS = ['-march=native']"),
        ("setup.py", "FLAGS = ['-fopenmp']"),
        ("dense.pyx", "from cython.parallel cimport parallel"),
        ("dense.pyx", "for i in prange(n):\n    pass"),
        ("_kernels/simd.h", "#pragma omp simd"),
        ("_kernels/rows.pxd", "cdef void f() nogil:\n    with gil:\n        pass"),
        ("_kernels/rows.pxd", "cdef void f() noexcept with gil:\n    pass"),
        ("network.pyx", "# cython: boundscheck=False\nx = 1"),
        ("network.pyx", "x = 1\n# distutils: language = c++"),
    ],
)
def test_a_taboo_is_seen(name, text):
    assert len(list(taboos(name, text))) == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("dense.pyx", "# no OpenMP, no prange\nx = 1"),
        ("network.pyx", "cdef bint poll(void* context) noexcept with gil:\n    pass"),
        ("_kernels/rows.pxd", '"""Never with gil."""'),
        ("cli/bench.py", 'os.environ["OMP_NUM_THREADS"] = "1"'),
    ],
)
def test_what_is_no_taboo(name, text):
    assert list(taboos(name, text)) == []
