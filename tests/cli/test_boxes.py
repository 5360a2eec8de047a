import json
from pathlib import Path

import pytest

from hourglass.cli import boxes as module
from hourglass.cli.boxes import read_boxes
from hourglass.utils.errors import UserError

LARGE, SMALL, WIDE = [10, 20.5, 30, 40], [1, 2, 3, 4], [-5, 0, 60, 20]


def detection(image, bbox, **fields):
    key = "file_name" if isinstance(image, str) else "image_id"
    return {key: image, "bbox": bbox, "category_id": 1} | fields


def as_annotations(*boxes):
    """COCO's object: each pair (picture, bbox) as an annotation, a dog and a crowd among them."""
    names = list(dict.fromkeys(name for name, _ in boxes))
    ids = {name: 70 + k for k, name in enumerate(names)}
    entries = [
        {"id": k, "image_id": ids[name], "category_id": 9, "bbox": bbox}
        for k, (name, bbox) in enumerate(boxes)
    ]
    entries.insert(1, entries[0] | {"category_id": 18, "bbox": [7, 7, 7, 7]})
    entries.append(entries[0] | {"iscrowd": 1})
    return {
        "images": [{"id": ids[name], "file_name": name} for name in names],
        "categories": [{"id": 9, "name": "person"}, {"id": 18, "name": "dog"}],
        "annotations": entries,
    }


def as_csv(*rows, header="image,x,y,width,height"):
    lines = [",".join(map(str, (name, *bbox))) for name, bbox in rows]
    return "\n".join([header, *lines]) + "\n"


@pytest.fixture
def match(tmp_path):
    """The boxes of photographs in a file of text, or of what becomes JSON."""

    def match(content, *photos):
        is_text = isinstance(content, str)
        path = tmp_path / ("boxes.csv" if is_text else "boxes.json")
        path.write_text(content if is_text else json.dumps(content))
        matched = read_boxes(path).match(map(Path, photos))
        return {str(photo): [*map(list, bboxes)] for photo, bboxes in matched.items()}

    return match


BOXES = [("in/a.jpg", LARGE), ("b.jpg", WIDE), ("in/a.jpg", SMALL)]
FORMS = {
    "detections": [detection(*pair) for pair in BOXES],
    "annotations": as_annotations(*BOXES),
    "csv": as_csv(*BOXES),
    "csv with more columns": as_csv(
        *((name, [5, *bbox, "x"]) for name, bbox in BOXES),
        header="image, id, x, y, width, height,c",
    ),
    "csv of a spreadsheet": "\ufeff" + as_csv(*BOXES).replace("\n", "\r\n"),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_boxes_in_its_order(match, capsys, form):
    found = match(FORMS[form], "in/a.jpg", "c.jpg", "b.jpg")
    assert found == {"in/a.jpg": [LARGE, SMALL], "b.jpg": [WIDE]}
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("form", ["detections", "csv"])
def test_the_surest_come_first_and_equals_in_the_order_of_the_file(match, form):
    scored = [(SMALL, 0.5), (WIDE, 0.25), (LARGE, 0.75), ([2, 2, 2, 2], 0.5)]
    content = [detection("a.jpg", bbox, score=score) for bbox, score in scored]
    if form == "csv":
        rows = (("a.jpg", [*bbox, score]) for bbox, score in scored)
        content = as_csv(*rows, header="image,x,y,width,height,score")
    assert match(content, "a.jpg") == {"a.jpg": [LARGE, SMALL, [2, 2, 2, 2], WIDE]}


def test_other_categories_are_passed_over(match):
    content = [detection("a.jpg", SMALL, category_id=3), detection("a.jpg", WIDE)]
    assert match(content, "a.jpg") == {"a.jpg": [WIDE]}
    del content[1]["category_id"]  # a detector of people alone
    assert match(content, "a.jpg") == {"a.jpg": [WIDE]}


@pytest.mark.parametrize(
    ("image", "photo"),
    [
        ("in/a.jpg", "in/a.jpg"),
        ("./in//a.jpg", "in/a.jpg"),
        ("a.jpg", "in/a.jpg"),
        ("elsewhere/a.jpg", "/in/a.jpg"),
        (139, "val/000000000139.jpg"),
        (139, "COCO_val2014_000000000139.jpg"),
        (0, "0.png"),
    ],
)
def test_a_picture_is_found_by_path_by_name_or_by_number(match, image, photo):
    assert match([detection(image, SMALL)], photo, "other.jpg") == {photo: [SMALL]}


def test_the_path_goes_before_the_name(match):
    content = [detection(name, bbox) for name, bbox in (("x/a.jpg", WIDE), ("a.jpg", SMALL))]
    assert match(content, "a.jpg", "x/a.jpg") == {"a.jpg": [SMALL], "x/a.jpg": [WIDE]}
    # The one that is left has its path, so the other's is known by its name.
    assert match(content, "x/a.jpg", "y/a.jpg") == {"x/a.jpg": [WIDE], "y/a.jpg": [SMALL]}
    assert match(content[:1], "x/a.jpg", "y/a.jpg") == {"x/a.jpg": [WIDE]}


def test_a_picture_that_is_named_twice_is_one(match):
    assert match([detection("a.jpg", WIDE)], "x/a.jpg", "x/a.jpg") == {"x/a.jpg": [WIDE]}


@pytest.mark.parametrize(
    ("images", "photos", "line"),
    [
        (["a.jpg"], ["x/a.jpg", "y/a.jpg"], "a.jpg may be x/a.jpg or y/a.jpg; "),
        (["x/a.jpg", "y/a.jpg"], ["z/a.jpg"], "z/a.jpg may be x/a.jpg or y/a.jpg; "),
        ([7], ["7.jpg", "007.jpg"], "image_id 7 may be 7.jpg or 007.jpg; "),
    ],
)
def test_what_has_two_meanings_is_refused(match, images, photos, line):
    with pytest.raises(UserError) as caught:
        match([detection(image, SMALL) for image in images], *photos)
    assert line in str(caught.value) and "give pictures the same paths" in str(caught.value)


def test_boxes_of_other_pictures_are_counted_in_one_warning(match, capsys):
    content = [detection(name, SMALL) for name in ("a.jpg", "b.jpg", "b.jpg", "c.jpg")]
    assert match(content, "a.jpg") == {"a.jpg": [SMALL]}
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("boxes.json: boxes of pictures that are not named in the command: 3, of 2")


@pytest.mark.parametrize("content", [[], as_csv()], ids=["json", "csv"])
def test_a_file_without_records_has_no_boxes(match, content):
    assert match(content, "a.jpg") == {}


def test_a_picture_has_so_many_boxes_at_most(match, monkeypatch):
    monkeypatch.setattr(module, "MAX_BOXES", 2)
    content = [detection(f"{k % 2}.jpg", SMALL) for k in range(5)]
    assert len(match(content[:4], "0.jpg")["0.jpg"]) == 2
    with pytest.raises(UserError, match=r"record 4: more than 2 boxes of one picture; leave out"):
        match(content, "0.jpg")


def test_a_path_of_any_bytes_is_found(tmp_path):
    path = tmp_path / "boxes.CSV"
    path.write_bytes(b"image,x,y,width,height\ncaf\xe9.jpg,1,2,3,4\n")
    assert read_boxes(path).match([Path("caf\udce9.jpg")]) == {
        Path("caf\udce9.jpg"): ((1, 2, 3, 4),)
    }
