"""Cost of each exported format of a network, its distance from Keras, and the command's time.

usage: python benchmarks/exports.py [FOLDER] [--model FILE] [--rounds N] [--before DIR]

FOLDER has been through `dvc repro parse`. Its photographs, each in the recipe's crop, are the real
pictures; without FOLDER only drawn figures are used. FILE is a `.keras` file; without it, the
shipped one. DIR is another checkout, without exports.

The first table has the seconds from `hourglass predict` to the drawn picture of one photograph on
the disk, all sides in turns. "Cold" means that the files of the program and the network have left
the system's cache, except those that another process holds. The second table has each format's
bytes, the largest distance of a joint from Keras' on drawn and on real pictures, and milliseconds
a picture on one core. Pictures go one at a time, flip test included. The last lines show the error
for a file that tf2onnx left broken.
"""

import argparse
import functools
import itertools
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from field import open_field, recipe_crop, use_one_core
from measure import describe_machine, measure_rates, number

from hourglass.export import onnx_format
from hourglass.export.exporter import export_network
from hourglass.export.tensorflow_formats import open_litert, open_saved_model
from hourglass.export.verification import draw_figures
from hourglass.inference.backends import KerasBackend, OnnxBackend, load_estimator
from hourglass.shipped import shipped_network
from hourglass.utils.errors import UserError, exit_on_user_error
from hourglass.utils.images import cut_crop, decode_image

ROOT = Path(__file__).parents[1]
NUM_PICTURES = 50
SEED = 2  # other figures than those that an export is proven on
FORMATS = {
    "ONNX": ("net.onnx", "onnx", False, OnnxBackend),
    "ONNX, float16": ("half.onnx", "onnx", True, OnnxBackend),
    "LiteRT": ("net.tflite", "litert", False, open_litert),
    "LiteRT, float16": ("half.tflite", "litert", True, open_litert),
    "SavedModel": ("net", "saved_model", False, open_saved_model),
}
COMMAND = "from hourglass.cli.main import main; main()"


@exit_on_user_error
def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--model", type=Path, default=shipped_network())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--before", type=Path)
    options = parser.parse_args()
    print(describe_machine(), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        # Before this process is bound to one core, which its children would be as well.
        print_command_times(options, Path(folder))
        use_one_core()
        print_formats(options, Path(folder))
        show_broken_export(options.model, Path(folder))


def print_formats(options, folder):
    keras = KerasBackend(load_estimator(options.model, True))
    inputs = {"drawn": draw_figures(keras.size, NUM_PICTURES, SEED)}
    if options.folder:
        inputs["real"] = cut_photographs(options.folder, keras.size)
    backends = {"Keras": keras}
    for name, (file, kind, half, open_file) in FORMATS.items():
        export_network(options.model, folder / file, kind, half)
        backends[name] = open_file(folder / file)
    runs = {
        name: functools.partial(run_singly, find, inputs["drawn"])
        for name, find in backends.items()
    }
    rates = measure_rates(runs, options.rounds)
    print(f"\n| | bytes |{''.join(f' px off, {kind} |' for kind in inputs)} ms a picture |")
    print(f"|---|---:|{'---:|' * len(inputs)}---:|")
    for name, find in backends.items():
        path = options.model if name == "Keras" else folder / FORMATS[name][0]
        distances = "".join(f" {largest_distance(find, keras, v):.2g} |" for v in inputs.values())
        milliseconds = 1000 / statistics.median(rates[name])
        print(f"| {name} | {count_bytes(path):,} |{distances} {number(milliseconds)} |", flush=True)


def cut_photographs(folder, size):
    """Persons of photographs, uint8 [50, S, S, 3], evenly out of the validation split."""
    persons, archive = open_field(folder)
    chosen = persons[:: max(1, len(persons) // NUM_PICTURES)][:NUM_PICTURES]
    with archive:
        return np.stack(
            [
                cut_crop(decode_image(archive.read(p.image))[0], 1, recipe_crop(p), size)
                for p in chosen
            ]
        )


def run_singly(find_keypoints, inputs):
    for crop in inputs:
        find_keypoints(crop[None])
    return len(inputs)


def largest_distance(find_keypoints, keras, inputs):
    """Px of the inputs, of any joint, sure or not."""
    keypoints, expected = find_keypoints(inputs)[0], keras(inputs)[0]
    return float(np.linalg.norm(keypoints - expected, axis=-1).max())


def count_bytes(path):
    files = [f for f in path.rglob("*") if f.is_file()] if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files)


def show_broken_export(model, folder):
    """An export whose graph is as tf2onnx leaves it, with an operation of a type ONNX has not."""
    repair = onnx_format._cast_booleans
    onnx_format._cast_booleans = lambda graph: None
    try:
        export_network(model, folder / "broken.onnx")
    except UserError as error:
        left = [path.name for path in folder.iterdir() if "broken" in path.name]
        print(f"\na broken export: {error}\nleft of it: {left or 'nothing'}")
    finally:
        onnx_format._cast_booleans = repair


def print_command_times(options, folder):
    """Seconds from the command to the picture on the disk, with and without what was exported."""
    alone, beside = folder / "alone" / "net.keras", folder / "beside" / "net.keras"
    for path in (alone, beside):
        path.parent.mkdir()
        shutil.copy(options.model, path)
    # As a command: TensorFlow must not start here before it is bound to one core.
    run_command(ROOT, ["export", "--model", str(beside)])
    commands = {"Keras": (ROOT, alone), "onnxruntime": (ROOT, beside)}
    if options.before:
        commands = {f"Keras, {options.before}": (options.before, alone)} | commands
    print("\n| `hourglass predict photo.jpg` | " + " | ".join(commands) + " |")
    print(f"|---|{'---:|' * len(commands)}", flush=True)
    for mode, cold in itertools.product(([], ["--whole"]), (False, True)):
        seconds = {name: [] for name in commands}
        for _ in range(options.rounds + 1):  # the first one does not count
            for name, (checkout, model) in commands.items():
                if cold:
                    forget_files(Path(sys.prefix), checkout / "src", model.parent)
                seconds[name].append(time_command(checkout, model, mode, folder))
        cells = " | ".join(f"{statistics.median(times[1:]):.2f} s" for times in seconds.values())
        name = f"{' '.join(mode) or 'search'}, {'cold' if cold else 'warm'}"
        print(f"| {name} | {cells} |", flush=True)


def time_command(checkout, model, mode, folder):
    photo, out = ROOT / "docs" / "walking.jpg", folder / "poses"
    arguments = ["predict", str(photo), "--out", str(out), "--model", str(model), *mode]
    start = time.perf_counter()
    run_command(checkout, arguments)
    return time.perf_counter() - start


def run_command(checkout, arguments):
    """Run `hourglass` by the code of a checkout."""
    paths = filter(None, [str(checkout.resolve() / "src"), os.environ.get("PYTHONPATH")])
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-c", COMMAND, *arguments]
    subprocess.run(command, env=environment, check=True, capture_output=True)


def forget_files(*folders):
    """Drop the files from the system's cache; files in use stay."""
    os.sync()  # what is not on the disk stays
    for folder in folders:
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_symlink():
                with open(path, "rb") as file:
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


if __name__ == "__main__":
    main()
