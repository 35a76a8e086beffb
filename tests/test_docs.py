"""The code in the README and in the docs runs, and prints what stands there."""

import doctest
import re
from pathlib import Path

import pytest

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
