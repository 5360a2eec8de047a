import json
import re

import numpy as np
import pytest
from PIL import Image

from helpers.exports import make_content, make_people, write_pictures, write_roboflow
from hourglass.cli.main import make_parser
from hourglass.utils.errors import UserError

PEOPLE = make_people()


def write_own(folder, change=lambda content: None):
    """A folder in the project's own form; `change` spoils the content of train.json."""
    names = list(PEOPLE)
    write_pictures(folder / "images", names)
    for name, part in (("train", names[2:]), ("validation", names[:2])):
        content = make_content(part, PEOPLE)
        if name == "train":
            change(content)
        (folder / f"{name}.json").write_text(json.dumps(content))


@pytest.fixture
def check(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        options = make_parser().parse_args(["check", "own", *map(str, arguments)])
        options.run(options)
        return capsys.readouterr().out

    return run


def test_what_would_be_read_is_told(check, tmp_path):
    write_own(tmp_path / "own")
    text = check("--schema", "coco")
    assert "own: own form" in text
    # 8 pictures with one person and two people in turn, of which the first two validate.
    assert re.search(r"^train: 9 records = 9 kept \+ 0 invalid", text, re.MULTILINE)
    assert re.search(r"^validation: 3 records = 3 kept \+ 0 invalid", text, re.MULTILINE)
    labelled = sum(p["keypoints"][0][2] > 0 for name in list(PEOPLE)[2:] for p in PEOPLE[name])
    assert f"joints: nose {labelled}, left_eye" in text
    assert "8 pictures of 320 to 320 px (longer side); persons of 248 to 248 px" in text
    assert "labels.jpg: labels of 12 persons" in text


def test_the_sheet_shows_each_label_where_it_is(check, tmp_path):
    write_own(tmp_path / "own")
    check("--schema", "coco", "--sheet", "sheet.png")
    pixels = np.array(Image.open("sheet.png").convert("RGB")).astype(int)
    # The background of the pictures is one colour; the rest of a panel is drawn.
    background = (np.abs(pixels - (40, 80, 120)).max(axis=-1) <= 8).sum()
    assert background > 12 * 240 * 240 * 0.3
    assert pixels.shape[1] > 6 * 240


def test_a_tools_export_is_named(check, tmp_path):
    write_roboflow(tmp_path / "own", PEOPLE)
    assert "own: COCO keypoint files" in check("--schema", "coco")


def spoil(content):
    first, second, *_ = content["annotations"]
    first["bbox"] = [0, 0, 0, 5]
    second["keypoints"] = second["keypoints"][:-1]


def test_reasons_are_counted_with_their_first_record(check, tmp_path):
    write_own(tmp_path / "own", spoil)
    text = check("--schema", "coco")
    assert "train: 9 records = 7 kept + 2 invalid" in text
    assert "1 x bbox is empty: its width or height is not above 0; the first is record 0" in text
    assert "1 x keypoints has 50 numbers, not 3 for each of the category's 17 names" in text


def test_nothing_to_use_is_an_error_after_the_reasons(check, tmp_path, capsys):
    def empty_boxes(content):
        for annotation in content["annotations"]:
            annotation["bbox"] = [1, 1, 0, 0]

    write_own(tmp_path / "own", empty_boxes)
    text = (tmp_path / "own/train.json").read_text()
    (tmp_path / "own/validation.json").write_text(text)
    with pytest.raises(UserError, match="no person can be used; correct what is named above"):
        check()
    assert "9 x bbox is empty" in capsys.readouterr().out
    assert not (tmp_path / "labels.jpg").exists()


def test_a_sheet_is_not_overwritten(check, tmp_path):
    write_own(tmp_path / "own")
    (tmp_path / "labels.jpg").write_text("mine")
    with pytest.raises(UserError, match=r"labels\.jpg: is there already"):
        check()
    assert (tmp_path / "labels.jpg").read_text() == "mine"


def test_a_folder_without_annotations_is_one_line(check, tmp_path):
    (tmp_path / "own").mkdir()
    with pytest.raises(UserError, match=r"not found; data\.folder needs images/"):
        check()
