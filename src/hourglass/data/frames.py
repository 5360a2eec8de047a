"""Signs that labels are not pixels of their own upright picture, or that a box is not theirs.

Such a file costs all of the score and says nothing. Each fault has one reason. The limits are wider
than all of 511 persons of COCO, whose boxes end with what is seen: an occluded joint lies outside.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from hourglass.data.raw_records import BBox, LabelledPerson, UnusableRecord
from hourglass.data.zip_files import PictureSize

MIN_PERSON = 8.0  # px, the longer side of a box; 35 there
MAX_ON_ONE_PIXEL = 2  # joints; 1 there, and 2 for 0.4 % of MPII's persons
FAR = 0.1  # box sides
MAX_FAR = 0.7  # share of the joints that are further than that out of the box; 0.67 there
TOO_FAR = 0.75  # box sides that a joint lies out of the box; 0.49 there
# Box sides, and the share of a file's persons with a joint so far out; 0.04 there.
LOOSE, MAX_LOOSE, MIN_LOOSE = 0.25, 0.2, 3
MAX_OUTSIDE = 0.5  # share of the joints that lie out of the picture
MAX_BEYOND = 2.0  # px that a box may reach out of the picture, beside `FAR`
MIN_PICTURES, CORNER = 8, 0.6  # a corner: within these parts of width and height

TURNED = (
    "width and height are those of the picture before its EXIF turn: clear the file's EXIF "
    "orientation, or label the upright picture"
)
OTHER_SIZE = "width and height are not those of the picture: the labels are of another size of it"
FRACTIONS = "the coordinates are fractions of the picture, 0 to 1, not px"
SMALL_BOX = "bbox is in fractions of the picture, 0 to 1, not px"
AT_ZERO = "a labelled keypoint is at 0, 0: v must be 0 where nothing is labelled"
ONE_PIXEL = f"more than {MAX_ON_ONE_PIXEL} labelled keypoints are on one pixel"
TINY = f"the person has less than {MIN_PERSON:g} px"
ELSEWHERE = "the keypoints lie far from bbox"
OUTSIDE = "most of the keypoints lie outside of the picture"
CORNERS = "bbox is x1, y1, x2, y2: x, y, width, height are needed"
BEYOND = "bbox reaches out of the picture"
IN_CORNER = (
    f"all labels of the file lie in the upper left {CORNER:.0%} of their pictures: they are of "
    "smaller pictures"
)


class _Labels(NamedTuple):
    """What a record says about its frame: 0-based px, the labelled points alone."""

    image: str
    points: np.ndarray  # [n, 2]
    at_zero: bool
    bbox: BBox | None = None
    size: tuple[float, float] | None = None


def check_frames(records: Iterable[Any], sizes: Mapping[str, PictureSize]) -> list[Any]:
    """The records of a file, an `UnusableRecord` in the place of each with a doubtful frame.

    Args:
        records: of a `RawSplit`. Those that cannot be read stay: `data.validation` judges them.
        sizes: {name: size} of the pictures, as far as they are known.
    """
    records = list(records)
    found = {k: labels for k, r in enumerate(records) if (labels := _read_labels(r)) is not None}
    of_all = _find_file_fault(list(found.values()), sizes)
    for number, labels in found.items():
        if reason := _find_fault(labels, sizes.get(labels.image)) or of_all:
            records[number] = UnusableRecord(labels.image, reason)
    return records


def _read_labels(record: Any) -> _Labels | None:
    if isinstance(record, LabelledPerson):
        points = record.points[record.labelled]
        at_zero = bool((points == 0).all(axis=1).any())
        return _Labels(record.image, points, at_zero, record.bbox, record.size)
    if not isinstance(record, dict) or not isinstance(record.get("image"), str):
        return None
    try:  # in MPII's form, 1-based
        points = np.array(record["joints"], np.float64)[np.array(record["joints_vis"]) == 1]
    except (KeyError, ValueError, TypeError, IndexError, OverflowError):
        return None
    if points.ndim != 2 or points.shape[1] != 2 or not len(points):
        return None
    return _Labels(record["image"], points - 1, bool((points == 0).all(axis=1).any()))


def _find_fault(labels: _Labels, size: PictureSize | None) -> str | None:
    points = labels.points
    if size and (reason := _find_size_fault(labels.size, size)):
        return reason
    if np.abs(points).max() <= 1:
        return FRACTIONS
    if labels.at_zero:
        return AT_ZERO
    if np.unique(points, axis=0, return_counts=True)[1].max() > MAX_ON_ONE_PIXEL:
        return ONE_PIXEL
    if size and _share_outside(points, (0, 0, *size.upright)) > MAX_OUTSIDE:
        return OUTSIDE
    return _find_bbox_fault(labels, size) if labels.bbox else None


def _find_size_fault(told: tuple[float, float] | None, size: PictureSize) -> str | None:
    # A px of rounding costs nothing.
    if not told or min(told) < 1 or np.abs(np.subtract(told, size.upright)).max() <= 1:
        return None
    return TURNED if np.abs(np.subtract(told, size.stored)).max() <= 1 else OTHER_SIZE


def _find_bbox_fault(labels: _Labels, size: PictureSize | None) -> str | None:
    assert labels.bbox
    x, y, width, height = labels.bbox
    side = max(width, height)
    if side <= 1:
        return SMALL_BOX
    if side < MIN_PERSON:
        return TINY
    if size:
        beyond = max(x + width - size.upright[0], y + height - size.upright[1])
        if beyond > MAX_BEYOND + FAR * side:
            return CORNERS if _could_be_corners(labels) else BEYOND
    margin = FAR * side
    wider = (x - margin, y - margin, width + 2 * margin, height + 2 * margin)
    far = _share_outside(labels.points, wider) > MAX_FAR or _find_reach(labels) > TOO_FAR
    return ELSEWHERE if far else None


def _find_reach(labels: _Labels) -> float:
    """How far a keypoint lies out of the box, in sides of it."""
    assert labels.bbox
    x, y, width, height = labels.bbox
    low, high = labels.points.min(axis=0), labels.points.max(axis=0)
    reach = max(x - low[0], y - low[1], high[0] - x - width, high[1] - y - height)
    return float(reach) / max(width, height)


def _share_outside(points: np.ndarray, bbox: BBox) -> float:
    x, y, width, height = bbox
    is_outside = (points < (x, y)) | (points > (x + width, y + height))
    return float(is_outside.any(axis=1).mean())


def _could_be_corners(labels: _Labels) -> bool:
    """Whether a box, taken as x1, y1, x2, y2, holds the keypoints."""
    assert labels.bbox
    x, y, right, bottom = labels.bbox
    low, high = labels.points.min(axis=0), labels.points.max(axis=0)
    slack = FAR * max(right - x, bottom - y)
    is_box = right > x and bottom > y
    return (
        is_box
        and bool((low >= (x - slack, y - slack)).all())
        and bool((high <= (right + slack, bottom + slack)).all())
    )


def _find_file_fault(found: list[_Labels], sizes: Mapping[str, PictureSize]) -> str | None:
    """The fault of a file whose persons are only all together doubtful."""
    boxed = [labels for labels in found if labels.bbox]
    # Where all could be corners, and one box is none of x, y, width, height, none of them is.
    if (
        len(boxed) > 1
        and all(map(_could_be_corners, boxed))
        and any(_find_bbox_fault(labels, sizes.get(labels.image)) == CORNERS for labels in boxed)
    ):
        return CORNERS
    num_loose = sum(_find_reach(labels) > LOOSE for labels in boxed)
    if num_loose > max(MAX_LOOSE * len(boxed), MIN_LOOSE - 1):
        return ELSEWHERE
    seen = [labels for labels in found if labels.image in sizes]
    if len({labels.image for labels in seen}) >= MIN_PICTURES and all(
        _is_in_corner(labels.points, sizes[labels.image]) for labels in seen
    ):
        return IN_CORNER
    return None


def _is_in_corner(points: np.ndarray, size: PictureSize) -> bool:
    return bool((points <= CORNER * np.array(size.upright)).all())
