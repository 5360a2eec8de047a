"""`index.json`, beside the shards: how the crops were cut, what each shard holds, checksums."""

import hashlib
import json
from pathlib import Path

from hourglass.data.tfrecords.schema import FEATURES
from hourglass.utils.errors import UserError
from hourglass.utils.files import file_digest, write_json

INDEX_NAME = "index.json"


def write_index(folder, shards, results, num_persons, params):
    """Write index.json beside the shards: how the crops were cut, what each holds, checksums.

    Args:
        shards: all of them. results: what `shards.list_invalid` gave, one a shard.
        num_persons: {split: number of annotations}. params: ShardParams.
    """
    splits = {split: {"num_persons": num, "shards": {}} for split, num in num_persons.items()}
    for shard, invalid in zip(shards, results, strict=True):
        splits[shard.split]["shards"][shard.name] = {
            "num_records": len(shard.indices) - len(invalid),
            # Read back from the disk: what is stored is what counts, whichever worker wrote it.
            "sha256": file_digest(Path(folder, shard.name)),
        }
    crop = params.model_dump(include={"crop_size", "scale_range", "rotation_range"})
    index = {"crop": crop, "features": sorted(FEATURES), "splits": splits}
    write_json(Path(folder, INDEX_NAME), index | {"sha256": _index_digest(index)})


def read_index(folder):
    """Read index.json.

    Returns:
        {"crop": {crop_size, scale_range, rotation_range}, "features": names,
        "splits": {split: {num_persons, shards: {name: {num_records, sha256}}}}}.

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
    if index.get("features") != sorted(FEATURES):
        raise UserError(f"{path}: its shards hold other features; run `dvc repro shard`")
    return index


def _index_digest(index):
    """Of its content: an index that was changed by any hand or bit is no longer believed."""
    # Sorted, so that only what it says counts.
    return hashlib.sha256(json.dumps(index, sort_keys=True).encode()).hexdigest()
