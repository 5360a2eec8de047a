"""COCO's form of keypoint annotations: its reader and its checks.

Source: https://cocodataset.org/#format-data, "Keypoint Detection".
"""

import math
from typing import Any

import numpy as np

from hourglass.data.datasets.base import PASSED_OVER, UnusableRecord, fill_midpoints
from hourglass.keypoints import COCO, JOINTS, NUM_JOINTS, PERSON_HEIGHT
from hourglass.utils import transforms

COCO_KEYPOINTS = COCO.keypoints
NUM_FACE_KEYPOINTS = 5  # the first ones; MPII has none of them
COCO_KEYS = ("images", "annotations", "categories")
# Of COCO's keypoints below the face; left is the person's own left in both.
_JOINTS = [
    JOINTS.index(name.replace("left_", "l_").replace("right_", "r_"))
    for name in COCO_KEYPOINTS[NUM_FACE_KEYPOINTS:]
]


class CocoFault(Exception):
    """What is wrong with a COCO file or an annotation in it."""


def is_coco(content: Any) -> bool:
    """Whether the content of a JSON file is in COCO's form."""
    return isinstance(content, dict) and content.keys() >= set(COCO_KEYS)


def read_coco(content: dict[str, Any]) -> list:
    """A record for each of the annotations in a COCO keypoint file, in MPII's JSON form.

    `PASSED_OVER` stands for crowds, for boxes alone, for categories without COCO's keypoints, and
    for persons without a labelled keypoint below the face; an `UnusableRecord` for what is faulty.

    Raises:
        CocoFault: the file is not as COCO's are.
    """
    images, categories = (_index_entries(content, key) for key in ("images", "categories"))
    for number, image in enumerate(images.values()):
        if not isinstance(image.get("file_name"), str):
            raise CocoFault(f"images {number}: no 'file_name'")
    names = {image_id: image["file_name"] for image_id, image in images.items()}
    persons = {name for name, entry in categories.items() if _has_our_keypoints(entry)}
    if not persons:
        raise CocoFault(
            f"no category has COCO's {len(COCO_KEYPOINTS)} keypoints in their order: "
            f"{', '.join(COCO_KEYPOINTS[:3])} ..."
        )
    return [_read_entry(entry, names, persons) for entry in _list_entries(content, "annotations")]


def _has_our_keypoints(category: dict) -> bool:
    return category.get("keypoints") == list(COCO_KEYPOINTS)


def _list_entries(content: dict, key: str) -> list:
    if not isinstance(content[key], list):
        raise CocoFault(f"{key} is not a list")
    return content[key]


def _index_entries(content: dict, key: str) -> dict[float | str, dict]:
    """{id: entry} of one of COCO's lists, in its order."""
    by_id = {}
    for number, entry in enumerate(_list_entries(content, key)):
        if not isinstance(entry, dict):
            raise CocoFault(f"{key} {number}: not an object")
        try:
            name = _read_id(entry, "id")
        except CocoFault as fault:
            raise CocoFault(f"{key} {number}: {fault}") from None
        if name in by_id:
            raise CocoFault(f"{key} {number}: id {_show_id(name)} is there already")
        by_id[name] = entry
    return by_id


def _read_entry(annotation: Any, names: dict, persons: set) -> Any:
    """What stands for an annotation in the list of `read_coco`.

    Args:
        names: {image id: file name}. persons: ids of the categories with COCO's keypoints.
    """
    image = ""
    try:
        if not isinstance(annotation, dict):
            raise CocoFault("not an object")
        image_id = annotation.get("image_id")
        image = names.get(image_id, "") if isinstance(image_id, float | str) else ""
        if _is_passed_over(annotation, persons):
            return PASSED_OVER
        if not image:
            named = _show_id(_read_id(annotation, "image_id"))
            raise CocoFault(f"image_id {named} is not among the images")
        return _read_person(annotation, image)
    except CocoFault as fault:
        return UnusableRecord(image, str(fault))


def _is_passed_over(annotation: dict, persons: set) -> bool:
    return (
        _read_id(annotation, "category_id") not in persons
        or annotation.get("iscrowd")
        or annotation.get("num_keypoints") == 0
        or annotation.get("keypoints") is None
    )


def _read_person(annotation: dict, image: str) -> Any:
    """A record, or `PASSED_OVER`."""
    keypoints = _read_numbers(annotation, "keypoints", 3 * len(COCO_KEYPOINTS))
    if not set(keypoints[2::3]) <= {0, 1, 2}:
        raise CocoFault("the v of a keypoint is not 0, 1 or 2")
    if not any(keypoints[2::3][NUM_FACE_KEYPOINTS:]):
        return PASSED_OVER
    return make_record(image, keypoints, _read_numbers(annotation, "bbox", 4))


def _read_id(entry: dict, key: str) -> float | str:
    name = entry.get(key)
    if not isinstance(name, float | str):
        raise CocoFault(f"no '{key}'")
    return name


def _show_id(name: float | str) -> str:
    return f"{name:.0f}" if isinstance(name, float) else repr(name[:80])


def _read_numbers(annotation: dict, key: str, length: int) -> list[float]:
    values: Any = annotation.get(key)
    is_list = isinstance(values, list) and len(values) == length
    if not is_list or not all(isinstance(v, float) and math.isfinite(v) for v in values):
        raise CocoFault(f"{key} is not {length} finite numbers")
    return values


def make_record(image: str, keypoints: list[float], bbox: list[float]) -> dict[str, Any]:
    """The raw record of a person, unchecked: MPII's JSON form, 1-based pixels.

    Labelled is a keypoint of v 1, occluded, or 2. Pelvis and thorax are the midpoints of hips and
    shoulders, labelled where both are; upper neck and head top are missing. Center and scale are
    made of the box, which is drawn around the person and not made of the keypoints: the person's
    crop is the one of `hourglass predict --box`.

    Args:
        image: the picture's name.
        keypoints: 17 times x, y, v: 0-based px; v 0 unlabelled, 1 occluded, 2 visible.
        bbox: x, y, width, height: 0-based px, around all that is seen of the person.
    """
    triples = np.reshape(keypoints, (len(COCO_KEYPOINTS), 3))  # x, y, v
    columns = np.zeros((1, NUM_JOINTS, 3))
    columns[0, _JOINTS] = triples[NUM_FACE_KEYPOINTS:]
    columns[..., 2] = columns[..., 2] > 0
    (joints,) = fill_midpoints(columns)
    (x, y), side = transforms.bbox_crop(bbox)
    scale = side / (transforms.CROP_FACTOR * PERSON_HEIGHT)
    return {
        "image": image,
        "joints": (joints[:, :2] + 1).tolist(),
        "joints_vis": joints[:, 2].tolist(),
        "center": [float(x) + 1, float(y) + 1 - transforms.CENTER_SHIFT * scale],
        "scale": scale,
    }
