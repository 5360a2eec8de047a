"""The state of a run between two epochs: one file, named by a key of all it depends on."""

import dataclasses
import hashlib
import json
import zipfile
from pathlib import Path

import numpy as np

from hourglass.config import Params
from hourglass.shipped import shipped_network
from hourglass.utils.backend import keras, tf
from hourglass.utils.errors import UserError
from hourglass.utils.files import atomic_path, file_digest

# Raised when a change of the code means another run: another order, another number, another weight.
# Checkpoints of other versions are not gone on with. tests/training/test_checkpoint.py holds it to
# the code of a run, comments and docstrings left out.
RUN_VERSION = 4
SHIPPED = "shipped"  # for train.init_weights, in the place of a file


@dataclasses.dataclass
class Checkpoint:
    """All that the rest of a run depends on: arrays of weights and the finished epochs."""

    weights: list[np.ndarray]
    optimizer: list[np.ndarray]
    best_weights: list[np.ndarray]
    history: list[dict]

    @property
    def best(self) -> dict:
        """The row of `find_best_epoch`."""
        return find_best_epoch(self.history)

    def save(self, path: Path) -> None:
        """Write the whole state to one file, atomically."""
        arrays = {
            f"{name}/{k:04d}": array  # padded, as `load` sorts the names
            for name in ("weights", "optimizer", "best_weights")
            for k, array in enumerate(getattr(self, name))
        }
        with atomic_path(path) as temporary, open(temporary, "wb") as file:
            # History as text: numpy would pickle it, and refuse to read that.
            np.savez(file, history=json.dumps(self.history), **arrays)

    @classmethod
    def load(cls, path: Path) -> "Checkpoint":
        """Read what `save` wrote.

        Raises:
            UserError: the file is damaged.
        """
        groups: dict[str, list] = {"weights": [], "optimizer": [], "best_weights": []}
        try:
            with np.load(path) as file:
                for key in sorted(set(file.files) - {"history"}):
                    groups[key.split("/")[0]].append(file[key])
                return cls(history=json.loads(str(file["history"])), **groups)
        except (OSError, ValueError, LookupError, EOFError, zipfile.BadZipFile):
            raise UserError(f"{path}: damaged; delete it, and training starts anew") from None


def find_best_epoch(history: list[dict]) -> dict:
    """The epoch with the best score, the first of them on a tie."""
    return max(history, key=lambda row: row["val_pckh"])


def find_init_weights(init_weights: str) -> Path | None:
    """The file that train.init_weights names; None where a run starts from random weights.

    Raises:
        UserError: there is no such file.
    """
    if not init_weights:
        return None
    if init_weights == SHIPPED:
        return shipped_network()
    path = Path(init_weights)
    if not path.is_file():
        raise UserError(
            f"{path}: no such file; fix train.init_weights (models/hourglass.keras itself is "
            "removed before training: name a copy of it)"
        )
    return path


def checkpoint_key(params: Params, data_digest: str, devices: list[str]) -> str:
    """The key of a run: parameters, data, code, first weights, libraries, devices.

    Args:
        data_digest: of the shards' index.
        devices: a text for each process that trains (`training.devices.name_devices`).

    Raises:
        UserError: train.init_weights names a file that is not there.
    """
    start = find_init_weights(params.train.init_weights)
    parts = [
        str(RUN_VERSION), params.data.dataset, data_digest,
        params.model.model_dump_json(), params.train.model_dump_json(),
        file_digest(start) if start else "",
        # Another release, or another number of devices or threads, sums in another order.
        tf.__version__, keras.__version__, np.__version__, *devices,
    ]  # fmt: skip
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]
