"""People cut out of a picture, and what they are cut out along."""

import itertools

import numpy as np
from PIL import Image

from hourglass.errors import UserError
from hourglass.geometry import apply_transform, invert_transform, square_transform
from hourglass.stickers.framing import (
    cut_window,
    find_inside,
    lay_on_white,
    measure_box,
    window_around,
)
from hourglass.stickers.matting import cut_body
from hourglass.synthetic.canvas import circle
from hourglass.synthetic.cartoons import LIMBS

DETAIL = 384  # px of the square in which a figure is told from its surroundings
KEPT = 768  # px a side, at most, of the part of the picture that is kept
AROUND = 0.25  # heights of it that are seen beyond the joints
WIDER = 1.1  # of people's limbs, with clothes, to the cartoons' radii


class Cutout:
    """Somebody cut out of a picture.

    Args:
        pixels: uint8 [H, W, 3], the picture. body: theirs on it, a `bodies.Body`.
        seen: names of the joints to go by; the parts of others are left out.

    Attributes:
        box: low and high corner [2, 2] of what is cut out, px of the picture.

    Raises:
        UserError: nothing of the body is on the picture.
    """

    def __init__(self, pixels, body, seen):
        joints = np.array([point[:2] for point in body.points.values()])
        self._window = window_around(joints, AROUND * body.height)
        side = self._window[2]
        image = Image.fromarray(pixels)
        # The part that later windows show, to keep no whole picture.
        self._part = cut_window(image, self._window, min(KEPT, max(DETAIL, round(side))))
        view = np.asarray(cut_window(image, self._window, DETAIL))
        left, top, right, bottom = find_inside(image.size, self._window, DETAIL)
        inside = np.zeros((DETAIL, DETAIL), bool)
        inside[top:bottom, left:right] = True
        transform = invert_transform(square_transform(self._window, DETAIL))
        factor = DETAIL / side
        hulls = find_hulls(body, seen, lambda point: apply_transform(transform, point), factor)
        self._coverage = cut_body(view, hulls, body.height * factor, inside)
        self.box = measure_box(self._coverage, self._window)
        if self.box is None:
            raise UserError("the body found lies outside of the picture; name a --box within it")

    def render(self, window):
        """The figure on white, uint8 [S, S, 3], and its coverage [S, S], as `window` shows it."""
        shown, mask = (
            np.asarray(cut_window(image, self._within(window, image.width)))
            for image in (self._part, Image.fromarray(self._coverage))
        )
        return lay_on_white(np.dstack([shown, mask]))

    def _within(self, window, size):
        """A window of the picture as one of what is kept of it, of `size` px."""
        x, y, side = self._window
        factor = size / side
        return (window[0] - x) * factor, (window[1] - y) * factor, window[2] * factor


def find_hulls(body, seen, place, factor):
    """The parts of a body as circles [N, 3] whose hulls they fill.

    Args:
        body: a `bodies.Body`. seen: names of its joints to go by; parts of others are left out.
        place: function of a point [2] to where it lies. factor: px there to one of the body.
    """
    unit = WIDER * body.height * factor

    def at(name, radius):
        return circle(place(body.points[name][:2]), radius * unit)

    corners = [at(f"{side}_{name}", 0.04) for side in "rl" for name in ("shoulder", "hip")]
    hulls = [corners, [at("upper_neck", 0.03), at("thorax", 0.036)], [_find_head(body, at)]]
    for side in "rl":
        for limb in LIMBS.values():
            circles = {f"{side}_{name}": at(f"{side}_{name}", r) for name, r in limb.joints.items()}
            names = list(circles)
            for pair in itertools.pairwise(names):
                if seen.issuperset(pair):
                    hulls.append([circles[name] for name in pair])
            if seen.issuperset(names[1:]):
                hulls.append([at(f"{side}_{name}", r) for name, r in limb.end.items()])
    return [np.array(hull) for hull in hulls]


def _find_head(body, at):
    """The disc between the neck and the head's top."""
    top, neck = at("head_top", 0), at("upper_neck", 0)
    radius = 0.46 * np.linalg.norm(top - neck)
    return top + (neck - top) * 0.44 + (0, 0, radius)
