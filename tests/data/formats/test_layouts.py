import json
import shutil

import numpy as np
import pytest
import yaml

from helpers.exports import (
    NAMES,
    WRITERS,
    make_content,
    make_people,
    write_cvat_coco,
    write_cvat_xml,
    write_label_studio,
    write_labelme,
    write_pictures,
    write_roboflow,
    write_yolo,
)
from hourglass.data.datasets.folder import Folder, pack_folder
from hourglass.data.formats.exports import LabelledPicture, PictureFiles, choose_splits
from hourglass.data.formats.layouts import read_layout
from hourglass.data.parse import parse_dataset
from hourglass.keypoints import COCO
from hourglass.utils.errors import UserError

PEOPLE = make_people()


def read(folder, tmp_path):
    """{picture's name: its persons} of a folder, through packing and parsing; and the splits."""
    raw = tmp_path / "raw"
    pack_folder(folder, raw, COCO)
    parsed = parse_dataset(raw, Folder.name, COCO)
    assert not parsed.invalid
    found = {}
    for persons in parsed.splits.values():
        for person in persons:
            found.setdefault(person.image.rpartition("/")[2], []).append(person)
    return found, {
        split: {person.image.rpartition("/")[2] for person in persons}
        for split, persons in parsed.splits.items()
    }


@pytest.mark.parametrize("tool", WRITERS)
def test_each_tools_export_gives_the_persons_that_went_in(tool, tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    WRITERS[tool](own, PEOPLE)
    found, splits = read(own, tmp_path)
    assert found.keys() == PEOPLE.keys()
    assert splits["train"] and splits["validation"]
    assert not splits["train"] & splits["validation"], "never a picture in both parts"
    for name, persons in PEOPLE.items():
        assert len(found[name]) == len(persons)
        for person, expected in zip(found[name], persons, strict=True):
            triples = np.array(expected["keypoints"])
            visible = triples[:, 2] > 0
            assert (person.keypoints_visible == visible).all(), name
            assert np.abs(person.joints - triples[:, :2])[visible].max() < 1e-3
            # 1.1 times the longer side of the box, 225 px.
            assert person.scale == pytest.approx(1.1 * 225 / 200, abs=1e-4)


def test_without_a_split_the_same_pictures_validate_each_time(tmp_path):
    chosen = []
    for k, people in enumerate((PEOPLE, dict(reversed(PEOPLE.items())))):
        own = tmp_path / f"{k}" / "own"
        own.mkdir(parents=True)
        write_cvat_coco(own, people)
        chosen.append(read(own, tmp_path / f"{k}")[1]["validation"])
    assert chosen[0] == chosen[1] and len(chosen[0]) == 1


def test_a_fraction_of_the_pictures_validates(tmp_path):
    for fraction, number in ((0.1, 2), (0.5, 10), (0.01, 1)):
        pictures = [LabelledPicture(tmp_path / f"{k}.jpg") for k in range(20)]
        choose_splits(pictures, tmp_path, fraction)
        assert sum(p.split == "validation" for p in pictures) == number


@pytest.mark.parametrize(
    "name",
    ["a.jpg", "./a.jpg", "A.JPG", "images\\a.jpg", "other/folder/a.jpg", "cafe\u0301.png",
     "caf\xe9.png", "caf%C3%A9.png"],
)  # fmt: skip
def test_a_picture_is_found_by_the_names_that_tools_write(name, tmp_path):
    (tmp_path / "images/deep").mkdir(parents=True)
    for file in ("images/deep/a.jpg", "images/caf\xe9.png"):
        (tmp_path / file).write_bytes(b"x")
    path = PictureFiles(tmp_path).find(name)
    assert path.name in ("a.jpg", "caf\xe9.png")


def test_a_name_in_two_folders_is_told_apart_or_refused(tmp_path):
    for folder in ("train", "valid"):
        write_pictures(tmp_path / folder, ["a.jpg"])
    files = PictureFiles(tmp_path)
    assert files.find("a.jpg", tmp_path / "valid") == tmp_path / "valid/a.jpg"
    assert files.find("train/a.jpg") == tmp_path / "train/a.jpg"
    with pytest.raises(Exception, match="is in several folders"):
        files.find("a.jpg")


def test_boxes_that_only_enclose_keypoints_are_enlarged(tmp_path):
    people = make_people()
    for person in (person for persons in people.values() for person in persons):
        points = np.array([t[:2] for t in person["keypoints"] if t[2]])
        low, size = points.min(axis=0), np.ptp(points, axis=0)
        person["bbox"] = [*low.tolist(), *size.tolist()]
    write_cvat_coco(tmp_path / "own", people)
    found, _ = read(tmp_path / "own", tmp_path)
    person, expected = found["pic 0.jpg"][0], people["pic 0.jpg"][0]["bbox"]
    assert person.scale == pytest.approx(1.21 * 1.1 * max(expected[2:]) / 200)
    raw = json.loads((tmp_path / "raw/train.json").read_text())
    assert raw["annotations"][0]["bbox"] == pytest.approx(
        people[raw["images"][0]["file_name"].rpartition("/")[2]][0]["bbox"]
    )


def corrupt(folder, change):
    own = folder / "own"
    own.mkdir()
    change(own)
    with pytest.raises(UserError) as caught:
        read_layout(own, 0.1)
    return str(caught.value)


def two_files_for_one_split(own):
    write_cvat_coco(own, PEOPLE)
    path = own / "annotations/person_keypoints_default.json"
    shutil.copy(path, own / "annotations/person_keypoints_again.json")


def labels_of_a_swapped_person(own):
    write_labelme(own, PEOPLE)
    path = own / "pic 1.json"
    content = json.loads(path.read_text())
    for shape in content["shapes"]:
        shape["group_id"] = None
    path.write_text(json.dumps(content))


def points_of_nobody(own):
    write_label_studio(own, PEOPLE)
    path = own / "project-1.json"
    tasks = json.loads(path.read_text())
    for task in tasks:
        for result in task["annotations"][0]["result"]:
            result.pop("parentID", None)
    path.write_text(json.dumps(tasks))


def coco_of_label_studio(own):
    content = make_content(PEOPLE, PEOPLE)
    content["info"] = {"contributor": "Label Studio"}
    for annotation in content["annotations"]:
        annotation["keypoints"] = []
    content["annotations"] += make_content(["pic 0.jpg"], PEOPLE)["annotations"]
    write_pictures(own / "images", PEOPLE)
    (own / "result.json").write_text(json.dumps(content))


def keypoints_without_names(own):
    write_yolo(own, PEOPLE)
    values = yaml.safe_load((own / "data.yaml").read_text()) | {"kpt_shape": [5, 3]}
    (own / "data.yaml").write_text(yaml.safe_dump(values))


def a_short_line(own):
    write_yolo(own, PEOPLE)
    (own / "labels/train/pic 3.txt").write_text("0 0.5 0.5 1 1 0.2 0.3\n")


def only_one_split(own):
    write_roboflow(own, PEOPLE)
    shutil.rmtree(own / "valid")


def a_broken_xml(own):
    write_cvat_xml(own, PEOPLE)
    text = (own / "annotations.xml").read_text()
    (own / "annotations.xml").write_text(text[: len(text) // 2])


def a_picture_that_is_gone(own):
    write_cvat_xml(own, PEOPLE)
    (own / "images/pic 3.jpg").unlink()


def pictures_alone(own):
    write_pictures(own, PEOPLE)


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (two_files_for_one_split, "one keypoint file for train and one for val was expected: "),
        (labels_of_a_swapped_person, "pic 1.json: two points 'nose' of one person; give each"),
        (points_of_nobody, "task 1: keypoints without a parentID, and several rectangles"),
        (coco_of_label_studio, "Label Studio's COCO export makes one person of all"),
        (keypoints_without_names, "data.yaml: no names of the 5 keypoints; add `kpt_names"),
        (a_short_line, "pic 3.txt, line 1: 7 numbers, not 56"),
        (only_one_split, "COCO keypoint files: no file for validation"),
        (a_broken_xml, "annotations.xml: "),
        (a_picture_that_is_gone, "picture 'pic 3.jpg' is not there"),
        (pictures_alone, "nor a tool's export: COCO keypoint files (CVAT, Roboflow), CVAT's XML"),
    ],
)
def test_an_export_that_cannot_be_used_is_one_line(change, part, tmp_path):
    line = corrupt(tmp_path, change)
    assert part in line and "\n" not in line


def test_names_of_ones_own_keypoints_come_from_data_yaml(tmp_path):
    write_yolo(tmp_path, PEOPLE)
    values = yaml.safe_load((tmp_path / "data.yaml").read_text())
    values["kpt_names"] = {0: [f"{name}_own" for name in NAMES]}
    (tmp_path / "data.yaml").write_text(yaml.safe_dump(values))
    (category,) = read_layout(tmp_path, 0.1).splits["train"]["categories"]
    assert set(category["keypoints"]) == {f"{name}_own" for name in NAMES}
