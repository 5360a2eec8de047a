"""PCKh: the share of keypoints predicted within a fraction of the head size.

Source: Andriluka et al., "2D Human Pose Estimation: New Benchmark and State of the Art Analysis",
CVPR 2014, section 4. Columns: the official table of http://human-pose.mpi-inf.mpg.de.

Shapes: N persons, K keypoints. `keypoints_visible` says which keypoints have a label, occluded ones
included. The arrays' other values are never read.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hourglass.keypoints import MEANS, KeypointSchema

if TYPE_CHECKING:
    from hourglass.data.person import Person

TOTAL, UNWEIGHTED = MEANS
# i / 100 is the double nearest to the threshold as written; sums of 0.01 are not.
CURVE_THRESHOLDS = np.arange(51) / 100


def normalized_errors(
    keypoints: np.ndarray, joints: np.ndarray, head_sizes: Sequence[float] | np.ndarray
) -> np.ndarray:
    """Distances of the prediction from the truth, as fractions of the head size.

    Args:
        keypoints: predicted [N, K, 2], px of the original image.
        joints: ground truth [N, K, 2], same frame.
        head_sizes: [N], px of the same frame (`data.head_size`).

    Returns:
        float64 [N, K]. An error that is not a number is infinity: wrong at every threshold.
    """
    # float64: a distance at the threshold must not be decided by rounding.
    offsets = np.asarray(keypoints, np.float64) - np.asarray(joints, np.float64)
    errors = np.hypot(offsets[..., 0], offsets[..., 1])
    errors /= np.asarray(head_sizes, np.float64)[:, None]
    return np.where(np.isnan(errors), np.inf, errors)


def score_persons(
    persons: "Sequence[Person]", keypoints: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Errors and labels of `persons` against their predicted `keypoints` [N, K, 2].

    Keypoints of NaN are wrong: a person without a prediction counts like any other.

    Returns:
        errors float64 [N, K], fractions of the head size; keypoints_visible bool [N, K].
    """
    joints = np.stack([person.joints for person in persons])  # (N, K, 2)
    keypoints_visible = np.stack([person.keypoints_visible for person in persons])
    head_sizes = np.array([person.head_size for person in persons])  # (N,)
    return normalized_errors(keypoints, joints, head_sizes), keypoints_visible


def compute_pckh(
    errors: np.ndarray,
    keypoints_visible: np.ndarray,
    indices: Sequence[int],
    threshold: float = 0.5,
) -> float | None:
    """Per cent of the labelled keypoints of all persons whose error is <= `threshold`.

    Args:
        errors: [N, K], fractions of the head size.
        keypoints_visible: bool [N, K].
        indices: the keypoints to pool; `schema.scored_indices` gives the official total.
        threshold: fraction of the head size.

    Returns:
        0..100, or None if none of these keypoints has a label.
    """
    indices = list(indices)
    # (labelled,): the keypoints of all persons in one heap.
    scored = np.asarray(errors)[:, indices][np.asarray(keypoints_visible, bool)[:, indices]]
    return 100 * float(np.mean(scored <= threshold)) if scored.size else None


def mean_pckh(
    errors: np.ndarray,
    keypoints_visible: np.ndarray,
    indices: Sequence[int],
    threshold: float = 0.5,
) -> float | None:
    """The unweighted mean of the keypoints' own PCKh; None if none has a label.

    The official evaluation makes one column of a left and a right joint this way. A keypoint
    without any label is left out of the mean.
    """
    values = [compute_pckh(errors, keypoints_visible, [k], threshold) for k in indices]
    # Each keypoint first: a side with fewer labels weighs as much as the other.
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def pckh_curve(
    errors: np.ndarray, keypoints_visible: np.ndarray, schema: KeypointSchema
) -> tuple[np.ndarray, dict[str, list[float | None]]]:
    """PCKh at the thresholds 0, 0.01, ... 0.5, for the total and each group of the schema.

    Returns:
        thresholds float64 [51], and a dict from "total" and each group's name to 51 values, per
        cent, or None where nothing has a label.
    """
    curves = {TOTAL: _curve(compute_pckh, errors, keypoints_visible, schema.scored_indices)}
    for name, indices in schema.group_indices.items():
        curves[name] = _curve(mean_pckh, errors, keypoints_visible, indices)
    return CURVE_THRESHOLDS, curves


def _curve(score: Any, *arguments: Any) -> list[float | None]:
    return [score(*arguments, threshold) for threshold in CURVE_THRESHOLDS]


def area_under_curve(
    errors: np.ndarray, keypoints_visible: np.ndarray, schema: KeypointSchema
) -> float | None:
    """Mean height of the total's curve over 0..0.5 (trapezoid), per cent; None without labels."""
    total = _curve(compute_pckh, errors, keypoints_visible, schema.scored_indices)
    known = [value for value in total if value is not None]
    if not known:  # labels, and so all of the curve or none of it
        return None
    return float(np.trapezoid(known, CURVE_THRESHOLDS) / CURVE_THRESHOLDS[-1])


def summarize(
    errors: np.ndarray, keypoints_visible: np.ndarray, schema: KeypointSchema
) -> dict[str, Any]:
    """All numbers of `metrics.json`, in per cent, rounded to 4 decimals.

    "total" pools the scored keypoints: each label weighs the same. "unweighted" is the mean of the
    scored keypoints' own values. On MPII the two differ by about 0.5 to 0.9.

    Returns:
        {"pckh": {"total", "unweighted", and each group, at 0.5}, "pckh_0.1": {"total"}, "auc",
        "num_persons", "num_joints" (scored and labelled)}; None where nothing is labelled.
    """
    labelled = errors, keypoints_visible
    scored = schema.scored_indices
    at_half = {TOTAL: compute_pckh(*labelled, scored), UNWEIGHTED: mean_pckh(*labelled, scored)}
    for name, indices in schema.group_indices.items():
        at_half[name] = mean_pckh(*labelled, indices)
    return {
        "pckh": {name: _rounded(value) for name, value in at_half.items()},
        "pckh_0.1": {TOTAL: _rounded(compute_pckh(*labelled, scored, 0.1))},
        "auc": _rounded(area_under_curve(*labelled, schema)),
        "num_persons": len(errors),
        "num_joints": int(np.count_nonzero(np.asarray(keypoints_visible)[:, list(scored)])),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
