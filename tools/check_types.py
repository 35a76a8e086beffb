"""Are the type stubs true, and do mypy and pyright accept all examples?

    python tools/check_types.py

Looks at the cbackprop that this Python has installed; needs mypy and pyright.
"""

import doctest
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STUBS = ROOT / "cbackprop"


def modules_with_stubs():
    """Their names; not the package's own, with which stubtest would take every module along."""
    found = (path.relative_to(ROOT).with_suffix("") for path in STUBS.glob("*/**/*.pyi"))
    found = [*found, *(Path("cbackprop", path.stem) for path in STUBS.glob("*.pyi"))]
    names = (".".join(path.parts).removesuffix(".__init__") for path in found)
    return sorted(set(names) - {"cbackprop"})


def write_examples(folder):
    """Those of `examples/`, and a program for each page, without what ends in an error there."""
    for path in (ROOT / "examples").glob("*.py"):
        shutil.copy(path, folder)
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        text = page.read_text("utf-8")
        shown = [e.source for e in doctest.DocTestParser().get_examples(text) if not e.exc_msg]
        blocks = re.findall(r"```python\n(?!>>>)(.*?)```", text, re.DOTALL)
        if shown or blocks:
            name = page.stem.lower().replace("-", "_")
            Path(folder, f"{name}_examples.py").write_text("".join([*blocks, *shown]), "utf-8")


def main():
    with tempfile.TemporaryDirectory() as folder:
        write_examples(folder)
        # what other libraries' sources let pyright guess is not our concern
        settings = {"useLibraryCodeForTypes": False, "reportUnusedExpression": False}
        Path(folder, "pyrightconfig.json").write_text(json.dumps(settings), "utf-8")
        configured = ["--config-file", f"{ROOT}/pyproject.toml"]
        commands = (
            [
                *("mypy.stubtest", "--concise", "--ignore-unused-allowlist"),
                *("--mypy-config-file", f"{ROOT}/pyproject.toml"),
                *("--allowlist", f"{ROOT}/tools/stubtest_allowlist.txt", *modules_with_stubs()),
            ],
            ["mypy", *configured, "--allow-redefinition", "."],
            ["pyright", "--pythonpath", sys.executable],
        )
        # not in the source tree, where the unbuilt package would be found
        failed = [
            command[0]
            for command in commands
            if subprocess.run([sys.executable, "-m", *command], cwd=folder, check=False).returncode
        ]
    return f"failed: {', '.join(failed)}" if failed else 0


if __name__ == "__main__":
    sys.exit(main())
