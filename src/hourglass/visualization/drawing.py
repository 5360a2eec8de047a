"""Keypoints and skeletons on images, and sheets of them.

Keypoints are [K, 2] (x, y) in pixels of the image they are drawn on, pixel centres at integers.
`draw_` functions return new RGB images, `paint_` ones change the pixels that they are given. The
same input gives the same pixels.
"""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from hourglass.keypoints import KeypointSchema
from hourglass.visualization.lines import Line, Size, paint_lines

# Orange and sky blue of Okabe and Ito's colour-blind-safe palette, https://jfly.uni-koeln.de/color,
# a little brighter to hold on photographs; white for what has no side.
SIDE_COLOURS = {"right": (255, 149, 0), "left": (64, 180, 255), "middle": (255, 255, 255)}

_BACKGROUND = (250, 250, 250)
_TEXT = (40, 40, 40)
_FAR = 1e6  # px; farther out a square of a length would overflow, and nothing is seen anyway
_FONT_SIZE = 15  # px, of captions and of the legend
_GAP = 6  # px between the panels of a comparison
_MARGIN = 16  # px around and between the cells of a sheet


def draw_pose(
    image: Image.Image,
    keypoints: np.ndarray,
    schema: KeypointSchema,
    keypoints_visible: np.ndarray | None = None,
) -> Image.Image:
    """Draw bones and keypoints on a copy of the image.

    Args:
        image: PIL image of any mode.
        keypoints: [K, 2], px of this image; outside of it is allowed.
        schema: names the bones and the sides of the person.
        keypoints_visible: bool [K], the ones to draw; None = all. A bone needs both of its ends,
            and what is not finite is not drawn.

    Returns:
        PIL image, RGB, of the same size.
    """
    pixels = np.array(image if image.mode == "RGB" else image.convert("RGB"))
    paint_pose(pixels, keypoints, schema, keypoints_visible)
    return Image.fromarray(pixels)


def paint_pose(
    pixels: np.ndarray,
    keypoints: np.ndarray,
    schema: KeypointSchema,
    keypoints_visible: np.ndarray | None = None,
) -> None:
    """Draw bones and keypoints on the pixels themselves, uint8 [H, W, 3], contiguous.

    Args:
        keypoints: [K, 2], px of this image; outside of it is allowed.
        schema: names the bones and the sides of the person.
        keypoints_visible: bool [K], the ones to draw; None = all.
    """
    keypoints = np.asarray(keypoints, np.float64)
    drawn = np.isfinite(keypoints).all(axis=1)
    if keypoints_visible is not None:
        drawn &= np.asarray(keypoints_visible, bool)
    keypoints = np.clip(keypoints, -_FAR, _FAR)
    height, width = pixels.shape[:2]
    radius = _line_radius((width, height), keypoints[drawn])
    # Later ones lie on top: the trunk, the limbs, then all keypoints. Arms are in front of the
    # trunk more often than behind it.
    bones = zip(schema.bone_indices, schema.bone_sides, strict=True)
    lines: list[Line] = [
        (keypoints[list(bone)], radius, SIDE_COLOURS[side])
        for bone, side in sorted(bones, key=lambda pair: pair[1] != "middle")
        if drawn[list(bone)].all()
    ]
    lines += [  # a keypoint is a line of no length
        (keypoints[[k, k]], 1.6 * radius, SIDE_COLOURS[schema.sides[k]])
        for k in np.flatnonzero(drawn)
    ]
    paint_lines(pixels, lines, outline=max(1.25, 0.4 * radius))


def draw_legend() -> Image.Image:
    """A strip that names the colours of the person's right side, left side and middle."""
    return _join([_draw_legend_entry(side) for side in SIDE_COLOURS], _FONT_SIZE)


def draw_comparison(
    image: Image.Image,
    labels: tuple[np.ndarray, np.ndarray],
    keypoints: np.ndarray,
    schema: KeypointSchema,
    caption: str,
    *,
    height: int = 360,
) -> Image.Image:
    """Ground truth beside prediction, as two captioned panels of the same size.

    Args:
        image: PIL image of any mode, best cut to the person.
        labels: [K, 2], px of this image, and which of them are labelled, bool [K].
        keypoints: [K, 2], the prediction, px of this image; all K are drawn.
        schema: of the keypoints.
        caption: short text under the prediction, such as "PCKh 93 %".
        height: px of each panel; a picture wider than twice its height gets a lower one.
    """
    # One factor for both axes, but sizes are whole: the true ones follow below.
    factor = min(height / image.height, 2 * height / image.width)
    width, height = (max(1, round(factor * side)) for side in image.size)
    panel = image.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
    # Pixel centres are at integers, so the picture's corner, which stays, is at -0.5.
    factors = np.array(panel.size) / image.size
    truth, visible = labels
    truth, keypoints = [(np.asarray(k) + 0.5) * factors - 0.5 for k in (truth, keypoints)]
    left = _caption_panel(draw_pose(panel, truth, schema, visible), "ground truth")
    right = _caption_panel(draw_pose(panel, keypoints, schema), f"prediction   {caption}".rstrip())
    return _join([left, right], _GAP)


def draw_contact_sheet(panels: Sequence[Image.Image], num_columns: int, title: str) -> Image.Image:
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


def _line_radius(size: Size, keypoints: np.ndarray) -> float:
    """Half the width of a bone: it follows the person, within what suits the picture."""
    picture = max(size)
    person = np.ptp(keypoints, axis=0).max() if len(keypoints) else 0
    return min(max(0.006 * person, 0.8, 0.0015 * picture), 0.006 * picture)


def _join(images: Sequence[Image.Image], gap: int) -> Image.Image:
    """Images of one height side by side, `gap` px apart."""
    width = sum(image.width for image in images) + gap * (len(images) - 1)
    joined = Image.new("RGB", (width, images[0].height), _BACKGROUND)
    x = 0
    for image in images:
        joined.paste(image, (x, 0))
        x += image.width + gap
    return joined


def _draw_legend_entry(side: str) -> Image.Image:
    font = ImageFont.load_default(_FONT_SIZE)
    sample, height = 2 * _FONT_SIZE, 2 * _FONT_SIZE
    text_x = sample + _FONT_SIZE // 2
    size = (text_x + math.ceil(font.getlength(side)), height)
    radius = _FONT_SIZE / 6
    ends = np.array([(2 * radius, height / 2), (sample - 2 * radius, height / 2)])
    line = (ends, radius, SIDE_COLOURS[side])
    pixels = np.full((*size[::-1], 3), _BACKGROUND, np.uint8)
    paint_lines(pixels, [line], outline=1)
    entry = Image.fromarray(pixels)
    at = (text_x, height / 2)
    ImageDraw.Draw(entry).text(at, side, fill=_TEXT, font=font, anchor="lm")
    return entry


def _caption_panel(panel: Image.Image, caption: str) -> Image.Image:
    """The panel with a line of text under it, widened where the text is longer."""
    font = ImageFont.load_default(_FONT_SIZE)
    width = max(panel.width, math.ceil(font.getlength(caption)))
    captioned = Image.new("RGB", (width, panel.height + 2 * _FONT_SIZE), _BACKGROUND)
    captioned.paste(panel, ((width - panel.width) // 2, 0))
    at = (width / 2, panel.height + _FONT_SIZE)
    ImageDraw.Draw(captioned).text(at, caption, fill=_TEXT, font=font, anchor="mm")
    return captioned


def _draw_header(title: str, width: int) -> Image.Image:
    """Title on the left, legend on the right, at least `width` px wide."""
    font = ImageFont.load_default(22)
    legend = draw_legend()
    title_width = math.ceil(font.getlength(title))
    width = max(width, title_width + 2 * _MARGIN + legend.width)
    header = Image.new("RGB", (width, legend.height), _BACKGROUND)
    ImageDraw.Draw(header).text((0, header.height / 2), title, fill=_TEXT, font=font, anchor="lm")
    header.paste(legend, (header.width - legend.width, 0))
    return header
