"""The raw files of a dataset: fetched, drawn, or packed."""

import contextlib
import sys
from pathlib import Path

from hourglass.data import archives, tar_index
from hourglass.data.datasets.base import DATASETS
from hourglass.data.datasets.folder import pack_folder
from hourglass.data.http import DownloadError, download_file, find_fault
from hourglass.data.synthetic.pictures import write_dataset
from hourglass.utils.errors import UserError, one_line
from hourglass.utils.files import exclusive_lock


def fetch_dataset(data, folder):
    """Make `folder` hold the raw files of `data.dataset`, verified, and nothing half-done.

    A file that is there and verifies is not fetched again. The folder's bytes depend on the
    files' content alone. Beside a `.tar.gz` of pictures lie its `.members.json` and `.gzidx`.

    Args:
        data: `hourglass.config.DataParams`.
        folder: of this dataset alone, for example `data/raw/mpii`.

    Raises:
        UserError: a file cannot be had, a disk is full, another process is at it, or the user's
            own folder is not as `pack_folder` expects.
    """
    folder = Path(folder)
    dataset = DATASETS[data.dataset]
    with _disk_errors(folder), exclusive_lock(folder / ".lock", f"filling {folder}"):
        if data.dataset == "synthetic":
            write_dataset(folder, data.synthetic)
        elif data.dataset == "folder":
            pack_folder(data.folder, folder)
        else:
            _fetch_files(dataset, data.mirror, folder)
        # Opened once here, so that no later stage is the first to find it damaged or empty.
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
    _fetch_annotations(dataset, mirror, folder)  # small files first: what fails, fails early
    for remote in dataset.files:
        _fetch_file(remote.at_mirror(mirror), folder)
        # A gzip can only be read from its start; a zip has its own list of members.
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
    # Verified each time: it may have been changed since.
    if path.is_file():
        fault = find_fault(remote, path)
        if fault is None:
            return
        print(f"{path}: {fault}; fetching it again", file=sys.stderr)
    download_file(remote, folder)
