import dataclasses

import keras
import pytest

from helpers.networks import make_params
from hourglass.keypoints import COCO, MPII
from hourglass.models import registry, stacked_hourglass
from hourglass.models.graph import check_network
from hourglass.utils.errors import UserError


@pytest.fixture
def register(monkeypatch):
    """`registry.register`, undone after the test."""
    assert stacked_hourglass, "the package's own is registered once, when it is imported"
    monkeypatch.setattr(registry, "_BUILDERS", dict(registry._BUILDERS))
    return registry.register


def build_tiny(params, schema, **settings):
    pictures = keras.Input((params.input_size, params.input_size, 3))
    settings = {"strides": 8, "padding": "same", "name": "head"} | settings
    head = keras.layers.Conv2D(schema.num_keypoints, 9, **settings)
    return keras.Model(pictures, head(pictures))


def test_a_network_has_the_metadata_of_its_graph(register):
    register("tiny", encoder=lambda params: "head")(build_tiny)
    params = make_params(input_size=64).model_copy(update={"name": "tiny"})
    metadata = registry.build_model(params, COCO, sigma=1.5).metadata
    assert (metadata.name, metadata.schema, metadata.sigma) == ("tiny", COCO, 1.5)
    assert (metadata.input_size, metadata.stride, metadata.heatmap_size) == (64, 8, 8)
    assert (metadata.heads, metadata.encoder, metadata.trained_on) == (("head",), "head", ())


def test_the_hourglass_has_a_head_for_each_stack():
    metadata = registry.build_model(make_params(num_stacks=3), MPII).metadata
    assert metadata.heads == ("stack1_heatmaps", "stack2_heatmaps", "stack3_heatmaps")
    assert (metadata.name, metadata.stride, metadata.encoder) == ("stacked_hourglass", 4, "")


def test_an_unknown_name_is_one_line():
    params = make_params().model_copy(update={"name": "vit"})
    expected = r"^params.yaml: model.name: 'vit' is no model; choose stacked_hourglass"
    with pytest.raises(UserError, match=expected):
        registry.build_model(params, MPII)


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"input_size": 128}, "it maps"),
        ({"stride": 2}, "it maps"),
        ({"schema": COCO}, "it maps"),
        ({"heads": ("head", "other")}, "its heads are"),
        ({"encoder": "backbone"}, "it has no layer 'backbone'"),
    ],
)
def test_a_network_is_held_against_its_metadata(register, changes, part):
    register("tiny")(build_tiny)
    params = make_params(input_size=64).model_copy(update={"name": "tiny"})
    network = registry.build_model(params, MPII)
    network.metadata = dataclasses.replace(network.metadata, **changes)
    with pytest.raises(ValueError, match=part):
        check_network(network)


def test_a_builder_that_breaks_the_contract_is_told(register):
    register("oblong")(lambda params, schema: build_tiny(params, schema, strides=(8, 4)))
    params = make_params(input_size=64).model_copy(update={"name": "oblong"})
    with pytest.raises(ValueError, match=r"it maps .*\(8, 16, 16\).* not one square picture"):
        registry.build_model(params, MPII)
