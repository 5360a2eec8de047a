import numpy as np
import pytest
import tensorflow as tf

from helpers.stored_persons import Folder, people, shard_params
from hourglass.records.schema import parse_record
from hourglass.records.shards import (
    Shard,
    collect_rejects,
    plan_shards,
    plan_splits,
    shard_name,
    write_shard,
)
from hourglass.rejects import Reject, encode_joints


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


def test_the_same_persons_give_the_same_bytes(tmp_path, pictures):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        path = tmp_path / folder / "s.tfrecords"
        persons = people("a.jpg", "b.jpg", "a.jpg")
        assert write_shard(path, [4, 2, 9], persons, pictures, shard_params()) == []
    one, two = ((tmp_path / f / "s.tfrecords").read_bytes() for f in ("one", "two"))
    assert one == two
    records = tf.data.TFRecordDataset(str(path)).map(parse_record)
    assert [int(record["index"]) for record in records] == [4, 2, 9]
    assert [record["filename"].numpy() for record in records] == [b"a.jpg", b"b.jpg", b"a.jpg"]


def test_broken_pictures_are_set_aside_with_the_reason(tmp_path, pictures):
    path = tmp_path / "s.tfrecords"
    persons = people("a.jpg", "broken.jpg", "b.jpg", "text.jpg", "gone.jpg")
    rejects = write_shard(path, np.arange(10, 15), persons, pictures, shard_params())
    assert [reject[:2] for reject in rejects] == [
        (11, "broken.jpg"), (13, "text.jpg"), (14, "gone.jpg")
    ]  # fmt: skip
    reasons = [reject[2] for reject in rejects]
    assert "truncated" in reasons[0]
    lost = [reject[3] for reject in rejects]
    assert lost == [encode_joints(persons[k].joints_vis) for k in (1, 3, 4)]
    assert reasons[1:] == ["cannot be decoded: not a picture", "gone.jpg: not in the archive"]
    records = tf.data.TFRecordDataset(str(path)).map(parse_record)
    assert [int(record["index"]) for record in records] == [10, 12]


def test_an_interrupted_shard_leaves_nothing(tmp_path, pictures):
    class Interrupted(Folder):
        def read(self, name):
            if name == "b.jpg":
                raise KeyboardInterrupt
            return super().read(name)

    with pytest.raises(KeyboardInterrupt):
        write_shard(
            tmp_path / "s.tfrecords", [0, 1], people("a.jpg", "b.jpg"),
            Interrupted(pictures.pictures), shard_params(),
        )  # fmt: skip
    assert list(tmp_path.iterdir()) == []


def test_a_shard_may_be_empty(tmp_path, pictures):
    path = tmp_path / "s.tfrecords"
    assert write_shard(path, [], [], pictures, shard_params()) == []
    assert list(tf.data.TFRecordDataset(str(path))) == []


def test_rejects_come_in_the_order_of_the_annotations():
    shards = [Shard(split, "", range(5)) for split in ("validation", "train", "train")]
    results = [
        [(0, "v.jpg", "worse", "1" * 16)],
        [(7, "b.jpg", "bad", "01" * 8)],
        [(2, "a.jpg", "bad", "10" * 8)],
    ]
    assert collect_rejects(shards, results) == [
        Reject("train", 2, "a.jpg", "bad", "10" * 8),
        Reject("train", 7, "b.jpg", "bad", "01" * 8),
        Reject("validation", 0, "v.jpg", "worse", "1" * 16),
    ]


def test_train_is_shuffled_and_validation_is_not(persons, tiny_params):
    shards = plan_splits(persons, tiny_params.shard)
    train = [i for s in shards if s.split == "train" for i in s.indices]
    validation = [i for s in shards if s.split == "validation" for i in s.indices]
    assert sorted(train) == list(range(14)) and train != sorted(train)
    assert validation == list(range(5))
