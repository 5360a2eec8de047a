"""Networks as files: saved with the same bytes each time, loaded with care."""

import json
import zipfile
from pathlib import Path

from hourglass.keypoints import HEATMAP_STRIDE, NUM_JOINTS
from hourglass.models.metadata import METADATA_MEMBER, encode_metadata
from hourglass.utils.backend import keras
from hourglass.utils.errors import UserError, one_line
from hourglass.utils.files import atomic_path

# What Keras raises on files that are not, or not wholly, what it saves.
_LOAD_ERRORS = (
    ValueError, OSError, LookupError, TypeError, AttributeError, zipfile.BadZipFile,
)  # fmt: skip


def save_network(network, path, trained_on):
    """Save as `.keras`, whole or not at all; the same weights give the same bytes.

    Keras writes the date and the memory addresses of shared objects into the file; they are taken
    out, so that a rerun changes nothing.

    Args:
        trained_on: the datasets' names, kept in the file for `origins.read_trained_on`.
    """
    # Beside the target, where there is room; what a kill leaves is overwritten by the next save.
    raw = Path(path).with_name(f".{Path(path).stem}.raw.keras")
    with atomic_path(path) as temporary:
        try:
            network.save(raw)
            _copy_without_accidents(raw, temporary, encode_metadata(trained_on))
        finally:
            raw.unlink(missing_ok=True)


def _copy_without_accidents(source, target, about):
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in sorted(old.namelist()):
            data = old.read(name)
            if name.endswith(".json"):
                data = json.dumps(_without_accidents(json.loads(data), {})).encode()
            new.writestr(zipfile.ZipInfo(name), data)
        new.writestr(zipfile.ZipInfo(METADATA_MEMBER), about)


def _without_accidents(value, numbers):
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


def load_network(path):
    """Load a network saved by `save_network`.

    Raises:
        UserError: missing, not a Keras file, or not a network for these 16 joints.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such network; train one (`dvc repro train`) or name another")
    if not _is_archive(path):
        raise UserError(f"{path}: not a whole .keras archive; train it again or name another")
    try:
        model = keras.models.load_model(path, compile=False)
        is_ours = _is_hourglass(model)
    except _LOAD_ERRORS as error:
        reason = one_line(error)[:200]
        raise UserError(f"{path}: not a usable Keras model: {reason}; train it again") from None
    if not is_ours:
        raise UserError(
            f"{path}: not an hourglass network for {NUM_JOINTS} joints; name another, or train one"
        )
    return model


def _is_archive(path):
    try:
        with open(path, "rb") as file:
            return zipfile.is_zipfile(file)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; fix its permissions or name another") from None


def _is_hourglass(model):
    """Whether one square picture goes in and heatmaps of a quarter of its side come out."""
    shapes = [tuple(tensor.shape[1:]) for tensor in model.inputs]  # without N
    size = shapes[0][0] or 0
    side = size // HEATMAP_STRIDE
    heatmaps = [tuple(tensor.shape[1:]) for tensor in model.outputs]
    return shapes == [(size, size, 3)] and set(heatmaps) == {(side, side, NUM_JOINTS)}


def load_weights(model, path):
    """Copy the weights of the network in `path` into `model`.

    Raises:
        UserError: the file cannot be loaded, or its sizes differ from those of params.yaml.
    """
    weights = load_network(path).get_weights()
    try:
        model.set_weights(weights)
    except ValueError:
        raise UserError(
            f"{path}: its sizes are not those of the model section of params.yaml: fix "
            "train.init_weights or model"
        ) from None
