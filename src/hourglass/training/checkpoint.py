"""The state of a run between two epochs: one file outside of DVC's outputs, keyed by all inputs."""

import contextlib
import dataclasses
import hashlib
import json
import os
import sys
import time
import zipfile
from pathlib import Path

import numpy as np

from hourglass.training.init_weights import find_init_weights
from hourglass.utils.backend import keras, tf
from hourglass.utils.errors import UserError
from hourglass.utils.files import atomic_path

KEPT_DAYS = 30


@dataclasses.dataclass
class Checkpoint:
    """All that the rest of a run depends on: arrays of weights and the finished epochs."""

    weights: list
    optimizer: list
    best_weights: list
    history: list

    @property
    def best(self):
        """The row of `find_best`."""
        return find_best_epoch(self.history)

    def save(self, path):
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
    def load(cls, path):
        """Read what `save` wrote.

        Raises:
            UserError: the file is damaged.
        """
        groups = {"weights": [], "optimizer": [], "best_weights": []}
        try:
            with np.load(path) as file:
                for key in sorted(set(file.files) - {"history"}):
                    groups[key.split("/")[0]].append(file[key])
                return cls(history=json.loads(str(file["history"])), **groups)
        except (OSError, ValueError, LookupError, EOFError, zipfile.BadZipFile):
            raise UserError(f"{path}: damaged; delete it, and training starts anew") from None


def find_best_epoch(history):
    """The epoch with the best score, the first of them on a tie."""
    return max(history, key=lambda row: row["val_pckh"])


def checkpoint_key(params, data_digest, devices):
    """What a state belongs to: the parameters, the data, the code, the libraries, the devices.

    Args:
        params: the sections that training reads. data_digest: of the shards' index.
        devices: a text of each process that trains (`utils.devices.name_devices`).

    Raises:
        UserError: train.init_weights names a file that is not there.
    """
    # All code that was loaded can change the numbers; a package's own file only says what it owns.
    modules = [sys.modules[name] for name in sorted(sys.modules) if name.startswith("hourglass.")]
    files = [module.__file__ for module in modules if not hasattr(module, "__path__")]
    if program := getattr(sys.modules["__main__"], "__file__", None):
        files.append(program)  # the stage
    if start := find_init_weights(params.train.init_weights):
        files.append(start)
    # Another number of devices, or another release, sums in another order.
    parts = [params.model.model_dump_json(), params.train.model_dump_json()]
    parts += [params.data.dataset, data_digest]
    parts += [tf.__version__, keras.__version__, np.__version__]
    parts += devices
    digest = hashlib.sha256("\n".join(parts).encode())
    for file in files:
        digest.update(Path(file).read_bytes())
    return digest.hexdigest()[:32]


def cache_folder():
    """Where states are kept: outside of DVC's outputs, which it deletes before a stage runs."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base, "hourglass")


def remove_old_checkpoints(folder, key):
    """Remove what no run has touched for KEPT_DAYS, of other keys: it was given up."""
    for path in folder.glob("*"):
        with contextlib.suppress(FileNotFoundError):  # another run was faster
            is_old = time.time() - path.stat().st_mtime > KEPT_DAYS * 86400
            if is_old and key not in path.name:
                path.unlink()
