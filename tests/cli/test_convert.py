import csv
import json

import pytest

from hourglass.cli.main import make_parser
from hourglass.data.formats.coco import read_coco
from hourglass.data.raw_records import LabelledPerson
from hourglass.keypoints import COCO, MPII
from hourglass.utils.errors import UserError
from hourglass.utils.files import read_json


def make_person(left, score, hidden=("l_ankle",), **more):
    """A person whose joints lie on a diagonal."""
    joints = {
        name: {"x": left + 3.25 * k, "y": 10.5 + 5 * k, "score": 0.9, "visible": name not in hidden}
        for k, name in enumerate(MPII.keypoints)
    }
    return {"score": score, **more, "joints": joints}


def make_record(name, people):
    return {"image": f"photos/{name}", "coordinates": "px", "width": 320, "height": 240,
            "mode": "search", "people": people}  # fmt: skip


RECORDS = [
    make_record("a.jpg", [make_person(10, 0.8), make_person(120, 0.6, bbox=[115, 5, 60, 90])]),
    make_record("b.jpg", []),
    make_record("c.jpg", [make_person(50, 0.7)]),
]


@pytest.fixture(params=["files", "lines"])
def records(request, tmp_path):
    folder = tmp_path / "poses"
    folder.mkdir()
    if request.param == "files":
        for record in RECORDS:
            name = record["image"].partition("/")[2][0]
            (folder / f"{name}.json").write_text(json.dumps(record))
        (folder / "other.json").write_text('{"of": "another program"}')
    else:
        lines = [json.dumps(record) for record in ({"joints": list(MPII.keypoints)}, *RECORDS)]
        (folder / "poses.jsonl").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def convert(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        options = make_parser().parse_args(["convert", *map(str, arguments)])
        options.run(options)

    return run


def test_annotations_are_read_as_what_was_found(convert, records, tmp_path, capsys):
    convert(records)
    assert capsys.readouterr().out == "people.json: 3 people on 3 pictures\n"
    split = read_coco(read_json(tmp_path / "people.json", "?"), MPII)
    assert [type(person) for person in split.records] == [LabelledPerson] * 3
    assert [person.image for person in split.records] == ["a.jpg", "a.jpg", "c.jpg"]
    joints = RECORDS[0]["people"][1]["joints"]
    person = split.records[1]
    assert tuple(person.bbox) == (115, 5, 60, 90) and person.size == (320, 240)
    for k, name in enumerate(MPII.keypoints):
        assert person.labelled[k] == (name != "l_ankle")
        if person.labelled[k]:
            assert person.points[k].tolist() == [joints[name]["x"], joints[name]["y"]]


def test_a_person_without_a_box_has_that_of_the_visible_joints(convert, records, tmp_path):
    convert(records)
    first = json.loads((tmp_path / "people.json").read_text())["annotations"][0]
    # All but the last of 16 on the diagonal, l_ankle.
    shown = [k for k, name in enumerate(MPII.keypoints) if name != "l_ankle"]
    width, height = 3.25 * (max(shown) - min(shown)), 5.0 * (max(shown) - min(shown))
    assert first["bbox"] == [10 + 3.25 * min(shown), 10.5 + 5 * min(shown), width, height]
    assert first["num_keypoints"] == 15


def test_results_have_cocos_keypoints_and_the_ids_of_a_file(convert, records, tmp_path):
    images = [{"id": 70 + k, "file_name": f"val/{name}.jpg"} for k, name in enumerate("abc")]
    truth = {"images": images, "annotations": [], "categories": []}
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    convert(records, "--format", "coco-results", "--joints", "coco", "--images", "truth.json")
    results = json.loads((tmp_path / "results.json").read_text())
    assert [(r["image_id"], r["score"]) for r in results] == [(70, 0.8), (70, 0.6), (72, 0.7)]
    keypoints = results[0]["keypoints"]
    assert len(keypoints) == 3 * COCO.num_keypoints and keypoints[:15] == [0] * 15
    ankle = COCO.keypoints.index("left_ankle")  # not visible, and yet it has a place
    joint = RECORDS[0]["people"][0]["joints"]["l_ankle"]
    assert keypoints[3 * ankle : 3 * ankle + 3] == [joint["x"], joint["y"], 2]


def test_a_row_is_a_person(convert, records, tmp_path):
    convert(records, "--format", "csv", "--out", "found.csv")
    rows = list(csv.DictReader((tmp_path / "found.csv").read_text().splitlines()))
    assert [(row["image"], row["person"]) for row in rows] == [
        ("photos/a.jpg", "1"), ("photos/a.jpg", "2"), ("photos/c.jpg", "1"),
    ]  # fmt: skip
    assert (rows[1]["r_ankle_x"], rows[1]["r_ankle_score"]) == ("120.0", "0.9")
    assert (rows[1]["r_ankle_visible"], rows[1]["l_ankle_visible"]) == ("1", "0")


@pytest.mark.parametrize(
    ("content", "arguments", "part"),
    [
        (None, [], "no record of `hourglass predict` is there"),
        ({**RECORDS[0], "people": [{"score": 1}]}, [], "is no record of a photograph by this"),
        (RECORDS[1], [], "no person is in the records"),
        (RECORDS[0], ["--images", "other.json"], "a.jpg: is no image of the COCO file"),
        (RECORDS[0], ["--images", "twice.json"], "two images have one name"),
        (RECORDS[0], ["--images", "poses/a.json"], "no images, annotations and categories"),
        (RECORDS[0], ["--out", "other.json"], "other.json: is there already"),
    ],
)
def test_what_cannot_be_converted_is_one_line(convert, tmp_path, content, arguments, part):
    (tmp_path / "poses").mkdir()
    for name, ids in (("other", [(1, "z.jpg")]), ("twice", [(1, "x/a.jpg"), (2, "y/a.jpg")])):
        images = [{"id": image_id, "file_name": path} for image_id, path in ids]
        coco = {"images": images, "annotations": [], "categories": []}
        (tmp_path / f"{name}.json").write_text(json.dumps(coco))
    if content:
        (tmp_path / "poses/a.json").write_text(json.dumps(content))
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UserError) as caught:
        convert("poses", *arguments)
    assert part in str(caught.value) and "\n" not in str(caught.value)
    assert sorted(tmp_path.iterdir()) == before, "nothing is left"
