"""Other processes that run the package's code."""

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

from helpers.paths import ROOT


def environment(**changes):
    """This process's environment, with the package where Python looks first."""
    paths = filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH")])
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), **changes}


def run_python(*arguments, cwd=None, check=False, **changes):
    """Run Python to its end; `changes` are of its environment."""
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(
        command, cwd=cwd, env=environment(**changes), capture_output=True, text=True, check=check
    )


def loaded_after(code, *names):
    """Which of the modules `names` a new Python has loaded after `code`."""
    code = f"import sys\n{code}\nprint(*{set(names)} & set(sys.modules))"
    return run_python("-c", code, check=True).stdout.split()


def find_processes(mark):
    """The processes that have MARK=`mark` in their environment."""
    text, found = f"MARK={mark}\0".encode(), []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):  # it has just ended
            found += [path.parent.name] if text in path.read_bytes() else []
    return found


def wait_for_none(mark, seconds=30):
    """Those of `find_processes` that are still there after so long."""
    end = time.monotonic() + seconds
    while (left := find_processes(mark)) and time.monotonic() < end:
        time.sleep(0.1)
    return left
