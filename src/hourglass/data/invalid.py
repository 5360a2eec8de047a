"""The records of a dataset that cannot be used, and why; and when they are too many."""

import collections
import csv
import dataclasses
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from hourglass.utils.errors import UserError, one_line
from hourglass.utils.files import atomic_path

COLUMNS = ("split", "index", "image", "reason", "lost_joints")
_INDEX, _FLAGS = re.compile("[0-9]{1,9}"), re.compile("[01]*")


@dataclasses.dataclass(frozen=True)
class InvalidRecord:
    """A record that cannot be used: `index` counts the split's records from 0."""

    split: str
    index: int
    image: str  # "" where the record has no name
    reason: str
    lost_joints: str  # its labelled joints, by `encode_joints`; "" where they cannot be read


def encode_joints(keypoints_visible: np.ndarray) -> str:
    """`keypoints_visible`, bool [K], as text of 0 and 1, for example 0011110111111111."""
    return "".join("01"[int(is_labelled)] for is_labelled in keypoints_visible)


def decode_joints(text: str) -> np.ndarray:
    """The bool [K] that `encode_joints` wrote."""
    return np.array([character == "1" for character in text])


def write_invalid(path: str | Path, invalid: Iterable[InvalidRecord]) -> None:
    """Write `invalid` as CSV of `COLUMNS`, atomically; the header alone for none."""
    with (
        atomic_path(path) as temporary,
        open(temporary, "w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(dataclasses.astuple(record) for record in invalid)


def read_invalid(path: str | Path, num_keypoints: int, advice: str) -> list[InvalidRecord]:
    """Read what `write_invalid` wrote.

    Args:
        num_keypoints: K.
        advice: what to do about a file that is missing or damaged.

    Raises:
        UserError: it is, with the line.
    """
    try:
        # What is no UTF-8 is replaced: names play no part, and all else is checked.
        with open(path, newline="", encoding="utf-8", errors="replace") as file:
            rows = list(csv.reader(file))
    except (OSError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or one_line(error)
        raise UserError(f"{path}: cannot be read: {reason}; {advice}") from None
    if not rows or tuple(rows[0]) != COLUMNS:
        raise UserError(f"{path}: the first line is not {','.join(COLUMNS)}; {advice}")
    for number, row in enumerate(rows[1:], start=2):
        is_whole = len(row) == len(COLUMNS) and row[0] in ("train", "validation")
        is_readable = is_whole and _INDEX.fullmatch(row[1]) and _FLAGS.fullmatch(row[-1])
        if not is_readable or len(row[-1]) not in (0, num_keypoints):
            raise UserError(f"{path}: row {number} is no invalid record; {advice}")
    return [InvalidRecord(split, int(index), *rest) for split, index, *rest in rows[1:]]


def count_invalid(invalid: Iterable[InvalidRecord]) -> collections.Counter[str]:
    """{split: number of `invalid`}, 0 for a split without any."""
    return collections.Counter(record.split for record in invalid)


def check_invalid_fraction(
    path: str | Path,
    invalid: list[InvalidRecord],
    num_records: Mapping[str, int],
    parameter: str,
    max_fraction: float,
    advice: str,
) -> None:
    """Stop where too many records of a split, or all, cannot be used.

    Args:
        path: where the user finds them all.
        invalid: those of all splits.
        num_records: {split: how many records there were}.
        parameter: the name of the one that is `max_fraction`, 0..1.
        advice: what the user can fix; {split} in it stands for the split's name.

    Raises:
        UserError: names the most common reason, the first record that has it, and `path`.
    """
    for split, number in num_records.items():
        reasons = collections.Counter(r.reason for r in invalid if r.split == split)
        num_invalid = reasons.total()
        if number > num_invalid <= max_fraction * number:
            continue
        advice = advice.replace("{split}", split)
        if not number:
            raise UserError(f"{split}: holds no records; {advice}")
        reason, count = reasons.most_common(1)[0]
        first = next(r for r in invalid if (r.split, r.reason) == (split, reason))
        raise UserError(
            f"{split}: {num_invalid:,} of {number:,} records are invalid, {count:,} of them "
            f"because: {reason}; the first is record {first.index}, counted from 0,"
            f" {first.image or 'without a name'} (all in {path}); {advice}, or raise"
            f" {parameter} from {max_fraction:g}"
        )
