"""Stickers as bytes that WhatsApp and Telegram take.

WhatsApp (https://github.com/WhatsApp/stickers, Android/README.md and StickerPackValidator.java):
WebP of exactly 512 x 512 px. Still: 100 KB at most. Animated: 500 KB, 10 s, 8 ms a frame at least.

Telegram (https://core.telegram.org/stickers): one side is exactly 512 px. Still: PNG or WebP, 512
KB at most by its Bot API (uploadStickerFile). Moving: WebM of VP9 without sound, 256 KB, 3 s and 30
frames/s at most.
"""

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo

from hourglass.utils.errors import UserError

Setting = TypeVar("Setting")

KB = 1000  # bytes; neither says whether it means 1024, so that this suits both
MAX_WEBP, MAX_MOVING_WEBP = 100 * KB, 500 * KB
MAX_PNG, MAX_WEBM = 512 * KB, 256 * KB
MAX_SECONDS = 3.0  # WhatsApp would take 10
RATE = 15  # frames/s, at most: twice as many would halve what a frame may take
# Frames that are all alike would become one, which is no moving sticker to WhatsApp.
STILL = "shows no person who moves; name a photograph"
MARK = "hourglass sticker"  # in each file, by which we know it to be ours
QUALITIES = (95, 90, 85, 80, 75, 70, 60, 50, 40, 30, 20, 10, 5, 0)  # of lossy WebP
NUM_COLOURS = (None, 256, 128, 64, 32)  # of a PNG; None: all


def encode_png(sticker: Image.Image) -> bytes:
    """A sticker as PNG, with fewer colours where it would not fit."""

    def encode(num_colours: int | None) -> bytes:
        mark = PngInfo()
        mark.add_text("Software", MARK)
        image = sticker
        if num_colours:
            image = sticker.quantize(num_colours, Image.Quantize.FASTOCTREE)
        return _save(image, "PNG", optimize=True, pnginfo=mark)

    return find_best_quality(encode, NUM_COLOURS, MAX_PNG)


def encode_webp(sticker: Image.Image) -> bytes:
    """A sticker as WebP: lossless where that fits."""

    def encode(quality: int | None) -> bytes:
        settings = {"lossless": True} if quality is None else {"quality": quality}
        return _save(sticker, "WEBP", exif=_make_mark(), method=4, **settings)

    return find_best_quality(encode, (None, *QUALITIES), MAX_WEBP)


def encode_moving_webp(stickers: Sequence[Image.Image], durations: Sequence[int]) -> bytes:
    """Stickers that follow one another, ms each, as one animated WebP in a loop.

    Raises:
        UserError: not even the lowest quality fits; or all frames have become one.
    """

    def encode(quality: int) -> bytes:
        return _save(
            stickers[0], "WEBP", save_all=True, append_images=stickers[1:], duration=durations,
            loop=0, quality=quality, method=2, exif=_make_mark(),
        )  # fmt: skip

    data = find_best_quality(encode, QUALITIES, MAX_MOVING_WEBP)
    # Frames that differ by a few levels become one.
    with Image.open(io.BytesIO(data)) as image:
        if getattr(image, "n_frames", 1) < 2:
            raise UserError(STILL)
    return data


def find_best_quality(
    encode: Callable[[Setting], bytes], settings: Sequence[Setting], limit: int
) -> bytes:
    """The output of `encode` at the best setting that needs at most `limit` bytes.

    Args:
        settings: sorted, the best first, which fits most often; later ones make fewer bytes.

    Raises:
        UserError: not one fits.
    """
    best, first, last, middle = None, 0, len(settings), 0
    while first < last:
        data = encode(settings[middle])
        if len(data) <= limit:
            best, last = data, middle
        else:
            first = middle + 1
        middle = (first + last) // 2
    if best is None:
        raise UserError(
            f"its sticker takes more than the {limit // KB} kB that messengers allow, at the "
            "lowest quality too; choose another --style"
        )
    return best


def _save(image: Image.Image, kind: str, **settings: Any) -> bytes:
    with io.BytesIO() as buffer:
        image.save(buffer, kind, **settings)
        return buffer.getvalue()


def _make_mark() -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Software] = MARK
    return exif.tobytes()


def is_sticker(path: Path) -> bool:
    """Whether a file is a sticker that this module has encoded, by its mark."""
    with open(path, "rb") as file:
        data = file.read(MAX_PNG + 1)
    return len(data) <= MAX_PNG and MARK.encode() in data
