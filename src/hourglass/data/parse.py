"""The annotations of every dataset to one checked form; the invalid ones with the reason.

Each dataset yields raw records in MPII's JSON form, 1-based pixels; `check_records` judges them and
makes `Person`s with a head size, 0-based. That is the one place where 1-based becomes 0-based.
"""

import collections
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from hourglass.data.archives import open_images
from hourglass.data.conversion import Conversion, find_unknown
from hourglass.data.datasets.base import Dataset, find_dataset
from hourglass.data.head_size import head_size_from_labels, head_size_from_scale
from hourglass.data.invalid import InvalidRecord, count_invalid
from hourglass.data.person import SPLITS, Person, name_in_set
from hourglass.data.raw_records import PassedOver, RawSplit, read_name
from hourglass.data.validation import check_records
from hourglass.keypoints import KeypointSchema
from hourglass.utils.errors import UserError

Ranges = Sequence[Sequence[str]]
Counts = Mapping[str, Mapping[str, int]]  # by split


class ParsedDataset(NamedTuple):
    """Both splits of a dataset: what is kept of its records, and what is not.

    Attributes:
        splits: {split: persons}.
        invalid: the invalid records, train first.
        num_excluded: how many of the archive's pictures are excluded.
        not_used: {split: {reason: how many records were not judged}}.
        notes: {split: {what was made of odd labels: how often}}.
    """

    splits: dict[str, list[Person]]
    invalid: list[InvalidRecord]
    num_excluded: int
    not_used: Counts
    notes: Counts


def parse_sets(
    raw: Path, sets: Mapping[str, str], schema: KeypointSchema, excluded: Ranges = ()
) -> ParsedDataset:
    """Read and check both splits of several datasets.

    The sets follow one another. The name of a picture begins with its set's name and a slash, in
    `excluded` too.

    Args:
        raw: the folder that holds the raw files of each set in a folder of its name.
        sets: {name: dataset}.
        schema, excluded: as `parse_dataset` takes them.

    Returns:
        What `parse_dataset` returns.

    Raises:
        UserError: as `parse_dataset`.
    """
    parts = [
        _rename(parse_dataset(raw / name, dataset, schema, _within(excluded, name)), name)
        for name, dataset in sets.items()
    ]
    return ParsedDataset(
        {split: [person for part in parts for person in part.splits[split]] for split in SPLITS},
        [r for split in SPLITS for part in parts for r in part.invalid if r.split == split],
        sum(part.num_excluded for part in parts),
        _add_up([part.not_used for part in parts]),
        _add_up([part.notes for part in parts]),
    )


def _within(excluded: Ranges, name: str) -> Ranges:
    """The ranges that are of a set, by the names of its own."""
    prefix = name_in_set(name, "")
    return [
        [image.removeprefix(prefix) for image in pair]
        for pair in excluded
        if all(image.startswith(prefix) for image in pair)
    ]


def _rename(parsed: ParsedDataset, name: str) -> ParsedDataset:
    """A set with its name before the names of its pictures."""
    return parsed._replace(
        splits={
            split: [replace(person, image=name_in_set(name, person.image)) for person in people]
            for split, people in parsed.splits.items()
        },
        invalid=[replace(r, image=name_in_set(name, r.image)) for r in parsed.invalid],
    )


def _add_up(parts: Sequence[Counts]) -> Counts:
    return {
        split: sum((collections.Counter(part[split]) for part in parts), collections.Counter())
        for split in SPLITS
    }


def parse_dataset(
    raw: Path, name: str, schema: KeypointSchema, excluded: Ranges = ()
) -> ParsedDataset:
    """Read and check both splits of a dataset.

    A train record whose picture is also in validation is invalid: it would leak.

    Args:
        raw: the folder of this dataset's raw files, for example `data/raw/mpii`.
        name: the dataset's.
        schema: of the persons' keypoints; what the dataset lacks of them is unlabelled.
        excluded: pairs (first, last) of names: pictures that are not used, both included. Their
            records are neither kept nor invalid.

    Raises:
        UserError: a file is missing or cannot be read as a whole; `excluded` leaves no record.
    """
    dataset = find_dataset(name)
    with open_images(raw / dataset.images) as images:
        all_names = images.names()
    # Before the split: what LSPET's is must not depend on whether the archive has them.
    image_names = frozenset(n for n in all_names if not is_excluded(n, excluded))
    splits = dataset.read_splits(raw, image_names, schema)
    parsed = judge_splits(dataset, splits, image_names, schema, excluded)
    return parsed._replace(num_excluded=len(all_names) - len(image_names))


def judge_splits(
    dataset: Dataset,
    raw_splits: tuple[RawSplit, RawSplit],
    image_names: Collection[str],
    schema: KeypointSchema,
    excluded: Ranges = (),
) -> ParsedDataset:
    """Check the records of train and validation; args and errors are those of `parse_dataset`.

    Args:
        image_names: the pictures there are.
    """
    train, validation = raw_splits
    _check_names(schema, dataset.title, train, validation)
    not_used: dict[str, collections.Counter[str]] = {}
    rule = head_size_from_scale if dataset.scaled_by_head else head_size_from_labels

    def check(
        records: RawSplit, split: str, held_out: frozenset[str] = frozenset()
    ) -> tuple[list[Person], list[InvalidRecord]]:
        conversion = Conversion(records.schema, schema)
        passed_over = _pass_over(records.records, excluded)
        not_used[split] = collections.Counter(passed_over.values())
        return check_records(
            records.records, image_names, split, held_out, rule, passed_over, conversion
        )

    # Validation first: train must have none of its pictures. By picture, not by person: two persons
    # of one picture may not be torn apart.
    val_persons, val_invalid = check(validation, "validation")
    held_out = frozenset(person.image for person in val_persons)
    train_persons, train_invalid = check(train, "train", held_out)
    splits = {"train": train_persons, "validation": val_persons}
    invalid = train_invalid + val_invalid
    _check_remaining(splits, invalid, excluded)
    splits = {split: list(map(dataset.roughen, people)) for split, people in splits.items()}
    notes = {"train": train.notes, "validation": validation.notes}
    return ParsedDataset(splits, invalid, 0, not_used, notes)


def _check_names(schema: KeypointSchema, title: str, *splits: RawSplit) -> None:
    if unknown := find_unknown(schema, *(split.schema for split in splits)):
        raise UserError(
            f"params.yaml: data.schema: {unknown[0]!r} is no keypoint of {title}, MPII or COCO; "
            "correct its name"
        )


def is_excluded(image: Any, excluded: Ranges) -> bool:
    """Whether a picture's name lies in one of the ranges (first, last), compared as texts.

    A name that is no text lies in none: the checker judges that record.
    """
    is_name = isinstance(image, str)
    return is_name and any(first <= image <= last for first, last in excluded)


def _pass_over(records: list, excluded: Ranges) -> dict[int, str]:
    """{number: reason} of the records that are not to be judged."""
    reasons = {}
    for number, record in enumerate(records):
        if isinstance(record, PassedOver):
            reasons[number] = record.reason
        elif is_excluded(read_name(record), excluded):
            reasons[number] = "of an excluded picture"
    return reasons


def _check_remaining(
    splits: dict[str, list[Person]], invalid: list[InvalidRecord], excluded: Ranges
) -> None:
    counts = count_invalid(invalid)
    for split, persons in splits.items():
        if excluded and not persons and not counts[split]:
            raise UserError(f"params.yaml: parse.excluded: leaves no record in {split}; shorten it")
