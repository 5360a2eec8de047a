"""Shards written without Ray."""

from hourglass.files import scratch_folder
from hourglass.raw.archives import open_images
from hourglass.records.shards import list_rejects, write_shard
from hourglass.records.stretches import write_records


def write_shards(folder, shards, stretches, persons, archive, params):
    """What `cluster.shard_tasks.write_shards` does, in this process and in one stretch."""
    folder.mkdir(parents=True, exist_ok=True)
    with open_images(archive) as images, scratch_folder(folder.parent / ".stretches") as scratch:
        keys = [key for stretch in stretches for key in stretch]
        people = [persons[split][index] for split, index in keys]
        indices = [index for _, index in keys]
        results = write_records(scratch / "all", indices, people, images, params)
        records = dict(zip(keys, results, strict=True))
        return [_write_shard(folder, shard, scratch, persons, records) for shard in shards]


def _write_shard(folder, shard, scratch, persons, records):
    results = [records[shard.split, index] for index in shard.indices]
    ranges = [("all", *result) for result in results if not isinstance(result, str)]
    write_shard(folder / shard.name, scratch, ranges)
    people = [persons[shard.split][index] for index in shard.indices]
    return list_rejects(shard.indices, people, results)
