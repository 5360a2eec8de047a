"""Archives of pictures, packed, indexed, and read without unpacking.

A picture's name is its member's path after the first `images/`: `lsp-8fab/images/im00001.jpg` is
`im00001.jpg`. Names and sizes inside an archive are not trusted.
"""

import contextlib
import json
import os
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from pathlib import Path

import indexed_gzip
from tqdm import tqdm

from hourglass.errors import UserError
from hourglass.files import atomic_path, check_free_space, read_json_list, write_json

MAX_IMAGE_BYTES = 100_000_000
MAX_MEMBER_BYTES = 500_000_000
MAX_TAR_NAME_BYTES = 1_000_000  # of a member's long name or other attributes

# A read inflates half of this before its picture, and a seek point holds 32 KiB. For MPII's 12.9 GB
# of JPEGs of 0.5 MB, measured at 400 MB/s:
#   2 MiB: 197 MB of index, 4 ms a picture; 4 MiB: 98 MB, 6 ms; 8 MiB: 49 MB, 11 ms.
SEEK_SPACING_BYTES = 4 << 20
# Each read restarts at a seek point, so the indexing pass reads in pieces well above the spacing.
SCAN_BUFFER_BYTES = 32 << 20
CHUNK_BYTES = 1 << 18

ANNOTATIONS = ("train.json", "validation.json")
FETCH = "run `dvc repro download`"
FETCH_AGAIN = f"delete it and {FETCH}"
_ZIP_DATE = (1980, 1, 1, 0, 0, 0)
_TAR_ATTRIBUTES = (
    tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE,
)  # fmt: skip
# What the archive modules raise on damaged members; RuntimeError: encrypted ones.
READ_ERRORS = (
    OSError, EOFError, ValueError, NotImplementedError, RuntimeError,
    zipfile.BadZipFile, tarfile.TarError, zlib.error,
)  # fmt: skip


def picture_name(member):
    """The path after the first `images/` of a member's path; None where there is none.

    Also None: absolute paths, `..`, backslashes, and what is not text.
    """
    parts = [part for part in member.split("/") if part not in ("", ".")]
    unsafe = member.startswith("/") or ".." in parts or re.search(r"[\\\0\ud800-\udfff]", member)
    if unsafe or "images" not in parts[:-1]:
        return None
    return "/".join(parts[parts.index("images") + 1 :])


def one_line(error):
    """The text of an exception without line breaks; its type where it has none."""
    return " ".join(str(error).split()) or type(error).__name__


def byte_bar(name, total, initial=0):
    """A progress bar of bytes; quiet unless on a terminal."""
    return tqdm(
        desc=name, total=total, initial=initial,
        unit="B", unit_scale=True, unit_divisor=1024, disable=None,
    )  # fmt: skip


# Reading


def open_images(archive):
    """Open a `.zip`, or an indexed `.tar.gz`, of pictures: an `ImageArchive`.

    Only regular files are listed: no links, devices, or paths that leave the archive.

    Raises:
        UserError: the archive is missing, damaged, not indexed, or two pictures have one name.
    """
    archive = Path(archive)
    return _open_tar_images(archive) if archive.suffix == ".gz" else _open_zip_images(archive)


def find_zip_fault(path):
    """What makes the file at `path` no whole zip archive of bounded members; else None."""
    try:
        with zipfile.ZipFile(path) as archive:
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


class ImageArchive(contextlib.AbstractContextManager):
    """Pictures by name, read at random; closed on exit.

    Pickles as its path and opens itself again: send it to worker processes, or open one in each.

    Args:
        file: the open archive.
        members: dict of picture name -> (place, size in bytes).
        read: function of place and size that gives a member's bytes.
    """

    def __init__(self, path, file, members, read):
        self.path = path
        self._file = file
        self._members = members
        self._read = read

    def __reduce__(self):
        return open_images, (self.path,)

    def __exit__(self, *_):
        self._file.close()

    def names(self):
        """The names of all pictures, a frozenset."""
        return frozenset(self._members)

    def read(self, name):
        """The bytes of one picture file.

        Raises:
            UserError: no such picture, above `MAX_IMAGE_BYTES`, or damaged.
        """
        if name not in self._members:
            raise UserError(f"not in {self.path.name}")
        place, size = self._members[name]
        with _member_errors(size, MAX_IMAGE_BYTES, after=f" in {self.path.name}"):
            picture = self._read(place, size)
            if len(picture) != size:
                raise EOFError(f"{len(picture):,} of {size:,} bytes")
        return picture


def read_member(archive, name):
    """The bytes of the one member of a zip archive whose path is, or ends in "/" and, `name`.

    Raises:
        UserError: no such member, several, above `MAX_MEMBER_BYTES`, or damaged.
    """
    with _open_zip(archive) as file:
        found = [entry for path, entry in _zip_members(file) if f"/{path}".endswith(f"/{name}")]
        if len(found) != 1:
            number = f"{len(found)} files" if found else "no file"
            raise UserError(f"{archive}: holds {number} {name}, one was expected; {FETCH_AGAIN}")
        info, size = found[0]
        with _member_errors(size, MAX_MEMBER_BYTES, f"{archive}: {name}: ", f"; {FETCH_AGAIN}"):
            return file.read(info)


@contextlib.contextmanager
def _member_errors(size, limit, before="", after=""):
    """Refuse a member above `limit` bytes; what fails inside becomes a UserError."""
    if size > limit:
        raise UserError(f"{before}{size:,} bytes, more than {limit:,}{after}")
    try:
        yield
    except READ_ERRORS as error:
        raise UserError(f"{before}damaged ({one_line(error)}){after}") from None


def _open_zip_images(path):
    file = _open_zip(path)
    members = _name_pictures(path, _zip_members(file))
    return ImageArchive(path, file, members, lambda info, _: file.read(info))


def _open_tar_images(path):
    members_path, seek_path = _index_paths(path)
    try:
        index = json.loads(members_path.read_bytes())
        if index["archive"]["size"] != path.stat().st_size:
            raise ValueError("made for another archive")
        members = index["members"]
        # A larger buffer splits what is asked for, and each part inflates from a seek point anew.
        file = indexed_gzip.IndexedGzipFile(str(path), index_file=str(seek_path), buffer_size=1)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{members_path}: cannot be used ({one_line(error)}); {FETCH_AGAIN}"
        ) from None
    return ImageArchive(path, file, members, lambda offset, size: file.pread(size, offset))


def _open_zip(path):
    try:
        return zipfile.ZipFile(path)
    except FileNotFoundError:
        raise UserError(f"{path}: not found; {FETCH}") from None
    except READ_ERRORS as error:
        raise UserError(
            f"{path}: is not a whole zip archive ({one_line(error)}); {FETCH_AGAIN}"
        ) from None


def _zip_members(archive):
    """(path, (ZipInfo, size)) of each regular file, as one without a Unix type is too."""
    for info in archive.infolist():
        if not info.is_dir() and stat.S_IFMT(info.external_attr >> 16) in (0, stat.S_IFREG):
            yield info.filename, (info, info.file_size)


def _name_pictures(archive, members):
    """Picture name -> entry, from pairs of member path and entry; other members are left out."""
    pictures = {}
    for path, entry in members:
        name = picture_name(path)
        if name in pictures:
            raise UserError(f"{archive}: holds two pictures {name}; {FETCH_AGAIN}")
        if name is not None:
            pictures[name] = entry
    return pictures


# Indexing


def index_archive(archive, md5):
    """Make a `.tar.gz` readable at random, in one pass; nothing to do where its index matches.

    Writes `<archive>.gzidx`, the seek points, then `<archive>.members.json`:
    `{"archive": {"size", "md5"}, "members": {name: [offset, size]}}`, in bytes of the inflated tar.
    Memory stays bounded by the number of members.

    Args:
        md5: of the archive, hexadecimal: what the index is made for.

    Raises:
        UserError: the archive is damaged or cut short.
    """
    members_path, seek_path = _index_paths(archive)
    identity = {"size": archive.stat().st_size, "md5": md5}
    if seek_path.is_file() and _read_identity(members_path) == identity:
        return
    with atomic_path(seek_path) as temporary:
        members = _scan_tar(archive, temporary)
    write_json(members_path, {"archive": identity, "members": members})


def _index_paths(archive):
    return [archive.with_name(f"{archive.name}.{kind}") for kind in ("members.json", "gzidx")]


def _read_identity(members_path):
    try:
        return json.loads(members_path.read_bytes())["archive"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _scan_tar(archive, seek_path):
    """Picture name -> (offset, size); writes the seek points to `seek_path`."""
    with (
        open(archive, "rb", buffering=0) as raw,
        indexed_gzip.IndexedGzipFile(
            fileobj=raw, spacing=SEEK_SPACING_BYTES, buffer_size=SCAN_BUFFER_BYTES
        ) as file,
        byte_bar(f"index {archive.name}", archive.stat().st_size) as bar,
    ):
        try:
            members = _name_pictures(archive, _tar_members(file, raw, bar))
        except READ_ERRORS as error:
            raise UserError(
                f"{archive}: is not a whole tar.gz ({one_line(error)}); {FETCH_AGAIN}"
            ) from None
        file.export_index(str(seek_path))
    return members


class _BoundedTarInfo(tarfile.TarInfo):
    """A header that claims no more than a member may have: `tarfile` keeps names in memory."""

    @classmethod
    def frombuf(cls, buf, encoding, errors):
        info = super().frombuf(buf, encoding, errors)
        limit = MAX_TAR_NAME_BYTES if info.type in _TAR_ATTRIBUTES else MAX_MEMBER_BYTES
        if info.size > limit:
            raise tarfile.ReadError(f"{info.name}: {info.size:,} bytes, more than {limit:,}")
        return info


def _tar_members(file, raw, bar):
    """(path, (offset, size)) of each regular file; raises `tarfile.TarError` on a cut archive."""
    # As a stream: a seek to each header would inflate from the last seek point every time.
    with tarfile.open(fileobj=file, mode="r|", bufsize=CHUNK_BYTES, tarinfo=_BoundedTarInfo) as tar:
        for member in tar:
            tar.members = []  # else the list grows
            bar.update(raw.tell() - bar.n)
            if member.isreg() and not member.issparse():
                yield member.name, (member.offset_data, member.size)
        end = tar.offset
    _check_tar_end(file, end)


def _check_tar_end(file, end):
    """Nothing but zeros, and one block of them at least, may follow the last member.

    `tarfile` takes a cut between two members, and a garbled header, for the end.
    """
    file.seek(end)
    length = 0
    while chunk := file.read(SCAN_BUFFER_BYTES):
        if chunk.strip(b"\0"):
            raise tarfile.ReadError("garbled header")
        length += len(chunk)
    if length < tarfile.BLOCKSIZE:
        raise tarfile.ReadError("cut short")


# Packing


def pack_folder(source, folder):
    """Copy the user's `images/`, train.json and validation.json in `source` into `folder`.

    The pictures that the JSON files name become `images.zip`: stored, sorted, undated, so that its
    bytes depend on their names and content alone.

    Raises:
        UserError: `source` does not hold what is expected, or the disk is too small.
    """
    source, folder = Path(source), Path(folder)
    for path in (source, source / "images", *(source / name for name in ANNOTATIONS)):
        if not path.exists():
            raise UserError(
                f"{path}: not found; data.folder needs images/, train.json and validation.json"
            )
    pictures = _list_pictures(source)
    sources = [source / name for name in ANNOTATIONS] + list(pictures.values())
    folder.mkdir(parents=True, exist_ok=True)
    check_free_space(folder, sum(path.stat().st_size for path in sources))
    with atomic_path(folder / "images.zip") as temporary:
        _write_zip(temporary, pictures)
    for name in ANNOTATIONS:
        with atomic_path(folder / name) as temporary:
            shutil.copyfile(source / name, temporary)


def _list_pictures(source):
    """Member path -> path of the regular files to pack, sorted."""
    records = [record for name in ANNOTATIONS for record in _read_records(source / name)]
    images = (record.get("image") for record in records if isinstance(record, dict))
    names = {image for image in images if isinstance(image, str)}
    pictures = {}
    for name in sorted(names):
        path = source / "images" / name
        if picture_name(f"images/{name}") == name != "" and os.path.isfile(path):
            pictures[f"images/{name}"] = path
    if not pictures:
        example = f", such as {min(names)!r}" if names else ""
        raise UserError(
            f"{source / 'images'}: holds none of the pictures that the JSON files name{example}; "
            "put them there, or correct the names"
        )
    return pictures


def _read_records(path):
    records = read_json_list(path, "correct it")
    if not records:
        raise UserError(f"{path}: holds no records; add one at least")
    return records


def _write_zip(path, pictures):
    with zipfile.ZipFile(path, "w") as archive:
        for name, source in tqdm(pictures.items(), "pack", unit="picture", disable=None):
            info = zipfile.ZipInfo(name, _ZIP_DATE)
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            info.file_size = source.stat().st_size  # zip64 where it must be
            with open(source, "rb") as file, archive.open(info, "w") as member:
                shutil.copyfileobj(file, member, CHUNK_BYTES)
