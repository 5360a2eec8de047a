"""What labelling tools export, as COCO's form: which tool's it is, its pictures, its splits.

Each tool's reader gives a list of `Labelled` pictures; here they get ids and a split. Where an
export has no split, every picture falls into one by its name and a seed.
"""

import hashlib
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from urllib.parse import unquote

from hourglass.data.raw_records import FormFault

Triple = tuple[float, float, int]  # x, y, px from 0 on, and COCO's v
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif"}
TRAIN, VALIDATION = "train", "validation"
SPLIT_NAMES = {"train": TRAIN, "training": TRAIN, "val": VALIDATION, "valid": VALIDATION,
               "validation": VALIDATION}  # fmt: skip


@dataclass
class LabelledBody:
    """A person of an export.

    Attributes:
        keypoints: {name: (x, y, v)}; a name that is not there is unlabelled.
        bbox: x, y, width, height, px; None where nobody drew one.
    """

    keypoints: dict[str, Triple]
    bbox: Sequence[float] | None = None

    def find_bbox(self) -> list[float]:
        """The box, else the one around the labelled keypoints."""
        if self.bbox is not None:
            return [float(number) for number in self.bbox]
        points = [(x, y) for x, y, v in self.keypoints.values() if v]
        if not points:
            return [0.0, 0.0, 0.0, 0.0]
        xs, ys = zip(*points, strict=True)
        return [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]


@dataclass
class LabelledPicture:
    """A picture of an export.

    Attributes:
        path: its file. size: width, height, px, as the export says; None where it says nothing.
        split: of the export; None where it has none.
    """

    path: Path
    people: list[LabelledBody] = field(default_factory=list)
    size: tuple[float, float] | None = None
    split: str | None = None


class PictureFiles:
    """The picture files below a folder, found by names as tools write them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._by_path: dict[str, Path] = {}
        self._by_name: dict[str, list[Path]] = {}
        for path in sorted(folder.rglob("*")):
            if path.suffix.lower() in SUFFIXES and path.is_file():
                self._by_path[_plain(path.relative_to(folder).as_posix())] = path
                self._by_name.setdefault(_plain(path.name), []).append(path)

    def find(self, name: str, near: Path | None = None) -> Path:
        """The file of a name: below `near`, below the folder, or anywhere by its last part.

        Raises:
            FormFault: there is none, or more than one.
        """
        wanted = _plain(unquote(name) if "%" in name else name)
        near_path = "" if near is None else near.relative_to(self.folder).as_posix()
        for start in dict.fromkeys((near_path, f"{near_path}/images", "", "images")):
            joined = "/".join(part for part in (start.strip("./"), wanted) if part)
            if joined in self._by_path:
                return self._by_path[joined]
        found = self._by_name.get(PurePosixPath(wanted).name, [])
        if len(found) != 1:
            raise FormFault(
                f"picture {name[:200]!r} is {'not there' if not found else 'in several folders'}"
            )
        return found[0]


def _plain(name: str) -> str:
    """A path as it is compared: `/` between its parts, no `./`, one way of accents and of case."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
    return unicodedata.normalize("NFC", "/".join(parts)).casefold()


class Export(NamedTuple):
    """An export as COCO's form.

    Attributes:
        tool: what it was read as.
        splits: the content of a keypoint file of each split.
        pictures: {file name in it: the file}.
    """

    tool: str
    splits: dict[str, dict[str, Any]]
    pictures: dict[str, Path]


def make_export(
    tool: str, folder: Path, pictures: Iterable[LabelledPicture], val_fraction: float
) -> Export:
    """Labelled pictures as COCO's form.

    Args:
        val_fraction: of the pictures, for validation, where they have no split.

    Raises:
        FormFault: no keypoint has a name, or a split has no picture.
    """
    listed = sorted(pictures, key=lambda picture: picture.path)
    choose_splits(listed, folder, val_fraction)
    names = sorted({name for p in listed for body in p.people for name in body.keypoints})
    if not names:
        raise FormFault(f"{tool}: no person with keypoints")
    splits = {}
    for split in (TRAIN, VALIDATION):
        chosen = [picture for picture in listed if picture.split == split]
        if not chosen:
            raise FormFault(f"{tool}: no picture for {split}; label more, or add the other split")
        splits[split] = _make_content(chosen, folder, names)
    found = {picture.path.relative_to(folder).as_posix(): picture.path for picture in listed}
    return Export(tool, splits, found)


def choose_splits(pictures: Sequence[LabelledPicture], folder: Path, val_fraction: float) -> None:
    """Give each picture without a split one; if any lacks one, all of them do."""
    if pictures and all(picture.split for picture in pictures):
        return
    ranked = sorted(pictures, key=lambda p: _draw(p.path.relative_to(folder).as_posix()))
    number = max(1, round(val_fraction * len(ranked)))
    for place, picture in enumerate(ranked):
        picture.split = VALIDATION if place < number else TRAIN


def _draw(name: str) -> bytes:
    return hashlib.sha256(_plain(name).encode()).digest()


def _make_content(
    pictures: Sequence[LabelledPicture], folder: Path, names: Sequence[str]
) -> dict[str, Any]:
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, picture in enumerate(pictures, start=1):
        name = picture.path.relative_to(folder).as_posix()
        size = dict(zip(("width", "height"), picture.size, strict=True)) if picture.size else {}
        images.append({"id": number, "file_name": name} | size)
        for body in picture.people:
            triples = [body.keypoints.get(name, (0.0, 0.0, 0)) for name in names]
            annotations.append({
                "id": len(annotations) + 1, "image_id": number, "category_id": 1,
                "keypoints": [float(value) for triple in triples for value in triple],
                "bbox": body.find_bbox(),
            })  # fmt: skip
    category = {"id": 1, "name": "person", "keypoints": list(names)}
    return {"images": images, "annotations": annotations, "categories": [category]}
