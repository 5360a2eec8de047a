"""The network, its loss, the steps and the decoding on Keras' JAX backend, where it is there."""

import importlib.util
import json

import numpy as np
import pytest

from helpers.paths import ROOT
from helpers.processes import run_python

PROGRAM = """
import json, sys
import numpy as np
from hourglass.models.model_inputs import crop_half_bodies, render_inputs, transform_keypoints
from hourglass.utils.backend import keras, ops
from hourglass.models.codec import open_codec
from hourglass.training.losses import heatmap_loss
from hourglass.keypoints import MPII
from hourglass.models.registry import build_model
from hourglass.training.param_groups import AdamWGroup, MuonGroup
from hourglass.config import load_params
from helpers.augmentation import draws_of
from helpers.networks import make_params

network = build_model(make_params(), MPII)
rng = np.random.default_rng(1)
network.set_weights([rng.uniform(0.05, 0.2, w.shape) for w in network.get_weights()])
batch = {
    "crops": rng.integers(0, 255, (2, 48, 48, 3), np.uint8),
    "keypoints": rng.uniform(0, 48, (2, 16, 2)).astype(np.float32),
    "keypoints_visible": np.ones((2, 16), bool),
    "center": np.full((2, 2), 23.5, np.float32),
    "side": np.full(2, 30, np.float32),
    "augmentation": draws_of(
        {"half": 1},
        {"zoom": 1.2, "turn": 0.4, "flip": 1, "red": 0.9, "blue": 1.1, "has_patch": 1},
    ),
}
batch = crop_half_bodies(batch, MPII.lower_indices)
pictures = render_inputs(batch, 32)
keypoints, keypoints_visible = transform_keypoints(batch, 32, MPII.flip_order)
codec = open_codec(network.metadata)
target = codec.encode(keypoints)
heatmaps = [output for output in network(pictures, training=True)]
loss = heatmap_loss(heatmaps, keypoints, keypoints_visible, codec, load_params(sys.argv[1]).train)
decoded, scores = codec.decode(target)
kernels = [network.get_layer(f"stack{stack}_residual_conv2").kernel for stack in (1, 2)]
moved = []
for group in (AdamWGroup(kernels, decays=True), MuonGroup(kernels)):
    gradient = group.gather([0.1 + ops.square(kernel) for kernel in kernels])
    states = [0.5 + ops.zeros(shape) for shape in group.state_shapes]
    direction, states = group.direction(gradient, states, ops.cast(3, "float32"))
    moved += [*group.scatter(direction), *states]
values = [pictures, keypoints, target, *heatmaps, loss, decoded, scores, *moved]
print(json.dumps({
    "backend": keras.backend.backend(),
    "values": [np.ravel(ops.convert_to_numpy(value)).tolist() for value in values],
}))
"""

PARAMS = ROOT / "params.yaml"


def run_on(backend):
    done = run_python(
        "-c",
        PROGRAM,
        PARAMS,
        check=True,
        cwd=ROOT / "tests",
        KERAS_BACKEND=backend,
        JAX_PLATFORMS="cpu",
    )
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["backend"] == backend
    return result["values"]


@pytest.mark.skipif(not importlib.util.find_spec("jax"), reason="JAX is not installed")
def test_jax_and_tensorflow_agree():
    for ours, theirs in zip(run_on("tensorflow"), run_on("jax"), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=2e-3)
