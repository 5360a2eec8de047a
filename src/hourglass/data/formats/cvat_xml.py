"""CVAT for images 1.1: one XML file with the skeletons, or the points, of all pictures.

Source: https://docs.cvat.ai/docs/dataset_management/formats/format-cvat/.
"""

from pathlib import Path
from xml.etree import ElementTree

from hourglass.data.formats.coco_exports import find_split
from hourglass.data.formats.exports import LabelledBody, LabelledPicture, PictureFiles, Triple
from hourglass.data.raw_records import FormFault

TOOL = "CVAT for images 1.1"


def read_cvat_xml(path: Path, files: PictureFiles) -> list[LabelledPicture] | None:
    """The pictures of a file; None where it is another kind of XML.

    A skeleton is a person. Points of one group are one too, named by their labels; so are those of
    a picture where nothing is grouped. A box of the same group is the person's.

    Raises:
        FormFault: the XML is damaged, or a picture is not there.
    """
    try:
        root = ElementTree.parse(path).getroot()
    except ElementTree.ParseError as error:
        raise FormFault(f"{path.name}: {error}") from None
    if root.tag != "annotations" or root.find("image") is None:
        return None
    return [_read_picture(image, files) for image in root.iter("image")]


def _read_picture(image: ElementTree.Element, files: PictureFiles) -> LabelledPicture:
    name, subset = image.get("name", ""), image.get("subset", "")
    size = float(image.get("width", 0)), float(image.get("height", 0))
    bodies: dict[str, LabelledBody] = {}
    for number, skeleton in enumerate(image.iter("skeleton")):
        group = skeleton.get("group_id") or f"skeleton {number}"
        bodies[group] = LabelledBody(
            {point.get("label", ""): _read_point(point) for point in skeleton.iter("points")}
        )
    for point in image.findall("points"):
        body = bodies.setdefault(point.get("group_id") or "", LabelledBody({}))
        label = point.get("label", "")
        if label in body.keypoints:
            raise FormFault(f"{name}: two points {label!r} of one person; group each person's")
        body.keypoints[label] = _read_point(point)
    for box in image.findall("box"):
        if (group := box.get("group_id") or "") in bodies:
            bodies[group].bbox = _read_box(box)
    split = find_split(Path(subset)) or find_split(Path(name))
    return LabelledPicture(files.find(name), list(bodies.values()), size if all(size) else None,
                           split)  # fmt: skip


def _read_point(point: ElementTree.Element) -> Triple:
    if point.get("outside") == "1":
        return 0.0, 0.0, 0
    x, y = map(float, point.get("points", "").split(";")[0].split(","))
    return x, y, 1 if point.get("occluded") == "1" else 2


def _read_box(box: ElementTree.Element) -> list[float]:
    left, top, right, bottom = (float(box.get(key, 0)) for key in ("xtl", "ytl", "xbr", "ybr"))
    return [left, top, right - left, bottom - top]
