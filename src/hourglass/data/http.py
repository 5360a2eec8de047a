"""One file over HTTP, or of a folder: resumed, retried, verified before it has its name."""

import hashlib
import json
import os
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import requests
import urllib3

from hourglass.data import zip_files
from hourglass.utils import files
from hourglass.utils.errors import UserError, one_line

CHUNK_BYTES = 1 << 18
MAX_FAILURES = 5  # tries in a row that bring nothing new
BACKOFF_SECONDS = 1.0  # doubled at each failure
MAX_WAIT_SECONDS = 60.0  # also the most that a server's Retry-After is honoured
TIMEOUT_SECONDS = (15, 60)  # to connect, and between two pieces
MAX_REDIRECTS = 10

_RETRIED_STATUS = (408, 416, 429, 500, 502, 503, 504)
_RETRIED_ERRORS = (requests.ConnectionError, requests.Timeout, urllib3.exceptions.HTTPError)


@dataclass(frozen=True)
class RemoteFile:
    """A file to fetch, and how to know that it is the right one.

    Attributes:
        name: its name in the raw folder, and on a mirror.
        check: a function from a path to its file's fault, or None; for files without an md5. A
            `.zip` is checked by its members' CRCs.
    """

    name: str
    url: str
    md5: str | None = None
    check: Callable[[Path], str | None] | None = None

    def at_mirror(self, mirror: str) -> "RemoteFile":
        """The file at the base URL or in the folder `mirror`, or at its public home for ""."""
        return replace(self, url=f"{mirror.rstrip('/')}/{self.name}") if mirror else self


class DownloadError(UserError):
    """A server did not give the file, or gave a wrong one."""


class _TryAgain(Exception):
    """A fault that another try may fix, after `wait` seconds where the server named a time."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


def fetch_file(remote: RemoteFile, folder: Path) -> None:
    """`download_file`, unless the file is there and verifies."""
    path = folder / remote.name
    # Verified each time: it may have been changed since.
    if path.is_file():
        fault = find_fault(remote, path)
        if fault is None:
            return
        print(f"{path}: {fault}; fetching it again", file=sys.stderr)
    download_file(remote, folder)


def download_file(remote: RemoteFile, folder: Path) -> None:
    """Fetch `remote` into `folder`; the final name appears only once the file is verified.

    What arrived stays in `<name>.part`, and the next try or process asks for the rest of the same
    version (RFC 9110: Range, If-Range). The caller keeps other processes away.

    Raises:
        DownloadError: the server does not give the file, or gives a wrong one.
        UserError: the disk is too small.
    """
    path = Path(folder) / remote.name
    if source := files.local_path(remote.url):
        return _copy_verified(remote, source, path)
    part = _PartFile(path, remote.url)
    # Twice: the pieces of several answers may not fit together.
    for _ in range(2):
        _complete_part(part, remote)
        fault = find_fault(remote, part.path) or ""
        if not fault:
            part.publish(path)
            return
        in_one_piece = not part.pieced_together and part.total is not None
        part.discard()
        if in_one_piece:  # it would come out the same again
            break
    raise _failure(remote, fault, "set data.mirror to a good copy")


def _copy_verified(remote: RemoteFile, source: Path, path: Path) -> None:
    if not source.is_file():
        raise _failure(remote, "no such file, and no URL")
    if fault := find_fault(remote, source):
        raise _failure(remote, fault, "set data.mirror to a good copy")
    files.copy_file(source, path)


def _failure(remote: RemoteFile, reason: str, advice: str = "check data.mirror") -> DownloadError:
    # Without user names and passwords.
    return DownloadError(
        re.sub(r"//[^/@\s]*@", "//", f"{remote.url}: {reason.rstrip('.?')}; {advice}")
    )


def _complete_part(part: "_PartFile", remote: RemoteFile) -> None:
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


def _shorten(error: Exception) -> str:
    """The cause of an error, without the call that requests adds."""
    cause = error.args[0] if error.args else error
    text = one_line(getattr(cause, "reason", cause))
    return re.sub(r"^<?\w+Connection(?:Pool)?\([^)]*\)[^:]*: ", "", text)  # which object it was


def _wait(reason: str, failures: int, asked: float | None) -> None:
    backoff = BACKOFF_SECONDS * 2 ** max(failures - 1, 0)
    seconds = min(backoff if asked is None else asked, MAX_WAIT_SECONDS)
    print(f"{reason}; next try in {seconds:.0f} s", file=sys.stderr)
    time.sleep(seconds)


def _request_rest(session: requests.Session, part: "_PartFile", remote: RemoteFile) -> None:
    """One request, its answer appended to `part`, or starting it anew."""
    with session.get(
        remote.url, headers=part.request_headers(), stream=True, timeout=TIMEOUT_SECONDS
    ) as response:
        if response.status_code == 206:
            part.check_continuation(response)
        # The whole file, asked for or not: the server cannot resume, or has another version by now
        # (If-Range).
        elif response.status_code == 200:
            part.restart(response)
        else:
            _refuse(response, part, remote)
        files.check_free_space(part.path.parent, (part.total or 0) - part.length)
        part.append(response, part.total)
    if part.total and not part.is_whole():
        raise _TryAgain(f"broke off after {part.length:,} of {part.total:,} bytes")


def _refuse(response: requests.Response, part: "_PartFile", remote: RemoteFile) -> None:
    reason = f"the server answered {response.status_code} {response.reason}"
    if response.status_code == 416:  # the part is longer than the file
        part.discard()
    if response.status_code in _RETRIED_STATUS:
        raise _TryAgain(reason, _read_retry_after(response))
    raise _failure(remote, reason)


def _read_retry_after(response: requests.Response) -> float | None:
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

    def __init__(self, path: Path, url: str) -> None:
        self.path = path.with_name(f"{path.name}.part")
        self._record_path = path.with_name(f"{path.name}.part.json")
        self._url = url
        try:
            record = json.loads(self._record_path.read_bytes())
            known, self._validator, self.total = (record[k] for k in ("url", "validator", "total"))
        except (OSError, ValueError, KeyError, TypeError):
            known = None
        # Another mirror's part is not gone on with, nor one whose record is lost.
        if known != url or not self.path.is_file():
            self.discard()
        self.pieced_together = self.length > 0

    @property
    def length(self) -> int:
        """Bytes so far."""
        return self.path.stat().st_size if self.path.exists() else 0

    def is_whole(self) -> bool:
        """Whether all bytes are here; False where the server did not say how many there are."""
        return self.length == self.total

    def discard(self) -> None:
        """Start from nothing."""
        self.path.unlink(missing_ok=True)
        self._record_path.unlink(missing_ok=True)
        self.total, self._validator, self.pieced_together = None, "", False

    def request_headers(self) -> dict[str, str]:
        # Compressed in transit, lengths and ranges would count other bytes than the file's.
        headers = {"Accept-Encoding": "identity"}
        # Without a validator, what follows could be the rest of another version.
        if self.length and self._validator:
            headers |= {"Range": f"bytes={self.length}-", "If-Range": self._validator}
        return headers

    def restart(self, response: requests.Response) -> None:
        """Forget the bytes so far: `response` brings the file from its first byte."""
        self.discard()
        self._validator = _read_validator(response)
        length = response.headers.get("Content-Length", "")
        self.total = int(length) if length.isdecimal() else None
        record = {"url": self._url, "validator": self._validator, "total": self.total}
        # Written first: no byte may ever count as part of another version.
        files.write_json(self._record_path, record)

    def check_continuation(self, response: requests.Response) -> None:
        """Raise `_TryAgain`, from nothing, unless `response` goes on where this ends."""
        text = response.headers.get("Content-Range", "")
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", text.strip())
        same_place = match and int(match[1]) == self.length
        # "*": the server leaves the total open.
        same_total = match and match[2] in ("*", str(self.total))
        if same_place and same_total and _read_validator(response) == self._validator:
            self.pieced_together = True
            return
        reason = f"sent another part ({text or 'unnamed'}) than asked for ({self.length}-)"
        self.discard()
        raise _TryAgain(reason)

    def append(self, response: requests.Response, limit: int | None) -> None:
        """Write the bytes of `response`; more than `limit` bytes in all are an error."""
        name = self.path.name.removesuffix(".part")
        with open(self.path, "ab") as file, files.byte_bar(name, limit, self.length) as bar:
            # Some servers call a .tar.gz "Content-Encoding: x-gzip": it is not to be undone.
            for chunk in response.raw.stream(CHUNK_BYTES, decode_content=False):
                file.write(chunk)
                bar.update(len(chunk))
                if limit and file.tell() > limit:
                    self.discard()
                    raise _TryAgain(f"sent more than {limit:,} bytes")

    def publish(self, path: Path) -> None:
        """Give the whole file its final name."""
        # On the disk before it has its name, or a power cut could leave the name on an empty file.
        with open(self.path, "rb") as file:
            os.fsync(file.fileno())
        os.replace(self.path, path)
        self._record_path.unlink(missing_ok=True)


def _read_validator(response: requests.Response) -> str:
    """The version of the file for If-Range: a strong ETag or a date; "" for neither."""
    # A weak one, W/"...", means equivalent and not equal bytes; If-Range does not take it.
    etag = response.headers.get("ETag", "")
    return etag if etag.startswith('"') else response.headers.get("Last-Modified", "")


def find_fault(remote: RemoteFile, path: Path) -> str | None:
    """The difference of the file at `path` from `remote`; None if there is none."""
    if remote.md5:
        md5 = hashlib.md5(usedforsecurity=False)
        for chunk in files.read_chunks(path, f"check {remote.name}"):
            md5.update(chunk)
        found = md5.hexdigest()
        return None if found == remote.md5 else f"has md5 {found}, not {remote.md5}"
    check = remote.check or (zip_files.find_zip_fault if remote.name.endswith(".zip") else None)
    return check(path) if check else None
