"""The scenery of drawn people: backdrop, ground, clutter, and objects that hide a joint."""

import numpy as np
from PIL import Image

from hourglass.data.synthetic.canvas import DIRECTIONS, Canvas, box, circle, sample_colour
from hourglass.data.synthetic.cartoons import Figure

QUIET = (0.03, 0.24), (0.5, 0.95)  # bounds of a backdrop colour's saturation and value
LEAF = ((0, 0.002), (0.07, 0.022), (0.13, 0.002))  # circles along a leaf: distance, radius
POLE_REACH = 480  # px to either side of what the pole hides


def paint_backdrop(rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """A picture of `size` in one pale or dim tint: a gradient, soft clouds or a rough wall."""
    cells, spread = ((1, 16), (3, 9), (40, 4))[rng.integers(3)]
    light = rng.normal(0, spread, (cells + 1, cells + 1, 1))
    grid = sample_colour(rng, *QUIET) + light + rng.normal(0, spread / 4, light.shape)
    picture = Image.fromarray(np.clip(grid, 0, 255).astype(np.uint8))
    return picture.resize(size, Image.Resampling.BICUBIC)


def draw_scenery(canvas: Canvas, rng: np.random.Generator, main: Figure) -> None:
    """Draw ground, clutter and lines like limbs, then the shadow of the figure `main`."""
    width, height = canvas.size
    feet = max(main.points["l_heel"][1], main.points["r_heel"][1])
    if rng.random() < 0.6:
        horizon = feet - rng.uniform(0.05, 0.3) * main.height
        floor = [(0, horizon), (width, horizon), (width, height), (0, height)]
        canvas.fill_polygon(floor, sample_colour(rng, *QUIET))
    for _ in range(rng.integers(0, 9)):
        _draw_clutter(canvas, rng)
    x = (main.points["l_ankle"][0] + main.points["r_ankle"][0]) / 2
    # Three faint layers: a shadow with a soft edge.
    for spread in (0.2, 0.16, 0.12):
        reach = spread * main.height
        canvas.fill_polygon((x, feet) + DIRECTIONS * (reach, 0.2 * reach), (0, 0, 0, 26))


def _draw_clutter(canvas: Canvas, rng: np.random.Generator) -> None:
    """Draw a disc, a box or a bar in a quiet colour anywhere in the picture."""
    place, span = rng.uniform(0, canvas.size), rng.uniform(0.03, 0.15) * canvas.size[0]
    end = place + rng.uniform(-4, 4, 2) * span
    bar = [circle(place, 0.15 * span), circle(end, 0.1 * span)]
    shapes = ([circle(place, span)], box(place, rng.uniform(0.4, 2, 2) * span), bar)
    canvas.fill_hull(shapes[rng.integers(3)], sample_colour(rng, *QUIET))


def draw_occluder(canvas: Canvas, rng: np.random.Generator, main: Figure) -> None:
    """Draw a pole, a box or leaves over one of the joints of the figure `main`."""
    joint, unit = rng.choice(main.keypoints), main.height
    lean = np.array((rng.uniform(-0.1, 0.1), 1)) * POLE_REACH
    pole = [circle(joint - lean, 0.03 * unit), circle(joint + lean, 0.03 * unit)]
    crate = box(joint, rng.uniform(0.04, 0.1, 2) * unit)
    leaves = [
        [circle(joint + reach * unit * direction, radius * unit) for reach, radius in LEAF]
        for direction in DIRECTIONS[rng.integers(len(DIRECTIONS), size=6)]
    ]
    hulls = ([pole], [crate], leaves)[rng.integers(3)]
    colour = sample_colour(rng, (0.2, 0.7), (0.3, 0.85))
    canvas.fill_shapes([(hull, colour) for hull in hulls], main.outline)
