import shutil

import numpy as np
import pytest

from hourglass import geometry
from hourglass.errors import UserError
from hourglass.records.index import write_index
from hourglass.records.shards import Shard, write_shard
from hourglass.records.splits import check_persons, open_split, read_crops, read_truth


def test_open_split_counts_records(train_split, val_split):
    assert (train_split.num_records, train_split.num_persons, len(train_split.paths)) == (14, 14, 3)
    assert (val_split.num_records, val_split.num_persons, len(val_split.paths)) == (5, 5, 2)
    assert train_split.crop_size == 64 and not train_split.holds_whole_pictures


def test_whole_pictures_are_read_at_a_size_that_suits_the_input(whole_folder):
    split = open_split(whole_folder, "validation", 32)
    assert split.holds_whole_pictures
    assert split.crop_size == geometry.whole_size(32, 0.25, 30)


def copy_shards(folder, target):
    return shutil.copytree(folder, target / "tfrecords")


def test_a_missing_shard_is_named(shard_folder, tmp_path):
    folder = copy_shards(shard_folder, tmp_path)
    (folder / "val_0002_of_0002.tfrecords").unlink()
    with pytest.raises(UserError, match=r"val_0002_of_0002\.tfrecords: missing"):
        open_split(folder, "validation", 32)
    assert open_split(folder, "train", 32).num_records == 14


def test_a_shard_with_one_wrong_bit_is_named(shard_folder, tmp_path):
    folder = copy_shards(shard_folder, tmp_path)
    path = folder / "train_0002_of_0003.tfrecords"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"train_0002_of_0003\.tfrecords: damaged"):
        open_split(folder, "train", 32)


def test_no_index_is_named(tmp_path):
    with pytest.raises(UserError, match=r"index.json: missing; run `dvc repro shard`"):
        open_split(tmp_path, "train", 32)


def test_no_records_is_an_error(tiny_params, tmp_path):
    folder = tmp_path / "tfrecords"
    shards = [Shard(split, f"{split}.tfrecords", np.arange(0)) for split in ("train", "validation")]
    for shard in shards:
        write_shard(folder / shard.name, shard.indices, [], None, tiny_params.shard)
    counts = {"train": 0, "validation": 0}
    write_index(folder, shards, [[], []], counts, tiny_params.shard)
    with pytest.raises(UserError, match="the validation shards hold no records"):
        open_split(folder, "validation", 32)


def test_records_must_be_of_the_annotations_of_now(val_split, persons):
    people = persons["validation"]
    check_persons(val_split, people)
    for others in (people[::-1], people[:4]):
        with pytest.raises(UserError, match="made from other annotations"):
            check_persons(val_split, others)


def test_read_truth_is_the_annotations(val_split, persons):
    truth, people = read_truth(val_split), persons["validation"]
    assert truth["index"].tolist() == [0, 1, 2, 3, 4]
    for joints, joints_vis, head_size, person in zip(
        truth["joints"], truth["joints_vis"], truth["head_size"], people, strict=True
    ):
        np.testing.assert_array_equal(joints_vis, person.joints_vis)
        np.testing.assert_allclose(joints[joints_vis], person.joints[joints_vis], atol=1e-3)
        assert head_size == pytest.approx(person.head_size, rel=1e-6)


def test_read_truth_of_whole_pictures_is_the_same(val_split, whole_folder):
    crops, whole = read_truth(val_split), read_truth(open_split(whole_folder, "validation", 32))
    joints_vis = crops["joints_vis"]
    np.testing.assert_allclose(whole["joints"][joints_vis], crops["joints"][joints_vis], atol=1e-3)
    np.testing.assert_allclose(whole["head_size"], crops["head_size"], rtol=1e-6)


@pytest.mark.parametrize("whole", [False, True])
def test_read_crops_gives_the_wanted_pictures_and_their_way_back(
    whole, shard_folder, whole_folder, persons
):
    split = open_split(whole_folder if whole else shard_folder, "validation", 32)
    crops = read_crops(split, [4, 1])
    assert sorted(crops) == [1, 4]
    for index, (crop, transform) in crops.items():
        person = persons["validation"][index]
        center = geometry.apply_transform(
            geometry.invert_transform(transform.astype(float)), person.center
        )
        assert crop.dtype == np.uint8
        assert (center > 0).all() and (center < crop.shape[1::-1]).all()
        if whole:
            np.testing.assert_array_equal(transform, np.eye(2, 3))


def test_read_crops_of_nobody_is_empty(val_split):
    assert read_crops(val_split, []) == {}
