"""Every Python block of docs/backpropagation.md, run in order, by the engine and by its twin."""

import doctest
import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "backpropagation.md"
IMPORT = "from cbackprop import SGD, Network"


def python_blocks():
    """The blocks as one doctest, each line at its place in the page."""
    lines, inside = [], False
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("```"):
            inside = line == "```python"
            line = ""
        lines.append(line if inside else "")
    return "\n".join(lines) + "\n"


def failures(text):
    """What doctest has to say of the page's examples."""
    report = []
    options = doctest.NORMALIZE_WHITESPACE
    test = doctest.DocTestParser().get_doctest(text, {}, PAGE.name, str(PAGE), 0)
    doctest.DocTestRunner(optionflags=options).run(test, out=report.append)
    return "".join(report)


@pytest.mark.parametrize("package", ["cbackprop", "cbackprop.pure"])
def test_the_numbers_of_the_page(package):
    text = python_blocks()
    assert text.count(IMPORT) == 1
    assert text.count(">>> ") > 50
    report = failures(text.replace(IMPORT, f"from {package} import SGD, Network"))
    assert not report, report


def test_a_wrong_number_is_caught():
    text = python_blocks().replace(IMPORT, "from cbackprop.pure import SGD, Network")
    digits = [match.start() for match in re.finditer(r"(?m)^-?\d\.\d{6}", text)]
    assert len(digits) > 10
    for start in digits[::4]:
        number = text[start:].split(maxsplit=1)[0]
        changed = f"{float(number) + 1e-6:.6f}"
        report = failures(text[:start] + changed + text[start + len(number) :])
        assert f"Expected:\n    {changed}" in report
