import keras
import numpy as np
import pytest

from hourglass.keypoints import MPII
from hourglass.models.batch_norm import FusedBatchNorm, fuse_batch_norms, fuse_conv_bn
from hourglass.models.registry import build_model


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
