"""Lists of paths in files, of any length: read and written path by path."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from io import BufferedReader
from pathlib import Path

import numpy as np

from hourglass.utils.errors import UserError

BLOCK = 1 << 20  # bytes read at a time
MAX_PATH = 4096  # bytes, Linux
KEY_SIZE = 16  # bytes of a path's digest: two in a million are the same by 1 to 10^26
UTF8_MARK, UTF16_MARKS = b"\xef\xbb\xbf", (b"\xff\xfe", b"\xfe\xff")


def read_paths(path: Path) -> Iterator[Path]:
    """Yield the paths in a list: one a line, or each with a NUL after it (`find -print0`).

    A path may hold any bytes; empty lines are skipped.

    Raises:
        UserError: the list cannot be read, or is no list of paths.
    """
    try:
        with open(path, "rb") as file:
            for name in _split_names(file, path):
                yield Path(os.fsdecode(name))
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read: {error.strerror}; fix it or name another list"
        ) from None


def _split_names(file: BufferedReader, path: Path) -> Iterator[bytes]:
    head = file.peek(MAX_PATH + 1)
    if head.startswith(UTF16_MARKS):
        raise UserError(f"{path}: is a list in UTF-16; save it as UTF-8")
    if head.startswith(UTF8_MARK):
        file.read(len(UTF8_MARK))
    separator = b"\0" if b"\0" in head else b"\n"
    rest = b""
    while block := file.read(BLOCK):
        *names, rest = (rest + block).split(separator)
        yield from _check_names(names, separator, path)
        _check_names([rest[: MAX_PATH + 1]], separator, path)  # endless, it would fill the memory
    if rest and separator == b"\0":
        raise _no_list(path)
    yield from _check_names([rest], separator, path)


def _check_names(names: list[bytes], separator: bytes, path: Path) -> list[bytes]:
    if separator == b"\n":  # else a name may hold and be whatever a file system takes
        names = [name.removesuffix(b"\r") for name in names if name.strip()]
    if any(len(name) > MAX_PATH or b"\0" in name for name in names):
        raise _no_list(path)
    return [name for name in names if name]


def _no_list(path: Path) -> UserError:
    return UserError(
        f"{path}: is no list of paths, one a line or each with a NUL after it (`find -print0`); "
        "name another"
    )


def write_paths(path: Path, names: Iterable[Path], folder: Path) -> tuple[int, int]:
    """Write a list of paths, each with a NUL after it, that `read_paths` reads.

    Of paths that name one file below `folder`, compared as text, the first is kept.

    Returns:
        How many there are, and how many were skipped.
    """
    keys = bytearray()
    with open(path, "wb") as file:
        for name in names:
            file.write(os.fsencode(name) + b"\0")
            full = os.fsencode(folder / name)
            keys += hashlib.blake2b(full, digest_size=KEY_SIZE).digest()
    is_first = _find_first(keys)
    if not is_first.all():
        _keep(path, is_first)
    number = int(is_first.sum())
    return number, len(is_first) - number


def _find_first(digests: bytearray) -> np.ndarray:
    """Whether each key is the first of its kind, bool [n]; 60 bytes of memory a key."""
    keys = np.frombuffer(digests, f"S{KEY_SIZE}")
    is_first = np.zeros(len(keys), bool)
    is_first[np.unique(keys, return_index=True)[1]] = True
    return is_first


def _keep(path: Path, chosen: np.ndarray) -> None:
    """Leave only the chosen ones of a list that `write_paths` wrote."""
    shorter = path.with_name(f"{path.name}.shorter")
    with open(shorter, "wb") as file:
        for name, is_chosen in zip(read_paths(path), chosen, strict=True):
            if is_chosen:
                file.write(os.fsencode(name) + b"\0")
    os.replace(shorter, path)
