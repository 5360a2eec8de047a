"""A user's own annotations, in MPII's JSON form or in that of COCO's keypoint files.

Source: https://cocodataset.org/#format-data, "Keypoint Detection".

Reader of COCO's keypoint annotations.
"""

import math
from dataclasses import dataclass

import numpy as np

from hourglass.data.datasets.base import fill_midpoints
from hourglass.keypoints import JOINTS, NUM_JOINTS, PERSON_HEIGHT
from hourglass.utils import transforms
from hourglass.utils.errors import UserError
from hourglass.utils.files import read_json

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


@dataclass(frozen=True)
class UnusableRecord:
    """What stands in the place of an annotation that cannot be read; `image` "" if unknown."""

    image: str
    reason: str


class _CocoFault(Exception):
    """What is wrong with a COCO file or an annotation in it."""


def read_own_annotations(path, advice):
    """The records of one split, in whichever form the file has.

    Returns:
        A list of what stands in MPII's form, unchecked; or, an entry for each of COCO's
        annotations: a `CocoPerson`; `PASSED_OVER` for crowds, for boxes alone, for categories
        without keypoints, and for persons without a labelled keypoint below the face; an
        `UnusableRecord` for what is faulty.

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


def name_annotated_pictures(records):
    """The names of the pictures that are named by records of `read_own_annotations`, a set."""
    return {name for name in map(read_name, records) if isinstance(name, str)}


def read_name(record):
    """The name of a record's picture, unchecked; None where it has none."""
    if isinstance(record, dict):
        return record.get("image")
    return getattr(record, "image", None) or None


def _read_coco(content):
    images, categories = (_index_entries(content, key) for key in ("images", "categories"))
    for number, image in enumerate(images.values()):
        if not isinstance(image.get("file_name"), str):
            raise _CocoFault(f"images {number}: no 'file_name'")
    names = {image_id: image["file_name"] for image_id, image in images.items()}
    persons = {name for name, entry in categories.items() if _has_our_keypoints(entry)}
    if not persons:
        raise _CocoFault(
            f"no category has COCO's {len(COCO_KEYPOINTS)} keypoints in their order: "
            f"{', '.join(COCO_KEYPOINTS[:3])} ..."
        )
    return [_read_entry(entry, names, persons) for entry in _list_entries(content, "annotations")]


def _has_our_keypoints(category):
    return category.get("keypoints") == list(COCO_KEYPOINTS)


def _list_entries(content, key):
    if not isinstance(content[key], list):
        raise _CocoFault(f"{key} is not a list")
    return content[key]


def _index_entries(content, key):
    """{id: entry} of one of COCO's lists, in its order."""
    by_id = {}
    for number, entry in enumerate(_list_entries(content, key)):
        if not isinstance(entry, dict):
            raise _CocoFault(f"{key} {number}: not an object")
        try:
            name = _read_id(entry, "id")
        except _CocoFault as fault:
            raise _CocoFault(f"{key} {number}: {fault}") from None
        if name in by_id:
            raise _CocoFault(f"{key} {number}: id {_show_id(name)} is there already")
        by_id[name] = entry
    return by_id


def _read_entry(annotation, names, persons):
    """What stands for an annotation in the list of `read_own_annotations`.

    Args:
        names: {image id: file name}. persons: ids of the categories with COCO's keypoints.
    """
    image = ""
    try:
        if not isinstance(annotation, dict):
            raise _CocoFault("not an object")
        image_id = annotation.get("image_id")
        image = names.get(image_id, "") if isinstance(image_id, float | str) else ""
        if _is_passed_over(annotation, persons):
            return PASSED_OVER
        if not image:
            named = _show_id(_read_id(annotation, "image_id"))
            raise _CocoFault(f"image_id {named} is not among the images")
        return _read_person(annotation, image)
    except _CocoFault as fault:
        return UnusableRecord(image, str(fault))


def _is_passed_over(annotation, persons):
    return (
        _read_id(annotation, "category_id") not in persons
        or annotation.get("iscrowd")
        or annotation.get("num_keypoints") == 0
        or annotation.get("keypoints") is None
    )


def _read_person(annotation, image):
    """A `CocoPerson`, or `PASSED_OVER`."""
    keypoints = _read_numbers(annotation, "keypoints", 3 * len(COCO_KEYPOINTS))
    if not set(keypoints[2::3]) <= {0, 1, 2}:
        raise _CocoFault("the v of a keypoint is not 0, 1 or 2")
    if not any(keypoints[2::3][NUM_FACE_KEYPOINTS:]):
        return PASSED_OVER
    return CocoPerson(image, keypoints, _read_numbers(annotation, "bbox", 4))


def _read_id(entry, key):
    name = entry.get(key)
    if not isinstance(name, float | str):
        raise _CocoFault(f"no '{key}'")
    return name


def _show_id(name):
    return f"{name:.0f}" if isinstance(name, float) else repr(name[:80])


def _read_numbers(annotation, key, length):
    values = annotation.get(key)
    is_list = isinstance(values, list) and len(values) == length
    if not is_list or not all(isinstance(v, float) and math.isfinite(v) for v in values):
        raise _CocoFault(f"{key} is not {length} finite numbers")
    return values


# Of COCO's keypoints below the face; left is the person's own left in both.
_JOINTS = [
    JOINTS.index(name.replace("left_", "l_").replace("right_", "r_"))
    for name in COCO_KEYPOINTS[NUM_FACE_KEYPOINTS:]
]


def read_coco_person(person):
    """The raw record of a person, unchecked: MPII's JSON form, 1-based pixels.

    Labelled is a keypoint of v 1, occluded, or 2. Pelvis and thorax are the midpoints of hips and
    shoulders, labelled where both are; upper neck and head top are missing. Center and scale are
    made of the box, which is drawn around the person and not made of the keypoints, such that the
    person's view is the square that `hourglass predict --box` looks at.

    Args:
        person: `data.datasets.coco.CocoPerson`.
    """
    keypoints = np.reshape(person.keypoints, (len(COCO_KEYPOINTS), 3))  # x, y, v
    columns = np.zeros((1, NUM_JOINTS, 3))
    columns[0, _JOINTS] = keypoints[NUM_FACE_KEYPOINTS:]
    columns[..., 2] = columns[..., 2] > 0
    (joints,) = fill_midpoints(columns)
    (x, y), side = transforms.bbox_crop(person.bbox)
    scale = side / (transforms.CROP_FACTOR * PERSON_HEIGHT)
    return {
        "image": person.image,
        "joints": (joints[:, :2] + 1).tolist(),
        "joints_vis": joints[:, 2].tolist(),
        "center": [float(x) + 1, float(y) + 1 - transforms.CENTER_SHIFT * scale],
        "scale": scale,
    }
