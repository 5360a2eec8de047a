import numpy as np
import pytest
import tensorflow as tf

from helpers.stored_persons import (
    blob_jpeg,
    encode_record,
    make_person,
    read_record,
    shard_params,
    to_picture,
)
from hourglass.data.tfrecords.record import FEATURES
from hourglass.utils import transforms

TUTORIAL_FEATURES = {
    "image/height": "int64_list",
    "image/width": "int64_list",
    "image/depth": "int64_list",
    "image/object/parts/x": "int64_list",
    "image/object/parts/y": "int64_list",
    "image/object/parts/v": "int64_list",
    "image/object/center/x": "int64_list",
    "image/object/center/y": "int64_list",
    "image/object/scale": "float_list",
    "image/encoded": "bytes_list",
    "image/filename": "bytes_list",
}


@pytest.mark.parametrize("crop_size", [384, 96, 0])
@pytest.mark.parametrize("scale", [0.2, 1.3, 2.9])
def test_a_record_comes_back_as_it_was(crop_size, scale):
    person = make_person(scale=scale)
    data = blob_jpeg(640, 480, *person.joints[0])
    params = shard_params(crop_size=crop_size)
    record = read_record(encode_record(person, 17, data, params))
    joints = to_picture(record, record["keypoints"])
    keypoints_visible = person.keypoints_visible
    np.testing.assert_allclose(
        joints[keypoints_visible], person.joints[keypoints_visible], atol=0.01
    )
    np.testing.assert_array_equal(record["keypoints_visible"], keypoints_visible)
    center, side = transforms.person_region(person.center, person.scale)
    np.testing.assert_allclose(to_picture(record, record["center"]), center, atol=0.01)
    assert record["side"] * record["transform"][0, 0] == pytest.approx(side, rel=1e-5)
    head_size = record["head_size"] * record["transform"][0, 0]
    assert head_size == pytest.approx(person.head_size, rel=1e-6)
    assert (record["index"], record["filename"]) == (17, b"a.jpg")


@pytest.mark.parametrize("crop_size", [384, 96, 0])
def test_the_tutorials_features_have_its_names_types_and_meaning(crop_size):
    person = make_person()
    data = blob_jpeg(640, 480, 300, 200)
    serialized = encode_record(person, 0, data, shard_params(crop_size=crop_size))
    features = tf.train.Example.FromString(serialized).features.feature
    kinds = {name: features[name].WhichOneof("kind") for name in TUTORIAL_FEATURES}
    assert kinds == TUTORIAL_FEATURES
    assert set(features) == set(FEATURES)

    def ints(name):
        return np.array(features[f"image/{name}"].int64_list.value)

    record = read_record(serialized)
    exact = record["keypoints"]
    keypoints_visible = person.keypoints_visible
    parts = np.stack([ints("object/parts/x"), ints("object/parts/y")], axis=1)
    np.testing.assert_array_equal(parts[keypoints_visible], np.rint(exact[keypoints_visible]))
    np.testing.assert_array_equal(ints("object/parts/v"), np.where(keypoints_visible, 2, 0))
    np.testing.assert_array_equal(parts[~keypoints_visible], -1)
    height, width, depth = tf.io.decode_jpeg(record["encoded"]).shape
    assert [*ints("height"), *ints("width"), *ints("depth")] == [height, width, depth]
    ratio = record["transform"][0, 0]
    center = to_picture(record, [*ints("object/center/x"), *ints("object/center/y")])
    np.testing.assert_allclose(center, person.center, atol=0.51 * ratio)
    scale = features["image/object/scale"].float_list.value[0]
    assert scale * ratio == pytest.approx(person.scale, rel=1e-5)


def test_a_joint_above_the_picture_is_kept_and_one_at_minus_one_is_told_by_its_flag():
    person = make_person()
    person.joints[5] = -1  # labelled, and by chance where missing joints are written
    record = read_record(
        encode_record(person, 0, blob_jpeg(640, 480, 1, 1), shard_params(crop_size=0))
    )
    assert record["keypoints_visible"][[3, 5, 9]].tolist() == [False, True, True]
    np.testing.assert_allclose(record["keypoints"][9], [310.123, -4.567], atol=1e-4)
