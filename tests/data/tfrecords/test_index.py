import hashlib
import json

import numpy as np
import pytest

from helpers.stored_persons import people, shard_params
from hourglass.data.tfrecords import record
from hourglass.data.tfrecords.index import read_index, write_index
from hourglass.data.tfrecords.plan import plan_shards
from hourglass.data.tfrecords.writer import list_invalid, write_chunk
from hourglass.keypoints import COCO, MPII
from hourglass.utils import files
from hourglass.utils.errors import UserError


def test_the_index_holds_counts_digests_and_how_the_crops_were_cut(tmp_path, pictures):
    persons = people("a.jpg", "broken.jpg", "b.jpg")
    shards = [
        *plan_shards("train", "train", 3, 2),
        *plan_shards("validation", "val", 1, 1),
    ]
    params = shard_params(crop_size=384)
    results = []
    for shard in shards:
        chosen = [persons[k] for k in shard.indices]
        written = write_chunk(tmp_path / shard.name, shard.indices, chosen, pictures, params)
        results.append(list_invalid(shard.indices, chosen, written))
    counts = {"train": 3, "validation": 1}
    write_index(tmp_path, shards, results, counts, COCO, params)
    index = read_index(tmp_path)
    assert index["crop"] == {"crop_size": 384, "scale_range": 0.25, "rotation_range": 30}
    assert index["schema"] == COCO
    assert {split: entry["num_persons"] for split, entry in index["splits"].items()} == counts
    num_records = {
        name: shard["num_records"]
        for split in index["splits"].values()
        for name, shard in split["shards"].items()
    }
    assert num_records == {
        "train_0001_of_0002.tfrecords": 1,
        "train_0002_of_0002.tfrecords": 1,
        "val_0001_of_0001.tfrecords": 1,
    }
    for split in index["splits"].values():
        for name, shard in split["shards"].items():
            content = (tmp_path / name).read_bytes()
            assert shard["sha256"] == hashlib.sha256(content).hexdigest()


def test_a_digest_is_of_the_whole_file(tmp_path):
    content = np.random.default_rng(0).bytes(2_500_000)
    (tmp_path / "f").write_bytes(content)
    assert files.file_digest(tmp_path / "f") == hashlib.sha256(content).hexdigest()


def test_a_missing_or_damaged_index_says_what_to_do(tmp_path):
    with pytest.raises(UserError, match=r"index\.json: missing; run `dvc repro shard`"):
        read_index(tmp_path)
    (tmp_path / "index.json").write_text('{"crop": ')
    with pytest.raises(UserError, match=r"index\.json: damaged; delete it"):
        read_index(tmp_path)


def test_an_index_written_in_another_order_says_the_same(tmp_path):
    write_index(tmp_path, [], [], {"train": 3, "validation": 1}, MPII, shard_params())
    index, path = read_index(tmp_path), tmp_path / "index.json"
    path.write_text(json.dumps(dict(reversed(json.loads(path.read_text()).items()))))
    assert read_index(tmp_path) == index


def test_shards_of_other_features_are_to_be_made_again(tmp_path, monkeypatch):
    write_index(tmp_path, [], [], {"train": 3, "validation": 1}, MPII, shard_params())
    monkeypatch.setitem(record.FEATURES, "image/new", ("float32", []))
    with pytest.raises(UserError, match=r"hold other features; run `dvc repro shard`"):
        read_index(tmp_path)
