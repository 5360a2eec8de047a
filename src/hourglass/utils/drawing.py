"""Lines of round ends and soft edges, painted on pixels.

Each pixel is covered by as much as the distance of its centre from the line says, which is smooth
at any size and needs no larger canvas.

Keypoints and skeletons on images, and sheets of them.

Keypoints are [K, 2] (x, y) in pixels of the image they are drawn on, pixel centres at integers.
`draw_` functions return new RGB images, `paint_` ones change the pixels that they are given. The
same input gives the same pixels.
"""

import itertools
import math

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from hourglass.keypoints import BONES, JOINTS

_OUTLINE = (20, 20, 20)


def paint_lines(pixels, lines, outline):
    """Paint lines of round ends and dark outlines, their edges one pixel soft.

    Args:
        pixels: uint8 [H, W, 3], contiguous, painted on.
        lines: L of (ends [2, 2] px, half the width px, RGB); the later ones lie on top.
        outline: px.
    """
    if not lines:
        return
    ends, radii, colours = (np.array(values, np.float32) for values in zip(*lines, strict=True))
    place, distance, counts = _find_near(pixels.shape[1::-1], ends, radii + outline + 1)
    inside = np.repeat(radii + np.float32(0.5), counts) - distance
    dark, bright = np.clip(inside + np.float32(outline), 0, 1), np.clip(inside, 0, 1)  # covered by
    # The outline and what is painted over it in one: pixel * kept + dark * outline + bright * fill.
    kept = (1 - dark) * (1 - bright)
    # Channels first, which numpy is quick at: (3, P). 0.5: rounds what is cut to whole levels.
    added = np.repeat(colours.T, counts, axis=1) * bright + np.float32(0.5)
    added += dark * (1 - bright) * np.float32(_OUTLINE)[:, None]
    levels = pixels.reshape(-1)
    places = 3 * place + np.arange(3)[:, None]
    for first, last in itertools.pairwise([0, *np.cumsum(counts)]):
        own = places[:, first:last]
        painted = levels.take(own) * kept[first:last] + added[:, first:last]
        levels[own] = painted.astype(np.uint8)


def _find_near(size, ends, reaches):
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


def _find_rows(size, ends, reaches):
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


def _measure_first(ends, line, row, left):
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


def _count_up(first, counts):
    """`counts` numbers from each `first` up, in one row; and which of them each is of."""
    which = np.repeat(np.arange(len(counts)), counts)
    return which, np.arange(len(which)) + np.repeat(first - np.cumsum(counts) + counts, counts)


# Orange and sky blue of Okabe and Ito's colour-blind-safe palette, https://jfly.uni-koeln.de/color,
# a little brighter to hold on photographs; white for what has no side.
SIDE_COLOURS = {"right": (255, 149, 0), "left": (64, 180, 255), "middle": (255, 255, 255)}

_BACKGROUND = (250, 250, 250)
_TEXT = (40, 40, 40)
_FAR = 1e6  # px; farther out a square of a length would overflow, and nothing is seen anyway
_GAP = 6  # px between the panels of a comparison
_MARGIN = 16  # px around and between the cells of a sheet


def draw_pose(image, keypoints, keypoints_visible=None):
    """Draw bones and joints on a copy of the image.

    Args:
        image: PIL image of any mode.
        keypoints: [16, 2], px of this image; outside of it is allowed.
        keypoints_visible: bool [16], the joints to draw; None = all. A bone needs both of its
            joints, and what is not finite is not drawn.

    Returns:
        PIL image, RGB, of the same size.
    """
    pixels = np.array(image if image.mode == "RGB" else image.convert("RGB"))
    paint_pose(pixels, keypoints, keypoints_visible)
    return Image.fromarray(pixels)


def paint_pose(pixels, keypoints, keypoints_visible=None):
    """What `draw_pose` does, on the pixels themselves, uint8 [H, W, 3], contiguous."""
    keypoints = np.asarray(keypoints, np.float64)
    drawn = np.isfinite(keypoints).all(axis=1)
    if keypoints_visible is not None:
        drawn &= np.asarray(keypoints_visible, bool)
    keypoints = np.clip(keypoints, -_FAR, _FAR)
    radius = _line_radius(pixels.shape[1::-1], keypoints[drawn])
    # Later ones lie on top: the trunk, the limbs, then all joints.
    bones = [bone for bone in sorted(BONES, key=_drawing_order) if drawn[list(bone)].all()]
    lines = [(keypoints[list(bone)], radius, SIDE_COLOURS[bone_side(bone)]) for bone in bones]
    lines += [  # a joint is a line of no length
        (keypoints[[joint, joint]], 1.6 * radius, SIDE_COLOURS[joint_side(joint)])
        for joint in np.flatnonzero(drawn)
    ]
    paint_lines(pixels, lines, outline=max(1.25, 0.4 * radius))


def draw_legend(font_size=15):
    """A strip that names the colours of the person's right side, left side and middle."""
    return _join([_draw_legend_entry(side, font_size) for side in SIDE_COLOURS], font_size)


def draw_comparison(image, joints, keypoints_visible, keypoints, caption, *, height=360):
    """Ground truth beside prediction, as two captioned panels of the same size.

    Args:
        image: PIL image of any mode, best cut to the person.
        joints: [16, 2], the labels, px of this image.
        keypoints_visible: bool [16], the labelled joints; the keypoints are drawn with all 16.
        keypoints: [16, 2], the prediction, px of this image.
        caption: short text under the prediction, such as "PCKh 93 %".
        height: px of each panel; a picture wider than twice its height gets a lower one.
    """
    # One factor for both axes, but sizes are whole: the true ones follow below.
    factor = min(height / image.height, 2 * height / image.width)
    size = tuple(max(1, round(factor * side)) for side in image.size)
    panel = image.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    # Pixel centres are at integers, so the picture's corner, which stays, is at -0.5.
    factors = np.array(size) / image.size
    joints, keypoints = [(np.asarray(k) + 0.5) * factors - 0.5 for k in (joints, keypoints)]
    left = _caption_panel(draw_pose(panel, joints, keypoints_visible), "ground truth")
    right = _caption_panel(draw_pose(panel, keypoints), f"prediction   {caption}".rstrip())
    return _join([left, right], _GAP)


def draw_contact_sheet(panels, num_columns, title):
    """Set panels into a grid of equal cells, under a title and one legend.

    Args:
        panels: PIL images; each is centred in a cell of the largest width and height.
        num_columns: cells a row, at least 1.
        title: one line.
    """
    num_columns = max(1, min(num_columns, len(panels)))
    num_rows = math.ceil(len(panels) / num_columns)
    cell_width = max((panel.width for panel in panels), default=0)
    cell_height = max((panel.height for panel in panels), default=0)
    header = _draw_header(title, num_columns * (cell_width + _MARGIN) - _MARGIN)
    top = header.height + 2 * _MARGIN
    size = (header.width + 2 * _MARGIN, top + num_rows * (cell_height + _MARGIN))
    sheet = Image.new("RGB", size, _BACKGROUND)
    sheet.paste(header, (_MARGIN, _MARGIN))
    for i, panel in enumerate(panels):
        row, column = divmod(i, num_columns)
        x = _MARGIN + column * (cell_width + _MARGIN) + (cell_width - panel.width) // 2
        y = top + row * (cell_height + _MARGIN) + (cell_height - panel.height) // 2
        sheet.paste(panel, (x, y))
    return sheet


def joint_side(joint):
    """Which side of the person a joint is on: "right", "left" or "middle"."""
    return {"r": "right", "l": "left"}.get(JOINTS[joint].partition("_")[0], "middle")


def bone_side(bone):
    """Which side a bone is on: the side of any of its ends that has one."""
    sides = [joint_side(joint) for joint in bone]
    return next((side for side in sides if side != "middle"), "middle")


def _drawing_order(bone):
    # Arms are in front of the trunk more often than behind it.
    return bone_side(bone) != "middle"


def _line_radius(size, keypoints):
    """Half the width of a bone: it follows the person, within what suits the picture."""
    picture = max(size)
    person = np.ptp(keypoints, axis=0).max() if len(keypoints) else 0
    return min(max(0.006 * person, 0.8, 0.0015 * picture), 0.006 * picture)


def _join(images, gap):
    """Images of one height side by side, `gap` px apart."""
    width = sum(image.width for image in images) + gap * (len(images) - 1)
    joined = Image.new("RGB", (width, images[0].height), _BACKGROUND)
    x = 0
    for image in images:
        joined.paste(image, (x, 0))
        x += image.width + gap
    return joined


def _draw_legend_entry(side, font_size):
    font = ImageFont.load_default(font_size)
    sample, height = 2 * font_size, 2 * font_size
    text_x = sample + font_size // 2
    size = (text_x + math.ceil(font.getlength(side)), height)
    radius = font_size / 6
    ends = np.array([(2 * radius, height / 2), (sample - 2 * radius, height / 2)])
    line = (ends, radius, SIDE_COLOURS[side])
    pixels = np.full((*size[::-1], 3), _BACKGROUND, np.uint8)
    paint_lines(pixels, [line], outline=1)
    entry = Image.fromarray(pixels)
    at = (text_x, height / 2)
    ImageDraw.Draw(entry).text(at, side, fill=_TEXT, font=font, anchor="lm")
    return entry


def _caption_panel(panel, caption, font_size=15):
    """The panel with a line of text under it, widened where the text is longer."""
    font = ImageFont.load_default(font_size)
    width = max(panel.width, math.ceil(font.getlength(caption)))
    captioned = Image.new("RGB", (width, panel.height + 2 * font_size), _BACKGROUND)
    captioned.paste(panel, ((width - panel.width) // 2, 0))
    at = (width / 2, panel.height + font_size)
    ImageDraw.Draw(captioned).text(at, caption, fill=_TEXT, font=font, anchor="mm")
    return captioned


def _draw_header(title, width):
    """Title on the left, legend on the right, at least `width` px wide."""
    font = ImageFont.load_default(22)
    legend = draw_legend()
    title_width = math.ceil(font.getlength(title))
    width = max(width, title_width + 2 * _MARGIN + legend.width)
    header = Image.new("RGB", (width, legend.height), _BACKGROUND)
    ImageDraw.Draw(header).text((0, header.height / 2), title, fill=_TEXT, font=font, anchor="lm")
    header.paste(legend, (header.width - legend.width, 0))
    return header
