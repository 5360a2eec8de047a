import numpy as np
import pytest

from helpers.augmentation import make_augment_params
from hourglass.data.tfrecords import augmentation
from hourglass.data.tfrecords.augmentation import (
    EDGE,
    HALF_BODY,
    HAS_PATCH,
    NUM_PARAMETERS,
    sample_augmentation,
)

PARAMS = make_augment_params(colour=0.4, half_body=0.6, occluders=0.5, edges=0.5)


def test_a_records_draw_follows_from_seed_epoch_and_its_place_alone():
    draws = sample_augmentation(PARAMS, 1, 5, 100)
    assert draws.shape == (100, NUM_PARAMETERS)
    assert draws.dtype == np.float32
    np.testing.assert_array_equal(draws, sample_augmentation(PARAMS, 1, 5, 100))
    np.testing.assert_array_equal(draws[:40], sample_augmentation(PARAMS, 1, 5, 40))
    np.random.seed(3)
    np.testing.assert_array_equal(draws, sample_augmentation(PARAMS, 1, 5, 100))


def test_records_epochs_and_seeds_differ():
    draws = sample_augmentation(PARAMS, 1, 5, 100)
    assert len(np.unique(draws[:, 0])) == 100
    for seed, epoch in [(1, 6), (2, 5), (5, 1)]:
        other = sample_augmentation(PARAMS, seed, epoch, 100)
        assert not (draws[:, 0] == other[:, 0]).any()


@pytest.mark.parametrize(
    ("column", "low", "high"),
    [
        (0, 0.75, 1.25),
        (1, -np.pi / 6, np.pi / 6),
        (3, 0.6, 1.4),
        (4, 0.6, 1.4),
        (5, 0.6, 1.4),
        (8, 0, 1),
        (9, 0, 1),
        (10, 0.2, 0.4),
        (11, 0.2, 0.4),
        (12, 0, 255),
        (13, 0, 255),
        (14, 0, 255),
        (16, 0.3, 0.9),
    ],
)
def test_draws_fill_their_range_evenly_and_stay_in_it(column, low, high):
    values = sample_augmentation(PARAMS, 7, 0, 20_000)[:, column]
    assert low - 1e-6 <= values.min() < low + 0.01 * (high - low)
    assert high - 0.01 * (high - low) < values.max() <= high + 1e-6
    quarters, _ = np.histogram(values, 4, (low, high))
    np.testing.assert_allclose(quarters, 5000, atol=250)


def test_half_of_the_views_are_flipped_or_none():
    flips = sample_augmentation(PARAMS, 7, 0, 20_000)[:, 2]
    assert set(flips) == {0, 1}
    assert flips.mean() == pytest.approx(0.5, abs=0.02)
    unflipped = PARAMS.model_copy(update={"flip": False})
    assert not sample_augmentation(unflipped, 7, 0, 1000)[:, 2].any()


@pytest.mark.parametrize(("share", "upper", "lower"), [(0.6, 0.42, 0.18), (1, 0.7, 0.3)])
def test_as_many_half_bodies_as_asked_most_of_them_upper_ones(share, upper, lower):
    params = make_augment_params(half_body=share)
    halves = sample_augmentation(params, 7, 0, 20_000)[:, HALF_BODY]
    assert set(halves) == {1, -1} | ({0} if share < 1 else set())
    assert (halves == 1).mean() == pytest.approx(upper, abs=0.02)
    assert (halves == -1).mean() == pytest.approx(lower, abs=0.02)


@pytest.mark.parametrize(("share", "low", "high"), [(0, 0, 0), (0.3, 0.28, 0.32), (1, 1, 1)])
def test_as_many_inputs_have_a_patch_as_asked(share, low, high):
    patches = sample_augmentation(make_augment_params(occluders=share), 7, 0, 20_000)[:, HAS_PATCH]
    assert set(patches) <= {0, 1}
    assert low <= patches.mean() <= high


@pytest.mark.parametrize(
    ("name", "column"), [("half_body", HALF_BODY), ("occluders", HAS_PATCH), ("edges", EDGE)]
)
def test_half_bodies_patches_and_edges_leave_the_other_draws_as_they_are(name, column):
    without, with_it = (
        sample_augmentation(make_augment_params(**{name: share}), 7, 0, 500) for share in (0, 1)
    )
    changed = (without != with_it).any(axis=0)
    assert np.flatnonzero(changed).tolist() == [column]


def test_what_is_drawn_for_one_thing_says_nothing_of_another():
    correlation = np.corrcoef(sample_augmentation(PARAMS, 7, 0, 20_000).T)
    assert np.abs(correlation - np.eye(NUM_PARAMETERS)).max() < 0.03


def test_without_augmentation_every_draw_is_plain():
    params = make_augment_params(scale=0, rotation=0, flip=False, colour=0)
    draws = sample_augmentation(params, 1, 1, 50)
    expected = np.tile(np.float32([1, 0, 0, 1, 1, 1, 0, 0]), (50, 1))
    np.testing.assert_array_equal(draws[:, : HAS_PATCH + 1], expected)


def test_the_draws_are_those_of_every_run_before():
    # Other numbers are other runs: what was trained can then not be trained again.
    expected = [
        [0.9426274, 0.43773058, 0, 0.9089195, 1.0563694, 0.642173],
        [0.9800724, 0.38054588, 0, 1.2937651, 1.0817355, 1.3919188],
        [0.9109504, 0.34479514, 0, 0.95729375, 1.214672, 0.87826896],
    ]
    drawn = sample_augmentation(PARAMS, 1, 5, 3)[:, : len(expected[0])]
    np.testing.assert_array_equal(drawn, np.float32(expected))
    plain = np.random.default_rng((1, 5)).random((3, 6))
    np.testing.assert_array_equal(augmentation._draw_columns(1, 5, 3)[:, :6], plain)


def test_the_draws_of_half_bodies_and_patches_are_pinned_too():
    expected = [
        [1, 1, 0.7098078, 0.65353024, 0.36978412, 0.36789694, 14.123868, 183.63182, 1.7059542],
        [0, 0, 0.7132658, 0.26046348, 0.30214307, 0.39985022, 220.8918, 172.7494, 175.55075],
        [0, 1, 0.71443325, 0.35433048, 0.2896589, 0.331618, 11.743931, 218.7116, 160.71753],
    ]
    drawn = sample_augmentation(PARAMS, 1, 5, 3)[:, HALF_BODY:EDGE]
    np.testing.assert_array_equal(drawn, np.float32(expected))


def test_a_further_column_leaves_the_others_as_they_are(monkeypatch):
    before = sample_augmentation(PARAMS, 7, 0, 2000)
    seen = []
    for number in (NUM_PARAMETERS + 1, NUM_PARAMETERS + 3):
        monkeypatch.setattr(augmentation, "NUM_PARAMETERS", number)
        values = sample_augmentation(PARAMS, 7, 0, 2000)
        assert values.shape == (2000, number)
        np.testing.assert_array_equal(values[:, :NUM_PARAMETERS], before)
        seen.append(values[:, NUM_PARAMETERS])
    np.testing.assert_array_equal(*seen)
    correlation = np.corrcoef(values.T)
    assert np.abs(correlation - np.eye(NUM_PARAMETERS + 3)).max() < 0.1
    further = values[:, NUM_PARAMETERS:]
    assert 0 <= further.min() < 0.01 and 0.99 < further.max() < 1
