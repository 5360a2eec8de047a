"""`hourglass predict --records`: very many photographs into one file of records."""

import argparse
import dataclasses
import functools
import importlib.util
import os
import sys
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path

from tqdm import tqdm

from hourglass.apps.batch.chunks import find_missing, predict_chunk
from hourglass.apps.batch.plan import BatchPlan, Chunk, begin_run, check_work_dir, split_chunks
from hourglass.apps.batch.results import (
    INVALID,
    POSES,
    Counts,
    count_results,
    gather_chunks,
    is_batch_finished,
    remove_chunks,
    write_table,
)
from hourglass.cli.boxes import BoxFile
from hourglass.cli.files import Passed, list_pictures
from hourglass.cli.models import open_network
from hourglass.inference.crops import Backend
from hourglass.inference.runner import InferenceConfig
from hourglass.shipped import shipped_network, shipped_people_detector
from hourglass.utils.errors import UserError, printable
from hourglass.utils.files import exclusive_lock, file_digest, scratch_folder

MANY = 1_000_000  # model inputs: more than a batch, so that all GPUs of the machine share them


def run_records(
    options: argparse.Namespace, config: InferenceConfig, boxes: BoxFile | None = None
) -> None:
    """Write the records of all pictures; goes on where a run in the same folder was ended.

    Args:
        boxes: those of `--boxes`.

    Raises:
        UserError: the folder is another run's; there are no pictures; none could be used; a file
            of the run was changed; the cluster is of no use.
    """
    check_work_dir(options.out)
    # Opened on a cluster too: here a network of no use is one line at once.
    model, backend = open_network(options, MANY)
    plan = BatchPlan(
        folder=options.out.resolve(), base=Path.cwd(), network=file_digest(model),
        schema=backend.schema, flip_test=not options.no_flip_test, config=config, draw=options.draw,
        finder=file_digest(shipped_people_detector()) if config.mode == "search" else None,
    )  # fmt: skip
    predict = functools.partial(predict_here, backend)
    if os.environ.get("RAY_ADDRESS"):
        predict = functools.partial(predict_on_cluster, model)
    with (
        exclusive_lock(plan.folder / ".lock", f"predicting into {options.out}"),
        scratch_folder(plan.folder / ".unfinished") as scratch,
    ):
        passed = Passed()
        paths: Iterable[Path] = list_pictures(options.photos, options.list, plan.folder, passed)
        if boxes:
            plan = match_boxes(plan, boxes, paths := list(paths))
        bar = tqdm(paths, "list", unit="file", disable=None, leave=False)
        if num_again := begin_run(plan, bar, scratch):
            print(f"note: named again, and counted once: {num_again:,}", file=sys.stderr)
        passed.report()
        counts = finish(plan, predict, scratch)
    report_counts(options.out, counts)


def match_boxes(plan: BatchPlan, boxes: BoxFile, paths: Iterable[Path]) -> BatchPlan:
    """The plan with the boxes of its pictures."""
    matched = {plan.base / path: bboxes for path, bboxes in boxes.match(paths).items()}
    config = dataclasses.replace(plan.config, photo_bboxes=matched)
    return dataclasses.replace(plan, config=config)


def finish(
    plan: BatchPlan, predict: Callable[[BatchPlan, list[Chunk], int, Path], None], scratch: Path
) -> Counts:
    """Predict the chunks that are missing, by `predict`, and gather all."""
    chunks = split_chunks(plan)
    if not is_batch_finished(plan):
        missing = find_missing(plan, chunks)
        if missing:
            predict(plan, missing, count_pictures(chunks) - count_pictures(missing), scratch)
        gather_chunks(plan, chunks, scratch)
    remove_chunks(plan)
    if importlib.util.find_spec("pyarrow"):
        write_table(plan, scratch)
    return count_results(plan, chunks)


def count_pictures(chunks: Iterable[Chunk]) -> int:
    """Count the pictures of all chunks together."""
    return sum(chunk.num_pictures for chunk in chunks)


def predict_here(
    backend: Backend, plan: BatchPlan, chunks: list[Chunk], num_done: int, scratch: Path
) -> None:
    """Predict chunks in this process; `num_done` pictures of others are done."""
    total = num_done + count_pictures(chunks)
    with (
        warnings.catch_warnings(),
        tqdm(None, "predict", total, initial=num_done, unit="image", disable=None) as bar,
    ):
        warnings.simplefilter("ignore")  # Pillow's on odd files: what matters is an error
        for chunk in chunks:
            predict_chunk(backend, plan, chunk, scratch, advance=bar.update)


def predict_on_cluster(
    model: Path, plan: BatchPlan, chunks: list[Chunk], num_done: int, scratch: Path
) -> None:
    """Predict chunks on the cluster of RAY_ADDRESS; `num_done` pictures of others are done.

    Raises:
        UserError: Ray is not installed, or the cluster cannot be used.
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
    network = None if model == shipped_network() else model.resolve()
    ray_batch.predict_chunks(plan, chunks, num_done, scratch, network)


def report_counts(out: Path, counts: Counts) -> None:
    """Print the counts of people and files, and where the results are.

    Raises:
        UserError: no file could be used.
    """
    invalid = out / INVALID
    num_invalid = _count(counts.num_invalid, "file", "files")
    if not counts.num_used:
        image, reason = counts.first_invalid
        raise UserError(
            f"none of {num_invalid} could be used, the first, {image}: {reason} (all in {invalid})"
            "; fix that, and choose another --out"
        )
    pictures = _count(counts.num_used, "picture", "pictures")
    people = _count(counts.num_people, "person", "people")
    line = f"{out / POSES}: {pictures}, {people}, no person on {counts.num_empty:,}"
    if counts.num_invalid:
        line += f"; {num_invalid} could not be used: {invalid}"
    print(printable(line))


def _count(number: int, one: str, several: str) -> str:
    return f"{number:,} {one if number == 1 else several}"
