"""Where a figure lies on its sticker, and the white outline around it.

A window is (x, y, side), the square of the picture that the sticker shows, px, not rounded, from
corner to corner as `geometry.crop_transform` counts. Coverage is how much of each pixel a figure
covers, uint8.
"""

import numpy as np
from PIL import Image, ImageFilter

from hourglass.inference.person_search import keypoints_bbox
from hourglass.utils.transforms import apply_transform, crop_transform

SIZE = 512  # px, what both messengers want
MARGIN = 16  # px that stay free around the sticker, as WhatsApp advises
OUTLINE = 10  # px; WhatsApp advises 8
EDGE = 2  # px, a grey line around the outline, which shows it where the chat is white
CLOSING = 7  # px; the outline fills gaps up to twice as wide
GREY = 196
STEADY = 0.25  # s, what of a moving figure is smoothed over


def place_windows(times, boxes):
    """The windows, all of one size, of a figure that moves: one a box, low and high corner [2, 2].

    Args:
        times: [N], s. boxes: N of [2, 2], px of the picture.
    """
    boxes = np.array(boxes, float)
    middles = steady(times, boxes.mean(axis=1))
    reach = np.abs(boxes - middles[:, None]).max()  # the figure fits in each of its windows
    side = 2 * max(reach, 0.5) * SIZE / (SIZE - 2 * (MARGIN + OUTLINE + EDGE))
    # From pixel centres to corners.
    return [(*(middle + 0.5 - side / 2).tolist(), float(side)) for middle in middles]


def window_around(points, margin):
    """The window around points [N, 2], px of the picture, with a margin, px."""
    low, high = keypoints_bbox(points)
    side = float((high - low).max() + 2 * margin)
    return (*((low + high + 1 - side) / 2).tolist(), side)


def steady(times, values):
    """Values [N, C] of times [N], s, without what changes faster than a figure turns.

    Each is on the line that fits its neighbours best, which begins and ends where they do.
    """
    times, values = np.array(times, float), np.array(values, float)
    away = times - times[:, None]  # (N, N), s
    weights = np.exp(-0.5 * np.square(away / STEADY))
    total, first, second = ((weights * away**k).sum(axis=1, keepdims=True) for k in range(3))
    second += 1e-9  # of one time alone it is none
    fitted = second * (weights @ values) - first * ((weights * away) @ values)
    return fitted / (total * second - first**2)


def measure_box(coverage, window):
    """The box, low and high corner [2, 2], px of the picture, of what a window shows covered.

    Args:
        coverage: uint8 [S, S]. window: what it shows.

    Returns:
        None where nothing is covered by half.
    """
    covered = coverage > 127
    if not covered.any():
        return None
    rows, columns = (np.flatnonzero(covered.any(axis=axis)) for axis in (1, 0))
    corners = np.array([(columns[0], rows[0]), (columns[-1], rows[-1])])
    return apply_transform(crop_transform(window, len(coverage)), corners)


def find_inside(shape, window, size):
    """The pixels, left, top, right, bottom, of a window at `size` px that a picture fills wholly.

    Args:
        shape: width, height of the picture.
    """
    start, ratio = np.array(window[:2]), window[2] / size
    first = np.clip(np.ceil(-start / ratio), 0, size).astype(int)
    last = np.clip(np.floor((np.array(shape) - start) / ratio), 0, size).astype(int)
    return *first.tolist(), *last.tolist()


def cut_window(image, window, size=SIZE):
    """What a window shows of an image, at `size` px; black outside, however far it reaches."""
    left, top, right, bottom = find_inside(image.size, window, size)
    cut = Image.new(image.mode, (size, size))
    if left < right and top < bottom:
        corners = np.array([(left, top), (right, bottom)]) * window[2] / size + window[:2]
        # Rounding may carry them a hair outside, which Pillow refuses.
        box = np.clip(corners, 0, image.size).ravel().tolist()
        part = image.resize((right - left, bottom - top), Image.Resampling.LANCZOS, box=box)
        cut.paste(part, (left, top))
    return cut


def lay_on_white(rgba):
    """Pixels uint8 [H, W, 4] as what lies on white, [H, W, 3], and its coverage, [H, W]."""
    part = rgba[..., 3:] / np.float32(255)
    return (rgba[..., :3] * part + 255 * (1 - part) + 0.5).astype(np.uint8), rgba[..., 3]


def add_outline(pixels, coverage):
    """The sticker of a figure.

    Args:
        pixels: uint8 [H, W, 3], the figure on white.
        coverage: uint8 [H, W].

    Returns:
        PIL image, RGBA: the figure in a white outline of even width, within a grey line.
    """
    outer = _smooth(grow(grow(coverage, OUTLINE + CLOSING), -CLOSING))
    alpha = _smooth(grow(outer, EDGE))
    line = (1 - outer / np.float32(255))[..., None]
    pixels = np.where(alpha[..., None] > 0, pixels * (1 - line) + GREY * line + 0.5, GREY)
    return Image.fromarray(np.dstack([pixels.astype(np.uint8), alpha]))


def grow(coverage, radius):
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
        if reach == radius:
            np.maximum(grown, row, out=grown)
    return grown


def _take_larger(values, other, shift, axis):
    """Take what `other` has `shift` px away, to either side, where it is larger."""
    values, other = (np.moveaxis(array, axis, 0) for array in (values, other))
    np.maximum(values[shift:], other[:-shift], out=values[shift:])
    np.maximum(values[:-shift], other[shift:], out=values[:-shift])


def _smooth(coverage):
    """Without the steps that a disc of whole pixels leaves."""
    blurred = Image.fromarray(coverage).filter(ImageFilter.GaussianBlur(1.2))
    return np.clip((np.asarray(blurred, float) - 127.5) * 1.6 + 127.5, 0, 255).astype(np.uint8)
