"""A user's own folder of pictures and annotations, packed like a fetched dataset."""

import itertools
import os
import shutil
import stat
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tqdm import tqdm

from hourglass.data.datasets.base import ANNOTATIONS, Dataset, register
from hourglass.data.formats.coco import is_coco, read_coco
from hourglass.data.formats.exports import Export
from hourglass.data.formats.layouts import read_layout
from hourglass.data.formats.named_keypoints import make_list_schema
from hourglass.data.frames import check_frames
from hourglass.data.raw_records import (
    FormFault,
    PassedOver,
    RawSplit,
    UnusableRecord,
    read_name,
)
from hourglass.data.zip_files import DOWNLOAD_AGAIN, picture_name, read_picture_sizes
from hourglass.keypoints import MPII, KeypointSchema
from hourglass.utils.errors import UserError
from hourglass.utils.files import atomic_path, check_free_space, read_json, write_json

if TYPE_CHECKING:
    from hourglass.config import DataParams


@register
class Folder(Dataset):
    """Your own pictures, and annotations in MPII's JSON form, COCO's, or a tool's export."""

    name = "folder"
    title = "own pictures"
    terms = "on the terms of whoever gave them"
    is_free = True

    def fetch(self, data: "DataParams", folder: Path) -> None:
        """Pack what `data.folder` names."""
        if not Path(data.folder).is_dir():
            raise UserError(
                f"params.yaml: data.folder: {data.folder} is no folder; name the one that holds "
                "images/, train.json and validation.json, or a labelling tool's export"
            )
        _check_links(Path(data.folder))
        pack_folder(Path(data.folder), folder, data.keypoint_schema, data.val_fraction)

    def read_splits(
        self, raw: Path, image_names: frozenset[str], schema: KeypointSchema
    ) -> tuple[RawSplit, RawSplit]:
        """The records of either form; those with a doubtful frame are unusable."""
        train, validation = (
            read_own_annotations(raw / name, schema, DOWNLOAD_AGAIN)
            for name in ANNOTATIONS.values()
        )
        sizes = read_picture_sizes(raw / self.images, image_names)
        for split in (train, validation):
            split.records = check_frames(split.records, sizes)
        return train, validation

    def advise(self, data: "DataParams") -> str:
        """Names the file that the user wrote."""
        return f"fix {data.folder}/{{split}}.json"


def _check_links(folder: Path) -> None:
    """Refuse links to folders: DVC does not follow them, and would miss changes behind them."""
    for parent, names, _ in os.walk(folder):
        for path in (Path(parent, name) for name in sorted(names)):
            if path.is_symlink():
                raise UserError(
                    f"{path}: is a link to a folder, and DVC would not notice changed files there; "
                    "put the folder itself here, or let data.folder be a link to the whole"
                )


def read_own_annotations(path: Path, schema: KeypointSchema, advice: str) -> RawSplit:
    """The records of one split, unchecked, in whichever form the file has.

    Records in MPII's form have the keypoints of the file's list of joints. Without one they have
    those of the run's `schema`, in its order, or MPII's 16.

    Raises:
        UserError: the file cannot be read, is of neither form, is not as COCO's are, or holds no
            record; it ends with `advice`, what to do.
    """
    try:
        split = _read_form(read_json(path, advice), schema)
    except FormFault as fault:
        raise UserError(f"{path}: {fault}; {advice}") from None
    if all(isinstance(record, PassedOver) for record in split.records):
        raise UserError(f"{path}: holds no record of a person; {advice}")
    return split


def _read_form(content: Any, schema: KeypointSchema) -> RawSplit:
    if is_coco(content):
        return read_coco(content, schema)
    if isinstance(content, list):
        return RawSplit(content, schema if _has_keypoints(content, schema) else MPII)
    if isinstance(content, dict) and content.keys() >= {"joints", "records"}:
        names, records = content["joints"], content["records"]
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise FormFault("joints is not a list of names")
        if not isinstance(records, list):
            raise FormFault("records is not a list")
        return RawSplit(records, make_list_schema(names, schema))
    raise FormFault(
        "line 1: a list of records was expected, or COCO's images, annotations and categories"
    )


def _has_keypoints(records: list[Any], schema: KeypointSchema) -> bool:
    """Whether a record has as many joints as the schema has keypoints."""
    joints = (record.get("joints") for record in records if isinstance(record, dict))
    return any(isinstance(pairs, list) and len(pairs) == schema.num_keypoints for pairs in joints)


def pack_folder(
    source: Path, folder: Path, schema: KeypointSchema, val_fraction: float = 0.1
) -> None:
    """Copy the pictures and annotations of the user's folder `source` into `folder`.

    It holds `images/`, train.json and validation.json, or is a labelling tool's export, whose
    annotations are written in COCO's form. The pictures that are named become `images.zip`:
    stored, sorted, undated, so that its bytes depend on their names and content alone.

    Args:
        schema: the run's; persons without any of its keypoints bring no picture.
        val_fraction: of the pictures, for validation, where an export has no split.

    Raises:
        UserError: `source` does not hold what is expected, or the disk is too small.
    """
    own = open_folder(source, schema, val_fraction)
    folder.mkdir(parents=True, exist_ok=True)
    # Before the first byte: half an archive is of no use.
    annotations = () if own.export else (source / name for name in ANNOTATIONS.values())
    check_free_space(
        folder, sum(path.stat().st_size for path in (*own.pictures.values(), *annotations))
    )
    with atomic_path(folder / "images.zip") as temporary:
        _write_zip(temporary, {f"images/{name}": path for name, path in own.pictures.items()})
    for split, name in ANNOTATIONS.items():
        if own.export:
            write_json(folder / name, own.export.splits[split])
            continue
        with atomic_path(folder / name) as temporary:
            shutil.copyfile(source / name, temporary)


class OpenedFolder(NamedTuple):
    """A user's folder, its annotations read.

    Attributes:
        splits: the records of each, unchecked.
        pictures: {name: file} of the pictures that they name, sorted.
        export: what it was read from, if a labelling tool has made it.
    """

    splits: dict[str, RawSplit]
    pictures: dict[str, Path]
    export: Export | None


def open_folder(source: Path, schema: KeypointSchema, val_fraction: float) -> OpenedFolder:
    """Read the annotations of the user's folder; args and errors are those of `pack_folder`."""
    export = _read_export(source, val_fraction)
    if export:
        splits = _read_exported(export, schema)
        return OpenedFolder(splits, _list_exported(export, splits), export)
    splits = {
        split: read_own_annotations(source / name, schema, "correct it")
        for split, name in ANNOTATIONS.items()
    }
    return OpenedFolder(splits, _list_pictures(source, splits), None)


def _read_export(source: Path, val_fraction: float) -> Export | None:
    """A labelling tool's export; None where the folder is as `data/own/README.md` says."""
    annotations = [source / name for name in ANNOTATIONS.values()]
    labels = itertools.chain.from_iterable(map(source.rglob, ("*.json", "*.xml", "*.y*ml")))
    if not any(path.exists() for path in annotations) and next(labels, None):
        return read_layout(source, val_fraction)
    for path in (source, source / "images", *annotations):
        if not path.exists():
            raise UserError(
                f"{path}: not found; data.folder needs images/, train.json and validation.json, or "
                "a labelling tool's export"
            )
    return None


def _read_exported(export: Export, schema: KeypointSchema) -> dict[str, RawSplit]:
    try:
        return {split: read_coco(content, schema) for split, content in export.splits.items()}
    except FormFault as fault:
        raise UserError(f"{export.tool}: {fault}; correct it") from None


def _list_exported(export: Export, splits: dict[str, RawSplit]) -> dict[str, Path]:
    """{name: path} of the pictures of an export that its records name, sorted."""
    names = {name for split in splits.values() for name in map(read_name, split.records)}
    pictures = {name: export.pictures[name] for name in sorted(names & export.pictures.keys())}
    if not pictures:
        raise UserError(f"{export.tool}: no picture has a person to use; label some")
    return pictures


def _list_pictures(source: Path, splits: dict[str, RawSplit]) -> dict[str, Path]:
    """{name: path} of the regular files to pack, sorted."""
    names: set[str] = set()
    faults: list[str] = []
    for key, split in splits.items():
        names |= {name for name in map(read_name, split.records) if isinstance(name, str)}
        unusable = (r.reason for r in split.records if isinstance(r, UnusableRecord))
        faults += [f"{ANNOTATIONS[key]}: {reason}" for reason in itertools.islice(unusable, 1)]
    pictures = {}
    for name in sorted(names):  # the archive's bytes must not depend on the records' order
        path = source / "images" / name
        if picture_name(f"images/{name}") == name != "" and os.path.isfile(path):
            pictures[name] = path
    if not pictures:
        if not names and faults:
            raise UserError(f"{source / faults[0]}; correct it")
        example = f", such as {min(names)!r}" if names else ""
        raise UserError(
            f"{source / 'images'}: holds none of the pictures that the JSON files name{example}; "
            "put them there, or correct the names"
        )
    return pictures


def _write_zip(path: Path, pictures: dict[str, Path]) -> None:
    # Stored: pictures are compressed already.
    with zipfile.ZipFile(path, "w") as archive:
        for name, source in tqdm(pictures.items(), "pack", unit="picture", disable=None):
            info = zipfile.ZipInfo(name)  # undated
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            info.file_size = source.stat().st_size  # zip64 where it must be
            with open(source, "rb") as file, archive.open(info, "w") as member:
                shutil.copyfileobj(file, member)
