"""The network, its losses and the decoding on Keras' JAX backend, where JAX is installed."""

import importlib.util
import json
import os
import subprocess
import sys

import numpy as np
import pytest

PROGRAM = """
import json
import numpy as np
from hourglass.augment import PLAIN_DRAW, make_views
from hourglass.backend import keras, ops
from hourglass.heatmaps import decode_heatmaps, encode_heatmaps
from hourglass.model import build_hourglass
from hourglass.params import ModelParams

network = build_hourglass(ModelParams(num_stacks=2, num_channels=8, num_levels=2, input_size=32))
rng = np.random.default_rng(1)
network.set_weights([rng.uniform(0.05, 0.2, w.shape) for w in network.get_weights()])
batch = {
    "crops": rng.integers(0, 255, (2, 48, 48, 3), np.uint8),
    "keypoints": rng.uniform(0, 48, (2, 16, 2)).astype(np.float32),
    "labelled": np.ones((2, 16), np.uint8),
    "center": np.full((2, 2), 23.5, np.float32),
    "side": np.full(2, 30, np.float32),
    "draws": np.array([PLAIN_DRAW, (1.2, 0.4, 1, 0.9, 1.0, 1.1)], np.float32),
}
pictures, keypoints, labelled = make_views(batch, 32)
target = encode_heatmaps(keypoints, 8, 1.0)
heatmaps = [output for output in network(pictures, training=True)]
error = ops.mean(ops.square(heatmaps[-1] - target))
decoded, scores = decode_heatmaps(target, "taylor")
values = [pictures, keypoints, target, heatmaps[0], heatmaps[1], error, decoded, scores]
print(json.dumps({
    "backend": keras.backend.backend(),
    "values": [np.ravel(ops.convert_to_numpy(value)).tolist() for value in values],
}))
"""


def run_on(backend):
    environment = os.environ | {"KERAS_BACKEND": backend, "JAX_PLATFORMS": "cpu"}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True
    )
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["backend"] == backend
    return result["values"]


@pytest.mark.skipif(not importlib.util.find_spec("jax"), reason="JAX is not installed")
def test_jax_and_tensorflow_agree():
    for ours, theirs in zip(run_on("tensorflow"), run_on("jax"), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=2e-3)
