"""`hourglass predict --boxes`: photographs one by one, and all of them with `--records`."""

import json
from pathlib import Path

import numpy as np
import pytest

from helpers.batch_runs import fake_network, save_dot, save_dots
from helpers.clips import BarBackend, bars, write_clip
from helpers.fake_backends import BrightestBackend
from helpers.stages import files_below

LEFT, RIGHT = [2, 5, 20, 20], [35, 8, 20, 25]


@pytest.fixture
def backend(monkeypatch):
    """The backend of the commands, which finds all joints where a crop is brightest."""
    fake_network(monkeypatch, 4)
    backend = BrightestBackend()
    monkeypatch.setattr("hourglass.cli.models.open_backend", lambda *_: backend)
    return backend


@pytest.fixture
def predict(run_command, backend):
    def run(*arguments):
        return run_command("predict", "--boxes", "boxes.json", "--model", "net.keras", *arguments)

    return run


def write_boxes(**bboxes):
    """A list of detections: bboxes of each picture, {its stem: them}."""
    entries = [
        {"file_name": f"{name}.png", "bbox": bbox, "category_id": 1}
        for name, listed in bboxes.items() for bbox in listed
    ]  # fmt: skip
    Path("boxes.json").write_text(json.dumps(entries))


def read_record(name, folder="poses"):
    return json.loads(Path(folder, f"{name}.json").read_text())


def first_joint(person):
    joint = next(iter(person["joints"].values()))
    return joint["x"], joint["y"]


def test_each_box_is_a_person_and_a_picture_is_one_batch(predict, backend):
    save_dot(Path("in/a.png"), (44, 20))
    write_boxes(a=[RIGHT, LEFT, [30, 10, 30, 30]])
    code, (line,), err = predict("in")
    assert (code, err, backend.batches) == (0, [], [3, 3])
    assert line.startswith("in/a.png: poses/a.png, poses/a.json, 3 people, scores ")
    record = read_record("a")
    assert record["mode"] == "bbox" and "bbox" not in record
    people = record["people"]
    assert [person["bbox"] for person in people] == [RIGHT, LEFT, [30, 10, 30, 30]]
    # The dot is in the first and the last of the boxes.
    for person in people[::2]:
        assert first_joint(person) == pytest.approx((45, 21), abs=3)
    assert people[1]["score"] == 0 < people[0]["score"]


def test_a_person_is_the_one_that_box_finds(predict, run_command):
    save_dot(Path("in/a.png"), (44, 20))
    write_boxes(a=[RIGHT])
    predict("in")
    box = ",".join(map(str, RIGHT))
    code, *_ = run_command("predict", "in", "--box", box, "--model", "net.keras", "--out", "alone")
    assert code == 0 and read_record("a") == read_record("a", "alone")


def test_a_picture_without_a_box_has_no_person(predict):
    save_dots(Path("in"), 3)
    write_boxes(**{"000": [LEFT], "002": [LEFT, RIGHT]})
    code, out, err = predict("in")
    assert (code, err) == (0, [])
    assert [line.partition(".json, ")[2][:8] for line in out] == [
        "1 person",
        "no perso",
        "2 people",
    ]
    assert out[1].endswith("no person: --boxes has no box of it")
    assert read_record("001")["people"] == [] and Path("poses/001.png").exists()


def test_boxes_of_a_clip_are_those_of_its_first_frame(predict, monkeypatch):
    backend = BarBackend()
    backend.trained_on = ("folder",)
    monkeypatch.setattr("hourglass.cli.models.open_backend", lambda *_: backend)
    places = [(60, 100), (160, 100), (260, 100)]
    for name in ("a", "b"):
        write_clip(f"{name}.mp4", [bars((320, 200), *places)] * 3)
    boxes = [[245, 65, 30, 70], [45, 65, 30, 70]]
    entries = [{"file_name": "a.mp4", "bbox": bbox, "category_id": 1} for bbox in boxes]
    Path("boxes.json").write_text(json.dumps(entries))
    code, out, err = predict("a.mp4", "b.mp4")
    assert (code, err) == (0, [])
    assert "3 frames, 2 people, in 3 of them" in out[0]
    assert out[1].endswith("3 frames, no person: --boxes has no box of it")
    header, *frames = map(json.loads, Path("poses/a.jsonl").read_text().splitlines())
    assert header["bboxes"] == boxes
    for frame in frames:
        middles = [np.mean([joint["x"] for joint in person["joints"].values()])
                   for person in frame["people"]]  # fmt: skip
        assert middles == pytest.approx([259.5, 59.5], abs=2)


def test_boxes_of_other_pictures_are_one_warning(predict):
    save_dot(Path("a.png"))
    write_boxes(a=[LEFT], b=[LEFT, RIGHT])
    code, _, (line,) = predict("a.png")
    assert code == 0
    assert line == (
        "warning: boxes.json: boxes of pictures that are not named in the command: 2, of 1"
    )


def test_a_box_outside_of_one_picture_leaves_the_others(predict):
    save_dots(Path("in"), 2)
    write_boxes(**{"000": [LEFT, [900, 0, 5, 5]], "001": [LEFT]})
    code, (line,), err = predict("in")
    assert code == 1 and line.startswith("in/001.png: ")
    assert err[0].startswith("error: in/000.png: the box 900,0,5,5 leaves nothing to see of ")


def read_people(folder="poses"):
    lines = Path(folder, "poses.jsonl").read_text().splitlines()[1:]
    return {Path(line["image"]).stem: line["people"] for line in map(json.loads, lines)}


def test_records_have_the_people_of_the_single_files(predict):
    save_dots(Path("in"), 6)
    write_boxes(**{"000": [LEFT], "002": [LEFT, RIGHT], "005": [RIGHT]})
    predict("in", "--out", "single")
    code, (line,), err = predict("in", "--records")
    assert (code, err) == (0, [])
    assert line == "poses/poses.jsonl: 6 pictures, 4 people, no person on 3"
    people = read_people()
    for name, listed in people.items():
        assert listed == read_record(name, "single")["people"]
    assert [person["bbox"] for person in people["002"]] == [LEFT, RIGHT]
    header = json.loads(Path("poses/poses.jsonl").read_text().splitlines()[0])
    assert header["mode"] == "bbox" and "bbox" not in header


def test_records_go_on_with_the_same_boxes_alone(predict):
    save_dots(Path("in"), 5)
    write_boxes(**{"001": [LEFT], "003": [RIGHT]})
    first = predict("in", "--records"), files_below("poses")
    assert (predict("in", "--records"), files_below("poses")) == first
    write_boxes(**{"001": [LEFT], "003": [LEFT]})
    code, _, (line,) = predict("in", "--records")
    assert code == 1 and "holds a run that was begun with other options" in line
    assert files_below("poses") == first[1]


def test_boxes_of_two_meanings_begin_no_records(predict):
    for folder in ("x", "y"):
        save_dot(Path(folder, "a.png"))
    write_boxes(a=[LEFT])
    code, _, (line,) = predict("x", "y", "--records")
    assert code == 1 and line.startswith("error: boxes.json: a.png may be x/a.png or y/a.png; ")
    Path("boxes.json").write_text(Path("boxes.json").read_text().replace("a.png", "y/a.png"))
    assert predict("x", "y", "--records")[0] == 0
