"""Raw records of a split judged against its pictures and each other."""

import re

import numpy as np

from hourglass.data.datasets.base import UnusableRecord, read_name
from hourglass.data.head_size import describe_head_sizes, head_size_from_labels
from hourglass.data.invalid import NO_JOINTS, InvalidRecord, count_invalid, encode_joints
from hourglass.data.person import RecordFault, person_from_record, read_joints_vis
from hourglass.keypoints import NUM_JOINTS, SCORED_JOINTS

MAX_NAME = 1000  # characters of a reject's name that are told
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


class _DuplicateFault(RecordFault):
    """The record is there already."""


def summarize_split(split, persons, invalid):
    """One line: records in = kept + rejected, labelled joints, those that PCKh scores, heads."""
    num_rejected = count_invalid(invalid)[split]
    keypoints_visible = sum((p.keypoints_visible for p in persons), np.zeros(NUM_JOINTS, int))
    return (
        f"{split}: {len(persons) + num_rejected:,} records = {len(persons):,} kept"
        f" + {num_rejected:,} rejected; {keypoints_visible.sum():,} labelled joints,"
        f" {keypoints_visible[list(SCORED_JOINTS)].sum():,} scored;"
        f" head sizes: {describe_head_sizes(persons) or 'none'}"
    )


def check_records(
    records,
    image_names,
    split="",
    held_out=frozenset(),
    measure_head_size=head_size_from_labels,
    passed_over=frozenset(),
):
    """Judge raw records in MPII's JSON form, 1-based, and move them to 0-based pixels.

    Missing is `joints_vis` 0 and nothing else: a labelled joint may lie outside the picture, and
    an unlabelled one may hold any two numbers, NaN too, which are dropped.

    Args:
        records: list of anything that JSON can hold, and of `UnusableRecord`.
        image_names: the pictures there are; None: any.
        split: name that the invalid carry.
        held_out: pictures of the other split, not to be used here.
        measure_head_size: for records without `head_size`, as of `persons.person_from_record`.
        passed_over: numbers of records, from 0, that are not to be judged.

    Returns:
        list of `Person`, list of `InvalidRecord`; their lengths add up to the number judged.
    """
    persons, invalid, seen = [], [], set()
    for index, record in enumerate(records):
        if index in passed_over:
            continue
        try:
            if isinstance(record, UnusableRecord):
                raise RecordFault(record.reason)
            person = person_from_record(record, 1, measure_head_size)
            if image_names is not None and person.image not in image_names:
                raise RecordFault("picture is not among the images")
            if person.image in held_out:  # it would leak: other persons of the same picture
                raise RecordFault("picture is also in validation")
            # Last: the twin of a rejected record is counted under the same reason.
            _check_is_new(person, seen)
        except RecordFault as fault:
            # Nothing is lost with the twin of a record that is kept.
            lost = NO_JOINTS if isinstance(fault, _DuplicateFault) else _labelled_joints(record)
            invalid.append(InvalidRecord(split, index, _printable_name(record), str(fault), lost))
        else:
            persons.append(person)
    return persons, invalid


def _check_is_new(person, seen):
    # Bytes, since arrays cannot be hashed; unlabelled joints are all (-1, -1) by now.
    arrays = (person.joints, person.keypoints_visible, person.center)
    numbers = (person.scale, person.head_size)
    identity = (person.image, *numbers, *(array.tobytes() for array in arrays))
    if identity in seen:
        raise _DuplicateFault("exact duplicate of an earlier record")
    seen.add(identity)


def _labelled_joints(record):
    """What `InvalidRecord` says of a record's labels, whatever else is wrong with it."""
    keypoints_visible = read_joints_vis(record)
    return "" if keypoints_visible is None else encode_joints(keypoints_visible)


def _printable_name(record):
    image = read_name(record)
    # Lone surrogates, which JSON can hold, cannot be written as UTF-8; nor can a CSV reader take a
    # name without end.
    return _UNPRINTABLE.sub("\ufffd", image[:MAX_NAME]) if isinstance(image, str) else ""
