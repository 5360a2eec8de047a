"""What is written of a photograph: the drawn picture, and the joints of its people as JSON."""

import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from hourglass.keypoints import JOINTS, MPII
from hourglass.utils.drawing import paint_pose
from hourglass.utils.files import atomic_path, write_json
from hourglass.utils.images import decode_image

COORDINATES = (
    "pixels of the upright picture (EXIF orientation applied), x to the right, y down; the centre "
    "of the top left pixel is (0, 0)"
)


class Written(NamedTuple):
    """What became of a photograph.

    Attributes:
        picture, record: the files.
        scores: of the people found, the best first. best: the score of the best pose, found or not.
    """

    picture: Path
    record: Path
    scores: list
    best: float

    @property
    def files(self):
        """What was written."""
        return self.picture, self.record


def write_poses(photo, config):
    """Write `target`.png, the drawn picture, and `target`.json, the joints: `Written`."""
    poses = config.choose_people(photo.search.poses)
    record = photo.target.with_name(f"{photo.target.name}.json")
    # First: a picture without it is taken for somebody else's.
    write_json(record, describe_poses(photo.path, config, poses))
    picture = draw_poses(photo, poses)
    scores = [pose.score for pose in poses]
    return Written(picture, record, scores, photo.search.poses[0].score)


def draw_poses(photo, poses, scratch=None):
    """Write `target`.png, a photograph with the poses on it; gives its path.

    Args:
        scratch: of `files.atomic_path`.
    """
    picture = photo.target.with_name(f"{photo.target.name}.png")
    image, _ = decode_image(photo.data)
    pixels = np.array(image)
    for pose in reversed(poses):  # the surest lies on top
        paint_pose(pixels, pose.keypoints, MPII)
    with atomic_path(picture, scratch) as temporary:
        # It looks for runs alone: 25 to 40 % of the time, a tenth more bytes.
        Image.fromarray(pixels).save(temporary, format="PNG", compress_type=zlib.Z_RLE)
    return picture


def is_record(path):
    """Whether a file begins as the record of a photograph, or of a clip."""
    with open(path, "rb") as file:
        return b'"coordinates":' in file.read(20_000)


def describe_poses(path, config, poses):
    """What is written of a photograph, for JSON."""
    return {
        "image": str(path),
        "coordinates": COORDINATES,
        "mode": config.mode,
        "bbox": config.bbox,
        "people": [describe_person(pose) for pose in poses],
    }


def describe_person(pose):
    """What is written of a person, for JSON."""
    joints = {
        name: {"x": _rounded(x, 2), "y": _rounded(y, 2), "score": _rounded(score, 4)}
        for name, (x, y), score in zip(JOINTS, pose.keypoints, pose.scores, strict=True)
    }
    return {"score": _rounded(pose.score, 4), "joints": joints}


def _rounded(number, digits):
    return round(float(number), digits)
