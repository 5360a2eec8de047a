"""The tutorial's own code reads our shards."""

import importlib
import json
import sys

import numpy as np
import pytest
import tensorflow as tf

from helpers.paths import DATA, needs_data
from helpers.processes import run_python
from helpers.stored_persons import Folder, read_record, shard_params, to_picture
from hourglass.data.tfrecords.plan import plan_shards
from hourglass.data.tfrecords.writer import write_chunk
from hourglass.data.validation import check_records

TEXT = "../reference/action-stickers-tutorial.ko.md"
TOOL = "../tools/extract_tutorial.py"
pytestmark = needs_data("lspet-mini", TEXT, TOOL)


@pytest.fixture
def tutorial(tmp_path, monkeypatch):
    """Its `preprocess` and `train` modules, rebuilt from its text."""
    names = ("preprocess", "hourglass104", "train")
    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)
    run_python(DATA / TOOL, DATA / TEXT, tmp_path / "tutorial", check=True)
    monkeypatch.syspath_prepend(tmp_path / "tutorial")
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
        written = write_chunk(path, shard.indices, people, images, shard_params())
        assert not any(isinstance(result, str) for result in written)
    return str(tmp_path / "train_*_of_0004.tfrecords"), persons


def test_the_tutorials_parser_finds_the_joints_where_they_are(tutorial, lspet_shards):
    preprocess, _ = tutorial
    pattern, persons = lspet_shards
    parse = preprocess.Preprocessor().parse_tfexample
    seen = []
    for serialized in tf.data.TFRecordDataset(tf.io.gfile.glob(pattern)):
        theirs, ours = parse(serialized), read_record(serialized)
        x, y, v = (tf.sparse.to_dense(theirs[f"image/object/parts/{k}"]).numpy() for k in "xyv")
        person = persons[ours["index"]]
        np.testing.assert_array_equal(v > 0, person.keypoints_visible)
        joints = to_picture(ours, np.stack([x, y], axis=1))
        distance = np.linalg.norm(joints - person.joints, axis=1)[person.keypoints_visible]
        assert distance.max() <= 1
        assert theirs["image/filename"].numpy().decode() == person.image
        seen.append(int(ours["index"]))
    assert sorted(seen) == list(range(24))


@pytest.mark.slow
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
    num_labelled = sum(person.keypoints_visible.sum() for person in persons)
    # It loses a Gaussian now and then, on the border of its own crop.
    assert 0.9 * num_labelled < num_peaks <= num_labelled
