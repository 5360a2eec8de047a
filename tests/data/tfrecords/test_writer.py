import itertools
import random

import numpy as np
import pytest
import tensorflow as tf

from helpers.stored_persons import Folder, parse_mpii, people, shard_params
from hourglass.data.invalid import InvalidRecord, encode_joints
from hourglass.data.tfrecords import plan
from hourglass.data.tfrecords.plan import (
    Shard,
    plan_archive_chunks,
    plan_shards,
    plan_splits,
    shard_name,
)
from hourglass.data.tfrecords.writer import collect_invalid, list_invalid, write_chunk, write_shard
from hourglass.utils import images as picture_files

PLACES = {f"{k:02}.jpg": (1000 * (k * 7 % 20), 100) for k in range(20)}


@pytest.fixture
def small_chunks(monkeypatch):
    """Of 500 bytes; a person is as much work as 50."""
    monkeypatch.setattr(plan, "CHUNK_WORK", 500)
    monkeypatch.setattr(plan, "PERSON_WORK", 50)


def crowd(seed=1):
    """Persons of two splits: some pictures have several, some none; two are not in the archive."""
    names = random.Random(seed).choices([*PLACES, "gone.jpg", "lost.jpg"], k=50)
    return {"train": people(*names[:40]), "validation": people(*names[40:])}


def test_a_plan_goes_through_the_archive_once(small_chunks):
    persons = crowd()
    plan = plan_archive_chunks(persons, PLACES)
    keys = list(itertools.chain(*plan))
    assert sorted(keys) == [(s, i) for s in ("train", "validation") for i in range(len(persons[s]))]
    names = [persons[split][index].image for split, index in keys]
    offsets = [PLACES.get(name, (-1, 0))[0] for name in names]
    assert offsets == sorted(offsets) and offsets[0] == -1
    pictures = [name for name, _ in itertools.groupby(names)]
    assert len(pictures) == len(set(pictures)), "the persons of one picture stay together"


def test_chunks_are_about_the_same_work_and_cut_between_pictures(small_chunks):
    persons = crowd()
    plan = plan_archive_chunks(persons, PLACES)
    of_chunk = [{persons[split][index].image for split, index in keys} for keys in plan]
    assert sum(map(len, of_chunk)) == len(set.union(*of_chunk))
    work = [100 * len(names & set(PLACES)) + 50 * len(keys)
            for names, keys in zip(of_chunk, plan, strict=True)]  # fmt: skip
    assert len(plan) > 4 and min(work[:-1]) >= 500 and max(work) < 500 + 100 + 50 * 10


def test_a_plan_without_persons_is_empty():
    assert plan_archive_chunks({"train": [], "validation": []}, PLACES) == []


def test_the_same_persons_give_the_same_bytes(tmp_path, pictures):
    persons, path = people("a.jpg", "b.jpg", "a.jpg"), tmp_path / "two" / "s"
    results = [
        write_chunk(tmp_path / folder / "s", [4, 2, 9], persons, pictures, shard_params())
        for folder in ("one", "two")
    ]
    assert results[0] == results[1] and (tmp_path / "one" / "s").read_bytes() == path.read_bytes()
    assert [start for start, _ in results[0]] == [0, *np.cumsum([n for _, n in results[0]])[:-1]]
    records = tf.data.TFRecordDataset(str(path)).map(parse_mpii)
    assert [int(record["index"]) for record in records] == [4, 2, 9]
    assert [record["filename"].numpy() for record in records] == [b"a.jpg", b"b.jpg", b"a.jpg"]


@pytest.mark.parametrize("crop_size", [384, 0])
def test_a_picture_is_read_and_decoded_once_for_all_of_its_persons(
    tmp_path, pictures, monkeypatch, crop_size
):
    persons, params = people(*["a.jpg"] * 3, *["b.jpg"] * 2), shard_params(crop_size=crop_size)
    alone = [
        write_chunk(tmp_path / f"{k}", [k], [person], pictures, params)
        for k, person in enumerate(persons)
    ]
    read, decoded, decode = [], [], picture_files.load_upright
    images = Folder(pictures.pictures)
    monkeypatch.setattr(images, "read", lambda n: read.append(n) or pictures.read(n), raising=False)
    monkeypatch.setattr(
        picture_files, "load_upright", lambda image: decoded.append(image) or decode(image)
    )
    results = write_chunk(tmp_path / "all", range(5), persons, images, params)
    assert read == ["a.jpg", "b.jpg"] and len(decoded) == 2
    data = (tmp_path / "all").read_bytes()
    for k, (start, length) in enumerate(results):
        assert data[start : start + length] == (tmp_path / f"{k}").read_bytes()
        assert alone[k] == [(0, length)]


def test_broken_pictures_are_set_aside_with_the_reason(tmp_path, pictures):
    persons = people("a.jpg", "broken.jpg", "broken.jpg", "b.jpg", "text.jpg", "gone.jpg")
    path = tmp_path / "s"
    results = write_chunk(path, np.arange(10, 16), persons, pictures, shard_params())
    reasons = [result for result in results if isinstance(result, str)]
    assert [isinstance(result, str) for result in results] == [False, True, True, False, True, True]
    assert "truncated" in reasons[0] and reasons[1] == reasons[0]
    assert reasons[2:] == ["cannot be decoded: not a picture", "gone.jpg: not in the archive"]
    records = tf.data.TFRecordDataset(str(path)).map(parse_mpii)
    assert [int(record["index"]) for record in records] == [10, 13]


def test_what_is_interrupted_leaves_nothing(tmp_path, pictures):
    class Interrupted(Folder):
        def read(self, name):
            if name == "b.jpg":
                raise KeyboardInterrupt
            return super().read(name)

    persons, images = people("a.jpg", "b.jpg"), Interrupted(pictures.pictures)
    with pytest.raises(KeyboardInterrupt):
        write_chunk(tmp_path / "s", [0, 1], persons, images, shard_params())
    assert list(tmp_path.iterdir()) == []


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


def test_the_invalid_persons_are_listed_with_their_joints():
    persons = people("a.jpg", "b.jpg", "c.jpg")
    invalid = list_invalid(np.arange(4, 7), persons, [(0, 10), "bad", (10, 12)])
    assert invalid == [(5, "b.jpg", "bad", encode_joints(persons[1].keypoints_visible))]


def test_invalid_records_come_in_the_order_of_the_annotations():
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
