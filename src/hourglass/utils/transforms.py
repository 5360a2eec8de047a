"""From a person's center and scale to crops and back; affine transforms of points. NumPy.

A transform is a float [2, 3] matrix that takes (x, y, 1) of one frame to (x, y) of another. Every
frame has its pixel centres at integers, so a crop of `size` pixels spans -0.5 .. size - 0.5.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hourglass.keypoints import PERSON_HEIGHT

# The standard crop is 1.25 times the person's height, moved down a little so that the feet are in
# (https://github.com/princeton-vl/pose-hg-train, src/util/img.lua).
CROP_FACTOR = 1.25
CENTER_SHIFT = 15.0
# Person height over the longer side of a box that ends where the person's outline does. MPII's
# height is 1.1 x exp(0.04) = 1.14 times the longer side of its labels' box in the median
# (lspet.ROUGHNESS); an outline reaches some 5 % beyond the labels, by feet and hands. An estimate.
BOX_MARGIN = 1.1
# Keypoints with at least this score, a probability, are shown. Of legs beyond the picture that is
# one in nine, of right joints within it six in seven (experiments/reliability.py).
# A refinement is a crop around them. Its side is the longer side of their box times AROUND_JOINTS,
# which is what training's crops have for a person who stands.
SURE_SCORE = 0.35
AROUND_JOINTS = 1.2 * CROP_FACTOR
# Bilinear sampling reads one stored pixel further than the last pixel centre of a model input: two
# on each side of what is covered.
MARGIN = 2
# A whole picture is cropped by its reader, at a size of its own: the crop has the margin of this.
WHOLE_SIZE = 64
# Stored px to a px of the model input, at most. The warp does not smooth what it shrinks. Beyond
# this its inputs differ from smoothed ones by more than its own blur (experiments/README.md).
MAX_REDUCTION = 1.5

Crop = tuple[int, int, int]  # x, y of the first column and row, side; px of a picture


def person_region(center: npt.ArrayLike, scale: float) -> tuple[np.ndarray, float]:
    """The square region of a person: its center [2] and side, px of the original picture."""
    x, y = np.asarray(center)
    return np.array([x, y + CENTER_SHIFT * scale]), CROP_FACTOR * PERSON_HEIGHT * scale


def bbox_region(bbox: Sequence[float]) -> tuple[np.ndarray, float]:
    """The square region about a bbox (x, y, width, height, px): its center [2] and side, px."""
    x, y, width, height = bbox
    middle = np.array([x + (width - 1) / 2, y + (height - 1) / 2])
    return middle, CROP_FACTOR * BOX_MARGIN * max(width, height)


def cover_side(side: float, scale_range: float, rotation_range: float) -> float:
    """Side of the upright crop that holds every augmented crop of `side`.

    An augmented crop has at most `side` times 1 + scale_range. Turned by an angle, it needs an
    upright one cos + sin times as large, which peaks at 45 degrees.
    """
    angle = math.radians(min(rotation_range, 45))
    return side * (1 + scale_range) * (math.cos(angle) + math.sin(angle))


def stored_crop(
    center: npt.ArrayLike, side: float, max_size: int, scale_range: float, rotation_range: float
) -> tuple[Crop, int]:
    """The whole-pixel crop to store for a person's crop, and the size to store it at.

    Args:
        center: [2], px of the picture. side: px of the picture.
        max_size: stored px a side, at most; smaller persons are stored as they are, unenlarged.
        scale_range, rotation_range: the largest augmentation that the stored crop must cover.

    Returns:
        crop: (x, y, side), its first column and row, which may lie outside the picture, and its
            side, whole px of the picture.
        size: its side, stored px.
    """
    covered = cover_side(side, scale_range, rotation_range)  # px of the picture
    # What is covered has the size less both margins to itself.
    margin = MARGIN * max(1.0, covered / (max_size - 2 * MARGIN))
    stored_side = math.ceil(covered + 2 * margin)
    x, y = (math.floor(c + 0.5 - stored_side / 2) for c in np.asarray(center))
    return (x, y, stored_side), min(max_size, stored_side)


def stored_input_size(max_size: int, scale_range: float, rotation_range: float) -> float:
    """Stored px a side of a person's crop that `stored_crop` has shrunk to `max_size`."""
    return (max_size - 2 * MARGIN) / cover_side(1, scale_range, rotation_range)


def fitting_crop_sizes(
    input_size: int, scale_range: float, rotation_range: float
) -> tuple[int, int]:
    """The least and the greatest `max_size` of `stored_crop` that suit a network's input.

    Args:
        input_size: px. scale_range, rotation_range: the largest augmentation.

    Returns:
        least: without augmentation, the input of a person of many pixels is not enlarged.
        greatest: the augmented input that shows most is shrunk by `MAX_REDUCTION` at most. It is
            the least where the zoom is so wide that no size does both.
    """
    least = math.ceil(cover_side(input_size, scale_range, rotation_range)) + 2 * MARGIN
    finest = input_size * MAX_REDUCTION / (1 + scale_range)  # stored px of the unaugmented crop
    greatest = math.floor(cover_side(finest, scale_range, rotation_range)) + 2 * MARGIN
    return least, max(least, greatest)


def whole_picture_size(input_size: int, scale_range: float, rotation_range: float) -> int:
    """The size at which the crop of a whole picture is read: as fine as the warp stands."""
    ranges = scale_range, rotation_range
    _, greatest = fitting_crop_sizes(input_size, *ranges)
    # The crop of a whole picture has more margin than a stored one of that size.
    return math.ceil(
        WHOLE_SIZE * stored_input_size(greatest, *ranges) / stored_input_size(WHOLE_SIZE, *ranges)
    )


def crop_transform(crop: tuple[float, float, float], size: int) -> np.ndarray:
    """The transform [2, 3] from a crop resized to `size` px to the picture that it was cut from.

    Args:
        crop: (x, y, side), px of the picture.
    """
    # A stored pixel is `ratio` px wide, and the corner of both frames is at -0.5: the centre of the
    # first one lies half a ratio further in.
    x, y, side = crop
    ratio = side / size  # px of the picture to a stored one
    return np.array(
        [[ratio, 0.0, 0.5 * ratio + x - 0.5], [0.0, ratio, 0.5 * ratio + y - 0.5]], np.float64
    )


def apply_transform(transform: np.ndarray, points: npt.ArrayLike) -> np.ndarray:
    """Points [..., 2] taken through a transform [2, 3]."""
    return np.asarray(points) @ transform[:, :2].T + transform[:, 2]


def invert_transform(transform: np.ndarray) -> np.ndarray:
    """The transform [2, 3] that undoes `transform`."""
    # y = A x + b, so x = inv(A) y - inv(A) b.
    linear = np.linalg.inv(transform[:, :2])
    return np.concatenate([linear, -linear @ transform[:, 2:]], axis=1)
