#!/usr/bin/env bash
# Pillow shows some pictures of 16 bits a level black or as a negative. Seen with pillow 13.0.0.
#
# - A TIFF of one channel may say that 0 is white (PhotometricInterpretation 0). Of 8 bits Pillow
#   inverts it. Of 16 bits it does not, and no warning tells.
# - Of a PNG with 16 bits a colour only the upper bytes are read. A sensor's 12 bits become 16 levels,
#   almost black. The same levels in one channel keep all of their bits.
#
# A good engineer would expect one rule for the files of a format, whatever their bits are.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pillow==13.0.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import io
import struct
import zlib

import numpy as np
from PIL import Image


def save_tiff(levels):
    """A TIFF in which 0 is white."""
    file = io.BytesIO()
    Image.fromarray(levels).save(file, "TIFF", tiffinfo={262: 0})
    return file.getvalue()


def save_png(levels, colour):
    """A PNG of 16 bits a level, of uint16 [H, W, C]."""

    def chunk(name, body):
        checksum = zlib.crc32(name + body)
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", checksum)

    height, width = levels.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in levels)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*one) for one in chunks)


def read(data):
    return np.asarray(Image.open(io.BytesIO(data)))


first = {}
for name, levels in (("8", np.zeros((2, 2), np.uint8)), ("16", np.zeros((2, 2), np.uint16))):
    data = save_tiff(levels)
    if name == "8":  # Pillow stores these inverted: what it reads back is what was given
        stored = data.count(b"\xff" * 4)
    first[name] = read(data).flat[0]
print(f"0 where 0 is white: stored inverted and read back as {first['8']} of 8 bits, "
      f"as {first['16']} of 16 bits")
assert stored == 1 and (first["8"], first["16"]) == (0, 0), "the behaviour has changed"

levels = np.full((4, 4, 3), 4095, np.uint16)  # white, of 12 bits
colour, grey = read(save_png(levels, 2)), read(save_png(levels[..., :1], 0))
print(f"4,095 of 12 bits is read as {colour.max()} of 255 in colour, as {grey.max()} in grey")
assert (colour.max(), grey.max()) == (15, 4095), "the behaviour has changed"
PYTHON
