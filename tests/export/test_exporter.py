import zipfile

import numpy as np
import pytest

from helpers.networks import random_pictures
from helpers.paths import ROOT
from helpers.processes import run_python
from hourglass.export import exporter
from hourglass.export.exporter import export_network
from hourglass.export.tensorflow_formats import ASSETS, open_litert, open_saved_model
from hourglass.inference.backends import KerasBackend, OnnxBackend, load_estimator
from hourglass.models.metadata import NAME, decode_export, read_metadata
from hourglass.utils.backend import tf
from hourglass.utils.errors import UserError
from hourglass.utils.files import file_digest

INPUTS = random_pictures(5).astype(np.uint8)


def check_metadata(text, model_file, weights="float32"):
    metadata = decode_export(text, "it")
    assert metadata.model == read_metadata(model_file)
    assert (metadata.flip_test, metadata.weights) == (True, weights)
    assert metadata.made_from == file_digest(model_file) and "MPII" in metadata.licence


PARTS = (slice(0, 1), slice(1, 3), slice(0, 5))  # N is free


def check_joints(find_keypoints, model_file, flip_test=True, parts=PARTS):
    expected = KerasBackend(load_estimator(model_file, flip_test))(INPUTS)
    for part in parts:
        for values, others in zip(find_keypoints(INPUTS[part]), expected, strict=True):
            np.testing.assert_allclose(values, others[part], atol=0.01)


def test_litert(tmp_path, model_file):
    path = tmp_path / "net.tflite"
    proof = export_network(model_file, path, "litert")
    assert proof.distance <= 0.01 and proof.num_firm > 0
    check_joints(open_litert(path), model_file)
    with zipfile.ZipFile(path) as archive:
        check_metadata(archive.read(NAME), model_file)
    assert [p.name for p in tmp_path.iterdir()] == ["net.tflite"]


@pytest.mark.slow
def test_the_lines_of_the_docs_run_litert(tmp_path, model_file, monkeypatch):
    text = (ROOT / "docs/commands.md").read_text().partition("LiteRT names its outputs")[2]
    code = [
        line[4:] for line in text.partition("The crop must")[0].splitlines() if line[:4] == "    "
    ]
    first, *lines = code
    assert first.startswith("from ai_edge_litert") and "tf.lite.Interpreter" in first
    export_network(model_file, tmp_path / "photographs.tflite", "litert")
    monkeypatch.chdir(tmp_path)
    names = {"Interpreter": tf.lite.Interpreter, "pictures": INPUTS}
    exec("\n".join(lines), names)
    check_joints(lambda _: (names["keypoints"], names["scores"]), model_file, parts=[slice(0, 5)])


@pytest.mark.slow
def test_saved_model(tmp_path, model_file):
    path = tmp_path / "net"
    export_network(model_file, path, "saved_model")
    check_joints(open_saved_model(path), model_file)
    check_metadata((path / ASSETS / NAME).read_text(), model_file)
    assert [p.name for p in tmp_path.iterdir()] == ["net"]


@pytest.mark.slow
def test_without_flip_test_the_file_is_another(tmp_path, model_file):
    path = tmp_path / "net.onnx"
    export_network(model_file, path, flip_test=False)
    backend = OnnxBackend(path)
    assert backend.metadata.flip_test is False
    check_joints(backend, model_file, flip_test=False)


@pytest.mark.slow
def test_litert_in_float16(tmp_path, model_file):
    for half in (False, True):
        export_network(model_file, tmp_path / f"{half}.tflite", "litert", half)
    whole, halved = ((tmp_path / f"{half}.tflite").stat().st_size for half in (False, True))
    assert halved < whole
    with zipfile.ZipFile(tmp_path / "True.tflite") as archive:
        check_metadata(archive.read(NAME), model_file, weights="float16")


def test_a_saved_model_is_not_halved(tmp_path, model_file):
    with pytest.raises(UserError, match="--half is for onnx and litert"):
        export_network(model_file, tmp_path / "net", "saved_model", half=True)
    assert not list(tmp_path.iterdir())


def test_it_is_asked_before_it_is_named(tmp_path, model_file, monkeypatch):
    # The file must not be there before it is proven, nor anything else be left.
    path, seen = tmp_path / "net.onnx", []

    def compare(find_keypoints, estimator, tolerance):
        seen.extend([path.exists(), find_keypoints(INPUTS)[0].shape])
        raise UserError("its joints lie up to 3 px from those of Keras")

    monkeypatch.setattr(exporter, "compare_with_keras", compare)
    with pytest.raises(UserError, match=r"net\.onnx: not written, .* its joints lie up to 3 px"):
        export_network(model_file, path)
    assert seen == [False, (5, 16, 2)]
    assert not list(tmp_path.iterdir())


# In a process of its own: logical devices must be there before TensorFlow starts. A second CPU
# stands for the GPU that the caller computes on.
TWO_DEVICES = """
import sys
from pathlib import Path
import tensorflow as tf
devices = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], devices)
from hourglass.export import exporter
def compare(find_keypoints, estimator, tolerance):
    inputs = tf.zeros((1, estimator.size, estimator.size, 3))
    weights = [variable.value for variable in estimator.network.variables]
    used = [*estimator.find_keypoints(inputs), *weights]
    print({tensor.device.split("/")[-1] for tensor in used})
exporter.compare_with_keras = compare
with tf.device("/CPU:1"):
    exporter.export_network(Path(sys.argv[1]), Path(sys.argv[2]))
    print(tf.zeros(()).device.split("/")[-1], len(tf.config.get_visible_devices()))
"""


@pytest.mark.slow
def test_the_callers_device_is_left_alone(tmp_path, model_file):
    told = run_python("-c", TWO_DEVICES, model_file, tmp_path / "net.onnx", check=True)
    assert told.stdout.splitlines() == ["{'device:CPU:0'}", "device:CPU:1 1"]
