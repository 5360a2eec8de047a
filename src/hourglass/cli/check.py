"""`hourglass check`: what a training would read of a folder of annotations, before it is run."""

import argparse
from pathlib import Path
from typing import Any

from hourglass.cli.options import add_parser
from hourglass.keypoints import SCHEMAS
from hourglass.utils.errors import UserError


def add_check_command(commands: Any) -> None:
    """Add `hourglass check` to the subparsers of the command."""
    parser = add_parser(
        commands, "check", "say what a training would read of a folder of annotations",
        ", in seconds: persons, joints, sizes, and what cannot be used and why; and draw some of "
        "the labels.",
    )  # fmt: skip
    parser.add_argument(
        "folder", type=Path, metavar="FOLDER",
        help="for data.folder: with images/, train.json and validation.json, or a tool's export",
    )  # fmt: skip
    parser.add_argument(
        "--schema", choices=SCHEMAS, default="mpii",
        help="the keypoints of the run, data.schema (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--sheet", type=Path, default=Path("labels.jpg"), metavar="FILE",
        help="the picture of 24 persons with their labels (default: %(default)s)",
    )  # fmt: skip
    parser.set_defaults(run=run_check)


def run_check(options: argparse.Namespace) -> None:
    """Print what is read, and write the sheet."""
    if options.sheet.exists():
        raise UserError(f"{options.sheet}: is there already; remove it, or choose another --sheet")
    try:
        from hourglass.report.labels import check_folder
    except ModuleNotFoundError as error:
        raise UserError(
            f"no module {error.name}, which reads annotations: `pip install '.[pipeline]'`"
        ) from None
    check_folder(options.folder, SCHEMAS[options.schema], options.sheet)
