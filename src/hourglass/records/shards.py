"""TFRecord shards: which person goes where, gathered of their records, what was left out."""

import dataclasses
import errno
import os
from pathlib import Path

import numpy as np

from hourglass.files import atomic_path
from hourglass.rejects import Reject, encode_joints

PREFIXES = {"train": "train", "validation": "val"}  # the tutorial's file names


@dataclasses.dataclass(frozen=True)
class Shard:
    """One file of a split: its name and the persons it holds, as indices into the annotations."""

    split: str
    name: str
    indices: np.ndarray


def plan_splits(persons, params):
    """Train is shuffled over its shards, validation keeps its order."""
    # Order matters to training alone; validation in order is what predictions are matched by.
    counts = {"train": params.num_train_shards, "validation": params.num_val_shards}
    seeds = {"train": params.seed, "validation": None}
    return [
        shard
        for split, prefix in PREFIXES.items()
        for shard in plan_shards(split, prefix, len(persons[split]), counts[split], seeds[split])
    ]


def plan_shards(split, prefix, num_records, num_shards, seed=None):
    """Spread a split over `num_shards` files whose sizes differ by one record at most.

    With a seed the records are shuffled first, so that the persons of one picture do not sit
    together; without one they keep their order.
    """
    order = np.arange(num_records)  # indices into the annotations
    if seed is not None:
        order = np.random.default_rng(seed).permutation(num_records)
    return [
        Shard(split, shard_name(prefix, number, num_shards), indices)
        # Consecutive pieces, so that an unshuffled split read shard by shard keeps its order.
        for number, indices in enumerate(np.array_split(order, num_shards), start=1)
    ]


def shard_name(prefix, number, num_shards):
    """The tutorial's name, for example `train_0001_of_0064.tfrecords`; `number` counts from 1."""
    return f"{prefix}_{number:04d}_of_{num_shards:04d}.tfrecords"


def write_shard(path, folder, ranges):
    """Gather the records of a shard, which appears whole or not at all.

    Args:
        folder: holds the files of `stretches.write_records`, and the shard until it is whole.
        ranges: (file's name, offset, length) of each record, bytes, in the shard's order.

    Raises:
        OSError: the disk is full or cannot be written, or a file was cut; nothing of the shard is
            left.
    """
    with atomic_path(path, folder) as temporary, open(temporary, "wb") as shard:
        for name, offset, length in ranges:
            # Opened for each: a shard has records of all stretches, too many to keep open.
            with open(Path(folder, name), "rb", buffering=0) as file:
                record = os.pread(file.fileno(), length, offset)
            if len(record) != length:
                raise OSError(errno.EIO, "cut short", file.name)
            shard.write(record)


def list_rejects(indices, persons, results):
    """The persons of a shard that were left out.

    Args:
        indices: the persons' places in the annotations of their split.
        results: what `stretches.write_records` returned of each.

    Returns:
        [(index, picture, reason, labelled joints)], as in `Reject`.
    """
    return [
        (int(index), person.image, result, encode_joints(person.joints_vis))
        for index, person, result in zip(indices, persons, results, strict=True)
        if isinstance(result, str)
    ]


def collect_rejects(shards, results):
    """The persons left out of all shards, in the order of the annotations.

    Args:
        shards: all of them. results: what `list_rejects` gave, one a shard.
    """
    rejects = [
        Reject(shard.split, *reject)
        for shard, left_out in zip(shards, results, strict=True)
        for reject in left_out
    ]
    # Else in the order of the shuffled shards.
    return sorted(rejects, key=lambda reject: (reject.split, reject.index))
