import keras
import numpy as np
import pytest
from keras import layers, ops

from helpers.networks import make_params, random_pictures
from hourglass.keypoints import MPII
from hourglass.models import graph
from hourglass.models.registry import build_model

FIRST = "stem_conv"
HEADS = ["stack1_heatmaps", "stack2_heatmaps"]


@pytest.fixture(scope="module")
def two_stacks():
    """Two stacks with biases that are not 0."""
    keras.utils.set_random_seed(1)
    network = build_model(make_params(), MPII)
    rng = np.random.default_rng(3)
    network.set_weights([w + rng.uniform(0.05, 0.3, w.shape) for w in network.get_weights()])
    return network


@pytest.fixture(scope="module")
def nameless(two_stacks):
    """The same network with layers whose names tell nothing, {new name: old name}."""
    names = {}

    def rename(layer):
        config = layer.get_config() | {"name": f"layer{len(names)}"}
        names[config["name"]] = layer.name
        return layer.__class__.from_config(config)

    copy = keras.models.clone_model(two_stacks, clone_function=rename)
    copy.set_weights(two_stacks.get_weights())
    return copy, names


def test_sources_and_readers_are_those_of_the_builder(two_stacks):
    sources, readers = graph.find_sources(two_stacks), graph.find_readers(two_stacks)
    assert sources["pictures"] == [] and sources["rescale"] == ["pictures"]
    merged = ["stem_residual3_add", "stack1_merge_features", "stack1_merge_heatmaps"]
    assert sources["stack1_merge"] == merged
    assert readers["stack1_heatmaps"] == [two_stacks.get_layer("stack1_merge_heatmaps")]
    assert readers["stack2_heatmaps"] == []
    done = set()
    for name, read in sources.items():
        assert done.issuperset(read), "sources first"
        done.add(name)


def test_a_norm_is_fusable_where_it_alone_reads_a_convolution(nameless):
    network, names = nameless
    fusable = graph.find_fusable_norms(network)
    found = {names[conv]: names[norm.name] for conv, norm in fusable.items()}
    # The norms of residuals read sums; all others follow a convolution of theirs.
    assert len(found) == 1 + 2 * (3 + 2 * (3 * 2 + 2)) + 2
    assert all(norm == f"{conv}_norm" for conv, norm in found.items())


def test_a_convolution_that_others_read_too_keeps_its_norm():
    pictures = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 1, name="twice")(pictures)
    y = layers.Conv2D(4, 1, name="output")(layers.BatchNormalization()(x) + x)
    network = keras.Model(pictures, [y, layers.BatchNormalization()(y)])
    assert graph.find_fusable_norms(network) == {}


def test_inner_kernels_are_all_but_the_first_and_the_heads(nameless, two_stacks):
    network, names = nameless
    convs = [layer for layer in network.layers if isinstance(layer, layers.Conv2D)]
    inner = {id(kernel) for kernel in graph.inner_kernels(network)}
    outer = {names[conv.name] for conv in convs if id(conv.kernel) not in inner}
    assert outer == {FIRST, *HEADS}
    assert len(inner) == len(convs) - 3


def test_all_that_reads_the_pictures_is_first():
    pictures = keras.Input((8, 8, 3))
    x = layers.BatchNormalization()(pictures / 255)
    first = [layers.Conv2D(4, size, padding="same", name=f"first{size}")(x) for size in (1, 3)]
    y = layers.Conv2D(4, 1, name="inner")(layers.Add()(first))
    network = keras.Model(pictures, layers.Conv2D(2, 1)(layers.ReLU()(y)))
    assert [kernel.path for kernel in graph.inner_kernels(network)] == ["inner/kernel"]


@pytest.mark.parametrize("factor", [0.25, 12])
def test_every_heatmap_is_scaled_and_nothing_else(factor, nameless):
    plain, _ = nameless
    weights = plain.get_weights()
    scaled = keras.models.clone_model(plain)
    scaled.set_weights(weights)
    graph.scale_heatmaps(scaled, factor)
    pictures = random_pictures()
    for expected, found in zip(plain(pictures), scaled(pictures), strict=True):
        np.testing.assert_allclose(found, factor * np.asarray(expected), rtol=1e-4)
    graph.scale_heatmaps(scaled, 1 / factor)
    for weight, back in zip(weights, scaled.get_weights(), strict=True):
        np.testing.assert_allclose(back, weight, rtol=1e-6)


def test_what_else_reads_heatmaps_cannot_be_kept_from_change():
    pictures = keras.Input((8, 8, 3))
    head = layers.Conv2D(2, 1, name="head")(pictures)
    network = keras.Model(pictures, [head, layers.Conv2D(2, 1)(ops.relu(head))])
    with pytest.raises(ValueError, match="reads heatmaps and is no Conv2D"):
        graph.scale_heatmaps(network, 2)
