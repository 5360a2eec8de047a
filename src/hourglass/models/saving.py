"""Networks as files: saved with the same bytes each time, loaded with care."""

import dataclasses
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hourglass.models.graph import check_network, encoder_layers, encoder_variables
from hourglass.models.metadata import NAME, encode_metadata, read_metadata
from hourglass.utils.backend import Model, Variable, keras
from hourglass.utils.errors import UserError, one_line
from hourglass.utils.files import atomic_path

# What Keras raises on files that are not, or not wholly, what it saves.
_LOAD_ERRORS = (
    ValueError, OSError, LookupError, TypeError, AttributeError, zipfile.BadZipFile,
)  # fmt: skip


def save_network(network: Model, path: str | Path, trained_on: Sequence[str]) -> None:
    """Save as `.keras`, whole or not at all; the same weights give the same bytes.

    Keras writes the date and the memory addresses of shared objects into the file. They are taken
    out: a rerun changes nothing.

    Args:
        network: of `build_model` or `load_network`; its metadata go into the file.
        trained_on: the names of the datasets.
    """
    metadata = dataclasses.replace(network.metadata, trained_on=tuple(trained_on))
    # Beside the target, where there is room; what a kill leaves is overwritten by the next save.
    raw = Path(path).with_name(f".{Path(path).stem}.raw.keras")
    with atomic_path(path) as temporary:
        try:
            network.save(raw)
            _copy_without_accidents(raw, temporary, encode_metadata(metadata))
        finally:
            raw.unlink(missing_ok=True)


def _copy_without_accidents(source: Path, target: Path, metadata: str) -> None:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in sorted(old.namelist()):
            data = old.read(name)
            if name.endswith(".json"):
                data = json.dumps(_without_accidents(json.loads(data), {})).encode()
            new.writestr(zipfile.ZipInfo(name), data)
        new.writestr(zipfile.ZipInfo(NAME), metadata)


def _without_accidents(value: Any, numbers: dict[int, int]) -> Any:
    """JSON without `date_saved`, each `shared_object_id` as its number of first appearance."""
    if isinstance(value, list):
        return [_without_accidents(item, numbers) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {key: item for key, item in value.items() if key != "date_saved"}
    if "shared_object_id" in kept:
        address = kept["shared_object_id"]
        kept["shared_object_id"] = numbers.setdefault(address, len(numbers))
    return {key: _without_accidents(item, numbers) for key, item in kept.items()}


def load_network(path: str | Path) -> Model:
    """Load a network saved by `save_network`, with its `metadata`.

    Raises:
        UserError: missing, not a Keras file, or not the network that its metadata tell of.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such network; train one (`dvc repro train`) or name another")
    if not _is_archive(path):
        raise UserError(f"{path}: not a whole .keras archive; train it again or name another")
    metadata = read_metadata(path)
    try:
        network = keras.models.load_model(path, compile=False)
        network.metadata = metadata
        check_network(network)
    except _LOAD_ERRORS as error:
        reason = one_line(error)[:200]
        raise UserError(f"{path}: not a usable Keras model: {reason}; train it again") from None
    return network


def _is_archive(path: Path) -> bool:
    try:
        with open(path, "rb") as file:
            return zipfile.is_zipfile(file)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; fix its permissions or name another") from None


def load_weights(network: Model, path: str | Path) -> None:
    """Copy the weights of the network in `path` into `network`.

    Raises:
        UserError: the file cannot be loaded, or it holds another model, other keypoints or sizes.
    """
    loaded = load_network(path)
    ours, theirs = network.metadata, loaded.metadata
    remedy = "fix train.init_weights or"
    if (ours.name, ours.schema.keypoints) != (theirs.name, theirs.schema.keypoints):
        raise UserError(
            f"{path}: a {theirs.name} of the keypoints {theirs.schema.name}, not a {ours.name} of "
            f"{ours.schema.name}: {remedy} model.name and data.schema"
        )
    try:
        network.set_weights(loaded.get_weights())
    except ValueError:
        raise UserError(
            f"{path}: its sizes are not those of the model section of params.yaml: {remedy} model"
        ) from None


def load_encoder(network: Model, path: Path) -> list[Variable]:
    """Copy the weights that `pretrained.fetch_encoder` wrote into the network's encoder.

    Returns:
        The encoder's variables to train.

    Raises:
        UserError: the file is missing, damaged, or of another encoder.
    """
    try:
        with np.load(path) as arrays:
            for layer in encoder_layers(network):
                layer.set_weights([arrays[f"{layer.name}/{k}"] for k in range(len(layer.weights))])
    except (OSError, LookupError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{path}: not the weights of the encoder: {one_line(error)}; run `dvc repro encoder`"
        ) from None
    return encoder_variables(network)
