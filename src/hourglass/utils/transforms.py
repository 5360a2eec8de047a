"""From a person's center and scale to square crops and back; affine transforms of points. numpy.

A transform is a float [2, 3] matrix that takes (x, y, 1) of one frame to (x, y) of another. Every
frame has its pixel centres at integers, so a square of `size` pixels spans -0.5 .. size - 0.5.
"""

import math

import numpy as np

from hourglass.keypoints import PERSON_HEIGHT

# The standard crop is 1.25 times the person's height, moved down a little so that the feet are in
# (https://github.com/princeton-vl/pose-hg-train, src/util/img.lua).
CROP_FACTOR = 1.25
CENTER_SHIFT = 15.0
# Person height over the longer side of a box that ends where the person's outline does. MPII's
# height is 1.1 x exp(0.04) = 1.14 times the longer side of its labels' box in the median
# (lspet.ROUGHNESS); an outline reaches some 5 % beyond the labels, by feet and hands. An estimate.
BOX_MARGIN = 1.1
# A further look at a person is at the square around the joints that were seen with this score at
# least: their box's longer side times this, as training's views have it of a person who stands.
SURE_SCORE = 0.2
AROUND_JOINTS = 1.2 * CROP_FACTOR
# Bilinear sampling reads one stored pixel further than the view's last pixel centre: two on each
# side of what is covered.
MARGIN = 2
# A whole picture is cropped by its reader, at a size of its own: the square has the margin of this.
WHOLE_SIZE = 64
# Stored px to a view px, at most: the warp does not smooth what it shrinks, and beyond this its
# views are further from smoothed ones than its own blur takes them (experiments/README.md).
MAX_REDUCTION = 1.5


def person_crop(center, scale):
    """The square a person is seen in: its center [2] and side, px of the original picture."""
    x, y = center
    return np.array([x, y + CENTER_SHIFT * scale]), CROP_FACTOR * PERSON_HEIGHT * scale


def bbox_crop(box):
    """The view square of a person of whom a box is known (x, y, width, height, px): as above."""
    x, y, width, height = box
    middle = np.array([x + (width - 1) / 2, y + (height - 1) / 2])
    return middle, CROP_FACTOR * BOX_MARGIN * max(width, height)


def cover_side(side, scale_range, rotation_range):
    """Side of the upright square that holds every augmented view of a square of `side`.

    A view is `side` times 1 + scale_range at most; turned by an angle, a square needs an upright
    one cos + sin times as large, which peaks at 45 degrees.
    """
    angle = math.radians(min(rotation_range, 45))
    return side * (1 + scale_range) * (math.cos(angle) + math.sin(angle))


def stored_crop(center, side, max_size, scale_range, rotation_range):
    """The whole-pixel square to store for a view square, and the size to store it at.

    Args:
        center: [2], px of the picture. side: px of the picture.
        max_size: stored px a side, at most; smaller persons are stored as they are, unenlarged.
        scale_range, rotation_range: the largest augmentation that the crop must cover.

    Returns:
        square: (x, y, side), its first column and row, which may lie outside the picture, and its
            side, whole px of the picture.
        size: its side, stored px.
    """
    covered = cover_side(side, scale_range, rotation_range)  # px of the picture
    # What is covered has the size less both margins to itself.
    margin = MARGIN * max(1.0, covered / (max_size - 2 * MARGIN))
    square_side = math.ceil(covered + 2 * margin)
    x, y = (math.floor(c + 0.5 - square_side / 2) for c in center)
    return (x, y, square_side), min(max_size, square_side)


def stored_input_size(max_size, scale_range, rotation_range):
    """Stored px a side of a view square that `stored_crop` has shrunk to `max_size`."""
    return (max_size - 2 * MARGIN) / cover_side(1, scale_range, rotation_range)


def fitting_crop_sizes(input_size, scale_range, rotation_range):
    """The least and the greatest `max_size` of `stored_crop` that suit a network's input.

    Args:
        input_size: px. scale_range, rotation_range: the largest augmentation.

    Returns:
        least: the unaugmented view of a person of many pixels is not enlarged.
        greatest: the augmented view that shows most is shrunk by `MAX_REDUCTION` at most; where the
            zoom is so wide that no size does both, it is the least.
    """
    least = math.ceil(cover_side(input_size, scale_range, rotation_range)) + 2 * MARGIN
    finest = input_size * MAX_REDUCTION / (1 + scale_range)  # stored px of the unaugmented view
    greatest = math.floor(cover_side(finest, scale_range, rotation_range)) + 2 * MARGIN
    return least, max(least, greatest)


def whole_picture_size(input_size, scale_range, rotation_range):
    """The size at which the square of a whole picture is read: views as fine as the warp stands."""
    ranges = scale_range, rotation_range
    _, greatest = fitting_crop_sizes(input_size, *ranges)
    # The same square has more margin than a crop of that size.
    return math.ceil(
        WHOLE_SIZE * stored_input_size(greatest, *ranges) / stored_input_size(WHOLE_SIZE, *ranges)
    )


def crop_transform(square, size):
    """Transform from a stored crop of `size` px to the picture that its square was cut from."""
    # A stored pixel is `ratio` px wide, and the corner of both frames is at -0.5: the centre of the
    # first one lies half a ratio further in.
    x, y, side = square
    ratio = side / size  # px of the picture to a stored one
    return np.array(
        [[ratio, 0.0, 0.5 * ratio + x - 0.5], [0.0, ratio, 0.5 * ratio + y - 0.5]], np.float64
    )


def apply_transform(transform, points):
    """Points [..., 2] taken through a transform [2, 3]."""
    return np.asarray(points) @ transform[:, :2].T + transform[:, 2]


def invert_transform(transform):
    """The transform [2, 3] that undoes `transform`."""
    # y = A x + b, so x = inv(A) y - inv(A) b.
    linear = np.linalg.inv(transform[:, :2])
    return np.concatenate([linear, -linear @ transform[:, 2:]], axis=1)
