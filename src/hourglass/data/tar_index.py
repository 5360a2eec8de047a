"""The index that makes a `.tar.gz` readable at random: its members, and seek points."""

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import indexed_gzip

from hourglass.data.archives import index_paths
from hourglass.data.zip_files import FETCH_AGAIN, MAX_MEMBER_BYTES, READ_ERRORS, name_pictures
from hourglass.utils.errors import UserError, one_line
from hourglass.utils.files import atomic_path, byte_bar, write_json

if TYPE_CHECKING:
    from tqdm import tqdm

MAX_TAR_NAME_BYTES = 1_000_000  # of a member's long name or other attributes

# A read inflates half of this before its picture, and a seek point holds 32 KiB. For MPII's 12.9 GB
# of JPEGs of 0.5 MB, measured at 400 MB/s:
#   2 MiB: 197 MB of index, 4 ms a picture; 4 MiB: 98 MB, 6 ms; 8 MiB: 49 MB, 11 ms.
SEEK_SPACING_BYTES = 4 << 20

# Each read restarts at a seek point, so the indexing pass reads in pieces well above the spacing.
SCAN_BUFFER_BYTES = 32 << 20
CHUNK_BYTES = 1 << 18
_TAR_ATTRIBUTES = (
    tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE,
)  # fmt: skip


def index_archive(archive: Path, md5: str | None) -> None:
    """Make a `.tar.gz` readable at random, in one pass; nothing to do where its index matches.

    Writes `<archive>.gzidx`, the seek points, then `<archive>.members.json`:
    `{"archive": {"size", "md5"}, "members": {name: [offset, size]}}`, in bytes of the inflated tar.
    Memory stays bounded by the number of members.

    Args:
        md5: of the archive, hexadecimal: what the index is made for.

    Raises:
        UserError: the archive is damaged or cut short.
    """
    members_path, seek_path = index_paths(archive)
    identity = {"size": archive.stat().st_size, "md5": md5}
    # The list of members is written last: where it fits, the seek points are whole too.
    if seek_path.is_file() and _read_identity(members_path) == identity:
        return
    # The pass that inflates for the members' headers makes the seek points on its way.
    with atomic_path(seek_path) as temporary:
        members = _scan_tar(archive, temporary)
    write_json(members_path, {"archive": identity, "members": members})


def _read_identity(members_path: Path) -> Any:
    try:
        return json.loads(members_path.read_bytes())["archive"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _scan_tar(archive: Path, seek_path: Path) -> dict[str, tuple[int, int]]:
    """Picture name -> (offset, size); writes the seek points to `seek_path`."""
    with (
        open(archive, "rb", buffering=0) as raw,  # its position moves the bar
        indexed_gzip.IndexedGzipFile(
            fileobj=raw, spacing=SEEK_SPACING_BYTES, buffer_size=SCAN_BUFFER_BYTES
        ) as file,
        byte_bar(f"index {archive.name}", archive.stat().st_size) as bar,
    ):
        try:
            members = name_pictures(archive, _tar_members(file, raw, bar))
        except READ_ERRORS as error:
            raise UserError(
                f"{archive}: is not a whole tar.gz ({one_line(error)}); {FETCH_AGAIN}"
            ) from None
        # After the end was checked: of a damaged archive no index is left.
        file.export_index(str(seek_path))
    return members


class _BoundedTarInfo(tarfile.TarInfo):
    """A header that claims no more than a member may have: `tarfile` keeps names in memory."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "_BoundedTarInfo":
        info = super().frombuf(buf, encoding, errors)
        # Names are read into memory; members are passed over, and read later, one at a time.
        limit = MAX_TAR_NAME_BYTES if info.type in _TAR_ATTRIBUTES else MAX_MEMBER_BYTES
        if info.size > limit:
            raise tarfile.ReadError(f"{info.name}: {info.size:,} bytes, more than {limit:,}")
        return info


def _tar_members(file: Any, raw: IO[bytes], bar: "tqdm") -> Iterator[tuple[str, tuple[int, int]]]:
    """(path, (offset, size)) of each regular file; raises `tarfile.TarError` on a cut archive."""
    # As a stream: a seek to each header would inflate from the last seek point every time.
    with tarfile.open(fileobj=file, mode="r|", bufsize=CHUNK_BYTES, tarinfo=_BoundedTarInfo) as tar:
        for member in tar:
            tar.members = []  # type: ignore[attr-defined]  # else the list grows
            bar.update(raw.tell() - bar.n)  # compressed bytes
            # A sparse member is stored without its holes: its bytes are not the file's.
            if member.isreg() and not member.issparse():
                yield member.name, (member.offset_data, member.size)
        end = tar.offset  # where the next header would be, in the inflated tar
    _check_tar_end(file, end)


def _check_tar_end(file: Any, end: int) -> None:
    """Nothing but zeros, and one block of them at least, may follow the last member.

    `tarfile` takes a cut between two members, and a garbled header, for the end.
    """
    file.seek(end)  # back: the stream has read ahead
    length = 0
    while chunk := file.read(SCAN_BUFFER_BYTES):
        if chunk.strip(b"\0"):
            raise tarfile.ReadError("garbled header")
        length += len(chunk)
    if length < tarfile.BLOCKSIZE:
        raise tarfile.ReadError("cut short")
