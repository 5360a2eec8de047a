import numpy as np
import pytest

from hourglass.models.metadata import Calibration
from hourglass.training.calibration import MAX_BINS, MIN_BIN, fit_calibration


def fit(heights, are_right):
    return fit_calibration(np.float32(heights), np.array(are_right, bool))


def draw_keypoints(number=20_000, seed=1):
    """Heights, and whether each is right: with the probability height ** 2."""
    rng = np.random.default_rng(seed)
    heights = rng.uniform(0, 1, number)
    return heights, rng.uniform(0, 1, number) < heights**2


def test_probabilities_are_those_by_which_keypoints_were_drawn():
    line = fit(*draw_keypoints())
    at = np.linspace(0.05, 0.95, 50)
    assert np.abs(np.interp(at, line.heights, line.probabilities) - at**2).max() < 0.05


def test_of_keypoints_that_say_nine_tenths_nine_tenths_are_right():
    line = fit(*draw_keypoints(seed=1))
    heights, are_right = draw_keypoints(seed=2)
    scores = np.interp(heights, line.heights, line.probabilities)
    assert are_right[np.abs(scores - 0.9) < 0.05].mean() == pytest.approx(0.9, abs=0.03)


def test_a_line_rises_where_the_shares_fall():
    heights = np.arange(4 * MIN_BIN) + 1.0
    falls = np.repeat([0, 1, 0, 1], MIN_BIN)  # the second bin's share is above the third's
    line = fit(heights, falls)
    assert line.probabilities[-2:] == (0.5, 1)
    assert list(line.heights) == sorted(set(line.heights))


def test_equal_heights_are_one_point():
    line = fit(np.full(3 * MIN_BIN, 0.5), np.arange(3 * MIN_BIN) % 3 == 0)
    assert line.heights == (0, 0.5)
    assert line.probabilities[1] == pytest.approx(1 / 3, abs=0.01)


def test_too_few_keypoints_tell_nothing():
    assert fit(np.full(MIN_BIN - 1, 0.5), np.ones(MIN_BIN - 1)).heights == ()
    assert fit(np.zeros(MIN_BIN), np.zeros(MIN_BIN)).heights == ()


def test_a_line_has_no_more_points_than_it_may():
    assert len(fit(*draw_keypoints(200_000)).heights) <= MAX_BINS + 1


def test_a_fit_is_one_metadata_can_read():
    line = fit(*draw_keypoints(2000))
    values = {"heights": list(line.heights), "probabilities": list(line.probabilities)}
    assert Calibration.from_dict(values) == line
