"""Pictures of more than 8 bits a level, as 8 bits; whatever share of their range they fill.

Sensors give 10 to 14 bits in files of 16, and measured pictures any numbers. The rule for both:

- The darkest and the brightest thousandth of the levels are left aside: hot pixels are no content.
- White is the least of `WHITES` that the rest does not pass: 12 bits have white at 4,095. Of
  fractions it is 1, if the rest does not pass that.
- A rest that is negative, passes all of `WHITES`, or spans less than half of 0 to white, is
  stretched instead: its darkest level becomes black, its brightest one white.
"""

import io
from typing import Any

import numpy as np
from PIL import Image

FRACTIONS = 1.0
WHITES = (255, 1023, 4095, 16_383, 65_535)  # of 8, 10, 12, 14 and 16 bits
OUTLIERS = 0.1  # % of the levels at either end
MIN_SPAN = 0.5  # of 0 to white
ROWS = 256  # that are converted together: their levels take 8 bytes each
SAMPLE = 4_000_000  # levels that are sorted to find the range
DARK = 64  # of the upper bytes of 16 bits: the lower ones are read too
_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0  # TIFF 6.0, PhotometricInterpretation
_BITS, _PLANES, _SEPARATE = 258, 284, 2  # TIFF 6.0, BitsPerSample, PlanarConfiguration
# Of Pillow's raw modes of 16 bits a colour: that of the other byte of each.
_LOWER_BYTES = {"16B": "16L", "16L": "16B", "16N": "16B"}


def to_bytes(levels: np.ndarray) -> np.ndarray:
    """Levels [H, ...] of any numbers as uint8, by the rule above; NaN becomes black."""
    black, white = find_range(levels)
    result = np.empty(levels.shape, np.uint8)
    for start in range(0, len(levels), ROWS):
        rows = levels[start : start + ROWS].astype(np.float64)
        rows = np.nan_to_num(rows, nan=black, posinf=white, neginf=black)
        scaled = (rows - black) * (255 / (white - black))
        result[start : start + ROWS] = np.rint(np.clip(scaled, 0, 255))
    return result


def find_range(levels: np.ndarray) -> tuple[float, float]:
    """The levels of black and of white, by the rule above."""
    values = _sample(levels)
    if not values.size:
        return 0.0, 1.0
    low, high = _find_ends(values)
    has_fractions = high <= FRACTIONS and bool((values != np.rint(values)).any())
    whites = (FRACTIONS, *WHITES) if has_fractions else WHITES
    white = next((float(white) for white in whites if high <= white), None)
    if low >= 0 and white and (high - low >= MIN_SPAN * white or high == low):
        return 0.0, white
    return low, max(high, low + 1e-9 * max(abs(low), 1))


def _sample(levels: np.ndarray) -> np.ndarray:
    step = max(1, levels.size // SAMPLE)
    values = levels.ravel()[:: step + (step % 3 == 0)]  # of all three colours
    return values[np.isfinite(values)]


def _find_ends(values: np.ndarray) -> tuple[float, float]:
    # Of few pixels these are the least and the largest.
    low = np.percentile(values, OUTLIERS, method="lower")
    return float(low), float(np.percentile(values, 100 - OUTLIERS, method="higher"))


def is_grey(image: Image.Image) -> bool:
    """Whether a picture has one channel of more than 8 bits."""
    return image.mode.startswith("I") or image.mode == "F"


def read_grey(image: Image.Image, is_inverted: bool) -> Image.Image:
    """A loaded picture of one channel of more than 8 bits, as RGB; `is_inverted`: 0 is white."""
    grey = to_bytes(np.asarray(image))
    return Image.fromarray(255 - grey if is_inverted else grey).convert("RGB")


def is_white_zero(image: Image.Image) -> bool:
    """Whether 0 is white in a TIFF of one deep channel; Pillow inverts that of 8 bits alone."""
    tags: Any = getattr(image, "tag_v2", {})
    return is_grey(image) and tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO


def correct_planes(image: Any) -> None:
    """Correct how an opened TIFF, whose colours of 16 bits lie one after the other, is loaded.

    Pillow reads such planes as bytes: each row becomes two.
    """
    tags: Any = getattr(image, "tag_v2", {})
    if tags.get(_BITS) == (16, 16, 16) and tags.get(_PLANES) == _SEPARATE:
        order = "L" if tags.prefix == b"II" else "B"
        image.tile = [_say_bits(tile, f"16{order}") for tile in image.tile]


def _say_bits(tile: Any, order: str) -> Any:
    if tile.args[0] not in tuple("RGB"):  # libtiff's, which knows its bits
        return tile
    return tile._replace(args=(f"{tile.args[0]};{order}", *tile.args[1:]))


def open_lower_bytes(image: Any) -> Image.Image | None:
    """A second copy of an opened picture, whose pixels are the lower bytes of 16-bit colours.

    Pillow loads the upper ones alone. None where the colours have 8 bits.
    """
    tiles = [_choose_lower_byte(tile) for tile in getattr(image, "tile", [])]
    if not tiles or not all(tiles):
        return None
    other: Any = Image.open(io.BytesIO(image.fp.getvalue()))
    other.tile = tiles
    return other


def _choose_lower_byte(tile: Any) -> Any:
    args = tile.args if isinstance(tile.args, tuple) else (tile.args,)
    mode, _, order = str(args[0]).partition(";") if args else ("", "", "")
    if mode not in ("RGB", "RGBA", *"RGB") or order not in _LOWER_BYTES:
        return None
    changed = f"{mode};{_LOWER_BYTES[order]}"
    return tile._replace(args=(changed, *args[1:]) if isinstance(tile.args, tuple) else changed)


def is_dark(image: Image.Image) -> bool:
    """Whether a loaded picture, the upper bytes of 16, leaves most of its levels unused."""
    return _find_ends(_sample(np.asarray(image)[..., :3]))[1] < DARK


def read_colours(upper: Image.Image, lower: Image.Image) -> Image.Image:
    """The colours whose bytes two loaded pictures have, as RGB or RGBA."""
    colours = np.asarray(upper).astype(np.uint16) << 8 | np.asarray(lower)
    parts = [to_bytes(colours[..., :3])]
    if upper.mode == "RGBA":
        parts.append(to_bytes(colours[..., 3:]))
    return Image.fromarray(np.concatenate(parts, axis=-1))
