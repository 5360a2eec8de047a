"""A body dressed as a cartoon, in the colours that its person wears on the picture."""

import colorsys
from dataclasses import dataclass

import numpy as np

from hourglass.synthetic.cartoons import Figure, Outfit, draw_figure

HEAD = 1.4  # of a drawn head to a real one
# Neither of anybody: in what light a photograph was taken hides what skin is.
SKIN = (255, 204, 77)
PATCH = 0.025  # heights, the radius of what a colour is taken of
# Pictures are dull beside drawings: saturation and value of clothes, as parts of 1.
VIVID = 1.6
LEAST_VALUE, MOST_VALUE = 0.3, 0.95


@dataclass(frozen=True)
class Character(Figure):
    """A figure with bolder lines."""

    @property
    def outline(self):
        """Width of the drawn outline, px."""
        return 0.011 * self.height


def dress_body(body, outfit):
    """The body in clothes, its head larger."""
    neck, top = body.points["upper_neck"], body.points["head_top"]
    points = body.points | {"head_top": neck + HEAD * (top - neck)}
    return Character(points, body.head_axes, body.height, body.pose, outfit)


def draw_character(canvas, character):
    """Draw a dressed body."""
    draw_figure(canvas, character)


def find_outfit(pixels, body):
    """What somebody wears.

    Args:
        pixels: uint8 [H, W, 3], the picture. body: theirs on it.
    """

    def colour(*pairs):
        places = [
            body.points[a][:2] + part * (body.points[b] - body.points[a])[:2]
            for a, b, part in pairs
        ]
        return _median_colour(pixels, places, PATCH * body.height)

    def both(first, second, part=0.5):
        return colour(*((f"{side}_{first}", f"{side}_{second}", part) for side in "rl"))

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


def _cover(upper, lower, cloth, skin, short):
    """How far a limb is covered, in segments, by the colours of its two."""

    def is_cloth(colour):
        return np.linalg.norm(colour - cloth) < np.linalg.norm(colour - skin)

    if is_cloth(lower):
        return 2.0
    return short if is_cloth(upper) else 0.0


def _median_colour(pixels, places, radius):
    """The median colour [3] around places [N, 2], px; those outside count as at the border."""
    steps = np.linspace(-radius, radius, 5)
    around = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    where = (np.array(places)[:, None] + around).reshape(-1, 2)
    x, y = np.clip(np.rint(where), 0, np.array(pixels.shape[1::-1]) - 1).astype(int).T
    return np.median(pixels[y, x], axis=0)


def _brighten(colour):
    hue, saturation, value = colorsys.rgb_to_hsv(*(colour / 255))
    value = np.clip(1.25 * value, LEAST_VALUE, MOST_VALUE)
    rgb = colorsys.hsv_to_rgb(hue, min(1, VIVID * saturation), value)
    return tuple(round(255 * channel) for channel in rgb)
