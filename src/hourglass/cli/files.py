"""The pictures of `hourglass predict --records`: of folders with all below them, and of lists.

The files of `predict` and `sticker`: which are read, and what those written are called.
"""

import itertools
import os
from pathlib import Path

from hourglass.apps.batch.lists import read_paths
from hourglass.apps.stickers.encoding import is_sticker
from hourglass.apps.stickers.making import MOVING_KINDS, STILL_KINDS, name_sticker
from hourglass.apps.video.formats import is_clip
from hourglass.inference.outputs import is_record
from hourglass.utils.errors import UserError


def list_pictures(paths, lists, out):
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


NOTES = (".json", ".jsonl", ".txt", ".csv", ".xml", ".yaml", ".md")  # annotations too


def find_photos(paths):
    """The files named, and those in the folders named, in order.

    Raises:
        UserError: a path does not exist, or a folder has no files.
    """
    photos = []
    for path in paths:
        try:
            photos += list_files(path)
        except OSError as error:
            reason = f"{error.strerror}; fix its permissions or name other pictures"
            raise UserError(f"{path}: {reason}") from None
    return photos


def list_files(path):
    """A file, or the files of a folder, sorted: not the hidden ones, notes or annotations."""
    if not path.exists():
        raise UserError(f"{path}: no such file")
    if not path.is_dir():
        return [path]
    found = sorted(p for p in path.iterdir() if p.is_file() and not is_note(p))
    if not found:
        raise UserError(f"{path}: no pictures in this folder; name another")
    return found


def is_note(path):
    """Whether a file's name says that it only accompanies pictures."""
    return path.name.startswith(".") or path.suffix.lower() in NOTES


def name_outputs(paths):
    """Pair each file with an output name of its own: the stem, numbered where taken."""
    taken = set()
    for path in paths:
        name, number = path.stem, 2
        while name in taken:
            name, number = f"{path.stem}_{number}", number + 1
        taken.add(name)
        yield path, name


def part_clips(paths, out):
    """Pairs of a path and its target in the folder `out`: those of photographs, those of clips."""
    files = [(path, out / name) for path, name in name_outputs(paths)]
    clips = [file for file in files if is_clip(file[0])]
    return [file for file in files if file not in clips], clips


def check_no_overwrite(photos, clips):
    """Refuse an output folder in which an input, or what another program wrote, would be lost.

    Args:
        photos, clips: pairs of a path and its target.

    Raises:
        UserError: names the file that would be lost.
    """
    inputs = name_inputs(photos, clips)
    for files, kinds in ((photos, ("png", "json")), (clips, ("mp4", "jsonl"))):
        for _, target in files:
            drawn, record = (target.with_name(f"{target.name}.{kind}") for kind in kinds)
            refuse_input(drawn, inputs)
            if not record.is_file():  # it is written first: what is there is not ours
                _refuse_if(drawn.exists(), drawn)
            else:  # labelling tools keep theirs beside the photograph, under its name
                _refuse_if(not is_record(record), record)


def check_stickers_kept(photos, clips, styles, number):
    """The same for `hourglass sticker`, which knows its own files by what they hold.

    Args:
        photos, clips: pairs of a path and its target. styles: of the stickers.
        number: people whose stickers may be written, on each.
    """
    inputs = name_inputs(photos, clips)
    for files, kinds in ((photos, STILL_KINDS), (clips, MOVING_KINDS)):
        for (_, target), style, kind in itertools.product(files, styles, kinds):
            for person in range(1, number + 1):
                path = name_sticker(target, style, person, kind)
                refuse_input(path, inputs)
                _refuse_if(path.exists() and not (path.is_file() and is_sticker(path)), path)


def name_inputs(photos, clips):
    """What the paths read are, {path: "photograph" or "clip"}, of pairs (path, target)."""
    return {path.resolve(): what for files, what in ((photos, "photograph"), (clips, "clip"))
            for path, _ in files}  # fmt: skip


def refuse_input(path, inputs):
    """Raise `UserError` where what is to be written would overwrite one of `name_inputs`."""
    if what := inputs.get(path.resolve()):
        raise UserError(f"{path}: is a {what}; choose another --out")


def _refuse_if(is_foreign, path):
    if is_foreign:
        raise UserError(f"{path}: was not written by this; choose another --out")
