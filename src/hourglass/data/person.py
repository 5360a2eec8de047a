"""The checked record of one person: its form, and the files that hold a split of them.

Proportions show a record that is wrong as a whole, such as a scale in pixels or joints of another
picture. Over MPII's 2,958 validation persons the joints span 0.22 to 2.9 person heights. No joint
lies farther than 2.4 heights from the center.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hourglass.data.conversion import UNLABELLED, Conversion
from hourglass.data.head_size import GIVEN, MAX_HEAD, MIN_HEAD, SOURCES, HeadSizeRule
from hourglass.keypoints import PERSON_HEIGHT, KeypointSchema
from hourglass.utils.errors import UserError, one_line
from hourglass.utils.files import atomic_path, read_json, read_json_list, write_json

SPLITS = ("train", "validation")
SCHEMA = "schema.json"
RAW_KEYS = ("image", "joints", "joints_vis", "center", "scale")
KEYS = (*RAW_KEYS, "head_size", "head_source")
MAX_COORDINATE = 1e5  # px; no camera makes such a picture

# A person of 0.2 px leaves no crop to cut, one of 200,000 px fits no picture.
MIN_SCALE, MAX_SCALE = 1e-3, 1e3
# Person heights. A scale in pixels is 200 times too large; where three joints or more are labelled,
# they do not all lie in one place.
MIN_SPAN, MAX_DISTANCE = 0.02, 10

# Absolute, on a drive, climbing out of the folder, or with what no file name should hold.
_UNSAFE_NAME = re.compile(r"^/|^[A-Za-z]:|(?:^|/)\.\.(?:/|$)|[\\\x00-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True, eq=False)
class Person:
    """One labelled person of one picture; K keypoints of the run's schema, px of the original.

    Attributes:
        image: the picture's name.
        joints: float64 [K, 2], 0-based; (-1, -1) where unlabelled.
        keypoints_visible: bool [K], labelled, occluded ones too; coordinates do not tell it.
        center: float64 [2], 0-based.
        scale: the person's height / 200 px.
        head_size: what PCKh measures errors by.
        head_source: where that is from, one of `head_size.SOURCES`.
    """

    image: str
    joints: np.ndarray
    keypoints_visible: np.ndarray
    center: np.ndarray
    scale: float
    head_size: float
    head_source: str


def name_in_set(name: str, image: str) -> str:
    """The name of a picture where several sets are read, each with names of its own."""
    return f"{name}/{image}"


def find_set(image: str) -> str:
    """The set of a picture, by `name_in_set`."""
    return image.split("/", maxsplit=1)[0]


class RecordFault(Exception):
    """Why a record is invalid; the same fault has the same words, which are counted."""


def save_schema(folder: Path, schema: KeypointSchema) -> None:
    """Write `schema.json`, the keypoints' schema, beside the splits' files."""
    write_json(folder / SCHEMA, schema.to_dict())


def load_schema(folder: str | Path) -> KeypointSchema:
    """Read the `schema.json` that `save_schema` wrote.

    Raises:
        UserError: the file is missing or damaged.
    """
    path, advice = Path(folder, SCHEMA), "run `dvc repro parse`"
    try:
        return KeypointSchema.from_dict(read_json(path, advice))
    except (TypeError, ValueError, LookupError, AttributeError) as error:
        raise UserError(f"{path}: no schema of keypoints: {one_line(error)}; {advice}") from None


def load_persons(path: str | Path, schema: KeypointSchema | None = None) -> list[Person]:
    """Read the checked records that `save_persons` wrote, 0-based.

    Args:
        schema: theirs; None takes it from the `schema.json` beside them.

    Raises:
        UserError: a file is missing or damaged, with the place.
    """
    schema = schema or load_schema(Path(path).parent)
    advice, as_it_is = "run `dvc repro parse`", Conversion(schema, schema)
    persons = []
    for index, record in enumerate(read_json_list(path, advice)):
        try:
            persons.append(person_from_record(record, 0, as_it_is))
        except RecordFault as fault:
            raise UserError(f"{path}: record {index}: {fault}; {advice}") from None
    return persons


def save_persons(path: str | Path, persons: Iterable[Person]) -> None:
    """Write `persons` as JSON, one compact record a line, atomically; every float round-trips."""
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        file.write("[")
        for index, person in enumerate(persons):
            line = json.dumps(_as_record(person), separators=(",", ":"))
            file.write(f",\n{line}" if index else f"\n{line}")
        file.write("\n]\n")


def _as_record(person: Person) -> dict[str, Any]:
    return {
        "image": person.image,
        "joints": person.joints.tolist(),
        "joints_vis": person.keypoints_visible.astype(int).tolist(),
        "center": person.center.tolist(),
        "scale": person.scale,
        "head_size": person.head_size,
        "head_source": person.head_source,
    }


def person_from_record(
    record: Any,
    origin: int,
    conversion: Conversion,
    measure_head_size: HeadSizeRule | None = None,
) -> Person:
    """A `Person` of anything that JSON can hold, its first pixel at `origin`.

    Args:
        conversion: from the schema of the record's joints to that of the person's.
        measure_head_size: the rule for a raw record, which may lack `head_size` and has no
            `head_source`. None: a record of `save_persons`.

    Raises:
        RecordFault: it is no record of a person.
    """
    # The proportions come last: they need all of the others.
    if not isinstance(record, dict):
        raise RecordFault("not an object")
    for key in RAW_KEYS if measure_head_size else KEYS:
        if key not in record:
            raise RecordFault(f"no '{key}'")
    image = _check_image(record["image"])
    flags = _check_joints_vis(record["joints_vis"], conversion.source)
    points = _check_joints(record["joints"], conversion.source)
    keypoints_visible = conversion.convert_flags(flags)
    joints = _place_joints(points, flags, conversion, origin)
    center = _check_center(record["center"], origin)
    scale = _check_scale(record["scale"])
    _check_proportions(joints[keypoints_visible], center, PERSON_HEIGHT * scale)
    if measure_head_size and "head_size" not in record:
        # By the record's own labels: the person's schema may have no head.
        head = measure_head_size(points - origin, flags, scale, conversion.source)
    else:
        source = GIVEN if measure_head_size else _check_head_source(record["head_source"])
        head = _check_head_size(record["head_size"], PERSON_HEIGHT * scale), source
    return Person(image, joints, keypoints_visible, center, scale, *head)


def _check_image(image: Any) -> str:
    if not isinstance(image, str) or not image:
        raise RecordFault("image is not a name")
    if _UNSAFE_NAME.search(image):
        raise RecordFault("image is not a plain relative name")
    return image


def read_flags(record: Any, conversion: Conversion) -> np.ndarray | None:
    """Which keypoints a record labels, bool [K]; None where that cannot be read."""
    try:
        return conversion.convert_flags(_check_joints_vis(record["joints_vis"], conversion.source))
    except (RecordFault, TypeError, LookupError):
        return None


def _check_joints_vis(flags: Any, schema: KeypointSchema) -> np.ndarray:
    number = schema.num_keypoints
    if not _is_list_of(flags, number) or not all(flag in (0, 1) for flag in flags):
        raise RecordFault(f"joints_vis is not {number} of 0 or 1")
    return np.array(flags, bool)


def _check_joints(pairs: Any, schema: KeypointSchema) -> np.ndarray:
    number = schema.num_keypoints
    is_pairs = _is_list_of(pairs, number) and all(_is_list_of(pair, 2) for pair in pairs)
    points = _as_floats([number for pair in pairs for number in pair]) if is_pairs else None
    if points is None:
        raise RecordFault(f"joints is not {number} pairs of numbers")
    return points.reshape(number, 2)


def _place_joints(
    points: np.ndarray, flags: np.ndarray, conversion: Conversion, origin: int
) -> np.ndarray:
    """The person's joints, 0-based; the values of unlabelled joints, NaN too, are replaced."""
    is_labelled = conversion.convert_flags(flags)
    if not is_labelled.any():
        raise RecordFault("no labelled joint")
    joints = conversion.convert_points(points, flags) - origin
    joints[~is_labelled] = UNLABELLED
    if not _is_in_reach(joints):
        raise RecordFault(f"a labelled joint is not within {MAX_COORDINATE:,.0f} px")
    return joints


def _check_center(pair: Any, origin: int) -> np.ndarray:
    center = _as_floats(pair) if _is_list_of(pair, 2) else None
    if center is None:
        raise RecordFault("center is not a pair of numbers")
    center = center - origin  # 0-based from here on
    if not _is_in_reach(center):
        raise RecordFault(f"center is not within {MAX_COORDINATE:,.0f} px")
    return center


def _check_scale(number: Any) -> float:
    scale = _as_floats([number])
    if scale is None or not MIN_SCALE <= scale[0] <= MAX_SCALE:
        raise RecordFault(f"scale is not a number from {MIN_SCALE:g} to {MAX_SCALE:g}")
    return float(scale[0])


def _check_head_size(number: Any, person_height: float) -> float:
    head_size = _as_floats([number])
    if head_size is None or not MIN_HEAD <= head_size[0] / person_height <= MAX_HEAD:
        raise RecordFault(
            f"head_size is not a number from {MIN_HEAD:g} to {MAX_HEAD:g} person heights (200 px *"
            " scale); it is in px"
        )
    return float(head_size[0])


def _check_head_source(source: Any) -> str:
    if source not in SOURCES:
        raise RecordFault(f"head_source is not one of {', '.join(SOURCES)}")
    return source


def _check_proportions(joints: np.ndarray, center: np.ndarray, person_height: float) -> None:
    # Person heights, not picture sizes: the picture is not at hand, and labels may lie outside of
    # it.
    if np.abs(joints - center).max() > MAX_DISTANCE * person_height:
        raise RecordFault(
            f"a labelled joint is over {MAX_DISTANCE} person heights (200 px * scale) off center"
        )
    if len(joints) > 2 and np.ptp(joints, axis=0).max() < MIN_SPAN * person_height:
        raise RecordFault(
            f"the joints span less than {MIN_SPAN} person heights: is scale in pixels? it is the "
            "person's height / 200 px"
        )


def _is_list_of(values: Any, length: int) -> bool:
    return isinstance(values, list) and len(values) == length


def _as_floats(numbers: list) -> np.ndarray | None:
    """float64 array, or None: numpy alone would take strings and booleans for numbers."""
    # `type`, as a bool is an instance of int.
    if not {type(number) for number in numbers} <= {int, float}:
        return None
    try:
        return np.array(numbers, np.float64)
    except OverflowError:  # an int of hundreds of digits
        return None


def _is_in_reach(coordinates: np.ndarray) -> bool:
    """False for NaN too."""
    # Not `(... > MAX).any()`: every comparison with NaN is false.
    return bool((np.abs(coordinates) <= MAX_COORDINATE).all())
