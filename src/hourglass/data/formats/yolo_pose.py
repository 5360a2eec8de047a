"""YOLO-pose: `data.yaml`, and a text file of normalised numbers for each picture.

Source: https://docs.ultralytics.com/datasets/pose/.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hourglass.data.formats.exports import (
    SPLIT_NAMES,
    SUFFIXES,
    LabelledBody,
    LabelledPicture,
)
from hourglass.data.raw_records import FormFault
from hourglass.keypoints import COCO
from hourglass.utils.images import Picture
from hourglass.utils.yaml_files import read_yaml

TOOL = "YOLO-pose"


def read_yolo_pose(path: Path) -> list[LabelledPicture] | None:
    """The pictures that a `data.yaml` names; None where it is no dataset with keypoints.

    Raises:
        FormFault: the names of the keypoints are not there, or a line is not as expected.
    """
    values = read_yaml(path)
    if not isinstance(values, dict) or "kpt_shape" not in values:
        return None
    names, per_point = _read_shape(values)
    return [
        _read_picture(picture, split, names, per_point)
        for key, split in SPLIT_NAMES.items()
        if key in values
        for picture in list_pictures(path, values, key)
    ]


def _read_shape(values: dict[str, Any]) -> tuple[Sequence[str], int]:
    shape = values["kpt_shape"]
    if not isinstance(shape, list) or len(shape) != 2 or shape[1] not in (2, 3):
        raise FormFault(f"data.yaml: kpt_shape is {shape}; [number of keypoints, 2 or 3] is needed")
    listed = values.get("kpt_names") or {}
    names: Sequence[Any] = listed if isinstance(listed, list) else next(iter(listed.values()), [])
    if not names and shape[0] == COCO.num_keypoints:
        names = COCO.keypoints
    if len(names) != shape[0]:
        raise FormFault(
            f"data.yaml: no names of the {shape[0]} keypoints; add `kpt_names: {{0: [nose, ...]}}`"
        )
    return [str(name) for name in names], shape[1]


def list_pictures(path: Path, values: dict[str, Any], key: str) -> Iterator[Path]:
    """Yield the pictures of a split: of folders, or of text files that list them."""
    listed = values[key] if isinstance(values[key], list) else [values[key]]
    for name in listed:
        source = _find_below(path.parent, str(values.get("path") or ""), str(name))
        if source.suffix == ".txt":
            yield from (path.parent / line for line in source.read_text().split())
        else:
            pictures = (p for p in source.rglob("*") if p.suffix.lower() in SUFFIXES)
            yield from sorted(pictures)


def _find_below(folder: Path, root: str, name: str) -> Path:
    """The path of a split. Exports name it from a folder above, or from another machine."""
    parts = Path(name).parts
    tried = [folder / root / name, folder / name]
    tried += [folder.joinpath(*parts[k:]) for k in range(len(parts))]
    for path in tried:
        if path.exists() and path.resolve().is_relative_to(folder.resolve()):
            return path
    raise FormFault(f"data.yaml: {name!r} is not there, below {folder}")


def _read_picture(path: Path, split: str, names: Sequence[str], per_point: int) -> LabelledPicture:
    parts = list(path.parts)
    if "images" in parts:
        parts[len(parts) - 1 - parts[::-1].index("images")] = "labels"
    labels = Path(*parts).with_suffix(".txt")
    (width, height), _ = Picture(path.read_bytes()).read_header()
    lines = labels.read_text().splitlines() if labels.is_file() else []
    people = [
        _read_line(line, names, per_point, (width, height), f"{labels.name}, line {number}")
        for number, line in enumerate(lines, start=1)
        if line.strip()
    ]
    return LabelledPicture(path, people, (width, height), split)


def _read_line(
    line: str, names: Sequence[str], per_point: int, size: tuple[int, int], where: str
) -> LabelledBody:
    try:
        numbers = [float(text) for text in line.split()]
    except ValueError:
        raise FormFault(f"{where}: not all are numbers") from None
    expected = 5 + per_point * len(names)
    if len(numbers) != expected:
        raise FormFault(f"{where}: {len(numbers)} numbers, not {expected}")
    width, height = size
    x, y, w, h = numbers[1:5]
    bbox = [(x - w / 2) * width, (y - h / 2) * height, w * width, h * height]
    keypoints = {}
    for k, name in enumerate(names):
        point = numbers[5 + per_point * k : 5 + per_point * (k + 1)]
        # Without v a keypoint at 0, 0 is the one that is not labelled.
        v = int(point[2]) if per_point == 3 else 2 * (point[0] != 0 or point[1] != 0)
        keypoints[name] = (point[0] * width, point[1] * height, v)
    return LabelledBody(keypoints, bbox)
