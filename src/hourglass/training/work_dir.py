"""The work dir of a run: its files, from the shards to the network and its history."""

import contextlib
import dataclasses
import os
import time
from pathlib import Path

from hourglass.config import Params, list_datasets
from hourglass.data.tfrecords.reader import name_damage, open_split
from hourglass.models.metadata import read_metadata
from hourglass.models.saving import save_network
from hourglass.training.checkpoint import find_best_epoch, find_init_weights
from hourglass.training.loggers import Logger, RunLogger, TerminalLogger, write_history
from hourglass.training.trainer import Trainer
from hourglass.utils.backend import Strategy
from hourglass.utils.devices import find_share

KEPT_DAYS = 30  # of checkpoints


@dataclasses.dataclass(frozen=True)
class WorkDir:
    """The files of a run, in the project's folder; the same for all hosts."""

    params: Params
    shards: Path
    checkpoint: Path
    logs: Path
    network: Path
    history: Path

    @property
    def encoder(self) -> Path:
        """The weights of the pretrained encoder."""
        return self.network.with_name("encoder.npz")

    @property
    def locks(self) -> tuple[Path, Path]:
        """The locks of a run: the project's, and the checkpoint's."""
        return self.network.with_name(".train.lock"), self.checkpoint.with_suffix(".lock")


def train_network(strategy: Strategy, work_dir: WorkDir) -> None:
    """Train to the end, from the checkpoint where there is one; write the network and its history.

    Raises:
        UserError: the shards, the parameters or the memory do not suffice.
    """
    params = work_dir.params
    train, val = (
        open_split(work_dir.shards, split, params.model.input_size)
        for split in ("train", "validation")
    )
    loggers: list[Logger] = [TerminalLogger(params.train.epochs)]
    if find_share(strategy).rank == 0:  # of several hosts the first one writes
        loggers.append(RunLogger(work_dir.logs))
    with name_damage(train, val):
        trainer = Trainer(
            params, train, val, strategy, work_dir.checkpoint, loggers, work_dir.encoder
        )
        history = trainer.run()
    if trainer.share.rank == 0:
        save_network(trainer.network, work_dir.network, _name_data(params, history))
        write_history(work_dir.history, history)


def _name_data(params: Params, history: list[dict]) -> list[str]:
    """The datasets that the best weights were trained on, the start's first."""
    # Licences of data may hold for what is trained on it, however often it is trained again.
    start = find_init_weights(params.train.init_weights)
    before = read_metadata(start).trained_on if start else ()
    datasets = (
        [*before, *list_datasets(params.data.dataset, params.data.sets)]
        if find_best_epoch(history)["epoch"]
        else before
    )
    return list(dict.fromkeys(datasets))


def name_logs(params: Params, key: str) -> str:
    """The name of a run's folder of logs: what tells runs apart at a glance, then its key.

    Args:
        key: of `checkpoint_key`; the same for a run that is resumed.
    """
    model, train = params.model, params.train
    parts = (
        params.data.dataset, f"{model.num_stacks}x{model.num_channels}", f"{model.input_size}px",
        train.optimizer, f"lr{train.lr:g}", f"{train.epochs}epochs", key[:6],
    )  # fmt: skip
    return "_".join(parts)


def cache_folder() -> Path:
    """The folder of checkpoints: outside of the outputs, which DVC deletes before a stage."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base, "hourglass")


def remove_old_checkpoints(folder: Path, key: str) -> None:
    """Remove checkpoints of other keys that no run has touched for `KEPT_DAYS`: given up."""
    for path in [*folder.glob("*.npz"), *folder.glob(".*.npz.tmp"), *folder.glob("*.lock")]:
        with contextlib.suppress(FileNotFoundError):  # another run was faster
            is_old = time.time() - path.stat().st_mtime > KEPT_DAYS * 86400
            if is_old and key not in path.name:
                path.unlink()
