"""`hourglass predict --records`: very many photographs into one file of records."""

import functools
import importlib.util
import os
import sys
import warnings
from pathlib import Path

from tqdm import tqdm

from hourglass.apps.batch.chunks import find_missing, predict_chunk
from hourglass.apps.batch.plan import BatchPlan, begin_run, check_work_dir, split_chunks
from hourglass.apps.batch.results import (
    INVALID,
    POSES,
    count_results,
    gather_chunks,
    is_batch_finished,
    remove_chunks,
)
from hourglass.cli.files import list_pictures
from hourglass.cli.models import find_model, open_network
from hourglass.shipped import shipped_network
from hourglass.utils.errors import UserError, printable
from hourglass.utils.files import exclusive_lock, file_digest, scratch_folder

MANY = 1_000_000  # inputs: more than a batch, so that all GPUs of the machine share them


def run_records(options, config):
    """Write the records of all pictures; goes on where a run in the same folder was ended.

    Raises:
        UserError: the folder is another run's; there are no pictures; none could be used; or what
            `bulk` and `distributed.ray_batch` raise.
    """
    check_work_dir(options.out)
    model = find_model(options.model)
    # Opened on a cluster too: here a network of no use is one line at once.
    backend = open_network(model, not options.no_flip_test, MANY)
    options.out.mkdir(parents=True, exist_ok=True)
    plan = BatchPlan(
        folder=options.out.resolve(), base=Path.cwd(), network=file_digest(model),
        flip_test=not options.no_flip_test, config=config, draw=options.draw,
    )  # fmt: skip
    if os.environ.get("RAY_ADDRESS"):
        predict = functools.partial(predict_on_cluster, plan, model)
    else:
        predict = functools.partial(predict_here, plan, backend)
    with (
        exclusive_lock(plan.folder / ".lock", f"predicting into {options.out}"),
        scratch_folder(plan.folder / ".unfinished") as scratch,
    ):
        begin(plan, options, scratch)
        counts = finish(plan, predict, scratch)
    report_counts(options.out, counts)


def begin(plan, options, scratch):
    """List the pictures, and see that it is a new run or the one that was begun."""
    paths = list_pictures(options.photos, options.list, plan.folder)
    bar = tqdm(paths, "list", unit="file", disable=None, leave=False)
    if num_again := begin_run(plan, bar, scratch):
        print(f"note: named again, and counted once: {num_again:,}", file=sys.stderr)


def finish(plan, predict, scratch):
    """Predict the parts that are missing, by `predict`, and gather all; their `Counts`."""
    parts = split_chunks(plan)
    if not is_batch_finished(plan):
        missing = find_missing(plan, parts)
        num_done = count_pictures(parts) - count_pictures(missing)
        if missing:
            predict(missing, num_done, scratch)
        gather_chunks(plan, parts, scratch)
    remove_chunks(plan)
    if importlib.util.find_spec("pyarrow"):
        from hourglass.apps.batch.parquet import write_table

        write_table(plan, scratch)
    return count_results(plan, parts)


def count_pictures(parts):
    """Of all the parts together."""
    return sum(part.num_pictures for part in parts)


def predict_here(plan, backend, parts, num_done, scratch):
    """Predict parts in this process; `num_done` pictures of others are done."""
    total = num_done + count_pictures(parts)
    with (
        warnings.catch_warnings(),
        tqdm(None, "predict", total, initial=num_done, unit="image", disable=None) as bar,
    ):
        warnings.simplefilter("ignore")  # Pillow's on odd files: what matters is an error
        for part in parts:
            predict_chunk(backend, plan, part, scratch, advance=bar.update)


def predict_on_cluster(plan, model, parts, num_done, scratch):
    """Predict parts on the cluster of RAY_ADDRESS.

    Raises:
        UserError: Ray is not installed, or the cluster is of no use.
    """
    try:
        from hourglass.distributed import ray_batch, ray_session
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise UserError(
            "RAY_ADDRESS is set, which needs Ray: `pip install ray`, or unset it to use this "
            "machine alone"
        ) from None
    ray_session.start_ray(None)
    # The workers have their own copy of what comes with the package.
    model = None if model == shipped_network() else model.resolve()
    ray_batch.predict_chunks(plan, parts, num_done, scratch, model)


def report_counts(out, counts):
    """Say on stdout what was found and where it is.

    Raises:
        UserError: no file could be used.
    """
    invalid, num_rejects = out / INVALID, counts.num_rejects
    if not counts.num_used:
        image, reason = counts.first_reject
        raise UserError(
            f"none of {_count(num_rejects, 'file', 'files')} could be used, the first, "
            f"{image}: {reason} (all in {invalid}); fix that, and choose another "
            "--out"
        )
    pictures = _count(counts.num_used, "picture", "pictures")
    people = _count(counts.num_people, "person", "people")
    line = f"{out / POSES}: {pictures}, {people}, nobody on {counts.num_empty:,}"
    if num_rejects:
        line += f"; {_count(num_rejects, 'file', 'files')} could not be used: {invalid}"
    print(printable(line))


def _count(number, one, several):
    return f"{number:,} {one if number == 1 else several}"
