"""Files of one known picture or clip, read as the product reads them, and judged by their pixels.

A case is right where size, pixels, number and times of the frames are those of the plain original.
Else it must say something: an error, or a note. What is neither is wrong in silence.
"""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from hourglass.apps.video.formats import is_clip
from hourglass.apps.video.reader import open_clip
from hourglass.utils.errors import UserError
from hourglass.utils.images import Picture

SIZE = (176, 144)  # px; all codecs take it
NUM_FRAMES, RATE = 6, 10
STEP = 16  # px, to the right from frame to frame
RIGHT, SAID, WRONG, UNMADE = "right", "said why not", "wrong in silence", "cannot be made here"


class Case(NamedTuple):
    """A file of the corpus.

    Attributes:
        name: the file's.
        make: writes it, given its path; an error of the encoder means that it cannot be made here.
        shown: the pixels of each frame, as people see them.
        tolerance: the mean difference to them, levels, that the file's form itself explains.
        times: of the frames, s; None: not judged.
        says: whether the file cannot be read whole, so that something must be said.
    """

    name: str
    make: Callable[[Path], object]
    shown: Callable[[], list[np.ndarray]]
    tolerance: float = 3.0
    times: tuple[float, ...] | None = None
    says: bool = False


class Verdict(NamedTuple):
    """What became of a case: one of the four words, and what was found."""

    word: str
    text: str


@functools.cache
def draw_original(size: tuple[int, int] = SIZE) -> np.ndarray:
    """Soft and strong colours, different in each corner, with one hard disc, uint8 [H, W, 3]."""
    rng = np.random.default_rng(4)
    colours = Image.fromarray(rng.integers(24, 232, (4, 5, 3)).astype(np.uint8))
    picture = colours.resize(size, Image.Resampling.BICUBIC)
    ImageDraw.Draw(picture).ellipse((20, 30, 60, 70), (235, 220, 60))
    return np.asarray(picture)


def draw_frames(picture: np.ndarray | None = None, number: int = NUM_FRAMES) -> list[np.ndarray]:
    """The frames of the clip: the picture, moved on and on."""
    picture = draw_original() if picture is None else picture
    return [np.roll(picture, STEP * k, axis=1) for k in range(number)]


def judge(case: Case, folder: Path) -> Verdict:
    """Make the file of a case and read it."""
    path = folder / case.name
    try:
        case.make(path)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        return Verdict(UNMADE, f"{type(error).__name__}: {error}")
    try:
        frames, times, notes = read(path)
    except UserError as error:
        return Verdict(SAID, str(error))
    fault = find_fault(case, frames, times)
    if notes:
        return Verdict(SAID if fault or case.says else RIGHT, "; ".join(notes))
    return Verdict(WRONG, fault) if fault else Verdict(RIGHT, "")


def read(path: Path) -> tuple[list[np.ndarray], list[float], tuple[str, ...]]:
    """The frames of a clip or of a picture, their times, and what is said of them."""
    if not is_clip(path):
        picture = Picture(path.read_bytes())
        return [np.asarray(picture.decode()[0])], [0.0], picture.notes
    with open_clip(path) as clip:
        frames = list(clip.read_frames())
        notes = clip.losses.describe()
    return [frame.pixels for frame in frames], [frame.time for frame in frames], notes


def find_fault(case: Case, frames: list[np.ndarray], times: list[float]) -> str:
    """How frames differ from those that should be shown; empty where they do not."""
    shown = case.shown()
    if len(frames) != len(shown):
        return f"{len(frames)} frames, not {len(shown)}"
    if frames[0].shape != shown[0].shape:
        return f"{frames[0].shape[1]} x {frames[0].shape[0]} px"
    pairs = zip(frames, shown, strict=True)
    difference = max(float(np.abs(a.astype(float) - b).mean()) for a, b in pairs)
    if not difference <= case.tolerance:
        return f"{difference:.1f} levels off"
    if case.times and np.abs(np.subtract(times, case.times)).max() > 2e-3:
        return f"times {[round(time, 3) for time in times]}"
    return ""
