import numpy as np
import pytest

from helpers.networks import make_params, random_pictures
from hourglass.keypoints import MPII
from hourglass.models import efficientnet_lite
from hourglass.models.batch_norm import fuse_batch_norms, fuse_conv_bn
from hourglass.models.graph import encoder_layers, encoder_variables
from hourglass.models.registry import build_model
from hourglass.utils.backend import keras


def make_network(num_levels=3, **values):
    keras.utils.set_random_seed(1)
    params = make_params(1, 8, num_levels, 64, "efficientnet_lite0").model_copy(update=values)
    return build_model(params, MPII)


@pytest.mark.parametrize(
    ("max_stride", "channels"),
    [(4, [16, 24]), (8, [16, 24, 40]), (16, [16, 24, 40, 112]), (32, [16, 24, 40, 112, 320])],
)
def test_features_are_those_of_each_stride(max_stride, channels):
    features = efficientnet_lite.encode(keras.Input((64, 64, 3)), max_stride)
    assert list(features) == [2 ** (k + 1) for k in range(len(channels))]
    for (stride, x), width in zip(features.items(), channels, strict=True):
        assert x.shape == (None, 64 // stride, 64 // stride, width)


def test_it_has_as_many_parameters_as_published():
    pictures = keras.Input((64, 64, 3))
    encoder = keras.Model(pictures, efficientnet_lite.encode(pictures, 32)[32])
    number = sum(variable.numpy().size for variable in encoder.trainable_variables)
    # Of Lite0's 4,652,008, without the last 1x1 convolution, its norm and the classifier.
    assert number == 4_652_008 - 320 * 1280 - 2 * 1280 - 1281 * 1000


def test_the_network_is_as_large_as_its_parts():
    network = make_network(num_stacks=2)
    assert network.metadata.heads == ("stack1_heatmaps", "stack2_heatmaps")
    assert [output.shape[1:] for output in network.outputs] == [(16, 16, 16)] * 2
    names = [layer.name for layer in encoder_layers(network)]
    assert names[-1] == efficientnet_lite.END
    assert all(name.startswith("encoder_") or name == "pictures" for name in names)
    assert not any(name.endswith("_skip") for name in names)


def test_a_network_without_an_encoder_has_no_encoder_variables():
    network = build_model(make_params(1, 8, 1, 32), MPII)
    assert encoder_layers(network) == encoder_variables(network) == []


def test_for_prediction_its_norms_are_fused_and_nothing_changes():
    network = make_network(num_levels=1)
    rng = np.random.default_rng(0)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()])
    pictures = random_pictures(2, 64)
    fused = fuse_conv_bn(network, "float32")
    kept = [la for la in fused.layers if isinstance(la, keras.layers.BatchNormalization)]
    assert not any("encoder" in layer.name for layer in kept)
    np.testing.assert_allclose(fused(pictures), network(pictures), rtol=1e-3, atol=1e-5)


def test_in_training_its_norms_are_those_of_the_batch():
    network = make_network(num_levels=1)
    pictures = random_pictures(4, 64)
    np.testing.assert_allclose(
        fuse_batch_norms(network)(pictures, training=True), network(pictures, training=True),
        rtol=1e-3, atol=1e-5,
    )  # fmt: skip
