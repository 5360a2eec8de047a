"""The annotations of every dataset to one checked form, and what was left out and why.

Each reader yields raw records in MPII's JSON form, 1-based pixels; `check_records` judges them and
makes `Person`s with a head size, 0-based. That is the one place where 1-based becomes 0-based.
"""

from pathlib import Path

from hourglass.annotations.checks import check_records
from hourglass.annotations.heads import head_of_labels, head_of_scale
from hourglass.annotations.lspet import LSPET_MAT, read_lspet, roughen_person
from hourglass.annotations.mpii import MPII_MAT, read_mpii_json, read_mpii_mat
from hourglass.errors import UserError
from hourglass.raw.archives import DOWNLOAD_AGAIN, open_images, read_member
from hourglass.raw.datasets import ANNOTATIONS, DATASETS, MPII_ZIP

# Their scale is made of the head's size; that of the others is not.
SCALED_BY_HEAD = ("mpii", "synthetic")


def parse_dataset(raw, dataset):
    """Read and check both splits of `dataset` ("mpii", "lspet", "synthetic" or "folder").

    A train record whose picture is also in validation is rejected: it would leak.

    Args:
        raw: the folder of this dataset's raw files, for example `data/raw/mpii`.

    Returns:
        dict of split -> list of `Person`, and the list of `Reject`, train first.

    Raises:
        UserError: a file is missing or cannot be read as a whole.
    """
    raw = Path(raw)
    with open_images(raw / DATASETS[dataset].images) as images:
        image_names = images.names()
    train, validation = _read_splits(raw, dataset, image_names)
    head = head_of_scale if dataset in SCALED_BY_HEAD else head_of_labels
    # Validation first, since train is held against it.
    val_persons, val_rejects = check_records(
        validation, image_names, "validation", measure_head=head
    )
    # By picture, not by person: two persons of one picture may not be torn apart.
    held_out = {person.image for person in val_persons}
    train_persons, train_rejects = check_records(
        train, image_names, "train", held_out, measure_head=head
    )
    splits = {"train": train_persons, "validation": val_persons}
    if dataset == "lspet":
        splits = {split: list(map(roughen_person, people)) for split, people in splits.items()}
    return splits, train_rejects + val_rejects


def _read_splits(raw, dataset, image_names):
    """The raw records of (train, validation)."""
    images, fallback = DATASETS[dataset].images, DATASETS[dataset].fallback
    if dataset == "lspet":
        return read_lspet(read_member(raw / images, LSPET_MAT), image_names)
    has_json = all((raw / name).exists() for name in ANNOTATIONS.values())
    # The JSON files win where both are there.
    if fallback and not has_json and (raw / fallback.name).exists():
        valid_images = _read_lines(raw / fallback.name)
        return read_mpii_mat(read_member(raw / MPII_ZIP, MPII_MAT), valid_images)
    return tuple(read_mpii_json(raw / name, split) for split, name in ANNOTATIONS.items())


def _read_lines(path):
    try:
        return path.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}; {DOWNLOAD_AGAIN}") from None
