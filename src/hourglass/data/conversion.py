"""Keypoints of one schema as those of another, by their names.

MPII's `r_knee` is COCO's `right_knee` (`data/keypoint_names.py`). Pelvis and thorax lie midway
between hips and shoulders.
"""

import numpy as np

from hourglass.data.keypoint_names import canonical_name, find_places
from hourglass.keypoints import COCO, MPII, KeypointSchema

_MIDPOINTS = {
    "pelvis": ("right_hip", "left_hip"),
    "thorax": ("right_shoulder", "left_shoulder"),
}
_ENDS = [end for ends in _MIDPOINTS.values() for end in ends]
UNLABELLED = (-1.0, -1.0)


def find_unknown(schema: KeypointSchema, *others: KeypointSchema) -> list[str]:
    """The keypoints of a schema that none of the others, MPII or COCO has."""
    known = {canonical_name(name) for other in (MPII, COCO, *others) for name in other.keypoints}
    return [name for name in schema.keypoints if canonical_name(name) not in known]


class Conversion:
    """Takes keypoints of the schema `source` to the schema `target`.

    A keypoint that `source` lacks is unlabelled, and so is a midpoint without one of its ends.
    """

    def __init__(self, source: KeypointSchema, target: KeypointSchema) -> None:
        self.source, self.target = source, target
        wanted = [*target.keypoints, *_ENDS]
        places = find_places(source.keypoints, wanted)
        ends = [_find_ends(name, places) for name in target.keypoints]
        # Each keypoint of the target lies midway between two of the source: the same one twice
        # where the source has it.
        self._is_known = np.array([pair is not None for pair in ends])
        self._first, self._second = np.array([pair or (0, 0) for pair in ends]).T

    def convert_flags(self, keypoints_visible: np.ndarray) -> np.ndarray:
        """Which keypoints are labelled: bool [source's K] to bool [target's K]."""
        return self._is_known & keypoints_visible[self._first] & keypoints_visible[self._second]

    def convert_points(self, joints: np.ndarray, keypoints_visible: np.ndarray) -> np.ndarray:
        """Where they lie: [source's K, 2] to [target's K, 2]; (-1, -1) where unlabelled."""
        is_labelled = self.convert_flags(keypoints_visible)
        with np.errstate(over="ignore", invalid="ignore"):  # absurd labels are refused later
            middles = (joints[self._first] + joints[self._second]) / 2
        return np.where(is_labelled[:, None], middles, UNLABELLED)


def _find_ends(name: str, places: dict[str, int]) -> tuple[int, int] | None:
    if name in places:
        return places[name], places[name]
    right, left = _MIDPOINTS.get(canonical_name(name), ("", ""))
    return (places[right], places[left]) if {right, left} <= places.keys() else None


MPII_AS_IT_IS = Conversion(MPII, MPII)
