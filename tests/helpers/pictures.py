"""Picture files of every kind, how a camera stores them, and what a canvas was filled with."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

from hourglass.data.synthetic.canvas import Canvas

# For numpy arrays [H, W, 3] of the upright picture: what a camera stores under each orientation
# (EXIF 2.3, tag 0x0112: which side of the picture the stored first row and first column are).
STORED_AS = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: np.rot90,
    7: lambda a: np.rot90(a)[:, ::-1],
    8: lambda a: np.rot90(a, -1),
}


def file_of(image, kind, **options):
    """The bytes of an image, or of uint8 pixels, saved as `kind`."""
    if isinstance(image, np.ndarray):
        image = Image.fromarray(np.ascontiguousarray(image))
    with io.BytesIO() as buffer:
        image.save(buffer, kind, **options)
        return buffer.getvalue()


def jpeg_of(pixels, orientation=1, **options):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = STORED_AS[orientation](pixels)
    return file_of(stored, "JPEG", exif=exif, **({"quality": 95} | options))


def png_of(width, height, depth, colour, rows):
    """A PNG written by hand: Pillow writes neither 16-bit colour nor false sizes."""

    def chunk(name, data):
        checked = name + data
        return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row for row in rows))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    )


def write_tiff(pixels, tags, order="<", strips=None):
    """A TIFF's bytes (TIFF 6.0): `tags` {number: whole numbers} beside those of its pixels."""
    parts = strips or [pixels.tobytes()]
    height, width = pixels.shape[:2]
    lengths = [len(part) for part in parts]
    starts = [8 + sum(lengths[:k]) for k in range(len(parts))]
    tags = {256: [width], 257: [height], 259: [1], 278: [height], 279: lengths, 273: starts} | tags
    place, table, far = 8 + sum(lengths), b"", b""
    for number in sorted(tags):
        values = struct.pack(f"{order}{len(tags[number])}I", *tags[number])
        if len(values) > 4:
            values, more = struct.pack(f"{order}I", place + 6 + 12 * len(tags) + len(far)), values
            far += more
        table += struct.pack(f"{order}HHI", number, 4, len(tags[number])) + values
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, place)
    directory = struct.pack(f"{order}H", len(tags)) + table + bytes(4) + far
    return head + b"".join(parts) + directory


def draw_coverage(size, draw):
    """How much of each pixel, 0..1, `draw(canvas)` covers in black or nearly so."""
    canvas = Canvas(Image.new("RGB", size, "white"))
    draw(canvas)
    return 1 - np.asarray(canvas.finish().convert("L"), float) / 255
