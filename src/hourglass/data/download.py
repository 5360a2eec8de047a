"""The raw files of a dataset: fetched, drawn, or packed."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from hourglass.data.archives import open_images
from hourglass.data.datasets.base import find_dataset
from hourglass.utils.errors import UserError, one_line
from hourglass.utils.files import exclusive_lock

if TYPE_CHECKING:
    from hourglass.config import DataParams


def fetch_dataset(data: "DataParams", folder: Path) -> None:
    """Make `folder` hold the raw files of `data.dataset`, verified, and nothing half-done.

    A file that is there and verifies is not fetched again. The folder's bytes depend on the
    files' content alone. Beside a `.tar.gz` of pictures lie its `.members.json` and `.gzidx`.

    Args:
        folder: of this dataset alone, for example `data/raw/mpii`.

    Raises:
        UserError: there is no such dataset, a file cannot be had, a disk is full, or another
            process is at it.
    """
    dataset = find_dataset(data.dataset)
    with _disk_errors(folder), exclusive_lock(folder / ".lock", f"filling {folder}"):
        dataset.fetch(data, folder)
        # Opened once here, so that no later stage is the first to find it damaged or empty.
        with open_images(folder / dataset.images) as images:
            if not images.names():
                raise UserError(
                    f"{images.path}: no pictures under images/; delete it and run this again"
                )
        for pattern in ("*.part", "*.part.json", ".*.tmp"):  # left by killed processes
            for path in folder.glob(pattern):
                path.unlink()


@contextlib.contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    """Turn a full disk or a missing permission into a UserError."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or one_line(error)
        raise UserError(
            f"{error.filename or path}: {reason}; make room or fix its permissions, then repeat"
        ) from None
