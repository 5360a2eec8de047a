"""Training on a cluster: one worker a host; if one is lost, all start anew.

The workers are plain actors in a placement group. Ray Train would need pandas and pyarrow (255 MB).
It takes several times as long to start, and repeats a run that a user's mistake has ended.
"""

import collections
import contextlib
import dataclasses
import io
import json
import os
import re
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
from ray.util.placement_group import placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from hourglass.data.tfrecords.index import INDEX_NAME
from hourglass.utils.errors import UserError, one_line

if TYPE_CHECKING:
    from hourglass.training.work_dir import WorkDir

LOOK_SECONDS = 0.5
WAIT_SECONDS = 10  # until a line says for what
ANSWER_SECONDS = 30  # for what the first worker has printed, before the others are looked at
REPORT_SECONDS = 5  # for the others' errors, once a worker has missed another one
MAX_LOSSES = 3  # without a new epoch


class PeerLostError(Exception):
    """A worker could not reach another one."""


@ray.remote(concurrency_groups={"console": 1})
class Worker:
    """A worker; the output of the first one is kept for the driver."""

    def __init__(self) -> None:
        self.printed: collections.deque = collections.deque()

    def choose_address(self) -> str:
        """The address of this worker for the others: its host's, and a free port."""
        with socket.socket() as server:
            server.bind(("", 0))
            return f"{ray.util.get_node_ip_address()}:{server.getsockname()[1]}"

    def train(
        self,
        work_dir: "WorkDir",
        folder: Path,
        addresses: list[str],
        rank: int,
        num_gpus: int,
        is_terminal: bool,
    ) -> None:
        """Train as number `rank` of the workers at `addresses`, in the project's folder."""
        _enter_project(folder, work_dir)
        is_alone = len(addresses) == 1
        if not is_alone:
            task = {"type": "worker", "index": rank}
            os.environ["TF_CONFIG"] = json.dumps({"cluster": {"worker": addresses}, "task": task})
        out, err = sys.stdout, sys.stderr  # which end in Ray's logs
        if rank == 0:
            out, err = (Console(name, self.printed, is_terminal) for name in ("stdout", "stderr"))
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            _train(work_dir, num_gpus, is_alone)

    @ray.method(concurrency_group="console")
    def read_console(self) -> list[tuple[str, str]]:
        """The output since the last call: a list of ("stdout" or "stderr", text)."""
        return [self.printed.popleft() for _ in range(len(self.printed))]


class Console(io.TextIOBase):
    """Keeps the output until the driver reads it."""

    def __init__(self, name: str, printed: collections.deque, is_terminal: bool) -> None:
        self.name, self.printed, self.is_terminal = name, printed, is_terminal

    def write(self, text: str) -> int:
        """Keep the text."""
        self.printed.append((self.name, text))
        return len(text)

    def isatty(self) -> bool:
        """Whether the text ends on a terminal, where bars may move."""
        return self.is_terminal


def _enter_project(folder: Path, work_dir: "WorkDir") -> None:
    """Make it the current folder, once all of its files are known to be those of the driver."""
    # The locks exist while the run lasts; elsewhere only where a run was killed.
    for path in (*work_dir.locks, work_dir.shards / INDEX_NAME):
        if not (folder / path).is_file():
            raise UserError(
                f"{socket.gethostname()}: {(folder / path).parent} is not the folder of that name "
                "where this run was started; put the project and XDG_CACHE_HOME on storage that "
                "all hosts share, or unset RAY_ADDRESS to train on this machine alone"
            )
    os.chdir(folder)


def _train(work_dir: "WorkDir", num_gpus: int, is_alone: bool) -> None:
    # Here, as in the stages: importing this module loads no TensorFlow.
    from hourglass.training.devices import prepare_devices
    from hourglass.training.work_dir import train_network
    from hourglass.utils.backend import tf

    if not num_gpus:  # Ray hides none from a worker that has none
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    found = len(tf.config.list_physical_devices("GPU"))
    if found != num_gpus:
        raise UserError(
            f"{socket.gethostname()}: TensorFlow finds {found} GPUs where Ray gives {num_gpus}; "
            "install CUDA's libraries there (requirements/gpu.txt), or start Ray with --num-gpus=0"
        )
    try:
        train_network(prepare_devices(work_dir.params.train, is_worker=not is_alone), work_dir)
    # How the loss of another worker shows: in a collective, while all wait for each other, or in a
    # server whose port was taken meanwhile.
    except (
        tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError,
        tf.errors.DeadlineExceededError, tf.errors.FailedPreconditionError,
        tf.errors.InternalError, tf.errors.UnknownError,
    ) as error:  # fmt: skip
        raise PeerLostError(one_line(error)) from None


@dataclasses.dataclass(frozen=True)
class WorkerPlan:
    """How many workers there are, and how many GPUs each of them has; 0 is the CPU."""

    num_workers: int
    num_gpus: int

    @property
    def devices(self) -> list[str]:
        """The devices of each worker, as a text of `training.devices.name_devices`."""
        return [" ".join(["CPU"] + ["GPU"] * self.num_gpus)] * self.num_workers

    def __str__(self) -> str:
        device = f"GPUs: {self.num_gpus}" if self.num_gpus else "a CPU"
        return f"{self.num_workers} worker{'s' * (self.num_workers > 1)}, each with {device}"


def plan_workers(num_workers: int) -> WorkerPlan:
    """The plan for so many workers on the cluster, each with as many GPUs as all can have.

    Args:
        num_workers: 0 is one a host. If some hosts have a GPU, those without are not used.

    Raises:
        UserError: the cluster is too small.
    """
    hosts = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    kind = "GPU" if any(host.get("GPU", 0) >= 1 for host in hosts) else "CPU"
    counts = sorted((int(host.get(kind, 0)) for host in hosts), reverse=True)
    num_hosts = max(1, sum(map(bool, counts)))
    # One a host: as many as the host with the fewest has.
    largest = counts[0] if num_workers else counts[num_hosts - 1]
    num_workers = num_workers or num_hosts
    sizes = range(1, largest + 1)
    fitting = [n for n in sizes if sum(count // n for count in counts) >= num_workers]
    if not fitting:
        raise UserError(
            f"params.yaml: cluster.num_workers: {num_workers} workers want a {kind} each, and the "
            f"cluster's hosts have {', '.join(map(str, counts))}; lower it, or 0 for one a host"
        )
    return WorkerPlan(num_workers, fitting[-1] if kind == "GPU" else 0)


def train_on_workers(plan: WorkerPlan, work_dir: "WorkDir") -> None:
    """Train on the cluster; goes on from the last epoch where a worker is lost.

    Args:
        work_dir: locked, of the current folder.

    Raises:
        UserError: of the training; a folder is not shared; workers are lost again and again.
    """
    num_losses: int = 0
    last_state: int | None = None
    while True:
        try:
            with WorkerGroup(plan) as group:
                return group.train(work_dir)
        # A defect, and a RayError too; the second one where its exception cannot travel.
        except (ray.exceptions.RayTaskError, ray.exceptions.UnserializableException):
            raise
        except (PeerLostError, ray.exceptions.RayError) as error:
            reason = re.split(r"\. |\n", str(error))[0].rstrip(".")
        path = work_dir.checkpoint
        state = path.stat().st_mtime_ns if path.is_file() else None
        num_losses, last_state = (num_losses + 1 if state == last_state else 1), state
        if num_losses == MAX_LOSSES:
            raise UserError(
                f"a worker was lost {MAX_LOSSES} times without an epoch's end ({reason}); look for "
                "what ends it, such as a lack of memory, then repeat: training goes on from there"
            )
        print(f"a worker was lost ({reason}): all start again", file=sys.stderr, flush=True)


class WorkerGroup:
    """The workers of a plan, from their start to their end."""

    def __init__(self, plan: WorkerPlan) -> None:
        self.plan = plan
        self.workers: list[Any] = []
        self.reading: Any = None
        bundle = {"CPU": 1} | ({"GPU": plan.num_gpus} if plan.num_gpus else {})
        # No two on a host, where there are enough of them.
        self.placement = placement_group([bundle] * plan.num_workers, strategy="SPREAD")

    def __enter__(self) -> "WorkerGroup":
        return self

    def __exit__(self, *_: object) -> None:
        # By force: a worker that waits for a lost one reacts to nothing else.
        for worker in self.workers:
            ray.kill(worker)
        remove_placement_group(self.placement)

    def train(self, work_dir: "WorkDir") -> None:
        """Run `training.work_dir.train_network` on all workers; print what the first one prints."""
        self._await_room()
        self.workers = [self._start_worker(rank) for rank in range(self.plan.num_workers)]
        addresses = ray.get([worker.choose_address.remote() for worker in self.workers])
        settings = (self.plan.num_gpus, sys.stderr.isatty())
        tasks = [
            worker.train.remote(work_dir, Path.cwd(), addresses, rank, *settings)
            for rank, worker in enumerate(self.workers)
        ]
        waiting = tasks
        while waiting:
            done, waiting = ray.wait(waiting, timeout=LOOK_SECONDS)
            self._print_console()
            for task in done:
                _check(task, tasks)

    def _await_room(self) -> None:
        if not self.placement.wait(WAIT_SECONDS):
            print(f"waiting for room in the cluster: {self.plan}", file=sys.stderr, flush=True)
            while not self.placement.wait(WAIT_SECONDS):
                pass

    def _start_worker(self, rank: int) -> Any:
        place = PlacementGroupSchedulingStrategy(self.placement, placement_group_bundle_index=rank)
        options = {"num_cpus": 1, "num_gpus": self.plan.num_gpus, "scheduling_strategy": place}
        actor: Any = Worker  # as Ray makes it
        return actor.options(**options).remote()

    def _print_console(self) -> None:
        """Print what the first worker has printed since the last time, if it answers."""
        self.reading = self.reading or self.workers[0].read_console.remote()
        done, _ = ray.wait([self.reading], timeout=ANSWER_SECONDS)
        if done and not _find_error(self.reading):  # else its task tells of it too
            for name, text in ray.get(self.reading):
                print(text, end="", file=getattr(sys, name), flush=True)
        self.reading = None if done else self.reading


def _check(task: Any, tasks: list[Any]) -> None:
    """Raise the error of a finished task; or what it comes of, if it has missed another worker."""
    error = _find_error(task)
    if isinstance(error, PeerLostError):
        done, _ = ray.wait(tasks, num_returns=len(tasks), timeout=REPORT_SECONDS)
        errors = [_find_error(other) for other in done]
        error = next((e for e in errors if e and not isinstance(e, PeerLostError)), error)
    if error:
        raise error


def _find_error(task: Any) -> Exception | None:
    """The error of a finished task, or the reason of its loss; or None."""
    try:
        ray.get(task)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, UserError | PeerLostError | OSError):
            error.cause.__cause__ = error  # with the traceback on the worker
            return error.cause
        return error  # a defect
    except ray.exceptions.RayError as error:
        return error
    return None
