"""Pictures whose files end too early: what is whole of them, and how much that is.

A decoder that is given other bytes in the place of the missing ones shows the same rows up to the
damage. So a file is decoded with two endings, and the rows that are equal are whole.
"""

import contextlib
import io
import struct
import zlib
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

from hourglass.utils.image_headers import MAX_PIXELS

_ERRORS = (
    OSError, SyntaxError, ValueError, IndexError, KeyError, struct.error, zlib.error,
    Image.DecompressionBombError,
)  # fmt: skip
MIN_WHOLE = 0.5  # of the rows: with less a picture is not used
_END = b"\xff\xd9"  # of a JPEG
_NOISE = bytes(range(1, 250, 3)) * 800  # no 0xff, which would begin a marker
_PNG = b"\x89PNG\r\n\x1a\n"
_LAST_FILTER = 4  # of a PNG's rows, each of which begins with the number of one
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of a PNG, by its colour type


def mend(data: bytes) -> tuple[bytes, float] | None:
    """A file that can be decoded, and the share of its rows that are whole.

    None where nothing can be done: another form of file, or its header is not whole.
    """
    mend_form: Callable[[bytes], tuple[bytes, float]]
    if data.startswith(b"\xff\xd8\xff"):
        mend_form = _mend_jpeg
    elif data.startswith(_PNG):
        mend_form = _mend_png
    elif data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        mend_form = _mend_webp
    elif data[:4] in (b"II*\0", b"MM\0*"):
        mend_form = _mend_tiff
    else:
        return None
    try:
        return mend_form(data)
    except _ERRORS:
        return None


def _mend_jpeg(data: bytes) -> tuple[bytes, float]:
    return data + _END, _compare(data + _END, data + _NOISE + _END)


def _mend_webp(data: bytes) -> tuple[bytes, float]:
    missing = 8 + int.from_bytes(data[4:8], "little") - len(data)
    if not 0 < missing <= len(data) * 100:
        raise ValueError("not cut off")
    noise = (_NOISE * (missing // len(_NOISE) + 1))[:missing]
    return data + bytes(missing), _compare(data + bytes(missing), data + noise)


def _compare(one: bytes, other: bytes) -> float:
    """The share of rows that are equal before the first that is not."""
    pixels = []
    for data in (one, other):
        with Image.open(io.BytesIO(data)) as image:
            image.draft("RGB", (1, 1))  # a JPEG's blocks as one pixel each
            pixels.append(np.asarray(image))
    is_equal = (pixels[0] == pixels[1]).reshape(len(pixels[0]), -1).all(axis=1)
    return float(np.argmin(np.append(is_equal, False)) / len(is_equal))


def _mend_png(data: bytes) -> tuple[bytes, float]:
    chunks = list(_read_chunks(data))
    width, height, depth, colour, *_, interlace = struct.unpack(">IIBBBBB", chunks[0][1])
    if interlace:
        raise ValueError("its rows are in seven passes")
    if width * height > MAX_PIXELS:
        raise ValueError("too large")
    stride = 1 + -(-width * depth * _CHANNELS[colour] // 8)
    packed = b"".join(body for name, body in chunks if name == b"IDAT")
    rows = _unpack(packed, stride * height)
    is_row = np.frombuffer(rows[: len(rows) // stride * stride : stride], np.uint8) <= _LAST_FILTER
    rows = rows[: int(np.argmin(np.append(is_row, False))) * stride]
    share = len(rows) // stride / height
    rows = rows.ljust(stride * height, b"\0")
    before = [chunk for chunk in chunks if chunk[0] not in (b"IDAT", b"IEND")]
    whole = [*before, (b"IDAT", zlib.compress(rows, 1)), (b"IEND", b"")]
    return _PNG + b"".join(_pack_chunk(*chunk) for chunk in whole), share


def _read_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield name and body of each chunk of a PNG; the last one may be shorter than it says."""
    place = len(_PNG)
    while place + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, place)
        yield name, data[place + 8 : place + 8 + length]
        place += 12 + length


def _unpack(packed: bytes, length: int) -> bytes:
    """The first `length` bytes of a zlib stream, or those before its damage."""
    decompressor, rows = zlib.decompressobj(), bytearray()
    with contextlib.suppress(zlib.error):
        for place in range(0, len(packed), 256):
            rows += decompressor.decompress(packed[place : place + 256])
            if len(rows) >= length:
                break
    return bytes(rows[:length])


def _pack_chunk(name: bytes, body: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(name + body))
    return struct.pack(">I", len(body)) + name + body + checksum


def _mend_tiff(data: bytes) -> tuple[bytes, float]:
    """Of an uncompressed TIFF, in strips, whose directory comes before its pixels (TIFF 6.0)."""
    tags = _read_tags(data, "<" if data.startswith(b"II") else ">")
    height, (compression,) = tags[257][0], tags.get(259, (1,))
    if compression != 1:
        raise ValueError("no row can be found in what is compressed")
    strips = list(zip(tags[273], tags[279], strict=True))  # (start, length), bytes
    end = max(start + length for start, length in strips)
    if end > 100 * len(data):
        raise ValueError("not cut off")
    rows_of_strip, rows = tags.get(278, (height,))[0], 0
    for number, (start, length) in enumerate(strips):
        num_rows = min(rows_of_strip, height - number * rows_of_strip)
        rows += min(max(len(data) - start, 0), length) * num_rows // length
        if start + length > len(data):
            break
    return data.ljust(end, b"\0"), rows / height


def _read_tags(data: bytes, order: str) -> dict[int, tuple[int, ...]]:
    """The tags of the first directory that hold whole numbers."""
    (place,) = struct.unpack_from(f"{order}I", data, 4)
    (number,) = struct.unpack_from(f"{order}H", data, place)
    tags = {}
    for start in range(place + 2, place + 2 + 12 * number, 12):
        tag, kind, count = struct.unpack_from(f"{order}HHI", data, start)
        if form := {3: "H", 4: "I"}.get(kind):
            size = struct.calcsize(f"{order}{count}{form}")
            at = start + 8 if size <= 4 else struct.unpack_from(f"{order}I", data, start + 8)[0]
            tags[tag] = struct.unpack_from(f"{order}{count}{form}", data, at)
    return tags
