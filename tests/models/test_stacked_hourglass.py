import keras
import numpy as np
import pytest

from helpers.networks import make_params, random_pictures
from hourglass.keypoints import MPII
from hourglass.models.registry import build_model


@pytest.fixture(scope="module")
def two_stacks():
    keras.utils.set_random_seed(1)
    return build_model(make_params(), MPII)


def test_every_stack_gives_heatmaps_of_a_quarter_of_the_input(two_stacks):
    heatmaps = two_stacks(random_pictures())
    assert [tuple(h.shape) for h in heatmaps] == [(2, 8, 8, 16)] * 2
    assert all(h.dtype == "float32" for h in heatmaps)


def test_the_network_of_the_paper_has_its_size():
    network = build_model(make_params(4, 256, 4, 256), MPII)
    assert [tuple(output.shape) for output in network.outputs] == [(None, 64, 64, 16)] * 4
    assert round(network.count_params() / 1e6, 1) == 12.9


def test_the_levels_reach_down_to_their_resolution(two_stacks):
    assert two_stacks.get_layer("stack1_level1_bottom_add").output.shape[1:] == (2, 2, 8)
    assert two_stacks.get_layer("stack1_level2_skip_add").output.shape[1:] == (8, 8, 8)


def test_heads_start_near_zero(two_stacks):
    for heatmaps in two_stacks(random_pictures(), training=True):
        assert 0 < np.abs(heatmaps).max() < 0.05


def test_residuals_start_as_their_identities(two_stacks):
    last = [layer for layer in two_stacks.layers if layer.name.endswith("_conv3")]
    added = [layer for layer in two_stacks.layers if layer.name.endswith(("_conv1", "_conv2"))]
    assert len(last) == 3 + 2 * (3 * 2 + 2)
    assert all(not np.any(layer.kernel) for layer in last)
    assert all(np.std(layer.kernel) > 0.01 for layer in added)


def test_the_merge_keeps_the_identity_branch(two_stacks):
    merge = two_stacks.get_layer("stack1_merge")
    entry = two_stacks.get_layer("stem_residual3_add")
    names = (entry.name, "stack1_merge_features", "stack1_merge_heatmaps")
    assert [id(tensor) for tensor in merge.input] == [
        id(two_stacks.get_layer(name).output) for name in names
    ]


def test_the_first_stack_reaches_the_second_by_the_identity_alone(two_stacks):
    # With both convolutions of the merge at zero the second stack still sees the picture.
    model = keras.models.clone_model(two_stacks)
    for name in ("stack1_merge_features", "stack1_merge_heatmaps"):
        layer = model.get_layer(name)
        layer.set_weights([np.zeros_like(w) for w in layer.get_weights()])
    one, other = np.asarray(model(random_pictures(2))[1])
    assert np.abs(one - other).max() > 0


def test_mixed_precision_keeps_float32_heatmaps():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        network = build_model(make_params(), MPII)
    finally:
        keras.config.set_dtype_policy("float32")
    assert network.get_layer("stack1_linear").compute_dtype == "bfloat16"
    assert [output.dtype for output in network.outputs] == ["float32"] * 2
