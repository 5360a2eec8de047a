import keras
import numpy as np
import pytest
import tensorflow as tf

from helpers.networks import change_train
from hourglass.data.tfrecords.pipeline import train_batches
from hourglass.data.tfrecords.reader import open_split
from hourglass.models.stacked_hourglass import build_hourglass
from hourglass.training.optimizers import Optimizer
from hourglass.training.train_step import TrainStep
from hourglass.utils.devices import choose_part_size
from hourglass.utils.errors import UserError


def make_step(params, network):
    params = params.train
    optimizer = Optimizer(params, network.trainable_variables, [])
    return TrainStep(network, optimizer, params, tf.distribute.get_strategy())


def make_network(model=None):
    """A network without norms: each pass of a batch then computes what the whole would."""
    keras.utils.set_random_seed(1)
    if model:
        return build_hourglass(model)
    pictures = keras.Input((32, 32, 3))
    x = keras.layers.Conv2D(8, 7, 4, "same", activation="relu")(pictures / 255)
    return keras.Model(pictures, keras.layers.Conv2D(16, 3, padding="same")(x))


@pytest.fixture(scope="module")
def batches(shard_folder, tiny_params):
    split = open_split(shard_folder, "train", 32)
    return list(train_batches(split, 4, tiny_params.train.augment, 1, 1))


@pytest.mark.parametrize("limit", [1, 2, 3])
@pytest.mark.parametrize(
    "values",
    [{}, {"clip_norm": 0.01}, {"precision": "mixed_float16"}],
    ids=["plain", "clipped", "float16"],
)
def test_several_passes_are_one_step(limit, values, batches, tiny_params):
    results = []
    for max_batch in (0, limit):
        params = change_train(tiny_params, max_batch_per_device=max_batch, **values)
        network = make_network()
        step = make_step(params, network)
        losses = [float(step(batch, 1e-2, number)) for number, batch in enumerate(batches)]
        results.append((losses, network.get_weights()))
    assert step.num_passes == {1: 4, 2: 2, 3: 2}[limit]
    (whole_losses, whole), (losses, weights) = results
    assert losses == pytest.approx(whole_losses, rel=1e-5)
    for ours, expected in zip(weights, whole, strict=True):
        np.testing.assert_allclose(ours, expected, atol=1e-5)


def test_the_passes_of_a_step_move_the_kept_statistics_as_one_would(batches, tiny_params):
    """Of the statistics of before as much stays; what is new is the mean of the passes'."""
    params = change_train(tiny_params, max_batch_per_device=2)
    network = make_network(params.model)
    norm = network.get_layer("stem_conv_norm")
    norm.moving_mean.assign(np.full(norm.moving_mean.shape, 1000.0))
    make_step(params, network)(batches[0], 0.0, 0)
    np.testing.assert_allclose(norm.moving_mean, 900, atol=1)


@pytest.mark.parametrize(
    ("batch_size", "num_devices", "limit", "size"),
    [(16, 1, 0, 16), (16, 4, 0, 4), (16, 1, 5, 4), (16, 2, 3, 2), (12, 1, 7, 6), (7, 1, 6, 1)],
)
def test_a_share_is_taken_in_as_few_equal_parts_as_fit(
    batch_size, num_devices, limit, size, tiny_params
):
    params = change_train(tiny_params, batch_size=batch_size, max_batch_per_device=limit).train
    assert choose_part_size(params, num_devices) == size


@pytest.mark.parametrize(("batch_size", "num_devices"), [(16, 3), (4, 8)])
def test_unequal_shares_are_refused(batch_size, num_devices, tiny_params):
    params = change_train(tiny_params, batch_size=batch_size).train
    line = rf"train.batch_size: {batch_size} cannot be shared out equally over {num_devices} "
    with pytest.raises(UserError, match=line):
        choose_part_size(params, num_devices)
