"""`hourglass predict` as a command on a folder of photographs, beside the same of other code."""

import os
import subprocess
import sys
import time
from pathlib import Path

from measure import Row, rate_row

from hourglass.network.hourglass import build_hourglass
from hourglass.network.storage import save_network
from hourglass.params import load_params

ROOT = Path(__file__).parents[1]
MODEL = ROOT / "demo" / "models" / "hourglass.keras"
COMMAND = "from hourglass.cli import main; main()"


def command_rows(what, pictures, folder, before, rounds):
    """Images a second of the whole command, and without its start; megabytes written.

    The start is what one photograph takes.

    Args:
        what: the photographs, in words.
        pictures: {name: bytes}.
        before: the folder of another checkout, or None.
    """
    photos, model = folder / "photos", find_model(folder)
    photos.mkdir(parents=True)
    for name, data in pictures.items():
        (photos / name).write_bytes(data)
    first, number = photos / next(iter(pictures)), len(pictures)
    checkouts = {"ours": ROOT} | ({"before": before.resolve()} if before else {})
    rates = {(name, part): [] for name in checkouts for part in ("whole", "warm")}
    starts = {name: [] for name in checkouts}
    for _ in range(rounds):
        for name, checkout in checkouts.items():
            start = run_command(checkout, first, folder / name, model)
            seconds = run_command(checkout, photos, folder / name, model)
            starts[name].append(1 / start)
            rates[name, "whole"].append(number / seconds)
            rates[name, "warm"].append((number - 1) / (seconds - start))
    theirs = [rates.get(("before", part)) for part in ("whole", "warm")]
    what = f"hourglass predict, {number} {what}"
    yield rate_row(what, rates["ours", "whole"], theirs[0], ">= 3x")
    yield rate_row(f"{what}, without its start", rates["ours", "warm"], theirs[1], ">= 3x")
    yield rate_row("hourglass predict, one of them", starts["ours"], starts.get("before"), ">= 1x")
    sizes = {name: sum(f.stat().st_size for f in (folder / name).iterdir()) for name in checkouts}
    text = {name: f"{size / 1e6:.1f} MB" for name, size in sizes.items()}
    ratio = f"{sizes['ours'] / sizes['before']:.2f}x" if before else ""
    yield Row(f"{what}: written", text["ours"], text.get("before", ""), ratio)


def find_model(folder):
    """The demo's network; where it is not trained, one like it of random weights."""
    if MODEL.is_file():
        return MODEL
    folder.mkdir(parents=True, exist_ok=True)
    network = build_hourglass(load_params(ROOT / "demo" / "params.yaml").model)
    save_network(network, folder / "random.keras", "synthetic")
    return folder / "random.keras"


def run_command(checkout, photos, out, model):
    """Seconds of `hourglass predict` by the code of a checkout."""
    arguments = ["predict", photos, "--out", out, "--model", model]
    command = [sys.executable, "-c", COMMAND, *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(checkout / "src")}
    start = time.perf_counter()
    subprocess.run(command, env=environment, check=True, capture_output=True)
    return time.perf_counter() - start
