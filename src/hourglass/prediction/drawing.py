"""Keypoints and skeletons on images, and sheets of them.

Keypoints are [K, 2] (x, y) in pixels of the image they are drawn on, pixel centres at integers.
`draw_` functions return new RGB images, `paint_` ones change the pixels that they are given. The
same input gives the same pixels.
"""

import math

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from hourglass.prediction.painting import paint_lines
from hourglass.skeleton import BONES, JOINTS

# Orange and sky blue of Okabe and Ito's colour-blind-safe palette, https://jfly.uni-koeln.de/color,
# a little brighter to hold on photographs; white for what has no side.
SIDE_COLOURS = {"right": (255, 149, 0), "left": (64, 180, 255), "middle": (255, 255, 255)}

_BACKGROUND = (250, 250, 250)
_TEXT = (40, 40, 40)
_FAR = 1e6  # px; farther out a square of a length would overflow, and nothing is seen anyway
_GAP = 6  # px between the panels of a comparison
_MARGIN = 16  # px around and between the cells of a sheet


def draw_pose(image, keypoints, joints_vis=None):
    """Draw bones and joints on a copy of the image.

    Args:
        image: PIL image of any mode.
        keypoints: [16, 2], px of this image; outside of it is allowed.
        joints_vis: bool [16], the joints to draw; None = all. A bone needs both of its joints, and
            what is not finite is not drawn.

    Returns:
        PIL image, RGB, of the same size.
    """
    pixels = np.array(image if image.mode == "RGB" else image.convert("RGB"))
    paint_pose(pixels, keypoints, joints_vis)
    return Image.fromarray(pixels)


def paint_pose(pixels, keypoints, joints_vis=None):
    """What `draw_pose` does, on the pixels themselves, uint8 [H, W, 3], contiguous."""
    keypoints = np.asarray(keypoints, np.float64)
    drawn = np.isfinite(keypoints).all(axis=1)
    if joints_vis is not None:
        drawn &= np.asarray(joints_vis, bool)
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


def draw_comparison(image, joints, joints_vis, keypoints, caption, *, height=360):
    """Ground truth beside prediction, as two captioned panels of the same size.

    Args:
        image: PIL image of any mode, best cut to the person.
        joints: [16, 2], the labels, px of this image.
        joints_vis: bool [16], the labelled joints; the keypoints are drawn with all 16.
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
    left = _caption_panel(draw_pose(panel, joints, joints_vis), "ground truth")
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
