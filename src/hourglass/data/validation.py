"""Raw records of a split judged against its pictures and each other."""

import re
from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from hourglass.data.conversion import MPII_AS_IT_IS, Conversion
from hourglass.data.head_size import HeadSizeRule, describe_head_sizes, head_size_from_labels
from hourglass.data.invalid import InvalidRecord, count_invalid, encode_joints
from hourglass.data.person import Person, RecordFault, person_from_record, read_flags
from hourglass.data.raw_records import LabelledPerson, UnusableRecord, read_name
from hourglass.keypoints import KeypointSchema

MAX_NAME = 1000  # characters of an invalid record's name that are told
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


class _DuplicateFault(RecordFault):
    """The record is there already."""


def summarize_split(
    split: str,
    persons: list[Person],
    invalid: Iterable[InvalidRecord],
    schema: KeypointSchema,
    not_used: Mapping[str, int] = MappingProxyType({}),
    notes: Mapping[str, int] = MappingProxyType({}),
) -> str:
    """One line: records, kept, invalid and not used; labelled and scored joints; head sizes.

    Args:
        not_used: {reason: records that were not judged}. notes: of the `RawSplit`.
    """
    num_invalid, num_unused = count_invalid(invalid)[split], sum(not_used.values())
    labels = sum((p.keypoints_visible for p in persons), np.zeros(schema.num_keypoints, int))
    text = (
        f"{split}: {len(persons) + num_invalid + num_unused:,} records = {len(persons):,} kept"
        f" + {num_invalid:,} invalid{_describe_unused(not_used)}; {labels.sum():,} labelled joints,"
        f" {labels[list(schema.scored_indices)].sum():,} scored;"
        f" head sizes: {describe_head_sizes(persons) or 'none'}"
    )
    text += "".join(f"; {number:,} {note}" for note, number in notes.items() if number)
    missing = [schema.keypoints[k] for k in np.flatnonzero(labels == 0)]
    return f"{text}; never labelled: {', '.join(missing)}" if persons and missing else text


def _describe_unused(not_used: Mapping[str, int]) -> str:
    if not not_used:
        return ""
    reasons = ", ".join(f"{number:,} {reason}" for reason, number in not_used.items())
    return f" + {sum(not_used.values()):,} not used ({reasons})"


def check_records(
    records: Iterable[Any],
    image_names: Collection[str] | None,
    split: str = "",
    held_out: Collection[str] = frozenset(),
    measure_head_size: HeadSizeRule = head_size_from_labels,
    passed_over: Collection[int] = frozenset(),
    conversion: Conversion = MPII_AS_IT_IS,
) -> tuple[list[Person], list[InvalidRecord]]:
    """Judge raw records in MPII's JSON form, 1-based, and move them to 0-based pixels.

    A joint is missing if its `joints_vis` is 0. A labelled joint may lie outside the picture. The
    two numbers of an unlabelled one are dropped, NaN too.

    Args:
        records: anything that JSON can hold, `LabelledPerson`s and `UnusableRecord`s.
        image_names: the pictures there are; None: any.
        split: the name that invalid records carry.
        held_out: pictures of the other split, not to be used here.
        measure_head_size: the rule for records without `head_size`.
        passed_over: numbers of records, from 0, that are not to be judged.
        conversion: from the schema of the records to that of the persons.

    Returns:
        The persons and the invalid records; their numbers add up to that of the judged records.
    """
    persons, invalid, seen = [], [], set[tuple]()
    for index, record in enumerate(records):
        if index in passed_over:
            continue
        try:
            if isinstance(record, UnusableRecord):
                raise RecordFault(record.reason)
            is_person = isinstance(record, LabelledPerson)
            raw = record.to_record() if is_person else record
            person = person_from_record(raw, 1, conversion, measure_head_size)
            if image_names is not None and person.image not in image_names:
                raise RecordFault("picture is not among the images")
            if person.image in held_out:  # it would leak: other persons of the same picture
                raise RecordFault("picture is also in validation")
            # Last: the twin of an invalid record is counted under the same reason.
            _check_is_new(person, seen)
        except RecordFault as fault:
            lost = _lost_joints(record, fault, conversion)
            invalid.append(InvalidRecord(split, index, _printable_name(record), str(fault), lost))
        else:
            persons.append(person)
    return persons, invalid


def _check_is_new(person: Person, seen: set[tuple]) -> None:
    # Bytes, since arrays cannot be hashed; unlabelled joints are all (-1, -1) by now.
    arrays = (person.joints, person.keypoints_visible, person.center)
    numbers = (person.scale, person.head_size)
    identity = (person.image, *numbers, *(array.tobytes() for array in arrays))
    if identity in seen:
        raise _DuplicateFault("exact duplicate of an earlier record")
    seen.add(identity)


def _lost_joints(record: Any, fault: RecordFault, conversion: Conversion) -> str:
    """The `lost_joints` of an `InvalidRecord`, also of a record with other faults."""
    # Nothing is lost with the twin of a record that is kept.
    if isinstance(fault, _DuplicateFault):
        return encode_joints(np.zeros(conversion.target.num_keypoints, bool))
    raw = record.to_record() if isinstance(record, LabelledPerson) else record
    flags = read_flags(raw, conversion)
    return "" if flags is None else encode_joints(flags)


def _printable_name(record: Any) -> str:
    image = read_name(record)
    # Lone surrogates, which JSON can hold, cannot be written as UTF-8; nor can a CSV reader take a
    # name without end.
    return _UNPRINTABLE.sub("\ufffd", image[:MAX_NAME]) if isinstance(image, str) else ""
