"""`hourglass convert`: what `hourglass predict` has found, in the forms of other programs."""

import argparse
import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from hourglass.cli.options import add_parser
from hourglass.inference.interchange import (
    PictureRecord,
    make_annotations,
    make_results,
    read_image_ids,
    read_records,
    write_csv,
)
from hourglass.keypoints import COCO
from hourglass.utils.errors import UserError, printable
from hourglass.utils.files import atomic_path, write_json

FORMATS = {"coco": "people.json", "coco-results": "results.json", "csv": "people.csv"}


def add_convert_command(commands: Any) -> None:
    """Add `hourglass convert` to the subparsers of the command."""
    parser = add_parser(
        commands, "convert", "write what predict has found in COCO's forms, or as CSV",
        ": annotations that labelling tools import, results that evaluators read, or a row a "
        "person.",
    )  # fmt: skip
    parser.add_argument(
        "records", type=Path, metavar="RECORDS",
        help="the folder that predict has written, with or without --records; or one file of it",
    )  # fmt: skip
    parser.add_argument(
        "--format", choices=FORMATS, default="coco", help="of the file (default: %(default)s)"
    )
    parser.add_argument(
        "--joints", choices=("own", "coco"), default="own",
        help="own: those of the records; coco: COCO's 17, of which the face's are unlabelled where "
        "the network does not know them (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--images", type=Path, metavar="FILE",
        help="take the ids of the images from this COCO file, by file name (default: numbers)",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=Path, metavar="FILE",
        help=f"what to write (default: {', '.join(FORMATS.values())} in this folder)",
    )  # fmt: skip
    parser.set_defaults(run=run_convert)


def run_convert(options: argparse.Namespace) -> None:
    """Write the file; nothing is left of it if a record cannot be used."""
    target = options.out or Path(FORMATS[options.format])
    if target.exists():
        raise UserError(f"{target}: is there already; remove it, or choose another --out")
    ids = read_image_ids(options.images) if options.images else None
    names, records = find_names(read_records(options.records))
    if options.joints == "coco":
        names = COCO.keypoints
    counted: list[int] = []
    records = count_people(records, counted)
    if options.format == "csv":
        with atomic_path(target) as temporary:
            write_csv(records, names, temporary)
    else:
        make: Callable[..., Any] = {"coco": make_annotations, "coco-results": make_results}[
            options.format
        ]
        write_json(target, make(records, names, ids))
    print(f"{printable(str(target))}: {sum(counted)} people on {len(counted)} pictures")


def find_names(records: Iterator[PictureRecord]) -> tuple[Sequence[str], Iterator[PictureRecord]]:
    """The names of the joints, of the first person there is, and all records."""
    seen = []
    for record in records:
        seen.append(record)
        if record.people:
            return list(record.people[0]["joints"]), itertools.chain(seen, records)
    raise UserError("no person is in the records: there is nothing to convert")


def count_people(records: Iterator[PictureRecord], counted: list[int]) -> Iterator[PictureRecord]:
    """Yield the records, and note how many people each has."""
    for record in records:
        counted.append(len(record.people))
        yield record
