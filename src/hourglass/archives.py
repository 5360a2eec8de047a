"""Raw files: fetched so that they resume and verify, packed, and read without unpacking.

`fetch_dataset` fills a folder; `open_images` and `read_member` read from it. A picture's name is
its member's path after the first `images/`: `lsp-8fab/images/im00001.jpg` is `im00001.jpg`.
"""

import contextlib
import email.utils
import fcntl
import hashlib
import json
import os
import re
import shutil
import stat
import sys
import tarfile
import time
import zipfile
import zlib
from datetime import datetime, timezone
from pathlib import Path

import indexed_gzip
import requests
from tqdm import tqdm

from hourglass.datasets import DATASETS
from hourglass.errors import UserError
from hourglass.files import atomic_path, write_json

MAX_IMAGE_BYTES = 100_000_000
MAX_MEMBER_BYTES = 500_000_000
CHUNK_BYTES = 1 << 18

MAX_FAILURES = 5  # tries in a row that bring nothing new
BACKOFF_SECONDS = 1.0  # doubled at each failure
MAX_WAIT_SECONDS = 60.0  # also the most that a server's Retry-After is honoured
TIMEOUT_SECONDS = (15, 60)  # to connect, and between two pieces
MAX_REDIRECTS = 10

# A seek point holds 32 KiB: 50 MB for MPII's 12.9 GB, and 4 MiB to inflate before an average read.
SEEK_SPACING_BYTES = 8 << 20
# Reading restarts at a seek point, so the indexing pass reads in pieces well above the spacing.
SCAN_BUFFER_BYTES = 32 << 20

ANNOTATIONS = ("train.json", "validation.json")
_ZIP_DATE = (1980, 1, 1, 0, 0, 0)
_RETRIED_STATUS = (408, 416, 429, 500, 502, 503, 504)
_RETRIED_ERRORS = (
    requests.ConnectionError, requests.Timeout,
    requests.exceptions.ChunkedEncodingError, requests.exceptions.ContentDecodingError,
)  # fmt: skip
# What the archive modules raise on damaged members; RuntimeError: encrypted ones.
_READ_ERRORS = (
    OSError, EOFError, ValueError, NotImplementedError, RuntimeError,
    zipfile.BadZipFile, tarfile.TarError, zlib.error,
)  # fmt: skip


class DownloadError(UserError):
    """A server did not give the file, or gave a wrong one."""


class _TryAgain(Exception):
    """A fault that another try may mend, after `wait` seconds where the server named a time."""

    def __init__(self, reason, wait=None):
        super().__init__(reason)
        self.wait = wait


def fetch_dataset(data, folder):
    """Make `folder` hold the raw files of `data.dataset`, verified, and nothing half-done.

    A file that is there and verifies is not fetched again. The folder's bytes depend on the
    files' content alone. Beside a `.tar.gz` of pictures lie its `.members.json` and `.gzidx`.

    Args:
        data: `hourglass.params.DataParams`; its dataset is "mpii", "lspet" or "folder".
        folder: of this dataset alone, for example `data/raw/mpii`.

    Raises:
        UserError: a file cannot be had, a disk is full, another process is at it, or the user's
            own folder is not as `pack_folder` expects.
    """
    folder = Path(folder)
    dataset = DATASETS[data.dataset]
    with _disk_errors(folder), _hold_lock(folder):
        if data.dataset == "folder":
            pack_folder(data.folder, folder)
        else:
            _fetch_files(dataset, data.mirror, folder)
        with open_images(folder / dataset.images) as images:
            if not images.names():
                raise UserError(f"{images.path}: no pictures under images/; replace the archive")
        _remove_leftovers(folder)


def _fetch_files(dataset, mirror, folder):
    _fetch_annotations(dataset, mirror, folder)
    for remote in dataset.files:
        md5 = _fetch_file(remote.at_mirror(mirror), folder)
        if remote.name.endswith(".tar.gz"):
            index_archive(folder / remote.name, md5)


def _fetch_annotations(dataset, mirror, folder):
    """All of `dataset.annotations`, or its fallback in their place."""
    fallback = dataset.fallback and dataset.fallback.at_mirror(mirror)
    complete = all((folder / remote.name).exists() for remote in dataset.annotations)
    # Raw data stays what it was: a fallback once taken is kept until the user deletes it.
    if fallback and not complete and (folder / fallback.name).exists():
        _fetch_file(fallback, folder)
        return
    try:
        for remote in dataset.annotations:
            _fetch_file(remote.at_mirror(mirror), folder)
    except DownloadError as error:
        if not fallback:
            raise
        _note(f"{error}; going on with the official .mat and {fallback.name} in its place")
        _fetch_file(fallback, folder)


def _fetch_file(remote, folder):
    """Fetch unless it is there and verifies; return its md5."""
    path = folder / remote.name
    if path.is_file():
        md5 = _hash_file(path)
        fault = find_fault(remote, path, md5)
        if fault is None:
            return md5
        _note(f"{path}: {fault}; fetching it again")
    return download_file(remote, folder)


def _note(text):
    print(text, file=sys.stderr)


def _remove_leftovers(folder):
    """What killed processes left: parts of files, and temporary files."""
    for pattern in ("*.part", "*.part.json", ".*.tmp"):
        for path in folder.glob(pattern):
            path.unlink()


@contextlib.contextmanager
def _hold_lock(folder):
    """Hold `folder` for this process, by a lock file that is gone afterwards."""
    path = folder / ".lock"
    folder.mkdir(parents=True, exist_ok=True)
    file = _acquire_lock(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        file.close()


def _acquire_lock(path):
    while True:
        file = open(path, "ab")  # noqa: SIM115
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise UserError(
                f"{path.parent}: another process is filling this folder; wait for it, or end it"
            ) from None
        # The last holder may have unlinked the file between our open and our lock.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        file.close()


@contextlib.contextmanager
def _disk_errors(path):
    """Turn a full disk or a missing permission into a UserError."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise UserError(
            f"{error.filename or path}: {reason}; make room or mend its permissions, then repeat"
        ) from None


def _check_free_space(folder, needed):
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(
            f"{folder}: {needed:,} bytes are needed and {free:,} are free; make room, then repeat"
        )


def find_fault(remote, path, md5):
    """What makes the file at `path`, whose hash is `md5`, another one than `remote`; else None."""
    size = path.stat().st_size
    if remote.size is not None and size != remote.size:
        return f"has {size:,} bytes, not {remote.size:,}"
    if remote.md5:
        return None if md5 == remote.md5 else f"has md5 {md5}, not {remote.md5}"
    checks = {".zip": _find_zip_fault, ".json": _find_json_fault, ".txt": _find_list_fault}
    check = checks.get(Path(remote.name).suffix)
    return check(path) if check else None


def _find_zip_fault(path):
    try:
        with zipfile.ZipFile(path) as archive:
            for info in tqdm(archive.infolist(), f"check {path.name}", disable=None):
                with archive.open(info) as member:
                    while member.read(CHUNK_BYTES):  # reading to the end checks the CRC
                        pass
    except _READ_ERRORS as error:
        return f"is not a whole zip archive ({_one_line(error)})"
    return None


def _find_json_fault(path):
    return None if _read_records(path) else "is not a JSON list of person records"


def _read_records(path):
    """The list of objects in a JSON file; None where it is anything else."""
    try:
        records = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return None
    if not isinstance(records, list) or not all(isinstance(r, dict) for r in records):
        return None
    return records


def _find_list_fault(path):
    names = path.read_text(encoding="utf-8", errors="replace").split()
    good = names and all(re.fullmatch(r"[\w.-]+\.jpg", name) for name in names)
    return None if good else "is not a list of picture names"


def _hash_file(path, digest=None):
    """md5 of a file, hexadecimal; `digest` is updated where given."""
    digest = digest or hashlib.md5(usedforsecurity=False)
    size = path.stat().st_size
    with open(path, "rb") as file, _byte_bar(f"check {path.name}", size) as bar:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            bar.update(len(chunk))
    return digest.hexdigest()


def _byte_bar(name, total, initial=0):
    return tqdm(
        desc=name, total=total, initial=initial,
        unit="B", unit_scale=True, unit_divisor=1024, disable=None,
    )  # fmt: skip


def _one_line(error):
    return " ".join(str(error).split()) or type(error).__name__


def download_file(remote, folder):
    """Fetch `remote` into `folder`; the final name appears only once the file is verified.

    What arrived stays in `<name>.part`, and the next try or the next process asks for the rest of
    the same version (RFC 9110: Range, If-Range). The caller keeps other processes away.

    Args:
        remote: `hourglass.datasets.RemoteFile`.

    Returns:
        md5 of the file, hexadecimal.

    Raises:
        DownloadError: the server does not give the file, or gives a wrong one.
        UserError: the disk is full, or not writable.
    """
    path = Path(folder) / remote.name
    with _disk_errors(path):
        part = _PartFile(path, remote.url)
        fault = _fill_part(part, remote)
        # What came in one piece would come out the same the next time.
        if fault and part.pieced_together:
            part.discard()
            fault = _fill_part(part, remote)
        if fault:
            part.discard()
            raise DownloadError(f"{_shown(remote.url)}: {fault}; set data.mirror to a good copy")
        part.publish(path)
    return part.digest.hexdigest()


def _fill_part(part, remote):
    """Make `part` whole; what is wrong with it then, else None."""
    _complete_part(part, remote)
    return find_fault(remote, part.path, part.digest.hexdigest())


def _complete_part(part, remote):
    """Send requests until `part` is whole."""
    failures, farthest = 0, part.length
    with requests.Session() as session:
        session.max_redirects = MAX_REDIRECTS
        while True:
            try:
                _request_rest(session, part, remote)
                return
            except (_TryAgain, *_RETRIED_ERRORS) as error:
                # Counted from the farthest point ever: a server that cannot resume and always
                # breaks off would else be asked for ever.
                failures = 0 if part.length > farthest else failures + 1
                farthest = max(farthest, part.length)
                if failures >= MAX_FAILURES:
                    raise DownloadError(
                        f"{_shown(remote.url)}: {_one_line(error)}; check the network or set "
                        "data.mirror, then repeat: it goes on where it stopped"
                    ) from None
                _wait(failures, getattr(error, "wait", None))
            except requests.RequestException as error:
                raise DownloadError(
                    f"{_shown(remote.url)}: {_one_line(error)}; check data.mirror"
                ) from None


def _wait(failures, asked):
    backoff = BACKOFF_SECONDS * 2 ** max(failures - 1, 0)
    time.sleep(min(backoff if asked is None else asked, MAX_WAIT_SECONDS))


def _request_rest(session, part, remote):
    """One request, its answer appended to `part`, or starting it anew."""
    if part.length and part.length == part.total:
        return  # killed between the last byte and the renaming
    with session.get(
        remote.url, headers=part.request_headers(), stream=True, timeout=TIMEOUT_SECONDS
    ) as response:
        _check_status(response, part, remote)
        if response.status_code == 206:
            part.check_continuation(response)
        else:
            part.restart(response)
        _check_total(part, remote)
        if part.total is not None:
            _check_free_space(part.path.parent, part.total - part.length)
        part.append(response, limit=remote.size if part.total is None else part.total)
    if part.total is not None and part.length < part.total:
        raise _TryAgain(f"broke off after {part.length:,} of {part.total:,} bytes")


def _check_status(response, part, remote):
    status = response.status_code
    if status in (200, 206):
        return
    if status == 416:
        part.discard()
    reason = f"the server answered {status} {response.reason}"
    if status in _RETRIED_STATUS:
        raise _TryAgain(reason, _read_retry_after(response))
    raise DownloadError(f"{_shown(remote.url)}: {reason}; check data.mirror")


def _check_total(part, remote):
    if None not in (part.total, remote.size) and part.total != remote.size:
        total = part.total
        part.discard()
        raise DownloadError(
            f"{_shown(remote.url)}: has {total:,} bytes, not {remote.size:,}; "
            "set data.mirror to a good copy"
        )


def _read_retry_after(response):
    """Seconds to wait; None where the header is absent or garbled (RFC 9110, 10.2.3)."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isdecimal():
        return float(text)
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
    return max(0.0, (moment - datetime.now(timezone.utc)).total_seconds())


def _shown(url):
    """The URL without user name and password."""
    return re.sub(r"//[^/@]*@", "//", url)


class _PartFile:
    """A file that grows: `<name>.part`, and in `<name>.part.json` which version of what it is.

    Attributes:
        length: bytes so far.
        total: bytes of the whole file, None where the server does not say.
        digest: md5 of the bytes so far.
        pieced_together: whether they came in more than one answer.
    """

    def __init__(self, path, url):
        self.path = path.with_name(f"{path.name}.part")
        self._record_path = path.with_name(f"{path.name}.part.json")
        self._url = url
        self._reset()
        try:
            record = json.loads(self._record_path.read_bytes())
            known, self._validator, self.total = (record[k] for k in ("url", "validator", "total"))
            resumable = known == url and self._validator and self.path.is_file()
        except (OSError, ValueError, KeyError, TypeError):
            resumable = False
        if resumable:
            _hash_file(self.path, self.digest)
            self.length = self.path.stat().st_size
            self.pieced_together = True
        else:
            self.discard()

    def _reset(self):
        self.length, self.total, self._validator = 0, None, ""
        self.pieced_together = False
        self.digest = hashlib.md5(usedforsecurity=False)

    def discard(self):
        """Start from nothing."""
        self.path.unlink(missing_ok=True)
        self._record_path.unlink(missing_ok=True)
        self._reset()

    def request_headers(self):
        # Compressed in transit, lengths and ranges would count other bytes than the file's.
        headers = {"Accept-Encoding": "identity"}
        # Without a validator, what follows could be the rest of another version.
        if self.length and self._validator:
            headers |= {"Range": f"bytes={self.length}-", "If-Range": self._validator}
        return headers

    def restart(self, response):
        """Forget what is there: `response` brings the file from its first byte."""
        self.discard()
        self._validator = _read_validator(response)
        if not _is_encoded(response):
            length = response.headers.get("Content-Length", "")
            self.total = int(length) if length.isdecimal() else None
        record = {"url": self._url, "validator": self._validator, "total": self.total}
        # Written first: no byte may ever count as part of another version.
        write_json(self._record_path, record)

    def check_continuation(self, response):
        """Raise `_TryAgain`, from nothing, unless `response` goes on where this ends."""
        text = response.headers.get("Content-Range", "")
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", text.strip())
        same_place = match and int(match[1]) == self.length
        same_total = match and match[2] in ("*", str(self.total))
        if same_place and same_total and _read_validator(response) == self._validator:
            self.pieced_together = True
            return
        length = self.length
        self.discard()
        raise _TryAgain(f"sent another part ({text or 'unnamed'}) than asked for ({length}-)")

    def append(self, response, limit):
        """Write what `response` brings; more than `limit` bytes in all is an error."""
        name = self.path.name.removesuffix(".part")
        with open(self.path, "ab") as file, _byte_bar(name, limit, self.length) as bar:
            for chunk in response.iter_content(CHUNK_BYTES):
                file.write(chunk)
                self.digest.update(chunk)
                self.length += len(chunk)
                bar.update(len(chunk))
                if limit is not None and self.length > limit:
                    self.discard()
                    raise _TryAgain(f"sent more than {limit:,} bytes")

    def publish(self, path):
        """Give the whole file its final name."""
        with open(self.path, "rb") as file:
            os.fsync(file.fileno())
        os.replace(self.path, path)
        self._record_path.unlink(missing_ok=True)


def _read_validator(response):
    """What names this version of the file in If-Range: a strong ETag or a date; "" for neither."""
    if _is_encoded(response):
        return ""
    etag = response.headers.get("ETag", "")
    return etag if etag.startswith('"') else response.headers.get("Last-Modified", "")


def _is_encoded(response):
    return response.headers.get("Content-Encoding", "identity") != "identity"


def pack_folder(source, folder):
    """Copy the user's `images/`, train.json and validation.json in `source` into `folder`.

    The pictures become `images.zip`: stored, sorted, undated, so that its bytes depend on their
    names and content alone. Only pictures that the JSON files name are packed, or all of them if
    a JSON file cannot be read; what it says is judged by `hourglass.annotations`.

    Raises:
        UserError: `source` does not hold what is expected, or the disk is full.
    """
    source, folder = Path(source), Path(folder)
    _check_source(source)
    with _disk_errors(folder):
        pictures = _list_pictures(source)
        folder.mkdir(parents=True, exist_ok=True)
        sources = [source / name for name in ANNOTATIONS] + list(pictures.values())
        _check_free_space(folder, sum(path.stat().st_size for path in sources))
        with atomic_path(folder / "images.zip") as temporary:
            _write_zip(temporary, pictures)
        for name in ANNOTATIONS:
            with atomic_path(folder / name) as temporary:
                shutil.copyfile(source / name, temporary)


def _check_source(source):
    expected = "data.folder needs images/, train.json and validation.json"
    if not source.is_dir():
        raise UserError(f"{source}: no such folder; {expected}")
    if not (source / "images").is_dir():
        raise UserError(f"{source / 'images'}: no such folder; {expected}")
    for name in ANNOTATIONS:
        if not (source / name).is_file():
            raise UserError(f"{source / name}: no such file; {expected}")


def _list_pictures(source):
    """Member path -> path of the regular files to pack, sorted."""
    records = [_read_records(source / name) for name in ANNOTATIONS]
    if None in records:
        names = _walk_files(source / "images")
    else:
        images = (record.get("image") for split in records for record in split)
        names = {image for image in images if isinstance(image, str)}
    pictures = {}
    for name in sorted(names):
        path = source / "images" / name
        if name and picture_name(f"images/{name}") == name and os.path.isfile(path):
            pictures[f"images/{name}"] = path
    if not pictures:
        raise UserError(f"{source / 'images'}: none of the pictures is here that the JSON names")
    return pictures


def _walk_files(root):
    return {
        (Path(folder) / name).relative_to(root).as_posix()
        for folder, _, names in os.walk(root)
        for name in names
    }


def _write_zip(path, pictures):
    with zipfile.ZipFile(path, "w") as archive:
        for name, source in tqdm(pictures.items(), "pack", unit="picture", disable=None):
            info = zipfile.ZipInfo(name, _ZIP_DATE)
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            info.file_size = source.stat().st_size
            with open(source, "rb") as file, archive.open(info, "w") as member:
                shutil.copyfileobj(file, member, CHUNK_BYTES)


def picture_name(member):
    """The path after the first `images/` of a member's path; None where there is none.

    Also None: absolute paths, `..`, backslashes, and what is not text.
    """
    parts = [part for part in member.split("/") if part not in ("", ".")]
    unsafe = member.startswith("/") or ".." in parts or re.search(r"[\\\0\ud800-\udfff]", member)
    if unsafe or "images" not in parts[:-1]:
        return None
    return "/".join(parts[parts.index("images") + 1 :])


def open_images(archive):
    """Open a `.zip`, or an indexed `.tar.gz`, of pictures: an `ImageArchive`.

    Only regular files are listed: no links, devices, or paths that leave the archive.

    Raises:
        UserError: the archive is missing, damaged, not indexed, or two pictures have one name.
    """
    archive = Path(archive)
    if not archive.is_file():
        raise UserError(f"{archive}: not found; run the download stage")
    return TarImages(archive) if archive.name.endswith(".tar.gz") else ZipImages(archive)


class ImageArchive:
    """Pictures by name, read at random; a context manager.

    Pickles as its path and opens itself again: send it to worker processes, or open one in each.
    """

    def __init__(self, path, members):
        self.path = path
        self._members = members

    def __reduce__(self):
        return open_images, (self.path,)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __contains__(self, name):
        return name in self._members

    def names(self):
        """The names of all pictures, a frozenset."""
        return frozenset(self._members)

    def read(self, name):
        """The bytes of one picture file.

        Raises:
            UserError: no such picture, above `MAX_IMAGE_BYTES`, or damaged.
        """
        if name not in self._members:
            raise UserError(f"{self.path}: holds no picture {name!r}; correct the annotations")
        size = self._size(name)
        if size > MAX_IMAGE_BYTES:
            raise UserError(
                f"{self.path}: {name}: {size:,} bytes, more than {MAX_IMAGE_BYTES:,}; leave it out"
            )
        try:
            picture = self._read(name)
        except _READ_ERRORS as error:
            raise _damaged(self.path, name, error) from None
        if len(picture) != size:
            raise _damaged(self.path, name, f"{len(picture):,} of {size:,} bytes")
        return picture


def _damaged(archive, name, error):
    return UserError(f"{archive}: {name}: damaged ({_one_line(error)}); replace the archive")


class ZipImages(ImageArchive):
    """Pictures in a zip archive."""

    def __init__(self, path):
        self._zip = _open_zip(path)
        try:
            super().__init__(path, _index_members(path, _regular_files(self._zip)))
        except UserError:
            self.close()
            raise

    def close(self):
        """Close the file."""
        self._zip.close()

    def _size(self, name):
        return self._members[name].file_size

    def _read(self, name):
        return self._zip.read(self._members[name])


class TarImages(ImageArchive):
    """Pictures in a gzipped tar, by the seek points that `index_archive` wrote beside it.

    A read inflates `SEEK_SPACING_BYTES` at most before the picture: tens of milliseconds.
    """

    def __init__(self, path):
        members_path, seek_path = _index_paths(path)
        try:
            index = json.loads(members_path.read_bytes())
            if index["archive"]["size"] != path.stat().st_size:
                raise ValueError("made for another archive")
            super().__init__(path, index["members"])
            self._gzip = indexed_gzip.IndexedGzipFile(str(path), index_file=str(seek_path))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{members_path}: cannot be used ({_one_line(error)}); run the download stage"
            ) from None

    def close(self):
        """Close the file."""
        self._gzip.close()

    def _size(self, name):
        return self._members[name][1]

    def _read(self, name):
        offset, size = self._members[name]
        return self._gzip.pread(size, offset)


def read_member(archive, name):
    """The bytes of the one member of a zip archive whose path is, or ends in "/" and, `name`.

    Raises:
        UserError: no such member, several, above `MAX_MEMBER_BYTES`, or damaged.
    """
    archive = Path(archive)
    if not archive.is_file():
        raise UserError(f"{archive}: not found; run the download stage")
    with _open_zip(archive) as file:
        found = [info for path, info in _regular_files(file) if f"/{path}".endswith(f"/{name}")]
        if len(found) != 1:
            raise UserError(f"{archive}: holds {len(found)} files {name}, not 1; replace it")
        if found[0].file_size > MAX_MEMBER_BYTES:
            raise UserError(f"{archive}: {name}: more than {MAX_MEMBER_BYTES:,} bytes; replace it")
        try:
            return file.read(found[0])
        except _READ_ERRORS as error:
            raise _damaged(archive, name, error) from None


def _open_zip(path):
    try:
        return zipfile.ZipFile(path)
    except _READ_ERRORS as error:
        raise UserError(f"{path}: is not a zip archive ({_one_line(error)}); replace it") from None


def _regular_files(archive):
    """(path, ZipInfo) of each; a member without a Unix type is a regular file."""
    for info in archive.infolist():
        if not info.is_dir() and stat.S_IFMT(info.external_attr >> 16) in (0, stat.S_IFREG):
            yield info.filename, info


def _index_members(archive, members):
    """Picture name -> entry, from pairs of member path and entry; other members are left out."""
    index = {}
    for path, entry in members:
        name = picture_name(path)
        if name in index:
            raise UserError(f"{archive}: holds two pictures {name}; replace it")
        if name is not None:
            index[name] = entry
    return index


def index_archive(archive, md5):
    """Make a `.tar.gz` readable at random, in one pass; nothing to do where its index matches.

    Writes `<archive>.gzidx`, the seek points, then `<archive>.members.json`:
    `{"archive": {"size", "md5"}, "members": {name: [offset, size]}}`, in bytes of the inflated tar.
    Memory stays bounded by the number of members.

    Args:
        md5: of the archive, hexadecimal: what the index is made for.

    Raises:
        UserError: the archive is damaged or cut short, or the disk is full.
    """
    members_path, seek_path = _index_paths(archive)
    identity = {"size": archive.stat().st_size, "md5": md5}
    if seek_path.is_file() and _read_identity(members_path) == identity:
        return
    with _disk_errors(seek_path):
        with atomic_path(seek_path) as temporary:
            members = _scan_tar(archive, temporary)
        write_json(members_path, {"archive": identity, "members": members})


def _index_paths(archive):
    return (
        archive.with_name(f"{archive.name}.members.json"),
        archive.with_name(f"{archive.name}.gzidx"),
    )


def _read_identity(members_path):
    try:
        return json.loads(members_path.read_bytes())["archive"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _scan_tar(archive, seek_path):
    """Picture name -> (offset, size); the seek points are written to `seek_path`."""
    with (
        open(archive, "rb", buffering=0) as raw,
        indexed_gzip.IndexedGzipFile(
            fileobj=raw, spacing=SEEK_SPACING_BYTES, buffer_size=SCAN_BUFFER_BYTES
        ) as file,
        _byte_bar(f"index {archive.name}", archive.stat().st_size) as bar,
    ):
        try:
            members = _index_members(archive, _tar_members(file, raw, bar))
        except _READ_ERRORS as error:
            raise UserError(
                f"{archive}: is not a whole tar.gz ({_one_line(error)}); replace it"
            ) from None
        file.export_index(str(seek_path))
    return members


def _tar_members(file, raw, bar):
    """(path, (offset, size)) of each regular file; raises `tarfile.TarError` on a cut archive."""
    # As a stream: a seek to each header would inflate from the last seek point every time.
    with tarfile.open(fileobj=file, mode="r|", bufsize=CHUNK_BYTES) as tar:
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
