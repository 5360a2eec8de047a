"""Whether a path is a clip: told by the file's first bytes, not by its name, and without PyAV."""

import contextlib
import re
import struct
from pathlib import Path

from PIL import Image

# (where, bytes) of the containers that `reader.FORMATS` reads; any pair of a line that fits.
_SIGNATURES = (
    (4, b"ftyp"), (4, b"moov"), (4, b"mdat"), (4, b"wide"), (4, b"free"), (4, b"skip"),  # MP4, MOV
    (0, b"\x1a\x45\xdf\xa3"),  # Matroska, WebM
    (8, b"AVI "),
    (0, b"FLV\x01"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"),  # ASF, WMV
    (0, b"OggS"),
    (0, b"\x00\x00\x01\xba"), (0, b"\x00\x00\x01\xb3"),  # MPEG
    (0, b"DKIF"),  # IVF
    (0, b"\x06\x0e\x2b\x34"),  # MXF
    (0, b"YUV4MPEG2 "),
    (0, b"\x1f\x07\x00"),  # DV
)  # fmt: skip
# Streams without a container: a start code, then the header of the first unit, which is a set of
# parameters, a delimiter or a message (ITU-T H.264 and H.265, annex B).
_RAW_STREAM = re.compile(rb"\x00?\x00\x00\x01(?:[\x06\x09\x27\x47\x67]|[\x40\x46\x4e]\x01)")
_JPEG, _RAW_JPEGS = b"\xff\xd8\xff", (".mjpeg", ".mjpg")  # one after the other
_TRANSPORT = ((0, 188), (4, 192))  # MPEG-TS, M2TS: where a packet's sync byte is, bytes a packet
# HEIF and AVIF: pictures in MP4's container.
_PICTURE_BRANDS = {
    b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"avif", b"avis",
    b"crx ",  # Canon's raw files
}  # fmt: skip


def is_clip(path: Path) -> bool:
    """Whether a path is a video, with or without a container, a GIF of several frames, or a camera.

    A file that cannot be read is no clip: reading it as a picture then gives the reason.
    """
    if is_camera(path):
        return True
    with contextlib.suppress(OSError):
        if path.is_file():
            with open(path, "rb") as file:
                head = file.read(400)
            if head.startswith(_JPEG):
                return path.suffix.lower() in _RAW_JPEGS
            return _is_container(head) or (head.startswith(b"GIF8") and _is_animated(path))
    return False


def is_camera(path: Path) -> bool:
    """Whether a path is that of a camera's device, there or not; Linux."""
    return re.fullmatch(r"/dev/video[0-9]+", str(path)) is not None


def _is_container(head: bytes) -> bool:
    if head[4:8] == b"ftyp" and head[8:12] in _PICTURE_BRANDS:
        return False
    if any(head.startswith(mark, place) for place, mark in _SIGNATURES) or _RAW_STREAM.match(head):
        return True
    return any(head[first : first + 2 * step : step] == b"GG" for first, step in _TRANSPORT)


def _is_animated(path: Path) -> bool:
    try:
        with Image.open(path) as image:
            return bool(getattr(image, "is_animated", False))
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError):
        return False  # a damaged picture


def lacks_index(path: Path) -> bool:
    """Whether a file is an MP4 with frames and without `moov`, which cameras write last."""
    place, has_frames = 0, False
    with contextlib.suppress(OSError), open(path, "rb") as file:
        while len(head := file.read(16)) >= 8:
            size, kind = struct.unpack(">I4s", head[:8])  # of a box (ISO 14496-12, 4.2)
            if kind == b"moov":
                return False
            has_frames |= kind == b"mdat"
            place += int.from_bytes(head[8:], "big") if size == 1 else size
            if 1 < size < 8 or not size:
                break
            file.seek(place)
    return has_frames
