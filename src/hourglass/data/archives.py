"""Archives of pictures, read at any place: zips, indexed tars, several as one."""

import contextlib
import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import indexed_gzip

from hourglass.data.block_reader import BlockReader
from hourglass.data.zip_files import (
    FETCH_AGAIN,
    READ_ERRORS,
    member_errors,
    name_pictures,
    open_zip,
    zip_members,
)
from hourglass.utils.errors import UserError, one_line
from hourglass.utils.files import read_json

MAX_IMAGE_BYTES = 100_000_000  # a larger picture is refused before it is inflated into memory
FURTHER_ARCHIVE = 1 << 50  # bytes, more than an archive has


def open_images(archive: str | Path) -> "ImageArchive":
    """Open a `.zip`, an indexed `.tar.gz`, or a `.json` that names several: an `ImageArchive`.

    Only regular files are listed: no links, devices, or paths that leave the archive.

    Raises:
        UserError: the archive is missing, damaged, not indexed, or two pictures have one name.
    """
    archive = Path(archive)
    open_one = {".gz": _open_tar_images, ".json": _open_several}
    return open_one.get(archive.suffix, _open_zip_images)(archive)


def locate_pictures(archive: str | Path) -> dict[str, tuple[int, int]]:
    """{name: (offset, size)} of an archive's pictures, bytes of the zip or of the inflated tar.

    Of several archives one follows the other: their offsets only tell an order.

    Raises:
        UserError: a zip is missing, damaged, or has two pictures of one name; a `.tar.gz` is not
            indexed.
    """
    archive = Path(archive)
    if archive.suffix == ".gz":
        return _read_tar_members(archive)
    if archive.suffix == ".json":
        return {
            f"{name}/{picture}": (number * FURTHER_ARCHIVE + offset, size)
            for number, (name, path) in enumerate(list_archives(archive).items())
            for picture, (offset, size) in locate_pictures(path).items()
        }
    with open_zip(archive) as file:
        pictures = name_pictures(archive, zip_members(file))
    return {name: (info.header_offset, size) for name, (info, size) in pictures.items()}


class ImageArchive(contextlib.AbstractContextManager):
    """Pictures by name, read at any place; closed on exit.

    Args:
        file: the open archive.
        members: picture name -> (place, size in bytes); a place is a ZipInfo, or an offset in the
            inflated tar.
        read: gives a member's bytes, by place and size.
        announce: takes the (place, size) that will be read next.
    """

    def __init__(
        self,
        path: Path,
        file: Any,
        members: dict[str, tuple[Any, int]],
        read: Callable[[Any, int], bytes],
        announce: Callable[[Iterator[tuple[Any, int]]], None] = lambda spans: None,
    ) -> None:
        self.path = path
        self._file = file
        self._members = members
        self._read = read
        self._announce = announce

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def names(self) -> frozenset[str]:
        """The names of all pictures, a frozenset."""
        return frozenset(self._members)

    def size(self, name: str) -> int:
        """The size of one of the pictures' files, bytes."""
        return self._members[name][1]

    def announce(self, names: Iterable[str]) -> None:
        """Say which pictures `read` will be asked for, in the order of `locate_pictures`.

        Those of a tar are then inflated many at a time.
        """
        places = (self._members[name] for name in names if name in self._members)
        self._announce(place for place in places if place[1] <= MAX_IMAGE_BYTES)

    def read(self, name: str) -> bytes:
        """The bytes of one picture file.

        Raises:
            UserError: no such picture, above `MAX_IMAGE_BYTES`, or damaged.
            OSError: the disk or the network fails, if that can be distinguished from damage.
        """
        if name not in self._members:
            raise UserError(f"not in {self.path.name}")
        place, size = self._members[name]
        with member_errors(self.path, size, MAX_IMAGE_BYTES, after=f" in {self.path.name}"):
            picture = self._read(place, size)
            # `pread` gives less at the end of a cut archive, without a word.
            if len(picture) != size:
                raise EOFError(f"{len(picture):,} of {size:,} bytes")
        return picture


def _open_zip_images(path: Path) -> ImageArchive:
    file = open_zip(path)
    members = name_pictures(path, zip_members(file))
    return ImageArchive(path, file, members, lambda info, _: file.read(info))


def _open_tar_images(path: Path) -> ImageArchive:
    members = _read_tar_members(path)
    _, seek_path = index_paths(path)
    with _index_errors(path):
        # A larger buffer splits what is asked for, and each part inflates from a seek point anew.
        file = indexed_gzip.IndexedGzipFile(str(path), index_file=str(seek_path), buffer_size=1)
    reader = BlockReader(file, READ_ERRORS)
    return ImageArchive(path, file, members, reader.read, reader.announce)


def list_archives(path: Path) -> dict[str, Path]:
    """Set name -> archive of its pictures, as a `.json` file names them beside it.

    Raises:
        UserError: the file is missing or damaged.
    """
    names = read_json(path, FETCH_AGAIN)
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
        raise UserError(f"{path}: names no archives; {FETCH_AGAIN}")
    return {name: path.parent / archive for name, archive in names.items()}


def _open_several(path: Path) -> ImageArchive:
    """The pictures of several archives; each name begins with its set's."""
    with contextlib.ExitStack() as stack:
        archives = {
            name: stack.enter_context(open_images(archive))
            for name, archive in list_archives(path).items()
        }
        members = {
            f"{name}/{picture}": ((archive, picture), archive.size(picture))
            for name, archive in archives.items()
            for picture in archive.names()
        }

        def announce(spans: Iterator[tuple[Any, int]]) -> None:
            for archive, places in itertools.groupby(spans, lambda span: span[0][0]):
                archive.announce(picture for (_, picture), _ in places)

        def read(place: tuple[ImageArchive, str], _: int) -> bytes:
            archive, picture = place
            return archive.read(picture)

        return ImageArchive(path, stack.pop_all(), members, read, announce)


def _read_tar_members(path: Path) -> dict[str, tuple[int, int]]:
    """Picture name -> (offset, size), as `tar_index.index_archive` wrote them."""
    members_path, _ = index_paths(path)
    with _index_errors(path):
        index = json.loads(members_path.read_bytes())
        # The size stands for the content: hashing 12.9 GB would take longer than most reads.
        if index["archive"]["size"] != path.stat().st_size:
            raise ValueError("made for another archive")
        return index["members"]


@contextlib.contextmanager
def _index_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{index_paths(path)[0]}: cannot be used ({one_line(error)}); {FETCH_AGAIN}"
        ) from None


def index_paths(archive: Path) -> tuple[Path, Path]:
    """The files of a `.tar.gz` with its list of members and its seek points."""
    members, seek_points = f"{archive.name}.members.json", f"{archive.name}.gzidx"
    return archive.with_name(members), archive.with_name(seek_points)
