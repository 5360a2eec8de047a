"""Where a clip is cut: frames that show another scene than the frame before.

Two small copies are compared, in their colours. A pan or a flickering lamp changes every frame, so
a cut must change much more than the frames before it did. A fade is no cut: people are lost in it,
and are found by the tracker's own checks and searches.
"""

import numpy as np
from PIL import Image

SIZE = (32, 18)  # px of the small copies that are compared
LEAST = 12.0  # levels between two copies, in the mean; less is motion, or two like scenes
# A cut changes so many times as much as the frames before it, in their median: one cut among them
# must not hide the next.
FACTOR = 4.0
NUM_BEFORE = 8  # frames


class CutDetector:
    """Compares each frame with the one before.

    A cut that is missed costs a track until its next check. A false one costs a search.
    """

    def __init__(self) -> None:
        self._copy: np.ndarray | None = None
        self._changes: list[float] = []

    def is_cut(self, image: Image.Image) -> bool:
        """Whether a new scene begins with this frame, RGB."""
        copy = _make_copy(image)
        if self._copy is None:
            self._copy = copy
            return False
        change = float(np.abs(copy - self._copy).mean())
        usual = float(np.median(self._changes)) if self._changes else 0.0
        self._copy = copy
        self._changes = [*self._changes, change][-NUM_BEFORE:]
        return change > max(LEAST, FACTOR * usual)


def _make_copy(image: Image.Image) -> np.ndarray:
    # Whole pixels are skipped first: a mean of all of them would cost more than it tells.
    step = max(1, min(image.size) // 72)
    pixels = np.asarray(image)[::step, ::step]
    return np.asarray(Image.fromarray(pixels).resize(SIZE, Image.Resampling.BOX), np.float32)
