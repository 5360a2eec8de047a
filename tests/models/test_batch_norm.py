import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest

from hourglass.keypoints import MPII
from hourglass.models import batch_norm
from hourglass.models.batch_norm import (
    FusedBatchNorm,
    fuse_batch_norms,
    fuse_conv_bn,
    sync_batch_norm,
)
from hourglass.models.registry import build_model
from hourglass.models.saving import save_network
from hourglass.utils.backend import keras, tf


@pytest.fixture
def networks(tiny_params):
    """Two equal networks of two stacks, the second one fused, and its plain self."""
    keras.utils.set_random_seed(1)
    params = tiny_params.model.model_copy(update={"num_stacks": 2})
    plain, shared = build_model(params, MPII), build_model(params, MPII)
    shared.set_weights(plain.get_weights())
    return plain, fuse_batch_norms(shared), shared


PICTURES = np.random.default_rng(0).uniform(0, 255, (4, 32, 32, 3)).astype(np.float32)
GOALS = np.random.default_rng(1).random((4, 8, 8, 16)).astype(np.float32)


def train_step(network):
    with tf.GradientTape() as tape:
        outputs = network(PICTURES, training=True)
        loss = sum(tf.reduce_mean(tf.square(output - GOALS)) for output in outputs)
    variables = network.trainable_variables
    gradients = tape.gradient(loss, variables)
    return outputs, {v.path: g for v, g in zip(variables, gradients, strict=True)}


def test_outputs_gradients_and_statistics_are_those_of_keras(networks):
    plain, fused, shared = networks
    for _ in range(3):
        (expected, gradients), (outputs, ours) = train_step(plain), train_step(fused)
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-5)
    assert gradients.keys() == ours.keys()
    for path, gradient in gradients.items():
        np.testing.assert_allclose(ours[path], gradient, rtol=1e-3, atol=1e-5, err_msg=path)
    for ours, theirs in zip(find_norms(shared), find_norms(plain), strict=True):
        np.testing.assert_allclose(ours.moving_mean, theirs.moving_mean, rtol=1e-4, atol=1e-5)
        # What three steps have added to the 1 that it starts with, 0.9 of which stays at each.
        number = len(PICTURES) * np.prod(theirs.output.shape[1:3])
        added = (np.asarray(theirs.moving_variance) - 0.9**3) * number / (number - 1)
        np.testing.assert_allclose(ours.moving_variance, 0.9**3 + added, rtol=1e-4, atol=1e-5)


def test_outside_of_training_it_is_keras_norm(networks):
    plain, fused, shared = networks
    train_step(fused)
    plain.set_weights(shared.get_weights())
    np.testing.assert_allclose(fused(PICTURES)[-1], plain(PICTURES)[-1], atol=1e-5)


def find_norms(network):
    return [la for la in network.layers if isinstance(la, keras.layers.BatchNormalization)]


def test_all_norms_are_fused_and_the_network_itself_is_not(networks, tmp_path):
    plain, fused, shared = networks
    assert sum(isinstance(la, FusedBatchNorm) for la in fused.layers) == len(find_norms(plain)) > 10
    for network, name in ((plain, "a"), (shared, "b")):
        save_network(network, tmp_path / name, ["synthetic"])
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


class Replicas:
    """A context for threads that stand for replicas, each with a part of the batch."""

    def __init__(self, number):
        self.num_replicas_in_sync = number
        self.barrier, self.values = threading.Barrier(number, timeout=60), {}

    def all_reduce(self, operation, value):
        assert operation == "mean"
        self.values[threading.get_ident()] = value
        self.barrier.wait()
        mean = sum(self.values.values()) / self.num_replicas_in_sync
        self.barrier.wait()  # until all have read
        return mean


@pytest.mark.parametrize("number", [2, 3])
def test_parts_on_several_devices_are_normalised_as_one_batch(number):
    rng = np.random.default_rng(number)
    # Parts that differ, and a last channel that is far from 0.
    pictures = rng.normal(3, 2, (6, 5, 4, 3)) + np.arange(6)[:, None, None, None]
    pictures[..., 2] += 50
    pictures, weights = pictures.astype(np.float32), rng.normal(size=pictures.shape)
    gamma, beta = (tf.constant(rng.normal(1, 0.3, 3), tf.float32) for _ in range(2))
    whole = keras.layers.BatchNormalization(epsilon=1e-3)
    whole.build(pictures.shape)
    whole.set_weights([gamma, beta, np.zeros(3), np.ones(3)])
    context = Replicas(number)

    def differentiate(function, part, weights):
        part, weights = tf.constant(part), tf.constant(weights, tf.float32)
        with tf.GradientTape() as tape:
            tape.watch([part, gamma, beta])
            outputs, *statistics = function(part)
            loss = tf.reduce_sum(weights * outputs)
        sources = [part, *(whole.trainable_weights if function is call_whole else [gamma, beta])]
        return outputs, *tape.gradient(loss, sources), *statistics

    def call_whole(part):
        return [whole(part, training=True)]

    def call_part(part):
        return sync_batch_norm(part, gamma, beta, 1e-3, context)

    outputs, *gradients = differentiate(call_whole, pictures, weights)
    with ThreadPoolExecutor(number) as pool:
        parts = np.split(pictures, number), np.split(weights, number)
        results = list(pool.map(lambda p, w: differentiate(call_part, p, w), *parts))
    ours, by_picture, by_gamma, by_beta, means, variances = zip(*results, strict=True)
    np.testing.assert_allclose(np.concatenate(ours), outputs, atol=1e-3)
    np.testing.assert_allclose(np.concatenate(by_picture), gradients[0], atol=1e-3)
    np.testing.assert_allclose(sum(by_gamma), gradients[1], atol=1e-2)
    np.testing.assert_allclose(sum(by_beta), gradients[2], atol=1e-4)
    for mean, variance in zip(means, variances, strict=True):
        np.testing.assert_allclose(mean, pictures.mean((0, 1, 2)), rtol=1e-5)
        np.testing.assert_allclose(variance, pictures.var((0, 1, 2), ddof=1), rtol=1e-3)


@pytest.mark.parametrize("num_passes", [1, 2, 5])
def test_all_passes_of_a_step_leave_what_the_momentum_says(networks, num_passes):
    (norm, *_) = find_norms(networks[2])
    left = (1 - FusedBatchNorm(norm, num_passes).new_share) ** num_passes
    assert left == pytest.approx(norm.momentum)


def test_statistics_are_summed_over_devices_only_where_there_are_several(networks, monkeypatch):
    fused = networks[1]
    norm = next(layer for layer in fused.layers if isinstance(layer, FusedBatchNorm))
    inputs = np.random.default_rng(0).normal(3, 2, (2, 4, 4, norm.norm.gamma.shape[0]))
    inputs = inputs.astype(np.float32)
    asked = []

    def sum_up(*arguments):
        asked.append(arguments)
        return sync_batch_norm(*arguments)

    monkeypatch.setattr(batch_norm, "sync_batch_norm", sum_up)
    norm(inputs, training=True)
    assert not asked
    before = np.asarray(norm.norm.moving_mean)
    equal = SimpleNamespace(num_replicas_in_sync=2, all_reduce=lambda _, values: values)
    monkeypatch.setattr(tf.distribute, "get_replica_context", lambda: equal)
    norm(inputs, training=True)
    assert len(asked) == 1
    expected = 0.9 * before + 0.1 * inputs.mean((0, 1, 2))
    np.testing.assert_allclose(norm.norm.moving_mean, expected, rtol=1e-5)


# For prediction


@pytest.fixture(scope="module")
def trained(tiny_params):
    """Two stacks whose norms have seen something, and whose biases are not zero."""
    keras.utils.set_random_seed(1)
    network = build_model(tiny_params.model.model_copy(update={"num_stacks": 2}), MPII)
    rng = np.random.default_rng(2)
    network.set_weights([w + rng.uniform(0.05, 0.3, w.shape) for w in network.get_weights()])
    return network


def count_norms(network):
    norms = (keras.layers.BatchNormalization, FusedBatchNorm)
    return sum(isinstance(layer, norms) for layer in network.layers)


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-5), ("mixed_bfloat16", 0.1)])
def test_a_prepared_network_gives_the_same_heatmaps(trained, precision, tolerance):
    weights = trained.get_weights()
    prepared = fuse_conv_bn(trained, precision)
    pictures = np.random.default_rng(3).uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)
    for ours, expected in zip(prepared(pictures), trained(pictures), strict=True):
        assert ours.dtype == "float32"
        scale = np.abs(expected).max()
        np.testing.assert_allclose(ours / scale, expected / scale, atol=tolerance)
    assert 0 < count_norms(prepared) < count_norms(trained) / 2
    for left, before in zip(trained.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(left, before)


def test_a_network_that_was_fused_for_training_is_prepared_as_before(trained):
    expected = count_norms(fuse_conv_bn(trained, "float32"))
    fuse_batch_norms(trained)
    assert count_norms(fuse_conv_bn(trained, "float32")) == expected


def test_only_the_heads_of_a_prepared_network_are_exact(trained):
    prepared = fuse_conv_bn(trained, "mixed_bfloat16")
    exact = {layer.name for layer in prepared.layers if layer.compute_dtype == "float32"}
    assert exact - {"pictures"} == {"stack1_heatmaps", "stack2_heatmaps"}
