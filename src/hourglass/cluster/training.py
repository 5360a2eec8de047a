"""Training on a cluster: one worker a host, and all of them anew where one is lost.

Plain actors in a placement group and not Ray Train: that one needs pandas and pyarrow, 255 MB, is
up after five times as long, and tries an error of the user's again as it does a lost worker.
"""

import collections
import contextlib
import dataclasses
import io
import json
import os
import socket
import sys
from pathlib import Path

import ray
from ray.util.placement_group import placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from hourglass.errors import UserError, one_line
from hourglass.records.index import INDEX_NAME

LOOK_SECONDS = 0.5
WAIT_SECONDS = 10  # before a line says for what
REPORT_SECONDS = 5  # that the others have, once a worker has missed another one
MAX_LOSSES = 3  # without a new epoch between them


class PeerLostError(Exception):
    """A worker could not reach another one."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """How many workers there are, and how many GPUs each of them has; 0 is the CPU."""

    num_workers: int
    num_gpus: int

    @property
    def devices(self):
        """As `training.devices.name_devices` tells them, a text for each worker."""
        return [" ".join(["CPU"] + ["GPU"] * self.num_gpus)] * self.num_workers

    def __str__(self):
        device = f"{self.num_gpus} GPU(s)" if self.num_gpus else "a CPU"
        return f"{self.num_workers} worker(s) with {device} each"


def plan_workers(num_workers):
    """The plan for this many workers, spread over the cluster's hosts; 0 is one for each host.

    Hosts without a GPU are left out where others have some.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    gpus = sorted((int(node.get("GPU", 0)) for node in nodes), reverse=True)
    num_hosts = sum(count > 0 for count in gpus) or sum(node.get("CPU", 0) >= 1 for node in nodes)
    num_workers = num_workers or num_hosts
    used = gpus[: min(num_workers, num_hosts)]
    # Equal parts for all: a host of more GPUs than the least has some to spare.
    plan = Plan(num_workers, min(used, default=0) // -(-num_workers // max(1, num_hosts)))
    if not num_hosts or (used[0] and not plan.num_gpus):
        raise UserError(
            f"params.yaml: cluster.num_workers: the cluster has {sum(gpus)} GPUs on {num_hosts} "
            f"hosts, too little for {plan.num_workers} workers; lower it, or 0 for one a host"
        )
    return plan


def train_on_workers(plan, run):
    """Train on the cluster's hosts; goes on from the last epoch where a worker is lost.

    Args:
        run: a training.runs.Run, locked, in the project's folder.

    Raises:
        UserError: of the training; a folder is not shared; workers are lost again and again.
    """
    num_losses, last_state = 0, None
    while True:
        try:
            with Group(plan) as group:
                return group.train(run)
        except (PeerLostError, ray.exceptions.RayError) as error:
            reason = one_line(error)[:200]
        state = run.state.stat().st_mtime_ns if run.state.is_file() else None
        num_losses, last_state = (1, state) if state != last_state else (num_losses + 1, state)
        if num_losses == MAX_LOSSES:
            raise UserError(
                f"a worker was lost {MAX_LOSSES} times without an epoch's end: {reason}; look at "
                "the cluster's memory and hosts, then repeat: training goes on from there"
            )
        print(f"a worker was lost ({reason}): all start again", file=sys.stderr, flush=True)


class Group:
    """The workers of a plan, from their start to their end."""

    def __init__(self, plan):
        self.plan = plan
        bundle = {"CPU": 1} | ({"GPU": plan.num_gpus} if plan.num_gpus else {})
        self.placement = placement_group([bundle] * plan.num_workers, strategy="SPREAD")
        self.workers = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # By force: one that waits for a lost one hears of nothing.
        for worker in self.workers:
            ray.kill(worker)
        remove_placement_group(self.placement)

    def train(self, run):
        """Run `training.runs.train_network` on all workers; their console is ours."""
        self._await_room()
        self.workers = [self._start_worker(rank) for rank in range(self.plan.num_workers)]
        addresses = ray.get([worker.reserve_address.remote() for worker in self.workers])
        is_terminal = sys.stderr.isatty()
        tasks = [
            worker.train.remote(run, Path.cwd(), addresses, rank, self.plan.num_gpus, is_terminal)
            for rank, worker in enumerate(self.workers)
        ]
        waiting = tasks
        while waiting:
            done, waiting = ray.wait(waiting, timeout=LOOK_SECONDS)
            self._print_console()
            for task in done:
                self._check(task, tasks)

    def _await_room(self):
        if not self.placement.wait(WAIT_SECONDS):
            print(f"waiting until the cluster has room for {self.plan}", file=sys.stderr)
            while not self.placement.wait(WAIT_SECONDS):
                pass

    def _start_worker(self, rank):
        return Worker.options(
            num_cpus=1,
            num_gpus=self.plan.num_gpus,
            scheduling_strategy=PlacementGroupSchedulingStrategy(
                self.placement, placement_group_bundle_index=rank
            ),
        ).remote()

    def _print_console(self):
        with contextlib.suppress(ray.exceptions.RayError):  # the tasks tell of its loss
            chunks = ray.get(self.workers[0].read_console.remote(), timeout=LOOK_SECONDS)
            for name, text in chunks:
                print(text, end="", file=getattr(sys, name), flush=True)

    def _check(self, task, tasks):
        """Raise what the task has raised; or, if it missed another worker, what that one has."""
        error = _error_of(task)
        if isinstance(error, PeerLostError):
            done, _ = ray.wait(tasks, num_returns=len(tasks), timeout=REPORT_SECONDS)
            errors = [other for other in map(_error_of, done) if other]
            own = [other for other in errors if not isinstance(other, PeerLostError)]
            error = next(iter(own), error)
        if error:
            raise error from None


def _error_of(task):
    """What a finished task has raised, as it was raised on the worker; or None."""
    try:
        ray.get(task)
    except ray.exceptions.RayTaskError as error:
        return error.cause if isinstance(error.cause, UserError | PeerLostError) else error
    except ray.exceptions.RayError as error:
        return error
    return None


@ray.remote(concurrency_groups={"console": 1})
class Worker:
    """One of the processes that train, on its host."""

    def __init__(self):
        self.chunks = collections.deque()

    def reserve_address(self):
        """Where the others find this worker: its host's address and a free port."""
        with socket.socket() as server:
            server.bind(("", 0))
            return f"{ray.util.get_node_ip_address()}:{server.getsockname()[1]}"

    def train(self, run, folder, addresses, rank, num_gpus, is_terminal):
        """Train as the worker `rank` of those at `addresses`, in the project's folder."""
        _enter_project(folder, run)
        task = {"type": "worker", "index": rank}
        os.environ["TF_CONFIG"] = json.dumps({"cluster": {"worker": addresses}, "task": task})
        with (
            contextlib.redirect_stdout(Console("stdout", self.chunks, is_terminal)),
            contextlib.redirect_stderr(Console("stderr", self.chunks, is_terminal)),
        ):
            _train(run, num_gpus)

    @ray.method(concurrency_group="console")
    def read_console(self):
        """What was printed since the last time: a list of ("stdout" or "stderr", text)."""
        return [self.chunks.popleft() for _ in range(len(self.chunks))]


class Console(io.TextIOBase):
    """Keeps what is printed, until the driver prints it."""

    def __init__(self, name, chunks, is_terminal):
        self.name, self.chunks, self.is_terminal = name, chunks, is_terminal

    def write(self, text):
        """Keep the text."""
        self.chunks.append((self.name, text))
        return len(text)

    def isatty(self):
        """Whether what is written ends on a terminal, where bars may move."""
        return self.is_terminal


def _enter_project(folder, run):
    """Make it the current folder, and see that it and the state's are those that all see."""
    # The locks are there as long as the run lasts, and nowhere else.
    for path in (*run.locks, run.shards / INDEX_NAME):
        if not (folder / path).is_file():
            raise UserError(
                f"{socket.gethostname()}: {(folder / path).parent} is not the folder of that name "
                "that this run began in; put the project and XDG_CACHE_HOME on storage that all "
                "hosts share, or unset RAY_ADDRESS to train on this machine alone"
            )
    os.chdir(folder)


def _train(run, num_gpus):
    # TensorFlow: on the workers alone
    from hourglass.frameworks import tf
    from hourglass.training.devices import prepare_devices
    from hourglass.training.runs import train_network

    found = len(tf.config.list_physical_devices("GPU"))
    if found != num_gpus:
        raise UserError(
            f"{socket.gethostname()}: TensorFlow finds {found} GPUs where Ray gives {num_gpus}; "
            "install CUDA's libraries there (requirements/gpu.txt), or start Ray with --num-gpus=0"
        )
    try:
        train_network(prepare_devices(run.params.train, is_worker=True), run)
    # How the loss of another worker shows: in a collective, in the exchange of addresses, or in a
    # server that found its port taken meanwhile.
    except (
        tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError,
        tf.errors.DeadlineExceededError, tf.errors.InternalError, tf.errors.UnknownError,
    ) as error:  # fmt: skip
        raise PeerLostError(one_line(error)) from None
