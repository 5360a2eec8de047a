"""Draw the stickers of a photograph side by side, on backgrounds of chats: docs/stickers.jpg.

python experiments/sticker_sheet.py docs/walking.jpg docs/stickers.jpg
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from hourglass import load
from hourglass.apps.stickers.making import STYLES, Portrait
from hourglass.utils.images import decode_image

SIDE = 300  # px of a sticker on the sheet
BACKGROUNDS = ((255, 255, 255), (214, 226, 206), (38, 44, 54))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photo", type=Path)
    parser.add_argument("sheet", type=Path)
    options = parser.parse_args()
    pixels = np.array(decode_image(options.photo.read_bytes())[0])
    network = load()
    (pose,) = network.predict(pixels)
    stickers = [make_sticker(Portrait(style, network.schema), pixels, pose) for style in STYLES]
    draw_sheet(stickers).save(options.sheet, quality=88)


def make_sticker(portrait, pixels, pose):
    portrait.add(pixels, pose)
    (sticker,) = portrait.make_stickers()
    return sticker


def draw_sheet(stickers):
    """The stickers in a row, each on another background."""
    sheet = Image.new("RGB", (len(stickers) * SIDE, SIDE))
    for column, (sticker, colour) in enumerate(zip(stickers, BACKGROUNDS, strict=True)):
        small = sticker.resize((SIDE, SIDE), Image.Resampling.LANCZOS)
        sheet.paste(Image.new("RGB", small.size, colour), (column * SIDE, 0))
        sheet.paste(small, (column * SIDE, 0), small)
    return sheet


if __name__ == "__main__":
    main()
