"""The search for people and their poses on a picture, by crops of it.

A search is a generator. Each round it yields crops for the network. It is sent the network's
keypoints [n, K, 2], px of the picture, and scores [n, K]. In the end it returns poses. A search
knows no network: `crops.run_searches` can send the crops of many pictures through one together.

Letters: n crops of one round. A crop is a square (x, y, side): first column, first row and side in
whole px of the upright picture. It may reach outside.
"""

import itertools
import math
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hourglass.utils import transforms
from hourglass.utils.transforms import Crop

THRESHOLD = 0.44  # the least score of a person; chosen for the shipped network (box_free.py)
# Two poses are one person's where their boxes overlap by more (intersection over union). They are
# too where more joints of one name lie in one place, to a part of the surer one's longer side.
MAX_IOU = 0.3
MAX_SHARED = 3
SAME_PLACE = 0.1
BBOX_RULE = "width and height must be positive, and all four below 1,000,000"
MIN_SIDE = 16  # px; in a smaller crop of a first round nothing can be made out
# Joints that lie so far apart agree by 1 / e, in longer sides of the pose's box. Without a person
# the joints that a network finds move with the crop; a person stays.
AGREEMENT = 0.2
MAX_WIDTH = 3.75  # side of the widest crop that is asked about a pose, in the same

# It gives a list: poses, or what a tracker makes of them.
PoseSearch = Generator[list[Crop], tuple[np.ndarray, np.ndarray], list[Any]]


@dataclass(frozen=True)
class SearchPlan:
    """How a picture is searched; `experiments/box_free.py` compares others with the default.

    Attributes:
        zoom: side of the crops of one size to that of the next smaller ones.
        step: from one crop to the next, in sides, at most.
        max_crops: crops of all sizes together; a size that would exceed it is skipped.
        retries: the surest poses, of one person or several, that are refined, beside the surest of
            each person.
    """

    zoom: float = 1.5
    step: float = 0.6
    max_crops: int = 50
    retries: int = 4


PLAN = SearchPlan()


@dataclass(frozen=True, eq=False)
class Pose:
    """The joints of one person as they were found in one crop.

    Attributes:
        keypoints: [K, 2], px of the upright picture. scores: [K], of each joint; of a network that
            was trained here, the probability that it lies within half a head size.
        crop: what the network saw.
        score: of the whole pose, 0 to about 1: the mean of its joints' scores. In a search it is
            the mean over all crops that hold the pose, weighted by their agreement with it.
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
    return (yield from estimate_crops(list(map(_crop_around, poses)))) if refine else poses


def estimate_crops(crops: Sequence[Crop]) -> PoseSearch:
    """The search that takes a person to be in each of some crops: a list of poses, in order."""
    if not crops:
        return []
    keypoints, scores = yield list(crops)
    return [
        Pose(points, sure, crop, float(np.mean(sure)))
        for points, sure, crop in zip(keypoints, scores, crops, strict=True)
    ]


def find_people(size: tuple[int, int], number: int = 1, plan: SearchPlan = PLAN) -> PoseSearch:
    """The search for people anywhere on a picture: at most `number` poses, the surest first.

    The first round is crops of several sizes all over the picture; the second, those around the
    surest poses. The first round's crops tell how sure each of the second's poses is (`Pose.score`,
    `THRESHOLD`). Of two poses of one person the surer one stays.

    Args:
        size: width, height of the picture, px.
    """
    seen = yield from estimate_crops(tile_picture(size, plan))
    chosen = sorted(seen, key=_by_score)[: plan.retries]
    chosen += [pose for pose in pose_nms(seen)[: number + 1] if pose not in chosen]
    refined = yield from estimate_crops([_crop_around(pose) for pose in chosen])
    return pose_nms(rescore(pose, seen) for pose in refined)[:number]


def tile_picture(size: tuple[int, int], plan: SearchPlan = PLAN) -> list[Crop]:
    """Crops of several sizes over a picture of `size` (width, height), the largest first.

    The first is the whole picture's. Each smaller size covers the picture with overlap.
    """
    crops, side = [whole_picture_crop(size)], max(size) / plan.zoom
    while side >= MIN_SIDE:
        columns, rows = (_spread(length, round(side), plan.step) for length in size)
        if len(crops) + len(columns) * len(rows) > plan.max_crops:
            break
        crops += [(x, y, round(side)) for y, x in itertools.product(rows, columns)]
        side /= plan.zoom
    return crops


def _spread(length: int, side: int, step: float) -> list[int]:
    """The starts of crops along an axis of `length` px, even from its start to its end."""
    if side >= length:
        return [round((length - side) / 2)]
    number = math.ceil((length - side) / (step * side)) + 1
    return [round(start) for start in np.linspace(0, length - side, number)]


def rescore(pose: Pose, others: Sequence[Pose]) -> Pose:
    """The pose with the score that it and those of other crops give it."""
    low, high = keypoints_bbox(pose.keypoints)
    side = max((high - low).max(), 1e-9)

    def holds(crop: Crop) -> bool:
        corner = np.array(crop[:2]) - 0.5
        # A wider crop may show another person.
        return bool(
            crop[2] <= MAX_WIDTH * side
            and (low >= corner).all()
            and (high <= corner + crop[2]).all()
        )

    # A pose beyond the picture is in no crop but the widest, the first.
    holding = [pose, *([other for other in others if holds(other.crop)] or others[:1])]
    places = np.stack([other.keypoints for other in holding])  # (crops, K, 2)
    distances = np.linalg.norm(places - pose.keypoints, axis=-1)
    agreement = np.exp(-np.square(distances / (AGREEMENT * side)))
    scores = np.stack([other.scores for other in holding])
    return replace(pose, score=float(np.mean(scores * agreement)))


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
    bbox = surer.bbox
    if compute_iou(pose.bbox, bbox) > MAX_IOU:
        return True
    # A trunk that both found, with legs of the one in the scenery, makes boxes that differ.
    distances = np.linalg.norm(pose.keypoints - surer.keypoints, axis=1)
    return int(np.count_nonzero(distances <= SAME_PLACE * np.ptp(bbox, axis=0).max())) > MAX_SHARED
