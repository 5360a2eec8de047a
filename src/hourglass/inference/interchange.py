"""The records of `hourglass predict` in forms that other programs read: COCO's, and CSV.

Source: https://cocodataset.org/#format-data and #format-results, "Keypoint Detection".
"""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hourglass.data.formats.coco import is_coco, read_names
from hourglass.data.keypoint_names import find_places
from hourglass.data.raw_records import FormFault
from hourglass.inference.outputs import is_record
from hourglass.utils.errors import UserError
from hourglass.utils.files import read_json

POSES = "poses.jsonl"
VISIBLE, UNLABELLED = 2, 0  # of COCO's v


class PictureRecord(NamedTuple):
    """What was found on a picture.

    Attributes:
        image: its path, as the command was given it. size: width, height, px.
        people: as the record has them: `score`, `joints` {name: {x, y, score, visible}}.
    """

    image: str
    size: tuple[int, int]
    people: Sequence[Mapping[str, Any]]


def read_records(path: Path) -> Iterator[PictureRecord]:
    """Yield the records of a folder, of a `poses.jsonl` or of one picture's JSON file.

    Raises:
        UserError: there is none, or one is not as `hourglass predict` writes it.
    """
    if path.is_dir() and (path / POSES).exists():
        path = path / POSES
    if path.suffix == ".jsonl":
        yield from _read_lines(path)
        return
    paths = sorted(path.glob("*.json")) if path.is_dir() else [path]
    found = [name for name in paths if not path.is_dir() or is_record(name)]
    if not found:
        raise UserError(f"{path}: no record of `hourglass predict` is there; name its --out")
    for name in found:
        yield _read_record(read_json(name, "predict it again"), str(name))


def _read_lines(path: Path) -> Iterator[PictureRecord]:
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        next(file, None)  # what holds for all pictures
        for number, line in enumerate(file, start=2):
            try:
                content = json.loads(line)
            except ValueError:
                raise UserError(f"{path}, line {number}: no JSON; predict it again") from None
            yield _read_record(content, f"{path}, line {number}")


def _read_record(content: Any, where: str) -> PictureRecord:
    try:
        size = int(content["width"]), int(content["height"])
        people = content["people"]
        for person in people:
            float(person["score"])
            for joint in person["joints"].values():
                float(joint["x"]), float(joint["y"]), float(joint["score"])
        return PictureRecord(str(content["image"]), size, people)
    except (LookupError, TypeError, ValueError, AttributeError):
        raise UserError(
            f"{where}: is no record of a photograph by this version of `hourglass predict`; "
            "predict it again"
        ) from None


def read_image_ids(path: Path) -> dict[str, Any]:
    """{file name without folders: id} of a COCO file's images.

    Raises:
        UserError: the file is none, or two images have one name.
    """
    content = read_json(path, "name a COCO file")
    try:
        if not is_coco(content):
            raise FormFault("no images, annotations and categories")
        names = {image_id: Path(name).name for image_id, name in read_names(content).items()}
    except FormFault as fault:
        raise UserError(f"{path}: {fault}; name a COCO file") from None
    ids = {name: _as_written(image_id) for image_id, name in names.items()}
    if len(ids) < len(names):
        raise UserError(f"{path}: two images have one name; their ids cannot be told apart")
    return ids


def _as_written(image_id: float | str) -> int | float | str:
    is_whole = isinstance(image_id, float) and image_id.is_integer()
    return int(image_id) if is_whole else image_id


def make_annotations(
    records: Iterable[PictureRecord], names: Sequence[str], ids: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The people as COCO's annotations, which labelling tools import.

    Args:
        names: of the keypoints; one that a record lacks is unlabelled, as are joints that are not
            visible.
        ids: {file name: id of the image}; None: numbers from 1.

    Raises:
        UserError: a picture has no id.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, record in enumerate(records, start=1):
        image_id = _find_id(record, ids, number)
        width, height = record.size
        images.append(
            {"id": image_id, "file_name": Path(record.image).name, "width": width, "height": height}
        )
        for person in record.people:
            keypoints = _list_keypoints(person["joints"], names)
            bbox = _make_bbox(person)
            annotations.append({
                "id": len(annotations) + 1, "image_id": image_id, "category_id": 1, "iscrowd": 0,
                "keypoints": keypoints, "num_keypoints": sum(v > 0 for v in keypoints[2::3]),
                "bbox": bbox, "area": round(bbox[2] * bbox[3], 2), "score": person["score"],
            })  # fmt: skip
    category = {"id": 1, "name": "person", "keypoints": list(names), "skeleton": []}
    return {"images": images, "annotations": annotations, "categories": [category]}


def make_results(
    records: Iterable[PictureRecord], names: Sequence[str], ids: Mapping[str, Any] | None = None
) -> list[dict[str, Any]]:
    """The people as COCO's results, which evaluators read.

    Args and errors are those of `make_annotations`. All joints have their places, seen or not.
    """
    return [
        {
            "image_id": _find_id(record, ids, number),
            "category_id": 1,
            "keypoints": _list_keypoints(person["joints"], names, keep_all=True),
            "score": person["score"],
        }
        for number, record in enumerate(records, start=1)
        for person in record.people
    ]


def _find_id(record: PictureRecord, ids: Mapping[str, Any] | None, number: int) -> Any:
    name = Path(record.image).name
    if ids is None:
        return number
    if name not in ids:
        raise UserError(f"{name}: is no image of the COCO file of --images")
    return ids[name]


def _list_keypoints(
    joints: Mapping[str, Mapping[str, Any]], names: Sequence[str], keep_all: bool = False
) -> list[float]:
    """x, y, v of each name."""
    listed = list(joints)
    places = find_places(listed, names)
    numbers: list[float] = []
    for name in names:
        joint = joints[listed[places[name]]] if name in places else None
        is_shown = joint is not None and (keep_all or joint.get("visible", True))
        numbers += [joint["x"], joint["y"], VISIBLE] if joint and is_shown else [0, 0, UNLABELLED]
    return numbers


def _make_bbox(person: Mapping[str, Any]) -> list[float]:
    """The box that was given for a person, else the one around the visible joints."""
    if person.get("bbox"):
        return list(person["bbox"])
    joints = person["joints"].values()
    shown = [joint for joint in joints if joint.get("visible", True)] or list(joints)
    xs, ys = ([joint[axis] for joint in shown] for axis in "xy")
    low = min(xs), min(ys)
    return [*low, round(max(xs) - low[0], 2), round(max(ys) - low[1], 2)]


def write_csv(records: Iterable[PictureRecord], names: Sequence[str], path: Path) -> None:
    """Write a row for each person: image, number, score, and x, y, score, visible of each joint."""
    with open(path, "w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.writer(file, lineterminator="\n")
        columns = [f"{name}_{key}" for name in names for key in ("x", "y", "score", "visible")]
        writer.writerow(["image", "person", "score", *columns])
        for record in records:
            for number, person in enumerate(record.people, start=1):
                values = [_list_values(person["joints"].get(name)) for name in names]
                row = [record.image, number, person["score"]]
                writer.writerow([*row, *(value for joint in values for value in joint)])


def _list_values(joint: Mapping[str, Any] | None) -> list[Any]:
    if joint is None:
        return [""] * 4
    return [joint["x"], joint["y"], joint["score"], int(joint.get("visible", True))]
