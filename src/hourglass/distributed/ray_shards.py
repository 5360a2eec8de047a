"""The shards of a dataset on Ray: first one task a chunk of the archive, then one a shard."""

import functools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import ray

from hourglass.data.archives import ImageArchive, open_images
from hourglass.data.tfrecords.plan import Key, Shard
from hourglass.data.tfrecords.writer import Place, list_invalid, write_chunk, write_shard
from hourglass.distributed.ray_tasks import RETRIES, Job, check_shared, run_tasks
from hourglass.utils.errors import UserError
from hourglass.utils.files import scratch_folder

if TYPE_CHECKING:
    from hourglass.config import ShardParams
    from hourglass.data.person import Person

# (file's name, offset, length) of a record; the reason where there is none.
RecordRange = tuple[str, int, int] | str

FEWER_WORKERS = (
    "if memory is short, run stages/shard.py with fewer --workers"
    " (on a cluster: start its machines with fewer --num-cpus)"
)


@ray.remote(**RETRIES)
def archive_chunk_task(
    path: Path,
    indices: list[int],
    persons: "list[Person]",
    archive: Path,
    params: "ShardParams",
) -> list[Place]:
    """Write the records of a chunk to a file, on a worker."""
    check_shared("data/", archive, path.parent)
    # Opened on the worker: an open file cannot be sent to it.
    images = open_archive_once(archive)
    images.announce(dict.fromkeys(person.image for person in persons))
    return write_chunk(path, indices, persons, images, params)


@ray.remote(**RETRIES)
def shard_task(path: Path, folder: Path, ranges: list[tuple[str, int, int]]) -> None:
    """Write one shard, on a worker."""
    check_shared("data/", folder)
    write_shard(path, folder, ranges)


@functools.lru_cache(maxsize=1)
def open_archive_once(archive: Path) -> ImageArchive:
    """`open_images` once a worker and not once a task: MPII's seek points are 98 MB."""
    return open_images(archive)


def write_shards(
    folder: Path,
    shards: Sequence[Shard],
    chunks: Sequence[list[Key]],
    persons: "Mapping[str, Sequence[Person]]",
    archive: Path,
    params: "ShardParams",
) -> list[list[tuple[int, str, str, str]]]:
    """Read the archive once, in order, into records; gather these into shards.

    Until then the records lie in files beside `folder`, not in Ray's object store. They survive the
    machine that wrote them, and take no memory.

    Args:
        folder: gets the shards.
        chunks: those of `data.tfrecords.plan.plan_archive_chunks`.
        archive: the pictures.

    Returns:
        What `data.tfrecords.writer.list_invalid` gives, one a shard.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with scratch_folder(folder.parent / ".chunks") as scratch:
        check_one_disk(folder, scratch.parent)
        # Absolute: a worker may run in another folder.
        records = write_archive_chunks(scratch.resolve(), chunks, persons, archive, params)
        gather_shards(folder, shards, scratch.resolve(), records)
    return [
        list_invalid(
            shard.indices,
            [persons[shard.split][index] for index in shard.indices],
            [records[shard.split, index] for index in shard.indices],
        )
        for shard in shards
    ]


def check_one_disk(*folders: Path) -> None:
    """Raise `UserError` where a file cannot be renamed from one of the folders to another."""
    if len({os.stat(folder).st_dev for folder in folders}) > 1:
        raise UserError(
            f"{' and '.join(map(str, folders))}: not on one disk; neither may be a link to another "
            "one, the whole of data/ may"
        )


def write_archive_chunks(
    folder: Path,
    chunks: Sequence[list[Key]],
    persons: "Mapping[str, Sequence[Person]]",
    archive: Path,
    params: "ShardParams",
) -> dict[Key, RecordRange]:
    """Run one task a chunk; each writes a file of records into `folder`."""
    paths = [folder / f"chunk_{number:05d}" for number in range(len(chunks))]
    jobs = [
        make_archive_job(path, keys, persons, archive, params)
        for path, keys in zip(paths, chunks, strict=True)
    ]
    results = run_tasks(archive_chunk_task, jobs, "cut crops", "picture", FEWER_WORKERS)
    return {
        key: place if isinstance(place, str) else (path.name, *place)
        for path, keys, places in zip(paths, chunks, results, strict=True)
        for key, place in zip(keys, places, strict=True)
    }


def make_archive_job(
    path: Path,
    keys: list[Key],
    persons: "Mapping[str, Sequence[Person]]",
    archive: Path,
    params: "ShardParams",
) -> Job:
    """The `Job` of some persons: they alone are sent to the worker."""
    people = [persons[split][index] for split, index in keys]
    num_pictures = len({person.image for person in people})
    name = f"{archive.name}, {people[0].image} to {people[-1].image}"
    arguments = (path, [index for _, index in keys], people, archive, params)
    return Job(name, num_pictures, arguments)


def gather_shards(
    folder: Path, shards: Sequence[Shard], scratch: Path, records: Mapping[Key, RecordRange]
) -> None:
    """Run one task a shard, on what `write_archive_chunks` has left in `scratch`."""
    jobs = []
    for shard in shards:
        places = [records[shard.split, index] for index in shard.indices]
        ranges = [place for place in places if not isinstance(place, str)]
        path = folder / shard.name
        jobs.append(Job(path, len(ranges), (path.resolve(), scratch, ranges)))
    run_tasks(shard_task, jobs, "write shards", "record", FEWER_WORKERS)
