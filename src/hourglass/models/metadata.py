"""The metadata in a network's file: written with the network, read without Keras.

It is a member of the archive in a `.keras` file. An export has it in its format's own place.
"""

import dataclasses
import itertools
import json
import math
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hourglass.keypoints import KeypointSchema
from hourglass.utils import transforms
from hourglass.utils.errors import UserError, one_line

NAME = "hourglass.json"  # of the member, or of the entry of an export
FORMAT_VERSION = 2  # raised when a key of `ModelMetadata` gets another meaning, or a new one
_READ_ERRORS = (
    OSError, ValueError, LookupError, TypeError, RuntimeError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
_DECODE_ERRORS = (ValueError, TypeError, LookupError, AttributeError)


@dataclasses.dataclass(frozen=True)
class Calibration:
    """A rising line of straight pieces, from the height of a heatmap's peak to a probability.

    Attributes:
        heights: of P points, each greater than the one before; (): scores are the heights.
        probabilities: of the same points, none less than the one before. A keypoint lies within
            half a head size of the truth so often.
    """

    heights: tuple[float, ...] = ()
    probabilities: tuple[float, ...] = ()

    @classmethod
    def from_dict(cls, values: Mapping[str, Sequence[float]]) -> "Calibration":
        """The calibration of `dataclasses.asdict`.

        Raises:
            ValueError: its points are no rising line.
            TypeError, KeyError: they are no lists of numbers, or not there.
        """
        heights, probabilities = (
            tuple(map(float, values[key])) for key in ("heights", "probabilities")
        )
        points = itertools.pairwise(zip(heights, probabilities, strict=True))
        rises = all(low < high and before <= after for (low, before), (high, after) in points)
        are_probabilities = all(0 <= value <= 1 for value in probabilities)
        if not (rises and are_probabilities and all(map(math.isfinite, heights))):
            raise ValueError("calibration is no rising line of probabilities")
        return cls(heights, probabilities)


UNCALIBRATED = Calibration()


@dataclasses.dataclass(frozen=True)
class ModelMetadata:
    """The facts about a network that training, prediction and export need.

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
        calibration: what makes probabilities of its keypoints' scores.
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
    calibration: Calibration = UNCALIBRATED

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
        kinds = {"name": str, "input_size": int, "stride": int, "sigma": float, "heads": list,
                 "encoder": str, "trained_on": list, "codec": str, "schema": dict,
                 "calibration": dict}  # fmt: skip
        _check_kinds(values, {})
        values = dict(values)
        if (version := values.pop("format_version", None)) != FORMAT_VERSION:
            raise ValueError(f"format version {version!r}, not {FORMAT_VERSION}")
        _check_kinds(values, kinds)
        lists = {key: tuple(values[key]) for key in ("heads", "trained_on")}
        schema = KeypointSchema.from_dict(values["schema"])
        calibration = Calibration.from_dict(values["calibration"])
        return cls(**values | lists | {"schema": schema, "calibration": calibration})


def _check_kinds(values: Any, kinds: Mapping[str, type]) -> None:
    if not isinstance(values, Mapping):
        raise TypeError("no object")
    for key, kind in kinds.items():
        if not isinstance(values.get(key), kind):
            raise TypeError(f"{key} is no {kind.__name__}")


def encode_metadata(metadata: ModelMetadata) -> str:
    """The text of the member `NAME` of a `.keras` file."""
    return json.dumps(metadata.to_dict())


def read_metadata(path: str | Path) -> ModelMetadata:
    """Read what a `.keras` file says of its network.

    Raises:
        UserError: the file is missing, damaged, or not of this program.
    """
    values = _read_member(path, NAME)
    if values is None:
        raise UserError(f"{path}: does not say what network it is; train it again, or name another")
    try:
        return ModelMetadata.from_dict(values)
    except _DECODE_ERRORS as error:
        raise UserError(
            f"{path}: its {NAME} cannot be used: {one_line(error)}; train it again, or name another"
        ) from None


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
    except PermissionError as error:
        raise UserError(f"{path}: {error.strerror}; fix it or name another") from None
    except _READ_ERRORS as error:
        raise UserError(f"{path}: damaged: {one_line(error)}; train it again") from None


BOX_TO_CROP = transforms.CROP_FACTOR * transforms.BOX_MARGIN
# For a reader of the file; the program goes by the other keys.
INPUT = (
    f"the square crop around one whole person, its side {BOX_TO_CROP:g} times the longer side "
    "of the person's box, its middle the box's; black outside of the picture; resized to "
    "input_size by a filter that smooths what it shrinks; RGB, 0 to 255"
)
OUTPUT = (
    "x, y in pixels of the resized crop, x to the right, y down; the centre of its top left pixel "
    "is (0, 0). A keypoint at x lies at left + (x + 0.5) * side / input_size - 0.5 of the picture, "
    "where left is the crop's first column; y likewise"
)


@dataclasses.dataclass(frozen=True)
class ExportMetadata:
    """The metadata of an exported file.

    Attributes:
        model: the network's own metadata.
        flip_test: whether the file averages each picture's heatmaps with those of its mirror image.
        weights: "float32", or "float16" where they were rounded to it.
        licence: what the weights may be used for.
        made_from: the SHA-256 of the `.keras` file.
    """

    model: ModelMetadata
    flip_test: bool
    weights: str
    licence: str
    made_from: str


def encode_export(metadata: ExportMetadata) -> str:
    """The JSON text of an exported file: the network's metadata and the export's as one object."""
    values = {field.name: getattr(metadata, field.name) for field in dataclasses.fields(metadata)}
    model = values.pop("model").to_dict()
    return json.dumps(model | {"input": INPUT, "output": OUTPUT} | values, indent=1)


def decode_export(text: str | bytes | None, path: str | Path) -> ExportMetadata:
    """The inverse of `encode_export`.

    Raises:
        UserError: no such text, or one of another version; `path` is the file that holds it.
    """
    kinds = {"flip_test": bool, "weights": str, "licence": str, "made_from": str}
    try:
        values = json.loads(text or "")
        _check_kinds(values, kinds | {"input": str, "output": str})
        export = {key: values.pop(key) for key in kinds}
        del values["input"], values["output"]
        return ExportMetadata(ModelMetadata.from_dict(values), **export)
    except _DECODE_ERRORS as error:
        raise UserError(
            f"{path}: not a network of this version of `hourglass export`: {one_line(error)}; "
            "write it again, or name another"
        ) from None


@dataclasses.dataclass(frozen=True)
class DetectorMetadata:
    """The metadata of an exported detector of people.

    Attributes:
        input_size: S, px; it takes whole pictures in squares [N, S, S, 3].
        trained_on: the names of the datasets.
        licence: what the weights may be used for.
    """

    input_size: int
    trained_on: tuple[str, ...]
    licence: str


DETECTOR = {"kind": "people", "detector_version": 1}


def encode_detector(metadata: DetectorMetadata) -> str:
    """The JSON text of an exported detector of people."""
    return json.dumps(DETECTOR | dataclasses.asdict(metadata), indent=1)


def decode_detector(text: str | bytes | None, path: str | Path) -> DetectorMetadata:
    """The inverse of `encode_detector`.

    Raises:
        UserError: no such text, or one of another version; `path` is the file that holds it.
    """
    kinds = {"input_size": int, "trained_on": list, "licence": str}
    try:
        values = json.loads(text or "")
        _check_kinds(values, kinds)
        if {key: values.get(key) for key in DETECTOR} != DETECTOR:
            raise ValueError("of another kind or version")
        trained_on = tuple(values["trained_on"])
        return DetectorMetadata(values["input_size"], trained_on, values["licence"])
    except _DECODE_ERRORS as error:
        raise UserError(
            f"{path}: not a detector of people: {one_line(error)}; name a network of people/"
        ) from None
