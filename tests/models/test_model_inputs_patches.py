"""Patches: exactly the pixels they cover, and nothing else."""

import numpy as np
import pytest

from helpers.augmentation import draws_of, make_augment_params, make_batch
from hourglass.data.tfrecords.augmentation import (
    HAS_PATCH,
    PATCH_COLOUR,
    PATCH_PLACE,
    PATCH_SIZE,
    sample_augmentation,
)
from hourglass.keypoints import MPII
from hourglass.models.model_inputs import render_inputs, transform_keypoints

STORED, SIZE = 160, 96


def random_batch(num, **values):
    crops = np.random.default_rng(1).integers(0, 256, (num, STORED, STORED, 3), np.uint8)
    return make_batch(crops, sample_augmentation(make_augment_params(**values), 1, 1, num))


def without_patches(batch):
    draws = batch["augmentation"].copy()
    draws[:, HAS_PATCH] = 0
    return batch | {"augmentation": draws}


def find_patch(draw, size):
    """The slices (rows, columns) of the pixels that a draw's patch covers."""
    slices = []
    for place, share in zip(draw[PATCH_PLACE], draw[PATCH_SIZE], strict=True):
        extent = int(size * share)
        first = round(float(place) * (size - extent))
        slices.append(slice(first, first + extent))
    columns, rows = slices
    return rows, columns


@pytest.mark.parametrize("size", [SIZE, 64])
def test_a_patch_covers_its_pixels_with_its_colour_and_no_other(size):
    batch = random_batch(60, occluders=0.7)
    inputs = np.array(render_inputs(batch, size))
    expected = np.array(render_inputs(without_patches(batch), size))
    hidden = 0
    for n, draw in enumerate(batch["augmentation"]):
        if draw[HAS_PATCH]:
            expected[(n, *find_patch(draw, size))] = draw[PATCH_COLOUR]
            hidden += 1
    np.testing.assert_array_equal(inputs, expected)
    assert 30 < hidden < 55


@pytest.mark.parametrize(
    ("place", "share", "rows"),
    [(0, 0.25, (0, 24)), (1, 0.25, (72, 96)), (0.5, 0.25, (36, 60)), (1, 0.4, (58, 96))],
)
def test_a_patch_lies_within_the_input(place, share, rows):
    draw = {"has_patch": 1, "patch_y": place, "patch_height": share, "patch_width": 1}
    batch = make_batch(np.zeros((1, STORED, STORED, 3)), draws_of(draw | {"patch_green": 77}))
    (picture,) = np.array(render_inputs(batch, SIZE))
    expected = np.zeros((SIZE, SIZE, 3))
    expected[slice(*rows), :, 1] = 77
    np.testing.assert_array_equal(picture, expected)


def test_a_patch_has_its_share_of_the_input_and_its_own_colour():
    """Sides of 0.2 to 0.4 of the input's, up to each border; no gain changes the colour."""
    batch = random_batch(400, occluders=1, colour=0.4)
    batch["crops"][:] = 0
    inputs = np.array(render_inputs(batch, SIZE))
    covered = inputs.any(axis=-1)
    height, width = (covered.any(axis=axis).sum(axis=-1) for axis in (2, 1))
    for sides in (height, width):
        assert sides.min() == 19 and sides.max() == 38  # 0.2 and 0.4 of 96 px, in whole px
    np.testing.assert_array_equal(covered.sum(axis=(1, 2)), height * width)
    assert covered.any(axis=(0, 1)).all() and covered.any(axis=(0, 2)).all(), "in reach"
    colours = inputs.max(axis=(1, 2))
    assert colours.min() < 10 and colours.max() > 245
    np.testing.assert_array_equal(colours, batch["augmentation"][:, PATCH_COLOUR])


def test_hidden_keypoints_stay_labelled_where_they_are():
    batch = random_batch(30, occluders=1)
    found = transform_keypoints(batch, SIZE, MPII.flip_order)
    plain = transform_keypoints(without_patches(batch), SIZE, MPII.flip_order)
    for values, expected in zip(found, plain, strict=True):
        np.testing.assert_array_equal(values, expected)
    assert np.array(found[1]).all()


def test_the_patch_stays_in_its_place_whatever_the_flip_and_the_turn():
    patch = {"has_patch": 1, "patch_x": 0.1, "patch_red": 200}
    draws = draws_of(patch, patch | {"flip": 1}, patch | {"turn": 0.5, "zoom": 1.2})
    inputs = np.array(render_inputs(make_batch(np.zeros((3, STORED, STORED, 3)), draws), SIZE))
    np.testing.assert_array_equal(inputs[1], inputs[0])
    np.testing.assert_array_equal(inputs[2], inputs[0])
    assert inputs[0].any()


def test_pictures_that_are_not_augmented_have_none():
    batch = random_batch(5, occluders=1)
    del batch["augmentation"]
    batch["crops"][:] = 0
    assert not np.array(render_inputs(batch, SIZE)).any()
