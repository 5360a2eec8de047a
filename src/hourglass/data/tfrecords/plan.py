"""How persons are shared out: over chunks of the archive, over shards, over sets."""

import dataclasses
import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from hourglass.data.invalid import InvalidRecord
from hourglass.data.person import find_set
from hourglass.data.tfrecords.index import RecordSet

if TYPE_CHECKING:
    from hourglass.config import ShardParams
    from hourglass.data.person import Person

Key = tuple[str, int]  # a person: its split, and its place in the annotations

# A chunk is work for a second or two: many to share out among workers, little to do again.
CHUNK_WORK = 64 << 20  # bytes to inflate and decode
PERSON_WORK = 200 << 10  # cropping and encoding a person takes as long as so many bytes
ABSENT = (-1, 0)  # offset and size of a picture that is not in the archive


def plan_archive_chunks(
    persons: "Mapping[str, Sequence[Person]]", places: Mapping[str, tuple[int, int]]
) -> list[list[Key]]:
    """Cut the pictures that persons need into chunks of about the same work.

    Args:
        persons: by split.
        places: {picture: (offset, size)} of `data.archives.locate_pictures`.

    Returns:
        A list of chunks, each a list of persons in the order of the archive. The persons of one
        picture are in one chunk; pictures that the archive lacks come first.
    """
    keys = [(split, index) for split, people in persons.items() for index in range(len(people))]

    def name_of(key: Key) -> str:
        return persons[key[0]][key[1]].image

    # By offset; the names keep the persons of a picture that is not there together.
    keys.sort(key=lambda key: (places.get(name_of(key), ABSENT)[0], name_of(key), key))
    chunks: list[list[Key]] = []
    work = CHUNK_WORK
    for name, group in itertools.groupby(keys, name_of):
        if work >= CHUNK_WORK:
            chunks.append([])
            work = 0
        people = list(group)
        chunks[-1] += people
        work += places.get(name, ABSENT)[1] + PERSON_WORK * len(people)
    return chunks


PREFIXES = {"train": "train", "validation": "val"}  # the tutorial's file names


@dataclasses.dataclass(frozen=True)
class Shard:
    """One file of a split: its name and the persons it holds, as indices into the annotations."""

    split: str
    name: str
    indices: np.ndarray


def plan_splits(persons: "Mapping[str, Sequence[Person]]", params: "ShardParams") -> list[Shard]:
    """Train is shuffled over its shards, validation keeps its order."""
    # Order matters to training alone; validation in order is what predictions are matched by.
    counts = {"train": params.num_train_shards, "validation": params.num_val_shards}
    seeds = {"train": params.seed, "validation": None}
    return [
        shard
        for split, prefix in PREFIXES.items()
        for shard in plan_shards(split, prefix, len(persons[split]), counts[split], seeds[split])
    ]


def plan_shards(
    split: str, prefix: str, num_records: int, num_shards: int, seed: int | None = None
) -> list[Shard]:
    """Spread a split over `num_shards` files whose sizes differ by one record at most.

    With a seed the records are shuffled first: the persons of one picture do not stay together.
    Without one they keep their order.
    """
    order = np.arange(num_records)  # indices into the annotations
    if seed is not None:
        order = np.random.default_rng(seed).permutation(num_records)
    return [
        Shard(split, shard_name(prefix, number, num_shards), indices)
        # Consecutive pieces, so that an unshuffled split read shard by shard keeps its order.
        for number, indices in enumerate(np.array_split(order, num_shards), start=1)
    ]


def shard_name(prefix: str, number: int, num_shards: int) -> str:
    """The tutorial's name, for example `train_0001_of_0064.tfrecords`; `number` counts from 1."""
    return f"{prefix}_{number:04d}_of_{num_shards:04d}.tfrecords"


def count_sets(
    names: Iterable[str],
    persons: "Mapping[str, Sequence[Person]]",
    invalid: Sequence[InvalidRecord],
) -> dict[str, dict[str, RecordSet]]:
    """{split: {name: its records}} of the sets of `data.sets`.

    Args:
        names: of the sets, in the order of the persons.
        persons: by split; the name of a picture begins with its set's and a slash.
        invalid: those of them that have no record.
    """
    all_of = Counter(
        (split, find_set(p.image)) for split, people in persons.items() for p in people
    )
    lost = Counter((record.split, find_set(record.image)) for record in invalid)
    return {
        split: {
            name: RecordSet(all_of[split, name], all_of[split, name] - lost[split, name])
            for name in names
        }
        for split in persons
    }
