"""Any picture file to upright RGB pixels, square crops of it, and JPEG bytes. Pillow."""

import contextlib
import io
import math
import struct
import zlib
from collections.abc import Iterator

from PIL import ExifTags, Image

from hourglass.utils import levels
from hourglass.utils.errors import UserError, one_line

# Twice a 50 megapixel camera; a file that claims more is taken for a decompression bomb.
MAX_PIXELS = 100_000_000
OUTSIDE = "the person lies outside the picture: fix center or scale"
# What Pillow's decoders raise on files that are not what they claim to be.
_DECODE_ERRORS = (
    OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, OverflowError,
    RuntimeError, struct.error, zlib.error, Image.DecompressionBombError,
)  # fmt: skip
# What makes a stored picture upright, by its orientation (EXIF 2.3, tag 0x0112).
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class BadImageError(UserError):
    """A picture that cannot be used; the text says why, without the file's name."""


class Picture:
    """A picture file of any kind Pillow knows; decoded once at each size that is asked for.

    Args:
        data: the file's bytes.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._decoded: dict[int, Image.Image] = {}  # by factor

    def decode(self, reduction: float = 1.0) -> tuple[Image.Image, int]:
        """The picture's pixels.

        Args:
            reduction: the factor by which the picture will be shrunk. A JPEG is then decoded at
                1/2, 1/4 or 1/8 of its size if that has enough pixels: several times faster.

        Returns:
            image: RGB, upright (EXIF orientation applied), transparency on white, the first frame;
                not to be changed.
            factor: the picture's true pixels to one of `image`: 1, 2, 4 or 8.

        Raises:
            BadImageError: not a picture, damaged, or too large.
        """
        with open_image(self.data) as image, _decode_errors():
            factor = _draft(image, reduction)
            if factor not in self._decoded:
                self._decoded[factor] = load_upright(image)
            return self._decoded[factor], factor


def decode_image(data: bytes, reduction: float = 1.0) -> tuple[Image.Image, int]:
    """The pixels of a file's bytes, and the factor by which they are fewer: `Picture.decode`."""
    return Picture(data).decode(reduction)


def open_image(data: bytes) -> Image.Image:
    """Open a picture by its header alone: its size is known, no pixel is decoded.

    Raises:
        BadImageError: not a picture, or too large.
    """
    with _decode_errors():
        try:
            image = Image.open(io.BytesIO(data))
        except Image.UnidentifiedImageError:
            raise BadImageError(f"cannot be decoded: {_explain_unknown(data)}") from None
    if image.format == "EPS":  # Pillow would hand it to Ghostscript, a program
        raise BadImageError("is PostScript, a program and not a picture")
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise BadImageError(f"{width} x {height} px, more than {MAX_PIXELS:,} in all")
    return image


def load_upright(image: Image.Image) -> Image.Image:
    """The pixels of an opened picture: RGB, EXIF orientation applied, transparency on white.

    Of more than 8 bits a level it has 8, by the rule of `utils.levels`.

    Raises:
        BadImageError: it is damaged.
    """
    with _decode_errors():
        pixels = _load_bytes(image)
        # Only where needed: it copies the pixels.
        turn = _TURNS.get(_read_orientation(image))
        return _to_rgb(pixels if turn is None else pixels.transpose(turn))


def _load_bytes(image: Image.Image) -> Image.Image:
    """Load an opened picture, before its file is closed; 8 bits a channel, of any mode."""
    is_inverted = levels.is_white_zero(image)
    lower = levels.open_lower_bytes(image)
    image.load()
    if levels.is_grey(image):
        return levels.read_grey(image, is_inverted)
    if lower and levels.is_dark(image):
        lower.load()
        return levels.read_colours(image, lower)
    return image


@contextlib.contextmanager
def _decode_errors() -> Iterator[None]:
    try:
        yield
    except BadImageError:
        raise
    except _DECODE_ERRORS as error:
        reason = one_line(error).replace(repr(io.BytesIO), "").strip() or type(error).__name__
        raise BadImageError(f"cannot be decoded: {reason}") from None


def _explain_unknown(data: bytes) -> str:
    """Why Pillow knows no picture of these bytes."""
    if data[4:8] == b"ftyp" and data[8:11] in (b"hei", b"hev", b"mif", b"msf"):  # HEIF's brands
        return "HEIC, a camera's form that is not read here; save it as JPEG"
    return "not a picture" if data else "empty file"


def _draft(image: Image.Image, reduction: float) -> int:
    """Choose the size to decode an opened picture at: the factor."""
    width, height = image.size
    # A reduced JPEG's last column and row may stand for fewer pixels than the others;
    # turned to the front they would shift the picture.
    is_exact = width % 8 == height % 8 == 0
    if reduction >= 2 and image.format == "JPEG" and (is_exact or _is_upright(image)):
        image.draft("RGB", (math.ceil(width / reduction), math.ceil(height / reduction)))
    # `draft` chooses the reduction itself and does not say which.
    return next(k for k in (1, 2, 4, 8) if math.ceil(width / k) == image.size[0])


def is_plain_jpeg(data: bytes) -> bool:
    """Whether a decoder that knows neither EXIF nor colour spaces shows the picture as we do."""
    with Image.open(io.BytesIO(data)) as image:
        return image.format == "JPEG" and image.mode == "RGB" and _is_upright(image)


def _read_orientation(image: Image.Image) -> int:
    return image.getexif().get(ExifTags.Base.Orientation, 1)


def _is_upright(image: Image.Image) -> bool:
    return _read_orientation(image) == 1


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.has_transparency_data:
        image = image.convert("RGBA")
        # Converted alone, transparent pixels show whatever colour they hold, often black.
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def cut_crop(
    image: Image.Image,
    factor: int,
    crop: tuple[int, int, int],
    size: int,
    resample: Image.Resampling = Image.Resampling.BICUBIC,
) -> Image.Image:
    """Cut a crop out of a picture and resize it; black outside of the picture.

    Args:
        image: RGB, decoded at 1 / `factor` of the picture's size.
        crop: (x, y, side), a square, px of the picture at full size; it may reach outside.
        size: the side of the result, px.
        resample: one of Pillow's filters; all of them smooth when they shrink.

    Raises:
        BadImageError: the crop does not touch the picture.
    """
    x, y, side = crop
    ratio = side / size  # px of the picture to one of the result
    # In px of the result: only those that the picture fills wholly, so that no border is mixed with
    # black.
    left, right = _inside(x, image.width * factor, side, size)
    top, bottom = _inside(y, image.height * factor, side, size)
    if right <= left or bottom <= top:
        raise BadImageError(OUTSIDE)
    # Rounding may carry the bounds a hair outside the picture, which Pillow refuses.
    bounds = (
        max((x + left * ratio) / factor, 0),
        max((y + top * ratio) / factor, 0),
        min((x + right * ratio) / factor, image.width),
        min((y + bottom * ratio) / factor, image.height),
    )
    # `box` takes fractions: the part keeps its exact place, to less than a pixel.
    part = image.resize((right - left, bottom - top), resample, box=bounds)
    canvas = Image.new("RGB", (size, size))
    canvas.paste(part, (left, top))
    return canvas


def _inside(start: int, length: int, side: int, size: int) -> tuple[int, int]:
    """First and last + 1 of the result's pixels that lie wholly in a picture of `length` px."""
    # In whole numbers: a quotient a hair below its true value would lose a column.
    # ceil(-start * size / side) and floor((length - start) * size / side).
    return max(0, -(start * size // side)), min(size, (length - start) * size // side)


def encode_jpeg(image: Image.Image, quality: int) -> bytes:
    """The image as JPEG bytes; the same image gives the same bytes."""
    with io.BytesIO() as buffer:
        image.save(buffer, format="JPEG", quality=quality)
        return buffer.getvalue()
