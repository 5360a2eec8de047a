"""People cut out of a picture, along colours and along a body drawn around their joints.

The body is made of hulls of circles. Two things decide whether a pixel belongs to the person: its
distance from the body, and whether its colour is more frequent on the body or around it nearby.
Frequencies are counted in a blurred grid over places and colours (the bilateral grid: Chen et al.,
SIGGRAPH 2007). They are counted anew after each decision, as in GrabCut (Rother et al., SIGGRAPH
2004). The edge follows the picture's by a guided filter (He et al., ECCV 2010).

Letters: D, the side in px of the crop in which a figure is told from its surroundings.
"""

import itertools
from collections.abc import Callable, Collection, Sequence

import numpy as np
from PIL import Image, ImageFilter

from hourglass.apps.stickers.framing import (
    Window,
    cut_window,
    find_inside,
    lay_on_white,
    measure_box,
    window_around,
)
from hourglass.data.synthetic.bodies import Body
from hourglass.data.synthetic.canvas import DIRECTIONS, circle
from hourglass.data.synthetic.cartoons import LIMBS
from hourglass.utils.errors import UserError
from hourglass.utils.transforms import apply_transform, crop_transform, invert_transform

DETAIL = 384  # D
KEPT = 768  # px a side, at most, of the part of the picture that is kept
AROUND = 0.25  # heights of the picture that are taken in beyond the joints
WIDER = 1.1  # of people's limbs, with clothes, to the cartoons' radii


class Cutout:
    """A person cut out of a picture.

    Args:
        pixels: uint8 [H, W, 3], the picture.
        body: theirs on it, in its px.
        visible: names of the joints to go by; limbs of others are left out.

    Attributes:
        box: low and high corner [2, 2] of the cutout, px of the picture.

    Raises:
        UserError: nothing of the body is on the picture.
    """

    def __init__(self, pixels: np.ndarray, body: Body, visible: Collection[str]) -> None:
        joints = np.array([point[:2] for point in body.points.values()])
        self._window = window_around(joints, AROUND * body.height)
        side = self._window[2]
        image = Image.fromarray(pixels)
        # The part that later windows show, to keep no whole picture.
        self._kept = cut_window(image, self._window, min(KEPT, max(DETAIL, round(side))))
        crop = np.asarray(cut_window(image, self._window, DETAIL))
        left, top, right, bottom = find_inside(image.size, self._window, DETAIL)
        inside = np.zeros((DETAIL, DETAIL), bool)
        inside[top:bottom, left:right] = True
        transform = invert_transform(crop_transform(self._window, DETAIL))
        factor = DETAIL / side
        hulls = find_hulls(body, visible, lambda point: apply_transform(transform, point), factor)
        self._coverage = cut_body(crop, hulls, body.height * factor, inside)
        box = measure_box(self._coverage, self._window)
        if box is None:
            raise UserError("the body found lies outside of the picture; name a --box within it")
        self.box = box

    def render(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """The figure on white, uint8 [S, S, 3], and its coverage [S, S], as `window` shows it."""
        (x, y, side), images = self._window, (self._kept, Image.fromarray(self._coverage))
        cut = []
        for image in images:
            factor = image.width / side
            place = (window[0] - x) * factor, (window[1] - y) * factor, window[2] * factor
            cut.append(np.asarray(cut_window(image, place)))
        return lay_on_white(np.dstack(cut))


def find_hulls(
    body: Body,
    visible: Collection[str],
    place: Callable[[np.ndarray], np.ndarray],
    factor: float,
) -> list[np.ndarray]:
    """A body as circles [N, 3] whose hulls it fills.

    Args:
        visible: names of the joints to go by; limbs of others are left out.
        place: function of a point [2] of the body to where it lies.
        factor: px there to one of the body.
    """
    unit = WIDER * body.height * factor

    def at(name: str, radius: float) -> np.ndarray:
        return circle(place(body.points[name][:2]), radius * unit)

    corners = [at(f"{side}_{name}", 0.04) for side in "rl" for name in ("shoulder", "hip")]
    top, neck = at("head_top", 0), at("upper_neck", 0)
    head = top + (neck - top) * 0.44 + (0, 0, 0.46 * np.linalg.norm(top - neck))
    hulls = [corners, [at("upper_neck", 0.03), at("thorax", 0.036)], [head]]
    for side, limb in itertools.product("rl", LIMBS.values()):
        circles = {f"{side}_{name}": at(f"{side}_{name}", r) for name, r in limb.joints.items()}
        names = list(circles)
        for pair in itertools.pairwise(names):
            if set(pair) <= set(visible):
                hulls.append([circles[name] for name in pair])
        if set(names[1:]) <= set(visible):
            hulls.append([at(f"{side}_{name}", r) for name, r in limb.end.items()])
    return [np.array(hull) for hull in hulls]


# Heights from the body, outward: from where on a pixel is never its, and from where on nothing
# tells what surrounds it. How far from the hulls its own edge is, and how soft.
REACH, NEARBY = 0.07, 0.2
CLOTHED, SOFT = 0.005, 0.012
# Of the hulls' radii: there it is the person, by this chance at least, whatever the colour.
CORE, CERTAIN = 0.5, 0.9
PLACES, LEVELS = 8, 12  # cells of the grid along the crop, and along each colour
ROUNDS = 6  # of decisions, the first of which knows no colours
SURE = 4.0  # log-odds of a colour, at most
FEW = 0.05  # pixels; so many of each colour are taken for seen on either side


def cut_body(
    crop: np.ndarray, hulls: Sequence[np.ndarray], height: float, inside: np.ndarray
) -> np.ndarray:
    """How much of each pixel of a crop is a person's, uint8 [D, D].

    Args:
        crop: uint8 [D, D, 3].
        hulls: circles [N, 3] each, px of the crop.
        height: the person's, px of the crop.
        inside: bool [D, D], where the crop shows the picture.
    """
    distance = measure_distance(hulls, len(crop), 2 * NEARBY * height) / height
    core = measure_distance([hull * (1, 1, CORE) for hull in hulls], len(crop), 2.0) < 0
    cells = _find_cells(crop)
    outward = np.clip((distance - CLOTHED) / SOFT, -SURE, 20)
    nearby, odds = inside & (distance < NEARBY), np.zeros(core.shape)
    for _ in range(ROUNDS):
        chance = 1 / (1 + np.exp(outward - np.clip(odds, -SURE, SURE)))
        chance[core] = np.maximum(chance[core], CERTAIN)
        chance = _mean(chance, 2) * inside
        person, around = chance * (distance < REACH), (1 - chance) * nearby
        odds = np.log((_weigh_cells(cells, person) + FEW) / (_weigh_cells(cells, around) + FEW))
    return _find_edge(crop, person, core & inside)


def measure_distance(hulls: Sequence[np.ndarray], size: int, far: float) -> np.ndarray:
    """How far each pixel [size, size] lies outside of the nearest hull, px; below 0: inside.

    Farther pixels get the distance `far`, unmeasured.
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


def _find_cells(crop: np.ndarray) -> tuple[np.ndarray, tuple[int, ...]]:
    """The cell of each pixel, [D, D], and the grid's shape."""
    size = len(crop)
    places = (np.arange(size) * PLACES / size + 0.5).astype(int)
    colours = (crop * (LEVELS / 255) + 0.5).astype(int)
    shape = (PLACES + 1,) * 2 + (LEVELS + 1,) * 3
    index = (places[:, None], places[None], *np.moveaxis(colours, -1, 0))
    return np.ravel_multi_index(np.broadcast_arrays(*index), shape), shape


def _weigh_cells(cells: tuple[np.ndarray, tuple[int, ...]], weights: np.ndarray) -> np.ndarray:
    """How much weight [D, D] lies near each pixel, in place and colour."""
    index, shape = cells
    counts = np.bincount(index.ravel(), weights.ravel(), int(np.prod(shape)))
    grid: np.ndarray = counts.reshape(shape)
    for axis in range(grid.ndim):
        grid = np.moveaxis(grid, axis, 0)
        blurred = 0.5 * grid
        blurred[1:] += 0.25 * grid[:-1]
        blurred[:-1] += 0.25 * grid[1:]
        grid = np.moveaxis(blurred, 0, axis)
    return grid.ravel()[index]


def _mean(values: np.ndarray, radius: int) -> np.ndarray:
    """The mean of the pixels around each one, [D, D] or [D, D, C]."""
    width = 2 * radius + 1
    for axis in (0, 1):
        values = np.moveaxis(values, axis, 0)
        padded = np.pad(values, [(radius + 1, radius)] + [(0, 0)] * (values.ndim - 1), "edge")
        sums = np.cumsum(padded, axis=0)
        values = np.moveaxis((sums[width:] - sums[:-width]) / width, 0, axis)
    return values


def _find_edge(crop: np.ndarray, person: np.ndarray, core: np.ndarray) -> np.ndarray:
    """Coverage, uint8 [D, D], whose edge is the picture's own, and smooth; in one piece."""
    guided = np.clip(_filter_guided(crop / 255.0, person), 0, 1)
    image = Image.fromarray((255 * guided).astype(np.uint8))
    mask = np.asarray(image.filter(ImageFilter.MedianFilter(7)).filter(ImageFilter.GaussianBlur(2)))
    mask = np.clip((mask - 127.5) * 5 + 127.5, 0, 255).astype(np.uint8)
    return np.where(_find_joined(mask > 0, core), mask, 0).astype(np.uint8)


def _filter_guided(guide: np.ndarray, values: np.ndarray) -> np.ndarray:
    """`values` [D, D] as a linear function of the guide [D, D, 3] around each pixel."""
    radius, least = 5, 2e-3
    mean, mean_value = _mean(guide, radius), _mean(values, radius)
    products = guide[..., :, None] * guide[..., None, :]
    covariance = _mean(products.reshape(*values.shape, 9), radius).reshape(products.shape)
    covariance -= mean[..., :, None] * mean[..., None, :]
    both = _mean(guide * values[..., None], radius) - mean * mean_value[..., None]
    slope = np.linalg.solve(covariance + least * np.eye(3), both[..., None])[..., 0]
    offset = mean_value - (slope * mean).sum(axis=-1)
    return (_mean(slope, radius) * guide).sum(axis=-1) + _mean(offset, radius)


def _find_joined(mask: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Which pixels of a mask [D, D] hang together, by their sides, with those of `start`."""
    joined, number = start & mask, -1
    runs = _number_runs(mask), _number_runs(mask.T).T
    while number != (number := int(np.count_nonzero(joined))):
        for run in runs:
            joined = mask & np.isin(run, run[joined])
    return joined


def _number_runs(mask: np.ndarray) -> np.ndarray:
    """A number, [D, D], for each run of a mask's pixels along the rows."""
    gaps = np.pad(~mask, [(0, 0), (1, 0)], constant_values=True)
    return np.cumsum(gaps).reshape(gaps.shape)[:, 1:]
