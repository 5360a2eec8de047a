"""Files written whole or not at all, JSON read with care, locks that keep two processes apart.

And the progress of bytes.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote, urlsplit

from tqdm import tqdm

from hourglass.utils.errors import UserError, printable

# Python's objects to a byte of JSON, measured on MPII's records: 4.3 GB for a million of them.
JSON_MEMORY_FACTOR = 10


@contextlib.contextmanager
def atomic_path(path: str | Path, scratch: Path | None = None) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is synced and renamed to `path`.

    On an exception the temporary file is removed and `path` is left as it was. The name is
    fixed: the next process overwrites the leftovers of a killed one.

    Args:
        scratch: a folder on the same disk that is removed later. The temporary file then lies there
            under a unique name: two writers of one path do not meet.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    if scratch:
        temporary = Path(scratch, f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        yield temporary
        # On the disk before it has its name, or a power cut could leave the name on an empty file.
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        error.filename = error.filename or str(path)  # a failed write does not know its file
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Yield a new folder beside `path`; on success it replaces whatever is at `path`.

    On an exception the new folder is removed and `path` is left as it was.
    """
    path = Path(path).resolve()  # "." has no name, a link keeps its place
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary, old = (path.with_name(f".{path.name}.{kind}") for kind in ("tmp", "old"))
    _put_back(old, path)  # of a killed process
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        if path.exists():
            os.replace(path, old)
        os.replace(temporary, path)
    finally:
        _put_back(old, path)
        shutil.rmtree(temporary, ignore_errors=True)


def _put_back(old: Path, path: Path) -> None:
    """Rename `old` to `path` where nothing has taken its place; else remove it."""
    if old.exists() and not path.exists():
        os.replace(old, path)
    shutil.rmtree(old, ignore_errors=True)


@contextlib.contextmanager
def scratch_folder(path: str | Path) -> Iterator[Path]:
    """Yield a new folder below `path`; both are removed at the end.

    Leftovers of a killed run below `path` are removed first. If `path` is a link, only the new
    folder is removed. Its name is new in each run: processes that outlived a killed run cannot
    write into it.
    """
    path = Path(path)
    shutil.rmtree(path, ignore_errors=True)
    folder = path / uuid.uuid4().hex
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(path, ignore_errors=True)  # refuses a link, which may lead to others' files


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as JSON, atomically; NaN is refused, since it is not JSON."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(value, allow_nan=False, indent=1) + "\n")


def write_text(path: str | Path, text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_json_list(path: str | Path, advice: str) -> list:
    """The list in a JSON file, in UTF-8 with or without a byte order mark.

    Raises:
        UserError: the file is missing, not UTF-8, not JSON (with the place), would fill the
            memory, or holds anything else; it ends with `advice`, what to do.
    """
    values = read_json(path, advice)
    if not isinstance(values, list):
        raise UserError(f"{path}: line 1: a list of records was expected; {advice}")
    return values


def read_json(path: str | Path, advice: str) -> Any:
    """The content of a JSON file, in UTF-8 with or without a byte order mark.

    A number of any length becomes a float: one absurd record must not cost the whole file.

    Raises:
        UserError: the file is missing, not UTF-8, not JSON (with the place), or would fill the
            memory; it ends with `advice`, what to do.
    """
    try:
        check_free_memory(path, JSON_MEMORY_FACTOR * Path(path).stat().st_size)
        return json.loads(Path(path).read_bytes().decode("utf-8-sig"), parse_int=float)
    except FileNotFoundError:
        raise UserError(f"{path}: not found; {advice}") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise UserError(f"{path}: {_describe_json_fault(error)}; {advice}") from None


def _describe_json_fault(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        if not error.doc.strip():
            return "the file is empty"
        cut = ", where the file ends" if error.pos >= len(error.doc.rstrip()) else ""
        return f"not JSON at line {error.lineno} column {error.colno}{cut}: {error.msg}"
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8 at byte {error.start}"
    if isinstance(error, RecursionError):
        return "not a list of records: nested too deeply"
    return f"cannot be read: {getattr(error, 'strerror', error)}"


def check_free_space(folder: str | Path, needed: int) -> None:
    """Raise `UserError` unless the disk of `folder` has `needed` bytes free."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(
            f"{folder}: {needed:,} bytes are needed and {free:,} are free; make room, then repeat"
        )


def check_free_memory(path: str | Path, needed: int) -> None:
    """Raise `UserError` where the system knows that the `needed` bytes to read `path` are not free.

    What does not fit would end without a word: Linux kills the process.
    """
    try:
        text = Path("/proc/meminfo").read_text()
    except OSError:
        return  # not Linux
    available = re.search(r"^MemAvailable: +(\d+) kB$", text, re.MULTILINE)
    free = int(available[1]) * 1024 if available else needed
    if needed > free:
        raise UserError(
            f"{path}: takes {needed:,} bytes of memory to read, and {free:,} are free;"
            " split it, or use a larger machine"
        )


@contextlib.contextmanager
def exclusive_lock(
    path: str | Path, what: str, advice: str = "wait for it, or end it", wait: bool = False
) -> Iterator[None]:
    """Hold a lock on the file `path`; it is freed whichever way the process ends.

    Args:
        wait: for a process that holds it, with a line on stderr that names it and its folder.

    Raises:
        UserError: another process holds it; names that process, `what` it does, and `advice`.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _open_locked(path, what, advice, wait) as file:
        file.truncate(0)
        file.write(f"{os.getpid()}\n{Path.cwd()}")
        file.flush()
        try:
            yield
        finally:
            # While it is still locked: after that it may be another's.
            path.unlink(missing_ok=True)


def _open_locked(path: Path, what: str, advice: str, wait: bool) -> IO[str]:
    try:
        import fcntl  # not on Windows, where all that takes no lock works
    except ModuleNotFoundError:
        raise UserError(
            f"{path}: this system has no file locks; use Linux or macOS, or WSL on Windows"
        ) from None
    while True:
        # Not "w": it would empty the file of whoever holds the lock.
        file = open(path, "a+")  # noqa: SIM115 -- returned open
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner, folder = _read_owner(file)
            if not wait:
                file.close()
                raise UserError(f"process {owner} is {what}: {advice}") from None
            line = f"process {owner} is {what}, in {folder}: waiting for its end"
            print(printable(line), file=sys.stderr, flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        if _is_same_file(file, path):
            return file
        file.close()  # its last holder removed it before we had the lock: take the new one


def _read_owner(file: IO[str]) -> tuple[str, str]:
    """The number of the process that holds a lock, and the folder that it runs in."""
    file.seek(0)
    owner, _, folder = file.read().partition("\n")
    return owner or "of unknown number", folder or "an unknown folder"


def _is_same_file(file: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


def file_digest(path: str | Path) -> str:
    """The file's SHA-256, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def local_path(url: str) -> Path | None:
    """The path that a `file:` URL or a text without a scheme names; None for any other URL."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    return None if parts.scheme else Path(url).expanduser()


def copy_file(source: Path, path: Path) -> None:
    """Copy a file, atomically, with a progress bar.

    Raises:
        UserError: the disk is too small.
    """
    check_free_space(path.parent, source.stat().st_size)
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        for chunk in read_chunks(source, f"copy {path.name}"):
            file.write(chunk)


def read_chunks(path: Path, title: str) -> Iterator[bytes]:
    """The bytes of a file, in pieces, with a progress bar."""
    with open(path, "rb") as file, byte_bar(title, path.stat().st_size) as bar:
        while chunk := file.read(1 << 18):
            yield chunk
            bar.update(len(chunk))


def byte_bar(name: str, total: int | None, initial: int = 0) -> tqdm:
    """A progress bar of bytes; quiet unless on a terminal."""
    return tqdm(
        desc=name, total=total, initial=initial,
        unit="B", unit_scale=True, unit_divisor=1024, disable=None,
    )  # fmt: skip
