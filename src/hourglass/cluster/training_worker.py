"""One of the processes that train on a cluster, a Ray actor on its host."""

import collections
import contextlib
import io
import json
import os
import socket
import sys

import ray

from hourglass.errors import UserError, one_line
from hourglass.records.index import INDEX_NAME


class PeerLostError(Exception):
    """A worker could not reach another one."""


@ray.remote(concurrency_groups={"console": 1})
class Worker:
    """A worker; what the first one prints while it trains is kept for the driver."""

    def __init__(self):
        self.chunks = collections.deque()

    def choose_address(self):
        """Where the others will find this worker: its host's address and a free port."""
        with socket.socket() as server:
            server.bind(("", 0))
            return f"{ray.util.get_node_ip_address()}:{server.getsockname()[1]}"

    def train(self, run, folder, addresses, rank, num_gpus, is_terminal):
        """Train as number `rank` of the workers at `addresses`, in the project's folder."""
        _enter_project(folder, run)
        is_alone = len(addresses) == 1
        if not is_alone:
            task = {"type": "worker", "index": rank}
            os.environ["TF_CONFIG"] = json.dumps({"cluster": {"worker": addresses}, "task": task})
        out, err = sys.stdout, sys.stderr  # which end in Ray's logs
        if rank == 0:
            out, err = (Console(name, self.chunks, is_terminal) for name in ("stdout", "stderr"))
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            _train(run, num_gpus, is_alone)

    @ray.method(concurrency_group="console")
    def read_console(self):
        """What was printed since the last time: a list of ("stdout" or "stderr", text)."""
        return [self.chunks.popleft() for _ in range(len(self.chunks))]


class Console(io.TextIOBase):
    """Keeps what is printed, until the driver reads it."""

    def __init__(self, name, chunks, is_terminal):
        self.name, self.chunks, self.is_terminal = name, chunks, is_terminal

    def write(self, text):
        """Keep the text."""
        self.chunks.append((self.name, text))
        return len(text)

    def isatty(self):
        """Whether the text ends on a terminal, where bars may move."""
        return self.is_terminal


def _enter_project(folder, run):
    """Make it the current folder, once all of its files are known to be those of the driver."""
    # The locks exist while the run lasts; elsewhere only where a run was killed.
    for path in (*run.locks, run.shards / INDEX_NAME):
        if not (folder / path).is_file():
            raise UserError(
                f"{socket.gethostname()}: {(folder / path).parent} is not the folder of that name "
                "where this run was started; put the project and XDG_CACHE_HOME on storage that "
                "all hosts share, or unset RAY_ADDRESS to train on this machine alone"
            )
    os.chdir(folder)


def _train(run, num_gpus, is_alone):
    # Here, as in the stages: importing this module loads no TensorFlow.
    from hourglass.frameworks import tf
    from hourglass.training.devices import prepare_devices
    from hourglass.training.runs import train_network

    if not num_gpus:  # Ray hides none from a worker that has none
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    found = len(tf.config.list_physical_devices("GPU"))
    if found != num_gpus:
        raise UserError(
            f"{socket.gethostname()}: TensorFlow finds {found} GPUs where Ray gives {num_gpus}; "
            "install CUDA's libraries there (requirements/gpu.txt), or start Ray with --num-gpus=0"
        )
    try:
        train_network(prepare_devices(run.params.train, is_worker=not is_alone), run)
    # How the loss of another worker shows: in a collective, while all wait for each other, or in a
    # server whose port was taken meanwhile.
    except (
        tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError,
        tf.errors.DeadlineExceededError, tf.errors.FailedPreconditionError,
        tf.errors.InternalError, tf.errors.UnknownError,
    ) as error:  # fmt: skip
        raise PeerLostError(one_line(error)) from None
