"""What stands in for a network in tests of what surrounds it."""

import keras
from keras import ops

from helpers.networks import make_metadata
from hourglass.models.pose_estimator import PoseEstimator

SIZE = 64  # px of the fake networks' input


class FakeNetwork:
    """Stands in for a network: `respond(pictures)` gives the heatmaps of the last stack."""

    metadata = make_metadata(input_size=SIZE)

    def __init__(self, respond):
        self.respond = respond
        self.seen = []

    def __call__(self, pictures, training=False):
        self.seen.append(pictures)
        return [None, self.respond(pictures)]


def brightness(pictures):
    """Heatmaps [N, S / 4, S / 4, 16] that peak where the picture is brightest."""
    pooled = keras.ops.average_pool(ops.mean(pictures, axis=3, keepdims=True), 4, 4)
    return ops.repeat(pooled / 255, 16, axis=3)


def make_estimator(respond=brightness, flip_test=False, decoder="dark", num_refinements=0):
    return PoseEstimator(FakeNetwork(respond), flip_test, decoder, num_refinements)
