"""One table of speed and size, ours against the tutorial's own scripts, in one run.

usage: make bench [BASELINE=DIR] [ONLY=input,shard] [BEFORE=DIR]

BASELINE is a folder with the train.py, preprocess.py, hourglass104.py and tfrecords_mpii.py of the
"action stickers" tutorial. Both sides do the same work on the same pictures and take turns, A B A
B. A figure is the median over the rounds, a ratio the median of the rounds' own ratios. The table
is printed and written to benchmarks/results.md. BEFORE is another checkout of this project: its
speed on photographs stands beside that of this one.
"""

import argparse
import functools
import os
import tempfile
from pathlib import Path

import input_rows
import network_rows
import photo_rows
import samples
import stage_rows
from measure import CLOCKS, describe_load, describe_machine, measure_rates, table
from tutorial import Tutorial

LARGE, SMALL = (">= 30x", ">= 6x"), (">= 20x", ">= 5x")  # targets: host side, all of it
GROUPS = (
    "input", "small", "photographs", "cores", "shard", "train", "predict", "files", "idle", "start",
)  # fmt: skip
DATA = Path(os.environ.get("HOURGLASS_TEST_DATA") or stage_rows.ROOT.parent / "shared" / "data")
NUM_FILES = 200
RESULTS = Path(__file__).with_name("results.md")


def main():
    options = read_options()
    tutorial = Tutorial(options.baseline) if options.baseline else None
    rows, header = [], describe_machine()
    with tempfile.TemporaryDirectory() as temporary:
        for row in make_rows(options, tutorial, Path(temporary)):
            print(" | ".join(cell for cell in row.cells() if cell), flush=True)
            rows.append(row)
    text = f"{header}; {describe_load()} at the end\n\n{table(rows)}\n"
    print(f"\n{text}")
    if set(options.only) == set(GROUPS) and options.clock == "wall":
        RESULTS.write_text(f"# `make bench`\n\n{text}")


def read_options():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--baseline", type=Path, metavar="DIR")
    options.add_argument(
        "--only", type=lambda text: text.split(","), default=GROUPS, help=",".join(GROUPS)
    )
    options.add_argument("--before", type=Path, metavar="DIR")
    options.add_argument("--num-pictures", type=int, default=250)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu: machine is busy")
    options.add_argument("--repeats", type=int, nargs="+", default=(1, 4), metavar="TIMES")
    options.add_argument("--precisions", nargs="+", default=("float32", "mixed_bfloat16"))
    options.add_argument("--photographs", type=Path, default=DATA / "lspet-mini", metavar="DIR")
    return options.parse_args()


def make_rows(options, tutorial, folder):
    """The rows of the groups asked for, as they are measured."""
    drawn = functools.cache(lambda: samples.draw_sample(options.num_pictures, samples.MPII_WIDTH))
    small = functools.cache(lambda: samples.draw_sample(options.num_pictures))
    rounds, few_rounds = options.rounds, min(2, options.rounds)
    measure = functools.partial(measure_rates, rounds=rounds, clock=options.clock)
    groups = {
        "input": lambda place: input_rows.speed_rows(
            f"drawn, {samples.MPII_WIDTH} px wide", drawn(), place, tutorial, measure, LARGE
        ),
        "small": lambda place: input_rows.speed_rows(
            "drawn, small",
            small(),
            place,
            tutorial,
            measure,
            SMALL,
        ),
        "photographs": lambda place: photograph_rows(options, place, tutorial, measure),
        "cores": lambda place: core_rows(drawn, place, rounds),
        "shard": lambda place: stage_rows.shard_rows(
            drawn(), place, options.baseline, few_rounds, options.repeats
        ),
        "train": lambda place: network_rows.train_rows(
            drawn(), place, tutorial, measure, options.precisions
        ),
        "predict": lambda place: network_rows.predict_rows(
            drawn(), place, tutorial, measure, options.precisions
        ),
        "files": lambda place: file_rows(options, place, few_rounds),
        "idle": lambda place: stage_rows.idle_rows(place, rounds),
        "start": lambda _: stage_rows.start_rows(rounds),
    }
    for name in options.only:
        yield from groups[name](folder / name)


def photograph_rows(options, folder, tutorial, measure):
    """Real photographs, where there are any."""
    if not options.photographs.is_dir():
        return
    sample = samples.enlarge_photographs(options.photographs, options.num_pictures)
    yield from input_rows.speed_rows(
        "photographs enlarged by 4", sample, folder, tutorial, measure, LARGE
    )


def core_rows(drawn, place, rounds):
    """The host side on MPII's own photographs, on drawn pictures where there are none."""
    folder, what = DATA / "mpii-samples", "photographs of MPII"
    if not folder.is_dir():
        what = "drawn pictures, for want of photographs"
    sample = samples.read_photographs(folder) if folder.is_dir() else drawn()
    yield from input_rows.core_rows(what, sample, place, rounds)


def file_rows(options, folder, rounds):
    """Photographs as they are and enlarged; drawn pictures where there are none."""
    pictures = {"drawn pictures": lambda: samples.draw_sample(NUM_FILES).pictures}
    if options.photographs.is_dir():
        pictures = {
            "small photographs": lambda: samples.read_pictures(options.photographs, NUM_FILES),
            "photographs enlarged by 4": lambda: (
                samples.enlarge_photographs(options.photographs, NUM_FILES).pictures
            ),
        }
    for what, read in pictures.items():
        place = folder / what.replace(" ", "_")
        yield from photo_rows.command_rows(
            what, read(), place, options.before, rounds, options.clock
        )


if __name__ == "__main__":
    main()
