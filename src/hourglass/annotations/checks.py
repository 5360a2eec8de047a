"""Raw records of a split judged against its pictures and each other."""

import collections
import re

import numpy as np

from hourglass.annotations.persons import RecordFault, person_from_record
from hourglass.errors import UserError
from hourglass.raw.archives import DOWNLOAD_AGAIN
from hourglass.rejects import Reject
from hourglass.skeleton import NUM_JOINTS, SCORED_JOINTS

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


def summarize_split(split, persons, rejects):
    """One line: records in = kept + rejected, labelled joints, and those that PCKh scores."""
    num_rejected = sum(reject.split == split for reject in rejects)
    joints_vis = sum((p.joints_vis for p in persons), np.zeros(NUM_JOINTS, int))
    return (
        f"{split}: {len(persons) + num_rejected:,} records = {len(persons):,} kept"
        f" + {num_rejected:,} rejected; {joints_vis.sum():,} labelled joints,"
        f" {joints_vis[list(SCORED_JOINTS)].sum():,} scored"
    )


def check_rejects(splits, rejects, max_fraction, rejects_path, source=None):
    """Stop on a split with too many rejects, or with no person left.

    Args:
        splits: dict of split -> list of `Person`.
        max_fraction: the most of a split's records that may be rejected, 0..1.
        rejects_path: where the user finds them all.
        source: the folder of the user's own JSON files, where there is one.

    Raises:
        UserError: names the most common reason, the first record that has it, and `rejects_path`.
    """
    for split, persons in splits.items():
        reasons = collections.Counter(r.reason for r in rejects if r.split == split)
        num_rejected = reasons.total()
        num_records = len(persons) + num_rejected
        if not num_records:
            raise UserError(f"{split}: the dataset has no such records; {DOWNLOAD_AGAIN}")
        if persons and num_rejected <= max_fraction * num_records:
            continue
        reason, count = reasons.most_common(1)[0]
        first = next(r for r in rejects if r.split == split and r.reason == reason)
        raise UserError(
            f"{split}: {num_rejected:,} of {num_records:,} records rejected, {count:,} of them"
            f" because: {reason}; the first is record {first.index}, counted from 0,"
            f" {first.image or 'without a name'} (all in {rejects_path}); fix"
            f" {f'{source}/{split}.json' if source else 'the annotations'}"
            f" or raise parse.max_reject_fraction from {max_fraction:g}"
        )


def check_records(records, image_names, split="", held_out=frozenset()):
    """Judge raw records in MPII's JSON form, 1-based, and move them to 0-based pixels.

    Missing is `joints_vis` 0 and nothing else: a labelled joint may lie outside the picture, and
    an unlabelled one may hold any two numbers, NaN too, which are dropped.

    Args:
        records: list of anything that JSON can hold.
        image_names: the pictures there are; None: any.
        split: name that the rejects carry.
        held_out: pictures of the other split, not to be used here.

    Returns:
        list of `Person`, list of `Reject`; their lengths add up to that of `records`.
    """
    persons, rejects, seen = [], [], set()
    for index, record in enumerate(records):
        try:
            person = person_from_record(record, image_names, origin=1)
            if person.image in held_out:
                raise RecordFault("picture is also in validation")
            _check_is_new(person, seen)
        except RecordFault as fault:
            rejects.append(Reject(split, index, _printable_name(record), str(fault)))
        else:
            persons.append(person)
    return persons, rejects


def _check_is_new(person, seen):
    arrays = (person.joints, person.joints_vis, person.center)
    identity = (person.image, person.scale, *(array.tobytes() for array in arrays))
    if identity in seen:
        raise RecordFault("exact duplicate of an earlier record")
    seen.add(identity)


def _printable_name(record):
    image = record.get("image") if isinstance(record, dict) else None
    return _UNPRINTABLE.sub("\ufffd", image) if isinstance(image, str) else ""
