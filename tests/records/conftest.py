"""The tiny splits that tests of records read."""

import pytest

from hourglass.records.splits import open_split


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
