"""Shards written without Ray."""

from hourglass.data.archives import locate_pictures, open_images
from hourglass.data.tfrecords.index import write_index
from hourglass.data.tfrecords.plan import plan_archive_chunks, plan_splits
from hourglass.data.tfrecords.writer import list_invalid, write_chunk, write_shard
from hourglass.keypoints import MPII
from hourglass.utils.files import scratch_folder


def write_shards(folder, shards, chunks, persons, archive, params):
    """What `distributed.ray_shards.write_shards` does, in this process and in one chunk."""
    folder.mkdir(parents=True, exist_ok=True)
    with open_images(archive) as images, scratch_folder(folder.parent / ".chunks") as scratch:
        keys = [key for chunk in chunks for key in chunk]
        people = [persons[split][index] for split, index in keys]
        indices = [index for _, index in keys]
        results = write_chunk(scratch / "all", indices, people, images, params)
        records = dict(zip(keys, results, strict=True))
        return [_write_shard(folder, shard, scratch, persons, records) for shard in shards]


def _write_shard(folder, shard, scratch, persons, records):
    results = [records[shard.split, index] for index in shard.indices]
    ranges = [("all", *result) for result in results if not isinstance(result, str)]
    write_shard(folder / shard.name, scratch, ranges)
    people = [persons[shard.split][index] for index in shard.indices]
    return list_invalid(shard.indices, people, results)


def shard_annotations(folder, persons, archive, params, schema=MPII, sets=None):
    """What the shard stage does with {split: persons} and the archive of their pictures."""
    shards = plan_splits(persons, params)
    chunks = plan_archive_chunks(persons, locate_pictures(archive))
    results = write_shards(folder, shards, chunks, persons, archive, params)
    counts = {split: len(people) for split, people in persons.items()}
    write_index(folder, shards, results, counts, schema, params, sets)
    return folder
