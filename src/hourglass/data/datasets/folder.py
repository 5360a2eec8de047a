"""A user's own folder of pictures and annotations, packed like a fetched dataset."""

import os
import shutil
import stat
import zipfile
from pathlib import Path

from tqdm import tqdm

from hourglass.data.archives import picture_name
from hourglass.data.datasets.base import ANNOTATIONS
from hourglass.data.datasets.coco import name_annotated_pictures, read_own_annotations
from hourglass.utils.errors import UserError
from hourglass.utils.files import atomic_path, check_free_space


def pack_folder(source, folder):
    """Copy the user's `images/`, train.json and validation.json in `source` into `folder`.

    The pictures that the JSON files name become `images.zip`: stored, sorted, undated, so that its
    bytes depend on their names and content alone.

    Raises:
        UserError: `source` does not hold what is expected, or the disk is too small.
    """
    source, folder = Path(source), Path(folder)
    for path in (source, source / "images", *(source / name for name in ANNOTATIONS.values())):
        if not path.exists():
            raise UserError(
                f"{path}: not found; data.folder needs images/, train.json and validation.json"
            )
    pictures = _list_pictures(source)
    sources = [source / name for name in ANNOTATIONS.values()] + list(pictures.values())
    folder.mkdir(parents=True, exist_ok=True)
    # Before the first byte: half an archive helps nobody.
    check_free_space(folder, sum(path.stat().st_size for path in sources))
    with atomic_path(folder / "images.zip") as temporary:
        _write_zip(temporary, pictures)
    for name in ANNOTATIONS.values():
        with atomic_path(folder / name) as temporary:
            shutil.copyfile(source / name, temporary)


def _list_pictures(source):
    """Member path -> path of the regular files to pack, sorted."""
    names = set()
    for annotations in ANNOTATIONS.values():
        names |= name_annotated_pictures(read_own_annotations(source / annotations, "correct it"))
    pictures = {}
    for name in sorted(names):  # the archive's bytes must not depend on the records' order
        path = source / "images" / name
        if picture_name(f"images/{name}") == name != "" and os.path.isfile(path):
            pictures[f"images/{name}"] = path
    if not pictures:
        example = f", such as {min(names)!r}" if names else ""
        raise UserError(
            f"{source / 'images'}: holds none of the pictures that the JSON files name{example}; "
            "put them there, or correct the names"
        )
    return pictures


def _write_zip(path, pictures):
    # Stored: pictures are compressed already.
    with zipfile.ZipFile(path, "w") as archive:
        for name, source in tqdm(pictures.items(), "pack", unit="picture", disable=None):
            info = zipfile.ZipInfo(name)  # undated
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            info.file_size = source.stat().st_size  # zip64 where it must be
            with open(source, "rb") as file, archive.open(info, "w") as member:
                shutil.copyfileobj(file, member)
