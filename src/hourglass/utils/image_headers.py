"""Picture files opened by their headers: what they are and how large, before a pixel is decoded."""

import contextlib
import importlib.util
import io
import math
import struct
import zlib
from collections.abc import Iterator
from typing import IO, Any

from PIL import ExifTags, Image, JpegImagePlugin

from hourglass.utils.errors import UserError, one_line

# Twice a 50 megapixel camera. A JPEG of more, as phones of 200 megapixels make it, is decoded at a
# fraction of its size. Another file that claims more is taken for a decompression bomb.
MAX_PIXELS, MAX_JPEG_PIXELS = 100_000_000, 500_000_000
# What Pillow's decoders raise on files that are not what they claim to be.
_DECODE_ERRORS = (
    OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, OverflowError,
    RuntimeError, struct.error, zlib.error, Image.DecompressionBombError,
)  # fmt: skip
_REDUCIBLE = ("JPEG", "MPO")
_JPEG = b"\xff\xd8\xff"
_HEIF = (b"hei", b"hev", b"mif", b"msf")  # brands begin with these
# The first bytes of cameras' raw files that no picture format begins with: Fujifilm, Panasonic,
# Olympus (two), Sigma. Canon's CR3 is in MP4's container.
_RAW = (b"FUJIFILMCCD-RAW", b"IIU\0", b"IIRO", b"MMOR", b"FOVb")
_SUBFILE, _REDUCED = 254, 1  # TIFF 6.0, NewSubfileType, and its bit


class BadImageError(UserError):
    """A picture that cannot be used; the text says why, without the file's name."""


@contextlib.contextmanager
def decode_errors() -> Iterator[None]:
    """Turn what Pillow raises on bad files into `BadImageError`."""
    try:
        yield
    except BadImageError:
        raise
    except _DECODE_ERRORS as error:
        reason = one_line(error).replace(repr(io.BytesIO), "").strip() or type(error).__name__
        raise BadImageError(f"cannot be decoded: {reason}") from None


def open_image(data: bytes) -> Image.Image:
    """Open a picture by its header alone: its size is known, no pixel is decoded.

    Raises:
        BadImageError: not a picture, or too large.
    """
    with decode_errors():
        try:
            image = _open(data)
        except Image.UnidentifiedImageError:
            raise BadImageError(f"cannot be decoded: {_explain_unknown(data)}") from None
    if image.format == "EPS":  # Pillow would hand it to Ghostscript, a program
        raise BadImageError("is PostScript, a program and not a picture")
    width, height = image.size
    if _is_thumbnail(image, data):
        raise BadImageError(
            f"is a camera's raw file; only its thumbnail, {width} x {height} px, could be read; "
            "save it as JPEG"
        )
    limit = MAX_JPEG_PIXELS if image.format in _REDUCIBLE else MAX_PIXELS
    if width * height > limit:
        raise BadImageError(f"{width} x {height} px, more than {limit:,} in all")
    return image


def _open(data: bytes) -> Image.Image:
    if _is_heif(data) and importlib.util.find_spec("pillow_heif"):
        from pillow_heif import HeifImageFile

        return HeifImageFile(io.BytesIO(data))
    try:
        return Image.open(io.BytesIO(data))
    except Image.DecompressionBombError:
        if not data.startswith(_JPEG):
            raise
        return JpegImagePlugin.JpegImageFile(io.BytesIO(data))  # it is decoded at a fraction


def _is_heif(data: bytes) -> bool:
    return data[4:8] == b"ftyp" and data[8:11] in _HEIF


def _explain_unknown(data: bytes) -> str:
    """Why Pillow knows no picture of these bytes."""
    if _is_heif(data):
        return "HEIC, which needs pillow-heif: `pip install pillow-heif`, or save it as JPEG"
    if data.startswith(_RAW) or data[4:12] == b"ftypcrx ":
        return "a camera's raw file; save it as JPEG"
    return "not a picture" if data else "empty file"


def _is_thumbnail(image: Image.Image, data: bytes) -> bool:
    """Whether an opened picture is the thumbnail of a raw file in TIFF's form: CR2, NEF, DNG."""
    if image.format != "TIFF":
        return False
    tags: Any = getattr(image, "tag_v2", {})
    is_reduced = bool(tags.get(_SUBFILE, 0) & _REDUCED)
    return is_reduced or data[8:10] == b"CR"


def read_stored_size(file: IO[bytes]) -> tuple[tuple[int, int], bool]:
    """The size of an opened picture file as stored, px, and whether EXIF turns it by 90 degrees.

    Only the header is read.

    Raises:
        BadImageError: not a picture.
    """
    with decode_errors(), Image.open(file) as image:
        # Pillow decodes a PNG in search of an EXIF block behind its pixels.
        is_told = image.format != "PNG" or "exif" in image.info
        return image.size, is_told and read_orientation(image) in (5, 6, 7, 8)


def find_least_factor(image: Image.Image) -> int:
    """By how much an opened JPEG is decoded smaller, to have `MAX_PIXELS` at most; 1 for others."""
    if image.format not in _REDUCIBLE:
        return 1
    return next((k for k in (1, 2, 4) if math.prod(image.size) <= MAX_PIXELS * k**2), 8)


def read_orientation(image: Image.Image) -> int:
    """How an opened picture is stored (EXIF 2.3, tag 0x0112); 1 is upright."""
    return image.getexif().get(ExifTags.Base.Orientation, 1)


def describe_pages(image: Image.Image) -> tuple[str, ...]:
    """That an opened picture is one of several, for people; else nothing."""
    number = 1
    with contextlib.suppress(*_DECODE_ERRORS):  # of the others; this one may be whole
        number = getattr(image, "n_frames", 1)
    # MPO's other pictures are previews, depths and gains.
    return (f"the first of its {number} frames",) if number > 1 and image.format != "MPO" else ()
