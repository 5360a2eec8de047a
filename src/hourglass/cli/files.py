"""The files of a command: inputs, and the names of outputs."""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn

from hourglass.apps.batch.lists import read_paths
from hourglass.apps.video.formats import is_clip
from hourglass.utils.errors import UserError

Pair = tuple[Path, Path]  # a file and its target: the path of what is written, without its suffix

# Annotations, notes, programs and networks, which may lie among pictures.
NOTES = (
    ".json", ".jsonl", ".txt", ".csv", ".xml", ".yaml", ".toml", ".md", ".html", ".license", ".log",
    ".py", ".sh", ".keras", ".onnx", ".tflite", ".npz",
)  # fmt: skip


def list_pictures(paths: Iterable[Path], lists: Iterable[Path], out: Path) -> Iterator[Path]:
    """Yield the paths named, those in and below the folders named, and those in lists, in order.

    Args:
        paths: of files and folders. lists: of lists of paths (`apps.batch.lists.read_paths`),
            relative to the current folder.
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


def walk_folder(folder: Path, out: Path) -> Iterator[Path]:
    """Yield the files of a folder and of those below it, by name, its own first.

    Hidden files, notes and annotations are passed over, as are hidden folders and links to folders.
    """
    for parent, folders, names in os.walk(folder, onerror=_refuse):
        # In place: os.walk goes into these.
        folders[:] = sorted(
            name for name in folders
            if not (name.startswith(".") or os.path.samefile(os.path.join(parent, name), out))
        )  # fmt: skip
        yield from (path for name in sorted(names) if not is_note(path := Path(parent, name)))


def _refuse(error: OSError) -> NoReturn:
    reason = f"{error.strerror}; fix its permissions or name other pictures"
    raise UserError(f"{error.filename}: {reason}") from None


def find_files(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield the files named, and those in the folders named, in order; notes are passed over.

    Raises:
        UserError: a path does not exist, or a folder has no files.
    """
    for path in paths:
        try:
            if not path.exists():
                raise UserError(f"{path}: no such file")
            is_folder = path.is_dir()
            inside = path.iterdir() if is_folder else []
            found = sorted(p for p in inside if p.is_file() and not is_note(p))
        except OSError as error:
            error.filename = path
            _refuse(error)
        if is_folder and not found:
            raise UserError(f"{path}: no pictures in this folder; name another")
        yield from found if is_folder else [path]


def is_note(path: Path) -> bool:
    """Whether a file's name says that it only accompanies pictures."""
    return path.name.startswith(".") or path.suffix.lower() in NOTES


def pair_targets(paths: Iterable[Path], out: Path) -> tuple[list[Pair], list[Pair]]:
    """Photographs, and clips, each with a target of its own in the folder `out`.

    A target has the file's stem, numbered where that is taken.
    """
    photos: list[Pair] = []
    clips: list[Pair] = []
    taken = set()
    for path in paths:
        name, number = path.stem, 2
        while name in taken:
            name, number = f"{path.stem}_{number}", number + 1
        taken.add(name)
        (clips if is_clip(path) else photos).append((path, out / name))
    return photos, clips


def name_inputs(photos: Sequence[Pair], clips: Sequence[Pair]) -> dict[Path, str]:
    """The kind of each input, "photograph" or "clip", by its resolved path."""
    named = {path.resolve(): "clip" for path, _ in clips}
    return named | {path.resolve(): "photograph" for path, _ in photos}


def refuse_loss(path: Path, inputs: dict[Path, str], is_foreign: bool) -> None:
    """Refuse to overwrite one of `name_inputs`, or what another program wrote.

    Raises:
        UserError: names the file that would be lost.
    """
    if what := inputs.get(path.resolve()):
        raise UserError(f"{path}: is a {what}; choose another --out")
    if is_foreign:
        raise UserError(f"{path}: was not written by hourglass; choose another --out")
