"""The keypoints that a file names, in its own order, as those of one schema."""

import dataclasses
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from hourglass.data.conversion import Conversion
from hourglass.data.keypoint_names import AmbiguousNames, canonical_name, find_places
from hourglass.data.raw_records import FormFault
from hourglass.keypoints import COCO, MPII, KeypointSchema

_HEAD = ("upper_neck", "head_top")
MAX_TOLD = 24  # names in a message


class NamedKeypoints:
    """Takes the keypoints of a file's lists of names to one schema.

    Where several lists have keypoints of the run, those count that have most: a dog's eyes are
    none of a person's.

    Args:
        lists: the names of each kind of person, such as a category of COCO's form.
        schema: the run's.

    Attributes:
        schema: the known keypoints of all lists that count, for `RawSplit.schema`.

    Raises:
        FormFault: no list has a keypoint of the run, or two of its names are one keypoint.
    """

    def __init__(self, lists: Mapping[Any, Sequence[str]], schema: KeypointSchema) -> None:
        wanted = _list_wanted(schema)
        try:
            places = {key: find_places(names, wanted) for key, names in lists.items()}
        except AmbiguousNames as fault:
            raise FormFault(str(fault)) from None
        counts = {key: _count_known(found, schema) for key, found in places.items()}
        most = max(counts.values(), default=0)
        if not most:
            raise FormFault(_describe_unknown(lists.values(), schema))
        used = {key: found for key, found in places.items() if counts[key] == most}
        self.schema = _make_schema(wanted, used.values(), schema)
        self._places = {
            key: np.array([found.get(name, -1) for name in self.schema.keypoints])
            for key, found in used.items()
        }
        self._conversion = Conversion(self.schema, schema)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._places

    def take(
        self, key: Hashable, points: np.ndarray, labelled: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Keypoints of a list, [n, 2] and bool [n], as those of `schema`, [K, 2] and bool [K]."""
        places = self._places[key]
        return points[places], labelled[places] & (places >= 0)

    def find_places(self, key: Hashable) -> dict[str, int]:
        """{name in `schema`: its place in a list}."""
        pairs = zip(self.schema.keypoints, self._places[key].tolist(), strict=True)
        return {name: place for name, place in pairs if place >= 0}

    def is_used(self, labelled: np.ndarray) -> bool:
        """Whether the run uses one of the keypoints, bool [K]."""
        return bool(self._conversion.convert_flags(labelled).any())


def make_list_schema(names: Sequence[str], schema: KeypointSchema) -> KeypointSchema:
    """The schema of records whose joints have the names of a list, in its order.

    Args:
        schema: the run's.

    Raises:
        FormFault: the run has none of them, or two of them are one keypoint.
    """
    known = NamedKeypoints({"": names}, schema)
    by_place = {place: name for name, place in known.find_places("").items()}
    # What is unknown only takes its place.
    listed = tuple(by_place.get(k, f"unknown-{k}") for k in range(len(names)))
    return dataclasses.replace(known.schema, keypoints=listed)


def _list_wanted(schema: KeypointSchema) -> list[str]:
    """The run's keypoints, and those of MPII and COCO that it lacks: ends of midpoints, heads."""
    wanted = list(schema.keypoints)
    known = set(map(canonical_name, wanted))
    others = dict.fromkeys(map(canonical_name, MPII.keypoints + COCO.keypoints))
    return wanted + [name for name in others if name not in known]


def _count_known(places: Mapping[str, int], schema: KeypointSchema) -> int:
    """How many of the run's keypoints a list gives."""
    if not places:
        return 0
    source = KeypointSchema("file", tuple(places), (), (), {})
    return int(Conversion(source, schema).convert_flags(np.ones(len(places), bool)).sum())


def _make_schema(
    wanted: Iterable[str], lists: Iterable[Mapping[str, int]], schema: KeypointSchema
) -> KeypointSchema:
    found = set().union(*lists)
    names = tuple(name for name in wanted if name in found)
    by_common = {canonical_name(name): name for name in names}
    ends = schema.head_segment
    if not ends or not set(ends) <= found:
        ends = tuple(by_common[end] for end in _HEAD if end in by_common)
    return KeypointSchema("file", names, (), (), {}, (), ends if len(ends) == 2 else ())


def _describe_unknown(lists: Iterable[Sequence[str]], schema: KeypointSchema) -> str:
    names = list(dict.fromkeys(name[:80] for names in lists for name in names))
    if not names:
        return "names no keypoints: a category needs a list of them"
    told = ", ".join(map(repr, names[:MAX_TOLD])) + (", ..." if len(names) > MAX_TOLD else "")
    wanted = ", ".join(schema.keypoints[:3])
    return f"none of its keypoints is known: it has {told}; data.schema has {wanted}, ..."
