"""The One Euro filter: little jitter where a joint rests, little lag where it moves.

Source: Casiez, Roussel, Vogel, "1 Euro Filter", CHI 2012, algorithm 1.

Joints that leap: to another limb and back, where a network takes two for each other.
"""

import math

import numpy as np

# Chosen by `experiments/smoothing.py`.
MIN_CUTOFF = 1.0  # Hz, of what rests
BETA = 12.0  # Hz, on top, for a speed of one size of the person a second
SPEED_CUTOFF = 1.0  # Hz, of the speed itself


class OneEuroFilter:
    """A low-pass filter whose cutoff rises with speed, of each number of an array by itself."""

    def __init__(self, min_cutoff=MIN_CUTOFF, beta=BETA):
        self.min_cutoff = min_cutoff
        self.beta = beta
        self._time = None
        self._values = None
        self._speed = 0.0

    def __call__(self, values, time, size):
        """The next values, smoothed.

        Args:
            values: [...], px.
            time: s, later than that of the values before; from frame to frame it may vary.
            size: px of the person, by which speeds are measured: the same motion is smoothed as
                much near to the camera as far from it.
        """
        if self._time is not None:
            elapsed = time - self._time
            speed = (values - self._values) / elapsed  # px / s
            self._speed += _share(SPEED_CUTOFF, elapsed) * (speed - self._speed)
            cutoff = self.min_cutoff + self.beta * np.abs(self._speed) / max(size, 1e-9)
            values = self._values + _share(cutoff, elapsed) * (values - self._values)
        self._time, self._values = time, values
        return values


def _share(cutoff, elapsed):
    """How much of a new value a low-pass filter of a cutoff (Hz) takes after so many seconds."""
    return 1 / (1 + 1 / (2 * math.pi * cutoff * elapsed))


def describe_filter(is_smooth):
    """The filters and their numbers, for JSON; None where there is none."""
    if not is_smooth:
        return None
    return {
        "filter": "One Euro",
        "min_cutoff_hz": MIN_CUTOFF,
        "beta_hz_per_person_size_a_second": BETA,
        "speed_cutoff_hz": SPEED_CUTOFF,
        "held_beyond_person_sizes_a_second": FASTEST,
    }


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
