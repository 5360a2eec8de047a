"""TFRecord shards: which person goes where, the writer of one, what was left out."""

import dataclasses

import numpy as np

from hourglass.errors import UserError
from hourglass.files import atomic_path
from hourglass.records.crops import store_person
from hourglass.records.schema import serialize_record
from hourglass.records.tfrecord_format import write_record
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


def write_shard(path, indices, persons, images, params):
    """Write the records of `persons` to one shard, which appears whole or not at all.

    Args:
        indices: the persons' places in the annotations of their split.
        images: read(name) gives a picture's bytes.
        params: ShardParams.

    Returns:
        The persons left out: [(index, picture, reason, labelled joints)], as in `Reject`.

    Raises:
        OSError: the disk is full or cannot be written; nothing of the shard is left.
    """
    rejects = []
    # A retried task, or one that runs twice, replaces the file by the same bytes.
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        for index, person in zip(indices, persons, strict=True):
            try:
                data = images.read(person.image)
                stored = store_person(person, data, params)
                write_record(file, serialize_record(person, int(index), stored))
            # One bad picture costs one person, not the shard. A full disk is an OSError and goes on
            # up.
            except UserError as error:
                lost = encode_joints(person.joints_vis)
                rejects.append((int(index), person.image, str(error), lost))
    return rejects


def collect_rejects(shards, results):
    """The persons left out of all shards, in the order of the annotations.

    Args:
        shards: all of them. results: what `write_shard` returned, one a shard.
    """
    rejects = [
        Reject(shard.split, *reject)
        for shard, left_out in zip(shards, results, strict=True)
        for reject in left_out
    ]
    # Else in the order of the shuffled shards.
    return sorted(rejects, key=lambda reject: (reject.split, reject.index))
