"""The parsers of the commands, and options that several of them have.

Whom a command looks for: its options, and what they may hold.
"""

import argparse
import re
from pathlib import Path

from hourglass.cli.models import MODEL
from hourglass.inference.person_search import BBOX_RULE, THRESHOLD, is_bbox
from hourglass.inference.runner import InferenceConfig
from hourglass.utils.errors import UserError


def add_parser(commands, name, text, more):
    """Add the parser of a command to the subparsers of `hourglass`.

    Args:
        text: what it does, for the list of commands. more: what its own help says after that.
    """
    return commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}{more}")


def add_finding_options(parser, nargs, folder):
    """What finds people in files needs: the files, whom to look for, the network, where to write.

    Args:
        nargs: of files, as argparse has it. folder: where to write, where none is named.
    """
    parser.add_argument(
        "photos", nargs=nargs, type=Path, metavar="FILE",
        help="a picture or a clip, or a folder of them",
    )  # fmt: skip
    add_person_options(parser)
    add_folder_option(parser, folder)
    add_network_options(parser)
    parser.add_argument(
        "--no-smoothing", action="store_true",
        help="leave a clip's joints as each frame alone shows them (default: smooth them)",
    )  # fmt: skip


def add_folder_option(parser, name):
    """Where to write; `name` is the default."""
    parser.add_argument(
        "--out", type=Path, default=Path(name), metavar="DIR",
        help="the folder to write to; made if missing (default: %(default)s)",
    )  # fmt: skip


def add_network_options(parser):
    """Which network, and how it looks."""
    parser.add_argument(
        "--model", type=Path, metavar="FILE",
        help=f"the trained network (default: {MODEL}, else the shipped one)",
    )  # fmt: skip
    parser.add_argument(
        "--no-flip-test", action="store_true",
        help="do without the mirrored picture: twice as fast, less exact (default: use both)",
    )  # fmt: skip


def add_person_options(parser):
    """Who is meant, and how sure to be of it."""
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


def check_modes(options):
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


def make_config(options):
    """Whom the options ask for, an `InferenceConfig`."""
    if options.box:
        return InferenceConfig("bbox", options.box, threshold=None)
    if options.whole:
        return InferenceConfig("whole", threshold=None)
    threshold = THRESHOLD if options.threshold is None else options.threshold
    return InferenceConfig(num_people=options.people or 1, threshold=threshold)


def join_box(arguments):
    """Write `--box -1,2,3,4` as `--box=-1,2,3,4`: argparse takes a minus for an option's."""
    joined = []
    for argument in arguments:
        if joined[-1:] == ["--box"] and re.match(r"-[\d.]", argument):
            joined[-1] += f"={argument}"
        else:
            joined.append(argument)
    return joined


def parse_box(text):
    """Parse "x,y,w,h" into four numbers, width and height positive."""
    try:
        x, y, width, height = (float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not X,Y,W,H, four numbers such as 10,20,100,200"
        ) from None
    if not is_bbox((x, y, width, height)):
        raise argparse.ArgumentTypeError(f"{text!r}: {BBOX_RULE}")
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
