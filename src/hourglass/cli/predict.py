"""`hourglass predict`: people found on photographs and in clips, and drawn."""

import argparse
import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from hourglass.cli.batch import run_records
from hourglass.cli.boxes import read_boxes
from hourglass.cli.files import Pair, Passed, find_files, name_inputs, pair_targets, refuse_loss
from hourglass.cli.messages import describe_people, describe_tracks, end, report
from hourglass.cli.models import load_clips, open_network
from hourglass.cli.options import add_inference_options, add_parser, make_config, warn_of_box
from hourglass.inference.outputs import is_record, write_poses
from hourglass.inference.runner import map_photos
from hourglass.utils.errors import UserError
from hourglass.utils.parallel import attempt


def add_predict_command(commands: Any) -> None:
    """Add `hourglass predict` to the subparsers of the command."""
    parser = add_parser(
        commands, "predict", "find people on photographs and in clips, and draw their poses",
        ": writes NAME.png, the drawn picture, and NAME.json, the joints in pixels with their "
        "scores; of a clip NAME.mp4 and NAME.jsonl, a line a frame. With --records one file of "
        "joints for all pictures.",
    )  # fmt: skip
    add_inference_options(parser, "*", "poses")
    parser.add_argument(
        "--camera", type=parse_camera, action="append", default=[], metavar="N",
        help="track the people that camera N films, 0 the first, until Ctrl-C is pressed (Linux)",
    )  # fmt: skip
    parser.add_argument(
        "--boxes", type=Path, metavar="FILE",
        help="do not search: a person is in each box of FILE, as --box. FILE is a list of COCO's "
        "detections or a COCO file of annotations, both JSON, or CSV with the header image,x,y,"
        "width,height and perhaps score. Of a clip the boxes are those in its first frame",
    )  # fmt: skip
    parser.add_argument(
        "--records", action="store_true",
        help="for any number of pictures, in folders and all below them: one DIR/poses.jsonl, a "
        "line a picture, in place of files for each; pictures that cannot be used are named in "
        "DIR/invalid.csv; after a kill, repeat the command and it goes on",
    )  # fmt: skip
    parser.add_argument(
        "--list", type=Path, action="append", default=[], metavar="FILE",
        help="with --records: also the pictures whose paths are in FILE, one a line, relative to "
        "the current folder",
    )  # fmt: skip
    parser.add_argument(
        "--draw", action="store_true",
        help="with --records: draw the people on the pictures too, into DIR/drawn",
    )  # fmt: skip
    parser.set_defaults(run=run_predict)


def run_predict(options: argparse.Namespace) -> None:
    """Write the drawn picture and the joints of every photograph; of clips as well.

    A file that cannot be used is named and passed over; then the exit code is 1.
    """
    check_inputs(options)
    config = make_config(options)
    boxes = read_boxes(options.boxes) if options.boxes else None
    if options.records:
        run_records(options, config, boxes)
        return
    passed = Passed()
    found = [*find_files(options.photos, passed), *options.camera]
    photos, clips = pair_targets(found, options.out)
    passed.report()
    warn_of_box(options.box, len(found))
    if boxes:
        files = (path for path, _ in (*photos, *clips))
        config = replace(config, photo_bboxes=boxes.match(files))
    check_no_overwrite(photos, clips)
    if clips:
        load_clips()  # without PyAV nothing is written
    num_inputs = sum(config.for_photo(path).num_inputs for path, _ in photos)
    _, backend = open_network(options, num_inputs)
    write = partial(write_poses, schema=backend.schema)
    describe = partial(describe_people, threshold=config.threshold)
    failed = report(photos, map_photos(write, backend, photos, config), describe, "predict")

    def track(file: Pair) -> Any:
        of_clip = config.for_photo(file[0])
        return load_clips().predict_clip(backend, *file, of_clip, not options.no_smoothing)

    describe = partial(describe_tracks, threshold=config.threshold)
    failed += report(clips, (attempt(track, clip) for clip in clips), describe)
    end(failed, len(photos) + len(clips))


def check_inputs(options: argparse.Namespace) -> None:
    """Refuse to predict nothing, and options that belong to `--records` alone.

    Raises:
        UserError: nothing is named; or which option goes with which.
    """
    if not (options.photos or options.camera or options.list):
        raise UserError("name pictures, clips or a --camera; `hourglass predict --help` says more")
    for name, kind in (("records", "pictures"), ("boxes", "files")):
        if getattr(options, name) and options.camera:
            raise UserError(f"--{name} is for {kind}, not for a --camera; leave one out")
    for name in ("list", "draw"):
        if getattr(options, name) and not options.records:
            raise UserError(f"--{name} is for --records; add that, or leave it out")


def check_no_overwrite(photos: list[Pair], clips: list[Pair]) -> None:
    """Refuse an output folder in which an input, or what another program wrote, would be lost.

    Raises:
        UserError: names the file that would be lost.
    """
    inputs = name_inputs(photos, clips)
    for files, kinds in ((photos, ("png", "json")), (clips, ("mp4", "jsonl"))):
        for _, target in files:
            drawn, record = (target.with_name(f"{target.name}.{kind}") for kind in kinds)
            # The record is written first: a picture without one is not ours. Labelling tools keep
            # records of their own beside the photograph, under its name.
            refuse_loss(drawn, inputs, drawn.exists() and not record.is_file())
            refuse_loss(record, inputs, record.is_file() and not is_record(record))


def parse_camera(text: str) -> Path:
    """Parse a camera's number; gives its device."""
    if not re.fullmatch(r"[0-9]{1,3}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a camera's number, such as 0")
    return Path(f"/dev/video{int(text)}")
