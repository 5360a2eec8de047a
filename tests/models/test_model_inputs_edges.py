"""Pictures that end within the person: which keypoints go, what is black, where the crop is."""

import numpy as np
import pytest

from helpers.augmentation import draws_of, make_augment_params, make_batch
from hourglass.data.tfrecords.augmentation import EDGE, EDGES, sample_augmentation
from hourglass.keypoints import MPII
from hourglass.models.codec import HeatmapCodec
from hourglass.models.model_inputs import (
    cut_at_edges,
    input_transforms,
    render_inputs,
    transform_keypoints,
)

STORED, SIZE, SIDE = 160, 96, 110.0
MIDDLE = (STORED - 1) / 2
BOTTOM, TOP, RIGHT, LEFT = 1, 2, 3, 4


def cut_batch(batch):
    return {key: np.array(value) for key, value in cut_at_edges(batch).items()}


def random_batch(num, seed=0, **draw):
    rng = np.random.default_rng(seed)
    keypoints = MIDDLE + rng.uniform(-50, 50, (num, MPII.num_keypoints, 2))
    labelled = rng.random((num, MPII.num_keypoints)) < 0.8
    keypoints[~labelled] = -1
    draws = np.repeat(draws_of(draw), num, axis=0)
    crops = np.full((num, STORED, STORED, 3), 200, np.uint8)
    return make_batch(crops, draws, keypoints, labelled, side=SIDE)


def find_edge(points, number, kept):
    """The axis, the side and the place of an edge, in plain Python."""
    axis, side = EDGES[number - 1]
    low, high = points[:, axis].min(), points[:, axis].max()
    return axis, side, low + kept * (high - low) if side == 1 else high - kept * (high - low)


@pytest.mark.parametrize("number", [BOTTOM, TOP, RIGHT, LEFT])
def test_keypoints_beyond_the_edge_are_labelled_and_their_heatmaps_are_empty(number):
    batch = random_batch(50, edge=number, edge_kept=0.6)
    cut = cut_batch(batch)
    np.testing.assert_array_equal(cut["keypoints_visible"], batch["keypoints_visible"])
    keypoints, visible = transform_keypoints(cut, SIZE, MPII.flip_order)
    heatmaps = np.array(HeatmapCodec(SIZE // 4, 4, 1.0).encode(keypoints))
    num_beyond = 0
    for n in range(50):
        labelled = batch["keypoints_visible"][n]
        points = batch["keypoints"][n]
        axis, side, place = find_edge(points[labelled], number, 0.6)
        beyond = labelled & (side * points[:, axis] > side * place)
        kept = labelled & ~beyond
        np.testing.assert_array_equal(cut["keypoints"][n, kept], points[kept])
        assert np.array(visible)[n, beyond].all() and not heatmaps[n][..., beyond].any()
        num_beyond += beyond.sum()
    assert num_beyond > 100


@pytest.mark.parametrize("draw", [{}, {"flip": 1, "turn": 0.5, "zoom": 1.3}], ids=str)
@pytest.mark.parametrize("number", [BOTTOM, TOP, RIGHT, LEFT])
def test_beyond_the_edge_the_input_is_black_and_nowhere_else(number, draw):
    batch = random_batch(20, edge=number, edge_kept=0.5, **draw)
    cut = cut_batch(batch)
    pictures = np.array(render_inputs(cut, SIZE))
    transforms = np.array(input_transforms(cut, SIZE), np.float64)
    across, down = np.meshgrid(np.arange(SIZE), np.arange(SIZE))
    grid = np.stack([across, down], axis=-1)
    for n in range(20):
        labelled = batch["keypoints_visible"][n]
        axis, side, place = find_edge(batch["keypoints"][n][labelled], number, 0.5)
        stored = grid @ transforms[n, :, :2].T + transforms[n, :, 2]
        inside = (stored > 0).all(-1) & (stored < STORED - 1).all(-1)
        beyond = side * (stored[..., axis] - place)
        assert (pictures[n][beyond > 0.01] == 0).all() and (beyond > 0.01).any()
        np.testing.assert_allclose(pictures[n][inside & (beyond < -0.01)], 200, atol=0.01)


@pytest.mark.parametrize(
    ("number", "center", "side"),
    # What is left is 40 x 60, 40 x 60, 20 x 120 or 20 x 120 px; a side is 1.5 times the longer one.
    [(BOTTOM, (80, 50), 90), (TOP, (80, 110), 90), (RIGHT, (70, 80), 110), (LEFT, (90, 80), 110)],
)
def test_the_crop_is_about_what_is_left(number, center, side):
    points = np.tile([[80.0, 80.0]], (MPII.num_keypoints, 1))
    points[:4] = [60, 20], [100, 20], [60, 140], [100, 140]
    middle = np.array([[80.0, 80.0]])
    crops = np.zeros((1, STORED, STORED, 3))
    draws = draws_of({"edge": number, "edge_kept": 0.5})
    cut = cut_batch(make_batch(crops, draws, points[None], center=middle, side=SIDE))
    room = (SIDE - side) / 2
    np.testing.assert_allclose(cut["side"], [side], rtol=1e-6)
    expected = np.clip(center, middle[0] - room, middle[0] + room)
    np.testing.assert_allclose(cut["center"], [expected], rtol=1e-6)


def test_persons_without_an_edge_keep_every_number():
    batch = random_batch(30)
    unlabelled = random_batch(30, edge=BOTTOM, edge_kept=0.3)
    unlabelled["keypoints_visible"][:] = False
    for whole in (batch, unlabelled):
        cut = cut_batch(whole)
        for key in ("center", "side", "keypoints", "keypoints_visible"):
            np.testing.assert_array_equal(cut[key], whole[key], key)
        np.testing.assert_array_equal(render_inputs(cut, SIZE), render_inputs(whole, SIZE))


def test_as_many_inputs_end_within_the_person_as_asked_most_of_them_at_the_bottom():
    draws = sample_augmentation(make_augment_params(edges=0.5), 7, 0, 40_000)[:, EDGE]
    shares = np.bincount(draws.astype(int), minlength=5) / len(draws)
    np.testing.assert_allclose(shares, [0.5, 0.3, 0.05, 0.075, 0.075], atol=0.01)
    assert not sample_augmentation(make_augment_params(edges=0), 7, 0, 1000)[:, EDGE].any()
