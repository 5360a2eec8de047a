"""The files of a command: inputs, and the names of outputs."""

import json
import os
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn

from hourglass.apps.batch.lists import read_paths
from hourglass.apps.video.formats import is_clip
from hourglass.utils.errors import UserError

Pair = tuple[Path, Path]  # a file and its target: the path of what is written, without its suffix

# What may lie among pictures: annotations, notes, programs, networks; ...
NOTES = (
    ".json", ".jsonl", ".txt", ".csv", ".xml", ".yaml", ".toml", ".md", ".html", ".license", ".log",
    ".py", ".sh", ".keras", ".onnx", ".tflite", ".npz", ".pdf",
    # ... what cameras, phones and editors write beside a picture or a clip; ...
    ".aae", ".xmp", ".pp3", ".dop", ".thm", ".lrv", ".srt", ".vtt", ".gpx", ".moi", ".modd", ".bdm",
    # ... sound alone; what Windows writes into folders.
    ".wav", ".mp3", ".m4a", ".ini", ".db", ".lnk", ".url",
)  # fmt: skip
# How the record of a photograph or of a clip begins: the file that it is of.
_RECORD_OF = re.compile(r'\s*\{\s*"(?:image|video)":\s*("(?:[^"\\]|\\.)*")')


class Passed:
    """Counts the files that a command passes over, by the ends of their names."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def is_note(self, path: Path) -> bool:
        """Whether a file's name says that it only accompanies pictures; then it is counted.

        Hidden files are notes too, and are not counted.
        """
        if path.name.startswith("."):
            return True
        ending = path.suffix.lower()
        if ending in NOTES:
            self._counts[ending] += 1
        return ending in NOTES

    def report(self) -> None:
        """Print the counts, if there are any: one line on stderr."""
        if self._counts:
            texts = [f"{number:,} {ending}" for ending, number in sorted(self._counts.items())]
            print(f"note: no pictures, passed over: {', '.join(texts)}", file=sys.stderr)


def list_pictures(
    paths: Iterable[Path], lists: Iterable[Path], out: Path, passed: Passed
) -> Iterator[Path]:
    """Yield the paths named, those in and below the folders named, and those in lists, in order.

    Args:
        paths: of files and folders. lists: of lists of paths (`apps.batch.lists.read_paths`),
            relative to the current folder.
        out: a folder that is passed over, wherever it lies.
        passed: counts the files in folders that are passed over.

    Raises:
        UserError: one of `paths` does not exist, a folder or a list cannot be read.
    """
    for path in paths:
        if not path.exists():
            raise UserError(f"{path}: no such file")
        yield from walk_folder(path, out, passed) if path.is_dir() else [path]
    for path in lists:
        yield from read_paths(path)


def walk_folder(folder: Path, out: Path, passed: Passed) -> Iterator[Path]:
    """Yield the files of a folder and of those below it, by name, its own first.

    Hidden files, notes and annotations are passed over, as are hidden folders and links to folders.
    """
    for parent, folders, names in os.walk(folder, onerror=_refuse):
        # In place: os.walk goes into these.
        folders[:] = sorted(
            name for name in folders
            if not (name.startswith(".") or os.path.samefile(os.path.join(parent, name), out))
        )  # fmt: skip
        yield from (p for name in sorted(names) if not passed.is_note(p := Path(parent, name)))


def _refuse(error: OSError) -> NoReturn:
    reason = f"{error.strerror}; fix its permissions or name other pictures"
    raise UserError(f"{error.filename}: {reason}") from None


def find_files(paths: Sequence[Path], passed: Passed) -> Iterator[Path]:
    """Yield the files named, and those in the folders named, in order; notes are passed over.

    A note that is named alone is meant. One of several was named by a pattern such as `photos/*`.

    Raises:
        UserError: a path does not exist, or a folder has no files.
    """
    for path in paths:
        try:
            if not path.exists():
                raise UserError(f"{path}: no such file")
            is_folder = path.is_dir()
            inside = path.iterdir() if is_folder else []
            found = sorted(p for p in inside if p.is_file() and not passed.is_note(p))
        except OSError as error:
            error.filename = path
            _refuse(error)
        if is_folder and not found:
            raise UserError(f"{path}: no pictures in this folder; name another")
        if is_folder:
            yield from found
        elif len(paths) == 1 or path.suffix.lower() not in NOTES or not passed.is_note(path):
            yield path


def pair_targets(paths: Iterable[Path], out: Path) -> tuple[list[Pair], list[Pair]]:
    """Photographs, and clips, each with a target of its own in the folder `out`.

    A target has the file's stem, numbered where that is taken: by a file before, or by the record
    of another file that a command before has written.
    """
    photos: list[Pair] = []
    clips: list[Pair] = []
    taken = set()
    for path in paths:
        is_of_clip = is_clip(path)
        ending = "jsonl" if is_of_clip else "json"
        name, number = path.stem, 2
        while name in taken or _is_of_another(out / f"{name}.{ending}", path):
            name, number = f"{path.stem}_{number}", number + 1
        taken.add(name)
        (clips if is_of_clip else photos).append((path, out / name))
    return photos, clips


def _is_of_another(record: Path, path: Path) -> bool:
    """Whether a record names a file that is still there, and is not `path`."""
    try:
        with open(record, encoding="utf-8", errors="replace") as file:
            match = _RECORD_OF.match(file.read(20_000))
        other = Path(json.loads(match[1])) if match else path
        return other.exists() and not other.samefile(path)
    except (OSError, ValueError):
        return False


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
