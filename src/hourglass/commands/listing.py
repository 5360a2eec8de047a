"""The pictures of `hourglass predict --records`: of folders with all below them, and of lists."""

import os
from pathlib import Path

from hourglass.bulk.lists import read_paths
from hourglass.commands.files import is_note
from hourglass.errors import UserError


def list_pictures(paths, lists, out):
    """Yield the paths named, those in and below the folders named, and those in lists, in order.

    Args:
        paths: of files and folders. lists: of lists of paths (`bulk.lists.read_paths`), relative to
            the current folder.
        out: a folder that is passed over, wherever it lies.

    Raises:
        UserError: one of `paths` does not exist, a folder or a list cannot be read.
    """
    for path in paths:
        if not path.exists():
            raise UserError(f"{path}: no such file")
        yield from walk_folder(path, out) if path.is_dir() else [path]
    for path in lists:
        yield from read_paths(path)


def walk_folder(folder, out):
    """Yield the files of a folder and of those below it, by name, its own first.

    Not hidden ones, notes and annotations, nor what lies in hidden folders or behind links to
    folders.
    """
    for parent, folders, names in os.walk(folder, onerror=_refuse_folder):
        # In place: os.walk goes into these.
        folders[:] = sorted(
            name for name in folders
            if not (name.startswith(".") or os.path.samefile(os.path.join(parent, name), out))
        )  # fmt: skip
        names.sort()
        for name in names:
            path = Path(parent, name)
            if not is_note(path):
                yield path


def _refuse_folder(error):
    reason = f"{error.strerror}; fix its permissions or name other pictures"
    raise UserError(f"{error.filename}: {reason}") from None
