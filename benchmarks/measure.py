"""Timing in turns, and the rows of the table."""

import contextlib
import os
import platform
import statistics
import subprocess
import time
from dataclasses import dataclass

import psutil
from tqdm import tqdm

from hourglass.utils.backend import keras, tf

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
COLUMNS = ("what", "tutorial", "ours", "ratio", "min - max", "target")


@dataclass(frozen=True)
class Row:
    """One line of the table, all text."""

    what: str
    ours: str
    tutorial: str = ""
    ratio: str = ""
    spread: str = ""
    target: str = ""

    def cells(self):
        """The texts, in the order of COLUMNS."""
        return (self.what, self.tutorial, self.ours, self.ratio, self.spread, self.target)


def table(rows):
    """The rows as a Markdown table."""
    lines = [COLUMNS, ("---", *["---:"] * (len(COLUMNS) - 1)), *(row.cells() for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def measure_rates(runs, rounds, clock="wall"):
    """Run each in turn, A B A B, after one run of each that does not count.

    Args:
        runs: {name: function}, each returns how many items it has worked through.
        clock: "cpu" counts the seconds of all threads: for a machine that does other things.

    Returns:
        {name: [items a second, one a round]}.
    """
    for run in runs.values():
        run()
    rates = {name: [] for name in runs}
    for _ in tqdm(range(rounds), desc="rounds", disable=None, leave=False):
        for name, run in runs.items():
            start = CLOCKS[clock]()
            number = run()
            rates[name].append(number / (CLOCKS[clock]() - start))
    return rates


def rate_row(what, ours, theirs=None, target="", unit="images/s"):
    """Medians of paired rounds and of their ratios; more is better.

    Args:
        ours, theirs: a rate a round.
    """
    text = f"{number(statistics.median(ours))} {unit}"
    if not theirs:
        return Row(what, text, target=target)
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    spread = f"{min(ratios):.1f} - {max(ratios):.1f}"
    tutorial = f"{number(statistics.median(theirs))} {unit}"
    return Row(what, text, tutorial, f"{statistics.median(ratios):.2f}x", spread, target)


def number(value):
    """Three significant digits, without an exponent."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


@contextlib.contextmanager
def on_cores(count):
    """Processes started within have this many cores to run on."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, set(sorted(allowed)[:count]))
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def run_measured(command, folder, environment=None):
    """Run a command to its end.

    Returns:
        seconds; peak memory of the process and of the largest Ray worker below it, MiB.
    """
    start = time.perf_counter()
    process = psutil.Popen(
        command, cwd=folder, env=os.environ | (environment or {}), stdout=subprocess.DEVNULL
    )
    driver = worker = 0
    while process.poll() is None:
        driver = max(driver, peak_memory(process))
        workers = [child for child in children(process) if is_worker(child)]
        worker = max(worker, *map(peak_memory, workers), 0, 0)
        time.sleep(0.2)
    seconds = time.perf_counter() - start
    if process.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}: ended with {process.returncode}")
    return seconds, driver, worker


def children(process):
    with contextlib.suppress(psutil.Error):
        return process.children(recursive=True)
    return []


def is_worker(process):
    with contextlib.suppress(psutil.Error):
        return process.cmdline()[:1] and process.cmdline()[0].startswith("ray::")
    return False


def peak_memory(process):
    """VmHWM of a process, MiB; 0 when it has gone."""
    with contextlib.suppress(OSError), open(f"/proc/{process.pid}/status") as file:
        for line in file:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) // 1024
    return 0


def describe_machine():
    """Day, machine and versions, and how busy it is, in one line."""
    cores = len(os.sched_getaffinity(0))
    return (
        f"{time.strftime('%Y-%m-%d')}: {cores} cores, {platform.machine()}; Python "
        f"{platform.python_version()}, TensorFlow {tf.__version__}, Keras {keras.__version__}; "
        f"{describe_load()} at the start"
    )


def describe_load():
    return f"load average {os.getloadavg()[0]:.1f}"
