"""Keypoints of a person over the frames of a clip: jitter smoothed, jumps to another limb held."""

import math
from typing import Any

import numpy as np

# Chosen by `experiments/smoothing.py`.
MIN_CUTOFF = 1.0  # Hz, of what rests
BETA = 12.0  # Hz, on top, for a speed of one size of the person a second
SPEED_CUTOFF = 1.0  # Hz, of the speed itself
MAX_SPEED = 2.0  # sizes of the person a second, beside the other joints; a wrist at 3.4 m/s


class OneEuroFilter:
    """A low-pass filter of each number of an array: little jitter at rest, little lag in motion.

    Its cutoff rises with speed. Source: Casiez, Roussel, Vogel, "1 Euro Filter", CHI 2012,
    algorithm 1.

    Args:
        min_cutoff: Hz, of what rests.
        beta: Hz, on top, for a speed of one size of the person a second.
    """

    def __init__(self, min_cutoff: float = MIN_CUTOFF, beta: float = BETA) -> None:
        self.min_cutoff = min_cutoff
        self.beta = beta
        self._time: float | None = None
        self._values = np.zeros(0)
        self._speed: np.ndarray | float = 0.0

    def __call__(self, values: np.ndarray, time: float, size: float) -> np.ndarray:
        """The next values, smoothed.

        Args:
            values: [...], px.
            time: s, later than that of the values before; steps may vary.
            size: px of the person. Speeds are measured by it: the same motion is smoothed as much
                near to the camera as far from it.
        """
        if self._time is not None:
            elapsed = time - self._time
            speed = (values - self._values) / elapsed  # px / s
            self._speed += _share(SPEED_CUTOFF, elapsed) * (speed - self._speed)
            cutoff = self.min_cutoff + self.beta * np.abs(self._speed) / max(size, 1e-9)
            values = self._values + _share(cutoff, elapsed) * (values - self._values)
        self._time, self._values = time, values
        return values


def _share(cutoff: Any, elapsed: float) -> Any:
    """How much of a new value a low-pass filter of a cutoff (Hz) takes after so many seconds."""
    return 1 / (1 + 1 / (2 * math.pi * cutoff * elapsed))


class JumpFilter:
    """Holds a joint where it was, until it could have come to where it is found.

    A network that takes one limb for another lets joints jump there and back. A smoothing filter
    alone would draw them through the places in between. A limb faster than `MAX_SPEED` comes late:
    at twice that speed for 0.1 s, by 0.1 s.
    """

    def __init__(self) -> None:
        self._found: np.ndarray | None = None  # [K, 2], px: the last keypoints found ...
        self._held = self._times = np.zeros(0)  # ... and given; [K], s: when each was last not held

    def __call__(self, keypoints: np.ndarray, time: float, size: float) -> np.ndarray:
        """The next keypoints, [K, 2] px; one that is held moves as the others do in the median.

        Args:
            time: s, later than that of the keypoints before.
            size: px of the person, by which speeds are measured.
        """
        if self._found is None:
            self._held, self._times = keypoints, np.full(len(keypoints), time)
        else:
            held = self._held + np.median(keypoints - self._found, axis=0)
            distance = np.linalg.norm(keypoints - held, axis=-1)  # (K,)
            is_held = distance > MAX_SPEED * size * (time - self._times)
            self._times = np.where(is_held, self._times, time)
            self._held = np.where(is_held[:, None], held, keypoints)
        self._found = keypoints
        return self._held


def describe_filters(is_smooth: bool) -> dict[str, str | float] | None:
    """The filters and their numbers, for JSON; None where joints are not smoothed."""
    if not is_smooth:
        return None
    return {
        "filter": "One Euro",
        "min_cutoff_hz": MIN_CUTOFF,
        "beta_hz_per_person_size_a_second": BETA,
        "speed_cutoff_hz": SPEED_CUTOFF,
        "held_beyond_person_sizes_a_second": MAX_SPEED,
    }
