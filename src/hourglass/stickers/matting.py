"""A person told from their surroundings: by the body that their joints tell, and by colours.

Which side of the edge a pixel is on is told by how far it lies from the body, made of hulls of
circles, and by whether its colour is more frequent on the body or around it, near that place.
Frequencies are counted in a grid over places and colours, blurred (the bilateral grid: Chen et al.,
SIGGRAPH 2007), and anew after each decision, as in GrabCut (Rother et al., SIGGRAPH 2004). The edge
follows the picture's by a guided filter (He et al., ECCV 2010).

Letters: D, the side of the square that is looked at, px.
"""

import numpy as np
from PIL import Image, ImageFilter

from hourglass.synthetic.canvas import DIRECTIONS

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
