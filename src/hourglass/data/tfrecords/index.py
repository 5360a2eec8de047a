"""`index.json`, beside the shards: how the crops were cut, what each shard holds, checksums."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hourglass.data.tfrecords.record import FEATURES
from hourglass.keypoints import KeypointSchema
from hourglass.utils.errors import UserError
from hourglass.utils.files import file_digest, write_json

if TYPE_CHECKING:
    from hourglass.config import ShardParams
    from hourglass.data.tfrecords.plan import Shard

INDEX_NAME = "index.json"


class RecordSet(NamedTuple):
    """A set of a split: its persons, which follow one another, and those that have a record."""

    num_persons: int
    num_records: int


def write_index(
    folder: Path,
    shards: "Sequence[Shard]",
    results: Sequence[list],
    num_persons: Mapping[str, int],
    schema: KeypointSchema,
    params: "ShardParams",
    sets: Mapping[str, Mapping[str, RecordSet]] | None = None,
) -> None:
    """Write index.json beside the shards.

    Args:
        results: what `writer.list_invalid` gave, one a shard.
        num_persons: {split: number of annotations}.
        schema: of the persons' keypoints.
        sets: {split: {name: its records}} where the persons are of several sets.
    """
    splits: dict[str, dict] = {
        split: {"num_persons": num, "shards": {}} for split, num in num_persons.items()
    }
    for shard, invalid in zip(shards, results, strict=True):
        splits[shard.split]["shards"][shard.name] = {
            "num_records": len(shard.indices) - len(invalid),
            # Read back from the disk: what is stored is what counts, whichever worker wrote it.
            "sha256": file_digest(Path(folder, shard.name)),
        }
    for split, records in (sets or {}).items():
        if records:
            splits[split]["sets"] = {name: list(numbers) for name, numbers in records.items()}
    crop = params.model_dump(include={"crop_size", "scale_range", "rotation_range"})
    index = {
        "crop": crop, "features": sorted(FEATURES), "schema": schema.to_dict(), "splits": splits,
    }  # fmt: skip
    write_json(Path(folder, INDEX_NAME), index | {"sha256": _index_digest(index)})


def read_index(folder: str | Path) -> dict[str, Any]:
    """Read index.json.

    Returns:
        {"crop": {crop_size, scale_range, rotation_range}, "features": names, "schema":
        KeypointSchema, "splits": {split: {num_persons, shards: {name: {num_records, sha256}}}}}.
        A split of several sets has "sets": {name: [num_persons, num_records]} too.

    Raises:
        UserError: missing, damaged, or of records with other features.
    """
    path = Path(folder, INDEX_NAME)
    try:
        index = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{path}: missing; run `dvc repro shard`") from None
    except (OSError, ValueError, RecursionError):
        index = None
    if not isinstance(index, dict) or index.pop("sha256", None) != _index_digest(index):
        raise UserError(f"{path}: damaged; delete it and run `dvc repro shard`")
    if index.get("features") != sorted(FEATURES) or "schema" not in index:
        raise UserError(f"{path}: its shards hold other features; run `dvc repro shard`")
    return index | {"schema": KeypointSchema.from_dict(index["schema"])}


def _index_digest(index: dict[str, Any]) -> str:
    """The digest of an index's content: a changed index is refused."""
    # Sorted, so that only what it says counts.
    return hashlib.sha256(json.dumps(index, sort_keys=True).encode()).hexdigest()
