"""The records of a split as a dataset's reader gives them, unchecked."""

import collections
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hourglass.keypoints import PERSON_HEIGHT, KeypointSchema
from hourglass.utils import transforms

BBox = tuple[float, float, float, float]  # x, y, width, height: 0-based px of a picture


class FormFault(Exception):
    """The fault of an annotation file, or of an annotation in it."""


@dataclass
class RawSplit:
    """The records of a split.

    Attributes:
        records: dicts in MPII's JSON form, anything else that JSON can hold, and the classes of
            this module.
        schema: of the records' joints.
        notes: what was made of odd labels, and how often.
    """

    records: list[Any]
    schema: KeypointSchema
    notes: Mapping[str, int] = field(default_factory=collections.Counter)


@dataclass(frozen=True, eq=False)
class LabelledPerson:
    """A person of an annotation file of any form; K keypoints of the split's schema.

    Attributes:
        image: the picture's name.
        points: float64 [K, 2], 0-based px; any numbers where unlabelled.
        labelled: bool [K].
        bbox: around all that is seen of the person, drawn and not made of the keypoints.
        size: width and height of the picture as the file says, px; None where it says nothing.
    """

    image: str
    points: np.ndarray
    labelled: np.ndarray
    bbox: BBox
    size: tuple[float, float] | None = None

    def to_record(self) -> dict[str, Any]:
        """The person in MPII's JSON form: 1-based, center and scale made of the box.

        The person's crop is then the one of `hourglass predict --box`.
        """
        (x, y), side = transforms.bbox_region(self.bbox)
        scale = side / (transforms.CROP_FACTOR * PERSON_HEIGHT)
        return {
            "image": self.image,
            "joints": (self.points + 1).tolist(),
            "joints_vis": self.labelled.tolist(),
            "center": [float(x) + 1, float(y) + 1 - transforms.CENTER_SHIFT * scale],
            "scale": float(scale),
        }


@dataclass(frozen=True)
class UnusableRecord:
    """Stands for an annotation that cannot be read; `image` is "" if unknown."""

    image: str
    reason: str


@dataclass(frozen=True)
class PassedOver:
    """Stands for an annotation that is no person to learn from or to score, and says why."""

    reason: str


def read_name(record: Any) -> Any:
    """The name of a record's picture, unchecked; None where it has none."""
    if isinstance(record, dict):
        return record.get("image")
    return getattr(record, "image", None) or None
