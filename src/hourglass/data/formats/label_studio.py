"""Label Studio's own JSON: a list of tasks; a keypoint's `parentID` names the person's rectangle.

Source: https://labelstud.io/guide/task_format.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hourglass.data.formats.exports import LabelledBody, LabelledPicture, PictureFiles
from hourglass.data.raw_records import FormFault

TOOL = "Label Studio's JSON"
_UPLOAD = re.compile(r"^[0-9a-f]{8}-")  # what uploads get in front of their names


def read_label_studio(contents: Mapping[Path, Any], files: PictureFiles) -> list[LabelledPicture]:
    """The pictures of all files of this form, by the content of the JSON files.

    Raises:
        FormFault: keypoints name no rectangle though a picture has several, or a picture is not
            there.
    """
    pictures = []
    for path, content in contents.items():
        if not isinstance(content, list) or not all(map(_is_task, content)):
            continue
        for number, task in enumerate(content):
            try:
                pictures.append(_read_task(task, files))
            except (LookupError, TypeError, ValueError, AttributeError):
                raise FormFault(f"{path.name}: task {number}: not as Label Studio's are") from None
            except FormFault as fault:
                raise FormFault(f"{path.name}: task {number}: {fault}") from None
    return pictures


def _is_task(task: Any) -> bool:
    return isinstance(task, dict) and task.keys() >= {"data", "annotations"}


def _read_task(task: dict[str, Any], files: PictureFiles) -> LabelledPicture:
    path = _find_picture(task["data"], files)
    done = [a for a in task["annotations"] if not a.get("was_cancelled")]
    results = done[0]["result"] if done else []
    boxes = {r["id"]: _read_box(r) for r in results if r["type"].startswith("rectangle")}
    bodies = {key: LabelledBody({}, bbox) for key, bbox in boxes.items()}
    size = None
    for result in results:
        if not result["type"].startswith("keypoint"):
            continue
        size = float(result["original_width"]), float(result["original_height"])
        parent = result.get("parentID") or _only(boxes)
        (label,) = result["value"]["keypointlabels"]
        body = bodies.setdefault(parent, LabelledBody({}))
        if label in body.keypoints:
            raise FormFault(f"two points {label!r} of one person; give them their rectangle")
        body.keypoints[label] = _read_point(result)
    people = [body for body in bodies.values() if body.keypoints]
    return LabelledPicture(path, people, size)


def _only(boxes: Mapping[str, Any]) -> str:
    """The one rectangle of a picture; "" where there is none."""
    if len(boxes) > 1:
        raise FormFault("keypoints without a parentID, and several rectangles: whose are they?")
    return next(iter(boxes), "")


def _find_picture(data: Mapping[str, Any], files: PictureFiles) -> Path:
    names = [value for value in data.values() if isinstance(value, str)]
    if not names:
        raise FormFault("data names no picture")
    name = names[0].rpartition("?d=")[2] or names[0]
    try:
        return files.find(name)
    except FormFault:
        return files.find(_UPLOAD.sub("", name.rpartition("/")[2]))


def _read_point(result: dict[str, Any]) -> tuple[float, float, int]:
    value = result["value"]
    x = value["x"] / 100 * result["original_width"]
    y = value["y"] / 100 * result["original_height"]
    return x, y, 2


def _read_box(result: dict[str, Any]) -> list[float]:
    value, width, height = result["value"], result["original_width"], result["original_height"]
    if value.get("rotation"):
        raise FormFault("a rectangle is rotated; draw it upright")
    return [value["x"] / 100 * width, value["y"] / 100 * height,
            value["width"] / 100 * width, value["height"] / 100 * height]  # fmt: skip
