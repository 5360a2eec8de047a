"""The options that several commands have, and the values that they take."""

import argparse
import re
import sys
from pathlib import Path
from typing import Any

from hourglass.cli.models import MODEL
from hourglass.data.raw_records import BBox
from hourglass.inference.person_search import BBOX_RULE, MIN_SIDE, THRESHOLD, is_bbox
from hourglass.inference.runner import InferenceConfig
from hourglass.utils.errors import UserError


def add_parser(commands: Any, name: str, text: str, more: str) -> argparse.ArgumentParser:
    """Add the parser of a command to the subparsers of `hourglass`.

    Args:
        text: its description in the list of commands. more: the rest of its own description.
    """
    return commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}{more}")


def add_inference_options(
    parser: argparse.ArgumentParser, nargs: str, folder: str, people: int | None = None
) -> None:
    """Add the options of finding people in files: the files, which people, the network, the output.

    Args:
        nargs: of files, as argparse has it. folder: the default of `--out`.
        people: the default of `--people`; None: all.
    """
    parser.add_argument(
        "photos", nargs=nargs, type=Path, metavar="FILE",
        help="a picture or a clip, or a folder of them",
    )  # fmt: skip
    parser.add_argument(
        "--people", type=parse_people, metavar="N",
        help=f"find up to N people on each picture, the surest first (default: {people or 'all'})",
    )  # fmt: skip
    parser.add_argument(
        "--threshold", type=parse_threshold, metavar="T",
        help=f"the least score, 0 to 1, of a person (default: {THRESHOLD})",
    )  # fmt: skip
    parser.add_argument(
        "--box", type=parse_box, metavar="X,Y,W,H",
        help="do not search: the person is in this box, left, top, width, height in px of the "
        "upright picture, of a clip in its first frame; the joints found there are refined once",
    )  # fmt: skip
    parser.add_argument(
        "--whole", action="store_true",
        help="do not search: the whole picture shows one person; the fastest",
    )  # fmt: skip
    add_out_option(parser, folder)
    add_network_options(parser)
    parser.add_argument(
        "--no-smoothing", action="store_true",
        help="leave a clip's joints as each frame alone shows them (default: smooth them)",
    )  # fmt: skip


def add_out_option(parser: argparse.ArgumentParser, folder: str) -> None:
    """Add `--out`, where to write; `folder` is its default."""
    parser.add_argument(
        "--out", type=Path, default=Path(folder), metavar="DIR",
        help="the folder to write to; made if missing (default: %(default)s)",
    )  # fmt: skip


def add_network_options(parser: argparse.ArgumentParser) -> None:
    """Add `--model` and `--no-flip-test`."""
    parser.add_argument(
        "--model", type=Path, metavar="FILE",
        help=f"the trained network (default: {MODEL}, else the shipped one)",
    )  # fmt: skip
    parser.add_argument(
        "--no-flip-test", action="store_true",
        help="leave out the mirrored picture: twice as fast, less exact (default: use both)",
    )  # fmt: skip


def make_config(options: argparse.Namespace, people: int | None = None) -> InferenceConfig:
    """Which people the options ask for.

    Args:
        people: the default of `--people`; None: all.

    Raises:
        UserError: options that exclude each other.
    """
    given = [name for name in ("box", "boxes", "whole") if getattr(options, name, None)]
    if len(given) > 1:
        raise UserError(
            f"--{given[0]} and --{given[1]} exclude each other: each says where people are; leave "
            "one out"
        )
    for name in ("people", "threshold"):
        if given and getattr(options, name) is not None:
            raise UserError(
                f"--{name} cannot be combined with --{given[0]}, which says where people are; "
                "leave one out"
            )
    if options.whole:
        return InferenceConfig("whole", threshold=None)
    if given:
        return InferenceConfig("bbox", (options.box,) if options.box else (), threshold=None)
    threshold = THRESHOLD if options.threshold is None else options.threshold
    return InferenceConfig(num_people=options.people or people, threshold=threshold)


def warn_of_box(box: BBox | None, num_files: int) -> None:
    """Warn of a `--box` that is very small, or used for several files."""
    texts = []
    if box and min(box[2:]) < MIN_SIDE:
        size = f"{box[2]:g} x {box[3]:g} px"
        texts.append(f"--box is {size}, too small to show a person; it is measured in px")
    if box and num_files > 1:
        texts.append(f"--box is used for each of {num_files:,} files; --boxes has one for each")
    for text in texts:
        print(f"warning: {text}", file=sys.stderr)


def join_box(arguments: list[str]) -> list[str]:
    """Write `--box -1,2,3,4` as `--box=-1,2,3,4`: argparse takes a minus for an option's."""
    joined: list[str] = []
    for argument in arguments:
        if joined[-1:] == ["--box"] and re.match(r"-[\d.]", argument):
            joined[-1] += f"={argument}"
        else:
            joined.append(argument)
    return joined


def parse_box(text: str) -> BBox:
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


def parse_people(text: str) -> int:
    """Parse how many people to find, 1 or more."""
    if not re.fullmatch(r"[0-9]{1,3}", text) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to 999")
    return int(text)


def parse_threshold(text: str) -> float:
    """Parse a score, 0 to 1."""
    try:
        threshold = float(text)
    except ValueError:
        threshold = -1.0
    if not 0 <= threshold <= 1:  # NaN too
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return threshold
