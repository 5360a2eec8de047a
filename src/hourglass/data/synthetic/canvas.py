"""A canvas that fills hulls of circles with smooth edges, and the circles it is given.

Circles are (x, y, radius) in 0-based pixels of the picture.
"""

import colorsys
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

Colour = tuple[int, ...]  # RGB, with a fourth value for opacity
Circles = Sequence[np.ndarray]  # the convex hull of these is filled

SUPERSAMPLING = 3
OUTLINE = (38, 32, 40)
DIRECTIONS = np.array([(np.cos(a), np.sin(a)) for a in np.linspace(0, 2 * np.pi, 49)[:-1]])


class Canvas:
    """A picture drawn at SUPERSAMPLING times its size; coordinates are its own 0-based pixels."""

    def __init__(self, base: Image.Image) -> None:
        self.size = base.size
        large = [SUPERSAMPLING * side for side in base.size]
        self._image = base.resize(large, Image.Resampling.NEAREST)
        self._pen = ImageDraw.Draw(self._image)
        self._glaze = ImageDraw.Draw(self._image, "RGBA")

    def fill_polygon(self, points: np.ndarray | Sequence, colour: Colour) -> None:
        """Fill a polygon [N, 2]; a colour of four values is translucent."""
        # Pixel x is made of columns S x ... S x + S - 1. Pillow drops fractions, hence the rint.
        large = np.rint(SUPERSAMPLING * np.asarray(points) + (SUPERSAMPLING - 1) / 2)
        pen = self._pen if len(colour) == 3 else self._glaze
        pen.polygon(large.ravel().tolist(), fill=colour)

    def fill_hull(self, circles: Circles, colour: Colour, grow: float = 0.0) -> None:
        """Fill the convex hull of circles [N, 3] (x, y, radius), each grown by `grow` px."""
        hull = np.add(circles, (0.0, 0.0, grow))
        # How far each circle reaches in each direction; where the farthest one ends is on the hull.
        reach = hull[:, :2] @ DIRECTIONS.T + hull[:, 2:]  # (N, directions)
        touched = hull[reach.argmax(axis=0)]  # (directions, 3)
        self.fill_polygon(touched[:, :2] + touched[:, 2:] * DIRECTIONS, colour)

    def fill_shapes(self, shapes: Sequence[tuple[Circles, Colour]], outline: float) -> None:
        """Fill shapes, (circles, colour) each, over one common outline `outline` px wide."""
        # All outlines before all fills, or they would cross the shapes where these meet.
        for circles, _ in shapes:
            self.fill_hull(circles, OUTLINE, outline)
        for circles, colour in shapes:
            self.fill_hull(circles, colour)

    def finish(self) -> Image.Image:
        """The picture in its own size."""
        # The mean of each block: smooth edges.
        return self._image.reduce(SUPERSAMPLING)


def circle(point: np.ndarray | Sequence[float], radius: float) -> np.ndarray:
    """A circle about the first two coordinates of `point`."""
    return np.array((point[0], point[1], radius))


def box(center: np.ndarray | Sequence[float], half_size: np.ndarray | float) -> list[np.ndarray]:
    """An upright box as a hull: four small circles."""
    corners = np.array(((-1, -1), (1, -1), (1, 1), (-1, 1))) * half_size
    return [circle(center + corner, 1) for corner in corners]


def interpolate(start: np.ndarray, end: np.ndarray, part: float) -> np.ndarray:
    """The circle `part` of the way from `start` (0) to `end` (1)."""
    return start + part * (end - start)


def sample_colour(
    rng: np.random.Generator, saturation: tuple[float, float], value: tuple[float, float]
) -> Colour:
    """Draw a colour of any hue; `saturation` and `value` are bounds in 0 ... 1."""
    rgb = colorsys.hsv_to_rgb(rng.random(), rng.uniform(*saturation), rng.uniform(*value))
    return tuple(round(255 * channel) for channel in rgb)
