import numpy as np
import pytest

from hourglass.config import AugmentParams
from hourglass.data.tfrecords import augmentation
from hourglass.data.tfrecords.augmentation import NUM_PARAMETERS, sample_augmentation

PARAMS = AugmentParams(scale=0.25, rotation=30, flip=True, colour=0.4)


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


def test_what_is_drawn_for_one_thing_says_nothing_of_another():
    correlation = np.corrcoef(sample_augmentation(PARAMS, 7, 0, 20_000).T)
    assert np.abs(correlation - np.eye(NUM_PARAMETERS)).max() < 0.03


def test_without_augmentation_every_draw_is_plain():
    params = AugmentParams(scale=0, rotation=0, flip=False, colour=0)
    expected = np.tile(np.float32([1, 0, 0, 1, 1, 1]), (50, 1))
    np.testing.assert_array_equal(sample_augmentation(params, 1, 1, 50), expected)


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


def test_a_further_column_leaves_the_others_as_they_are(monkeypatch):
    before = sample_augmentation(PARAMS, 7, 0, 2000)
    seen = []
    for number in (7, 9):
        monkeypatch.setattr(augmentation, "NUM_PARAMETERS", number)
        values = sample_augmentation(PARAMS, 7, 0, 2000)
        assert values.shape == (2000, number)
        np.testing.assert_array_equal(values[:, :6], before)
        seen.append(values[:, 6])
    np.testing.assert_array_equal(*seen)
    correlation = np.corrcoef(values.T)
    assert np.abs(correlation - np.eye(9)).max() < 0.1
    assert 0 <= values[:, 6:].min() < 0.01 and 0.99 < values[:, 6:].max() < 1
