"""The shards of a dataset, one Ray task each."""

import ray
from tqdm import tqdm

from hourglass.errors import UserError
from hourglass.raw.archives import open_images
from hourglass.records.shards import write_shard

FEWER_WORKERS = "if memory is short, run stages/shard.py with fewer --workers"
# What may pass: a worker that was killed, a disk or memory that others have filled for a while.
RETRIES = {"max_retries": 3, "retry_exceptions": [OSError, MemoryError]}


@ray.remote(**RETRIES)
def shard_task(path, indices, persons, archive, params):
    """Write one shard, on a worker."""
    # Opened on the worker: an open file cannot be sent to it.
    with open_images(archive) as images:
        return write_shard(path, indices, persons, images, params)


def write_shards(folder, shards, persons, archive, params):
    """Run one task a shard, a few at a time, so that memory does not grow with the dataset.

    Args:
        folder: gets the shards. shards: list of Shard.
        persons: {split: list of Person}. archive: path of the pictures. params: ShardParams.

    Returns:
        What `records.shards.write_shard` returned, one a shard.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # Two tasks a core: one runs, the next one's persons have arrived.
    limit = 2 * int(ray.cluster_resources().get("CPU", 1))
    results, running = [None] * len(shards), {}
    bar = tqdm(total=len(shards), desc="shards", unit="shard", disable=None)
    for submitted, shard in enumerate(shards):
        people = [persons[shard.split][index] for index in shard.indices]  # only these travel
        # Absolute: a worker may run in another folder.
        path = (folder / shard.name).resolve()
        task = shard_task.remote(path, shard.indices, people, archive, params)
        running[task] = submitted
        last = submitted == len(shards) - 1
        # After the last one nothing is left to submit: wait for all.
        while running and (last or len(running) >= limit):
            # The first that is done, whichever it is; `results` keeps the order of the shards.
            for done in ray.wait(list(running))[0]:
                number = running.pop(done)
                results[number] = get_result(done, folder / shards[number].name)
                bar.update()
    bar.close()
    return results


def get_result(task, path):
    """What the task of the shard `path` returned; what the user can fix becomes a UserError."""
    try:
        return ray.get(task)
    # What the task itself raised; it is a RayError too, so it comes first.
    except ray.exceptions.RayTaskError as error:
        cause = error.cause
        if isinstance(cause, UserError):
            raise cause from None
        if isinstance(cause, OSError):
            reason = f"{cause.strerror or cause}; make room on the disk or fix its permissions"
        elif isinstance(cause, MemoryError):
            reason = f"a worker had too little memory; {FEWER_WORKERS}"
        else:
            raise
    except ray.exceptions.RayError as error:  # the worker or Ray itself was killed
        what = str(error).partition("\n")[0].rstrip(". ") or type(error).__name__
        reason = f"its worker was killed: {what}; {FEWER_WORKERS}"
    raise UserError(f"{path}: {reason}, then repeat")
