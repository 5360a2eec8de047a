"""Stretches of an archive of pictures: read once and in order, the records of their persons.

Shards are shuffled and an archive is not, so that a shard's pictures lie all over it. Records are
therefore made in the order of the archive, one file a stretch, and gathered into shards afterwards
(`shards.write_shard`).
"""

import functools
import itertools

from hourglass.errors import UserError
from hourglass.files import atomic_path
from hourglass.records.crops import store_person
from hourglass.records.images import Picture
from hourglass.records.schema import serialize_record
from hourglass.records.tfrecord_format import write_record

# A stretch is work for a second or two: many to share out among workers, little to do again.
STRETCH_WORK = 64 << 20  # bytes to inflate and decode
PERSON_WORK = 200 << 10  # cropping and encoding a person takes as long as so many bytes
ABSENT = (-1, 0)  # offset and size of a picture that is not in the archive


def plan_stretches(persons, places):
    """Cut the pictures that persons need into stretches of about the same work.

    Args:
        persons: {split: list of Person}.
        places: {picture: (offset, size)}, as of `raw.archives.locate_pictures`.

    Returns:
        A list of stretches, each a list of the (split, index) of persons, in the order of the
        archive. The persons of one picture are in one stretch; pictures that the archive lacks
        come first.
    """
    keys = [(split, index) for split, people in persons.items() for index in range(len(people))]

    def name_of(key):
        return persons[key[0]][key[1]].image

    # By offset; the names keep the persons of a picture that is not there together.
    keys.sort(key=lambda key: (places.get(name_of(key), ABSENT)[0], name_of(key), key))
    stretches, work = [], STRETCH_WORK
    for name, group in itertools.groupby(keys, name_of):
        if work >= STRETCH_WORK:
            stretches.append([])
            work = 0
        people = list(group)
        stretches[-1] += people
        work += places.get(name, ABSENT)[1] + PERSON_WORK * len(people)
    return stretches


def write_records(path, indices, persons, images, params):
    """Write the records of `persons`, in this order, to a file that appears whole or not at all.

    A picture is read once for all of its persons that follow one another, and decoded once at each
    size that they want; memory holds one picture at a time.

    Args:
        path: in a folder that is removed later.
        indices: the persons' places in the annotations of their split.
        images: read(name) gives a picture's bytes.
        params: ShardParams.

    Returns:
        For each person (offset, length) of its record in the file, bytes; the reason, a text,
        where it was left out.

    Raises:
        OSError: the disk is full or cannot be written; nothing of the file is left.
    """
    # The persons of a picture follow one another: the last one read is enough.
    open_picture = functools.lru_cache(maxsize=1)(lambda name: Picture(images.read(name)))
    # A retried task, or one that runs twice, replaces the file by the same bytes.
    with atomic_path(path, path.parent) as temporary, open(temporary, "wb") as file:
        return [
            _append_record(file, person, int(index), open_picture, params)
            for index, person in zip(indices, persons, strict=True)
        ]


def _append_record(file, person, index, open_picture, params):
    start = file.tell()
    try:
        stored = store_person(person, open_picture(person.image), params)
        write_record(file, serialize_record(person, index, stored))
    # One bad picture costs its persons, not the stretch. A full disk is an OSError and goes on up.
    except UserError as error:
        return str(error)
    return start, file.tell() - start
