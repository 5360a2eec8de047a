"""Very many photographs on Ray: a task a chunk, on workers that keep their network open.

Plain tasks and not Ray Data, which wants pandas and pyarrow, and knows nothing of chunks that are
there already.
"""

import functools
import itertools
import os
from pathlib import Path

import ray

from hourglass.apps.batch.chunks import predict_chunk, read_chunk_paths
from hourglass.apps.batch.plan import BatchPlan, Chunk
from hourglass.distributed.ray_tasks import RETRIES, Job, check_shared, run_tasks
from hourglass.inference.backends import open_backend
from hourglass.inference.crops import Backend
from hourglass.shipped import shipped_network, shipped_people_detector
from hourglass.utils.errors import UserError
from hourglass.utils.files import file_digest

FEWER_WORKERS = "if memory is short, start the cluster's machines with fewer --num-cpus"
SHARED = "network, pictures and --out"


@ray.remote(**RETRIES)
def photo_chunk_task(
    plan: BatchPlan, chunk: Chunk, scratch: Path, seen: list[Path], model: Path | None
) -> None:
    """Write the results of a chunk, on a worker.

    Args:
        scratch: a folder on the same disk for unfinished files.
        seen: paths of the chunk's pictures that the first machine sees, at most one.
        model: path of the network; None for the one that comes with the package.
    """
    check_shared(SHARED, scratch, *seen)
    backend = open_backend_once(model, plan.network, plan.flip_test, plan.finder)
    predict_chunk(backend, plan, chunk, scratch, num_threads=1)


@functools.lru_cache(maxsize=1)
def open_backend_once(
    model: Path | None, digest: str, flip_test: bool, finder: str | None = None
) -> Backend:
    """`open_backend` once a worker and not once a task.

    Ray gives each task a core, as OMP_NUM_THREADS, by which onnxruntime goes too.

    Raises:
        UserError: the network is not there, or not the one of that `digest`; or the shipped people
            finder is not that of `finder`, its digest.
    """
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))
    path = model or shipped_network()
    check_shared(SHARED, path)
    if file_digest(path) != digest:
        raise UserError(f"{path}: is another network on another machine of the cluster; copy it")
    if finder and file_digest(shipped_people_detector()) != finder:
        raise UserError(
            f"{shipped_people_detector()}: is another one on another machine of the cluster; "
            "install the same hourglass on all"
        )
    return open_backend(path, flip_test)


def predict_chunks(
    plan: BatchPlan, chunks: list[Chunk], num_done: int, scratch: Path, model: Path | None
) -> None:
    """Predict the chunks on the cluster that this process has joined.

    On its GPUs, a task each, where any machine has some; else on its cores.

    Args:
        chunks: those to do. num_done: pictures in those that are done.
        scratch: a folder on the same disk for unfinished files.
        model: path of the network; None for the one that comes with the package.

    Raises:
        UserError: a machine does not see the files; a worker was lost again and again.
    """
    jobs = [make_chunk_job(plan, chunk, scratch, model) for chunk in chunks]
    num_gpus = 1 if ray.cluster_resources().get("GPU", 0) >= 1 else 0
    task = photo_chunk_task.options(num_gpus=num_gpus)
    run_tasks(task, jobs, "predict", "image", FEWER_WORKERS, num_done)


def make_chunk_job(plan: BatchPlan, chunk: Chunk, scratch: Path, model: Path | None) -> Job:
    """The `Job` of a chunk; the worker reads the paths of its pictures itself."""
    paths = read_chunk_paths(plan, chunk)
    full = (plan.base / path for path in paths)
    seen = list(itertools.islice(filter(os.path.exists, full), 1))
    name = f"{paths[0]} to {paths[-1]}"
    return Job(name, chunk.num_pictures, (plan.keep_boxes(paths), chunk, scratch, seen, model))
