import json

import pytest

from hourglass.keypoints import BONES, JOINTS
from hourglass.models.metadata import export_metadata, read_metadata
from hourglass.utils.errors import UserError

TEXT = export_metadata(64, True, False, "lspet", "for research", "0f" * 32)


def test_what_is_written_is_read():
    about = read_metadata(TEXT, "a.onnx")
    assert about["input_size"] == 64 and about["made_from"] == "0f" * 32
    assert (about["flip_test"], about["weights"], about["trained_on"]) == (True, "float32", "lspet")
    assert about["licence"] == "for research"
    assert tuple(about["joints"]) == JOINTS and tuple(map(tuple, about["bones"])) == BONES
    assert "1.375 times" in about["crop"] and "centre" in about["keypoints"]


def test_the_way_back_to_the_picture_is_the_one_that_is_told():
    # As the text has it, in the numbers of a square of 30 px at 5, seen at 64 px.
    told = read_metadata(TEXT, "a.onnx")["keypoints"]
    assert "left + (x + 0.5) * side / input_size - 0.5" in told
    from hourglass.utils import transforms

    (x, y), expected = (10, 20), [5 + 10.5 * 30 / 64 - 0.5, 7 + 20.5 * 30 / 64 - 0.5]
    to_picture = transforms.crop_transform((5, 7, 30), 64)
    assert transforms.apply_transform(to_picture, [x, y]) == pytest.approx(expected)


def without(key):
    return json.dumps({name: value for name, value in json.loads(TEXT).items() if name != key})


@pytest.mark.parametrize(
    "text",
    [None, "", "{", "[]", "7", "null", without("made_from"), without("joints"),
     TEXT.replace("l_wrist", "left_hand"), TEXT.replace('"input_size": 64', '"input_size": "64"')],
)  # fmt: skip
def test_what_another_program_wrote_is_refused(text):
    with pytest.raises(UserError, match=r"^a\.onnx: not a network that `hourglass export` wrote"):
        read_metadata(text, "a.onnx")
