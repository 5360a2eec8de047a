"""The tutorial's own scripts, and the one function of it that its text shows in pieces."""

import importlib
import sys
from pathlib import Path

import numpy as np

from hourglass.utils.backend import tf

SHARD_SCRIPT = "tfrecords_mpii.py"


class Tutorial:
    """The "action stickers" tutorial: train.py, preprocess.py, hourglass104.py in `folder`."""

    def __init__(self, folder):
        self.folder = Path(folder).resolve()
        sys.path.insert(0, str(self.folder))
        try:
            self.train = importlib.import_module("train")
            self.network = importlib.import_module("hourglass104")
        finally:
            sys.path.pop(0)

    def batches(self, split, batch_size):
        """Its train pipeline, from shards of whole pictures."""
        pattern = str(Path(split.paths[0]).parent / "train*")
        return self.train.create_dataset(pattern, batch_size, 16, is_train=True)

    def build_network(self):
        """4 stacks, 256 px, as its train.py asks for."""
        return self.network.StackedHourglassNetwork((256, 256, 3), 4, 1, 16)

    def train_step(self, network, batch_size):
        """Its train step, compiled to a graph as its train.py does."""
        strategy = tf.distribute.get_strategy()
        trainer = self.train.Trainer(network, 1, batch_size, strategy, 7e-4)
        return tf.function(trainer.train_step)


def predict_photo(network, data):
    """Its `predict`: the whole picture squashed to 256 px, the network eagerly, the peaks.

    Its text adds a quarter of a pixel to each peak, in Python; that is left out here.
    """
    image = tf.io.decode_jpeg(data)
    inputs = tf.cast(tf.image.resize(image, (256, 256)), tf.float32) / 127.5 - 1
    outputs = network(tf.expand_dims(inputs, 0), training=False)
    flat = tf.reshape(tf.squeeze(outputs[-1], axis=0), (4096, 16))
    peaks = tf.math.argmax(flat, axis=0).numpy()
    return np.stack([peaks % 64, peaks // 64], axis=1) / 64
