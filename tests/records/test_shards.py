import importlib
import importlib.util
import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from helpers.paths import DATA, needs_data
from helpers.stored_persons import Folder, blob_jpeg, people, read_record, shard_params, to_picture
from hourglass.annotations.checks import check_records
from hourglass.records.schema import parse_record
from hourglass.records.shards import (
    Shard,
    collect_rejects,
    plan_shards,
    plan_splits,
    shard_name,
    write_shard,
)
from hourglass.rejects import Reject

TUTORIAL = DATA.parent / "reference" / "action-stickers-tutorial.ko.md"


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


@pytest.fixture
def pictures():
    names = ("a.jpg", "b.jpg", "c.jpg")
    whole = {name: blob_jpeg(640, 480, 200 + 50 * k, 220) for k, name in enumerate(names)}
    return Folder(whole | {"broken.jpg": whole["a.jpg"][:1500], "text.jpg": b"hello"})


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


@pytest.fixture
def tutorial(tmp_path, monkeypatch):
    """Its `preprocess` and `train` modules, rebuilt from its text."""
    tool = DATA.parent / "tools" / "extract_tutorial.py"
    names = ("preprocess", "hourglass104", "train")
    folder = tmp_path / "tutorial"
    subprocess.run([sys.executable, tool, TUTORIAL, folder], check=True, capture_output=True)
    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(folder)
    yield importlib.import_module("preprocess"), importlib.import_module("train")
    for name in names:
        del sys.modules[name]


@pytest.fixture
def lspet_shards(tmp_path):
    """24 real persons over 4 shards: the shards' glob pattern, and the persons by index."""
    raw = json.loads((DATA / "lspet-mini" / "train.json").read_text())
    persons, _ = check_records(raw[:60], None, "train")
    persons = persons[:24]
    images = Folder(
        {p.image: (DATA / "lspet-mini" / "images" / p.image).read_bytes() for p in persons}
    )
    for shard in plan_shards("train", "train", len(persons), 4, seed=1):
        people = [persons[k] for k in shard.indices]
        path = tmp_path / shard.name
        assert not write_shard(path, shard.indices, people, images, shard_params())
    return str(tmp_path / "train_*_of_0004.tfrecords"), persons


@needs_data("lspet-mini", "../reference", "../tools")
def test_the_tutorials_parser_finds_the_joints_where_they_are(tutorial, lspet_shards):
    preprocess, _ = tutorial
    pattern, persons = lspet_shards
    parse = preprocess.Preprocessor().parse_tfexample
    seen = []
    for serialized in tf.data.TFRecordDataset(tf.io.gfile.glob(pattern)):
        theirs, ours = parse(serialized), read_record(serialized)
        x, y, v = (tf.sparse.to_dense(theirs[f"image/object/parts/{k}"]).numpy() for k in "xyv")
        person = persons[ours["index"]]
        np.testing.assert_array_equal(v > 0, person.joints_vis)
        joints = to_picture(ours, np.stack([x, y], axis=1))
        distance = np.linalg.norm(joints - person.joints, axis=1)[person.joints_vis]
        assert distance.max() <= 1
        assert theirs["image/filename"].numpy().decode() == person.image
        seen.append(int(ours["index"]))
    assert sorted(seen) == list(range(24))


@needs_data("lspet-mini", "../reference", "../tools")
def test_the_tutorials_dataset_reads_every_record(tutorial, lspet_shards):
    _, train = tutorial
    pattern, persons = lspet_shards
    num_pictures = num_peaks = 0
    for pictures, heatmaps in train.create_dataset(pattern, 8, 16, is_train=False):
        assert pictures.shape[1:] == (256, 256, 3)
        assert heatmaps.shape[1:] == (64, 64, 16)
        assert np.abs(pictures).max() <= 1
        num_pictures += len(pictures)
        num_peaks += (np.max(heatmaps, axis=(1, 2)) == 12).sum()  # its Gaussians' peak
    assert num_pictures == 24
    num_labelled = sum(person.joints_vis.sum() for person in persons)
    # It loses a Gaussian now and then, on the border of its own crop.
    assert 0.9 * num_labelled < num_peaks <= num_labelled


def test_rejects_come_in_the_order_of_the_annotations():
    shards = [Shard(split, "", range(5)) for split in ("validation", "train", "train")]
    results = [[(0, "v.jpg", "worse")], [(7, "b.jpg", "bad")], [(2, "a.jpg", "bad")]]
    assert collect_rejects(shards, results) == [
        Reject("train", 2, "a.jpg", "bad"),
        Reject("train", 7, "b.jpg", "bad"),
        Reject("validation", 0, "v.jpg", "worse"),
    ]


def test_train_is_shuffled_and_validation_is_not(persons, tiny_params):
    shards = plan_splits(persons, tiny_params.shard)
    train = [i for s in shards if s.split == "train" for i in s.indices]
    validation = [i for s in shards if s.split == "validation" for i in s.indices]
    assert sorted(train) == list(range(14)) and train != sorted(train)
    assert validation == list(range(5))
