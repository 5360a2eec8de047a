"""The outputs of a photograph: the drawn picture, and the joints of its people as JSON."""

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from hourglass.data.raw_records import BBox
from hourglass.inference.person_search import Pose
from hourglass.inference.runner import Photo
from hourglass.keypoints import KeypointSchema
from hourglass.utils.files import atomic_path, write_json
from hourglass.visualization.drawing import paint_pose

COORDINATES = (
    "pixels of the upright picture (EXIF orientation applied), x to the right, y down; the centre "
    "of the top left pixel is (0, 0)"
)


class Written(NamedTuple):
    """The outputs of a photograph.

    Attributes:
        files: the picture and the record.
        scores: of the people, in the record's order. best: of the best pose of a search, found or
            not; 0 without any.
        notes: what people should know of the photograph.
    """

    files: tuple[Path, Path]
    scores: list[float]
    best: float
    notes: tuple[str, ...] = ()


def write_poses(photo: Photo, schema: KeypointSchema) -> Written:
    """Write `target`.png, the drawn picture, and `target`.json, the joints."""
    found = photo.search.poses
    poses = photo.config.choose_people(found)
    record = photo.target.with_name(f"{photo.target.name}.json")
    # First: a picture without it is taken for another program's.
    write_json(
        record,
        {
            "image": str(photo.path),
            "coordinates": COORDINATES,
            "width": photo.size[0],
            "height": photo.size[1],
            **({"notes": photo.notes} if photo.notes else {}),
            "mode": photo.config.mode,
            "people": list_people(photo, poses, schema),
        },
    )
    files = draw_poses(photo, poses, schema), record
    best = found[0].score if found else 0.0
    return Written(files, [pose.score for pose in poses], best, photo.notes)


def draw_poses(
    photo: Photo, poses: Sequence[Pose], schema: KeypointSchema, scratch: Path | None = None
) -> Path:
    """Write `target`.png, a photograph with the poses on it; gives its path.

    Args:
        scratch: a folder on the same disk for unfinished files; None: beside `target`.
    """
    picture = photo.target.with_name(f"{photo.target.name}.png")
    pixels = np.array(photo.search.image)
    for pose in reversed(poses):  # the surest lies on top
        paint_pose(pixels, photo.to_image(pose).keypoints, schema, pose.visible)
    with atomic_path(picture, scratch) as temporary:
        # It looks for runs alone: 25 to 40 % of the time, a tenth more bytes.
        Image.fromarray(pixels).save(temporary, format="PNG", compress_type=zlib.Z_RLE)
    return picture


def is_record(path: Path) -> bool:
    """Whether a file begins as the record of a photograph, or of a clip."""
    with open(path, "rb") as file:
        return b'"coordinates":' in file.read(20_000)


def list_people(photo: Photo, poses: Sequence[Pose], schema: KeypointSchema) -> list[dict]:
    """The JSON entries of the people on a photograph, each with the bbox that was given for it."""
    bboxes = photo.config.bboxes or [None] * len(poses)
    pairs = zip(poses, bboxes, strict=True)
    return [describe_person(pose, schema, bbox) for pose, bbox in pairs]


def describe_person(pose: Pose, schema: KeypointSchema, bbox: BBox | None = None) -> dict:
    """The JSON entry of a person; of one in a given `bbox` with that."""
    joints = {
        name: {
            "x": round(float(x), 2), "y": round(float(y), 2),
            "score": round(float(score), 4), "visible": bool(visible),
        }
        for name, (x, y), score, visible in zip(
            schema.keypoints, pose.keypoints, pose.scores, pose.visible, strict=True
        )
    }  # fmt: skip
    given = {"bbox": bbox} if bbox else {}
    return {"score": round(pose.score, 4)} | given | {"joints": joints}
