"""Files that appear whole or not at all, and the locks that keep two processes apart."""

import contextlib
import fcntl
import json
import os
import shutil
from pathlib import Path

from hourglass.errors import UserError


@contextlib.contextmanager
def atomic_path(path):
    """Yield a temporary path beside `path`; on success it is synced and renamed to `path`.

    On an exception the temporary file is removed and `path` is left as it was. The name is fixed,
    so that what a killed process left is overwritten by the next one.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        error.filename = error.filename or str(path)  # a failed write does not know its file
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path, value):
    """Write `value` as JSON, atomically; NaN is refused, since it is not JSON."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(value, allow_nan=False, indent=1) + "\n")


def write_text(path, text):
    """Write `text` as UTF-8, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def check_free_space(folder, needed):
    """Raise `UserError` unless the disk of `folder` has `needed` bytes free."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(
            f"{folder}: {needed:,} bytes are needed and {free:,} are free; make room, then repeat"
        )


@contextlib.contextmanager
def exclusive_lock(path, what):
    """Hold a lock on the file `path`; it is freed whichever way the process ends.

    Raises:
        UserError: another process holds it; names that process and `what` it does.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _open_locked(path, what) as file:
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _open_locked(path, what):
    while True:
        file = open(path, "a+")  # noqa: SIM115 -- returned open
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with file:
                file.seek(0)
                owner = file.read().strip() or "of unknown number"
            raise UserError(f"process {owner} is {what}: wait for it, or end it") from None
        if _is_same_file(file, path):
            return file
        file.close()  # its last holder removed it before we had the lock: take the new one


def _is_same_file(file, path):
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False
