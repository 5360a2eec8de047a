import numpy as np
import pytest

from hourglass.frameworks import keras, tf
from hourglass.network.hourglass import build_hourglass
from hourglass.network.norms import FusedNorm, fuse_norms
from hourglass.network.storage import save_network


@pytest.fixture
def networks(tiny_params):
    """Two equal networks of two stacks, the second one fused, and its plain self."""
    keras.utils.set_random_seed(1)
    params = tiny_params.model.model_copy(update={"num_stacks": 2})
    plain, shared = build_hourglass(params), build_hourglass(params)
    shared.set_weights(plain.get_weights())
    return plain, fuse_norms(shared), shared


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
    assert sum(isinstance(la, FusedNorm) for la in fused.layers) == len(find_norms(plain)) > 10
    for network, name in ((plain, "a"), (shared, "b")):
        save_network(network, tmp_path / name, "synthetic")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
