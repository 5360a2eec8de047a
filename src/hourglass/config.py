"""The sections of `params.yaml`, typed and checked; a fault in the file is one line."""

import contextlib
import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    field_validator,
    model_validator,
)

from hourglass.keypoints import SCHEMAS, KeypointSchema
from hourglass.utils.yaml_files import read_checked

Count = Annotated[int, Field(ge=1, lt=2**31)]  # fits an int32
Fraction = Annotated[float, Field(ge=0, le=1)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
EXAMPLE = "the root's params.yaml"
SCHEMA_EXAMPLE = "src/hourglass/keypoints.py"
MIXED = "mixed"  # the dataset that is made of several
MIN_CROP_SIZE = 32  # px; the smallest network input
MAX_ENCODER_LEVELS = 3  # its features end at stride 32
HEATMAP_STRIDE = 4  # input px to a px of the heatmaps, of the models that come with the package


def _find_schema(value: Any) -> Any:
    """The schema of a name. pydantic makes a mapping a `KeypointSchema` itself."""
    if isinstance(value, dict):
        return value
    if not isinstance(value, str) or value not in SCHEMAS:
        raise ValueError(f"must be {', '.join(SCHEMAS)} or a mapping of a schema's keys")
    return SCHEMAS[value]


Schema = Annotated[
    KeypointSchema,
    BeforeValidator(_find_schema),
    PlainSerializer(lambda schema: schema.name if schema.name in SCHEMAS else schema.to_dict()),
]


class Section(BaseModel):
    # Strict: pydantic would else take "8" and true for numbers. No key has a default: a missing key
    # would pass unseen.
    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, serialize_by_alias=True
    )


class SyntheticParams(Section):
    num_train: Count
    num_val: Count
    seed: Seed


class DataParams(Section):
    dataset: str  # `data.datasets.base.find_dataset` knows which there are
    mirror: str
    folder: Annotated[str, Field(min_length=1)]
    val_fraction: Annotated[float, Field(gt=0, lt=1)]
    # `schema` is a name of pydantic's own.
    keypoint_schema: Schema = Field(alias="schema")
    synthetic: SyntheticParams
    # A name is a folder's, and begins the names of its pictures.
    sets: dict[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")], str]

    @model_validator(mode="after")
    def check_sets(self) -> "DataParams":
        if self.dataset == MIXED and not self.sets:
            raise ValueError(f"sets needs names and datasets where dataset is {MIXED}")
        if MIXED in self.sets.values():
            raise ValueError(f"sets: {MIXED} is no dataset of a set; name the datasets themselves")
        return self


def list_datasets(dataset: str, sets: Mapping[str, str]) -> tuple[str, ...]:
    """The datasets that a run reads, each once, by `data.dataset` and `data.sets`."""
    return tuple(dict.fromkeys(sets.values())) or (dataset,)


class ParseParams(Section):
    excluded: list[list[str]]
    max_invalid_fraction: Fraction

    @field_validator("excluded")
    @classmethod
    def check_excluded(cls, ranges: list[list[str]]) -> list[list[str]]:
        if any(len(names) != 2 or names[0] > names[1] for names in ranges):
            raise ValueError("must hold pairs [first, last] of names, in the order of characters")
        return ranges


class ShardParams(Section):
    num_train_shards: Annotated[int, Field(ge=1, le=9999)]  # four digits in a file's name
    num_val_shards: Annotated[int, Field(ge=1, le=9999)]
    crop_size: Annotated[int, Field(ge=0, le=4096)]
    scale_range: Annotated[float, Field(ge=0, lt=1)]  # at 1 a person would shrink to nothing
    rotation_range: Annotated[float, Field(ge=0, le=180)]
    jpeg_quality: Annotated[int, Field(ge=1, le=100)]
    seed: Seed
    max_invalid_fraction: Fraction

    @field_validator("crop_size")
    @classmethod
    def check_crop_size(cls, size: int) -> int:
        if 0 < size < MIN_CROP_SIZE:
            raise ValueError(f"must be 0, for whole pictures, or at least {MIN_CROP_SIZE}")
        return size


class ModelParams(Section):
    name: Annotated[str, Field(min_length=1)]  # `models.registry` knows which there are
    encoder: Literal["none", "efficientnet_lite0"]
    num_stacks: Annotated[int, Field(ge=1, le=16)]
    num_channels: Annotated[int, Field(ge=4, multiple_of=4)]  # the stem starts with a quarter
    num_levels: Annotated[int, Field(ge=1, le=6)]
    input_size: Annotated[int, Field(ge=32, le=2048)]

    @model_validator(mode="after")
    def check_input_size(self) -> "ModelParams":
        if self.encoder != "none" and self.num_levels > MAX_ENCODER_LEVELS:
            raise ValueError(f"num_levels must be 1 to {MAX_ENCODER_LEVELS} with an encoder")
        # The heatmaps are halved once more at each level.
        step = HEATMAP_STRIDE * 2**self.num_levels
        if self.input_size % step:
            raise ValueError(
                f"input_size {self.input_size} must be a multiple of {step} "
                f"for num_levels {self.num_levels}"
            )
        return self


class AugmentParams(Section):
    scale: Annotated[float, Field(ge=0, lt=1)]
    rotation: Annotated[float, Field(ge=0, le=180)]
    rotations: dict[str, Annotated[float, Field(ge=0, le=180)]]
    flip: bool
    colour: Annotated[float, Field(ge=0, lt=1)]
    half_body: Fraction
    occluders: Fraction
    edges: Fraction


class TrainParams(Section):
    epochs: Annotated[int, Field(ge=0, lt=2**31)]
    batch_size: Count
    repeats: dict[str, Annotated[int, Field(ge=1, le=100)]]
    max_batch_per_device: Annotated[int, Field(ge=0, lt=2**31)]
    optimizer: Literal["adamw", "muon"]
    lr: Annotated[float, Field(gt=0)]
    encoder_lr: Annotated[float, Field(gt=0)]
    schedule: Literal["constant", "cosine", "steps", "plateau"]
    warmup_epochs: Annotated[float, Field(ge=0)]
    decay_epochs: list[Count]
    decay_factor: Annotated[float, Field(gt=0, lt=1)]
    patience: Count
    early_stopping: Annotated[int, Field(ge=0)]
    weight_decay: Annotated[float, Field(ge=0)]
    clip_norm: Annotated[float, Field(ge=0)]
    ema: Annotated[float, Field(ge=0, lt=1)]
    sigma: Annotated[float, Field(gt=0)]  # heatmap px
    target_peak: Annotated[float, Field(gt=0)]
    foreground: Literal["value", "support"]
    foreground_weight: Annotated[float, Field(ge=0)]
    augment: AugmentParams
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"]
    deterministic: bool
    xla: bool
    init_weights: str
    seed: Seed

    @model_validator(mode="after")
    def check_start(self) -> "TrainParams":
        if not self.epochs and not self.init_weights:
            raise ValueError(
                "epochs 0 scores the network that init_weights names: name one, or raise epochs"
            )
        return self

    @model_validator(mode="after")
    def check_determinism(self) -> "TrainParams":
        if self.xla and self.deterministic:
            raise ValueError(
                "xla has no deterministic max pooling on GPUs: set xla or deterministic to false"
            )
        return self


class PredictParams(Section):
    batch_size: Count
    flip_test: bool
    num_refinements: Annotated[int, Field(ge=0, le=15)]
    decode: Literal["argmax", "shift", "dark"]
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"]
    num_figures: Annotated[int, Field(ge=0, lt=2**31)]


class ReportParams(Section):
    pictures: Literal["free", "all", "none"]


class ClusterParams(Section):
    num_workers: Annotated[int, Field(ge=0, lt=2**31)]


class Params(Section):
    """All of `params.yaml`: one attribute a section, units in the file's own comments."""

    data: DataParams
    parse: ParseParams
    shard: ShardParams
    model: ModelParams
    train: TrainParams
    predict: PredictParams
    report: ReportParams
    cluster: ClusterParams

    @model_validator(mode="after")
    def check_crop_covers_augmentation(self) -> "Params":
        # Of whole pictures too: their reader cuts a crop of this size out.
        augment, shard = self.train.augment, self.shard
        rotations = {f"rotations.{name}": value for name, value in augment.rotations.items()}
        asked_of = {"scale": augment.scale, "rotation": augment.rotation} | rotations
        for name, asked in asked_of.items():
            needed = "scale_range" if name == "scale" else "rotation_range"
            stored = getattr(shard, needed)
            if asked > stored:
                raise ValueError(
                    f"train.augment.{name} {asked:g} asks for pixels that the shards do not hold: "
                    f"lower it, or raise shard.{needed} from {stored:g} and shard again"
                )
        return self

    @model_validator(mode="before")
    @classmethod
    def leave_out_sets(cls, values: Any) -> Any:
        # So `-S data.dataset=folder` is enough to give a recipe of several datasets another one.
        changed = copy.deepcopy(values)
        with contextlib.suppress(LookupError, TypeError):  # what lacks is told by its own check
            data, train = changed["data"], changed["train"]
            for section, key in (
                (data, "sets"), (train, "repeats"), (train["augment"], "rotations"),
            ):  # fmt: skip
                if data["dataset"] != MIXED and isinstance(section[key], dict):
                    section[key] = {}
        return changed

    @model_validator(mode="after")
    def check_sets_are_known(self) -> "Params":
        augment = self.train.augment
        for key, values in (
            ("repeats", self.train.repeats),
            ("augment.rotations", augment.rotations),
        ):
            if unknown := sorted(values.keys() - self.data.sets):
                raise ValueError(f"train.{key}: {unknown[0]!r} is no set of data.sets; correct it")
        return self

    @model_validator(mode="after")
    def check_half_body_is_known(self) -> "Params":
        schema = self.data.keypoint_schema
        num_lower = len(schema.lower_indices)
        if self.train.augment.half_body and min(num_lower, schema.num_keypoints - num_lower) < 2:
            raise ValueError(
                "train.augment.half_body needs two keypoints of each half of the body; of "
                f"{schema.name}'s {schema.num_keypoints}, {num_lower} are of the lower half by "
                "their names (docs/own_data.md): set it to 0, or rename keypoints of data.schema"
            )
        return self


def load_params(path: str | Path = "params.yaml") -> Params:
    """Read and check `path`.

    Raises:
        UserError: the file is missing or not YAML, or a key is unknown, missing, of a wrong type
            or out of range; one line with the key's full name.
    """
    return read_checked(Path(path), Params, EXAMPLE, {"schema": SCHEMA_EXAMPLE})
