"""What was left out of a dataset, and why; and when it was too much."""

import collections
import csv
from dataclasses import dataclass

from hourglass.errors import UserError
from hourglass.files import atomic_path


@dataclass(frozen=True)
class Reject:
    """A record that was left out: `index` counts the split's records from 0."""

    split: str
    index: int
    image: str  # "" where the record has no name
    reason: str


def write_rejects(path, rejects):
    """Write `rejects` as CSV `split,index,image,reason`, atomically; the header alone for none."""
    with (
        atomic_path(path) as temporary,
        open(temporary, "w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("split", "index", "image", "reason"))
        writer.writerows((r.split, r.index, r.image, r.reason) for r in rejects)


def count_rejects(rejects):
    """{split: number of `rejects`}, 0 for a split without any."""
    return collections.Counter(reject.split for reject in rejects)


def check_rejects(path, rejects, num_records, parameter, max_fraction, advice):
    """Stop on a split of which too much was left out, or everything.

    Args:
        path: where the user finds them all. rejects: those of all splits.
        num_records: {split: how many records there were}.
        parameter: the name of the one that is `max_fraction`, the most that may be left out, 0..1.
        advice: what the user can fix; {split} in it stands for the split's name.

    Raises:
        UserError: names the most common reason, the first record that has it, and `path`.
    """
    for split, number in num_records.items():
        reasons = collections.Counter(r.reason for r in rejects if r.split == split)
        num_rejects = reasons.total()
        if number > num_rejects <= max_fraction * number:
            continue
        advice = advice.replace("{split}", split)
        if not number:
            raise UserError(f"{split}: holds no records; {advice}")
        reason, count = reasons.most_common(1)[0]
        first = next(r for r in rejects if (r.split, r.reason) == (split, reason))
        raise UserError(
            f"{split}: {num_rejects:,} of {number:,} records rejected, {count:,} of them because:"
            f" {reason}; the first is record {first.index}, counted from 0,"
            f" {first.image or 'without a name'} (all in {path}); {advice}, or raise"
            f" {parameter} from {max_fraction:g}"
        )
