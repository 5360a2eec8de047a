"""The fit that makes probabilities of a network's scores.

Source: Zadrozny and Elkan, "Transforming Classifier Scores into Accurate Multiclass Probability
Estimates", KDD 2002: isotonic regression, by the pool of adjacent violators. Here on bins of equal
counts, with straight lines between their means.
"""

import numpy as np

from hourglass.models.metadata import UNCALIBRATED, Calibration

MIN_BIN = 50  # keypoints: their share of right ones is known to 7 % or so
MAX_BINS = 32


def fit_calibration(heights: np.ndarray, are_right: np.ndarray) -> Calibration:
    """The calibration by keypoints whose truth is known.

    Args:
        heights: [J], of their peaks.
        are_right: bool [J], whether each lies within half a head size of the truth.

    Returns:
        From nothing at height 0 to the share of right ones of the highest peaks; an empty one of
        fewer than `MIN_BIN` keypoints.
    """
    order = np.argsort(heights, kind="stable")
    order = order[heights[order] > 0]  # of none above 0 nothing can be told
    num_bins = min(len(order) // MIN_BIN, MAX_BINS)
    if not num_bins:
        return UNCALIBRATED
    pools: list[np.ndarray] = []
    for members in np.array_split(order, num_bins):
        pools.append(members)
        while len(pools) > 1 and not _lies_above(pools[-1], pools[-2], heights, are_right):
            pools[-2:] = [np.concatenate(pools[-2:])]
    points = [(0.0, 0.0), *((_mean(heights, pool), _mean(are_right, pool)) for pool in pools)]
    return Calibration(*zip(*points, strict=True))


def _lies_above(
    pool: np.ndarray, before: np.ndarray, heights: np.ndarray, are_right: np.ndarray
) -> bool:
    higher, surer = (_mean(values, pool) > _mean(values, before) for values in (heights, are_right))
    return higher and surer


def _mean(values: np.ndarray, pool: np.ndarray) -> float:
    return round(float(np.mean(values[pool], dtype=np.float64)), 6)
