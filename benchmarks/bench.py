"""One table of speed and size, ours against the tutorial's own scripts, in one run.

usage: make bench [BASELINE=DIR] [ONLY=input,shard]

BASELINE is a folder with the train.py, preprocess.py, hourglass104.py and tfrecords_mpii.py of the
"action stickers" tutorial. Both do the same work on the same pictures and take turns, A B A B; a
figure is the median over the rounds, a ratio the median of the rounds' own ratios. The table is
printed and written to benchmarks/results.md.
"""

import argparse
import os
import platform
import tempfile
import time
from pathlib import Path

import input_rows
import network_rows
import samples
import stage_rows
from hourglass.backend import keras, tf
from measure import table
from tutorial import Tutorial

GROUPS = ("input", "small", "photographs", "cores", "shard", "train", "predict", "idle", "start")
PHOTOGRAPHS = stage_rows.ROOT.parent / "shared" / "data" / "lspet-mini"
RESULTS = Path(__file__).with_name("results.md")


def main():
    options = read_options()
    tutorial = Tutorial(options.baseline) if options.baseline else None
    rows, header = [], describe_machine()
    with tempfile.TemporaryDirectory() as temporary:
        for row in make_rows(options, tutorial, Path(temporary)):
            print(" | ".join(cell for cell in row.cells() if cell), flush=True)
            rows.append(row)
    text = f"{header}; {load()} at the end\n\n{table(rows)}\n"
    print(f"\n{text}")
    if set(options.only) == set(GROUPS):
        RESULTS.write_text(f"# `make bench`\n\n{text}")


def read_options():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--baseline", type=Path, metavar="DIR")
    options.add_argument(
        "--only", type=lambda text: text.split(","), default=GROUPS, help=",".join(GROUPS)
    )
    options.add_argument("--num-pictures", type=int, default=250)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--photographs", type=Path, default=PHOTOGRAPHS, metavar="DIR")
    return options.parse_args()


def make_rows(options, tutorial, folder):
    """The rows of the groups asked for, as they are measured."""
    only, rounds, number = options.only, options.rounds, options.num_pictures
    if {"input", "cores", "shard", "predict"} & set(only):
        sample = samples.draw_sample(number, samples.MPII_WIDTH)
    if "input" in only:
        name = f"drawn, {samples.MPII_WIDTH} px wide"
        yield from input_rows.speed_rows(
            name, sample, folder / "large", tutorial, rounds, (">= 30x", ">= 6x")
        )
        yield input_rows.byte_row(name, sample, folder / "large")
    if "small" in only:
        small = samples.draw_sample(number)
        yield from input_rows.speed_rows(
            "drawn, small", small, folder / "small", tutorial, rounds, (">= 20x", ">= 5x")
        )
    if "photographs" in only and options.photographs.is_dir():
        photographs = samples.enlarge_photographs(options.photographs, number)
        name = "photographs enlarged by 4"
        yield from input_rows.speed_rows(
            name, photographs, folder / "photographs", tutorial, rounds, (">= 30x", ">= 6x")
        )
        yield input_rows.byte_row(name, photographs, folder / "photographs")
    if "cores" in only:
        yield from input_rows.core_rows(sample, folder / "cores", rounds)
    if "shard" in only:
        yield from stage_rows.shard_rows(sample, folder, options.baseline, 2, (1, 4))
    if "train" in only:
        yield from network_rows.train_rows(tutorial, rounds)
    if "predict" in only:
        yield from network_rows.predict_rows(sample, folder / "predict", tutorial, rounds)
    if "idle" in only:
        yield from stage_rows.idle_rows(folder, rounds)
    if "start" in only:
        yield from stage_rows.start_rows(rounds)


def describe_machine():
    cores = len(os.sched_getaffinity(0))
    return (
        f"{time.strftime('%Y-%m-%d')}: {cores} cores, {platform.machine()}; Python "
        f"{platform.python_version()}, TensorFlow {tf.__version__}, Keras {keras.__version__}; {load()}"
    )


def load():
    return f"load average {os.getloadavg()[0]:.1f}"


if __name__ == "__main__":
    main()
