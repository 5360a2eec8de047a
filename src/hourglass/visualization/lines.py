"""Lines of round ends and soft edges, painted on pixels.

The distance of a pixel's centre from the line says how much of the pixel is covered. This is smooth
at any size and needs no larger canvas.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

Size = tuple[int, int]  # width, height, px
Line = tuple[np.ndarray, float, tuple[int, ...]]  # ends [2, 2] px, half the width px, RGB

_OUTLINE = np.array((20, 20, 20), np.float32)


def paint_lines(pixels: np.ndarray, lines: Sequence[Line], outline: float) -> None:
    """Paint lines of round ends and dark outlines, their edges one pixel soft.

    Args:
        pixels: uint8 [H, W, 3], contiguous, painted on.
        lines: L of them; the later ones lie on top.
        outline: px.
    """
    if not lines:
        return
    columns: Any = zip(*lines, strict=True)
    ends, radii, colours = (np.array(values, np.float32) for values in columns)
    place, distance, counts = _find_near(pixels.shape[1::-1], ends, radii + outline + 1)
    inside = np.repeat(radii + np.float32(0.5), counts) - distance
    dark, bright = np.clip(inside + np.float32(outline), 0, 1), np.clip(inside, 0, 1)  # covered by
    # The outline and what is painted over it in one: pixel * kept + dark * outline + bright * fill.
    kept = (1 - dark) * (1 - bright)
    # Channels first, which numpy is quick at: (3, P). 0.5: rounds what is cut to whole levels.
    added = np.repeat(colours.T, counts, axis=1) * bright + np.float32(0.5)
    added += dark * (1 - bright) * _OUTLINE[:, None]
    levels = pixels.reshape(-1)
    places = 3 * place + np.arange(3)[:, None]
    for first, last in itertools.pairwise([0, *np.cumsum(counts)]):
        own = places[:, first:last]
        painted = levels.take(own) * kept[first:last] + added[:, first:last]
        levels[own] = painted.astype(np.uint8)


def _find_near(
    size: Size, ends: np.ndarray, reaches: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The pixels that lines may touch, line by line: each row's between two bounds.

    Args:
        size: width, height of the picture.
        ends: [L, 2, 2], px. reaches: [L], how far from the line a pixel can be, px.

    Returns:
        place: [P], of the pixel in the flattened picture; distance: float32 [P], from the line, px;
            counts: [L], how many are each line's.
    """
    ends = ends.astype(np.float64)
    line, row, left, counts = _find_rows(size, ends, reaches)
    along, beside, ux, uy, half = (
        np.repeat(np.float32(values), counts) for values in _measure_first(ends, line, row, left)
    )
    # Both change evenly along the row.
    step = _count_up(np.zeros_like(left), counts)[1]
    place = step + np.repeat(row * size[0] + left, counts)
    step = step.astype(np.float32)
    beyond = np.maximum(np.abs(along + step * ux) - half, 0)
    distance = np.sqrt(np.square(beside + step * uy) + np.square(beyond))
    return place, distance, np.bincount(line, counts, len(ends)).astype(int)


def _find_rows(size: Size, ends: np.ndarray, reaches: np.ndarray) -> tuple[np.ndarray, ...]:
    """The rows of lines [L, 2, 2]: line, row, first pixel and number of pixels, each [R]."""
    width, height = size
    start, (dx, dy) = ends[:, 0], (ends[:, 1] - ends[:, 0]).T
    around = np.stack([-reaches, reaches])  # (2, L)
    low, high = np.sort(ends[..., 1].T, axis=0) + around
    low, high = (np.clip(y, 0, height).astype(int) for y in (low, high + 1))
    line, row = _count_up(low, high - low)  # (R,)
    # A row is near to what the line has within reach above and below: from there to there on it,
    # 0..1; of a level line, to all.
    slope = np.where(dy == 0, 1e-12, dy)
    part = np.clip((row - start[line, 1] + around[:, line]) / slope[line], 0, 1)
    left, right = np.sort(start[line, 0] + part * dx[line], axis=0) + around[:, line]
    left, right = (np.clip(x, 0, width).astype(int) for x in (left, right + 1))
    return line, row, left, right - left


def _measure_first(
    ends: np.ndarray, line: np.ndarray, row: np.ndarray, left: np.ndarray
) -> tuple[np.ndarray, ...]:
    """How far along its line from the middle, and beside it, the first pixel of each row is, px.

    Returns:
        along, beside, the line's direction x, y, and half its length, each [R].
    """
    dx, dy = (ends[:, 1] - ends[:, 0]).T
    length = np.hypot(dx, dy)
    ux, uy = np.stack([dx, dy]) / np.maximum(length, 1e-12)  # a joint is a line of no length
    ux = np.where(length == 0, 1, ux)
    x, y = np.stack([left, row]) - ends.mean(axis=1).T[:, line]
    ux, uy = ux[line], uy[line]
    return x * ux + y * uy, x * uy - y * ux, ux, uy, length[line] / 2


def _count_up(first: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`counts` numbers from each `first` up, in one row; and which of them each is of."""
    which = np.repeat(np.arange(len(counts)), counts)
    return which, np.arange(len(which)) + np.repeat(first - np.cumsum(counts) + counts, counts)
