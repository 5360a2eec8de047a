"""A folder as a labelling tool exports it, read as COCO's form, whichever tool it was."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hourglass.data.formats import cvat_xml, label_studio, labelme, yolo_pose
from hourglass.data.formats.coco_exports import read_coco_export
from hourglass.data.formats.exports import Export, LabelledPicture, PictureFiles, make_export
from hourglass.data.raw_records import FormFault
from hourglass.utils.errors import UserError
from hourglass.utils.files import read_json

TOOLS = (
    "COCO keypoint files (CVAT, Roboflow), CVAT's XML, Label Studio's JSON, YOLO-pose's data.yaml, "
    "LabelMe's JSON files"
)


def read_layout(folder: Path, val_fraction: float) -> Export:
    """The export of a tool in a folder.

    Args:
        val_fraction: of the pictures, for validation, where the export has no split.

    Raises:
        UserError: no tool's export is there, or it cannot be used; it says why.
    """
    files = PictureFiles(folder)
    try:
        contents = dict(_read_json_files(folder))
        if export := read_coco_export(contents, files, val_fraction):
            return export
        for tool, pictures in _read_all(folder, files, contents):
            if pictures:
                return make_export(tool, folder, pictures, val_fraction)
    except FormFault as fault:
        raise UserError(f"{folder}: {fault}; correct it") from None
    raise UserError(
        f"{folder}: holds neither images/, train.json and validation.json nor a tool's export: "
        f"{TOOLS}"
    )


def _read_json_files(folder: Path) -> Iterator[tuple[Path, Any]]:
    for path in sorted(folder.rglob("*.json")):
        yield path, read_json(path, "correct it")


def _read_all(
    folder: Path, files: PictureFiles, contents: dict[Path, Any]
) -> Iterator[tuple[str, list[LabelledPicture] | None]]:
    for path in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")]):
        yield yolo_pose.TOOL, yolo_pose.read_yolo_pose(path)
    for path in sorted(folder.rglob("*.xml")):
        yield cvat_xml.TOOL, cvat_xml.read_cvat_xml(path, files)
    yield label_studio.TOOL, label_studio.read_label_studio(contents, files)
    yield labelme.TOOL, labelme.read_labelme(contents, files)
