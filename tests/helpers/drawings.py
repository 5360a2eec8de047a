"""What a canvas of the drawn people was filled with."""

import numpy as np
from PIL import Image

from hourglass.data.synthetic.canvas import Canvas


def draw_coverage(size, draw):
    """How much of each pixel, 0..1, `draw(canvas)` covers in black or nearly so."""
    canvas = Canvas(Image.new("RGB", size, "white"))
    draw(canvas)
    return 1 - np.asarray(canvas.finish().convert("L"), float) / 255
