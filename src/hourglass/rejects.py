"""What was left out of a dataset, and why."""

import csv
from dataclasses import dataclass

from hourglass.files import atomic_path


@dataclass(frozen=True)
class Reject:
    """A record that was left out: `index` counts the split's raw records from 0."""

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
