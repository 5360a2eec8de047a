import numpy as np
import pytest

from hourglass.export import people_format
from hourglass.export.people_format import (
    PX_OFF,
    SCORE_OFF,
    compare_found,
    export_people_detector,
)
from hourglass.export.verification import draw_figures
from hourglass.inference.backends import OnnxBackend, PeopleFinder, seal
from hourglass.models.people_detector import MAX_PEOPLE, build_people_detector, decode_people
from hourglass.utils.backend import keras
from hourglass.utils.errors import UserError


@pytest.fixture(scope="module")
def detector():
    """An untrained detector whose outputs are spread: its cells differ by more than rounding."""
    keras.utils.set_random_seed(1)
    network = build_people_detector(64, 8)
    head, rng = network.get_layer("people"), np.random.default_rng(1)
    kernel = rng.normal(size=head.kernel.shape)
    head.set_weights([kernel, np.zeros(4)])
    outputs = np.asarray(network(draw_figures(64, 3).astype(np.float32)))
    middle, spread = outputs.mean(axis=(0, 1, 2)), outputs.std(axis=(0, 1, 2))
    head.set_weights([kernel / spread, -middle / spread])
    return network


@pytest.fixture(scope="module")
def exported(detector, tmp_path_factory):
    path = tmp_path_factory.mktemp("people") / "people.onnx"
    export_people_detector(detector, ["lspet"], path)
    return path


def test_the_file_finds_who_the_network_finds(detector, exported):
    inputs = draw_figures(64, 3)
    finder = PeopleFinder(exported)
    assert finder.size == 64
    found = finder(inputs)
    assert found[0].shape == (3, min(MAX_PEOPLE, 64), 4)
    expected = decode_people(detector(inputs.astype(np.float32)))
    px, score = compare_found(found, expected)
    assert px < PX_OFF and score < SCORE_OFF
    # Boxes were compared, not scores alone.
    assert compare_found((found[0] + 9, found[1]), expected)[0] > 8


def test_the_same_network_is_the_same_file(detector, exported, tmp_path):
    export_people_detector(detector, ["lspet"], tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == exported.read_bytes()


def test_what_finds_others_is_not_written(detector, tmp_path, monkeypatch):
    monkeypatch.setattr(people_format, "compare_found", lambda *_: (1.0, 0.0))
    with pytest.raises(UserError, match="finds other people than Keras"):
        export_people_detector(detector, ["lspet"], tmp_path / "people.onnx")
    assert list(tmp_path.iterdir()) == []


def test_other_boxes_and_other_scores_are_differences():
    boxes, scores = np.arange(8, dtype=float).reshape(1, 2, 4), np.array([[0.9, 0.5]])
    assert compare_found((boxes, scores), (boxes, scores)) == (0, 0)
    assert compare_found((boxes + 2, scores), (boxes, scores)) == (2, 0)
    assert compare_found((boxes, scores - 0.25), (boxes, scores)) == (0, 0.25)
    # Rounding chooses which of two equal ones comes first.
    equal = np.array([[0.5, 0.5]])
    assert compare_found((boxes[:, ::-1], equal), (boxes, equal)) == (0, 0)


def test_a_detector_is_no_pose_network_and_the_other_way_round(exported, tmp_path):
    with pytest.raises(UserError, match="not a network of this version of `hourglass export`"):
        OnnxBackend(exported)
    with pytest.raises(UserError, match="no such network"):
        PeopleFinder(tmp_path / "people.onnx")


def test_a_changed_byte_is_found(exported, tmp_path):
    data = bytearray(exported.read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "people.onnx").write_bytes(data)
    with pytest.raises(UserError, match="damaged, or changed since its export"):
        PeopleFinder(tmp_path / "people.onnx")


def test_another_version_is_told(exported, tmp_path):
    text = exported.read_bytes().replace(b'"detector_version": 1', b'"detector_version": 2')
    assert text != exported.read_bytes()
    start = text.find(b"hourglass_seal") + len(b"hourglass_seal") + 2
    (tmp_path / "people.onnx").write_bytes(seal(text[:start] + b"0" * 64 + text[start + 64 :]))
    with pytest.raises(UserError, match="not a detector of people: of another kind or version"):
        PeopleFinder(tmp_path / "people.onnx")
