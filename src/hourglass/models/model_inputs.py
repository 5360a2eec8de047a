"""From stored crops to network inputs, a whole batch at once on the device. keras.ops.

The augmentation of a record - zoom, turn, flip, colour, half of the body, edge, patch - is drawn
from (seed, epoch, record) alone. It does not depend on batch order, workers or on how often
training was stopped. One warp makes the model input; the keypoints go through the same transform.
Letters: N pictures, K keypoints, D stored px, S input px.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from hourglass.data.tfrecords.augmentation import (
    EDGE,
    EDGE_KEPT,
    EDGES,
    FLIP,
    GAINS,
    HALF_BODY,
    HAS_PATCH,
    PATCH_COLOUR,
    PATCH_PLACE,
    PATCH_SIZE,
    TURN,
    ZOOM,
)
from hourglass.utils.backend import Tensor, compile_on_cpu, ops
from hourglass.utils.transforms import AROUND_JOINTS, SURE_SCORE

# Of pixels' numbers: on GPUs, TensorFlow computes with int32 in the host's memory.
_INDEX = "uint32"
# px, beyond any stored crop.
_FAR = 1e6
Batch = dict[str, Tensor]


def render_inputs(batch: Batch, size: int) -> Tensor:
    """The model inputs of a batch: each crop warped and coloured, a patch over it where drawn.

    Args:
        batch: dict of `crops` uint8 [N, D, D, 3], `center` [N, 2] and `side` [N] of each person's
            crop (stored px), and where they are augmented `augmentation` [N, NUM_PARAMETERS]
            (`data.tfrecords.augmentation`), with `picture` [N, 2, 2] after `cut_at_edges`.
        size: S.

    Returns:
        float32 [N, S, S, 3], 0..255.
    """
    augmentation = batch.get("augmentation")
    gains = ops.ones((1, 3)) if augmentation is None else augmentation[:, GAINS]  # (N or 1, 3)
    transforms = input_transforms(batch, size)
    inputs = _render(batch["crops"], transforms, gains, size)
    if "picture" in batch:
        inputs = _blacken_beyond(inputs, transforms, batch["picture"])
    return inputs if augmentation is None else _hide_patches(inputs, augmentation)


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


def crop_half_bodies(batch: Batch, lower: Sequence[int]) -> Batch:
    """Crop persons to one half of the body, where the augmentation says so.

    The keypoints of the other half then count as unlabelled. A person stays whole unless half of
    the keypoints of each half are labelled, and two at least.

    The new crop is about the middle of the shown keypoints. Its side is `AROUND_JOINTS` times the
    longer side of their box, between a quarter of the old side and all of it. It is then moved into
    the old crop. The stored pixels thus cover it, whatever the zoom and the turn.

    Source: mmpose's RandomHalfBody (github.com/open-mmlab/mmpose,
    mmpose/datasets/transforms/common_transforms.py). Its `padding` is 1.5 too. It asks for 9
    labelled keypoints, which is half of each half of COCO's. It centres on the keypoints' mean, by
    which some lie outside, and keeps the labels of the other half.

    Args:
        batch: dict of `augmentation`, `center`, `side`, `keypoints` float32 [N, K, 2] and
            `keypoints_visible` bool [N, K] in stored px, and others that are kept.
        lower: the keypoints of the lower half, as places on the axis K; the others are the upper.

    Returns:
        The batch with other `center`, `side` and `keypoints_visible`.
    """
    is_half, shown = _choose_keypoints(batch, lower)
    middle, longer = _bound_keypoints(batch["keypoints"], shown)
    return _move_crop(batch, is_half, middle, longer) | {"keypoints_visible": shown}


def _move_crop(batch: Batch, moved: Tensor, middle: Tensor, longer: Tensor) -> Batch:
    """The batch; the crops of those `moved`, bool [N], are about a box, within the old crops."""
    side = ops.clip(AROUND_JOINTS * longer, batch["side"] / 4, batch["side"])
    room = (batch["side"] - side)[:, None] / 2
    center = ops.clip(middle, batch["center"] - room, batch["center"] + room)
    return batch | {
        "center": ops.where(moved[:, None], center, batch["center"]),
        "side": ops.where(moved, side, batch["side"]),
    }


def _choose_keypoints(batch: Batch, lower: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Which persons become half bodies, bool [N], and the keypoints of all that keep a label."""
    half, labelled = batch["augmentation"][:, HALF_BODY], batch["keypoints_visible"]
    is_lower = np.isin(np.arange(labelled.shape[1]), lower)  # (K,)
    halves = np.stack([is_lower, ~is_lower]).astype(np.float32)  # (2, K)
    counts = ops.sum(ops.cast(labelled, "float32")[:, None] * halves, axis=-1)  # (N, 2)
    has_both = ops.all(counts >= np.maximum(2, halves.sum(axis=-1) / 2), axis=-1)
    is_half = ops.logical_and(ops.not_equal(half, 0), has_both)
    is_other = ops.where(half[:, None] > 0, is_lower, ~is_lower)  # (N, K)
    is_dropped = ops.logical_and(is_half[:, None], is_other)
    return is_half, ops.logical_and(labelled, ops.logical_not(is_dropped))


def cut_at_edges(batch: Batch) -> Batch:
    """End the picture within the person, where the augmentation says so.

    Beyond the edge the input is black, as it is beyond a photograph. The keypoints there stay
    labelled and get an empty heatmap: the network learns that they are not to be seen.

    The edge is parallel to a side of the stored crop, at a share of the box of the labelled
    keypoints. The crop is about what is left of that box, by the rule of `crop_half_bodies`.

    Args:
        batch: as for `crop_half_bodies`.

    Returns:
        The batch with other `center`, `side` and `keypoints`, and `picture` [N, 2, 2]: the first
        and the last stored px that are shown, (x, y).
    """
    edge, visible = batch["augmentation"][:, EDGE], batch["keypoints_visible"]
    is_cut = ops.logical_and(ops.not_equal(edge, 0), ops.sum(ops.cast(visible, "float32"), 1) > 1)
    low, high = _box_keypoints(batch["keypoints"], visible)  # (N, 2) each
    extent = (high - low) * batch["augmentation"][:, EDGE_KEPT, None]
    # Of each axis whether its end is cut off, and whether its start is, (N, 2).
    at_end, at_start = (_is_edge(edge, is_cut, side) for side in (1, -1))
    left_low = ops.where(at_start, high - extent, low)
    left_high = ops.where(at_end, low + extent, high)
    first, last = (
        ops.where(at_start, left_low, -_FAR),
        ops.where(at_end, left_high, _FAR),
    )
    points = batch["keypoints"]
    beyond = ops.logical_or(points < first[:, None], points > last[:, None])  # (N, K, 2)
    beyond = ops.any(beyond, axis=-1, keepdims=True)
    longer = ops.max(left_high - left_low, axis=1)
    return _move_crop(batch, is_cut, (left_low + left_high) / 2, longer) | {
        "keypoints": ops.where(beyond, -_FAR, points),
        "picture": ops.stack([first, last], axis=1),
    }


def _is_edge(edge: Tensor, is_cut: Tensor, side: int) -> Tensor:
    """Of each axis, x and y, whether its start (-1) or its end (1) is cut off: bool [N, 2]."""
    numbers = [EDGES.index((axis, side)) + 1 for axis in (0, 1)]
    return ops.logical_and(is_cut[:, None], ops.equal(edge[:, None], np.array(numbers, np.float32)))


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
    sure = scores >= SURE_SCORE  # (N, K)
    sure = ops.logical_or(sure, ops.logical_not(ops.any(sure, axis=1, keepdims=True)))
    middle, longer = _bound_keypoints(keypoints, sure)
    return middle, ops.clip(AROUND_JOINTS * longer, side / 4, side * 1.25)


def _bound_keypoints(keypoints: Tensor, counted: Tensor) -> tuple[Tensor, Tensor]:
    """The middle [N, 2] and the longer side [N] of the box of those keypoints that count."""
    low, high = _box_keypoints(keypoints, counted)
    return (low + high) / 2, ops.max(high - low, axis=1)


def _box_keypoints(keypoints: Tensor, counted: Tensor) -> tuple[Tensor, Tensor]:
    """The corners [N, 2] of the box of those keypoints that count."""
    low = ops.min(ops.where(counted[..., None], keypoints, np.inf), axis=1)
    high = ops.max(ops.where(counted[..., None], keypoints, -np.inf), axis=1)
    return low, high


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


@compile_on_cpu
def _blacken_beyond(inputs: Tensor, transforms: Tensor, picture: Tensor) -> Tensor:
    size = inputs.shape[1]
    axis = np.arange(size, dtype=np.float32)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(1, size * size, 2)
    places = apply_transforms(transforms, grid)  # (N, S * S, 2), stored px
    shown = ops.logical_and(places >= picture[:, None, 0], places <= picture[:, None, 1])
    shown = ops.reshape(ops.all(shown, axis=-1), (-1, size, size, 1))
    return ops.where(shown, inputs, 0.0)


@compile_on_cpu
def _hide_patches(inputs: Tensor, augmentation: Tensor) -> Tensor:
    size = inputs.shape[1]
    # Whole px of the input, (N, 2): width and height, then the first column and row.
    extent = ops.floor(size * augmentation[:, PATCH_SIZE]) * augmentation[:, HAS_PATCH, None]
    first = ops.round(augmentation[:, PATCH_PLACE] * (size - extent))[..., None]
    axis = np.arange(size, dtype=np.float32)
    covered = ops.logical_and(axis >= first, axis < first + extent[..., None])  # (N, 2, S)
    is_hidden = ops.logical_and(covered[:, 0, None, :], covered[:, 1, :, None])  # (N, S, S)
    colour = augmentation[:, None, None, PATCH_COLOUR]
    return ops.where(is_hidden[..., None], colour, inputs)


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
