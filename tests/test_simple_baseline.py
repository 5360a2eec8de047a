"""A second model, registered by a helper alone: trained, saved, loaded, fused, exported, found."""

import dataclasses

import keras
import numpy as np
import pytest

from helpers import simple_baseline
from helpers.networks import change_train, make_params, random_pictures
from hourglass.data.tfrecords.pipeline import eval_batches
from hourglass.data.tfrecords.reader import open_split
from hourglass.export.exporter import export_network
from hourglass.inference.backends import open_backend
from hourglass.keypoints import COCO, MPII
from hourglass.models.batch_norm import FusedBatchNorm, fuse_conv_bn
from hourglass.models.graph import inner_kernels
from hourglass.models.pose_estimator import PoseEstimator, predict_split
from hourglass.models.registry import build_model
from hourglass.models.saving import load_network
from hourglass.training.devices import prepare_devices
from hourglass.training.work_dir import WorkDir, train_network

PARAMS = make_params(1, 8, 1, 32).model_copy(update={"name": simple_baseline.NAME})


@pytest.fixture(scope="module")
def run(tiny_params, shard_folder, tmp_path_factory):
    """A run of one epoch, as the stage runs it."""
    folder = tmp_path_factory.mktemp("baseline")
    params = change_train(tiny_params, epochs=1, optimizer="muon", target_peak=10.0)
    params = params.model_copy(update={"model": PARAMS})
    names = ("state.npz", "logs", "hourglass.keras", "history.csv")
    job = WorkDir(params, shard_folder, *(folder / name for name in names))
    train_network(prepare_devices(params.train), job)
    return job


@pytest.fixture(scope="module")
def trained(run):
    return load_network(run.network)


def test_its_metadata_are_of_its_graph_and_its_data(trained):
    expected = build_model(PARAMS, MPII).metadata
    learned = {"trained_on": ("synthetic",), "calibration": trained.metadata.calibration}
    assert trained.metadata == dataclasses.replace(expected, **learned)
    assert (expected.stride, expected.heads) == (4, ("heatmaps",))
    assert expected.encoder == "encoder_relu"


def test_training_has_moved_it(run, trained):
    keras.utils.set_random_seed(run.params.train.seed)
    first = build_model(PARAMS, MPII)
    for old, new in zip(first.trainable_weights, trained.trainable_weights, strict=True):
        moved = np.abs(np.asarray(old) - np.asarray(new)).max()
        assert moved > 0 and np.isfinite(moved), old.path


def test_muon_moves_neither_its_first_convolution_nor_its_head(trained):
    convs = {la.name for la in trained.layers if isinstance(la, keras.layers.Conv2D)}
    inner = {kernel.path.split("/")[0] for kernel in inner_kernels(trained)}
    assert convs - inner == {"stem_conv", "heatmaps"}


def test_it_predicts_a_split(run, trained):
    estimator = PoseEstimator(trained, flip_test=True, decoder="dark", num_refinements=1)
    batches = eval_batches(open_split(run.shards, "validation", 32), 2)
    keypoints, scores, is_predicted = predict_split(estimator, batches, 5)
    assert keypoints.shape == (5, 16, 2) and scores.shape == (5, 16)
    assert is_predicted.all() and np.isfinite(keypoints).all()


def test_its_norms_are_fused(trained):
    # Norms that have seen something, and heatmaps that are not near 0.
    rng = np.random.default_rng(1)
    trained = copy_network(trained)
    trained.set_weights([w + rng.uniform(0.05, 0.3, w.shape) for w in trained.get_weights()])
    fused = fuse_conv_bn(trained, "float32")
    expected, found = np.asarray(trained(random_pictures())), np.asarray(fused(random_pictures()))
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found / scale, expected / scale, atol=1e-5)
    left = sum(isinstance(layer, FusedBatchNorm) for layer in fused.layers)
    norms = sum(isinstance(layer, keras.layers.BatchNormalization) for layer in trained.layers)
    assert 0 < left < norms / 2
    assert fused.metadata == trained.metadata


def copy_network(network):
    copy = build_model(PARAMS, MPII)
    copy.metadata = network.metadata
    copy.set_weights(network.get_weights())
    return copy


def test_its_export_finds_what_it_finds(run, trained):
    path = run.network.with_suffix(".onnx")
    export_network(run.network, path)
    backend = open_backend(path, flip_test=True)
    assert backend.metadata.model == trained.metadata and backend.schema == MPII
    inputs = random_pictures(3).astype(np.uint8)
    estimator = PoseEstimator(trained, flip_test=True, decoder="dark")
    expected, expected_scores = estimator.predict_inputs(inputs)
    keypoints, scores = backend(inputs)
    np.testing.assert_allclose(scores, expected_scores, atol=1e-4)
    np.testing.assert_allclose(keypoints, expected, atol=0.05)


def test_it_takes_any_schema():
    network = build_model(PARAMS, COCO)
    assert network.output_shape == (None, 8, 8, 17)
    estimator = PoseEstimator(network, flip_test=True, decoder="dark")
    keypoints, scores = estimator.find_keypoints(random_pictures(2))
    assert keypoints.shape == (2, 17, 2) and scores.shape == (2, 17)
