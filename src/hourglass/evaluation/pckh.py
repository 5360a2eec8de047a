"""PCKh: the share of joints predicted within a fraction of the head size.

Source: Andriluka et al., "2D Human Pose Estimation: New Benchmark and State of the Art Analysis",
CVPR 2014, section 4; joint groups as in the official table of http://human-pose.mpi-inf.mpg.de.

Shapes: N persons, K = 16 joints. `keypoints_visible` says which joints have ground truth, occluded
ones included; what the arrays hold elsewhere is never looked at.
"""

import numpy as np

from hourglass.keypoints import PCKH_GROUPS, SCORED_JOINTS

# i / 100 is the double nearest to the threshold as written; sums of 0.01 are not.
CURVE_THRESHOLDS = np.arange(51) / 100


def normalized_errors(keypoints, joints, head_sizes):
    """Distances of the prediction from the truth, as fractions of the head size.

    Args:
        keypoints: predicted [N, K, 2], px of the original image.
        joints: ground truth [N, K, 2], same frame.
        head_sizes: [N], px of the same frame (`data.head_size`).

    Returns:
        float64 [N, K]; infinity, hence wrong at every threshold, where a distance is not a number.
    """
    # float64: a distance at the threshold must not be decided by rounding.
    offsets = np.asarray(keypoints, np.float64) - np.asarray(joints, np.float64)
    errors = np.hypot(offsets[..., 0], offsets[..., 1])
    errors /= np.asarray(head_sizes, np.float64)[:, None]
    return np.where(np.isnan(errors), np.inf, errors)  # not a number is not right


def score_persons(persons, keypoints):
    """Errors and labels of `persons` against their predicted `keypoints` [N, K, 2].

    Keypoints of NaN are wrong: a person whom nothing was predicted of counts like any other.

    Returns:
        errors float64 [N, K] as of `normalized_errors`, and keypoints_visible bool [N, K].
    """
    joints = np.stack([person.joints for person in persons])  # (N, K, 2)
    keypoints_visible = np.stack([person.keypoints_visible for person in persons])
    head_sizes = np.array([person.head_size for person in persons])  # (N,)
    return normalized_errors(keypoints, joints, head_sizes), keypoints_visible


def compute_pckh(errors, keypoints_visible, threshold=0.5, joints=SCORED_JOINTS):
    """Per cent of the labelled `joints` of all persons whose error is <= `threshold`.

    The default joints are the 14 of the official "Total": pelvis and thorax are not scored.

    Args:
        errors: [N, K], fractions of the head size.
        keypoints_visible: bool [N, K].
        threshold: fraction of the head size.
        joints: the joints to pool.

    Returns:
        float in 0..100, or None where none of these joints is labelled.
    """
    joints = list(joints)
    # (labelled,): the joints of all persons in one heap.
    scored = np.asarray(errors)[:, joints][np.asarray(keypoints_visible, bool)[:, joints]]
    return 100 * float(np.mean(scored <= threshold)) if scored.size else None


def mean_pckh(errors, keypoints_visible, threshold, joints):
    """The unweighted mean of the `joints`' own PCKh; None where none of them is labelled.

    So the official evaluation makes one column of a left and a right joint. A joint that is nowhere
    labelled is left out of the mean.
    """
    values = [compute_pckh(errors, keypoints_visible, threshold, [joint]) for joint in joints]
    # Per joint first: a side with fewer labels weighs as much as the other.
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def pckh_curve(errors, keypoints_visible):
    """PCKh at the thresholds 0, 0.01, ... 0.5, for the total and each joint group.

    Returns:
        thresholds float64 [51], and a dict from "total" and each group's name to a list of 51
        values, per cent or None as of `compute_pckh` and `mean_pckh`.
    """
    curves = {"total": [compute_pckh(errors, keypoints_visible, t) for t in CURVE_THRESHOLDS]}
    for name, joints in PCKH_GROUPS.items():
        curves[name] = [mean_pckh(errors, keypoints_visible, t, joints) for t in CURVE_THRESHOLDS]
    return CURVE_THRESHOLDS, curves


def area_under_curve(errors, keypoints_visible):
    """Mean height of the total's curve over 0..0.5 (trapezoid), per cent; None without labels."""
    total = [compute_pckh(errors, keypoints_visible, threshold) for threshold in CURVE_THRESHOLDS]
    if None in total:
        return None
    return float(np.trapezoid(total, CURVE_THRESHOLDS) / CURVE_THRESHOLDS[-1])


def summarize(errors, keypoints_visible):
    """All numbers of `metrics.json`, in per cent, rounded to 4 decimals.

    "total" pools the joints, so that each label weighs the same; "unweighted" is the mean over the
    14 scored joints' own values, so that each joint does. They differ by about 0.5 to 0.9.

    Returns:
        {"pckh": {"total", "unweighted", and each group, at 0.5}, "pckh_0.1": {"total"}, "auc",
        "num_persons", "num_joints" (scored and keypoints_visible)}; None where nothing is labelled.
    """
    at_half = {
        "total": compute_pckh(errors, keypoints_visible, 0.5),
        "unweighted": mean_pckh(errors, keypoints_visible, 0.5, SCORED_JOINTS),
        **{
            name: mean_pckh(errors, keypoints_visible, 0.5, group)
            for name, group in PCKH_GROUPS.items()
        },
    }
    return {
        "pckh": {name: _rounded(value) for name, value in at_half.items()},
        "pckh_0.1": {"total": _rounded(compute_pckh(errors, keypoints_visible, 0.1))},
        "auc": _rounded(area_under_curve(errors, keypoints_visible)),
        "num_persons": len(errors),
        "num_joints": int(np.count_nonzero(np.asarray(keypoints_visible)[:, list(SCORED_JOINTS)])),
    }


def _rounded(value):
    return None if value is None else round(value, 4)
