import numpy as np
import pytest
from PIL import Image

from helpers.augmentation import draws_of, make_augment_params, make_batch
from hourglass.data.tfrecords.augmentation import GAINS, sample_augmentation
from hourglass.keypoints import MPII
from hourglass.models import model_inputs
from hourglass.models.codec import HeatmapCodec
from hourglass.utils import transforms as geometry

PARAMS = make_augment_params(colour=0.4)
STORED, SIZE = 160, 96
CODEC = HeatmapCodec(SIZE // 4, 4, 1.0)


def make_views(batch, size=SIZE):
    """Pictures, keypoints (heatmap px) and which are visible."""
    inputs = model_inputs.render_inputs(batch, size)
    keypoints, visible = model_inputs.transform_keypoints(batch, size, MPII.flip_order)
    return [np.array(value) for value in (inputs, CODEC.input_to_heatmap(keypoints), visible)]


def smooth_crops(num, seed=0):
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (num, 6, 6, 3), np.uint8)
    return np.stack([Image.fromarray(c).resize((STORED, STORED), 3) for c in coarse])


def blobs(places, sigma=2.5):
    """A crop [STORED, STORED, 3] for each place (x, y) [K, 2]: one blob in it."""
    axis = np.arange(STORED)
    across = np.exp(-((axis - places[:, :1]) ** 2) / (2 * sigma**2))
    down = np.exp(-((axis - places[:, 1:]) ** 2) / (2 * sigma**2))
    grey = 255 * down[:, :, None] * across[:, None, :]
    return np.rint(grey).astype(np.uint8)[..., None].repeat(3, axis=-1)


def find_blobs(pictures):
    """The blobs' middles [N, 2], px of the pictures [N, S, S, 3]."""
    grey = pictures[..., 0]
    rows, columns = np.mgrid[: grey.shape[1], : grey.shape[2]]
    total = grey.sum(axis=(1, 2))
    return (
        np.stack([(grey * columns).sum((1, 2)), (grey * rows).sum((1, 2))], axis=-1)
        / (total[:, None])
    )


# Pixels


@pytest.mark.parametrize("side", [64.0, 96.0, 110.0])
def test_a_plain_view_is_the_crop_that_pillow_makes(side):
    crops = smooth_crops(3)
    center = np.array([[79.5, 79.5], [75.3, 88.1], [90.0, 71.7]])
    batch = make_batch(crops, draws_of({}, {}, {}), center=center, side=side)
    pictures, *_ = make_views(batch)
    assert pictures.dtype == np.float32
    for crop, (x, y), picture in zip(crops, center, pictures, strict=True):
        box = (x + 0.5 - side / 2, y + 0.5 - side / 2, x + 0.5 + side / 2, y + 0.5 + side / 2)
        expected = Image.fromarray(crop).resize((SIZE, SIZE), Image.Resampling.BILINEAR, box)
        difference = np.abs(picture - np.asarray(expected))
        assert difference.max() < 4
        assert difference.mean() < 0.6


def test_a_view_at_full_size_is_the_pixels_themselves():
    crops = np.random.default_rng(0).integers(0, 256, (1, STORED, STORED, 3), np.uint8)
    batch = make_batch(crops, draws_of({}), side=float(SIZE), center=[[79.5, 69.5]])
    pictures, *_ = make_views(batch)
    np.testing.assert_allclose(pictures, crops[:, 22:118, 32:128], atol=0.01)


def test_a_zoom_above_one_shows_more_and_a_turn_goes_the_way_of_its_sign():
    """Turned by 90 degrees, the right of the crop's middle is seen above it."""
    places = np.array([[99.5, 79.5]] * 4)
    draws = draws_of({}, {"zoom": 1.25}, {"turn": np.pi / 2}, {"flip": 1})
    pictures, *_ = make_views(make_batch(blobs(places), draws, side=96.0))
    found = find_blobs(pictures) - (SIZE - 1) / 2
    np.testing.assert_allclose(found, [[20, 0], [16, 0], [0, -20], [-20, 0]], atol=0.05)


def test_outside_the_stored_crop_is_black():
    crops = np.full((1, STORED, STORED, 3), 255)
    batch = make_batch(crops, draws_of({}), center=[[0.0, 0.0]], side=float(SIZE))
    pictures, *_ = make_views(batch)
    # Input pixel 47.5 is stored pixel 0: a row half in the crop, and none of those before.
    assert not pictures[0, :47].any()
    assert not pictures[0, :, :47].any()
    np.testing.assert_allclose(pictures[0, 48:, 48:], 255)
    np.testing.assert_allclose(pictures[0, 47, 48:], 127.5)
    np.testing.assert_allclose(pictures[0, 47, 47], 63.75)


@pytest.mark.parametrize("center", [(-1000, 50), (50, 1000), (1e6, -1e6)])
def test_a_view_of_nothing_is_black(center):
    crops = np.full((1, STORED, STORED, 3), 255)
    pictures, *_ = make_views(make_batch(crops, draws_of({}), center=[center]))
    assert not pictures.any()


def test_one_crop_does_not_leak_into_its_neighbours():
    crops = np.zeros((3, STORED, STORED, 3))
    crops[1] = 255
    draws = draws_of({"zoom": 1.9}, {"zoom": 1.9}, {"zoom": 1.9, "turn": 1})
    pictures, *_ = make_views(make_batch(crops, draws))
    assert not pictures[[0, 2]].any()
    assert pictures[1].any()


def test_colour_gains_are_a_channels_own_and_stay_in_range():
    crops = np.full((1, STORED, STORED, 3), (100, 100, 200))
    draws = draws_of({"red": 0.6, "green": 1.2, "blue": 1.4})
    pictures, *_ = make_views(make_batch(crops, draws))
    np.testing.assert_allclose(pictures[0, 20, 20], [60, 120, 255], rtol=1e-5)


def test_a_flip_is_the_mirrored_view():
    crops = smooth_crops(1)
    center = [[70.2, 81.9]]
    plain, *_ = make_views(make_batch(crops, draws_of({}), center=center))
    flipped, *_ = make_views(make_batch(crops, draws_of({"flip": 1}), center=center))
    np.testing.assert_allclose(flipped, plain[:, :, ::-1], atol=0.01)


# Keypoints


def random_keypoints(rng, num):
    return rng.uniform(45, STORED - 46, (num, MPII.num_keypoints, 2))


@pytest.mark.parametrize("seed", range(4))
def test_keypoints_move_with_the_pixels(seed):
    """Each joint's blob is seen where the keypoint says; left and right change places in a flip."""
    rng = np.random.default_rng(seed)
    for draw in sample_augmentation(PARAMS, seed, 0, 6):
        places = random_keypoints(rng, 1)
        center = np.full((1, 2), 79.5) + rng.uniform(-3, 3, 2)
        one = make_batch(blobs(places[0])[:1], draw[None], places, center=center, side=150.0)
        _, keypoints, keypoints_visible = make_views(one)
        assert keypoints_visible.all()
        uncoloured = draw.copy()
        uncoloured[GAINS] = 1
        many = make_batch(
            blobs(places[0]),
            np.tile(uncoloured, (MPII.num_keypoints, 1)),
            center=np.repeat(center, MPII.num_keypoints, axis=0),
            side=150.0,
        )
        pictures, *_ = make_views(many)
        found = find_blobs(pictures)
        shown_as = np.array(MPII.flip_order) if draw[2] else np.arange(MPII.num_keypoints)
        expected = np.array(CODEC.heatmap_to_input(keypoints[0]))[shown_as]
        np.testing.assert_allclose(found, expected, atol=0.1)


def test_some_of_those_draws_are_flipped_and_some_are_not():
    flips = [sample_augmentation(PARAMS, seed, 0, 6)[:, 2] for seed in range(4)]
    assert 4 < np.sum(flips) < 20


def test_a_flip_renames_left_and_right():
    keypoints = np.full((1, MPII.num_keypoints, 2), 79.5)
    right, left = MPII.keypoints.index("r_wrist"), MPII.keypoints.index("l_wrist")
    keypoints[0, right] = 99.5, 60  # right of the middle
    batch = make_batch(np.zeros((1, STORED, STORED, 3)), draws_of({"flip": 1}), keypoints)
    _, moved, _ = make_views(batch)
    middle = (SIZE / 4 - 1) / 2
    assert moved[0, left, 0] < middle - 3, "mirrored, it lies left, and is the left wrist"
    np.testing.assert_allclose(moved[0, right, 0], middle, atol=1e-4)


@pytest.mark.parametrize("draw", [{}, {"flip": 1}, {"flip": 1, "turn": 0.4}])
def test_missing_joints_stay_missing(draw):
    keypoints_visible = np.ones((1, MPII.num_keypoints), bool)
    names = ("r_ankle", "l_elbow", "pelvis")
    keypoints_visible[0, [MPII.keypoints.index(name) for name in names]] = False
    batch = make_batch(
        np.zeros((1, STORED, STORED, 3)), draws_of(draw), keypoints_visible=keypoints_visible
    )
    _, keypoints, found = make_views(batch)
    missing = {MPII.keypoints[k] for k in np.flatnonzero(~found[0])}
    assert missing == ({"l_ankle", "r_elbow", "pelvis"} if "flip" in draw else set(names))
    assert np.isfinite(keypoints).all()


def test_swapping_sides_twice_changes_nothing():
    values = np.random.default_rng(0).random((2, MPII.num_keypoints, 2))
    once = np.array(model_inputs.swap_sides(values, MPII.flip_order))
    np.testing.assert_array_equal(once, values[:, list(MPII.flip_order)])
    np.testing.assert_array_equal(np.array(model_inputs.swap_sides(once, MPII.flip_order)), values)


def test_a_flip_of_a_flip_is_the_plain_view():
    rng = np.random.default_rng(0)
    crops, keypoints = (
        smooth_crops(1)[:, :SIZE, :SIZE],
        rng.uniform(0, SIZE, (1, MPII.num_keypoints, 2)),
    )
    keypoints_visible = rng.random((1, MPII.num_keypoints)) < 0.7
    middle = [[(SIZE - 1) / 2] * 2]

    def flip(crops, keypoints, keypoints_visible):
        batch = make_batch(
            np.rint(crops), draws_of({"flip": 1}), keypoints, keypoints_visible, middle, float(SIZE)
        )
        pictures, moved, found = make_views(batch)
        return pictures, np.array(CODEC.heatmap_to_input(moved)), found

    twice = flip(*flip(crops, keypoints, keypoints_visible))
    np.testing.assert_allclose(twice[0], crops, atol=0.01)
    np.testing.assert_allclose(twice[1], keypoints, atol=1e-3)
    np.testing.assert_array_equal(twice[2], keypoints_visible)


# Transforms


def random_transforms(num):
    rng = np.random.default_rng(0)
    draws = sample_augmentation(PARAMS, 3, 0, num)
    center = np.float32(rng.uniform(0, 300, (num, 2)))
    side = np.float32(rng.uniform(20, 400, num))
    batch = {"center": center, "side": side, "augmentation": draws}
    return center, side, np.array(model_inputs.input_transforms(batch, SIZE)), draws


def test_a_view_is_its_square_turned_and_zoomed():
    center, side, transforms, draws = random_transforms(50)
    middle = (SIZE - 1) / 2
    np.testing.assert_allclose(transforms @ [middle, middle, 1], center, atol=1e-3)
    lengths = np.linalg.norm(transforms[:, :, :2], axis=1)  # of one input pixel, stored px
    np.testing.assert_allclose(lengths, (side * draws[:, 0] / SIZE)[:, None] * [1, 1], rtol=1e-5)
    down = transforms[:, :, 1]
    angle = np.arctan2(-down[:, 0], down[:, 1])
    np.testing.assert_allclose(angle, draws[:, 1], atol=1e-5)
    mirrored = np.linalg.det(transforms[:, :, :2]) < 0
    np.testing.assert_array_equal(mirrored, draws[:, 2] == 1)


def test_transforms_of_a_batch_are_those_of_geometry():
    *_, transforms, _ = random_transforms(30)
    points = np.float32(np.random.default_rng(1).uniform(-50, 300, (30, 5, 2)))
    moved = np.array(model_inputs.apply_transforms(transforms, points))
    inverse = np.array(model_inputs.invert_transforms(transforms))
    for n, transform in enumerate(transforms.astype(np.float64)):
        expected = geometry.apply_transform(transform, points[n])
        np.testing.assert_allclose(moved[n], expected, rtol=1e-5, atol=1e-3)
        expected = geometry.invert_transform(transform)
        np.testing.assert_allclose(inverse[n], expected, rtol=1e-4, atol=1e-3)


def test_the_next_square_is_around_the_joints_that_were_seen():
    keypoints = np.full((4, 16, 2), 500.0, np.float32)
    scores = np.full((4, 16), geometry.SURE_SCORE - 0.01, np.float32)
    keypoints[:, :2] = [[30, 40], [90, 60]]
    scores[:2, :2] = geometry.SURE_SCORE + 0.01
    keypoints[2] = 70  # nothing is sure: all joints count, and lie in one place
    scores[3, :1] = geometry.SURE_SCORE + 0.01
    side = np.array([100, 60, 100, 80], np.float32)
    center, sides = map(np.asarray, model_inputs.refined_crops(keypoints, scores, side))
    np.testing.assert_allclose(center, [[60, 50], [60, 50], [70, 70], [30, 40]])
    # 60 px of joints; no more than a quarter more than before; no less than a quarter of it.
    around = 60 * geometry.AROUND_JOINTS
    np.testing.assert_allclose(sides, [around, 75, 25, 20], rtol=1e-6)
