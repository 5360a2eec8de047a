import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from helpers.fake_networks import SIZE, FakeNetwork, make_estimator
from helpers.networks import make_metadata, random_pictures
from helpers.processes import run_python
from hourglass.data.tfrecords.pipeline import eval_batches
from hourglass.data.tfrecords.reader import open_split
from hourglass.keypoints import MPII
from hourglass.models.model_inputs import swap_sides
from hourglass.models.pose_estimator import PoseEstimator, predict_split

# In a process of its own: logical devices must be there before TensorFlow starts.
TWO_DEVICES = """
import sys
import numpy as np, tensorflow as tf
devices = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], devices)
from hourglass.models.pose_estimator import PoseEstimator, predict_split
from hourglass.models.saving import load_network
from hourglass.data.tfrecords.pipeline import eval_batches
from hourglass.data.tfrecords.reader import open_split

shards, model, inputs, folder = sys.argv[1:]
split, inputs = open_split(shards, "validation", 32), np.load(inputs)
mirrored = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
for strategy in (tf.distribute.get_strategy(), mirrored):
    with strategy.scope():
        estimator = PoseEstimator(load_network(model), True, "dark")
    found = predict_split(estimator, eval_batches(split, 4, fill_last=True), 5)
    numbers = (len(inputs), 2)
    shared = [array for n in numbers for array in estimator.predict_inputs(inputs[:n])]
    np.savez(f"{folder}/{strategy.num_replicas_in_sync}.npz", *found, *shared)
"""


@pytest.fixture(scope="module")
def val_split(shard_folder):
    return open_split(shard_folder, "validation", 32)


def test_predict_split_is_in_the_order_of_the_annotations(val_split, network):
    estimator = PoseEstimator(network, flip_test=False, decoder="argmax")
    keypoints, scores, is_predicted = predict_split(estimator, eval_batches(val_split, 2), 5)
    assert keypoints.shape == (5, 16, 2) and scores.shape == (5, 16)
    assert is_predicted.all()
    # One batch in reverse gives the same persons the same keypoints.
    batch = {key: value[::-1] for key, value in next(iter(eval_batches(val_split, 5))).items()}
    _, again, again_scores = estimator(batch)
    np.testing.assert_allclose(again[::-1], keypoints, atol=1e-3)
    np.testing.assert_allclose(again_scores[::-1], scores, atol=1e-5)


def test_predict_split_flags_whom_the_shards_do_not_hold():
    class Predictor:
        schema = MPII

        def compile_call(self, spec):
            assert spec.shape == [None]
            number = 2.0 * np.ones((2, 16, 2), np.float32)
            answer = np.array([3, 1]), number * [[[3]], [[1]]], number[..., 0]
            return lambda _: [tf.constant(values) for values in answer]

    batches = tf.data.Dataset.range(2).batch(2)
    keypoints, scores, is_predicted = predict_split(Predictor(), batches, 5)
    assert is_predicted.tolist() == [False, True, False, True, False]
    assert keypoints[:, 0, 0].tolist() == [0, 2, 0, 6, 0]
    assert scores[:, 0].tolist() == [0, 2, 0, 2, 0]


def test_keypoints_come_back_to_the_original_pixels(val_split):
    # A network that always points at the middle of its input gives the crop's center.
    def middle(pictures):
        heatmaps = np.zeros((1, 8, 8, 16), np.float32)
        heatmaps[:, 3:5, 3:5] = 1
        return ops.repeat(ops.convert_to_tensor(heatmaps), ops.shape(pictures)[0], axis=0)

    fake = FakeNetwork(middle)
    fake.metadata = make_metadata(input_size=32)
    batch = next(iter(eval_batches(val_split, 5)))
    _, keypoints, _ = PoseEstimator(fake, False, "dark")(batch)
    center = np.concatenate([batch["center"].numpy(), np.ones((5, 1))], axis=1)
    expected = np.einsum("nij,nj->ni", batch["transform"].numpy(), center)
    zoom = batch["transform"].numpy()[:, 0, 0] * batch["side"].numpy() / 8  # px a heatmap px
    error = np.abs(keypoints - expected[:, None]).max(axis=(1, 2))
    assert (error <= 0.5 * zoom + 1e-3).all()


def test_a_second_look_is_closer_and_at_what_the_first_one_found():
    # A bright square of 8 stored px, far from the center that is given.
    crops = np.zeros((1, 256, 256, 3), np.uint8)
    crops[0, 60:68, 150:158] = 255
    batch = {
        "crops": crops, "center": np.array([[120.0, 120.0]], np.float32), "index": np.zeros(1),
        "side": np.array([200.0], np.float32), "transform": np.eye(2, 3, dtype=np.float32)[None],
    }  # fmt: skip
    errors, middle = [], [153.5, 63.5]
    for num_refinements in (0, 1):
        estimator = make_estimator(decoder="argmax", num_refinements=num_refinements)
        _, keypoints, scores = estimator(batch)
        errors.append(np.abs(np.asarray(keypoints) - middle).max())
        assert len(estimator.network.seen) == num_refinements + 1
    # Half a heatmap px at most: of 12.5 stored px, then of 3.1, which the spot fills.
    assert errors[1] < 1.6 < errors[0] < 6.3
    assert np.asarray(scores).min() > 0.9


def mirrored(heatmaps):
    """Heatmaps [N, H, W, K] of the mirrored picture, with left and right exchanged."""
    return heatmaps[:, :, ::-1][..., list(MPII.flip_order)]


def test_flip_test_averages_the_mirrored_and_swapped_heatmaps():
    rng = np.random.default_rng(1)
    plain, flipped = rng.random((2, 2, 16, 16, 16)).astype(np.float32)
    answers = iter([plain, flipped])
    estimator = make_estimator(lambda _: next(answers), flip_test=True)
    pictures = rng.uniform(0, 255, (2, SIZE, SIZE, 3)).astype(np.float32)
    heatmaps = estimator.predict_heatmaps(pictures)
    np.testing.assert_allclose(heatmaps, (plain + mirrored(flipped)) / 2, rtol=1e-6)
    first, second = estimator.network.seen
    np.testing.assert_array_equal(first, pictures)
    np.testing.assert_array_equal(second, pictures[:, :, ::-1])


def test_without_flip_test_the_heatmaps_are_the_networks_own():
    plain = np.random.default_rng(1).random((2, 16, 16, 16)).astype(np.float32)
    estimator = make_estimator(lambda _: plain)
    np.testing.assert_array_equal(estimator.predict_heatmaps(np.zeros((2, SIZE, SIZE, 3))), plain)
    assert len(estimator.network.seen) == 1


def test_with_flip_test_a_mirrored_picture_gives_the_mirrored_pose(network):
    estimator = PoseEstimator(network, flip_test=True, decoder="argmax")
    pictures = np.random.default_rng(2).uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)
    heatmaps = np.asarray(estimator.predict_heatmaps(pictures))
    other = np.asarray(estimator.predict_heatmaps(pictures[:, :, ::-1].copy()))
    np.testing.assert_allclose(other, mirrored(heatmaps), atol=1e-6)
    assert np.abs(heatmaps - mirrored(heatmaps)).max() > 1e-4


def test_swap_sides_is_its_own_inverse():
    joints = np.arange(16)[None]
    assert (
        np.asarray(swap_sides(swap_sides(joints, MPII.flip_order), MPII.flip_order)).tolist()
        == joints.tolist()
    )


@pytest.mark.slow
def test_two_devices_predict_as_one(tmp_path, shard_folder, model_file):
    # Five records in batches of four, five inputs for two: neither comes out even.
    np.save(tmp_path / "inputs.npy", random_pictures(5).astype(np.uint8))
    arguments = (shard_folder, model_file, tmp_path / "inputs.npy", tmp_path)
    run_python("-W", "error::UserWarning", "-c", TWO_DEVICES, *arguments, check=True)
    with np.load(tmp_path / "1.npz") as one, np.load(tmp_path / "2.npz") as two:
        assert len(one.files) == 7 and one["arr_2"].all() and two["arr_2"].all()
        for name in one.files:
            np.testing.assert_allclose(two[name], one[name], atol=1e-3)


def test_views_in_batches_of_any_size_are_found_as_alone(network):
    estimator = PoseEstimator(network, flip_test=True, decoder="dark")
    inputs = random_pictures(5).astype(np.uint8)
    together = estimator.predict_inputs(inputs)
    for size in (1, 2, 5):
        parts = [estimator.predict_inputs(inputs[k : k + size]) for k in range(0, 5, size)]
        for number, whole in enumerate(together):
            apart = np.concatenate([part[number] for part in parts])
            np.testing.assert_allclose(apart, whole, atol=1e-3)
    assert estimator.predict_inputs.experimental_get_tracing_count() == 1
