"""From stored crops to network inputs, a whole batch at once on the device. keras.ops.

The augmentation of a record - zoom, turn, flip, colour - is drawn from (seed, epoch, record) alone.
It does not depend on batch order, workers or on how often training was stopped. One warp makes the
model input; the keypoints go through the same transform. Letters: N pictures, K keypoints, D stored
px, S input px.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from hourglass.data.tfrecords.augmentation import FLIP, GAINS, TURN, ZOOM
from hourglass.utils.backend import Tensor, compile_on_cpu, ops
from hourglass.utils.transforms import AROUND_JOINTS, SURE_SCORE

# Of pixels' numbers: on GPUs, TensorFlow computes with int32 in the host's memory.
_INDEX = "uint32"
Batch = dict[str, Tensor]


def render_inputs(batch: Batch, size: int) -> Tensor:
    """The model inputs of a batch: each crop warped and coloured.

    Args:
        batch: dict of `crops` uint8 [N, D, D, 3], `center` [N, 2] and `side` [N] of each person's
            crop (stored px), and where they are augmented `augmentation` [N, NUM_PARAMETERS]
            (`data.tfrecords.augmentation`).
        size: S.

    Returns:
        float32 [N, S, S, 3], 0..255.
    """
    augmentation = batch.get("augmentation")
    gains = ops.ones((1, 3)) if augmentation is None else augmentation[:, GAINS]  # (N or 1, 3)
    return _render(batch["crops"], input_transforms(batch, size), gains, size)


def transform_keypoints(
    batch: Batch, size: int, flip_order: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """The places of the keypoints in the model inputs of `render_inputs`.

    Args:
        batch: the same, with `keypoints` float32 [N, K, 2], stored px, and `keypoints_visible` bool
            [N, K].
        flip_order: of the schema.

    Returns:
        keypoints: float32 [N, K, 2], px of the inputs; keypoints_visible: bool [N, K]. In a flipped
        input left and right keypoints have changed places.
    """
    to_inputs = invert_transforms(input_transforms(batch, size))  # stored px to input px
    keypoints = apply_transforms(to_inputs, batch["keypoints"])
    keypoints_visible = batch["keypoints_visible"]
    if "augmentation" in batch:
        flipped = batch["augmentation"][:, FLIP] > 0.5  # (N,)
        # The transform has mirrored the places. The names must follow, or right arms would be
        # taught as left ones.
        swapped = swap_sides(keypoints, flip_order)
        keypoints = ops.where(flipped[:, None, None], swapped, keypoints)
        swapped = swap_sides(keypoints_visible, flip_order)
        keypoints_visible = ops.where(flipped[:, None], swapped, keypoints_visible)
    return keypoints, keypoints_visible


def input_transforms(batch: Batch, size: int) -> Tensor:
    """Transforms [N, 2, 3] from model inputs of `size` px to the stored crops."""
    # From the input to the crop: a warp asks for each pixel of its result where it comes from.
    side, augmentation = batch["side"], batch.get("augmentation")
    if augmentation is None:
        # (N, 2, 2): how many stored px one input px is wide.
        linear = (side / size)[:, None, None] * ops.eye(2)
    else:
        zoom, turn, flip = (augmentation[:, column] for column in (ZOOM, TURN, FLIP))
        linear = _turn_and_flip(side * zoom / size, turn, flip)
    # The middle of S pixels whose centres are at 0 .. S - 1 is on the person's center.
    middle = (size - 1) / 2
    # (N, 2), from linear @ (middle, middle) + shift = center.
    shift = batch["center"] - middle * ops.sum(linear, axis=-1)
    return ops.concatenate([linear, shift[..., None]], axis=-1)  # (N, 2, 3)


def refined_crops(keypoints: Tensor, scores: Tensor, side: Tensor) -> tuple[Tensor, Tensor]:
    """The crops of a refinement, around the keypoints found in the crops before.

    Args:
        keypoints: [N, K, 2], stored px. scores: [N, K].
        side: [N] of the first crops, stored px. The new ones have a quarter of it to 1.25 of it:
            little beyond is stored, and keypoints in one place tell of no size.

    Returns:
        center [N, 2] and side [N], stored px.
    """
    sure = (scores >= SURE_SCORE)[..., None]  # (N, K, 1)
    sure = ops.logical_or(sure, ops.logical_not(ops.any(sure, axis=1, keepdims=True)))
    low = ops.min(ops.where(sure, keypoints, np.inf), axis=1)  # (N, 2)
    high = ops.max(ops.where(sure, keypoints, -np.inf), axis=1)
    longer = ops.max(high - low, axis=1)  # (N,)
    return (low + high) / 2, ops.clip(AROUND_JOINTS * longer, side / 4, side * 1.25)


def _turn_and_flip(zoom: Tensor, turn: Tensor, flip: Tensor) -> Tensor:
    """The linear part [N, 2, 2] of each input's transform."""
    cos, sin = zoom * ops.cos(turn), zoom * ops.sin(turn)
    mirror = 1 - 2 * flip  # of the input's x, before it is turned
    rows = [cos * mirror, -sin], [sin * mirror, cos]
    return ops.stack([ops.stack(row, axis=-1) for row in rows], axis=1)


def invert_transforms(transforms: Tensor) -> Tensor:
    """The transforms [N, 2, 3] that undo `transforms`."""
    # [a b x; c d y] of every picture: the adjugate of the 2 x 2 part, over its determinant.
    (a, b, x), (c, d, y) = (ops.unstack(transforms[:, row], axis=-1) for row in (0, 1))
    determinant = a * d - b * c  # +- the squared zoom, so never 0
    first = ops.stack([d, -b, b * y - d * x], axis=-1)
    second = ops.stack([-c, a, c * x - a * y], axis=-1)
    return ops.stack([first, second], axis=1) / determinant[:, None, None]


def apply_transforms(transforms: Tensor, points: Tensor) -> Tensor:
    """Points [N, K, 2] taken through one transform [2, 3] a picture."""
    linear, shift = transforms[:, None, :, :2], transforms[:, None, :, 2]  # (N, 1, 2, 2), (N, 1, 2)
    return ops.sum(linear * points[:, :, None, :], axis=-1) + shift


@compile_on_cpu
def _render(crops: Tensor, transforms: Tensor, gains: Tensor, size: int) -> Tensor:
    # One gain a channel, the same over the picture: (N, 1, 1, 3).
    pictures = warp_pictures(crops, transforms, size) * gains[:, None, None]
    # The gains may go beyond white.
    return ops.clip(pictures, 0.0, 255.0)


def warp_pictures(crops: Tensor, transforms: Tensor, size: int) -> Tensor:
    """Sample crops [N, D, D, 3] bilinearly at the pixels of inputs [N, S, S, 3]; black outside.

    Nothing is smoothed: harmless while no input px is wider than `MAX_REDUCTION` stored px.
    """
    stored = crops.shape[1]
    # Where each pixel of the input lies in the stored crop: x, y float32 [N, S, S].
    axis = ops.cast(ops.arange(size), "float32")
    x = axis[None, None, :] * transforms[:, 0, 0, None, None]
    x = x + axis[None, :, None] * transforms[:, 0, 1, None, None] + transforms[:, 0, 2, None, None]
    y = axis[None, None, :] * transforms[:, 1, 0, None, None]
    y = y + axis[None, :, None] * transforms[:, 1, 1, None, None] + transforms[:, 1, 2, None, None]
    # The stored pixel before each of them and the one after, and what share each has of it.
    (left, left_share), (right, right_share) = _neighbours(x, stored)
    (top, top_share), (bottom, bottom_share) = _neighbours(y, stored)
    # One row of three channels a gather, out of all crops at once: 4 times as fast as by picture.
    # TensorFlow has no gather of uint8 for GPUs.
    pixels = ops.cast(ops.reshape(crops, (-1, 3)), "float32")  # (N * D * D, 3)
    first = ops.cast(ops.arange(ops.shape(crops)[0]), _INDEX)[:, None, None] * (stored * stored)
    upper_row, lower_row = first + top * stored, first + bottom * stored

    def at(row: Tensor, column: Tensor) -> Tensor:
        return ops.take(pixels, ops.cast(row + column, "int64"), axis=0)  # (N, S, S, 3)

    upper = at(upper_row, left) * left_share + at(upper_row, right) * right_share
    lower = at(lower_row, left) * left_share + at(lower_row, right) * right_share
    return upper * top_share + lower * bottom_share


def _neighbours(places: Tensor, stored: int) -> Iterator[tuple[Tensor, Tensor]]:
    """The pixels [N, S, S] before and after places of one axis, with their shares [N, S, S, 1]."""
    before = ops.floor(places)
    part = places - before
    for pixel, share in (before, 1 - part), (before + 1, part):
        # Outside of the crop the pixel on its border is read, and counts for nothing.
        inside = ops.clip(pixel, 0, stored - 1)
        share_inside = ops.where(ops.equal(inside, pixel), share, 0.0)
        yield ops.cast(inside, _INDEX), share_inside[..., None]


def swap_sides(values: Tensor, flip_order: Sequence[int]) -> Tensor:
    """Swap left and right keypoints, on axis 1, by the schema's `flip_order`."""
    return ops.take(values, np.array(flip_order), axis=1)
