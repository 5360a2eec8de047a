"""Scenes for the detector of people: black pictures with white squares for people."""

import io

import numpy as np
from PIL import Image

from hourglass.data.scenes import Scene


def make_scene(size=(200, 100), squares=((150, 40, 50),), is_complete=True):
    """A black picture with a white square where each person is."""
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    for x, y, side in squares:
        rows, columns = (slice(max(0, round(v - side / 2)), round(v + side / 2)) for v in (y, x))
        pixels[rows, columns] = 255
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, "JPEG", quality=95)
    return Scene(encoded.getvalue(), np.array(squares, np.float64), is_complete)
