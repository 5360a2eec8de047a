import numpy as np
import pytest

from helpers.stored_persons import people
from hourglass.data.invalid import InvalidRecord, encode_joints
from hourglass.data.tfrecords.writer import (
    Shard,
    collect_invalid,
    list_invalid,
    plan_shards,
    plan_splits,
    shard_name,
    write_shard,
)


def test_shards_have_the_tutorials_names():
    assert shard_name("train", 1, 64) == "train_0001_of_0064.tfrecords"
    assert shard_name("val", 8, 8) == "val_0008_of_0008.tfrecords"


@pytest.mark.parametrize("seed", [None, 1])
@pytest.mark.parametrize(("num_records", "num_shards"), [(100, 7), (22_246, 64), (8, 8), (3, 5)])
def test_every_record_is_in_one_shard_and_the_shards_are_alike(num_records, num_shards, seed):
    shards = plan_shards("validation", "val", num_records, num_shards, seed)
    assert [s.name for s in shards] == [
        f"val_{k:04d}_of_{num_shards:04d}.tfrecords" for k in range(1, num_shards + 1)
    ]
    assert {shard.split for shard in shards} == {"validation"}
    sizes = [len(shard.indices) for shard in shards]
    assert max(sizes) - min(sizes) <= 1
    order = np.concatenate([shard.indices for shard in shards])
    np.testing.assert_array_equal(np.sort(order), np.arange(num_records))


def test_without_a_seed_the_order_is_kept():
    shards = plan_shards("validation", "val", 50, 4)
    np.testing.assert_array_equal(np.concatenate([s.indices for s in shards]), np.arange(50))


def test_the_order_follows_from_the_seed_alone():
    def order(seed):
        shards = plan_shards("train", "train", 50, 4, seed)
        return np.concatenate([shard.indices for shard in shards]).tolist()

    assert order(1) == order(1)
    assert order(1) != order(2)
    assert order(1) != list(range(50))
    assert order(0) != list(range(50)), "0 is a seed too"


def test_a_shard_gathers_records_of_several_files_in_its_own_order(tmp_path):
    (tmp_path / "one").write_bytes(b"aabbb")
    (tmp_path / "two").write_bytes(b"c")
    shard = tmp_path / "s.tfrecords"
    write_shard(shard, tmp_path, [("one", 2, 3), ("two", 0, 1), ("one", 0, 2)])
    assert shard.read_bytes() == b"bbbcaa"


@pytest.mark.parametrize("missing", ["one", "two"], ids=["cut short", "gone"])
def test_a_shard_whose_records_are_cut_or_gone_does_not_appear(tmp_path, missing):
    (tmp_path / "one").write_bytes(b"aab")
    (tmp_path / "three").write_bytes(b"c")
    with pytest.raises(OSError, match=f"{missing}"):
        write_shard(tmp_path / "s", tmp_path, [("three", 0, 1), (missing, 2, 3)])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "three"]


def test_a_shard_may_be_empty(tmp_path):
    path = tmp_path / "s.tfrecords"
    write_shard(path, tmp_path, [])
    assert path.read_bytes() == b""


def test_the_persons_left_out_are_listed_with_their_joints():
    persons = people("a.jpg", "b.jpg", "c.jpg")
    invalid = list_invalid(np.arange(4, 7), persons, [(0, 10), "bad", (10, 12)])
    assert invalid == [(5, "b.jpg", "bad", encode_joints(persons[1].keypoints_visible))]


def test_rejects_come_in_the_order_of_the_annotations():
    shards = [Shard(split, "", range(5)) for split in ("validation", "train", "train")]
    results = [
        [(0, "v.jpg", "worse", "1" * 16)],
        [(7, "b.jpg", "bad", "01" * 8)],
        [(2, "a.jpg", "bad", "10" * 8)],
    ]
    assert collect_invalid(shards, results) == [
        InvalidRecord("train", 2, "a.jpg", "bad", "10" * 8),
        InvalidRecord("train", 7, "b.jpg", "bad", "01" * 8),
        InvalidRecord("validation", 0, "v.jpg", "worse", "1" * 16),
    ]


def test_train_is_shuffled_and_validation_is_not(persons, tiny_params):
    shards = plan_splits(persons, tiny_params.shard)
    train = [i for s in shards if s.split == "train" for i in s.indices]
    validation = [i for s in shards if s.split == "validation" for i in s.indices]
    assert sorted(train) == list(range(14)) and train != sorted(train)
    assert validation == list(range(5))
