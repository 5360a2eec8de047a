"""`hourglass predict` as a command on a folder of photographs, beside the same of other code."""

import functools
import os
import subprocess
import sys
import time
from pathlib import Path

from measure import Row, rate_row

from hourglass.config import load_params
from hourglass.models.registry import build_model
from hourglass.models.saving import save_network

ROOT = Path(__file__).parents[1]
MODEL = ROOT / "demo" / "models" / "hourglass.keras"
COMMAND = "from hourglass.cli.main import main; main()"


def command_rows(what, pictures, folder, before, rounds, clock):
    """Images a second of the whole command, and without its start; megabytes written.

    Args:
        what: the photographs, in words.
        pictures: {name: bytes}.
        before: the folder of another checkout, or None.
        clock: "cpu" counts the seconds of all threads.
    """
    photos, model, number = folder / "photos", find_model(folder), len(pictures)
    photos.mkdir(parents=True)
    for name, data in pictures.items():
        (photos / name).write_bytes(data)
    first = photos / next(iter(pictures))
    commands = {
        name: functools.partial(run_command, checkout, folder / name, model, clock)
        for name, checkout in (("ours", ROOT), ("before", before))
        if checkout
    }
    times = measure_times(commands, first, photos, rounds)
    theirs = times.get("before")
    what = f"hourglass predict, {number} {what}"
    for part, images in zip(times["ours"], (number, number - 1, 1), strict=True):
        ours, before_rates = (
            [images / t for t in side[part]] if side else None for side in (times["ours"], theirs)
        )
        target = ">= 1x" if images == 1 else ">= 3x"
        yield rate_row(f"{what}{part}", ours, before_rates, target)
    sizes = {name: sum(f.stat().st_size for f in (folder / name).iterdir()) for name in commands}
    text = {name: f"{size / 1e6:.1f} MB" for name, size in sizes.items()}
    ratio = f"{sizes['ours'] / sizes['before']:.2f}x" if before else ""
    yield Row(f"{what}: written", text["ours"], text.get("before", ""), ratio)


def measure_times(commands, first, photos, rounds):
    """Seconds a round, in turns: of all photographs, of these without the start, and of one.

    The start is what one photograph takes.
    """
    times = {name: {"": [], ", without the start": [], ": one alone": []} for name in commands}
    for run in commands.values():  # once for nothing: code and network are read into memory
        run(first)
    for _ in range(rounds):
        for name, run in commands.items():
            one, whole = run(first), run(photos)
            for part, seconds in zip(times[name], (whole, whole - one, one), strict=True):
                times[name][part].append(seconds)
    return times


def find_model(folder):
    """The demo's network; where it is not trained, one like it of random weights."""
    if MODEL.is_file():
        return MODEL
    folder.mkdir(parents=True, exist_ok=True)
    params = load_params(ROOT / "demo" / "params.yaml")
    network = build_model(params.model, params.data.keypoint_schema)
    save_network(network, folder / "random.keras", ["synthetic"])
    return folder / "random.keras"


def run_command(checkout, out, model, clock, photos):
    """Seconds of `hourglass predict` by the code of a checkout."""
    arguments = ["predict", photos, "--out", out, "--model", model]
    if (checkout / "src/hourglass/inference/person_search.py").exists():
        arguments += ["--whole"]  # what older code does without being told
    command = [sys.executable, "-c", COMMAND, *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(checkout.resolve() / "src")}
    start = CLOCKS[clock]()
    subprocess.run(command, env=environment, check=True, capture_output=True)
    return CLOCKS[clock]() - start


def children_seconds():
    """CPU time of all threads of the programs that have ended."""
    times = os.times()
    return times.children_user + times.children_system


CLOCKS = {"wall": time.perf_counter, "cpu": children_seconds}
