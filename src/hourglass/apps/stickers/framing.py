"""The place of a figure on its sticker, and the white outline around it.

A window (x, y, side) is the square of the picture that a sticker shows, px, not rounded, corner to
corner as `transforms.crop_transform` counts. Coverage, uint8, is how much of each pixel a figure
covers.
"""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from PIL import Image, ImageFilter

from hourglass.inference.person_search import keypoints_bbox
from hourglass.utils.transforms import apply_transform, crop_transform

Window: TypeAlias = tuple[float, float, float]

SIZE = 512  # px, what both messengers want
MARGIN = 16  # px that stay free around the sticker, as WhatsApp advises
OUTLINE = 10  # px; WhatsApp advises 8
EDGE = 2  # px, a grey line around the outline, which shows it where the chat is white
CLOSING = 7  # px; the outline fills gaps up to twice as wide
GREY = 196
STEADY = 0.25  # s, what of a moving figure is smoothed over


def place_windows(times: Sequence[float], boxes: Sequence[np.ndarray]) -> list[Window]:
    """The windows, all of one size, of a figure that moves: of each time, s, and its box [2, 2]."""
    corners = np.array(boxes, float)
    middles = steady(times, corners.mean(axis=1))
    reach = np.abs(corners - middles[:, None]).max()  # the figure fits in each of its windows
    side = 2 * max(reach, 0.5) * SIZE / (SIZE - 2 * (MARGIN + OUTLINE + EDGE))
    # From pixel centres to corners.
    return [(*(middle + 0.5 - side / 2).tolist(), float(side)) for middle in middles]


def window_around(points: np.ndarray, margin: float) -> Window:
    """The window around points [N, 2], px of the picture, with a margin, px."""
    low, high = keypoints_bbox(points)
    side = float((high - low).max() + 2 * margin)
    x, y = (low + high + 1 - side) / 2
    return float(x), float(y), side


def steady(times: Sequence[float], values: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
    """Values [N, C] of times [N], s, without what changes faster than a figure turns.

    Each is on the line that fits its neighbours best: first and last values do not lag.
    """
    moments, values = np.array(times, float), np.array(values, float)
    away = moments - moments[:, None]  # (N, N), s
    weights = np.exp(-0.5 * np.square(away / STEADY))
    total, first, second = ((weights * away**k).sum(axis=1, keepdims=True) for k in range(3))
    second += 1e-9  # of a single time it is 0
    fitted = second * (weights @ values) - first * ((weights * away) @ values)
    return fitted / (total * second - first**2)


def measure_box(coverage: np.ndarray, window: Window) -> np.ndarray | None:
    """The box, low and high corner [2, 2], px of the picture, of what a window shows covered.

    None where nothing of `coverage` [S, S] is more than half.
    """
    covered = coverage > 127
    if not covered.any():
        return None
    rows, columns = (np.flatnonzero(covered.any(axis=axis)) for axis in (1, 0))
    corners = np.array([(columns[0], rows[0]), (columns[-1], rows[-1])])
    return apply_transform(crop_transform(window, len(coverage)), corners)


def find_inside(shape: tuple[int, int], window: Window, size: int) -> tuple[int, int, int, int]:
    """left, top, right, bottom: the pixels of a window at `size` px that a picture fills wholly."""
    start, ratio = np.array(window[:2]), window[2] / size
    first = np.clip(np.ceil(-start / ratio), 0, size).astype(int)
    last = np.clip(np.floor((np.array(shape) - start) / ratio), 0, size).astype(int)
    return *first.tolist(), *last.tolist()


def cut_window(image: Image.Image, window: Window, size: int = SIZE) -> Image.Image:
    """The part of an image in a window, at `size` px; black outside of the image."""
    left, top, right, bottom = find_inside(image.size, window, size)
    cut = Image.new(image.mode, (size, size))
    if left < right and top < bottom:
        corners = np.array([(left, top), (right, bottom)]) * window[2] / size + window[:2]
        # Rounding may carry them a hair outside, which Pillow refuses.
        box = np.clip(corners, 0, image.size).ravel().tolist()
        resized = image.resize((right - left, bottom - top), Image.Resampling.LANCZOS, box=box)
        cut.paste(resized, (left, top))
    return cut


def lay_on_white(rgba: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels uint8 [H, W, 4] as they look on white, [H, W, 3], and their coverage, [H, W]."""
    opacity = rgba[..., 3:] / np.float32(255)
    on_white = rgba[..., :3] * opacity + 255 * (1 - opacity) + 0.5
    return on_white.astype(np.uint8), rgba[..., 3]


def add_outline(pixels: np.ndarray, coverage: np.ndarray) -> Image.Image:
    """The RGBA sticker of a figure [H, W, 3] on white: in an even white outline, in a grey line."""
    outer = _smooth(grow(grow(coverage, OUTLINE + CLOSING), -CLOSING))
    alpha = _smooth(grow(outer, EDGE))
    line = (1 - outer / np.float32(255))[..., None]
    pixels = np.where(alpha[..., None] > 0, pixels * (1 - line) + GREY * line + 0.5, GREY)
    return Image.fromarray(np.dstack([pixels.astype(np.uint8), alpha]))


def grow(coverage: np.ndarray, radius: int) -> np.ndarray:
    """Coverage grown by a disc of `radius` px; shrunk where that is negative."""
    if radius < 0:
        return 255 - grow(255 - coverage, -radius)
    grown, row = coverage.copy(), coverage.copy()
    for reach in range(radius + 1):
        if reach:
            _take_larger(row, coverage, reach, axis=1)
        # The disc's rows that reach so far to either side.
        for away in range(1, radius + 1):
            if int(np.sqrt(radius**2 - away**2) + 0.5) == reach:
                _take_larger(grown, row, away, axis=0)
    return np.maximum(grown, row)


def _take_larger(values: np.ndarray, other: np.ndarray, shift: int, axis: int) -> None:
    """The larger of each value and those of `other` at `shift` px to either side, in place."""
    values, other = (np.moveaxis(array, axis, 0) for array in (values, other))
    np.maximum(values[shift:], other[:-shift], out=values[shift:])
    np.maximum(values[:-shift], other[shift:], out=values[:-shift])


def _smooth(coverage: np.ndarray) -> np.ndarray:
    """Coverage without the steps that a disc of whole pixels leaves."""
    blurred = Image.fromarray(coverage).filter(ImageFilter.GaussianBlur(1.2))
    return np.clip((np.asarray(blurred, float) - 127.5) * 1.6 + 127.5, 0, 255).astype(np.uint8)
