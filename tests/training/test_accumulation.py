"""Several passes of a trainer's step, by `training.accumulation`."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from helpers.networks import change_train, make_metadata
from hourglass.data.tfrecords.pipeline import train_batches
from hourglass.data.tfrecords.reader import open_split
from hourglass.keypoints import MPII
from hourglass.models.registry import build_model
from hourglass.training import trainer


@pytest.fixture
def make_trainer(shard_folder, tmp_path, monkeypatch):
    """A function that gives a Trainer of a network."""
    splits = [open_split(shard_folder, split, 32) for split in ("train", "validation")]

    def make(params, network):
        monkeypatch.setattr(trainer, "build_model", lambda *_: network)
        monkeypatch.setattr(trainer, "inner_kernels", lambda _: [])
        return trainer.Trainer(params, *splits, tf.distribute.get_strategy(), tmp_path / "c.npz")

    return make


def make_network(model=None):
    """A network without norms: each pass of a batch then computes what the whole would."""
    keras.utils.set_random_seed(1)
    if model:
        return build_model(model, MPII)
    pictures = keras.Input((32, 32, 3))
    x = keras.layers.Conv2D(8, 7, 4, "same", activation="relu")(pictures / 255)
    network = keras.Model(pictures, keras.layers.Conv2D(16, 3, padding="same")(x))
    network.metadata = make_metadata()
    return network


@pytest.fixture(scope="module")
def batches(shard_folder, tiny_params):
    split = open_split(shard_folder, "train", 32)
    return list(train_batches(split, 4, tiny_params.train.augment, 1, 1))


@pytest.mark.parametrize("limit", [1, 2, 3])
@pytest.mark.parametrize(
    "values",
    [
        {},
        pytest.param({"clip_norm": 0.01}, marks=pytest.mark.slow),
        pytest.param({"precision": "mixed_float16"}, marks=pytest.mark.slow),
    ],
    ids=["plain", "clipped", "float16"],
)
def test_several_passes_are_one_step(limit, values, batches, tiny_params, make_trainer):
    results = []
    for max_batch in (0, limit):
        params = change_train(tiny_params, max_batch_per_device=max_batch, **values)
        network = make_network()
        made = make_trainer(params, network)
        made.optimizer.learning_rate = 1e-2
        losses = [float(made.train_step(batch)) for batch in batches]
        results.append((losses, network.get_weights()))
    assert made.num_passes == {1: 4, 2: 2, 3: 2}[limit]
    (whole_losses, whole), (losses, weights) = results
    assert losses == pytest.approx(whole_losses, rel=1e-5)
    for ours, expected in zip(weights, whole, strict=True):
        np.testing.assert_allclose(ours, expected, atol=1e-5)


@pytest.mark.slow
def test_the_passes_of_a_step_move_the_kept_statistics_as_one_would(
    batches, tiny_params, make_trainer
):
    """Of the statistics of before as much stays; what is new is the mean of the passes'."""
    params = change_train(tiny_params, max_batch_per_device=2)
    network = make_network(params.model)
    norm = network.get_layer("stem_conv_norm")
    norm.moving_mean.assign(np.full(norm.moving_mean.shape, 1000.0))
    made = make_trainer(params, network)
    made.optimizer.learning_rate = 0.0
    made.train_step(batches[0])
    np.testing.assert_allclose(norm.moving_mean, 900, atol=1)
