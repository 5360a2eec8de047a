"""Training on a cluster that loses a worker, or a host, at a chosen moment."""

import contextlib
import dataclasses
import os
import sys
import threading
import time
from pathlib import Path

from ray import cloudpickle

from helpers.clusters import NODE
from hourglass.cluster.training import train_on_workers
from hourglass.files import exclusive_lock
from hourglass.network.devices import find_share
from hourglass.training.runs import Run
from hourglass.training.states import TrainingState
from hourglass.training.steps import TrainStep
from hourglass.training.trainer import Trainer

# The workers do not know the tests: what is here travels to them whole.
cloudpickle.register_pickle_by_value(sys.modules[__name__])

MOMENTS = ("in an epoch", "in validation", "while saving")
VICTIMS = ("worker 1", "rank 0", "a node")
EPOCH = 2  # in which it happens


@dataclasses.dataclass(frozen=True)
class Loss:
    """What is lost and when, and the files in `folder` by which it is known how far it has come."""

    victim: str
    moment: str
    folder: Path
    node: str = ""  # the node's id, for a node

    def is_due(self, rank):
        """Whether the worker of this rank is the one, and not lost already."""
        import ray

        is_victim = {
            "worker 1": rank == 1,
            "rank 0": rank == 0,
            "a node": ray.get_runtime_context().get_node_id() == self.node,
        }[self.victim]
        return is_victim and not (self.folder / "lost").exists()

    def happen(self):
        """Lose this process; a node is waited for, as the test removes it."""
        (self.folder / "lost").touch()
        if self.victim == "a node":
            time.sleep(600)
        os.kill(os.getpid(), 9)


@dataclasses.dataclass(frozen=True)
class DoomedRun(Run):
    """A Run that brings its loss to the workers."""

    loss: Loss

    def __reduce__(self):
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(Run)}
        return _arm, (values, self.loss)


def _arm(values, loss):
    """The Run, on a worker, whose training is from now on one that is lost."""
    patch = {
        "in an epoch": (TrainStep, "__call__", _lose_in_step),
        "in validation": (Trainer, "validate", _lose_in_validation),
        "while saving": (TrainingState, "save", _lose_in_save),
    }[loss.moment]
    owner, name, wrap = patch
    setattr(owner, name, wrap(getattr(owner, name), loss))
    TrainStep.__call__ = _note_first_step(TrainStep.__call__, loss)
    if loss.moment == "while saving":
        _start_watch(loss)
    return Run(**values)


def _note_first_step(step, loss):
    def wrapped(self, batch, learning_rate, number):
        result = step(self, batch, learning_rate, number)
        if (loss.folder / "lost").exists() and not (loss.folder / "resumed").exists():
            result.numpy()
            (loss.folder / "resumed").touch()
        return result

    return wrapped


def _lose_in_step(step, loss):
    def wrapped(self, batch, learning_rate, number):
        # Of five steps an epoch, one in the middle.
        if number == 5 * (EPOCH - 1) + 2 and loss.is_due(find_share(self.strategy).rank):
            loss.happen()
        return step(self, batch, learning_rate, number)

    return wrapped


def _lose_in_validation(validate, loss):
    calls = []

    def wrapped(self):
        calls.append(None)
        if len(calls) == EPOCH and loss.is_due(self.share.rank):
            loss.happen()
        return validate(self)

    return wrapped


def _lose_in_save(save, loss):
    def wrapped(self, path):
        if len(self.history) == EPOCH and not (loss.folder / "lost").exists():
            temporary = Path(path).with_name(f".{Path(path).name}.tmp")
            temporary.write_bytes(b"half of a state")
            (loss.folder / "saving").touch()
            while not (loss.folder / "lost").exists():
                if loss.is_due(0):
                    loss.happen()
                time.sleep(0.01)
            time.sleep(2)  # the others' loss comes while this goes on
        return save(self, path)

    return wrapped


def _start_watch(loss):
    """Of a worker that does not save: lost while the first one does."""

    def watch():
        while not (loss.folder / "saving").exists():
            time.sleep(0.01)
        # Its own rank is in TF_CONFIG, once it trains.
        rank = int(os.environ["TF_CONFIG"].rpartition('"index": ')[2].rstrip("}"))
        if rank and loss.is_due(rank):
            loss.happen()

    threading.Thread(target=watch, daemon=True).start()


def train_with_loss(cluster, plan, run, loss):
    """Train on the cluster of this process, and lose what `loss` says; the seconds to recover."""
    values = {field.name: getattr(run, field.name) for field in dataclasses.fields(Run)}
    here, same_inputs = run.locks
    stopped = threading.Event()
    thread = threading.Thread(target=_replace_node, args=(cluster, loss, stopped))
    thread.start()
    try:
        with exclusive_lock(here, "training"), exclusive_lock(same_inputs, "training"):
            train_on_workers(plan, DoomedRun(**values, loss=loss))
    finally:
        stopped.set()
        thread.join()
    lost, resumed = (loss.folder / name for name in ("lost", "resumed"))
    return resumed.stat().st_mtime - lost.stat().st_mtime


def _replace_node(cluster, loss, stopped):
    """Where a node is to be lost: remove it then, and bring another one."""
    while loss.victim == "a node" and not stopped.wait(0.05):
        if (loss.folder / "lost").exists():
            (node,) = [node for node in cluster.worker_nodes if node.node_id == loss.node]
            cluster.remove_node(node)
            with contextlib.suppress(Exception):
                cluster.add_node(**NODE)
            return
