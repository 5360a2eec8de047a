"""Which of the runtimes is taken, and what it does without."""

import shutil

import pytest

from helpers.paths import ROOT
from helpers.processes import loaded_after
from hourglass.inference import backends
from hourglass.inference.keras_backend import KerasBackend
from hourglass.inference.onnx_backend import OnnxBackend

HEAVY = ("tensorflow", "keras", "ray", "dvc", "matplotlib", "scipy", "pydantic", "onnx", "tf2onnx")


@pytest.fixture(autouse=True)
def no_driver(monkeypatch):
    monkeypatch.setattr(backends, "has_nvidia_driver", lambda: False)


@pytest.fixture
def pair(tmp_path, model_file, onnx_file):
    """A network and what was exported of it, side by side: the path of the first."""
    shutil.copy(onnx_file, tmp_path / "net.onnx")
    return shutil.copy(model_file, tmp_path / "net.keras")


def test_what_was_exported_takes_the_place_of_its_network(pair):
    assert type(backends.open_backend(pair, flip_test=True)) is OnnxBackend


def test_where_there_is_a_driver_keras_is_taken(pair, monkeypatch):
    monkeypatch.setattr(backends, "has_nvidia_driver", lambda: True)
    assert type(backends.open_backend(pair, flip_test=True)) is KerasBackend


def test_without_flip_test_keras_is_taken(pair):
    assert type(backends.open_backend(pair, flip_test=False)) is KerasBackend


def test_an_export_of_another_network_is_left_alone(pair, network, tmp_path):
    from hourglass.models.saving import save_network

    save_network(network, pair, "lspet")  # trained anew, as it were
    backend = backends.open_backend(pair, flip_test=True)
    assert type(backend) is KerasBackend and backend.trained_on == "lspet"


def test_one_with_weights_of_float16_is_left_alone(pair, half_file, tmp_path):
    shutil.copy(half_file, tmp_path / "net.onnx")
    assert type(backends.open_backend(pair, flip_test=True)) is KerasBackend
    assert type(backends.open_backend(tmp_path / "net.onnx", flip_test=True)) is OnnxBackend


def test_a_driver_is_what_can_be_loaded(monkeypatch):
    monkeypatch.undo()
    asked = []
    monkeypatch.setattr("ctypes.CDLL", asked.append)
    assert backends.has_nvidia_driver() and asked == ["libcuda.so.1"]

    def refuse(name):
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr("ctypes.CDLL", refuse)
    assert not backends.has_nvidia_driver()


# In processes of their own; `backends` is told that there is no driver.
NO_DRIVER = "from hourglass.inference import backends; backends.has_nvidia_driver = lambda: False\n"
PREDICT = """
sys.argv = ["hourglass", "predict", {photo!r}, "--model", {model!r}, "--out", {out!r}, "--whole"]
sys.stdout = open("/dev/null", "w")
from hourglass.cli.main import main
main()
sys.stdout = sys.__stdout__
"""
LOAD = """
import numpy as np
from hourglass import load
assert load({model!r}).predict(np.zeros((60, 40, 3), np.uint8), bbox=(5, 5, 20, 30))
"""


def test_the_command_needs_nothing_heavy(pair, tmp_path):
    photo, out = str(ROOT / "docs/photograph.jpg"), tmp_path / "poses"
    code = PREDICT.format(photo=photo, model=str(pair), out=str(out))
    assert loaded_after(NO_DRIVER + code, *HEAVY, "onnxruntime") == ["onnxruntime"]
    assert (out / "photograph.json").is_file()


def test_a_program_needs_nothing_heavy(pair):
    code = LOAD.format(model=str(pair))
    assert loaded_after(NO_DRIVER + code, *HEAVY, "onnxruntime") == ["onnxruntime"]
