import shutil

import numpy as np
import pytest
from PIL import Image

from helpers.networks import random_pictures
from helpers.paths import ROOT
from helpers.processes import run_python
from hourglass.data.synthetic.pictures import draw_picture
from hourglass.inference.keras_backend import load_keras_backend
from hourglass.inference.onnx_backend import (
    NO_DIGEST,
    SEAL,
    OnnxBackend,
    check_seal,
    count_threads,
    seal,
)
from hourglass.utils.errors import UserError
from hourglass.utils.images import cut_crop
from hourglass.utils.transforms import apply_transform, crop_transform


@pytest.fixture(scope="module")
def backend(onnx_file):
    return OnnxBackend(onnx_file)


def test_it_says_what_it_wants_and_what_it_is(backend):
    assert (backend.size, backend.batch_size, backend.trained_on) == (32, 16, "mpii")
    assert backend.about["flip_test"] is True


@pytest.mark.parametrize("number", [1, 3, 17])
def test_it_finds_what_keras_finds(backend, model_file, number):
    inputs = random_pictures(number).astype(np.uint8)
    keypoints, scores = backend(inputs)
    assert type(keypoints) is type(scores) is np.ndarray
    assert (keypoints.shape, scores.shape) == ((number, 16, 2), (number, 16))
    assert keypoints.dtype == scores.dtype == np.float32
    expected, expected_scores = load_keras_backend(model_file, True)(inputs)
    np.testing.assert_allclose(keypoints, expected, atol=0.01)
    np.testing.assert_allclose(scores, expected_scores, atol=1e-5)


def test_it_reports_to_nobody(onnx_file, tmp_path, monkeypatch):
    # Where it does, its number for this machine and what it has yet to send lie in the cache.
    for name in ("CI", "ORT_DISABLE_TELEMETRY"):
        monkeypatch.delenv(name, raising=False)
    code = "import sys; from hourglass.inference.onnx_backend import OnnxBackend\n"
    code += "print(OnnxBackend(sys.argv[1]).size)"
    home = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    assert run_python("-c", code, onnx_file, check=True, **home).stdout == "32\n"
    assert not list(tmp_path.iterdir())


def test_the_lines_of_the_docs_find_the_same(tmp_path, monkeypatch, onnx_file, backend, capsys):
    text = (ROOT / "docs/commands.md").read_text().partition("## Without this package")[2]
    section = text.partition("are enough then:")[2].partition("\n##")[0]
    lines = [line[4:] for line in section.splitlines() if line.startswith("    ")]
    assert len(lines) >= 10 and not any("hourglass " in line for line in lines)
    monkeypatch.chdir(tmp_path)
    shutil.copy(onnx_file, "photographs.onnx")
    draw_picture(1, 0)[0].resize((300, 400)).save("photo.jpg")
    names = {}
    exec("\n".join(lines), names)
    with Image.open("photo.jpg") as picture:
        crop = (names["left"], names["top"], names["side"])
        view = np.asarray(cut_crop(picture, 1, crop, 32))
    # At its border ours smooths with what lies beyond it.
    inner = np.s_[2:-2, 2:-2]
    np.testing.assert_allclose(names["pictures"][0][inner], view[inner], atol=1)
    keypoints, _ = backend(names["pictures"])
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
def test_threads_are_as_asked_or_one_a_core(monkeypatch, asked, number):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {4, 7}, raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if asked is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", asked)
    assert count_threads() == number
