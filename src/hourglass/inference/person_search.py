"""Where people are on a picture and how they stand, found by looks at crops of it.

A search is a generator. It yields the crops that it wants looked at, each time some more, is sent
what the network sees in them, keypoints [n, 16, 2], px of the picture, and scores [n, 16], and
returns poses. So it knows no network, and those who run searches (`looks.py`) can send the looks at
many pictures through one together.

Letters: n crops of one round. A crop is (x, y, side), its first column and row and its side,
whole px of the upright picture; it may reach outside.
"""

import itertools
import math
from dataclasses import dataclass, replace

import numpy as np

from hourglass.utils import transforms

THRESHOLD = 0.44  # a pose of a lower score is nobody; chosen for the shipped network (box_free.py)
# Two poses are one person's where their boxes overlap by more, intersection over union, or more
# joints of one name lie in one place, to a part of the surer one's longer side.
MAX_IOU = 0.3
MAX_SHARED = 3
SAME_PLACE = 0.1
BBOX_RULE = "width and height must be positive, and all four below 1,000,000"
MIN_SIDE = 16  # px; nobody is made out in a smaller crop of a first round


@dataclass(frozen=True)
class SearchPlan:
    """How a picture is searched; `experiments/box_free.py` compares others with the default.

    Attributes:
        zoom: side of the crops of one size to that of the next smaller ones.
        step: from one crop to the next, in sides, at most.
        max_crops: crops of all sizes together; a size that would exceed it is left out.
        retries: the surest poses, of one person or several, that are looked at again, beside the
            surest of each person.
    """

    zoom: float = 1.5
    step: float = 0.6
    max_crops: int = 50
    retries: int = 4


PLAN = SearchPlan()
# Joints that lie so far apart agree by 1 / e, in longer sides of the pose's box. What a network
# sees where nobody is moves with the crop that it looks at; a person stays.
AGREEMENT = 0.2
MAX_WIDTH = 3.75  # side of the widest look that is asked about a pose, in the same


@dataclass(frozen=True, eq=False)
class Pose:
    """The joints of one person as they were seen in one crop.

    Attributes:
        keypoints: [16, 2], px of the upright picture. scores: [16], of each joint.
        crop: what the network saw.
        score: how sure the whole pose is, 0 to about 1: the mean of its joints' scores; of a search
            the mean over all looks that hold the pose, as far as they agree with it.
    """

    keypoints: np.ndarray
    scores: np.ndarray
    crop: tuple
    score: float

    @property
    def bbox(self):
        """Low and high corner [2, 2] of the box around the sure joints; of all where none is."""
        sure = self.scores >= transforms.SURE_SCORE
        return keypoints_bbox(self.keypoints[sure] if sure.any() else self.keypoints)


def keypoints_bbox(joints):
    """Low and high corner [2, 2] of the box around joints [K, 2]."""
    return np.stack([np.min(joints, axis=0), np.max(joints, axis=0)])


def compute_iou(box, other):
    """Intersection over union of two boxes, low and high corner [2, 2] each."""
    (low, high), (other_low, other_high) = box, other
    sides = np.minimum(high, other_high) - np.maximum(low, other_low)
    shared = np.prod(np.maximum(sides, 0))
    union = np.prod(high - low) + np.prod(other_high - other_low) - shared
    return float(shared / max(union, 1e-9))


def crop_at(middle, side):
    """The crop of whole px about a point, pixel centres at integers."""
    side = max(1, round(side))
    x, y = (math.floor(place - (side - 1) / 2 + 0.5) for place in middle)
    return x, y, side


def whole_picture_crop(size):
    """The crop around a whole picture of `size` (width, height)."""
    return crop_at((np.array(size) - 1) / 2, max(size))


def is_bbox(numbers):
    """Whether x, y, width, height are as `BBOX_RULE` says."""
    return all(abs(number) < 1e6 for number in numbers) and min(numbers[2:]) > 0


def person_crop(center, scale):
    """The crop that training shows a person in, of center [2] (0-based) and scale."""
    return crop_at(*transforms.person_crop(center, scale))


def bbox_crop(box):
    """The crop around a person's box (x, y, width, height, px), with the margin of training."""
    return crop_at(*transforms.bbox_crop(box))


def estimate_pose(crop, refine=True):
    """The search for a person who is known to be in `crop`: a list of one pose.

    Args:
        refine: look a second time, at the crop around the joints that the first look has found.
    """
    (pose,) = _see([crop], *(yield [crop]))
    if refine:
        around = _crop_around(pose)
        (pose,) = _see([around], *(yield [around]))
    return [pose]


def find_people(size, number=1, plan=PLAN):
    """The search for people anywhere on a picture: at most `number` poses, the surest first.

    First crops of several sizes all over the picture are looked at, then those around the surest
    poses. All looks together tell how sure each of these is (`Pose.score`, `THRESHOLD`). Of two
    poses of one person the surer one stays.

    Args:
        size: width, height of the picture, px.
    """
    crops = tile_picture(size, plan)
    seen = _see(crops, *(yield crops))
    around = [_crop_around(pose) for pose in _choose_again(seen, number, plan.retries)]
    poses = [rescore(pose, seen) for pose in _see(around, *(yield around))]
    return pose_nms(poses)[:number]


def estimate_crops(crops):
    """The search of one look at each of some crops: a list of poses, in their order."""
    return _see(crops, *(yield crops))


def _choose_again(poses, number, retries):
    """The surest poses, though they be one person's, and those of one person more than `number`."""
    surest = sorted(poses, key=_by_score)[:retries]
    apart = pose_nms(poses)[: number + 1]
    return surest + [pose for pose in apart if pose not in surest]


def tile_picture(size, plan=PLAN):
    """Squares of several sizes over a picture of `size` (width, height), the largest first.

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


def _spread(length, side, step):
    """Where crops start along an axis of `length` px: evenly, from its start to its end."""
    if side >= length:
        return [round((length - side) / 2)]
    number = math.ceil((length - side) / (step * side)) + 1
    return [round(start) for start in np.linspace(0, length - side, number)]


def _see(crops, keypoints, scores):
    return [
        Pose(points, sure, crop, float(np.mean(sure)))
        for points, sure, crop in zip(keypoints, scores, crops, strict=True)
    ]


def rescore(pose, looks):
    """The pose with the score that its own look and those of the first round give it."""
    low, high = keypoints_bbox(pose.keypoints)
    side = max((high - low).max(), 1e-9)
    # A wider look may see another person; a pose beyond the picture is in no look but the widest.
    holding = [look for look in looks if _holds(look.crop, low, high, MAX_WIDTH * side)]
    holding = [pose, *(holding or looks[:1])]
    places = np.stack([look.keypoints for look in holding])  # (looks, 16, 2)
    distances = np.linalg.norm(places - pose.keypoints, axis=-1)
    agreement = np.exp(-np.square(distances / (AGREEMENT * side)))
    scores = np.stack([look.scores for look in holding])
    return replace(pose, score=float(np.mean(scores * agreement)))


def _holds(crop, low, high, max_side):
    corner, side = np.array(crop[:2]) - 0.5, crop[2]
    return side <= max_side and (low >= corner).all() and (high <= corner + side).all()


def _by_score(pose):
    return -pose.score


def _crop_around(pose):
    low, high = pose.bbox
    # As `inputs.refined_crops`, but that it may grow as it likes: all of the picture is at hand.
    # Joints that all lie in one place tell of no size: a quarter of what was seen, at least.
    side = max(transforms.AROUND_JOINTS * (high - low).max(), pose.crop[2] / 4)
    return crop_at((low + high) / 2, side)


def pose_nms(poses, key=_by_score):
    """The poses without those of a person of whom there is one before, sorted: the surest first."""
    kept = []
    for pose in sorted(poses, key=key):
        if not any(is_same_person(pose, other) for other in kept):
            kept.append(pose)
    return kept


def is_same_person(pose, surer):
    """Whether two poses share so much that they are one person's."""
    if compute_iou(pose.bbox, surer.bbox) > MAX_IOU:
        return True
    # A trunk that both found, with legs of the one in the scenery, makes boxes that differ.
    distances = np.linalg.norm(pose.keypoints - surer.keypoints, axis=1)
    shared = distances <= SAME_PLACE * np.ptp(surer.bbox, axis=0).max()
    return np.count_nonzero(shared) > MAX_SHARED
