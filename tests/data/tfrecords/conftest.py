"""The pictures that tests of records cut crops from, and the tiny splits that they read."""

import pytest

from helpers.stored_persons import Folder, blob_jpeg
from hourglass.data.tfrecords.reader import open_split


@pytest.fixture
def pictures():
    names = ("a.jpg", "b.jpg", "c.jpg")
    whole = {name: blob_jpeg(640, 480, 200 + 50 * k, 220) for k, name in enumerate(names)}
    return Folder(whole | {"broken.jpg": whole["a.jpg"][:1500], "text.jpg": b"hello"})


@pytest.fixture(scope="module")
def train_split(shard_folder):
    return open_split(shard_folder, "train", 32)


@pytest.fixture(scope="module")
def val_split(shard_folder):
    return open_split(shard_folder, "validation", 32)


@pytest.fixture(scope="module")
def whole_folder(tmp_path_factory, write_shards, tiny_params):
    params = tiny_params.shard.model_copy(update={"crop_size": 0})
    return write_shards(tmp_path_factory.mktemp("whole"), params)
