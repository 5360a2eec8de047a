"""Zip archives: their members, the pictures among them, and what is wrong with them.

A picture's name is its member's path after the first `images/`: `lsp-8fab/images/im00001.jpg` is
`im00001.jpg`. Names and sizes inside an archive are not trusted.
"""

import contextlib
import errno
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import IO, NamedTuple, TypeVar

from hourglass.utils.errors import UserError, one_line
from hourglass.utils.image_headers import BadImageError, read_stored_size

Entry = TypeVar("Entry")
# A header may claim any size; what it claims is refused before it is inflated into memory.
MAX_MEMBER_BYTES = 500_000_000
FETCH = "run `dvc repro download`"
FETCH_AGAIN = f"delete it and {FETCH}"
DOWNLOAD_AGAIN = "fix it or download it again"

# What the archive modules raise on damaged members; RuntimeError: encrypted ones.
READ_ERRORS = (
    OSError, EOFError, ValueError, NotImplementedError, RuntimeError,
    zipfile.BadZipFile, tarfile.TarError, zlib.error,
)  # fmt: skip


class PictureSize(NamedTuple):
    """Width and height of a picture, px: upright, and as it is stored before its EXIF turn."""

    upright: tuple[int, int]
    stored: tuple[int, int]


def picture_name(member: str) -> str | None:
    """The path after the first `images/` of a member's path; None if there is none.

    Also None: absolute paths, `..`, backslashes, and values that are not text.
    """
    parts = [part for part in member.split("/") if part not in ("", ".")]
    # A name that a file system would read otherwise than meant, or out of the folder.
    unsafe = member.startswith("/") or ".." in parts or re.search(r"[\\\0\ud800-\udfff]", member)
    if unsafe or "images" not in parts[:-1]:
        return None
    return "/".join(parts[parts.index("images") + 1 :])


def open_zip(path: Path) -> zipfile.ZipFile:
    """A `zipfile.ZipFile`; raises `UserError` if the file is none."""
    try:
        return zipfile.ZipFile(path)
    except FileNotFoundError:
        raise UserError(f"{path}: not found; {FETCH}") from None
    except READ_ERRORS as error:
        raise UserError(
            f"{path}: is not a whole zip archive ({one_line(error)}); {FETCH_AGAIN}"
        ) from None


def zip_members(
    archive: zipfile.ZipFile,
) -> Iterator[tuple[str, tuple[zipfile.ZipInfo, int]]]:
    """(path, (ZipInfo, size)) of each regular file, as one without a Unix type is too."""
    for info in archive.infolist():
        # The upper half of external_attr is the Unix mode; a link would pass off its target's path
        # as a picture.
        if not info.is_dir() and stat.S_IFMT(info.external_attr >> 16) in (0, stat.S_IFREG):
            yield info.filename, (info, info.file_size)


def name_pictures(archive: Path, members: Iterable[tuple[str, Entry]]) -> dict[str, Entry]:
    """Picture name -> entry, from pairs of member path and entry, without the other members."""
    pictures: dict[str, Entry] = {}
    for path, entry in members:
        name = picture_name(path)
        # One of the two would silently take the other's annotations.
        if name in pictures:
            raise UserError(f"{archive}: holds two pictures {name}; {FETCH_AGAIN}")
        if name is not None:
            pictures[name] = entry
    return pictures


def read_picture_sizes(archive: Path, names: Collection[str]) -> dict[str, PictureSize]:
    """{name: its size} of the named pictures in a `.zip`.

    Names that the archive lacks are left out, and files that are no pictures: `data.validation` and
    the shards judge those.

    Raises:
        UserError: the archive is missing or damaged.
    """
    sizes = {}
    with open_zip(archive) as file:
        members = name_pictures(archive, zip_members(file))
        for name in members.keys() & set(names):
            try:
                with file.open(members[name][0]) as picture:
                    sizes[name] = read_size(picture)
            except (BadImageError, *READ_ERRORS):
                continue
    return sizes


def read_size(file: IO[bytes]) -> PictureSize:
    """The size of an opened picture file.

    Raises:
        BadImageError: not a picture.
    """
    stored, is_turned = read_stored_size(file)
    width, height = stored
    return PictureSize((height, width) if is_turned else stored, stored)


def read_member(archive: Path, name: str) -> bytes:
    """The bytes of the one member of a zip archive whose path is, or ends in "/" and, `name`.

    Raises:
        UserError: no such member, several, above `MAX_MEMBER_BYTES`, or damaged.
    """
    with open_zip(archive) as file:
        # A slash before both, so that `a_joints.mat` does not end in `joints.mat`.
        found = [entry for path, entry in zip_members(file) if f"/{path}".endswith(f"/{name}")]
        if len(found) != 1:
            number = f"{len(found)} files" if found else "no file"
            raise UserError(f"{archive}: holds {number} {name}, one was expected; {FETCH_AGAIN}")
        info, size = found[0]
        before, after = f"{archive}: {name}: ", f"; {FETCH_AGAIN}"
        with member_errors(archive, size, MAX_MEMBER_BYTES, before, after):
            return file.read(info)


@contextlib.contextmanager
def member_errors(
    archive: Path, size: int, limit: int, before: str = "", after: str = ""
) -> Iterator[None]:
    """Refuse a member above `limit` bytes; what fails inside becomes a UserError."""
    if size > limit:
        raise UserError(f"{before}{size:,} bytes, more than {limit:,}{after}")
    try:
        yield
    except READ_ERRORS as error:
        # The disk or the network, not the archive: tried again. indexed_gzip's have no number.
        number = getattr(error, "errno", None)
        if isinstance(error, OSError) and number in (errno.EIO, errno.ESTALE, errno.ETIMEDOUT):
            error.filename = str(archive)
            raise
        raise UserError(f"{before}damaged ({one_line(error)}){after}") from None


def find_zip_fault(path: Path) -> str | None:
    """The reason why a file is no whole zip archive of bounded members; None if it is one."""
    try:
        with zipfile.ZipFile(path) as archive:
            # Before anything is inflated: `testzip` would inflate a bomb to its end.
            for info in archive.infolist():
                if info.file_size > MAX_MEMBER_BYTES:
                    return (
                        f"holds {info.filename!r} of {info.file_size:,} bytes,"
                        f" more than {MAX_MEMBER_BYTES:,}"
                    )
            damaged = archive.testzip()
    except READ_ERRORS as error:
        return f"is not a whole zip archive ({one_line(error)})"
    return f"is a zip archive with a damaged member {damaged!r}" if damaged else None
