"""Training on a cluster that loses a worker, or a host, at a chosen moment."""

import dataclasses
import itertools
import json
import os
import sys
import threading
import time
from pathlib import Path

import ray
from ray import cloudpickle

from helpers.clusters import NODE
from hourglass.distributed.ray_training import train_on_workers
from hourglass.training.checkpoint import Checkpoint
from hourglass.training.trainer import Trainer
from hourglass.training.work_dir import WorkDir
from hourglass.utils.files import exclusive_lock

# The workers do not know the tests: what is here travels to them whole.
cloudpickle.register_pickle_by_value(sys.modules[__name__])

MOMENTS = ("in an epoch", "in validation", "while saving")
VICTIMS = ("worker 1", "rank 0", "a node")
STEPS, EPOCH = 3, 2  # an epoch has so many; the epoch in which it happens


@dataclasses.dataclass(frozen=True)
class Loss:
    """What is lost and when, and the folder of the files that tell what has come of it."""

    victim: str
    moment: str
    folder: Path
    head: str  # the id of the node that must stay

    @property
    def lost(self):
        """Holds the node of the lost process."""
        return self.folder / "lost"

    @property
    def resumed(self):
        """Is there when the first step after it is done."""
        return self.folder / "resumed"

    def happen_to(self, rank):
        """Lose this process if it is the one, and none was lost yet; the test removes a node."""
        node = ray.get_runtime_context().get_node_id()
        victims = {"worker 1": rank == 1, "rank 0": rank == 0, "a node": node != self.head}
        if not victims[self.victim] or self.lost.exists():
            return
        temporary = self.folder / f"lost{rank}"
        temporary.write_text(node)
        temporary.rename(self.lost)
        if self.victim == "a node":
            time.sleep(600)
        os.kill(os.getpid(), 9)


@dataclasses.dataclass(frozen=True)
class DoomedRun(WorkDir):
    """A work dir that brings its loss to the workers."""

    loss: Loss

    def __reduce__(self):
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(WorkDir)}
        return _arm, (values, self.loss)


def _arm(values, loss):
    """The Run, on a worker, whose training is from now on one that is lost."""
    owner, name, wrap = {
        "in an epoch": (Trainer, "train_step", _lose_in_step),
        "in validation": (Trainer, "validate", _lose_in_validation),
        "while saving": (Checkpoint, "save", _lose_in_save),
    }[loss.moment]
    setattr(owner, name, wrap(getattr(owner, name), loss))
    if loss.lost.exists():
        Trainer.train_step = _note_first_step(Trainer.train_step, loss)
    if loss.moment == "while saving":
        threading.Thread(target=_watch_save, args=(loss,), daemon=True).start()
    return WorkDir(**values)


def _note_first_step(step, loss):
    def wrapped(self, batch):
        result = step(self, batch)
        if not loss.resumed.exists():
            result.numpy()
            loss.resumed.touch()
        return result

    return wrapped


def _lose_in_step(step, loss):
    def wrapped(self, batch):
        if (
            int(self.optimizer.iterations.numpy()) == STEPS * (EPOCH - 1) + STEPS // 2
        ):  # in the middle
            loss.happen_to(self.share.rank)
        return step(self, batch)

    return wrapped


def _lose_in_validation(validate, loss):
    epochs = itertools.count(1)

    def wrapped(self):
        if next(epochs) == EPOCH:
            loss.happen_to(self.share.rank)
        return validate(self)

    return wrapped


def _lose_in_save(save, loss):
    def wrapped(self, path):
        if len(self.history) == EPOCH and not loss.lost.exists():
            path.with_name(f".{path.name}.tmp").write_bytes(b"half of a state")
            (loss.folder / "saving").touch()
            loss.happen_to(0)
            while not loss.lost.exists():  # the others' loss
                time.sleep(0.01)
            time.sleep(1)
        return save(self, path)

    return wrapped


def _watch_save(loss):
    """Lose a worker that does not save while the first one does."""
    while not (loss.folder / "saving").exists():
        time.sleep(0.01)
    if rank := json.loads(os.environ["TF_CONFIG"])["task"]["index"]:
        loss.happen_to(rank)


def train_with_loss(cluster, plan, run, victim, moment):
    """Train on the cluster that this process has joined, and lose a part of it.

    Args:
        run: of STEPS steps an epoch, and of more than EPOCH epochs.

    Returns:
        The seconds from the loss until the first step after it is done.
    """
    if victim == "a node":  # another one will be wanted; only the main thread can add it
        cluster.add_node(**NODE)
    loss = Loss(victim, moment, Path.cwd(), cluster.head_node.node_id)
    values = {field.name: getattr(run, field.name) for field in dataclasses.fields(WorkDir)}
    here, same_inputs = run.locks
    ended = threading.Event()
    thread = threading.Thread(target=_remove_node, args=(cluster, loss, ended))
    thread.start()
    try:
        with exclusive_lock(here, "training"), exclusive_lock(same_inputs, "training"):
            train_on_workers(plan, DoomedRun(**values, loss=loss))
    finally:
        ended.set()
        thread.join()
    return loss.resumed.stat().st_mtime - loss.lost.stat().st_mtime


def _remove_node(cluster, loss, ended):
    """Remove the lost node once it is known, if it is a node that is lost."""
    while loss.victim == "a node" and not ended.wait(0.02):
        if loss.lost.exists():
            (node,) = [n for n in cluster.worker_nodes if n.node_id == loss.lost.read_text()]
            cluster.remove_node(node, allow_graceful=False)
            return
