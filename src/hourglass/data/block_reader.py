"""Reads of a `.tar.gz` in large blocks: each read inflates anew from the seek point before it."""

import contextlib
import tarfile
from collections.abc import Iterable, Iterator
from tarfile import BLOCKSIZE
from typing import Any

# At 4 MiB a seek point, 2 MiB are inflated on average before what is asked for. Pictures one by
# one: 48 MB/s of CPU time, blocks of 16 MiB 257, of 64 MiB 277.
BLOCK_BYTES = 16 << 20
MAX_GAP_BYTES = 4 << 20  # what is not asked for is passed over where a seek is cheaper


class BlockReader:
    """Reads a tar's members at any place, and fast where they were announced.

    Args:
        file: `indexed_gzip.IndexedGzipFile` of the tar.
        errors: the exceptions that damage raises.
    """

    def __init__(self, file: Any, errors: tuple[type[Exception], ...]) -> None:
        self._file = file
        self._errors = errors
        self._blocks: dict[int, int] = {}  # offset of its first byte -> length
        self._start, self._block = 0, b""

    def announce(self, spans: Iterable[tuple[int, int]]) -> None:
        """Say which (offset, size) will be read, in ascending order: replaces what was said."""
        self._blocks = dict(plan_blocks(spans))

    def read(self, offset: int, size: int) -> bytes:
        """The bytes there; fewer where the archive ends before."""
        length = self._blocks.pop(offset, None)
        if length:
            self._load(offset, length)
        start = offset - self._start
        if start >= 0 and start + size <= len(self._block):
            if start == 0 or _is_header(self._block[max(start - BLOCKSIZE, 0) : start]):
                return self._block[start : start + size]
            self._block = b""
        return self._file.pread(size, offset)

    def _load(self, offset: int, length: int) -> None:
        self._block = b""  # one block in memory, never two
        # Damaged somewhere: its members are then read, and judged, one by one.
        with contextlib.suppress(*self._errors):
            self._start, self._block = offset, self._file.pread(length, offset)


def _is_header(data: bytes) -> bool:
    """Whether a member follows: not where damage before it went unnoticed and has moved all bytes.

    A seek point between the damage and the member makes that good, a block runs through it.
    """
    try:
        tarfile.TarInfo.frombuf(data, tarfile.ENCODING, "surrogateescape")  # compares its checksum
    except tarfile.HeaderError:
        return False
    return True


def plan_blocks(spans: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """(offset, length) of blocks that hold all `spans`, whole.

    Args:
        spans: (offset, size) in ascending order.
    """
    start = end = -1  # none yet
    for offset, size in spans:
        if start < 0:
            start, end = offset, offset
        elif offset + size > start + BLOCK_BYTES or offset > end + MAX_GAP_BYTES:
            yield start, end - start
            start = offset
        end = offset + size
    if start >= 0:
        yield start, end - start
