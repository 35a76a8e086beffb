"""The type stubs have the signatures of what they describe.

`tools/check_types.py` asks stubtest, mypy and pyright for more; here is what needs none of them,
and what stubtest cannot see: the constructors of compiled classes.
"""

import ast
import importlib
import inspect
import re
from pathlib import Path

import pytest

import cbackprop

ROOT = Path(__file__).parent.parent
STUBS = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "cbackprop").rglob("*.pyi"))
}


def parameters_of(function):
    """(name, kind, default) of each parameter of an `ast.FunctionDef`, without self."""
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = [None] * (len(positional) - len(arguments.defaults)) + arguments.defaults
    pairs = [(a, "positional", d) for a, d in zip(positional, defaults, strict=True)]
    pairs += [
        (a, "keyword", d) for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    ]
    pairs += [(a, "all", None) for a in (arguments.vararg, arguments.kwarg) if a]
    return [(a.arg, kind, d and eval(ast.unparse(d))) for a, kind, d in pairs if a.arg != "self"]


def parameters_at_run_time(function):
    kinds = {inspect.Parameter.KEYWORD_ONLY: "keyword"} | dict.fromkeys(
        (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD), "all"
    )
    return [
        (p.name, kinds.get(p.kind, "positional"), None if p.default is p.empty else p.default)
        for p in inspect.signature(function).parameters.values()
        if p.name != "self"
    ]


def constructor_in(source, class_name):
    """The `__init__` of a class in a source of Cython, as `ast.FunctionDef`."""
    body = re.search(
        rf"^cdef class {class_name}\b.*?(?=^cdef class |\Z)", source, re.DOTALL | re.MULTILINE
    )
    head = re.search(r"def __init__\(.*?\):", body[0], re.DOTALL)
    return ast.parse(f"{head[0]} pass").body[0]


def functions(name):
    """Qualified name, `ast.FunctionDef` of each function and method of a stub."""
    for node in ast.parse(STUBS[name].read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            yield node.name, node
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from (
                (f"{node.name}.{member.name}", member)
                for member in node.body
                if isinstance(member, ast.FunctionDef)
            )


CASES = [
    pytest.param(name, qualified, node, id=f"{name}.{qualified}")
    for name in STUBS
    for qualified, node in functions(name)
    if not any(
        "property" in ast.unparse(d) or "setter" in ast.unparse(d) for d in node.decorator_list
    )
]


@pytest.mark.parametrize(("name", "qualified", "node"), CASES)
def test_signatures_are_those_at_run_time(name, qualified, node):
    module = importlib.import_module(name)
    stub = parameters_of(node)
    found = module
    for part in qualified.split("."):
        found = getattr(found, part)
    if qualified.endswith("__eq__"):
        expected = [("other", "positional", None)]
    elif qualified.endswith("__init__") and not hasattr(found, "__code__"):
        source = STUBS[name].with_suffix(".pyx").read_text("utf-8")
        expected = parameters_of(constructor_in(source, qualified.split(".")[0]))
    else:
        expected = parameters_at_run_time(found)
    if any("overload" in ast.unparse(d) for d in node.decorator_list):
        # an argument that one of them asks for has no default there
        asked = {parameter for parameter, _, default in stub if default is None}
        expected = [(p, kind, None if p in asked else default) for p, kind, default in expected]
    assert stub == expected


def test_the_package_has_these_names():
    tree = ast.parse(STUBS["cbackprop"].read_text("utf-8"))
    named = {}
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            named |= {alias.name: node.module for alias in node.names}
    (listed,) = (ast.literal_eval(n.value) for n in tree.body if isinstance(n, ast.Assign))
    assert listed == cbackprop.__all__
    assert {*named, "__version__"} == set(listed)
    for name, module in named.items():
        assert getattr(importlib.import_module(module), name) is getattr(cbackprop, name)


def test_every_compiled_room_with_a_python_face_has_a_stub():
    homes = {getattr(cbackprop, name).__module__ for name in cbackprop.__all__ if name[0].isupper()}
    compiled = {home for home in homes if (ROOT / f"{home.replace('.', '/')}.pyx").exists()}
    compiled |= {f"cbackprop.{name}" for name in ("activations", "backprop", "dense", "losses")}
    assert len(compiled) > 8
    assert compiled <= STUBS.keys()
    assert (ROOT / "cbackprop" / "py.typed").exists()


def test_every_public_module_is_typed():
    """By a stub, or where it is written."""
    page = (ROOT / "docs" / "stability.md").read_text("utf-8")
    (row,) = (line for line in page.splitlines() if line.startswith("| **Python API**"))
    modules = re.search(r"in the modules (.*?), and on", row)[1]
    names = [f"cbackprop.{name}" for name in re.findall(r"`([\w.]+)`", modules)]
    assert "cbackprop.pure" in names
    for name in set(names) - STUBS.keys():
        for found in vars(importlib.import_module(name)).values():
            if inspect.isfunction(found) and found.__module__ == name and found.__name__[0] != "_":
                assert "return" in found.__annotations__, found
