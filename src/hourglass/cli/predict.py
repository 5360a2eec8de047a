"""`hourglass predict`: people found on photographs and in clips, and drawn."""

import argparse
import functools
import re
from pathlib import Path

from hourglass.cli.batch import run_records
from hourglass.cli.clips import predict_clips
from hourglass.cli.files import check_no_overwrite, find_photos, part_clips
from hourglass.cli.messages import (
    describe_people,
    describe_tracks,
    end,
    report_clips,
    report_photos,
)
from hourglass.cli.models import open_finding
from hourglass.cli.options import add_finding_options, add_parser, check_modes, make_config
from hourglass.inference.outputs import write_poses
from hourglass.inference.runner import map_photos
from hourglass.utils.errors import UserError


def add_command(commands):
    """Add `hourglass predict` to the subparsers of the command."""
    parser = add_parser(
        commands, "predict", "find people on photographs and in clips, and draw their poses",
        ": writes NAME.png, the drawn picture, and NAME.json, the joints in pixels with their "
        "scores; of a clip NAME.mp4 and NAME.jsonl, a line a frame. With --records one file of "
        "joints for all pictures.",
    )  # fmt: skip
    add_finding_options(parser, "*", "poses")
    parser.add_argument(
        "--camera", type=parse_camera, action="append", default=[], metavar="N",
        help="follow people on what camera N films, 0 the first, until Ctrl-C is pressed (Linux)",
    )  # fmt: skip
    _add_records_options(parser)
    parser.set_defaults(run=run_predict)


def _add_records_options(parser):
    parser.add_argument(
        "--records", action="store_true",
        help="for any number of pictures, in folders and all below them: one DIR/poses.jsonl, a "
        "line a picture, in place of files for each; what cannot be used in DIR/invalid.csv; "
        "repeated after a kill it goes on",
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


def run_predict(options):
    """Write the drawn picture and the joints of every photograph; of clips as well.

    A file that cannot be used is named and passed over; then the exit code is 1.
    """
    check_inputs(options)
    check_modes(options)
    config = make_config(options)
    if options.records:
        run_records(options, config)
        return
    paths = find_photos(options.photos) + options.camera
    photos, clips = part_clips(paths, options.out)
    check_no_overwrite(photos, clips)
    backend = open_finding(options, config, photos, clips)
    write = functools.partial(write_poses, config=config)
    photo_results = map_photos(write, backend, photos, config)
    failed = report_photos(photos, photo_results, describe_people, config.threshold, "predict")
    clip_results = predict_clips(backend, clips, config, not options.no_smoothing)
    failed += report_clips(clips, clip_results, describe_tracks, config.threshold)
    end(failed, len(paths))


def check_inputs(options):
    """Refuse to predict nothing, and options that belong to `--records` alone.

    Raises:
        UserError: nothing is named; or which option goes with which.
    """
    if not (options.photos or options.camera or options.list):
        raise UserError("name pictures, clips or a --camera; `hourglass predict --help` says more")
    _check_records(options)


def _check_records(options):
    if options.records and options.camera:
        raise UserError("--records is for pictures, not for a --camera; leave one out")
    for name in ("list", "draw"):
        if getattr(options, name) and not options.records:
            raise UserError(f"--{name} is for --records; add that, or leave it out")


def parse_camera(text):
    """Parse a camera's number; gives its device."""
    if not re.fullmatch(r"[0-9]{1,3}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a camera's number, such as 0")
    return Path(f"/dev/video{int(text)}")
