"""LabelMe: a JSON file for each picture, its points told apart by `group_id`.

Source: https://github.com/wkentaro/labelme/blob/main/labelme/label_file.py.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hourglass.data.formats.coco_exports import find_split
from hourglass.data.formats.exports import LabelledBody, LabelledPicture, PictureFiles
from hourglass.data.raw_records import FormFault

TOOL = "LabelMe"


def read_labelme(contents: Mapping[Path, Any], files: PictureFiles) -> list[LabelledPicture]:
    """The pictures of all files of this form, by the content of the JSON files.

    Points of one `group_id` are a person, named by their labels; so are those of a picture without
    any. A rectangle of the same group is the person's box.

    Raises:
        FormFault: two points of a person have one label, or a picture is not there.
    """
    return [
        _read_picture(path, content, files)
        for path, content in contents.items()
        if isinstance(content, dict) and content.keys() >= {"shapes", "imagePath"}
    ]


def _read_picture(path: Path, content: dict[str, Any], files: PictureFiles) -> LabelledPicture:
    bodies: dict[Any, LabelledBody] = {}
    try:
        for shape in content["shapes"]:
            _add_shape(bodies, shape)
        size = content.get("imageWidth"), content.get("imageHeight")
    except (LookupError, TypeError, ValueError, AttributeError):
        raise FormFault(f"{path.name}: shapes are not as LabelMe's are") from None
    except FormFault as fault:
        raise FormFault(f"{path.name}: {fault}") from None
    people = [body for body in bodies.values() if body.keypoints]
    known = (float(size[0]), float(size[1])) if size[0] and size[1] else None
    split = find_split(path.relative_to(files.folder))
    return LabelledPicture(files.find(content["imagePath"], path.parent), people, known, split)


def _add_shape(bodies: dict[Any, LabelledBody], shape: dict[str, Any]) -> None:
    body = bodies.setdefault(shape.get("group_id"), LabelledBody({}))
    points, label = shape["points"], shape["label"]
    if shape["shape_type"] == "rectangle":
        (left, right), (top, bottom) = (sorted(values) for values in zip(*points, strict=True))
        body.bbox = [left, top, right - left, bottom - top]
    elif shape["shape_type"] == "point":
        if label in body.keypoints:
            raise FormFault(f"two points {label!r} of one person; give each person a group_id")
        ((x, y),) = points
        body.keypoints[label] = (float(x), float(y), 2)
