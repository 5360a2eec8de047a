"""The arguments of the commands, and what each may hold."""

import argparse
import re
from pathlib import Path

from hourglass.commands.models import MODEL
from hourglass.errors import UserError
from hourglass.prediction.people import BOX_RULE, THRESHOLD, is_box
from hourglass.prediction.photos import Request
from hourglass.stickers.styles import STYLES

FORMATS = {"onnx": ".onnx", "litert": ".tflite", "saved_model": ""}  # and how their names end


def add_predict_options(parser):
    """The arguments of `hourglass predict`."""
    parser.add_argument(
        "photos", nargs="*", type=Path, metavar="FILE",
        help="a picture or a clip, or a folder of them",
    )  # fmt: skip
    parser.add_argument(
        "--camera", type=parse_camera, action="append", default=[], metavar="N",
        help="follow people on what camera N films, 0 the first, until Ctrl-C is pressed (Linux)",
    )  # fmt: skip
    _add_person_options(parser)
    _add_folder_option(parser, "poses")
    _add_network_options(parser)
    _add_smoothing_option(parser)
    _add_records_options(parser)


def add_sticker_options(parser):
    """The arguments of `hourglass sticker`."""
    parser.add_argument(
        "photos", nargs="+", type=Path, metavar="FILE",
        help="a picture or a clip, or a folder of them",
    )  # fmt: skip
    parser.add_argument(
        "--style", choices=STYLES, action="append",
        help="figure: a bold pictogram; cutout: cut out of the picture; cartoon: drawn, in the "
        "colours of what is worn; may be named several times (default: all three)",
    )  # fmt: skip
    parser.add_argument(
        "--start", type=parse_start, default=0.0, metavar="S",
        help="pass over the first S seconds of a clip (default: %(default)g)",
    )  # fmt: skip
    _add_person_options(parser)
    _add_folder_option(parser, "stickers")
    _add_network_options(parser)
    _add_smoothing_option(parser)


def add_export_options(parser):
    """The arguments of `hourglass export`."""
    _add_network_options(parser)
    parser.add_argument(
        "--format", choices=FORMATS, default="onnx", help="of the file (default: %(default)s)"
    )
    parser.add_argument(
        "--half", action="store_true",
        help="keep the weights as float16, for half the bytes: joints move by up to 0.1 px",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=Path, metavar="FILE",
        help="what to write; a folder for saved_model (default: beside the network, of its name; "
        "of the shipped one in this folder)",
    )  # fmt: skip


def _add_records_options(parser):
    parser.add_argument(
        "--records", action="store_true",
        help="for any number of pictures, in folders and all below them: one DIR/poses.jsonl, a "
        "line a picture, in place of files for each; what cannot be used in DIR/rejects.csv; "
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


def _add_person_options(parser):
    parser.add_argument(
        "--people", type=parse_people, metavar="N",
        help="find up to N people on each picture, the surest first (default: 1)",
    )  # fmt: skip
    parser.add_argument(
        "--threshold", type=parse_threshold, metavar="T",
        help=f"the least score, 0 to 1, of what is taken for a person (default: {THRESHOLD})",
    )  # fmt: skip
    parser.add_argument(
        "--box", type=parse_box, metavar="X,Y,W,H",
        help="do not search: the person is in this box, left, top, width, height in px of the "
        "upright picture, of a clip in its first frame; looked at a second time around the joints "
        "found first",
    )  # fmt: skip
    parser.add_argument(
        "--whole", action="store_true",
        help="do not search: the whole picture shows one person; looked at once, the fastest",
    )  # fmt: skip


def _add_folder_option(parser, name):
    parser.add_argument(
        "--out", type=Path, default=Path(name), metavar="DIR",
        help="the folder to write to; made if missing (default: %(default)s)",
    )  # fmt: skip


def _add_network_options(parser):
    parser.add_argument(
        "--model", type=Path, metavar="FILE",
        help=f"the trained network (default: {MODEL}, else the shipped one)",
    )  # fmt: skip
    parser.add_argument(
        "--no-flip-test", action="store_true",
        help="do without the mirrored picture: twice as fast, less exact (default: use both)",
    )  # fmt: skip


def _add_smoothing_option(parser):
    parser.add_argument(
        "--no-smoothing", action="store_true",
        help="leave a clip's joints as each frame alone shows them (default: smooth them)",
    )  # fmt: skip


def name_export(out, kind, network):
    """The path that an export is written to; `network` is the path that it is named after.

    Raises:
        UserError: `out`, the path asked for, ends as no file of that kind does.
    """
    suffix = FORMATS[kind]
    if out and suffix and out.suffix != suffix:
        raise UserError(f"--out {out}: a file of --format {kind} ends in {suffix}")
    return out or network.with_suffix(suffix)


def check_inputs(options):
    """Refuse to predict nothing, and options that belong to `--records` alone.

    Raises:
        UserError: nothing is named; or which option goes with which.
    """
    if not (options.photos or options.camera or options.list):
        raise UserError("name pictures, clips or a --camera; `hourglass predict --help` says more")
    _check_records(options)


def check_ways(options):
    """Refuse options that contradict each other.

    Raises:
        UserError: two ways to tell who is meant, and why they exclude each other.
    """
    given = options.box is not None
    if given and options.whole:
        raise UserError(
            "--box and --whole exclude each other: the person is in the box, or all over the "
            "picture; leave one out"
        )
    way = "--box" if given else "--whole" if options.whole else None
    for name in ("people", "threshold"):
        if way and getattr(options, name) is not None:
            raise UserError(
                f"--{name} cannot be combined with {way}, which says where the one person is; "
                "leave one out"
            )


def _check_records(options):
    if options.records and options.camera:
        raise UserError("--records is for pictures, not for a --camera; leave one out")
    for name in ("list", "draw"):
        if getattr(options, name) and not options.records:
            raise UserError(f"--{name} is for --records; add that, or leave it out")


def make_request(options):
    """Whom the options ask for, a `Request`."""
    if options.box:
        return Request("box", options.box, threshold=None)
    if options.whole:
        return Request("whole", threshold=None)
    threshold = THRESHOLD if options.threshold is None else options.threshold
    return Request(num_people=options.people or 1, threshold=threshold)


def join_box(arguments):
    """Write `--box -1,2,3,4` as `--box=-1,2,3,4`: argparse takes a minus for an option's."""
    joined = []
    for argument in arguments:
        if joined[-1:] == ["--box"] and re.match(r"-[\d.]", argument):
            joined[-1] += f"={argument}"
        else:
            joined.append(argument)
    return joined


def parse_camera(text):
    """Parse a camera's number; gives its device."""
    if not re.fullmatch(r"[0-9]{1,3}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a camera's number, such as 0")
    return Path(f"/dev/video{int(text)}")


def parse_box(text):
    """Parse "x,y,w,h" into four numbers, width and height positive."""
    try:
        x, y, width, height = (float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not X,Y,W,H, four numbers such as 10,20,100,200"
        ) from None
    if not is_box((x, y, width, height)):
        raise argparse.ArgumentTypeError(f"{text!r}: {BOX_RULE}")
    return x, y, width, height


def parse_people(text):
    """Parse how many people to find, 1 or more."""
    if not re.fullmatch(r"[0-9]{1,3}", text) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to 999")
    return int(text)


def parse_threshold(text):
    """Parse a score, 0 to 1."""
    try:
        threshold = float(text)
    except ValueError:
        threshold = -1.0
    if not 0 <= threshold <= 1:  # NaN too
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return threshold


def parse_start(text):
    """Parse seconds, 0 or more."""
    try:
        start = float(text)
    except ValueError:
        start = -1.0
    if not 0 <= start < float("inf"):  # NaN too
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds, 0 or more")
    return start
