"""Small networks, what they are shown, and params with other values."""

import zipfile

import numpy as np

from hourglass.config import ModelParams
from hourglass.keypoints import MPII
from hourglass.models.metadata import NAME, ExportMetadata, ModelMetadata, encode_metadata


def make_params(num_stacks=2, num_channels=8, num_levels=2, input_size=32, encoder="none"):
    return ModelParams(
        name="stacked_hourglass",
        encoder=encoder,
        num_stacks=num_stacks,
        num_channels=num_channels,
        num_levels=num_levels,
        input_size=input_size,
    )


def change_train(params, **values):
    return params.model_copy(update={"train": params.train.model_copy(update=values)})


def random_pictures(number=2, size=32, seed=1):
    return np.random.default_rng(seed).uniform(0, 255, (number, size, size, 3)).astype(np.float32)


def make_metadata(**values):
    """The metadata of a network of one stack, with other values where they are given."""
    usual = {
        "name": "stacked_hourglass", "trained_on": ("synthetic",), "input_size": 32,
        "schema": MPII, "stride": 4, "sigma": 1.0, "heads": ("stack1_heatmaps",),
    }  # fmt: skip
    return ModelMetadata(**(usual | values))


def make_export_metadata(flip_test=True, **values):
    """The metadata of an export of `make_metadata`'s network."""
    model = make_metadata(**values)
    return ExportMetadata(model, flip_test, "float32", "for research", "0f" * 32)


def write_network_file(path, text=None):
    """What a `.keras` file tells without Keras: no network is in it."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", '{"keras_version": "3.14.0"}')
        archive.writestr(NAME, encode_metadata(make_metadata()) if text is None else text)
