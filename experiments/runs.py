"""Runs of an experiment: each a Python process of its own, several at a time, a core each."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue

ROOT = Path(__file__).parents[1]


def run_python(*command, cwd=None, core=None):
    """Run a Python script with our package, on one core where that is named."""
    pin = [] if core is None else ["taskset", "-c", str(core)]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "TF_CPP_MIN_LOG_LEVEL": "3"}
    subprocess.run([*pin, sys.executable, *map(str, command)], cwd=cwd, env=environment, check=True)


def run_all(start, runs, num_jobs):
    """Call `start(run, core)` for all runs, `num_jobs` at a time; core is None for a single job."""
    cores = Queue()
    for core in range(num_jobs):
        cores.put(core if num_jobs > 1 else None)

    def start_on_a_core(run):
        core = cores.get()
        try:
            start(run, core)
        finally:
            cores.put(core)

    with ThreadPoolExecutor(num_jobs) as pool:
        list(pool.map(start_on_a_core, runs))


def name_folder(name):
    """A run's name as a folder's."""
    return "".join(c if c.isalnum() else "-" for c in name.lower())
