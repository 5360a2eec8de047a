"""MoveNet for `make field`: TensorFlow.js' graphs as ONNX, COCO's keypoints as ours."""

import base64
import importlib
import json

import numpy as np
import pytest

from helpers.paths import ROOT
from hourglass.keypoints import COCO, MPII
from hourglass.utils.errors import UserError

SIZE = 4
# x and y of a keypoint are its number; the score is a tenth of it.
FOUND = np.repeat(np.arange(17.0)[:, None], 3, axis=1) * [1, 1, 0.1]


@pytest.fixture
def movenet(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("movenet")


def encode(text):
    return base64.b64encode(text.encode()).decode()


def write_graph(folder):
    """relu6(x * kernel + bias) by a fused operator, with weights kept as float16."""
    kernel = np.array([[2.0, 0.0], [0.0, -1.0]], np.float16)
    bias = np.array([1.0, 9.0], np.float16)
    manifest = [
        {"name": name, "shape": shape, "dtype": "float32",
         "quantization": {"dtype": "float16", "original_dtype": "float32"}}
        for name, shape in (("kernel", [1, 1, 2, 2]), ("bias", [2]))
    ]  # fmt: skip
    kind = {"type": "DT_FLOAT"}
    dims = {"shape": {"dim": [{"size": n} for n in (1, SIZE, SIZE, 2)]}}
    attributes = {
        "T": kind, "strides": {"list": {"i": [1, 1, 1, 1]}}, "padding": {"s": encode("SAME")},
        "data_format": {"s": encode("NHWC")}, "epsilon": {"f": 0.0}, "num_args": {"i": "1"},
        "fused_ops": {"list": {"s": [encode("BiasAdd"), encode("Relu6")]}},
    }  # fmt: skip
    nodes = [
        {"name": "x", "op": "Placeholder", "attr": {"dtype": kind, "shape": dims}},
        {"name": "kernel", "op": "Const", "attr": {}},
        {"name": "bias", "op": "Const", "attr": {}},
        {"name": "y", "op": "_FusedConv2D", "input": ["x", "kernel", "bias"], "attr": attributes},
    ]
    graph = {"modelTopology": {"node": nodes}, "weightsManifest": [{"weights": manifest}]}
    path = folder / "movenet-lightning.json"
    path.write_text(json.dumps(graph))
    path.with_suffix(".bin").write_bytes(kernel.tobytes() + bias.tobytes())
    return path


def test_a_fused_graph_is_the_same_in_onnx(movenet, tmp_path):
    import onnxruntime

    movenet.write_onnx(write_graph(tmp_path), tmp_path / "net.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "net.onnx"))
    x = np.random.default_rng(1).normal(0, 5, (1, SIZE, SIZE, 2)).astype(np.float32)
    expected = np.clip(np.stack([2 * x[..., 0] + 1, 9 - x[..., 1]], axis=-1), 0, 6)
    (found,) = session.run(None, {session.get_inputs()[0].name: x})
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert (expected.min(), expected.max()) == (0, 6)  # the activation does something


def test_its_keypoints_are_ours_of_the_same_name(movenet):
    points, scores = movenet.convert(np.stack([FOUND, FOUND + 1]))
    assert points.shape == (2, 16, 2) and scores.shape == (2, 16)
    knee, right, left = (COCO.index(name) for name in ("right_knee", "right_hip", "left_hip"))
    assert points[0, MPII.index("r_knee")].tolist() == [knee, knee]
    assert points[1, MPII.index("pelvis"), 0] == (right + left) / 2 + 1
    assert scores[0, MPII.index("r_knee")] == pytest.approx(knee / 10)
    for name in ("head_top", "upper_neck"):
        assert np.isnan(points[:, MPII.index(name)]).all() and not scores[:, MPII.index(name)].any()


class FakeSession:
    """Finds every keypoint at the column of the brightest pixel, in the first row."""

    def run(self, _, inputs):
        (pixels,) = inputs.values()
        x = pixels[0, :, :, 0].max(axis=0).argmax()
        found = np.zeros((1, 1, 17, 3))
        found[..., 0], found[..., 1], found[..., 2] = 0.5 / SIZE, (x + 0.5) / SIZE, 1
        return (found,)


@pytest.mark.parametrize("flip_test", [False, True])
def test_the_flip_test_finds_the_same_where_both_agree(movenet, flip_test):
    network = movenet.MoveNet.__new__(movenet.MoveNet)
    network._session, network._input, network.size = FakeSession(), "x", SIZE
    network._flip_test = flip_test
    pixels = np.zeros((1, SIZE, SIZE, 3), np.uint8)
    pixels[0, 2, 1] = 255
    points, _ = network(pixels)
    assert points[0, MPII.index("l_wrist")].tolist() == [1, 0]


def test_a_folder_without_its_files_is_named(movenet, tmp_path):
    write_graph(tmp_path)
    assert movenet.find_movenet(tmp_path).name == "movenet-lightning.json"
    (tmp_path / "movenet-lightning.bin").unlink()
    with pytest.raises(UserError, match=r"movenet-lightning\.bin: missing; it is in npm's package"):
        movenet.find_movenet(tmp_path)
