"""The raw files of a dataset: fetched so that they resume and verify, drawn, or packed."""

import contextlib
import hashlib
import json
import os
import re
import sys
import time
from pathlib import Path

import requests
import urllib3

from hourglass.errors import UserError, one_line
from hourglass.files import check_free_space, exclusive_lock, read_json_list, write_json
from hourglass.raw import archives, packing, tar_index
from hourglass.raw.datasets import DATASETS
from hourglass.raw.progress import byte_bar
from hourglass.synthetic.pictures import write_dataset

CHUNK_BYTES = 1 << 18
MAX_FAILURES = 5  # tries in a row that bring nothing new
BACKOFF_SECONDS = 1.0  # doubled at each failure
MAX_WAIT_SECONDS = 60.0  # also the most that a server's Retry-After is honoured
TIMEOUT_SECONDS = (15, 60)  # to connect, and between two pieces
MAX_REDIRECTS = 10

_RETRIED_STATUS = (408, 416, 429, 500, 502, 503, 504)
_RETRIED_ERRORS = (requests.ConnectionError, requests.Timeout, urllib3.exceptions.HTTPError)


class DownloadError(UserError):
    """A server did not give the file, or gave a wrong one."""


class _TryAgain(Exception):
    """A fault that another try may fix, after `wait` seconds where the server named a time."""

    def __init__(self, reason, wait=None):
        super().__init__(reason)
        self.wait = wait


def fetch_dataset(data, folder):
    """Make `folder` hold the raw files of `data.dataset`, verified, and nothing half-done.

    A file that is there and verifies is not fetched again. The folder's bytes depend on the
    files' content alone. Beside a `.tar.gz` of pictures lie its `.members.json` and `.gzidx`.

    Args:
        data: `hourglass.params.DataParams`.
        folder: of this dataset alone, for example `data/raw/mpii`.

    Raises:
        UserError: a file cannot be had, a disk is full, another process is at it, or the user's
            own folder is not as `packing.pack_folder` expects.
    """
    folder = Path(folder)
    dataset = DATASETS[data.dataset]
    with _disk_errors(folder), exclusive_lock(folder / ".lock", f"filling {folder}"):
        if data.dataset == "synthetic":
            write_dataset(folder, data.synthetic)
        elif data.dataset == "folder":
            packing.pack_folder(data.folder, folder)
        else:
            _fetch_files(dataset, data.mirror, folder)
        with archives.open_images(folder / dataset.images) as images:
            if not images.names():
                raise UserError(
                    f"{images.path}: no pictures under images/; delete it and run this again"
                )
        for pattern in ("*.part", "*.part.json", ".*.tmp"):  # left by killed processes
            for path in folder.glob(pattern):
                path.unlink()


@contextlib.contextmanager
def _disk_errors(path):
    """Turn a full disk or a missing permission into a UserError."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or one_line(error)
        raise UserError(
            f"{error.filename or path}: {reason}; make room or fix its permissions, then repeat"
        ) from None


def _fetch_files(dataset, mirror, folder):
    _fetch_annotations(dataset, mirror, folder)
    for remote in dataset.files:
        _fetch_file(remote.at_mirror(mirror), folder)
        if remote.name.endswith(".tar.gz"):
            tar_index.index_archive(folder / remote.name, remote.md5)


def _fetch_annotations(dataset, mirror, folder):
    """All of `dataset.annotations`, or its fallback in their place."""
    fallback = dataset.fallback
    complete = all((folder / remote.name).exists() for remote in dataset.annotations)
    # Raw data stays what it was: a fallback once taken is kept until the user deletes it.
    if complete or not fallback or not (folder / fallback.name).exists():
        try:
            for remote in dataset.annotations:
                _fetch_file(remote.at_mirror(mirror), folder)
            return
        except DownloadError as error:
            if not fallback:
                raise
            print(f"{error}; going on with {fallback.name} and the official .mat", file=sys.stderr)
    _fetch_file(fallback.at_mirror(mirror), folder)
    for remote in dataset.annotations:  # parse would prefer what is left of them
        (folder / remote.name).unlink(missing_ok=True)


def _fetch_file(remote, folder):
    """Fetch unless it is there and verifies."""
    path = folder / remote.name
    if path.is_file():
        fault = find_fault(remote, path)
        if fault is None:
            return
        print(f"{path}: {fault}; fetching it again", file=sys.stderr)
    download_file(remote, folder)


# Verification


def find_fault(remote, path):
    """What makes the file at `path` another one than `remote`, a `RemoteFile`; else None."""
    if remote.md5:
        md5 = _hash_file(path, remote.name)
        return None if md5 == remote.md5 else f"has md5 {md5}, not {remote.md5}"
    checks = {".zip": archives.find_zip_fault, ".json": _find_json_fault, ".txt": _find_list_fault}
    check = checks.get(Path(remote.name).suffix)
    return check(path) if check else None


def _hash_file(path, name):
    md5 = hashlib.md5(usedforsecurity=False)
    with open(path, "rb") as file, byte_bar(f"check {name}", path.stat().st_size) as bar:
        while chunk := file.read(CHUNK_BYTES):
            md5.update(chunk)
            bar.update(len(chunk))
    return md5.hexdigest()


def _find_json_fault(path):
    try:
        records = read_json_list(path, "")
    except UserError:
        records = []
    good = records and all(isinstance(record, dict) for record in records)
    return None if good else "is not a JSON list of person records"


def _find_list_fault(path):
    names = path.read_text(encoding="utf-8", errors="replace").split()
    good = names and all(re.fullmatch(r"[\w.-]+\.jpg", name) for name in names)
    return None if good else "is not a list of picture names"


# Download


def download_file(remote, folder):
    """Fetch `remote` into `folder`; the final name appears only once the file is verified.

    What arrived stays in `<name>.part`, and the next try or the next process asks for the rest of
    the same version (RFC 9110: Range, If-Range). The caller keeps other processes away.

    Args:
        remote: `hourglass.raw.datasets.RemoteFile`.

    Raises:
        DownloadError: the server does not give the file, or gives a wrong one.
        UserError: the disk is too small.
    """
    path = Path(folder) / remote.name
    part = _PartFile(path, remote.url)
    for _ in range(2):
        _complete_part(part, remote)
        fault = find_fault(remote, part.path)
        if fault is None:
            part.publish(path)
            return
        in_one_piece = not part.pieced_together and part.total is not None
        part.discard()
        if in_one_piece:  # it would come out the same again
            break
    raise _failure(remote, fault, "set data.mirror to a good copy")


def _failure(remote, reason, fix="check data.mirror"):
    # Without user names and passwords.
    return DownloadError(
        re.sub(r"//[^/@\s]*@", "//", f"{remote.url}: {reason.rstrip('.?')}; {fix}")
    )


def _complete_part(part, remote):
    """Send requests until `part` is whole."""
    failures, farthest = 0, part.length
    with requests.Session() as session:
        session.max_redirects = MAX_REDIRECTS
        while not part.is_whole():
            try:
                _request_rest(session, part, remote)
                return
            except (_TryAgain, *_RETRIED_ERRORS) as error:
                # Counted from the farthest point ever: a server that cannot resume and always
                # breaks off would else be asked for ever.
                failures = 0 if part.length > farthest else failures + 1
                farthest = max(farthest, part.length)
                if failures >= MAX_FAILURES:
                    raise _failure(
                        remote, _shorten(error), "check the network and data.mirror, then "
                        "repeat: it goes on where it stopped"
                    ) from None  # fmt: skip
                _wait(f"{remote.name}: {_shorten(error)}", failures, getattr(error, "wait", None))
            # ValueError: what requests lets through of a redirect to no URL.
            except (requests.RequestException, ValueError) as error:
                raise _failure(remote, one_line(error)) from None


def _shorten(error):
    """What went wrong, without what requests was doing then."""
    cause = error.args[0] if error.args else error
    text = one_line(getattr(cause, "reason", cause))
    return re.sub(r"^<?\w+Connection(?:Pool)?\([^)]*\)[^:]*: ", "", text)  # which object it was


def _wait(reason, failures, asked):
    backoff = BACKOFF_SECONDS * 2 ** max(failures - 1, 0)
    seconds = min(backoff if asked is None else asked, MAX_WAIT_SECONDS)
    print(f"{reason}; next try in {seconds:.0f} s", file=sys.stderr)
    time.sleep(seconds)


def _request_rest(session, part, remote):
    """One request, its answer appended to `part`, or starting it anew."""
    with session.get(
        remote.url, headers=part.request_headers(), stream=True, timeout=TIMEOUT_SECONDS
    ) as response:
        if response.status_code == 206:
            part.check_continuation(response)
        elif response.status_code == 200:
            part.restart(response)
        else:
            _refuse(response, part, remote)
        check_free_space(part.path.parent, (part.total or 0) - part.length)
        part.append(response, part.total)
    if part.total and not part.is_whole():
        raise _TryAgain(f"broke off after {part.length:,} of {part.total:,} bytes")


def _refuse(response, part, remote):
    reason = f"the server answered {response.status_code} {response.reason}"
    if response.status_code == 416:  # the part is longer than the file
        part.discard()
    if response.status_code in _RETRIED_STATUS:
        raise _TryAgain(reason, _read_retry_after(response))
    raise _failure(remote, reason)


def _read_retry_after(response):
    """Seconds to wait; None where the header is absent or garbled (RFC 9110, 10.2.3)."""
    try:
        return urllib3.Retry().get_retry_after(response.raw)
    except (urllib3.exceptions.InvalidHeader, ValueError, OverflowError):
        return None


class _PartFile:
    """A file that grows: `<name>.part`, and in `<name>.part.json` which version of what it is.

    Attributes:
        total: bytes of the whole file, None where the server does not say.
        pieced_together: whether the bytes so far came in more than one answer.
    """

    def __init__(self, path, url):
        self.path = path.with_name(f"{path.name}.part")
        self._record_path = path.with_name(f"{path.name}.part.json")
        self._url = url
        try:
            record = json.loads(self._record_path.read_bytes())
            known, self._validator, self.total = (record[k] for k in ("url", "validator", "total"))
        except (OSError, ValueError, KeyError, TypeError):
            known = None
        if known != url or not self.path.is_file():
            self.discard()
        self.pieced_together = self.length > 0

    @property
    def length(self):
        """Bytes so far."""
        return self.path.stat().st_size if self.path.exists() else 0

    def is_whole(self):
        """Whether all bytes are here; False where the server did not say how many there are."""
        return self.length == self.total

    def discard(self):
        """Start from nothing."""
        self.path.unlink(missing_ok=True)
        self._record_path.unlink(missing_ok=True)
        self.total, self._validator, self.pieced_together = None, "", False

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
        reason = f"sent another part ({text or 'unnamed'}) than asked for ({self.length}-)"
        self.discard()
        raise _TryAgain(reason)

    def append(self, response, limit):
        """Write what `response` brings; more than `limit` bytes in all is an error."""
        name = self.path.name.removesuffix(".part")
        with open(self.path, "ab") as file, byte_bar(name, limit, self.length) as bar:
            # Some servers call a .tar.gz "Content-Encoding: x-gzip": it is not to be undone.
            for chunk in response.raw.stream(CHUNK_BYTES, decode_content=False):
                file.write(chunk)
                bar.update(len(chunk))
                if limit and file.tell() > limit:
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
    etag = response.headers.get("ETag", "")
    return etag if etag.startswith('"') else response.headers.get("Last-Modified", "")
