"""Which of the runtimes is opened, what each needs, and what it finds."""

import shutil

import numpy as np
import pytest
from PIL import Image

from helpers.networks import random_pictures
from helpers.paths import ROOT
from helpers.processes import loaded_after, run_python
from hourglass.data.synthetic.pictures import draw_picture
from hourglass.inference import backends
from hourglass.inference.backends import (
    NO_DIGEST,
    SEAL,
    KerasBackend,
    OnnxBackend,
    check_seal,
    load_estimator,
    open_backend,
    seal,
)
from hourglass.utils.errors import UserError
from hourglass.utils.images import cut_crop
from hourglass.utils.transforms import apply_transform, crop_transform

HEAVY = ("tensorflow", "keras", "ray", "dvc", "matplotlib", "scipy", "pydantic", "onnx", "tf2onnx")


# Which of them


@pytest.fixture
def no_driver(monkeypatch):
    monkeypatch.setattr(backends, "has_nvidia_driver", lambda: False)


@pytest.fixture
def pair(tmp_path, model_file, onnx_file, no_driver):
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

    save_network(network, pair, ["lspet"])  # trained anew, as it were
    backend = backends.open_backend(pair, flip_test=True)
    assert type(backend) is KerasBackend and backend.trained_on == ("lspet",)


def test_one_with_weights_of_float16_is_left_alone(pair, half_file, tmp_path):
    shutil.copy(half_file, tmp_path / "net.onnx")
    assert type(backends.open_backend(pair, flip_test=True)) is KerasBackend
    assert type(backends.open_backend(tmp_path / "net.onnx", flip_test=True)) is OnnxBackend


def test_a_driver_is_what_can_be_loaded(monkeypatch):
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
assert load({model!r}).predict(np.zeros((60, 40, 3), np.uint8), bboxes=[(5, 5, 20, 30)])
"""


def test_the_command_needs_nothing_heavy(pair, tmp_path):
    photo, out = str(ROOT / "docs/photograph.jpg"), tmp_path / "poses"
    code = PREDICT.format(photo=photo, model=str(pair), out=str(out))
    assert loaded_after(NO_DRIVER + code, *HEAVY, "onnxruntime") == ["onnxruntime"]
    assert (out / "photograph.json").is_file()


def test_a_program_needs_nothing_heavy(pair):
    code = LOAD.format(model=str(pair))
    assert loaded_after(NO_DRIVER + code, *HEAVY, "onnxruntime") == ["onnxruntime"]


# Keras

# In a process of its own: logical devices must be there before TensorFlow starts.
TWO_DEVICES = """
import sys
import numpy as np, tensorflow as tf
devices = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], devices)
from hourglass.inference import backends
from hourglass.utils import devices
mirrored = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
devices.choose_strategy = lambda: mirrored
model, inputs, target = sys.argv[1:]
inputs, found = np.load(inputs), []
for num_inputs, size in ((17, 32), (16, 16)):
    backend = backends.open_backend(model, True, num_inputs)
    assert backend.batch_size == size
    found += [array for n in (len(inputs), 1) for array in backend(inputs[:n])]
np.savez(target, *found)
"""


@pytest.fixture(scope="module")
def keras_backend(model_file):
    return open_backend(model_file, flip_test=True)


def test_keras_says_what_it_wants_and_what_it_is(keras_backend):
    assert (keras_backend.size, keras_backend.batch_size, keras_backend.trained_on) == (
        32,
        16,
        ("mpii",),
    )


@pytest.mark.parametrize("number", [1, 3])
def test_keras_gives_numpy_arrays_of_as_many_inputs(keras_backend, number):
    keypoints, scores = keras_backend(random_pictures(number).astype(np.uint8))
    assert type(keypoints) is type(scores) is np.ndarray
    assert (keypoints.shape, scores.shape) == ((number, 16, 2), (number, 16))
    assert keypoints.dtype == scores.dtype == np.float32


def test_the_flip_test_can_be_turned_off(keras_backend, model_file):
    inputs = random_pictures(2).astype(np.uint8)
    _, scores = keras_backend(inputs)
    _, others = open_backend(model_file, flip_test=False)(inputs)
    assert (scores != others).all()


@pytest.mark.slow
def test_many_pictures_are_shared_by_all_devices_and_one_is_enough(tmp_path, model_file):
    np.save(tmp_path / "inputs.npy", random_pictures(5).astype(np.uint8))
    target = tmp_path / "found.npz"
    arguments = (model_file, tmp_path / "inputs.npy", target)
    run_python("-W", "error::UserWarning", "-c", TWO_DEVICES, *arguments, check=True)
    with np.load(target) as found:
        for k, number in enumerate([5, 5, 1, 1]):
            values, others = found[f"arr_{k}"], found[f"arr_{k + 4}"]
            assert len(values) == len(others) == number
            np.testing.assert_allclose(values, others, atol=1e-3)


def test_a_program_that_has_used_tensorflow_before_may_open_one(model_file, monkeypatch):
    def refuse():
        raise RuntimeError("Physical devices cannot be modified after being initialized")

    monkeypatch.setattr("hourglass.utils.devices.grow_memory", refuse)
    assert open_backend(model_file, flip_test=False).size == 32


# onnxruntime


@pytest.fixture(scope="module")
def onnx_backend(onnx_file):
    return OnnxBackend(onnx_file)


def test_onnx_says_what_it_wants_and_what_it_is(onnx_backend):
    assert (onnx_backend.size, onnx_backend.batch_size, onnx_backend.trained_on) == (
        32,
        16,
        ("mpii",),
    )
    assert onnx_backend.metadata.flip_test is True


@pytest.mark.parametrize("number", [1, 3, 17])
def test_onnx_finds_what_keras_finds(onnx_backend, model_file, number):
    inputs = random_pictures(number).astype(np.uint8)
    keypoints, scores = onnx_backend(inputs)
    assert type(keypoints) is type(scores) is np.ndarray
    assert (keypoints.shape, scores.shape) == ((number, 16, 2), (number, 16))
    assert keypoints.dtype == scores.dtype == np.float32
    expected, expected_scores = KerasBackend(load_estimator(model_file, True))(inputs)
    np.testing.assert_allclose(keypoints, expected, atol=0.01)
    np.testing.assert_allclose(scores, expected_scores, atol=1e-5)


def test_onnxruntime_reports_nothing(onnx_file, tmp_path, monkeypatch):
    # Where it does, its number for this machine and what it has yet to send lie in the cache.
    for name in ("CI", "ORT_DISABLE_TELEMETRY"):
        monkeypatch.delenv(name, raising=False)
    code = "import sys; from hourglass.inference.backends import OnnxBackend\n"
    code += "print(OnnxBackend(sys.argv[1]).size)"
    home = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    assert run_python("-c", code, onnx_file, check=True, **home).stdout == "32\n"
    assert not list(tmp_path.iterdir())


def test_the_lines_of_the_docs_find_the_same(
    tmp_path, monkeypatch, onnx_file, onnx_backend, capsys
):
    text = (ROOT / "docs/commands.md").read_text().partition("## Without this package")[2]
    section = text.partition("are enough then:")[2].partition("LiteRT names")[0]
    lines = [line[4:] for line in section.splitlines() if line.startswith("    ")]
    assert len(lines) >= 10 and not any("hourglass " in line for line in lines)
    monkeypatch.chdir(tmp_path)
    shutil.copy(onnx_file, "photographs.onnx")
    draw_picture(1, 0)[0].resize((300, 400)).save("photo.jpg")
    names = {}
    exec("\n".join(lines), names)
    with Image.open("photo.jpg") as picture:
        crop = (names["left"], names["top"], names["side"])
        pixels = np.asarray(cut_crop(picture, 1, crop, 32))
    # At its border ours smooths with what lies beyond it.
    inner = np.s_[2:-2, 2:-2]
    np.testing.assert_allclose(names["pictures"][0][inner], pixels[inner], atol=1)
    keypoints, _ = onnx_backend(names["pictures"])
    expected = apply_transform(crop_transform(crop, 32), keypoints)
    np.testing.assert_allclose(names["keypoints"], expected, atol=1e-3)
    assert capsys.readouterr().out.startswith("{'r_ankle': [")


def unsealed(before=b"weights", after=b"more"):
    return before + f"{SEAL}\x12@{NO_DIGEST}".encode() + after


def test_what_is_sealed_passes():
    data = seal(unsealed())
    assert len(data) == len(unsealed()) and NO_DIGEST.encode() not in data
    check_seal(data, "a.onnx")


@pytest.mark.parametrize("place", range(len(unsealed())))
def test_any_changed_byte_is_noticed(place):
    data = bytearray(seal(unsealed()))
    data[place] ^= 1
    with pytest.raises(UserError, match=r"^a\.onnx: (damaged, or changed|not a whole network)"):
        check_seal(bytes(data), "a.onnx")


@pytest.mark.parametrize("data", [b"", b"weights", unsealed(), seal(unsealed())[:-1]])
def test_what_was_not_sealed_so_is_refused(data):
    with pytest.raises(UserError, match=r"^a\.onnx: "):
        check_seal(data, "a.onnx")


@pytest.mark.parametrize(("asked", "number"), [("3", 3), (None, 2), ("", 2), ("0", 2), ("x", 2)])
def test_threads_are_as_asked_or_one_a_core(monkeypatch, onnx_file, asked, number):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {4, 7}, raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if asked is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", asked)
    options = OnnxBackend(onnx_file)._session.get_session_options()
    assert options.intra_op_num_threads == number
