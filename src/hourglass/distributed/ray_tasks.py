"""Many tasks on Ray, a few at a time: done again where they are lost, errors as one line."""

import contextlib
import dataclasses
import itertools
import os
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import ray
from tqdm import tqdm

from hourglass.distributed.ray_session import describe_setup_error
from hourglass.utils.errors import UserError

# What may pass: a worker that was killed, a disk or memory that others have filled for a while.
RETRIES = {"max_retries": 3, "retry_exceptions": [OSError, MemoryError]}
STOP_SECONDS = 10  # a killed worker is gone sooner; on a machine that is cut off it never is


@dataclasses.dataclass(frozen=True)
class Job:
    """A task to run: its name in an error, the number of its pictures or records, its arguments."""

    name: object
    num_items: int
    arguments: tuple


def check_shared(what: str, *paths: Path) -> None:
    """Raise `UserError` where this machine does not see what the first one does.

    Args:
        what: names, to the user, what the paths belong to.
    """
    for path in paths:
        if not os.access(path, os.R_OK):
            raise UserError(
                f"{path}: not there, or not to be read, on {socket.gethostname()}; {what} must "
                "lie, under one path, on storage that all machines of the cluster see; else unset "
                "RAY_ADDRESS"
            )


def run_tasks(
    task: Any,
    jobs: Sequence[Job],
    title: str,
    unit: str,
    if_memory_is_short: str,
    num_done: int = 0,
) -> list[Any]:
    """Run a Ray task for each job, a few at a time: memory does not grow with the dataset.

    Args:
        task: a remote function of Ray. title, unit: of the progress bar.
        if_memory_is_short: what the user can do then.
        num_done: items that were done before.

    Returns:
        What the tasks returned, in the order of `jobs`.
    """
    # Two tasks a core: one runs, the next one's arguments have arrived.
    limit = max(1, 2 * int(ray.cluster_resources().get("CPU", 1)))
    results: list[Any] = [None] * len(jobs)
    waiting = iter(enumerate(jobs))
    total = num_done + sum(job.num_items for job in jobs)
    bar = tqdm(total=total, initial=num_done, desc=title, unit=unit, disable=None)
    with running_tasks() as running, bar:
        while True:
            for number, job in itertools.islice(waiting, limit - len(running)):
                running[task.remote(*job.arguments)] = number
            if not running:
                return results
            # The first that is done, whichever it is; `results` keeps the order of the jobs.
            for done in ray.wait(list(running))[0]:
                number = running.pop(done)
                results[number] = get_result(done, jobs[number].name, if_memory_is_short)
                bar.update(jobs[number].num_items)


@contextlib.contextmanager
def running_tasks() -> Iterator[dict[Any, int]]:
    """Yield a dict to keep running tasks in; where an error leaves some, they are ended.

    Else they would write on into folders that are being removed.
    """
    running: dict[Any, int] = {}
    try:
        yield running
    finally:
        for task in running:
            ray.cancel(task, force=True)
        if running:
            ray.wait(list(running), num_returns=len(running), timeout=STOP_SECONDS)


def get_result(task: Any, name: object, if_memory_is_short: str) -> Any:
    """The result of the job `name`'s task; errors that the user can fix become a UserError."""
    try:
        return ray.get(task)
    # What the task itself raised; it is a RayError too, so it comes first.
    except ray.exceptions.RayTaskError as error:
        cause = error.cause
        if isinstance(cause, UserError):
            raise cause from None
        if isinstance(cause, OSError):
            file = f" ({cause.filename})" if cause.filename else ""
            advice = "make room on the disk or fix its permissions"
            reason = f"{cause.strerror or cause}{file}; {advice}"
        elif isinstance(cause, MemoryError):
            reason = f"a worker had too little memory; {if_memory_is_short}"
        else:
            raise
    except ray.exceptions.UnserializableException:  # a defect whose exception cannot travel
        raise
    except ray.exceptions.RuntimeEnvSetupError as error:
        raise UserError(f"{name}: {describe_setup_error(error)}") from None
    except ray.exceptions.RayError as error:  # the worker or Ray itself was killed
        what = str(error).partition("\n")[0].rstrip(". ") or type(error).__name__
        reason = f"its worker was killed: {what}; {if_memory_is_short}"
    raise UserError(f"{name}: {reason}, then repeat")
