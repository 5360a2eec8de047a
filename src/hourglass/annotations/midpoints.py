"""Pelvis and thorax of data that has hips and shoulders alone."""

from hourglass.skeleton import JOINTS

_ENDS = {"pelvis": "hip", "thorax": "shoulder"}


def fill_midpoints(columns):
    """The same joints with pelvis and thorax midway between hips and shoulders.

    Each is labelled where both of its ends are.

    Args:
        columns: [N, 16, 3] = x, y, labelled (1, else 0), in MPII's order.
    """
    filled = columns.copy()
    for name, end in _ENDS.items():
        pair = columns[:, [JOINTS.index(f"r_{end}"), JOINTS.index(f"l_{end}")]]  # (N, 2, 3)
        filled[:, JOINTS.index(name), :2] = pair[..., :2].mean(axis=1)
        filled[:, JOINTS.index(name), 2] = pair[..., 2].min(axis=1)
    return filled
