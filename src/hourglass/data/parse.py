"""The annotations of every dataset to one checked form, and what was left out and why.

Each reader yields raw records in MPII's JSON form, 1-based pixels; `check_records` judges them and
makes `Person`s with a head size, 0-based. That is the one place where 1-based becomes 0-based.
"""

from pathlib import Path

from hourglass.data.archives import DOWNLOAD_AGAIN, open_images, read_member
from hourglass.data.datasets.base import ANNOTATIONS, DATASETS, MPII_ZIP
from hourglass.data.datasets.coco import (
    PASSED_OVER,
    CocoPerson,
    read_coco_person,
    read_name,
    read_own_annotations,
)
from hourglass.data.datasets.lspet import LSPET_MAT, read_lspet, roughen_person
from hourglass.data.datasets.mpii import MPII_MAT, read_mpii_json, read_mpii_mat
from hourglass.data.head_size import head_size_from_labels, head_size_from_scale
from hourglass.data.invalid import count_invalid
from hourglass.data.validation import check_records
from hourglass.utils.errors import UserError

# Their scale is made of the head's size; that of the others is not.
SCALED_BY_HEAD = ("mpii", "synthetic")


def parse_dataset(raw, dataset, excluded=()):
    """Read and check both splits of `dataset` ("mpii", "lspet", "synthetic" or "folder").

    A train record whose picture is also in validation is rejected: it would leak.

    Args:
        raw: the folder of this dataset's raw files, for example `data/raw/mpii`.
        excluded: pairs (first, last) of names: pictures that are not used, both included. Their
            records are neither kept nor rejected.

    Returns:
        dict of split -> list of `Person`, the list of `InvalidRecord`, train first, and how many of
        the archive's pictures are left out.

    Raises:
        UserError: a file is missing or cannot be read as a whole; `excluded` leaves no record.
    """
    raw = Path(raw)
    with open_images(raw / DATASETS[dataset].images) as images:
        all_names = images.names()
    # Before the split: what LSPET's is must not depend on whether the archive has them.
    image_names = {name for name in all_names if not is_excluded(name, excluded)}
    train, validation = _read_splits(raw, dataset, image_names)
    head = head_size_from_scale if dataset in SCALED_BY_HEAD else head_size_from_labels
    # Validation first, since train is held against it.
    val_persons, val_rejects = check_records(
        validation, image_names, "validation", frozenset(), head, _pass_over(validation, excluded)
    )
    # By picture, not by person: two persons of one picture may not be torn apart.
    held_out = {person.image for person in val_persons}
    train_persons, train_rejects = check_records(
        train, image_names, "train", held_out, head, _pass_over(train, excluded)
    )
    splits, invalid = (
        {"train": train_persons, "validation": val_persons},
        train_rejects + val_rejects,
    )
    _check_remaining(splits, invalid, excluded)
    if dataset == "lspet":
        splits = {split: list(map(roughen_person, people)) for split, people in splits.items()}
    return splits, invalid, len(all_names) - len(image_names)


def is_excluded(image, excluded):
    """Whether a picture's name lies in one of the ranges (first, last), compared as texts.

    What is no text does not: a record without a name is for the checker to judge.
    """
    is_name = isinstance(image, str)
    return is_name and any(first <= image <= last for first, last in excluded)


def _pass_over(records, excluded):
    """The numbers of the records that are not to be judged."""
    return {
        number
        for number, record in enumerate(records)
        if record is PASSED_OVER or is_excluded(read_name(record), excluded)
    }


def _check_remaining(splits, invalid, excluded):
    counts = count_invalid(invalid)
    for split, persons in splits.items():
        if excluded and not persons and not counts[split]:
            raise UserError(f"params.yaml: parse.excluded: leaves no record in {split}; shorten it")


def _read_splits(raw, dataset, image_names):
    """The raw records of (train, validation)."""
    images, fallback = DATASETS[dataset].images, DATASETS[dataset].fallback
    if dataset == "lspet":
        return read_lspet(read_member(raw / images, LSPET_MAT), image_names)
    if dataset == "folder":
        return tuple(_read_own(raw / name) for name in ANNOTATIONS.values())
    has_json = all((raw / name).exists() for name in ANNOTATIONS.values())
    # The JSON files win where both are there.
    if fallback and not has_json and (raw / fallback.name).exists():
        valid_images = _read_lines(raw / fallback.name)
        return read_mpii_mat(read_member(raw / MPII_ZIP, MPII_MAT), valid_images)
    return tuple(read_mpii_json(raw / name, split) for split, name in ANNOTATIONS.items())


def _read_own(path):
    records = read_own_annotations(path, DOWNLOAD_AGAIN)
    return [read_coco_person(r) if isinstance(r, CocoPerson) else r for r in records]


def _read_lines(path):
    try:
        return path.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}; {DOWNLOAD_AGAIN}") from None
