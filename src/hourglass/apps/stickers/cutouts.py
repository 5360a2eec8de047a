"""People cut out of a picture, and what they are cut out along.

A person told from their surroundings: by the body that their joints tell, and by colours.

Which side of the edge a pixel is on is told by how far it lies from the body, made of hulls of
circles, and by whether its colour is more frequent on the body or around it, near that place.
Frequencies are counted in a grid over places and colours, blurred (the bilateral grid: Chen et al.,
SIGGRAPH 2007), and anew after each decision, as in GrabCut (Rother et al., SIGGRAPH 2004). The edge
follows the picture's by a guided filter (He et al., ECCV 2010).

Letters: D, the side of the square that is looked at, px.
"""

import itertools

import numpy as np
from PIL import Image, ImageFilter

from hourglass.apps.stickers.framing import (
    cut_window,
    find_inside,
    lay_on_white,
    measure_box,
    window_around,
)
from hourglass.data.synthetic.canvas import DIRECTIONS, circle
from hourglass.data.synthetic.cartoons import LIMBS
from hourglass.utils.errors import UserError
from hourglass.utils.transforms import apply_transform, crop_transform, invert_transform

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
        transform = invert_transform(crop_transform(self._window, DETAIL))
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


# Heights from the body, outward: from where on a pixel is never its, and from where on nothing
# tells what surrounds it. How far from the hulls its own edge is, and how soft.
REACH, NEARBY = 0.07, 0.2
CLOTHED, SOFT = 0.005, 0.012
# Of the hulls' radii: there it is the person, by this chance at least, whatever the colour.
CORE, CERTAIN = 0.5, 0.9
PLACES, LEVELS = 8, 12  # cells of the grid along the square, and along each colour
ROUNDS = 6  # of decisions, the first of which knows no colours
SURE = 4.0  # log-odds of a colour, at most
FEW = 0.05  # pixels; so many of each colour are taken for seen on either side


def cut_body(view, hulls, height, inside):
    """How much of each pixel of a view is a person's, uint8 [D, D].

    Args:
        view: uint8 [D, D, 3]. hulls: circles [N, 3] each, px of the view.
        height: the person's, px of the view. inside: bool [D, D], what the view shows of a picture.
    """
    distance = measure_distance(hulls, len(view), 2 * NEARBY * height) / height
    core = measure_distance([hull * (1, 1, CORE) for hull in hulls], len(view), 2.0) < 0
    cells = _find_cells(view)
    outward = np.clip((distance - CLOTHED) / SOFT, -SURE, 20)
    nearby, odds = inside & (distance < NEARBY), 0.0
    for _ in range(ROUNDS):
        chance = 1 / (1 + np.exp(outward - np.clip(odds, -SURE, SURE)))
        chance[core] = np.maximum(chance[core], CERTAIN)
        chance = _mean(chance, 2) * inside
        person, around = chance * (distance < REACH), (1 - chance) * nearby
        odds = np.log((_count(cells, person) + FEW) / (_count(cells, around) + FEW))
    return _find_edge(view, person, core & inside)


def measure_distance(hulls, size, far):
    """How far each pixel [size, size] lies outside of the nearest hull, px; below 0: inside.

    From `far` on it is not measured: all that is farther is `far` away.
    """
    nearest = np.full((size, size), far, np.float32)
    for circles in hulls:
        low = np.floor((circles[:, :2] - circles[:, 2:]).min(axis=0) - far).astype(int)
        high = np.ceil((circles[:, :2] + circles[:, 2:]).max(axis=0) + far).astype(int) + 1
        left, top, right, bottom = np.clip((*low, *high), 0, size)
        x, y = np.arange(left, right, dtype=np.float32), np.arange(top, bottom, dtype=np.float32)
        window = nearest[top:bottom, left:right]
        # A hull ends, in each direction, where the farthest of its circles does.
        reach = (circles[:, :2] @ DIRECTIONS.T + circles[:, 2:]).max(axis=0)
        beyond = np.full(window.shape, -np.inf, np.float32)
        for (dx, dy), end in zip(DIRECTIONS.astype(np.float32), reach, strict=True):
            np.maximum(beyond, (y * dy)[:, None] + (x * dx - np.float32(end)), out=beyond)
        np.minimum(window, beyond, out=window)
    return nearest


def _find_cells(view):
    """The cell of each pixel, [D, D], and the grid's shape."""
    size = len(view)
    places = (np.arange(size) * PLACES / size + 0.5).astype(int)
    colours = (view * (LEVELS / 255) + 0.5).astype(int)
    shape = (PLACES + 1,) * 2 + (LEVELS + 1,) * 3
    index = (places[:, None], places[None], *np.moveaxis(colours, -1, 0))
    return np.ravel_multi_index(np.broadcast_arrays(*index), shape), shape


def _count(cells, weights):
    """How much weight [D, D] lies near each pixel, in place and colour."""
    index, shape = cells
    grid = np.bincount(index.ravel(), weights.ravel(), np.prod(shape)).reshape(shape)
    for axis in range(grid.ndim):
        grid = np.moveaxis(grid, axis, 0)
        blurred = 0.5 * grid
        blurred[1:] += 0.25 * grid[:-1]
        blurred[:-1] += 0.25 * grid[1:]
        grid = np.moveaxis(blurred, 0, axis)
    return grid.ravel()[index]


def _mean(values, radius):
    """The mean of the square around each pixel, [D, D] or [D, D, C]."""
    width = 2 * radius + 1
    for axis in (0, 1):
        values = np.moveaxis(values, axis, 0)
        padded = np.pad(values, [(radius + 1, radius)] + [(0, 0)] * (values.ndim - 1), "edge")
        sums = np.cumsum(padded, axis=0)
        values = np.moveaxis((sums[width:] - sums[:-width]) / width, 0, axis)
    return values


def _find_edge(view, person, core):
    """Coverage, uint8 [D, D], whose edge is the picture's own, and smooth; in one piece."""
    guided = np.clip(_filter_guided(view / 255.0, person), 0, 1)
    mask = Image.fromarray((255 * guided).astype(np.uint8))
    mask = np.asarray(mask.filter(ImageFilter.MedianFilter(7)).filter(ImageFilter.GaussianBlur(2)))
    mask = np.clip((mask - 127.5) * 5 + 127.5, 0, 255).astype(np.uint8)
    return np.where(_find_joined(mask > 0, core), mask, 0).astype(np.uint8)


def _filter_guided(guide, values, radius=5, least=2e-3):
    """`values` [D, D] as a linear function of the guide [D, D, 3] around each pixel."""
    mean, mean_value = _mean(guide, radius), _mean(values, radius)
    products = guide[..., :, None] * guide[..., None, :]
    covariance = _mean(products.reshape(*values.shape, 9), radius).reshape(products.shape)
    covariance -= mean[..., :, None] * mean[..., None, :]
    both = _mean(guide * values[..., None], radius) - mean * mean_value[..., None]
    slope = np.linalg.solve(covariance + least * np.eye(3), both[..., None])[..., 0]
    offset = mean_value - (slope * mean).sum(axis=-1)
    return (_mean(slope, radius) * guide).sum(axis=-1) + _mean(offset, radius)


def _find_joined(mask, start):
    """Which pixels of a mask hang together with those of `start`."""
    joined, number = start & mask, -1
    while number != (number := np.count_nonzero(joined)):
        for axis, step in ((0, 1), (0, -1), (1, 1), (1, -1)):
            # Along the axis to the end of each run that is reached.
            joined = _spread(joined, mask, axis, step)
    return joined


def _spread(joined, mask, axis, step):
    lines, allowed = (np.moveaxis(array, axis, 0)[::step] for array in (joined.copy(), mask))
    for line in range(1, len(lines)):
        lines[line] |= lines[line - 1] & allowed[line]
    return np.moveaxis(lines[::step], 0, axis)
