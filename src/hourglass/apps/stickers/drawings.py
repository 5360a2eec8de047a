"""Bodies drawn as stickers: a bold figure, or a cartoon in the colours that its person wears."""

import colorsys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from hourglass.apps.stickers.framing import SIZE, Window, lay_on_white, measure_box, window_around
from hourglass.apps.stickers.lifting import LIMB_JOINTS, OUTWARD
from hourglass.data.synthetic.bodies import Body
from hourglass.data.synthetic.canvas import Canvas, Colour, circle
from hourglass.data.synthetic.cartoons import Figure, Outfit
from hourglass.inference.person_search import keypoints_bbox
from hourglass.utils.transforms import apply_transform, crop_transform, invert_transform

ROUGH = 128  # px of the drawing that a figure's box is measured on
BEYOND = 0.4  # heights that hands, feet, head and clothes may reach beyond the joints


class Drawing:
    """A body and the function that draws it, `draw(canvas, body)`.

    Attributes:
        box: low and high corner [2, 2] of the drawing, px of the picture.
    """

    def __init__(self, body: Body, draw: Callable[[Canvas, Any], None]) -> None:
        self._body, self._draw = body, draw
        points = np.array([point[:2] for point in body.points.values()])
        window = window_around(points, BEYOND * body.height)
        box = measure_box(self._paint(window, ROUGH)[1], window)
        # None where its limbs are threads, drawn out by joints far apart.
        self.box = keypoints_bbox(points) if box is None else box

    def render(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """The figure on white, uint8 [S, S, 3], and its coverage [S, S], as `window` shows it."""
        return self._paint(window, SIZE)

    def _paint(self, window: Window, size: int) -> tuple[np.ndarray, np.ndarray]:
        canvas = Canvas(Image.new("RGBA", (size, size)))
        self._draw(canvas, _place_body(self._body, window, size))
        return lay_on_white(np.asarray(canvas.finish()))


def _place_body(body: Body, window: Window, size: int) -> Body:
    """The body in px of what `window` shows at `size` px."""
    transform = invert_transform(crop_transform(window, size))
    factor = size / window[2]
    points = {
        name: np.append(apply_transform(transform, point[:2]), point[2] * factor)
        for name, point in body.points.items()
    }
    return replace(body, points=points, height=body.height * factor)


# The bold figure. Its colours are a little darker than on photographs: white surrounds them.
COLOURS = {"r": (255, 140, 0), "l": (40, 150, 235), "middle": (58, 62, 86)}
JOINT, DOT = (255, 255, 255), 0.014  # colour, and heights, of the dots on joints
RADII = {"arm": (0.036, 0.034, 0.032), "leg": (0.044, 0.040, 0.036)}  # heights


class BodyPart(NamedTuple):
    """A part of the figure: how near it is, what it fills in which colour, and its joints' dots."""

    depth: float
    hulls: list[list[np.ndarray]]
    colour: Colour
    dots: list[np.ndarray]


def draw_bold_figure(canvas: Canvas, body: Body) -> None:
    """Draw a body as a pictogram: thick limbs, the right ones orange, the left ones blue."""
    unit, middle = body.height, COLOURS["middle"]
    head_depth = body.depth("head_top") + 0.02 * unit
    parts = [_make_limb(body, side, kind) for side in OUTWARD for kind in LIMB_JOINTS]
    parts.append(BodyPart(body.depth("pelvis", "thorax"), _make_trunk(body), middle, []))
    parts.append(BodyPart(head_depth, [[_make_head(body)]], middle, []))
    for part in sorted(parts, key=lambda part: part.depth):  # the nearest last
        canvas.fill_shapes([(hull, part.colour) for hull in part.hulls], 0.014 * unit)
        for dot in part.dots:
            canvas.fill_hull([dot], JOINT)


def _make_limb(body: Body, side: str, kind: str) -> BodyPart:
    unit, names = body.height, [f"{side}_{name}" for name in LIMB_JOINTS[kind]]
    circles = [
        circle(body.points[name], radius * unit)
        for name, radius in zip(names, RADII[kind], strict=True)
    ]
    # As in cartoons: arms beside the trunk are nearer than it, legs below it farther.
    depth = body.depth(*names[1:]) + (0.03 if kind == "arm" else -0.12) * unit
    dots = [circle(body.points[name], DOT * unit) for name in names[1:]]
    return BodyPart(depth, [circles[:2], circles[1:]], COLOURS[side], dots)


def _make_trunk(body: Body) -> list[list[np.ndarray]]:
    corners = [f"{side}_{name}" for side in "rl" for name in ("shoulder", "hip")]
    shapes = (corners, 0.042), (("thorax", "upper_neck"), 0.03)
    return [[circle(body.points[n], r * body.height) for n in names] for names, r in shapes]


def _make_head(body: Body) -> np.ndarray:
    """The disc between the neck and the head's top."""
    top, neck = body.points["head_top"], body.points["upper_neck"]
    radius = np.clip(0.46 * np.linalg.norm(top - neck), 0.06 * body.height, 0.095 * body.height)
    along = (neck - top) / max(np.linalg.norm(neck - top), 1e-9)
    return circle(top + along * radius, radius)


# The cartoon.
HEAD = 1.4  # of a drawn head to a real one
SKIN = (255, 204, 77)  # no person's: the light of a photograph hides what colour skin has
PATCH = 0.025  # heights, the radius of what a colour is taken of
# Pictures are dull beside drawings: saturation and value of clothes, as parts of 1.
VIVID = 1.6
LEAST_VALUE, MOST_VALUE = 0.3, 0.95


@dataclass(frozen=True)
class Character(Figure):
    """A figure with bolder lines."""

    @property
    def outline(self) -> float:
        """Width of the drawn outline, px."""
        return 0.011 * self.height


def dress_body(body: Body, outfit: Outfit) -> Character:
    """The body in clothes, its head larger; `cartoons.draw_figure` draws it."""
    neck, top = body.points["upper_neck"], body.points["head_top"]
    points = body.points | {"head_top": neck + HEAD * (top - neck)}
    return Character(points, body.head_axes, body.height, body.pose, outfit)


def find_outfit(pixels: np.ndarray, body: Body) -> Outfit:
    """The clothes of a body's person, by the colours of a picture, uint8 [H, W, 3]."""

    def colour(*pairs: tuple[str, str, float]) -> np.ndarray:
        places = [
            body.points[a][:2] + along * (body.points[b] - body.points[a])[:2]
            for a, b, along in pairs
        ]
        return _median_colour(pixels, np.array(places), PATCH * body.height)

    def both(first: str, second: str, along: float = 0.5) -> np.ndarray:
        return colour(*((f"{side}_{first}", f"{side}_{second}", along) for side in "rl"))

    face = colour(("upper_neck", "head_top", 0.4))
    shirt = colour(("pelvis", "thorax", 0.6), ("pelvis", "thorax", 0.8))
    legs = both("hip", "knee")
    top = _brighten(shirt)
    return Outfit(
        skin=SKIN,
        hair=_brighten(colour(("upper_neck", "head_top", 0.85))),
        top=top,
        trim=tuple((np.array(top) * 2 // 3 + 85).tolist()),
        striped=False,
        bottom=_brighten(legs),
        shoe=_brighten(both("ankle", "toe")),
        sleeves=_cover(both("shoulder", "elbow", 0.7), both("elbow", "wrist"), shirt, face, 0.6),
        trousers=_cover(legs, both("knee", "ankle", 0.6), legs, face, 0.55),
        skirt=False,
        long_hair=False,
        girth=1.0,
    )


def _cover(
    upper: np.ndarray, lower: np.ndarray, cloth: np.ndarray, skin: np.ndarray, short: float
) -> float:
    """How far a limb is covered, in segments, by the colours of its two."""
    is_cloth = [
        np.linalg.norm(colour - cloth) < np.linalg.norm(colour - skin) for colour in (upper, lower)
    ]
    return 2.0 if is_cloth[1] else short if is_cloth[0] else 0.0


def _median_colour(pixels: np.ndarray, places: np.ndarray, radius: float) -> np.ndarray:
    """The median colour [3] around places [N, 2], px; those outside count as at the border."""
    steps = np.linspace(-radius, radius, 5)
    around = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    where = (places[:, None] + around).reshape(-1, 2)
    x, y = np.clip(np.rint(where), 0, np.array(pixels.shape[1::-1]) - 1).astype(int).T
    return np.median(pixels[y, x], axis=0)


def _brighten(colour: np.ndarray) -> Colour:
    hue, saturation, value = colorsys.rgb_to_hsv(*(colour / 255))
    value = float(np.clip(1.25 * value, LEAST_VALUE, MOST_VALUE))
    red, green, blue = colorsys.hsv_to_rgb(hue, min(1, VIVID * saturation), value)
    return round(255 * red), round(255 * green), round(255 * blue)
