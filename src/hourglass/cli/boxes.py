"""`--boxes FILE`: the boxes of people that a detector has found on the pictures of a command.

FILE is COCO's JSON, a list of detections or an object with annotations
(https://cocodataset.org/#format-results, #format-data), or CSV.
"""

import csv
import math
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from hourglass.data.formats.coco import (
    index_entries,
    is_coco,
    is_crowd,
    list_entries,
    read_id,
    read_names,
    read_numbers,
    show_id,
)
from hourglass.data.raw_records import BBox, FormFault
from hourglass.inference.person_search import BBOX_RULE, is_bbox
from hourglass.utils.errors import UserError, printable
from hourglass.utils.files import read_json

PERSON = 1  # COCO's category_id
COLUMNS = ("image", "x", "y", "width", "height")
MAX_BOXES = 999  # of a picture: their model inputs take 200 MB
FORMS = "name COCO's detections or annotations, or CSV that ends in .csv"

Image = Path | float  # how a file of boxes names a picture: its path, or the number in its name


class Box(NamedTuple):
    """A record of a file of boxes; its score is 0 if it has none."""

    image: Image
    score: float
    bbox: BBox


@dataclass(frozen=True)
class BoxFile:
    """A file of boxes that was read.

    Attributes:
        path: of the file.
        bboxes: those of each picture, by score, else in the order of the file.
    """

    path: Path
    bboxes: dict[Image, tuple[BBox, ...]]

    def match(self, photos: Iterable[Path]) -> dict[Path, tuple[BBox, ...]]:
        """The bboxes of photographs; those of other pictures are counted in a warning.

        A photograph is found by its path, else by its file name, else by the number that ends its
        stem: COCO's 000000000139.jpg has the image_id 139.

        Raises:
            UserError: two photographs or two pictures of the file have the same name.
        """
        photos = list(dict.fromkeys(photos))
        owners: dict[Image, Path] = {photo: photo for photo in photos if photo in self.bboxes}
        names = self._index_names(owners)
        for photo in (photo for photo in photos if photo not in owners):
            images = names.get(photo.name) or names.get(_find_number(photo), [])
            if len(images) > 1:
                raise self._refuse(photo, *images[:2])
            for image in images:
                if image in owners:
                    name = f"image_id {show_id(image)}" if isinstance(image, float) else image
                    raise self._refuse(name, owners[image], photo)
                owners[image] = photo
        self._warn_of_others(owners)
        return {photo: self.bboxes[image] for image, photo in owners.items()}

    def _index_names(self, matched: dict[Image, Path]) -> dict[str | float | None, list[Image]]:
        names: dict[str | float | None, list[Image]] = {}
        for image in (image for image in self.bboxes if image not in matched):
            names.setdefault(image.name if isinstance(image, Path) else image, []).append(image)
        return names

    def _refuse(self, name: Image | str, one: Image, other: Image) -> UserError:
        advice = "give pictures the same paths in the file and in the command"
        return UserError(f"{self.path}: {name} may be {one} or {other}; {advice}")

    def _warn_of_others(self, owners: dict[Image, Path]) -> None:
        numbers = [len(bboxes) for image, bboxes in self.bboxes.items() if image not in owners]
        if numbers:
            print(
                f"warning: {printable(self.path)}: boxes of pictures that are not named in the "
                f"command: {sum(numbers):,}, of {len(numbers):,}",
                file=sys.stderr,
            )


def _find_number(photo: Path) -> float | None:
    digits = re.search("[0-9]+$", photo.stem)
    return float(digits[0]) if digits else None


def read_boxes(path: Path) -> BoxFile:
    """The boxes of people in a file.

    Raises:
        UserError: the file cannot be read, has another form, or a faulty record.
    """
    if path.exists() and not path.is_file():
        raise UserError(f"{path}: is a folder, a device or a pipe, not a file; {FORMS}")
    found: dict[Image, list[Box]] = {}
    for where, box in _read_people(path):
        boxes = found.setdefault(box.image, [])
        boxes.append(box)
        if len(boxes) > MAX_BOXES:
            fault = f"more than {MAX_BOXES} boxes of one picture; leave out the unsure ones"
            raise UserError(f"{path}: {where}: {fault}")
    return BoxFile(path, {image: _sort_bboxes(boxes) for image, boxes in found.items()})


def _sort_bboxes(boxes: list[Box]) -> tuple[BBox, ...]:
    return tuple(box.bbox for box in sorted(boxes, key=lambda box: -box.score))


def _read_people(path: Path) -> Iterator[tuple[str, Box]]:
    """Yield the boxes of people, each with its place in the file."""
    is_csv = path.suffix.lower() == ".csv"
    read, entries = (_read_row, _list_rows(path)) if is_csv else _open_json(path)
    has_entries = has_people = False
    for where, entry in entries:
        has_entries = True
        try:
            box = read(entry)
        except FormFault as fault:
            raise UserError(f"{path}: {where}: {fault}; fix the record or remove it") from None
        if box:
            has_people = True
            yield where, box
    if has_entries and not has_people:
        raise UserError(
            f"{path}: has no box of a person: category_id {PERSON} in a list of detections, the "
            "category person of annotations; name another"
        )


# A reader of records, None for what is no person, and the records, each with its place in the file.
Form = tuple[Callable[[Any], Box | None], Iterable[tuple[str, Any]]]


def _open_json(path: Path) -> Form:
    content = read_json(path, FORMS)
    if isinstance(content, list):
        return _read_detection, ((f"record {k}", entry) for k, entry in enumerate(content))
    if not is_coco(content):
        raise UserError(f"{path}: is not in COCO's form; {FORMS}")
    try:
        names, categories = read_names(content), index_entries(content, "categories")
        entries = list_entries(content, "annotations")
    except FormFault as fault:
        raise UserError(f"{path}: {fault}; {FORMS}") from None
    people = {key for key, category in categories.items() if category.get("name") == "person"}
    read = partial(_read_annotation, names=names, people=people)
    return read, ((f"annotations {k}", entry) for k, entry in enumerate(entries))


def _read_detection(entry: Any) -> Box | None:
    _check_object(entry)
    if entry.get("category_id", PERSON) != PERSON:
        return None
    score = entry.get("score", 0.0)
    if not isinstance(score, float) or not math.isfinite(score):
        raise FormFault("score is not a finite number")
    return Box(_read_image(entry), score, _check_bbox(read_numbers(entry, "bbox", 4)))


def _read_image(entry: dict) -> Image:
    name, number = entry.get("file_name"), entry.get("image_id")
    if isinstance(name, str) and name:
        return Path(name)
    if isinstance(number, float) and number.is_integer():
        return number
    raise FormFault("no 'file_name', and no whole number as 'image_id'")


def _read_annotation(
    entry: Any, names: dict[float | str, str], people: set[float | str]
) -> Box | None:
    _check_object(entry)
    if read_id(entry, "category_id") not in people or is_crowd(entry):
        return None
    image = read_id(entry, "image_id")
    if image not in names:
        raise FormFault(f"image_id {show_id(image)} is not among the images")
    return Box(Path(names[image]), 0.0, _check_bbox(read_numbers(entry, "bbox", 4)))


def _check_object(entry: Any) -> None:
    if not isinstance(entry, dict):
        raise FormFault("not an object")


def _check_bbox(numbers: list[float]) -> BBox:
    if not is_bbox(numbers):
        raise FormFault(f"box {','.join(f'{number:g}' for number in numbers)}: {BBOX_RULE}")
    x, y, width, height = numbers
    return x, y, width, height


def _list_rows(path: Path) -> Iterator[tuple[str, dict]]:
    try:
        # A path may hold any bytes.
        with open(path, newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
            rows = csv.DictReader(file, skipinitialspace=True)
            if not set(COLUMNS) <= set(rows.fieldnames or ()):
                raise UserError(
                    f"{path}: line 1: a header with {', '.join(COLUMNS)} and perhaps score was "
                    "expected; add it"
                )
            yield from ((f"line {rows.line_num}", row) for row in rows)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}; {FORMS}") from None
    except csv.Error as error:
        raise UserError(f"{path}: not CSV: {error}; {FORMS}") from None


def _read_row(row: dict[str | None, Any]) -> Box:
    if None in row or None in row.values():
        raise FormFault("another number of fields than in the header")
    if not row["image"]:
        raise FormFault("no image")
    score = _parse_number(row, "score") if "score" in row else 0.0
    bbox = [_parse_number(row, name) for name in COLUMNS[1:]]
    return Box(Path(row["image"]), score, _check_bbox(bbox))


def _parse_number(row: dict[str | None, Any], name: str) -> float:
    try:
        number = float(row[name])
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise FormFault(f"{name} is {row[name]!r}, not a finite number")
    return number
