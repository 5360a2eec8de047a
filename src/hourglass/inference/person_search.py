"""The search for people and their poses on a picture: a detector's boxes, then a look at each.

A search is a generator. Each round it yields a `Look`: crops for one of two networks. It is sent
what that network finds in them, px of the picture:

    people finder    boxes [n, M, 4] (x, y, width, height), scores [n, M], the surest first
    pose network     keypoints [n, K, 2], scores [n, K]

In the end it returns poses. A search knows no network: `crops.run_searches` can send the crops of
many pictures through them together.

Letters: n crops of one round. A crop is a square (x, y, side): first column, first row and side in
whole px of the upright picture. It may reach outside.
"""

import itertools
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from hourglass.data.raw_records import BBox
from hourglass.utils import transforms
from hourglass.utils.transforms import Crop

# Chosen for the shipped networks by experiments/people.py.
THRESHOLD = 0.35  # the least score of a person
BOX_THRESHOLD = 0.3  # the least score of a finder's box that is looked at, the surest apart
# Two boxes are one person's if their intersection over union is larger.
MAX_IOU = 0.6
# Two poses are one person's if they are more alike (`compute_likeness`).
MAX_LIKENESS = 0.4
# Joints of one name that lie so far apart are alike by 1 / e, in longer sides of the surer's box.
SAME_PLACE = 0.1
MAX_LOOKS = 99  # at boxes of one picture
BBOX_RULE = "width and height must be positive, and all four below 1,000,000"
MIN_SIDE = 16  # px; in a smaller crop nothing can be made out


class Look(NamedTuple):
    """Crops that a search asks one network about.

    Attributes:
        crops: n of (x, y, side), px of the picture.
        is_for_finder: whether it asks the people finder, not the pose network.
    """

    crops: list[Crop]
    is_for_finder: bool = False


# It gives a list: poses, or what a tracker makes of them.
PoseSearch = Generator[Look, tuple[np.ndarray, np.ndarray], list[Any]]


@dataclass(frozen=True, eq=False)
class Pose:
    """The joints of one person as they were found in one crop.

    Attributes:
        keypoints: [K, 2], px of the upright picture. scores: [K], of each joint; of a network that
            was trained here, the probability that it lies within half a head size.
        crop: what the network saw.
        score: of the whole pose, 0 to about 1: the mean of its joints' scores. In a search it is
            the geometric mean of that and of the score of the person's box.
    """

    keypoints: np.ndarray
    scores: np.ndarray
    crop: Crop
    score: float

    @property
    def visible(self) -> np.ndarray:
        """Which joints are sure enough to be shown, bool [K]."""
        return self.scores >= transforms.SURE_SCORE

    @property
    def bbox(self) -> np.ndarray:
        """Low and high corner [2, 2] around the visible joints, or around all if none is."""
        visible = self.visible
        return keypoints_bbox(self.keypoints[visible] if visible.any() else self.keypoints)


def keypoints_bbox(keypoints: np.ndarray) -> np.ndarray:
    """The bbox of keypoints [K, 2]: low and high corner [2, 2]."""
    return np.stack([keypoints.min(axis=0), keypoints.max(axis=0)])


def compute_iou(bbox: np.ndarray, other: np.ndarray) -> float:
    """Intersection over union of two bboxes, low and high corner [2, 2] each."""
    (low, high), (other_low, other_high) = bbox, other
    sides = np.minimum(high, other_high) - np.maximum(low, other_low)
    shared = np.prod(np.maximum(sides, 0))
    union = np.prod(high - low) + np.prod(other_high - other_low) - shared
    return float(shared / max(union, 1e-9))


def crop_at(middle: np.ndarray, side: float) -> Crop:
    """The crop of whole px about a point, pixel centres at integers."""
    side = max(1, round(side))
    x, y = np.floor(np.asarray(middle) - (side - 1) / 2 + 0.5).astype(int).tolist()
    return x, y, side


def whole_picture_crop(size: tuple[int, int]) -> Crop:
    """The crop around a whole picture of `size` (width, height)."""
    return crop_at((np.array(size) - 1) / 2, max(size))


def is_bbox(numbers: Sequence[float]) -> bool:
    """Whether x, y, width, height are as `BBOX_RULE` says."""
    return all(abs(number) < 1e6 for number in numbers) and min(numbers[2:]) > 0


def person_crop(center: np.ndarray, scale: float) -> Crop:
    """The crop that training shows a person in, of center [2] (0-based) and scale."""
    return crop_at(*transforms.person_region(center, scale))


def bbox_crop(bbox: Sequence[float]) -> Crop:
    """The crop around a bbox (x, y, width, height, px), with the margin of training."""
    return crop_at(*transforms.bbox_region(bbox))


def estimate_pose(crop: Crop, refine: bool = True) -> PoseSearch:
    """The search for a person in a known `crop`: a list of one pose.

    Args:
        refine: estimate the pose once more, in the crop around the joints found first.
    """
    return estimate_poses([crop], refine)


def estimate_poses(crops: Sequence[Crop], refine: bool = True) -> PoseSearch:
    """The search for a person in each of several known crops: a list of poses, in order.

    Args:
        refine: estimate each pose once more, in the crop around the joints found first.
    """
    poses = yield from estimate_crops(crops)
    return (yield from refine_poses(poses)) if refine else poses


def refine_poses(poses: Sequence[Pose]) -> PoseSearch:
    """The search that estimates poses once more, each in the crop around its joints, in order."""
    return (yield from estimate_crops(list(map(_crop_around, poses))))


def estimate_crops(crops: Sequence[Crop]) -> PoseSearch:
    """The search that takes a person to be in each of some crops: a list of poses, in order."""
    if not crops:
        return []
    keypoints, scores = yield Look(list(crops))
    return [
        Pose(points, sure, crop, float(np.mean(sure)))
        for points, sure, crop in zip(keypoints, scores, crops, strict=True)
    ]


def find_people(size: tuple[int, int], number: int | None = None) -> PoseSearch:
    """The search for people anywhere on a picture: at most `number` poses, the surest first.

    A detector finds boxes on the whole picture. The network looks into each box, then around the
    joints found there. Of two poses of one person the surer one stays.

    Args:
        size: width, height of the picture, px.
        number: None for all.
    """
    boxes = yield from find_boxes(size)
    poses = yield from estimate_crops([bbox_crop(box.bbox) for box in boxes])
    sure = {pose: box.score for pose, box in zip(poses, boxes, strict=True)}
    kept = pose_nms(poses, key=lambda pose: -_join_scores(pose.score, sure[pose]))
    refined = yield from refine_poses(kept)
    joined = [
        replace(pose, score=_join_scores(pose.score, sure[first]))
        for pose, first in zip(refined, kept, strict=True)
    ]
    return pose_nms(joined)[:number]


class FoundBox(NamedTuple):
    """A box of the people finder, (x, y, width, height), px of the picture, and its score."""

    bbox: BBox
    score: float


def find_boxes(size: tuple[int, int]) -> PoseSearch:
    """The search for boxes of people on a picture: a list of `FoundBox`, the surest first.

    Its boxes have a score of `BOX_THRESHOLD` or more, the surest one any. Of two boxes of one
    person the surer one stays.

    Args:
        size: width, height of the picture, px.
    """
    boxes, scores = yield Look([whole_picture_crop(size)], is_for_finder=True)
    found = [
        FoundBox((x, y, width, height), score)
        for (x, y, width, height), score in zip(boxes[0].tolist(), scores[0].tolist(), strict=True)
        if score > 0 and is_bbox((x, y, width, height))
    ]
    kept: list[FoundBox] = []
    for box in found[:1] + [box for box in found[1:] if box.score >= BOX_THRESHOLD]:
        corners = bbox_corners(box.bbox)
        if all(compute_iou(corners, bbox_corners(other.bbox)) <= MAX_IOU for other in kept):
            kept.append(box)
    return kept[:MAX_LOOKS]


def bbox_corners(bbox: Sequence[float]) -> np.ndarray:
    """Low and high corner [2, 2] of a bbox (x, y, width, height)."""
    x, y, width, height = bbox
    return np.array([[x, y], [x + width, y + height]])


def _join_scores(joints: float, box: float) -> float:
    """The score of a person: the geometric mean of those of the joints and of the box."""
    return float(np.sqrt(max(joints, 0.0) * box))


def _by_score(pose: Pose) -> float:
    return -pose.score


def _crop_around(pose: Pose) -> Crop:
    low, high = pose.bbox
    # As `model_inputs.refined_crops`, which may not grow so far: all of the picture is at hand.
    # Joints that all lie in one place tell of no size: a quarter of what was seen, at least.
    side = max(transforms.AROUND_JOINTS * (high - low).max(), pose.crop[2] / 4)
    return crop_at((low + high) / 2, side)


def pose_nms(poses: Iterable[Pose], key: Callable[[Pose], Any] = _by_score) -> list[Pose]:
    """The poses of different people, sorted by `key`: the first pose of each person."""
    kept: list[Pose] = []
    for pose in sorted(poses, key=key):
        if not any(map(is_same_person, itertools.repeat(pose), kept)):
            kept.append(pose)
    return kept


def is_same_person(pose: Pose, surer: Pose) -> bool:
    """Whether two poses share so much that they are one person's."""
    return compute_likeness(pose, surer) > MAX_LIKENESS


def compute_likeness(pose: Pose, surer: Pose) -> float:
    """How alike two poses are, 0 to 1: COCO's object keypoint similarity, one falloff for all.

    Joints of which the surer pose is not sure do not count, unless it is sure of none.
    """
    counted = surer.visible if surer.visible.any() else np.ones_like(surer.visible)
    distances = np.linalg.norm(pose.keypoints - surer.keypoints, axis=1)[counted]
    reach = max(SAME_PLACE * float(np.ptp(surer.bbox, axis=0).max()), 1e-9)
    return float(np.mean(np.exp(-np.square(distances / reach))))
