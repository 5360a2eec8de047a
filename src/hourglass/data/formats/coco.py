"""COCO's form of keypoint annotations: its reader and its checks.

Source: https://cocodataset.org/#format-data, "Keypoint Detection". Labelling tools write the same
form for keypoints of one's own: a category names them.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from hourglass.data.conversion import Conversion, common_name
from hourglass.data.raw_records import PASSED_OVER, RawSplit, UnusableRecord
from hourglass.keypoints import COCO, PERSON_HEIGHT, KeypointSchema
from hourglass.utils import transforms

COCO_KEYS = ("images", "annotations", "categories")


class CocoFault(Exception):
    """The fault of a COCO file or of an annotation in it."""


def is_coco(content: Any) -> bool:
    """Whether the content of a JSON file is in COCO's form."""
    return isinstance(content, dict) and content.keys() >= set(COCO_KEYS)


def read_coco(content: dict[str, Any], schema: KeypointSchema) -> RawSplit:
    """A record for each annotation of a COCO keypoint file.

    The records have the keypoints of the run's `schema` if a category names all of them, in any
    order. Otherwise they have COCO's own 17. `PASSED_OVER` stands for crowds, for boxes without
    keypoints, for other categories, and for persons without a label that the run uses. An
    `UnusableRecord` stands for a faulty annotation.

    Raises:
        CocoFault: the file is not as COCO's are.
    """
    names = read_names(content)
    used, source = _find_categories(index_entries(content, "categories"), schema)
    conversion = Conversion(source, schema)
    entries = list_entries(content, "annotations")
    return RawSplit([_read_entry(entry, names, used, conversion) for entry in entries], source)


class _Category(NamedTuple):
    """How the annotations of a category hold the keypoints of the records' schema."""

    number: int  # of its own keypoints
    places: list[int]  # of the schema's among them


def _find_categories(
    categories: dict[float | str, dict], schema: KeypointSchema
) -> tuple[dict[float | str, _Category], KeypointSchema]:
    """The categories that are used, by id, and the schema of their records."""
    for source in (schema, COCO):
        matches = {key: _match_names(entry, source) for key, entry in categories.items()}
        if found := {key: match for key, match in matches.items() if match}:
            return found, source
    raise CocoFault(
        f"no category has all keypoints of data.schema, {', '.join(schema.keypoints[:3])} ..., or "
        f"COCO's {COCO.num_keypoints}, {', '.join(COCO.keypoints[:3])} ..."
    )


def _match_names(category: dict, schema: KeypointSchema) -> _Category | None:
    listed = category.get("keypoints")
    if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
        return None
    names = [common_name(name) for name in listed]
    wanted = [common_name(name) for name in schema.keypoints]
    if not set(wanted) <= set(names):
        return None
    return _Category(len(names), [names.index(name) for name in wanted])


def read_names(content: dict) -> dict[float | str, str]:
    """{id: file name} of the images."""
    images = index_entries(content, "images")
    for number, image in enumerate(images.values()):
        if not isinstance(image.get("file_name"), str):
            raise CocoFault(f"images {number}: no 'file_name'")
    return {image_id: image["file_name"] for image_id, image in images.items()}


def list_entries(content: dict, key: str) -> list:
    """One of COCO's lists."""
    if not isinstance(content[key], list):
        raise CocoFault(f"{key} is not a list")
    return content[key]


def index_entries(content: dict, key: str) -> dict[float | str, dict]:
    """{id: entry} of one of COCO's lists, in its order."""
    by_id: dict[float | str, dict] = {}
    for number, entry in enumerate(list_entries(content, key)):
        if not isinstance(entry, dict):
            raise CocoFault(f"{key} {number}: not an object")
        try:
            name = read_id(entry, "id")
        except CocoFault as fault:
            raise CocoFault(f"{key} {number}: {fault}") from None
        if name in by_id:
            raise CocoFault(f"{key} {number}: id {show_id(name)} is there already")
        by_id[name] = entry
    return by_id


def _read_entry(
    annotation: Any,
    names: dict[float | str, str],
    categories: dict[float | str, _Category],
    conversion: Conversion,
) -> Any:
    """The record of an annotation, or its stand-in in `read_coco`.

    Args:
        names: {image id: file name}.
    """
    image = ""
    try:
        if not isinstance(annotation, dict):
            raise CocoFault("not an object")
        image_id = annotation.get("image_id")
        image = names.get(image_id, "") if isinstance(image_id, float | str) else ""
        category = categories.get(read_id(annotation, "category_id"))
        if category is None or _is_no_person(annotation):
            return PASSED_OVER
        if not image:
            named = show_id(read_id(annotation, "image_id"))
            raise CocoFault(f"image_id {named} is not among the images")
        keypoints = _read_keypoints(annotation, category)
        if not conversion.convert_flags(keypoints[:, 2] > 0).any():
            return PASSED_OVER
        return _make_record(image, keypoints, read_numbers(annotation, "bbox", 4))
    except CocoFault as fault:
        return UnusableRecord(image, str(fault))


def _is_no_person(annotation: dict) -> bool:
    return (
        bool(annotation.get("iscrowd"))
        or annotation.get("num_keypoints") == 0
        or annotation.get("keypoints") is None
    )


def _read_keypoints(annotation: dict, category: _Category) -> np.ndarray:
    """x, y, v of the schema's keypoints, [K, 3]: v 0 unlabelled, 1 occluded, 2 visible."""
    numbers = read_numbers(annotation, "keypoints", 3 * category.number)
    keypoints = np.reshape(numbers, (category.number, 3))
    if not np.isin(keypoints[:, 2], (0, 1, 2)).all():
        raise CocoFault("the v of a keypoint is not 0, 1 or 2")
    return keypoints[category.places]


def read_id(entry: dict, key: str) -> float | str:
    """An id: a number or a text."""
    name = entry.get(key)
    if not isinstance(name, float | str):
        raise CocoFault(f"no '{key}'")
    return name


def show_id(name: float | str) -> str:
    """An id for a message."""
    return f"{name:.0f}" if isinstance(name, float) else repr(name[:80])


def read_numbers(annotation: dict, key: str, length: int) -> list[float]:
    """A list of finite numbers."""
    values: Any = annotation.get(key)
    is_list = isinstance(values, list) and len(values) == length
    if not is_list or not all(isinstance(v, float) and math.isfinite(v) for v in values):
        raise CocoFault(f"{key} is not {length} finite numbers")
    return values


def _make_record(image: str, keypoints: np.ndarray, bbox: list[float]) -> dict[str, Any]:
    """The raw record of a person.

    Center and scale are made of the box, which is drawn around the person and not made of the
    keypoints: the person's crop is the one of `hourglass predict --box`.

    Args:
        keypoints: [K, 3], x, y (0-based px), v.
        bbox: x, y, width, height: 0-based px, around all that is seen of the person.
    """
    (x, y), side = transforms.bbox_region(bbox)
    scale = side / (transforms.CROP_FACTOR * PERSON_HEIGHT)
    return {
        "image": image,
        "joints": (keypoints[:, :2] + 1).tolist(),
        "joints_vis": (keypoints[:, 2] > 0).tolist(),
        "center": [float(x) + 1, float(y) + 1 - transforms.CENTER_SHIFT * scale],
        "scale": scale,
    }
