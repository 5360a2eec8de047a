"""A run from shards to a network's file, in this process or as one of several hosts."""

import dataclasses
from pathlib import Path

from hourglass.network.origins import read_trained_on
from hourglass.network.storage import save_network
from hourglass.params import Params
from hourglass.records.splits import name_damage, open_split
from hourglass.training.starts import find_start
from hourglass.training.states import find_best
from hourglass.training.tracking import write_history
from hourglass.training.trainer import Trainer


@dataclasses.dataclass(frozen=True)
class Run:
    """What a run works on; paths in the project's folder, the same files for all hosts."""

    params: Params
    shards: Path
    state: Path
    logs: Path
    network: Path
    history: Path

    @property
    def locks(self):
        """What is locked while it lasts: the project, and the state."""
        return self.network.with_name(".train.lock"), self.state.with_suffix(".lock")


def train_network(strategy, run):
    """Train to the end, from the saved state where there is one, and write what comes of it.

    Args:
        strategy: of `training.devices.prepare_devices`.

    Raises:
        UserError: the shards, the parameters or the memory do not suffice.
    """
    size = run.params.model.input_size
    splits = [open_split(run.shards, split, size) for split in ("train", "validation")]
    with name_damage(*splits):
        trainer = Trainer(run.params, *splits, strategy, run.state, run.logs)
        history = trainer.run()
    if trainer.writes:
        save_network(trainer.network, run.network, _name_data(run.params, history))
        write_history(run.history, history)


def _name_data(params, history):
    """The datasets that the best weights were trained on, the start's first: "lspet, folder"."""
    # Licences of data may hold for what is trained on it, however often it is trained again.
    start = find_start(params.train.init_weights)
    before = (read_trained_on(start) or "unknown").split(", ") if start else []
    datasets = [*before, params.data.dataset] if find_best(history)["epoch"] else before
    return ", ".join(dict.fromkeys(datasets))
