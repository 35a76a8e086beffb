"""The code in the README and in the docs runs, and prints what stands there."""

import doctest
import re
from pathlib import Path

import pytest

import cbackprop

ROOT = Path(__file__).parent.parent


def test_the_readme_runs():
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        names = {}
        exec(compile(block, "README.md", "exec"), names)
        if "network" in names:
            predicted = names["network"].predict(names["X"]).ravel()
            assert predicted == pytest.approx(names["y"], abs=0.01)


PAGES = {
    "guide": (30, ["scipy"]),
    "threads": (9, []),
    "datasets": (1, []),
    "trainers": (30, ["scipy"]),
    "scikit-learn": (30, ["sklearn", "matplotlib"]),
}


@pytest.mark.parametrize("page", PAGES)
def test_the_pages_run(page, tmp_path, monkeypatch):
    examples, needed = PAGES[page]
    for library in needed:
        pytest.importorskip(library)
    monkeypatch.chdir(tmp_path)  # where pictures go
    results = doctest.testfile(str(ROOT / "docs" / f"{page}.md"), module_relative=False)
    assert results.attempted >= examples
    assert results.failed == 0


PAGES_OF_WORDS = sorted({*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")})


@pytest.mark.parametrize("page", PAGES_OF_WORDS, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    text = page.read_text("utf-8")
    targets = [target for target in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in target]
    for target in targets:
        name, _, section = target.partition("#")
        found = page.parent / name if name else page
        assert found.exists(), target
        if section:
            titles = re.findall(r"^#+ +(.*)$", found.read_text("utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}
            assert section in slugs, target


def test_variables_of_the_environment_are_those_that_are_read():
    sources = [ROOT / "setup.py", *(ROOT / "cbackprop").rglob("*.py*")]
    read = set()
    for source in sources:
        if source.suffix in (".py", ".pyx"):
            read |= set(re.findall(r"CBACKPROP_[A-Z_]+(?=[\"'])", source.read_text("utf-8")))
    macros = {name for name in read if re.search(r"REAL|BYTES|FLAGS|ISAS", name)}
    named = set(re.findall(r"CBACKPROP_[A-Z_]+", (ROOT / "docs" / "installing.md").read_text()))
    assert named == read - macros


def test_every_python_is_spoken_of():
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    pythons = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', project)
    page = (ROOT / "docs" / "installing.md").read_text("utf-8")
    assert f"{pythons[0]} to {pythons[-1]}" in page


def test_the_citation_is_of_this_version():
    lines = (ROOT / "CITATION.cff").read_text("utf-8").splitlines()
    assert f"version: {cbackprop.__version__}" in lines
