"""Small networks and what they are shown."""

import numpy as np

from hourglass.params import ModelParams


def make_params(num_stacks=2, num_channels=8, num_levels=2, input_size=32):
    return ModelParams(
        num_stacks=num_stacks,
        num_channels=num_channels,
        num_levels=num_levels,
        input_size=input_size,
    )


def random_pictures(number=2, size=32, seed=1):
    return np.random.default_rng(seed).uniform(0, 255, (number, size, size, 3)).astype(np.float32)
