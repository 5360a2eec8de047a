"""COCO's keypoint files as tools lay them out: CVAT, Roboflow, COCO itself, Label Studio's COCO.

CVAT has `annotations/person_keypoints_default.json` and `images/default/`. Roboflow has
`train/_annotations.coco.json` with the pictures beside it. COCO has
`annotations/person_keypoints_train2017.json` and `images/train2017/`.
"""

import collections
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hourglass.data.formats.coco import index_entries, is_coco, list_entries, read_names
from hourglass.data.formats.exports import (
    SPLIT_NAMES,
    TRAIN,
    VALIDATION,
    Export,
    LabelledPicture,
    PictureFiles,
    choose_splits,
)
from hourglass.data.raw_records import FormFault

TOOL = "COCO keypoint files"


def read_coco_export(
    contents: Mapping[Path, Any], files: PictureFiles, val_fraction: float
) -> Export | None:
    """The export of COCO keypoint files; None where there is none.

    Args:
        contents: of the JSON files.

    Raises:
        FormFault: two files for one split, or a file that Label Studio has written wrong.
    """
    found = {path: content for path, content in contents.items() if _has_keypoints(content)}
    if not found:
        return None
    splits: dict[str, dict[str, Any]] = {}
    pictures: dict[str, Path] = {}
    for path, content in found.items():
        check_label_studio(content)
        placed, named = _place_pictures(content, files, path.parent)
        pictures |= named
        if (split := find_split(path.relative_to(files.folder))) is None and len(found) == 1:
            splits = split_content(placed, named, files.folder, val_fraction)
        elif split is None or split in splits:
            names = ", ".join(str(other.relative_to(files.folder)) for other in found)
            raise FormFault(f"one keypoint file for train and one for val was expected: {names}")
        else:
            splits[split] = placed
    if missing := {TRAIN, VALIDATION} - splits.keys():
        raise FormFault(f"{TOOL}: no file for {missing.pop()}")
    return Export(TOOL, splits, pictures)


def _has_keypoints(content: Any) -> bool:
    if not is_coco(content) or not isinstance(content["categories"], list):
        return False
    return any(isinstance(c, dict) and c.get("keypoints") for c in content["categories"])


def find_split(path: Path) -> str | None:
    """The split that a file's name or its folders' name; None where none does."""
    words = re.findall(r"[a-z]+", path.as_posix().lower())
    return next((SPLIT_NAMES[word] for word in reversed(words) if word in SPLIT_NAMES), None)


def check_label_studio(content: Mapping[str, Any]) -> None:
    """Refuse a COCO file of Label Studio with several people on a picture: it mixes them.

    Whatever the rectangles say, its converter writes one keypoint annotation for each picture
    (findings/label_studio_coco_persons.sh).

    Raises:
        FormFault: a picture has several rectangles.
    """
    info = content.get("info")
    if not isinstance(info, dict) or info.get("contributor") != "Label Studio":
        return
    rectangles = collections.Counter(
        annotation.get("image_id")
        for annotation in list_entries(dict(content), "annotations")
        if isinstance(annotation, dict) and not annotation.get("keypoints")
    )
    if rectangles and max(rectangles.values()) > 1:
        raise FormFault(
            "Label Studio's COCO export makes one person of all on a picture; export its JSON"
        )


def _place_pictures(
    content: dict[str, Any], files: PictureFiles, near: Path
) -> tuple[dict[str, Any], dict[str, Path]]:
    """The content with paths below the folder as file names, and the pictures of these."""
    named, images = {}, []
    names = read_names(content)
    for image_id, image in index_entries(content, "images").items():
        try:
            path = files.find(names[image_id], near)
        except FormFault:
            images.append(image)  # the parse stage says what lacks
            continue
        name = path.relative_to(files.folder).as_posix()
        named[name] = path
        images.append(image | {"file_name": name})
    return content | {"images": images}, named


def split_content(
    content: dict[str, Any], pictures: Mapping[str, Path], folder: Path, val_fraction: float
) -> dict[str, dict[str, Any]]:
    """The content of one file as that of two splits, by picture."""
    listed = {name: LabelledPicture(path) for name, path in pictures.items()}
    choose_splits(list(listed.values()), folder, val_fraction)
    splits = {}
    for split in (TRAIN, VALIDATION):
        images = [
            image
            for image in content["images"]
            if getattr(listed.get(image["file_name"]), "split", TRAIN) == split
        ]
        ids = {image["id"] for image in images}
        annotations = [a for a in content["annotations"] if _image_id(a) in ids]
        splits[split] = content | {"images": images, "annotations": annotations}
    return splits


def _image_id(annotation: Any) -> Any:
    image_id = annotation.get("image_id") if isinstance(annotation, dict) else None
    return image_id if isinstance(image_id, float | str) else None
