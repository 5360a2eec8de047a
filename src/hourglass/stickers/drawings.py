"""Bodies drawn as stickers: the bold figure, and what all drawn styles share."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from PIL import Image

from hourglass.geometry import apply_transform, invert_transform, square_transform
from hourglass.prediction.people import joints_box
from hourglass.stickers.framing import SIZE, lay_on_white, measure_box, window_around
from hourglass.stickers.lifting import LIMBS, OUTWARD
from hourglass.synthetic.canvas import Canvas, circle

ROUGH = 128  # px of the drawing that a figure's box is measured on
BEYOND = 0.4  # heights that hands, feet, head and clothes may reach beyond the joints
# A little darker than on photographs, where white surrounds them.
COLOURS = {"r": (255, 140, 0), "l": (40, 150, 235), "middle": (58, 62, 86)}
JOINT, DOT = (255, 255, 255), 0.014  # colour, and heights, of the dots on joints
RADII = {"arm": (0.036, 0.034, 0.032), "leg": (0.044, 0.040, 0.036)}  # heights


class Drawing:
    """A body and the function that draws it: `draw(canvas, body)`.

    Attributes:
        box: low and high corner [2, 2] of what is drawn, px of the picture.
    """

    def __init__(self, body, draw):
        self._body, self._draw = body, draw
        points = np.array([point[:2] for point in body.points.values()])
        window = window_around(points, BEYOND * body.height)
        self.box = measure_box(self._paint(window, ROUGH)[1], window)
        if self.box is None:  # its limbs are threads, drawn out by joints far apart
            self.box = joints_box(points)

    def render(self, window):
        """The figure on white, uint8 [S, S, 3], and its coverage [S, S], as `window` shows it."""
        return self._paint(window, SIZE)

    def _paint(self, window, size):
        canvas = Canvas(Image.new("RGBA", (size, size)))
        self._draw(canvas, place_body(self._body, window, size))
        return lay_on_white(np.asarray(canvas.finish()))


def place_body(body, window, size):
    """The body in px of what `window` shows at `size` px."""
    transform = invert_transform(square_transform(window, size))
    factor = size / window[2]
    points = {
        name: np.append(apply_transform(transform, point[:2]), point[2] * factor)
        for name, point in body.points.items()
    }
    return replace(body, points=points, height=body.height * factor)


class Part(NamedTuple):
    """A part of the figure: how near it is, what it fills in which colour, and its joints' dots."""

    depth: float
    hulls: list
    colour: tuple
    dots: list


def draw_bold_figure(canvas, body):
    """Draw a body as a pictogram: thick limbs, the right ones orange, the left ones blue."""
    unit, middle = body.height, COLOURS["middle"]
    parts = [_make_limb(body, side, kind) for side in OUTWARD for kind in LIMBS]
    parts.append(Part(body.depth("pelvis", "thorax"), _trunk(body), middle, []))
    parts.append(Part(body.depth("head_top") + 0.02 * unit, [_head(body)], middle, []))
    for part in sorted(parts, key=lambda part: part.depth):  # the nearest last
        canvas.fill_shapes([(hull, part.colour) for hull in part.hulls], 0.014 * unit)
        for dot in part.dots:
            canvas.fill_hull([dot], JOINT)


def _make_limb(body, side, kind):
    unit, names = body.height, [f"{side}_{name}" for name in LIMBS[kind]]
    circles = [
        circle(body.points[name], radius * unit)
        for name, radius in zip(names, RADII[kind], strict=True)
    ]
    # As in cartoons: arms beside the trunk are nearer than it, legs below it farther.
    depth = body.depth(*names[1:]) + (0.03 if kind == "arm" else -0.12) * unit
    dots = [circle(body.points[name], DOT * unit) for name in names[1:]]
    return Part(depth, [circles[:2], circles[1:]], COLOURS[side], dots)


def _trunk(body):
    unit = body.height
    corners = [f"{side}_{name}" for side in "rl" for name in ("shoulder", "hip")]
    neck = [circle(body.points[name], 0.03 * unit) for name in ("thorax", "upper_neck")]
    return [[circle(body.points[name], 0.042 * unit) for name in corners], neck]


def _head(body):
    """The disc between the neck and the head's top."""
    top, neck = body.points["head_top"], body.points["upper_neck"]
    radius = np.clip(0.46 * np.linalg.norm(top - neck), 0.06 * body.height, 0.095 * body.height)
    along = (neck - top) / max(np.linalg.norm(neck - top), 1e-9)
    return [circle(top + along * radius, radius)]
