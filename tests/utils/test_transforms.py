import json

import numpy as np
import pytest
from keras import ops

from helpers.paths import DATA, ROOT, needs_data
from hourglass.config import load_params
from hourglass.models.model_inputs import input_transforms
from hourglass.utils import transforms


def random_transforms(rng, count):
    transforms = rng.normal(0, 1, (count, 2, 3)) * [1, 1, 200]
    return [t for t in transforms if abs(np.linalg.det(t[:, :2])) > 0.05]


def test_transforms_invert():
    rng = np.random.default_rng(0)
    for transform in random_transforms(rng, 50):
        points = rng.uniform(-500, 500, (7, 2))
        there = transforms.apply_transform(transform, points)
        back = transforms.apply_transform(transforms.invert_transform(transform), there)
        np.testing.assert_allclose(back, points, atol=1e-6)


def test_a_transform_is_x_and_y_in_that_order():
    transform = np.array([[2.0, 0.0, 10.0], [0.0, 3.0, 20.0]])
    np.testing.assert_array_equal(transforms.apply_transform(transform, [1, 2]), [12, 26])
    np.testing.assert_array_equal(transforms.apply_transform(transform, [[[1, 2]]]), [[[12, 26]]])
    turn = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0]])
    np.testing.assert_array_equal(transforms.apply_transform(turn, [1, 0]), [0, 1])


def test_the_view_square_is_the_standard_crop():
    center, side = transforms.person_region(np.array([100.0, 200.0]), 2.0)
    np.testing.assert_array_equal(center, [100, 230])
    assert side == 500


def test_the_crop_of_a_bbox_is_about_the_middle_of_its_pixels():
    center, side = transforms.bbox_region((100, 40, 80, 31))  # columns 100..179, rows 40..70
    np.testing.assert_array_equal(center, [139.5, 55])
    assert side == pytest.approx(1.25 * 1.1 * 80)


@needs_data("mpii-val")
def test_the_standard_crop_holds_the_published_shares_of_mpii_validation():
    joints = whole = persons = labels = 0
    for record in json.loads((DATA / "mpii-val" / "validation.json").read_text()):
        keypoints_visible = np.array(record["joints_vis"], bool)
        points = np.array(record["joints"], float)[keypoints_visible] - 1  # the file counts from 1
        center, side = transforms.person_region(np.array(record["center"]) - 1, record["scale"])
        inside = (np.abs(points - center) <= side / 2).all(axis=1)
        joints, labels = joints + inside.sum(), labels + len(inside)
        whole, persons = whole + inside.all(), persons + 1
    assert persons == 2958
    assert round(100 * joints / labels, 1) == 99.6
    assert round(100 * whole / persons, 1) == 94.9


@pytest.mark.parametrize(
    ("x", "y", "crop_side", "size"), [(0, 0, 8, 8), (-5, 7, 100, 40), (3, -9, 10, 25)]
)
def test_a_stored_crop_spans_its_side_edge_to_edge(x, y, crop_side, size):
    transform = transforms.crop_transform((x, y, crop_side), size)
    corners = transforms.apply_transform(transform, [[-0.5, -0.5], [size - 0.5, size - 0.5]])
    expected = [[x - 0.5, y - 0.5], [x + crop_side - 0.5, y + crop_side - 0.5]]
    np.testing.assert_allclose(corners, expected, atol=1e-9)


def test_a_stored_square_is_whole_pixels_about_the_center_and_never_enlarged():
    rng = np.random.default_rng(1)
    for _ in range(500):
        center, side = rng.uniform(-100, 2000, 2), 10 ** rng.uniform(-1, 4)
        crop, size = transforms.stored_crop(center, side, 384, 0.25, 30)
        assert all(type(value) is int for value in (*crop, size))
        x, y, crop_side = crop
        assert size == min(384, crop_side)
        offset = center - (np.array([x, y]) - 0.5 + crop_side / 2)
        assert offset.min() >= 0 and offset.max() < 1
        covered = transforms.cover_side(side, 0.25, 30)
        assert covered < crop_side < 1.03 * covered + 5, "little is stored that no input shows"


@pytest.mark.parametrize(
    ("side", "expected"), [(100.0, ((13, -37, 175), 175)), (1000.0, ((-763, -812, 1726), 384))]
)
def test_a_stored_square_stays_what_it_was(side, expected):
    """Other bytes in every shard would follow from another crop."""
    assert transforms.stored_crop((100.2, 50.7), side, 384, 0.25, 30) == expected


def stored_views(sides, max_size):
    """Stored px of the crops of these sides."""
    stored = [transforms.stored_crop((0, 0), side, max_size, 0.25, 30) for side in sides]
    return sides * [size / crop[2] for crop, size in stored]


@pytest.mark.parametrize(("input_size", "expected"), [(256, (442, 528)), (96, (168, 200))])
def test_the_sizes_that_suit_an_input_neither_enlarge_nor_alias(input_size, expected):
    least, greatest = transforms.fitting_crop_sizes(input_size, 0.25, 30)
    assert (least, greatest) == expected
    sides = np.array([3000.0, 10_000.0])
    assert (stored_views(sides, least) >= input_size).all()
    assert (stored_views(sides, least - 1) < input_size).all()
    most = transforms.MAX_REDUCTION * input_size / 1.25
    assert (stored_views(sides, greatest) <= most).all()
    assert (stored_views(sides, greatest + 1) > most).all()
    np.testing.assert_allclose(
        stored_views(sides, greatest), transforms.stored_input_size(greatest, 0.25, 30), rtol=1e-3
    )


def test_where_augmentation_is_wide_to_enlarge_none_comes_first():
    least, greatest = transforms.fitting_crop_sizes(256, 0.9, 30)
    assert least == greatest and transforms.stored_input_size(least, 0.9, 30) >= 256


@needs_data("mpii-val")
def test_no_person_of_mpii_with_enough_pixels_is_enlarged():
    records = json.loads((DATA / "mpii-val" / "validation.json").read_text())
    sides = np.array([transforms.person_region((0, 0), record["scale"])[1] for record in records])
    large = sides >= 256
    assert round(100 * large.mean(), 1) == 97.1
    assert stored_views(sides[large], 384).max() < 223, "what the crops of 384 px had"
    shard = load_params(ROOT / "params.yaml").shard
    assert stored_views(sides[large], shard.crop_size).min() >= 256


@pytest.mark.parametrize("degrees", [0, 10, 30, 45, 80, 180])
def test_the_cover_is_the_upright_box_of_the_turned_square(degrees):
    angles = np.radians(np.linspace(-degrees, degrees, 2001))
    needed = (np.abs(np.cos(angles)) + np.abs(np.sin(angles))).max() * 100 * 1.2
    assert transforms.cover_side(100, 0.2, degrees) == pytest.approx(needed, rel=1e-5)


def is_covered(center, side, crop, size, draws, input_size):
    """Whether every bilinear tap of the inputs lies within the crop stored for `crop`.

    A model input is an affine picture of a crop, so its corner pixels are its outermost ones.
    """
    to_stored = transforms.invert_transform(transforms.crop_transform(crop, size))
    batch = {
        "center": np.float32([transforms.apply_transform(to_stored, center)] * len(draws)),
        "side": np.full(len(draws), side * to_stored[0, 0], np.float32),
        "augmentation": draws,
    }
    inputs = input_transforms({key: ops.array(value) for key, value in batch.items()}, input_size)
    last = input_size - 1
    corners = np.array([[0, 0], [last, 0], [0, last], [last, last]])
    places = np.stack([transforms.apply_transform(v, corners) for v in np.array(inputs)])
    first_tap = np.floor(places)
    return bool((first_tap >= 0).all() and (first_tap + 1 <= size - 1).all())


def draw_extreme_views(rng, count, scale_range, rotation_range):
    """Random zooms, turns and flips; half of the zooms and turns at the end of their range."""
    draws = np.ones((count, 6), np.float32)
    symmetric = rng.uniform(-1, 1, (count, 2))
    extreme = rng.random((count, 2)) < 0.5
    symmetric[extreme] = np.sign(symmetric[extreme])
    draws[:, 0] = 1 + scale_range * symmetric[:, 0]
    draws[:, 1] = np.radians(rotation_range) * symmetric[:, 1]
    draws[:, 2] = rng.random(count) < 0.5
    return draws


def random_persons(seed, count):
    """Persons, augmentation ranges, crop and input sizes; small and large ones alike."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        ranges = rng.choice([0, 0.1, 0.25, 0.6]), rng.choice([0, 10, 30, 45, 60, 180])
        person = rng.uniform(-50, 3000, 2), 250 * 10 ** rng.uniform(-2.5, 1.5)
        sizes = int(rng.choice([32, 100, 192, 384, 1000])), int(rng.choice([32, 96, 256]))
        yield *person, ranges, *sizes, draw_extreme_views(rng, 25, *ranges)


def test_the_stored_crop_covers_every_augmented_view():
    for center, side, ranges, max_size, input_size, draws in random_persons(2, 200):
        stored = transforms.stored_crop(center, side, max_size, *ranges)
        assert is_covered(center, side, *stored, draws, input_size), (side, ranges, max_size)


def test_the_square_of_a_whole_picture_covers_every_augmented_view():
    """Its reader cuts it out at a size of its own, about the network's resolution."""
    for center, side, ranges, _, input_size, draws in random_persons(3, 200):
        crop, _ = transforms.stored_crop(center, side, transforms.WHOLE_SIZE, *ranges)
        size = transforms.whole_picture_size(input_size, *ranges)
        assert is_covered(center, side, crop, size, draws, input_size), (side, ranges)


def test_a_cover_a_little_smaller_would_not_do(monkeypatch):
    cover_side = transforms.cover_side
    monkeypatch.setattr(transforms, "cover_side", lambda *args: 0.98 * cover_side(*args))
    rng = np.random.default_rng(4)
    draws = draw_extreme_views(rng, 50, 0.25, 30)
    for side in (300, 1000):
        stored = transforms.stored_crop((500.3, 400.8), side, 384, 0.25, 30)
        assert not is_covered((500.3, 400.8), side, *stored, draws, 256)
