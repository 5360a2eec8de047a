"""Shards written without Ray."""

from hourglass.raw.archives import open_images
from hourglass.records.shards import write_shard


def write_shards(folder, shards, persons, archive, params):
    """What `cluster.shard_tasks.write_shards` does, in this process."""
    folder.mkdir(parents=True, exist_ok=True)
    results = []
    with open_images(archive) as images:
        for shard in shards:
            people = [persons[shard.split][index] for index in shard.indices]
            results.append(write_shard(folder / shard.name, shard.indices, people, images, params))
    return results
