import json
import math
from types import SimpleNamespace

import numpy as np
import pytest

from hourglass.evaluation.predictions import load_predictions, save_predictions
from hourglass.keypoints import COCO, MPII
from hourglass.utils.errors import UserError


def make_persons(num_persons):
    return [SimpleNamespace(image=f"{n}.jpg") for n in range(num_persons)]


def make_entries(num_persons):
    return [
        {"image": f"{n}.jpg", "keypoints": [[n + 0.25, -3]] * 16, "scores": [0.5] * 16}
        for n in range(num_persons)
    ]


def test_what_is_saved_is_loaded_but_for_the_rounding(tmp_path):
    rng = np.random.default_rng(1)
    keypoints = rng.normal(300, 400, (5, 16, 2)).astype(np.float32)
    scores = rng.random((5, 16), np.float32)
    path = tmp_path / "reports" / "predictions.json"
    save_predictions(path, [f"{n}.jpg" for n in range(5)], [*keypoints[:4], None], scores, MPII)
    loaded = load_predictions(path, make_persons(5), MPII)
    assert loaded.predicted.tolist() == [True] * 4 + [False]
    assert np.isnan(loaded.keypoints[4]).all() and np.isnan(loaded.scores[4]).all()
    np.testing.assert_allclose(loaded.keypoints[:4], keypoints[:4], rtol=0, atol=0.000501)
    np.testing.assert_allclose(loaded.scores[:4], scores[:4], rtol=0, atol=0.0000501)


def test_the_file_has_one_entry_a_line_and_few_digits(tmp_path):
    path = tmp_path / "predictions.json"
    keypoints = np.full((2, 16, 2), 1 / 3, np.float32)
    save_predictions(path, ["a.jpg", "b.jpg"], keypoints, np.full((2, 16), 2 / 3, np.float32), MPII)
    lines = path.read_text().splitlines()
    assert len(lines) == 5
    assert json.loads(path.read_text())["keypoint_names"] == list(MPII.keypoints)
    assert '"image": "b.jpg"' in lines[3]
    assert "0.333]" in lines[2] and "0.6667]" in lines[2] and "0.3333" not in lines[2]
    assert [path.name] == [file.name for file in tmp_path.iterdir()]


def test_a_number_that_is_not_finite_is_never_written(tmp_path):
    path = tmp_path / "predictions.json"
    with pytest.raises(ValueError, match="JSON compliant"):
        save_predictions(path, ["a.jpg"], np.full((1, 16, 2), np.nan), np.ones((1, 16)), MPII)
    assert not path.exists()


def replace(key, value):
    return lambda entries: entries[1].__setitem__(key, value)


BAD_ENTRIES = {
    "15 pairs": (replace("keypoints", [[1, 2]] * 15), r"entry 1 \(1.jpg\): keypoints must be 16"),
    "a triple": (replace("keypoints", [[1, 2]] * 15 + [[1, 2, 3]]), r"entry 1 \(1.jpg\): keypoi"),
    "NaN": (replace("keypoints", [[1, math.nan]] * 16), r"entry 1 \(1.jpg\): keypoints must be"),
    "null": (replace("keypoints", [[1, None]] * 16), r"entry 1 \(1.jpg\): keypoints must be"),
    "text": (replace("keypoints", [["1", "2"]] * 16), r"entry 1 \(1.jpg\): keypoints must be"),
    "huge": (replace("keypoints", [[10**400, 1.5]] * 16), r"entry 1 \(1.jpg\): keypoints must"),
    "scores": (replace("scores", [0.5] * 17), r"entry 1 \(1.jpg\): scores must be 16"),
    "infinite": (replace("scores", [math.inf] * 16), r"entry 1 \(1.jpg\): scores must be 16"),
    "image": (replace("image", "7.jpg"), r"entry 1: image '7.jpg', but .* on '1.jpg'"),
    "no scores": (lambda entries: entries[1].pop("scores"), r"entry 1: must be an object with"),
    "a list": (lambda entries: entries.__setitem__(1, []), r"entry 1: must be an object with"),
    "too few": (lambda entries: entries.pop(), r"2 entries for 3 validation persons"),
}


@pytest.mark.parametrize("fault", BAD_ENTRIES)
def test_each_fault_is_one_line_that_names_the_entry(tmp_path, fault):
    spoil, message = BAD_ENTRIES[fault]
    entries = make_entries(3)
    spoil(entries)
    path = tmp_path / "predictions.json"
    path.write_text(json.dumps({"keypoint_names": MPII.keypoints, "persons": entries}))
    with pytest.raises(UserError, match=message) as caught:
        load_predictions(path, make_persons(3), MPII)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"[{", b"[]", b'{"persons": 1}', b"\xff\xfe", b""])
def test_a_file_that_holds_no_predictions_is_one_line(tmp_path, content):
    path = tmp_path / "predictions.json"
    path.write_bytes(content)
    with pytest.raises(
        UserError,
        match=r"(not JSON|not UTF-8|must hold keypoint_names|empty).*; run `dvc repro predict`$",
    ) as caught:
        load_predictions(path, make_persons(1), MPII)
    assert "\n" not in str(caught.value)


def test_a_missing_file_says_which_stage_makes_it(tmp_path):
    with pytest.raises(UserError, match="run `dvc repro predict`"):
        load_predictions(tmp_path / "predictions.json", make_persons(1), MPII)


def test_a_file_without_any_prediction_is_refused(tmp_path):
    path = tmp_path / "predictions.json"
    save_predictions(path, ["0.jpg"], [None], [None], MPII)
    with pytest.raises(UserError, match="no person was predicted"):
        load_predictions(path, make_persons(1), MPII)


def test_predictions_of_other_keypoints_are_refused(tmp_path):
    path = tmp_path / "predictions.json"
    save_predictions(path, ["0.jpg"], np.zeros((1, 17, 2)), np.ones((1, 17)), COCO)
    with pytest.raises(
        UserError, match=r"holds other keypoints than the annotations \(mpii\); run"
    ):
        load_predictions(path, make_persons(1), MPII)
    assert load_predictions(path, make_persons(1), COCO).keypoints.shape == (1, 17, 2)
