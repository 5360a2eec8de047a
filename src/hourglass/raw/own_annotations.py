"""A user's own annotations, in MPII's JSON form or in that of COCO's keypoint files.

Source: https://cocodataset.org/#format-data, "Keypoint Detection".
"""

import math
from dataclasses import dataclass

from hourglass.errors import UserError
from hourglass.files import read_json

COCO_KEYPOINTS = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder",
    "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip",
    "left_knee", "right_knee", "left_ankle", "right_ankle",
)  # fmt: skip
NUM_FACE_KEYPOINTS = 5  # the first ones; MPII has none of them
COCO_KEYS = ("images", "annotations", "categories")
# What stands in the place of an annotation of COCO's that is no person to learn or score by.
PASSED_OVER = object()


@dataclass(frozen=True)
class CocoPerson:
    """One annotation of a COCO keypoint file, with the name of its picture."""

    image: str
    keypoints: list  # 17 times x, y, v: 0-based px; v 0 unlabelled, 1 occluded, 2 visible
    bbox: list  # x, y, width, height: 0-based px, around all that is seen of the person


class _CocoFault(Exception):
    """What is wrong with a COCO file, without its path."""


def read_own_annotations(path, advice):
    """The records of one split, in whichever form the file has.

    Returns:
        A list of what stands in MPII's form, unchecked; or, an entry for each of COCO's
        annotations, of `CocoPerson`, and of `PASSED_OVER` for crowds and for those without a
        labelled keypoint below the face.

    Raises:
        UserError: the file cannot be read, is of neither form, is not as COCO's are, or holds no
            record; it ends with `advice`, what to do.
    """
    content = read_json(path, advice)
    if isinstance(content, dict) and content.keys() >= set(COCO_KEYS):
        try:
            records = _read_coco(content)
        except _CocoFault as fault:
            raise UserError(f"{path}: {fault}; {advice}") from None
    elif isinstance(content, list):
        records = content
    else:
        raise UserError(
            f"{path}: line 1: a list of records was expected, or COCO's images, annotations and "
            f"categories; {advice}"
        )
    if all(record is PASSED_OVER for record in records):
        raise UserError(f"{path}: holds no record of a person; {advice}")
    return records


def name_pictures(records):
    """The names of the pictures that are named by records of `read_own_annotations`, a set."""
    names = (
        record.get("image") if isinstance(record, dict) else getattr(record, "image", None)
        for record in records
    )
    return {name for name in names if isinstance(name, str)}


def _read_coco(content):
    images, categories, annotations = (
        _index_entries(content[key], key) for key in ("images", "categories", "annotations")
    )
    for number, image in enumerate(images.values()):
        if not isinstance(image.get("file_name"), str):
            raise _CocoFault(f"images {number}: no 'file_name'")
    return [
        _read_annotation(annotation, f"annotations {number}", images, categories)
        for number, annotation in enumerate(annotations.values())
    ]


def _index_entries(entries, key):
    """{id: entry} of one of COCO's lists, in its order."""
    if not isinstance(entries, list):
        raise _CocoFault(f"{key} is not a list")
    by_id = {}
    for number, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise _CocoFault(f"{key} {number}: not an object")
        name = _read_id(entry, "id", f"{key} {number}")
        if name in by_id:
            raise _CocoFault(f"{key} {number}: id {_show_id(name)} is there already")
        by_id[name] = entry
    return by_id


def _read_annotation(annotation, place, images, categories):
    """A `CocoPerson`, or `PASSED_OVER`."""
    image = _look_up(annotation, "image_id", images, place)
    category = _look_up(annotation, "category_id", categories, place)
    if annotation.get("iscrowd") or annotation.get("num_keypoints") == 0:
        return PASSED_OVER
    if category.get("keypoints") != list(COCO_KEYPOINTS):
        raise _CocoFault(
            f"{place}: category {_show_id(annotation['category_id'])} does not have COCO's "
            f"{len(COCO_KEYPOINTS)} keypoints in their order"
        )
    keypoints = _read_numbers(annotation, "keypoints", 3 * len(COCO_KEYPOINTS), place)
    if not set(keypoints[2::3]) <= {0, 1, 2}:
        raise _CocoFault(f"{place}: the v of a keypoint is not 0, 1 or 2")
    bbox = _read_numbers(annotation, "bbox", 4, place)
    if not any(keypoints[2::3][NUM_FACE_KEYPOINTS:]):
        return PASSED_OVER
    return CocoPerson(image["file_name"], keypoints, bbox)


def _look_up(annotation, key, entries, place):
    name = _read_id(annotation, key, place)
    if name not in entries:
        raise _CocoFault(f"{place}: {key} {_show_id(name)} is not there")
    return entries[name]


def _read_id(entry, key, place):
    name = entry.get(key)
    if not isinstance(name, float | str):
        raise _CocoFault(f"{place}: no '{key}'")
    return name


def _show_id(name):
    return f"{name:.0f}" if isinstance(name, float) else repr(name[:80])


def _read_numbers(annotation, key, length, place):
    values = annotation.get(key)
    is_list = isinstance(values, list) and len(values) == length
    if not is_list or not all(isinstance(v, float) and math.isfinite(v) for v in values):
        raise _CocoFault(f"{place}: {key} is not {length} finite numbers")
    return values
