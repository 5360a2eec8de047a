"""The shards of one split: opened, checked by their index, read as a whole."""

import contextlib
import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hourglass.data.tfrecords.index import RecordSet, read_index
from hourglass.data.tfrecords.record import parse_record
from hourglass.keypoints import KeypointSchema
from hourglass.utils import transforms
from hourglass.utils.backend import Tensor, tf
from hourglass.utils.errors import UserError
from hourglass.utils.files import file_digest

if TYPE_CHECKING:
    from hourglass.data.person import Person


@dataclasses.dataclass(frozen=True)
class Split:
    """The shards of one split, and how their pictures are decoded.

    Attributes:
        digests: the SHA-256 of the paths' files, as they were written.
        num_records: those in the shards.
        num_persons: those of the annotations.
        crop_size: the side of the decoded crops, px.
        schema: of the records' keypoints.
        sets: by name, in the order of the annotations; {} where there is one dataset.
    """

    paths: tuple[str, ...]
    digests: tuple[str, ...]
    num_records: int
    num_persons: int
    crop_size: int
    holds_whole_pictures: bool
    schema: KeypointSchema
    sets: Mapping[str, RecordSet] = dataclasses.field(default_factory=dict)

    def spread(self, values: Mapping[str, float], default: float) -> np.ndarray:
        """The values [num_persons] of the persons' sets; `default` for a set without one."""
        if not self.sets:
            return np.full(self.num_persons, default)
        each = [values.get(name, default) for name in self.sets]
        return np.repeat(each, [numbers.num_persons for numbers in self.sets.values()])

    def count_records(self, repeats: Mapping[str, int]) -> int:
        """The records of an epoch that shows those of a set `repeats` times, once by default."""
        further = ((repeats.get(name, 1) - 1) * s.num_records for name, s in self.sets.items())
        return self.num_records + sum(further)

    def parse(self, serialized: Tensor) -> dict[str, Tensor]:
        """`record.parse_record` of one of the split's records."""
        return parse_record(serialized, self.schema.num_keypoints)


def open_split(folder: str | Path, split: str, input_size: int) -> Split:
    """Find the shards of a split and compare each with the index that was written with them.

    Args:
        input_size: of the network; whole pictures are read at a size that suits it.

    Raises:
        UserError: a shard is missing or damaged, or there are no records.
    """
    index = read_index(folder)
    crop, entry = index["crop"], index["splits"][split]
    num_records = sum(shard["num_records"] for shard in entry["shards"].values())
    if not num_records:
        raise UserError(f"{folder}: the {split} shards hold no records; run `dvc repro shard`")
    size = crop["crop_size"] or transforms.whole_picture_size(
        input_size, crop["scale_range"], crop["rotation_range"]
    )
    opened = Split(
        paths=tuple(str(Path(folder, name)) for name in entry["shards"]),
        digests=tuple(shard["sha256"] for shard in entry["shards"].values()),
        num_records=num_records,
        num_persons=entry["num_persons"],
        crop_size=size,
        holds_whole_pictures=crop["crop_size"] == 0,
        schema=index["schema"],
        sets={name: RecordSet(*numbers) for name, numbers in entry.get("sets", {}).items()},
    )
    # Before the first batch: damage found in the middle of an epoch would cost that epoch.
    _check_shards(opened)
    return opened


def advise_crop_size(crop: Mapping[str, Any], input_size: int) -> str | None:
    """One line of advice if the crops' size does not suit a network's input; else None.

    Args:
        crop: {crop_size, scale_range, rotation_range} of `index.read_index`.
        input_size: px.
    """
    size, *ranges = crop["crop_size"], crop["scale_range"], crop["rotation_range"]
    if not size:  # whole pictures are read at a size that does
        return None
    least, greatest = transforms.fitting_crop_sizes(input_size, *ranges)
    inner = transforms.stored_input_size(size, *ranges)
    stored = f"shard.crop_size {size} stores a person's crop at {inner:.4g} px"
    if size < least:
        return f"{stored}, enlarged to model.input_size {input_size}; {least} would do"
    if size > greatest:
        shrunk = inner * (1 + crop["scale_range"]) / input_size
        return (
            f"{stored}, shrunk by up to {shrunk:.2f} to model.input_size {input_size} without "
            f"smoothing, which adds false detail; lower it to {greatest}"
        )
    return None


def _check_shards(split: Split) -> None:
    for path, digest in zip(split.paths, split.digests, strict=True):
        if not Path(path).is_file():
            raise UserError(f"{path}: missing; run `dvc repro shard`")
        if file_digest(path) != digest:
            raise UserError(f"{path}: damaged; delete it and run `dvc repro shard`")


@contextlib.contextmanager
def name_damage(*splits: Split) -> Iterator[None]:
    """If reading fails, raise a `UserError` that names the shard damaged meanwhile.

    TensorFlow checks every record's sums, but its error names the byte alone and not the file.
    """
    try:
        yield
    except tf.errors.OpError:
        # Read anew, since the index's digests tell which of the files it is; where all fit, the
        # fault was another one.
        for split in splits:
            _check_shards(split)
        raise


def check_persons(split: Split, persons: "Sequence[Person]") -> None:
    """Raise `UserError` unless the records of `split` are of `persons`, the annotations.

    It finds shards that were made from other annotations, where stages were run by hand.
    """
    # By `index`, since invalid persons leave gaps and train records are shuffled.
    images = dict(enumerate(person.image for person in persons))
    records = open_records(split).map(split.parse)
    for record in records.as_numpy_iterator():
        if images.get(int(record["index"])) != record["filename"].decode():
            raise UserError(
                f"{Path(split.paths[0]).parent}: made from other annotations than those of now: "
                f"record {record['index']} is on {record['filename'].decode()}; run "
                "`dvc repro shard`"
            )


def check_schema(split: Split, schema: KeypointSchema, source: str, advice: str) -> None:
    """Raise `UserError` unless `source`, the schema's, has the keypoints of the split's records.

    It finds what was made with another `data.schema`, where stages were run by hand.
    """
    if schema != split.schema:
        raise UserError(
            f"{source}: its keypoints are those of {schema.name}, and those of "
            f"{Path(split.paths[0]).parent} are of {split.schema.name}; {advice}"
        )


def read_truth(split: Split) -> dict[str, np.ndarray]:
    """The annotations of a split's records, in the order of `eval_batches`, without pictures.

    Returns:
        dict of `index` [N], `joints` float64 [N, K, 2] (original px), `keypoints_visible` bool
        [N, K] and `head_size` float64 [N] (original px).
    """
    records = open_records(split).map(split.parse)
    truth: dict[str, list] = {"index": [], "joints": [], "keypoints_visible": [], "head_size": []}
    for record in records.as_numpy_iterator():
        transform = record["transform"].astype(np.float64)  # stored to original px
        truth["index"].append(record["index"])
        # Back through the transform, as the predictions go: both in original px.
        truth["joints"].append(transforms.apply_transform(transform, record["keypoints"]))
        truth["keypoints_visible"].append(record["keypoints_visible"])
        # A crop is neither turned nor squashed: its zoom is any one of the diagonal.
        truth["head_size"].append(record["head_size"] * transform[0, 0])
    # N records first: (N,), (N, K, 2), (N, K), (N,).
    return {key: np.array(values) for key, values in truth.items()}


def read_crops(split: Split, indices: Collection[int]) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """The decoded pictures of some records.

    Returns:
        {index: (uint8 [D, D, 3] or the whole picture, transform float32 [2, 3] to original px)}.
    """
    wanted = tf.constant(sorted(indices), tf.int32, shape=(len(indices),))
    records = open_records(split).map(split.parse)
    # Filtered before the JPEGs are decoded: only those that are wanted are.
    records = records.filter(lambda record: tf.reduce_any(record["index"] == wanted))
    return {
        int(record["index"]): (
            tf.io.decode_jpeg(record["encoded"], channels=3).numpy(),
            record["transform"].numpy(),
        )
        for record in records
    }


def open_records(split: Split) -> "tf.data.Dataset":
    """The serialized records of a split, in order, as a tf.data.Dataset."""
    return with_cardinality(tf.data.TFRecordDataset(list(split.paths)), split.num_records)


def with_cardinality(records: "tf.data.Dataset", number: int) -> "tf.data.Dataset":
    """The records, with their number by the index: another number is an error.

    TFRecords do not tell how many they hold, and records cut off as a whole would not be missed.
    """
    return records.apply(tf.data.experimental.assert_cardinality(number))
