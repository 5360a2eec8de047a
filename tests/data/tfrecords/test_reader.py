import shutil

import numpy as np
import pytest

from helpers.paths import ROOT
from helpers.stored_persons import shard_params
from hourglass.config import load_params
from hourglass.data.tfrecords.index import write_index
from hourglass.data.tfrecords.plan import Shard
from hourglass.data.tfrecords.reader import (
    advise_crop_size,
    check_persons,
    open_split,
    read_crops,
    read_truth,
)
from hourglass.data.tfrecords.writer import write_shard
from hourglass.keypoints import MPII
from hourglass.utils import transforms
from hourglass.utils.errors import UserError


def test_open_split_counts_records(train_split, val_split):
    assert (train_split.num_records, train_split.num_persons, len(train_split.paths)) == (14, 14, 3)
    assert (val_split.num_records, val_split.num_persons, len(val_split.paths)) == (5, 5, 2)
    assert train_split.crop_size == 64 and not train_split.holds_whole_pictures


def test_whole_pictures_are_read_at_a_size_that_suits_the_input(whole_folder):
    split = open_split(whole_folder, "validation", 32)
    assert split.holds_whole_pictures
    assert split.crop_size == transforms.whole_picture_size(32, 0.25, 30)


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
        write_shard(folder / shard.name, tmp_path, [])
    counts = {"train": 0, "validation": 0}
    write_index(folder, shards, [[], []], counts, MPII, tiny_params.shard)
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
    for joints, keypoints_visible, head_size, person in zip(
        truth["joints"], truth["keypoints_visible"], truth["head_size"], people, strict=True
    ):
        np.testing.assert_array_equal(keypoints_visible, person.keypoints_visible)
        np.testing.assert_allclose(
            joints[keypoints_visible], person.joints[keypoints_visible], atol=1e-3
        )
        assert head_size == pytest.approx(person.head_size, rel=1e-6)


def test_read_truth_of_whole_pictures_is_the_same(val_split, whole_folder):
    crops, whole = read_truth(val_split), read_truth(open_split(whole_folder, "validation", 32))
    keypoints_visible = crops["keypoints_visible"]
    np.testing.assert_allclose(
        whole["joints"][keypoints_visible], crops["joints"][keypoints_visible], atol=1e-3
    )
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
        center = transforms.apply_transform(
            transforms.invert_transform(transform.astype(float)), person.center
        )
        assert crop.dtype == np.uint8
        assert (center > 0).all() and (center < crop.shape[1::-1]).all()
        if whole:
            np.testing.assert_array_equal(transform, np.eye(2, 3))


def test_read_crops_of_no_person_is_empty(val_split):
    assert read_crops(val_split, []) == {}


# The size of crops and the network's input


def crop_of(**values):
    return shard_params(**values).model_dump()


@pytest.mark.parametrize(
    ("crop_size", "advice"),
    [
        (384, "shard.crop_size 384 stores a person's crop at 222.5 px, enlarged to "
              "model.input_size 256; 442 would do"),
        (441, "442 would do"),
        (529, "shrunk by up to 1.50 to model.input_size 256 without smoothing, which adds false "
              "detail; lower it to 528"),
        (1024, "shard.crop_size 1024 stores a person's crop at 597.4 px, shrunk by up to 2.92 to"),
    ],
)  # fmt: skip
def test_a_crop_size_that_does_not_suit_the_input_is_advised_against(crop_size, advice):
    text = advise_crop_size(crop_of(crop_size=crop_size), 256)
    assert advice in text and "\n" not in text


@pytest.mark.parametrize("crop_size", [442, 512, 528, 0])
def test_a_crop_size_that_suits_the_input_needs_no_advice(crop_size):
    assert advise_crop_size(crop_of(crop_size=crop_size), 256) is None


@pytest.mark.parametrize("scale_range", [0.0, 0.25, 0.9])
@pytest.mark.parametrize(("crop_size", "input_size"), [(64, 256), (4096, 32)])
def test_the_advice_can_be_taken(crop_size, input_size, scale_range):
    crop = crop_of(crop_size=crop_size, scale_range=scale_range)
    text = advise_crop_size(crop, input_size)
    size = int(text.removesuffix(" would do").split()[-1])
    assert advise_crop_size(crop | {"crop_size": size}, input_size) is None


@pytest.mark.parametrize("folder", [".", "demo", "lspet"])
def test_the_crops_of_each_recipe_suit_its_network(folder):
    params = load_params(ROOT / folder / "params.yaml")
    assert advise_crop_size(params.shard.model_dump(), params.model.input_size) is None
