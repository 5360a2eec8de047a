"""What a network's file says of the network: written with it, read without Keras.

A `.keras` file holds it as a member of the archive; an export where its format keeps such texts.
"""

import dataclasses
import json
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hourglass.keypoints import BONES, JOINTS, KeypointSchema
from hourglass.utils import transforms
from hourglass.utils.errors import UserError, one_line

NAME = "hourglass.json"  # of the member, or of the entry of an export
FORMAT_VERSION = 1  # raised when a key of `ModelMetadata` gets another meaning, or a new one
_READ_ERRORS = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclasses.dataclass(frozen=True)
class ModelMetadata:
    """What a program must know of a network to train it, to predict with it, or to export it.

    Attributes:
        name: of the model, `model.name` of params.yaml.
        schema: of its K keypoints.
        input_size: S, px; it takes pictures [N, S, S, 3].
        stride: px of the input to a px of the heatmaps.
        sigma: px of the heatmaps, of the Gaussians that it was trained towards.
        heads: the names of the layers that make its outputs, the last one the best.
        encoder: the name of the layer that ends its encoder; "" where it has none.
        trained_on: the names of the datasets; () while it is not saved.
        codec: how keypoints become outputs; "heatmap" (`models.codec.HeatmapCodec`).
    """

    name: str
    schema: KeypointSchema
    input_size: int
    stride: int
    sigma: float
    heads: tuple[str, ...]
    encoder: str = ""
    trained_on: tuple[str, ...] = ()
    codec: str = "heatmap"

    @property
    def heatmap_size(self) -> int:
        """The side of the heatmaps, px."""
        return self.input_size // self.stride

    def to_dict(self) -> dict[str, Any]:
        """The metadata as JSON holds it."""
        return {"format_version": FORMAT_VERSION} | dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "ModelMetadata":
        """The metadata of `to_dict`.

        Raises:
            ValueError: another version of the format.
            TypeError: keys are missing, unknown or of another type.
        """
        if not isinstance(values, Mapping):
            raise TypeError("no object")
        values = dict(values)
        if (version := values.pop("format_version", None)) != FORMAT_VERSION:
            raise ValueError(f"format version {version!r}, not {FORMAT_VERSION}")
        kinds = {"name": str, "input_size": int, "stride": int, "sigma": float, "heads": list,
                 "encoder": str, "trained_on": list, "codec": str, "schema": dict}  # fmt: skip
        for key, kind in kinds.items():
            if not isinstance(values.get(key), kind):
                raise TypeError(f"{key} is no {kind.__name__}")
        lists = {key: tuple(values[key]) for key in ("heads", "trained_on")}
        return cls(**values | lists | {"schema": KeypointSchema.from_dict(values["schema"])})


def encode_metadata(metadata: ModelMetadata) -> str:
    """The text of the member `NAME` of a `.keras` file."""
    return json.dumps(metadata.to_dict())


def read_model_metadata(path: str | Path) -> ModelMetadata:
    """Read what a `.keras` file says of its network.

    Raises:
        UserError: the file is missing, damaged, or not of this program.
    """
    values = _read_member(path, NAME)
    if values is None:
        raise UserError(f"{path}: does not say what network it is; train it again, or name another")
    try:
        return ModelMetadata.from_dict(values)
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise UserError(
            f"{path}: its {NAME} cannot be used: {one_line(error)}; train it again, or name another"
        ) from None


def read_trained_on(path: str | Path) -> str:
    """The names of the datasets that a network was trained on.

    Raises:
        UserError: the file is missing, damaged, or not of this program.
    """
    return ", ".join(read_model_metadata(path).trained_on)


def read_keras_version(path: str | Path) -> str | None:
    """The version of Keras that saved a network; None where its file does not say.

    Raises:
        UserError: the file is missing, or damaged there.
    """
    values = _read_member(path, "metadata.json")
    return values.get("keras_version") if values else None


def _read_member(path: str | Path, member: str) -> Any:
    """The JSON of an archive's member; None where it has none of that name."""
    try:
        with zipfile.ZipFile(path) as archive:
            is_there = member in archive.namelist()
            return json.loads(archive.read(member)) if is_there else None
    except FileNotFoundError:
        raise UserError(
            f"{path}: no such network; train one (`dvc repro train`) or name another"
        ) from None
    except _READ_ERRORS as error:
        raise UserError(f"{path}: damaged: {one_line(error)}; train it again") from None


BOX_TO_SQUARE = transforms.CROP_FACTOR * transforms.BOX_MARGIN
CROP = (
    f"the square around one whole person, its side {BOX_TO_SQUARE:g} times the longer side "
    "of the person's box, its middle the box's; black where it reaches beyond the picture; resized "
    "to input_size by a filter that smooths what it shrinks; RGB, 0 to 255"
)
KEYPOINTS = (
    "x, y in pixels of the square as it was resized, x to the right, y down; the centre of its top "
    "left pixel is (0, 0). A joint at x lies at left + (x + 0.5) * side / input_size - 0.5 of the "
    "picture, where the square's first column is left; y likewise"
)
_KINDS = {
    "input_size": int, "joints": list, "flip_test": bool, "weights": str, "made_from": str,
}  # fmt: skip


def export_metadata(
    size: int, flip_test: bool, half: bool, trained_on: str, licence: str, made_from: str
) -> str:
    """The JSON text of an exported file.

    Args:
        size: px of the square pictures that go in.
        half: whether the weights are rounded to float16.
        trained_on: the datasets' names, as `origins.read_trained_on` gives them.
        licence: what the weights may be used for.
        made_from: the SHA-256 of the `.keras` file.
    """
    about = {
        "input_size": size,
        "crop": CROP,
        "keypoints": KEYPOINTS,
        "joints": JOINTS,
        "bones": BONES,
        "flip_test": flip_test,
        "weights": "float16" if half else "float32",
        "trained_on": trained_on,
        "licence": licence,
        "made_from": made_from,
    }
    return json.dumps(about, indent=1)


def read_metadata(text: str | None, path: str | Path) -> dict[str, Any]:
    """What `export_metadata` wrote, as a dict.

    Raises:
        UserError: it is not such a text; `path` is the file that holds it.
    """
    try:
        about = json.loads(text or "")
        is_ours = all(type(about[key]) is kind for key, kind in _KINDS.items())
    except (TypeError, ValueError, LookupError):
        is_ours = False
    if not is_ours or about["joints"] != list(JOINTS):
        raise UserError(f"{path}: not a network that `hourglass export` wrote for these joints")
    return about
