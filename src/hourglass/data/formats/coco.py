"""COCO's form of keypoint annotations: its reader and its checks.

Source: https://cocodataset.org/#format-data, "Keypoint Detection". Labelling tools write the same
form for keypoints of one's own: a category names them.
"""

import collections
import dataclasses
import math
from typing import Any

import numpy as np

from hourglass.data.formats.named_keypoints import NamedKeypoints
from hourglass.data.keypoint_names import canonical_names
from hourglass.data.raw_records import (
    BBox,
    FormFault,
    LabelledPerson,
    PassedOver,
    RawSplit,
    UnusableRecord,
)
from hourglass.keypoints import KeypointSchema

COCO_KEYS = ("images", "annotations", "categories")
LABELLED, UNLABELLED = (1, 2), 0  # values of v: occluded and visible, not labelled
# Predictions have a score in v's place. A keypoint of less is no label.
SURE = 0.5
ODD_V = "keypoints with a v other than 0, 1, 2, taken for unlabelled"
# Tools make boxes of the keypoints where nobody drew any. People reach beyond. Of 313 persons of
# COCO with 13 keypoints and more, the box is 1.21 times as long as the keypoints' (median); with
# the head's top it would be about 1.04 times.
TIGHT = 1.5  # px from the keypoints to a box that is made of them
MOST = 0.9  # of a file's persons with such a box: its boxes are made of keypoints
GROWTH, GROWTH_WITH_HEAD = 1.21, 1.04
GROWN = "boxes that only enclose the keypoints, enlarged"
SCORE_V = f"keypoints with a score as v, labelled from {SURE:g} on"


def is_coco(content: Any) -> bool:
    """Whether the content of a JSON file is in COCO's form."""
    return isinstance(content, dict) and content.keys() >= set(COCO_KEYS)


def read_coco(content: dict[str, Any], schema: KeypointSchema) -> RawSplit:
    """A record for each annotation of a COCO keypoint file.

    The names of a category tell which keypoints its annotations have. `v` tells which of them are
    labelled; `num_keypoints` is not read. `PassedOver` stands for crowds, for boxes without
    keypoints, for other categories, and for persons without a label that the run uses. An
    `UnusableRecord` stands for a faulty annotation.

    Args:
        schema: the run's.

    Raises:
        FormFault: the file is not as COCO's are.
    """
    reader = _Reader(content, schema)
    records = [reader.read(entry) for entry in list_entries(content, "annotations")]
    records = reader.grow_boxes(records)
    return RawSplit(records, reader.keypoints.schema, reader.notes)


class _Reader:
    """Reads the annotations of a file; counts what it makes of odd ones."""

    def __init__(self, content: dict[str, Any], schema: KeypointSchema) -> None:
        self.names = read_names(content)
        self.sizes = _read_sizes(content)
        categories = index_entries(content, "categories")
        self.lists = {key: _read_list(category) for key, category in categories.items()}
        self.keypoints = NamedKeypoints(self.lists, schema)
        self.notes: collections.Counter[str] = collections.Counter()
        self.are_tight: list[bool] = []

    def read(self, annotation: Any) -> LabelledPerson | PassedOver | UnusableRecord:
        image = ""
        try:
            if not isinstance(annotation, dict):
                raise FormFault("not an object")
            image_id = annotation.get("image_id")
            image = self.names.get(image_id, "") if isinstance(image_id, float | str) else ""
            return self._read_person(annotation, image)
        except FormFault as fault:
            return UnusableRecord(image, str(fault))

    def _read_person(self, annotation: dict, image: str) -> LabelledPerson | PassedOver:
        category = read_id(annotation, "category_id")
        if category not in self.keypoints:
            return PassedOver("of another category")
        if is_crowd(annotation):
            return PassedOver("a crowd")
        if annotation.get("keypoints") in (None, []):
            return PassedOver("without keypoints")
        if not image:
            named = show_id(read_id(annotation, "image_id"))
            raise FormFault(f"image_id {named} is not among the images")
        triples = _read_triples(annotation["keypoints"], len(self.lists[category]))
        flags = self._read_flags(triples[:, 2])
        points, labelled = self.keypoints.take(category, triples[:, :2], flags)
        if not np.isfinite(points[labelled]).all():
            raise FormFault("a labelled keypoint is not at two finite numbers")
        if not self.keypoints.is_used(labelled):
            return PassedOver("without a label that data.schema uses")
        size, bbox = self.sizes.get(annotation["image_id"]), _read_bbox(annotation)
        self.are_tight.append(_is_tight(bbox, triples[flags, :2]))
        return LabelledPerson(image, points, labelled, bbox, size)

    def grow_boxes(self, records: list[Any]) -> list[Any]:
        """The records; with larger boxes if nearly all were made of the keypoints."""
        if not self.are_tight or np.mean(self.are_tight) < MOST:
            return records
        has_head = any("head_top" in canonical_names(names) for names in self.lists.values())
        growth = GROWTH_WITH_HEAD if has_head else GROWTH
        self.notes[GROWN] += sum(isinstance(record, LabelledPerson) for record in records)
        return [
            dataclasses.replace(record, bbox=_grow(record.bbox, growth))
            if isinstance(record, LabelledPerson)
            else record
            for record in records
        ]

    def _read_flags(self, v: np.ndarray) -> np.ndarray:
        """Which keypoints are labelled, bool [n]."""
        labelled = np.isin(v, LABELLED)
        odd = ~labelled & (v != UNLABELLED)
        if not odd.any():
            return labelled
        is_score = (v > 0) & (v < 1)
        self.notes[SCORE_V] += int(is_score.sum())
        self.notes[ODD_V] += int((odd & ~is_score).sum())
        return labelled | (is_score & (v >= SURE))


def _is_tight(bbox: BBox, points: np.ndarray) -> bool:
    """Whether a box ends where the keypoints [n, 2] do, two or more."""
    if len(points) < 2:
        return False
    x, y, width, height = bbox
    low, high = points.min(axis=0), points.max(axis=0)
    return bool(np.abs([*(low - (x, y)), *(high - (x + width, y + height))]).max() <= TIGHT)


def _grow(bbox: BBox, factor: float) -> BBox:
    x, y, width, height = bbox
    grown = factor * width, factor * height
    return x + (width - grown[0]) / 2, y + (height - grown[1]) / 2, *grown


def _read_list(category: dict) -> list[str]:
    """The names of a category's keypoints; none where it has no list of names."""
    listed = category.get("keypoints")
    is_list = isinstance(listed, list) and all(isinstance(name, str) for name in listed)
    return listed if isinstance(listed, list) and is_list else []


def read_names(content: dict) -> dict[float | str, str]:
    """{id: file name} of the images."""
    images = index_entries(content, "images")
    for number, image in enumerate(images.values()):
        if not isinstance(image.get("file_name"), str):
            raise FormFault(f"images {number}: no 'file_name'")
    return {image_id: image["file_name"] for image_id, image in images.items()}


def _read_sizes(content: dict) -> dict[float | str, tuple[float, float]]:
    """{id: width, height} of the images that have both."""
    sizes = {}
    for image_id, image in index_entries(content, "images").items():
        width, height = image.get("width"), image.get("height")
        if isinstance(width, float) and isinstance(height, float):
            sizes[image_id] = width, height
    return sizes


def list_entries(content: dict, key: str) -> list:
    """One of COCO's lists."""
    if not isinstance(content[key], list):
        raise FormFault(f"{key} is not a list")
    return content[key]


def index_entries(content: dict, key: str) -> dict[float | str, dict]:
    """{id: entry} of one of COCO's lists, in its order."""
    by_id: dict[float | str, dict] = {}
    for number, entry in enumerate(list_entries(content, key)):
        if not isinstance(entry, dict):
            raise FormFault(f"{key} {number}: not an object")
        try:
            name = read_id(entry, "id")
        except FormFault as fault:
            raise FormFault(f"{key} {number}: {fault}") from None
        if name in by_id:
            raise FormFault(f"{key} {number}: id {show_id(name)} is there already")
        by_id[name] = entry
    return by_id


def is_crowd(annotation: dict) -> bool:
    """Whether an annotation is one of many people at once; a tool may write "0"."""
    value = annotation.get("iscrowd")
    return bool(value) and value not in ("0", "false", "False")


def _read_triples(values: Any, number: int) -> np.ndarray:
    """x, y, v of a category's keypoints, [number, 3]; NaN where there is no number."""
    if not isinstance(values, list):
        raise FormFault("keypoints is not a list")
    if len(values) != 3 * number:
        raise FormFault(
            f"keypoints has {len(values)} numbers, not 3 for each of the category's {number} names"
        )
    numbers = [value if type(value) is float else math.nan for value in values]
    return np.array(numbers).reshape(number, 3)


def _read_bbox(annotation: dict) -> BBox:
    x, y, width, height = read_numbers(annotation, "bbox", 4)
    if width <= 0 or height <= 0:
        raise FormFault("bbox is empty: its width or height is not above 0")
    return x, y, width, height


def read_id(entry: dict, key: str) -> float | str:
    """An id: a number or a text."""
    name = entry.get(key)
    if not isinstance(name, float | str):
        raise FormFault(f"no '{key}'")
    return name


def show_id(name: float | str) -> str:
    """An id for a message."""
    return f"{name:.0f}" if isinstance(name, float) else repr(name[:80])


def read_numbers(annotation: dict, key: str, length: int) -> list[float]:
    """A list of finite numbers."""
    values: Any = annotation.get(key)
    is_list = isinstance(values, list) and len(values) == length
    if not is_list or not all(isinstance(v, float) and math.isfinite(v) for v in values):
        raise FormFault(f"{key} is not {length} finite numbers")
    return values
