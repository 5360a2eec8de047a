"""Ray tasks, one a shard: persons and picture archives to data/tfrecords/."""

import os
from pathlib import Path

import ray
from tqdm import tqdm

from hourglass import tfrecords
from hourglass.annotations import Reject, load_persons, write_rejects
from hourglass.archives import open_images
from hourglass.datasets import DATASETS
from hourglass.errors import ArgumentParser, UserError, exit_on_user_error
from hourglass.files import exclusive_lock
from hourglass.params import load_params

PREFIXES = {"train": "train", "validation": "val"}  # the tutorial's file names
OUT = Path("data/tfrecords")
FEWER_WORKERS = "if memory is short, run stages/shard.py with fewer --workers"
# What may pass: a worker that was killed, a disk or memory that others have filled for a while.
RETRIES = {"max_retries": 3, "retry_exceptions": [OSError, MemoryError]}


@exit_on_user_error
def main():
    options = ArgumentParser(description=__doc__)
    options.add_argument("--workers", type=int, help="Ray workers on this machine (all cores)")
    num_workers = options.parse_args().workers
    if num_workers is not None and num_workers < 1:
        raise UserError(f"--workers {num_workers}: must be 1 or more")
    params = load_params()
    archive = Path("data/raw", params.data.dataset, DATASETS[params.data.dataset].images).resolve()
    persons = {split: load_persons(f"data/annotations/{split}.json") for split in PREFIXES}
    shards = plan_splits(persons, params.shard)
    with exclusive_lock("data/.shard.lock", f"writing {OUT}"):
        start_ray(num_workers)
        OUT.mkdir(parents=True, exist_ok=True)
        results = write_shards(shards, persons, archive, params.shard)
        num_persons = {split: len(people) for split, people in persons.items()}
        report_rejects(shards, results, num_persons, params.shard.max_reject_fraction)
        tfrecords.write_index(OUT, shards, results, num_persons, params.shard)


def start_ray(num_workers):
    """Join the cluster of RAY_ADDRESS, or start Ray on this machine for as long as we run."""
    try:
        init_ray(num_workers)
    except Exception as error:  # Ray has no class of its own for this
        reason = str(error).partition("\n")[0].rstrip(". ")
        raise UserError(f"Ray does not start: {reason}; mend RAY_ADDRESS, or wait until the "
                        "machine is less busy, then repeat") from None  # fmt: skip


def init_ray(num_workers):
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Where one task's error ends the stage, Ray would print those of the others, in full.
    os.environ.setdefault("RAY_IGNORE_UNHANDLED_ERRORS", "1")
    source = str(Path(tfrecords.__file__).parents[1])
    settings = {"logging_level": "error", "log_to_driver": False}
    if "RAY_ADDRESS" in os.environ:
        ray.init(runtime_env={"py_modules": [f"{source}/hourglass"]}, **settings)
    else:
        # The workers inherit it; Ray's own way to hand it over takes a second more.
        paths = os.pathsep.join(filter(None, [source, os.environ.get("PYTHONPATH")]))
        os.environ |= {"PYTHONPATH": paths, "CUDA_VISIBLE_DEVICES": ""}
        ray.init(
            address="local",  # not whatever else runs on this machine
            num_cpus=num_workers,
            include_dashboard=False,
            object_store_memory=200 * 2**20,
            **settings,
        )


def plan_splits(persons, params):
    """Train is shuffled over its shards, validation keeps its order."""
    counts = {"train": params.num_train_shards, "validation": params.num_val_shards}
    seeds = {"train": params.seed, "validation": None}
    return [
        shard
        for split, prefix in PREFIXES.items()
        for shard in tfrecords.plan_shards(
            split, prefix, len(persons[split]), counts[split], seeds[split]
        )
    ]


@ray.remote(**RETRIES)
def write_shard(path, indices, persons, archive, params):
    with open_images(archive) as images:
        return tfrecords.write_shard(path, indices, persons, images, params)


def write_shards(shards, persons, archive, params):
    """Run one task a shard, a few at a time, so that memory does not grow with the dataset."""
    limit = 2 * int(ray.cluster_resources().get("CPU", 1))
    results, running = [None] * len(shards), {}
    bar = tqdm(total=len(shards), desc="shards", unit="shard", disable=None)
    for submitted, shard in enumerate(shards):
        people = [persons[shard.split][index] for index in shard.indices]
        path = (OUT / shard.name).resolve()
        task = write_shard.remote(path, shard.indices, people, archive, params)
        running[task] = submitted
        last = submitted == len(shards) - 1
        while running and (last or len(running) >= limit):
            for done in ray.wait(list(running))[0]:
                number = running.pop(done)
                results[number] = get_result(done, OUT / shards[number].name)
                bar.update()
    bar.close()
    return results


def get_result(task, path):
    """What the task of the shard `path` returned; what the user can mend becomes a UserError."""
    try:
        return ray.get(task)
    except ray.exceptions.RayTaskError as error:
        cause = error.cause
        if isinstance(cause, UserError):
            raise cause from None
        if isinstance(cause, OSError):
            reason = f"{cause.strerror or cause}; make room on the disk or mend its permissions"
        elif isinstance(cause, MemoryError):
            reason = f"a worker had too little memory; {FEWER_WORKERS}"
        else:
            raise
    except ray.exceptions.RayError as error:  # the worker or Ray itself was killed
        what = str(error).partition("\n")[0].rstrip(". ") or type(error).__name__
        reason = f"its worker was killed: {what}; {FEWER_WORKERS}"
    raise UserError(f"{path}: {reason}, then repeat")


def report_rejects(shards, results, num_persons, max_fraction):
    """Write rejects.csv; stop when too many of a split's persons had to be left out."""
    rejects = [
        Reject(shard.split, *reject)
        for shard, left_out in zip(shards, results, strict=True)
        for reject in left_out
    ]
    rejects.sort(key=lambda reject: (reject.split, reject.index))
    write_rejects(OUT / "rejects.csv", rejects)
    for split, total in num_persons.items():
        left_out = [reject for reject in rejects if reject.split == split]
        num_left_out = len(left_out)
        print(f"{split}: {total} persons = {total - num_left_out} records + {num_left_out} rejects")
        if num_left_out > max_fraction * total:
            raise UserError(
                f"{OUT}/rejects.csv: {num_left_out} of {total} {split} persons cannot be used, for "
                f"example {left_out[0].image}: {left_out[0].reason}; mend the pictures (a "
                "damaged archive: `dvc repro download`) or raise shard.max_reject_fraction"
            )


if __name__ == "__main__":
    main()
