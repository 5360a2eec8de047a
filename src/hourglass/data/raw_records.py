"""The records of a split as a dataset's reader gives them, unchecked."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from hourglass.keypoints import KeypointSchema


class RawSplit(NamedTuple):
    """The records of a split, unchecked, and the schema of their joints."""

    records: list[Any]
    schema: KeypointSchema


@dataclass(frozen=True)
class UnusableRecord:
    """Stands for an annotation that cannot be read; `image` is "" if unknown."""

    image: str
    reason: str


# Stands for an annotation that is no person to learn from or to score.
PASSED_OVER = object()


def read_name(record: Any) -> Any:
    """The name of a record's picture, unchecked; None where it has none."""
    if isinstance(record, dict):
        return record.get("image")
    return getattr(record, "image", None) or None
