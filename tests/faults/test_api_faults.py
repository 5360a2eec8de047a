"""`from hourglass import load`: arrays, boxes and numbers that are none, missing networks."""

import re

import numpy as np
import pytest

import hourglass
from hourglass import shipped
from hourglass.utils.errors import UserError

PICTURE = np.random.default_rng(1).integers(0, 256, (80, 60, 3), np.uint8)
BOX = (10, 20, 30, 40)


@pytest.fixture(scope="module")
def loaded(model_file):
    return hourglass.load(model_file)


PICTURES = {
    "floats": (PICTURE / 255, "the picture is float64 [80, 60, 3]; uint8 [H, W, 3], RGB, was"),
    "grey": (PICTURE[..., 0], "the picture is uint8 [80, 60]; "),
    "transparent": (np.zeros((8, 9, 4), np.uint8), "the picture is uint8 [8, 9, 4]; "),
    "a batch": (PICTURE[None], "the picture is uint8 [1, 80, 60, 3]; "),
    "empty": (PICTURE[:0], "the picture is uint8 [0, 60, 3]; "),
    "16 bits": (PICTURE.astype(np.uint16), "the picture is uint16 [80, 60, 3]; "),
    "a path": ("photo.jpg", "the picture is <U9 []; "),
    "nothing": (None, "the picture is object []; "),
}


@pytest.mark.parametrize("kind", PICTURES)
def test_what_is_no_picture_is_one_line(loaded, kind):
    picture, reason = PICTURES[kind]
    for use in (loaded.predict, lambda picture: loaded.draw(picture, [])):
        with pytest.raises(UserError, match=re.escape(reason)):
            use(picture)


@pytest.mark.parametrize(
    "bbox",
    [(), (1, 2, 3), (1, 2, 0, 4), (1, 2, 3, -4), (1, 2, np.nan, 4), (np.inf, 1, 1, 1), "1,2,3,4",
     [[1, 2], [3, 4]], 7, ((1,), 2, 3, 4), (0, 0, 1e12, 1e12), (-2e6, 0, 9, 9)],
)  # fmt: skip
def test_what_is_no_box_is_one_line(loaded, bbox):
    with pytest.raises(
        UserError, match=r"^bboxes\[1\] is .*; x, y, width, height in pixels were expected"
    ):
        loaded.predict(PICTURE, bboxes=[BOX, bbox])


@pytest.mark.parametrize("bboxes", [BOX, 7, np.float32(7), "1,2,3,4", np.array(BOX)], ids=repr)
def test_what_is_no_list_of_boxes_is_one_line(loaded, bboxes):
    with pytest.raises(UserError, match=r"^bboxes(\[0\])? is .* expected") as caught:
        loaded.predict(PICTURE, bboxes=bboxes)
    assert "\n" not in str(caught.value)


def test_a_box_outside_of_the_picture_is_one_line(loaded):
    reason = "the box 500,0,10,10 leaves nothing to see of a picture of 60 x 80 px; fix the box"
    with pytest.raises(UserError, match=f"^{reason}$"):
        loaded.predict(PICTURE, bboxes=[BOX, (500, 0, 10, 10)])


@pytest.mark.parametrize("people", [0, -1, 1.5, "2"])
def test_what_is_no_number_of_people_is_one_line(loaded, people):
    with pytest.raises(UserError, match=r"^people is .*; a whole number, 1 or more, was expected"):
        loaded.predict(PICTURE, people=people)


@pytest.mark.parametrize("threshold", ["0.5", np.nan, -0.1, 1.1, [0.5], 1j])
def test_what_is_no_threshold_is_one_line(loaded, threshold):
    with pytest.raises(UserError, match=r"^threshold is .*; a number from 0 to 1 was expected"):
        loaded.predict(PICTURE, threshold=threshold)


@pytest.mark.parametrize("search", [{"people": 2}, {"threshold": 0.3}], ids=["people", "threshold"])
def test_a_box_and_a_search_exclude_each_other(loaded, search):
    with pytest.raises(UserError, match=r"^bboxes say where the people are; leave out "):
        loaded.predict(PICTURE, bboxes=[BOX], **search)


def test_a_missing_network_is_one_line(tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"absent\.keras: no such network"):
        hourglass.load("absent.keras")
    monkeypatch.setattr(shipped, "__file__", str(tmp_path / "__init__.py"))
    with pytest.raises(UserError, match=r"photographs\.keras: missing; install hourglass again"):
        hourglass.load()
