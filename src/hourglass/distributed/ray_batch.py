"""Very many photographs on Ray: a task a part, on workers that keep their network open.

Plain tasks and not Ray Data, which wants pandas and pyarrow, and knows nothing of parts that are
there already.
"""

import functools
import itertools
import os

import ray

from hourglass.apps.batch.chunks import predict_chunk, read_chunk_paths
from hourglass.distributed.ray_tasks import RETRIES, Job, check_shared, run_tasks
from hourglass.inference.backends import open_backend
from hourglass.shipped import shipped_network
from hourglass.utils.errors import UserError
from hourglass.utils.files import file_digest

FEWER_WORKERS = "if memory is short, start the cluster's machines with fewer --num-cpus"
SHARED = "network, pictures and --out"


@ray.remote(**RETRIES)
def photo_chunk_task(plan, part, scratch, seen, model):
    """Write the results of a part, on a worker.

    Args:
        plan, part, scratch: as of `apps.batch.chunks.predict_chunk`.
        seen: paths of what the first machine sees of it, at most one.
        model: path of the network; None for the one that comes with the package.
    """
    check_shared(SHARED, scratch, *seen)
    backend = open_once(model, plan.network, plan.flip_test)
    predict_chunk(backend, plan, part, scratch, num_threads=1)


@functools.lru_cache(maxsize=1)
def open_once(model, digest, flip_test):
    """`open_backend` once a worker and not once a task; refuses another network than that `digest`.

    Ray gives each task a core, as OMP_NUM_THREADS, by which onnxruntime goes too.
    """
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))
    path = model or shipped_network()
    check_shared(SHARED, path)
    if file_digest(path) != digest:
        raise UserError(f"{path}: is another network on another machine of the cluster; copy it")
    return open_backend(path, flip_test)


def predict_chunks(plan, parts, num_done, scratch, model):
    """Predict the parts on the cluster that this process has joined.

    On its GPUs, a task each, where any machine has some; else on its cores.

    Args:
        parts: those to do. num_done: pictures in those that are done.
        scratch, model: as of `photo_chunk_task`.

    Raises:
        UserError: a machine does not see the files; a worker was lost again and again.
    """
    jobs = [make_chunk_job(plan, part, scratch, model) for part in parts]
    num_gpus = 1 if ray.cluster_resources().get("GPU", 0) >= 1 else 0
    task = photo_chunk_task.options(num_gpus=num_gpus)
    run_tasks(task, jobs, "predict", "image", FEWER_WORKERS, num_done)


def make_chunk_job(plan, part, scratch, model):
    """The `Job` of a part; the worker reads the paths of its pictures itself."""
    paths = read_chunk_paths(plan, part)
    full = (plan.base / path for path in paths)
    seen = list(itertools.islice(filter(os.path.exists, full), 1))
    name = f"{paths[0]} to {paths[-1]}"
    return Job(name, part.num_pictures, (plan, part, scratch, seen, model))
