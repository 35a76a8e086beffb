"""A Python of its own, for what a test cannot do in the one that runs it."""

import os
import subprocess
import sys


def run_python(*arguments, cwd, timeout=120, **environment):
    """What `python arguments` ended with; the environment is ours, but for what is named."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
