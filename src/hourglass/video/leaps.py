"""Joints that leap: to another limb and back, where a network takes two for each other."""

import numpy as np

FASTEST = 2.0  # sizes of the person a second, beside the other joints; a wrist at 3.4 m/s


class LeapFilter:
    """Holds a joint where it was, for as long as it could not have come to where it is seen.

    A smoothing filter alone would draw it through the places in between, where nothing is. A limb
    that is faster comes late: by 0.1 s, if it moves twice as fast for 0.1 s.
    """

    def __init__(self):
        self._seen = self._kept = None  # [J, 2], px: what was taken and what was given last
        self._times = None  # [J], s: when each was last seen where it is kept

    def __call__(self, keypoints, time, size):
        """The next keypoints, [J, 2] px; one that is held moves as the others do in the median.

        Args:
            time: s, later than that of the keypoints before.
            size: px of the person, by which speeds are measured.
        """
        if self._seen is None:
            self._kept, self._times = keypoints, np.full(len(keypoints), time)
        else:
            kept = self._kept + np.median(keypoints - self._seen, axis=0)
            distance = np.linalg.norm(keypoints - kept, axis=-1)  # (J,)
            is_held = distance > FASTEST * size * (time - self._times)
            self._times = np.where(is_held, self._times, time)
            self._kept = np.where(is_held[:, None], kept, keypoints)
        self._seen = keypoints
        return self._kept
