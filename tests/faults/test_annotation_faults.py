"""JSON cut, garbled or of other things; records and COCO files with any fault; MPII's .mat."""

import csv
import json
import zipfile

import numpy as np
import pytest

from helpers.annotations import (
    EMPTY,
    make_annotation,
    make_coco,
    make_lspet,
    make_mat,
    make_point,
    make_record,
    make_rect,
    mat_of,
    reason_of,
    struct_array,
    zip_images,
)
from helpers.paths import ROOT
from hourglass.data.conversion import Conversion
from hourglass.data.datasets.base import find_dataset
from hourglass.data.datasets.lspet import LSPET, read_lspet
from hourglass.data.datasets.mpii import read_mpii_json, read_mpii_mat
from hourglass.data.person import RAW_KEYS, load_persons
from hourglass.data.validation import check_records
from hourglass.keypoints import COCO, MPII
from hourglass.utils import files
from hourglass.utils.errors import UserError

RECIPE = (
    (ROOT / "params.yaml").read_text().replace("folder: stages/download.py", "folder: data/own")
)
NUM_GOOD = 200


def good_record(number, **changes):
    return make_record(image=f"{number}.jpg", **changes)


JOINTS = make_record()["joints"]
GOOD = [good_record(number) for number in range(NUM_GOOD)]
VALIDATION = [make_record(image="validation.jpg")]
IMAGES = zip_images([*(f"{number}.jpg" for number in range(NUM_GOOD)), "validation.jpg", "a.jpg"])


@pytest.fixture
def parse(run_stage, tmp_path):
    """A function that runs the parse stage on the bytes, or records, of a train.json."""

    def run(train, validation=VALIDATION, excluded="[]"):
        raw = tmp_path / "data" / "raw" / "folder"
        raw.mkdir(parents=True)
        (raw / "images.zip").write_bytes(IMAGES)
        for name, content in (("train", train), ("validation", validation)):
            if content is not None:
                data = content if isinstance(content, bytes) else json.dumps(content).encode()
                (raw / f"{name}.json").write_bytes(data)
        text = RECIPE.replace("dataset: mpii", "dataset: folder")
        text = text.replace("excluded: []", f"excluded: {excluded}")
        (tmp_path / "params.yaml").write_text(text)
        return run_stage("parse")

    return run


def read_invalid(folder):
    with open(folder / "data/annotations/invalid.csv", newline="", encoding="utf-8") as file:
        return [tuple(row.values()) for row in csv.DictReader(file)]


# Whole files


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (None, "not found"),
        (b"", "the file is empty"),
        (b" \n ", "the file is empty"),
        (b"[]", "holds no record of a person"),
        (json.dumps(GOOD).encode()[:-1], "where the file ends: Expecting ',' delimiter"),
        (json.dumps(GOOD).encode()[:5_000], "not JSON at line 1 column "),
        (b'[{"image": "a.jpg"},\n {"ima', "not JSON at line 2 column 3"),
        (json.dumps(GOOD).encode().replace(b"17.jpg", b"\xe4.jpg"), "not UTF-8 at byte "),
        (json.dumps(GOOD).encode("utf-16"), "not UTF-8 at byte 0"),
        (json.dumps(GOOD).encode("utf-32"), "not UTF-8 at byte 0"),
        (json.dumps({"annotations": GOOD}).encode(), "line 1: a list of records was expected"),
        (b"null", "a list of records was expected"),
        (b"<html>not found</html>", "not JSON at line 1 column 1:"),
        (json.dumps(GOOD).encode() * 2, "not JSON at line 1 column "),
        (b"[" * 200_000, "nested too deeply"),
        (b"\0" * 5_000, "not JSON at line 1 column 1"),
    ],
    ids=["missing", "empty", "white space", "empty list", "last byte missing", "cut in half",
         "cut in a key", "Latin-1", "UTF-16", "UTF-32", "an object", "null", "a web page", "twice",
         "nested without end", "zeros"],
)  # fmt: skip
def test_a_file_that_is_no_list_of_records(parse, tmp_path, content, fault):
    code, out, err = parse(content)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert err.startswith("error: data/raw/folder/train.json: ") and fault in err
    assert err.endswith("; fix it or download it again\n")
    assert not (tmp_path / "data" / "annotations").exists()


def test_a_folder_in_place_of_a_file(tmp_path):
    (tmp_path / "train.json").mkdir()
    with pytest.raises(UserError, match=r"train\.json: cannot be read: Is a directory; fix it"):
        read_mpii_json(tmp_path / "train.json", "train")


def test_ten_million_records_are_refused_before_they_fill_the_memory(parse, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "JSON_MEMORY_FACTOR", 10**9)
    code, out, err = parse(GOOD)
    assert (code, out, err.count("\n")) == (1, "", 1)
    size = len(json.dumps(GOOD))
    assert err.startswith(
        f"error: data/raw/folder/train.json: takes {size * 10**9:,} bytes of memory to read, and "
    )
    assert err.endswith(" are free; split it, or use a larger machine\n")


def test_a_byte_order_mark_is_no_fault(parse):
    assert parse(json.dumps(GOOD).encode("utf-8-sig"))[0] == 0


# Records


def with_joint(joint, place, **changes):
    record = make_record(**changes)
    record["joints"][joint] = place
    return record


def without(key):
    return {name: value for name, value in make_record().items() if name != key}


IN_REACH = "is not within 100,000 px"
NO_PAIRS = "joints is not 16 pairs of numbers"
NO_FLAGS = "joints_vis is not 16 of 0 or 1"
NO_SCALE = "scale is not a number from 0.001 to 1000"
SCALE_IN_PIXELS = (
    "the joints span less than 0.02 person heights: is scale in pixels? it is the person's height "
    "/ 200 px"
)
NO_HEAD = "head_size is not a number from 0.005 to 3 person heights (200 px * scale); it is in px"
FAR_OFF = "a labelled joint is over 10 person heights (200 px * scale) off center"
FAULTS = {
    "null": (None, "not an object"),
    "a number": (7, "not an object"),
    "a list": ([make_record()], "not an object"),
    "empty object": ({}, "no 'image'"),
    **{f"no {key}": (without(key), f"no '{key}'") for key in RAW_KEYS},
    "image null": (make_record(image=None), "image is not a name"),
    "image empty": (make_record(image=""), "image is not a name"),
    "image absolute": (make_record(image="/etc/passwd"), "image is not a plain relative name"),
    "image climbs": (make_record(image="../a.jpg"), "image is not a plain relative name"),
    "image on a drive": (make_record(image="C:/a.jpg"), "image is not a plain relative name"),
    "image with NUL": (make_record(image="a\0.jpg"), "image is not a plain relative name"),
    "image with a line break": (make_record(image="a\n.jpg"), "image is not a plain relative name"),
    "image is half a character": (
        make_record(image="\ud800"),
        "image is not a plain relative name",
    ),
    "image unknown": (make_record(image="gone.jpg"), "picture is not among the images"),
    "image of validation": (make_record(image="validation.jpg"), "picture is also in validation"),
    "15 joints": (make_record(joints=[[1.0, 2.0]] * 15), NO_PAIRS),
    "17 joints": (make_record(joints=[[1.0, 2.0]] * 17), NO_PAIRS),
    "joints null": (make_record(joints=None), NO_PAIRS),
    "joints flat": (make_record(joints=[1.0] * 32), NO_PAIRS),
    "joints of three": (make_record(joints=[[1.0, 2.0, 3.0]] * 16), NO_PAIRS),
    "a joint of strings": (with_joint(5, ["1", "2"]), NO_PAIRS),
    "a joint of null": (with_joint(5, [None, None]), NO_PAIRS),
    "a joint of booleans": (with_joint(5, [True, False]), NO_PAIRS),
    "a joint NaN": (with_joint(5, [float("nan"), 1.0]), f"a labelled joint {IN_REACH}"),
    "a joint 1e400": (with_joint(5, [1.0, 7e77]), f"a labelled joint {IN_REACH}"),
    "a joint of 5,000 digits": (with_joint(5, [1.0, -7e77]), f"a labelled joint {IN_REACH}"),
    "15 flags": (make_record(joints_vis=[1] * 15), NO_FLAGS),
    "17 flags": (make_record(joints_vis=[1] * 17), NO_FLAGS),
    "flags of 2": (make_record(joints_vis=[2] * 16), NO_FLAGS),
    "flags of strings": (make_record(joints_vis=["1"] * 16), NO_FLAGS),
    "flags NaN": (make_record(joints_vis=[float("nan")] * 16), NO_FLAGS),
    "no labelled joint": (make_record(joints_vis=[0] * 16), "no labelled joint"),
    "scale 0": (make_record(scale=0), NO_SCALE),
    "scale negative": (make_record(scale=-1.5), NO_SCALE),
    "scale a string": (make_record(scale="1.5"), NO_SCALE),
    "scale true": (make_record(scale=True), NO_SCALE),
    "scale null": (make_record(scale=None), NO_SCALE),
    "scale NaN": (make_record(scale=float("nan")), NO_SCALE),
    "scale 1e400": (make_record(scale=7e77), NO_SCALE),
    "scale tiny": (make_record(scale=1e-9), NO_SCALE),
    "center far outside": (make_record(center=[2e5, 10.0]), f"center {IN_REACH}"),
    "center NaN": (make_record(center=[float("nan"), 1.0]), f"center {IN_REACH}"),
    "center 1e400": (make_record(center=[7e77, 1.0]), f"center {IN_REACH}"),
    "center of one": (make_record(center=[1.0]), "center is not a pair of numbers"),
    "center of strings": (make_record(center=["1", "2"]), "center is not a pair of numbers"),
    "scale in pixels": (make_record(scale=250.0), SCALE_IN_PIXELS),
    "joint of another picture": (make_record(joints=[[4_000.0, 7.0], *JOINTS[1:]]), FAR_OFF),
    "head_size 0": (make_record(head_size=0), NO_HEAD),
    "head_size negative": (make_record(head_size=-30), NO_HEAD),
    "head_size a string": (make_record(head_size="30"), NO_HEAD),
    "head_size a list": (make_record(head_size=[30]), NO_HEAD),
    "head_size true": (make_record(head_size=True), NO_HEAD),
    "head_size null": (make_record(head_size=None), NO_HEAD),
    "head_size NaN": (make_record(head_size=float("nan")), NO_HEAD),
    "head_size 1e400": (make_record(head_size=7e77), NO_HEAD),
    "head_size in heights": (make_record(head_size=0.125), NO_HEAD),
    "head_size in micrometres": (make_record(head_size=30_000), NO_HEAD),
    "duplicate": (GOOD[17], "exact duplicate of an earlier record"),
}


@pytest.mark.parametrize(("record", "reason"), FAULTS.values(), ids=FAULTS)
def test_a_record_with_a_fault_is_set_aside_with_its_reason(parse, tmp_path, record, reason):
    text = json.dumps([*GOOD, record])
    # What Python cannot write as JSON, but a file can hold.
    text = text.replace("-7e+77", "9" * 5_000).replace("7e+77", "1e400")
    code, out, err = parse(text.encode())
    assert (code, err) == (0, "")
    assert out.startswith(f"train: {NUM_GOOD + 1} records = {NUM_GOOD} kept + 1 invalid;")
    (row,) = read_invalid(tmp_path)
    assert (row[0], row[1], row[3]) == ("train", str(NUM_GOOD), reason)
    image = (record.get("image") or "") if isinstance(record, dict) else ""
    assert row[2].isprintable() and (row[2] == image or not image.isprintable())
    kept = load_persons(tmp_path / "data/annotations/train.json")
    assert [person.image for person in kept] == [record["image"] for record in GOOD]


@pytest.mark.parametrize(
    ("changes", "joint"),
    [
        ({"joints_vis": [0] + [1] * 15, "joints": [[float("nan")] * 2, *JOINTS[1:]]}, -1),
        ({"joints": [[-50.0, -7.0], *JOINTS[1:]]}, -51),
        ({"joints": [[2_000, 5], *JOINTS[1:]]}, 1_999),
        ({"joints_vis": [True] * 16, "spare": "ignored"}, 0),
    ],
    ids=["NaN unlabelled", "labelled outside", "whole numbers", "flags true, spare keys"],
)
def test_an_odd_record_that_is_no_fault_is_kept(parse, tmp_path, changes, joint):
    assert parse([*GOOD, make_record(**changes)])[0] == 0
    assert read_invalid(tmp_path) == []
    person = load_persons(tmp_path / "data/annotations/train.json")[-1]
    assert person.joints[0, 0] == joint


def test_too_many_bad_records_stop_the_stage(parse, tmp_path):
    bad = [good_record(number, scale=0) for number in range(3)]
    code, out, err = parse([*bad, *GOOD[3:]])
    assert code == 1 and out.startswith("train: 200 records = 197 kept + 3 invalid;")
    assert err == (
        f"error: train: 3 of 200 records are invalid, 3 of them because: {NO_SCALE}; the first is "
        "record 0, counted from 0, 0.jpg (all in data/annotations/invalid.csv); fix "
        "data/own/train.json, or raise parse.max_invalid_fraction from 0.01\n"
    )
    assert [record[:2] for record in read_invalid(tmp_path)] == [
        ("train", str(k)) for k in range(3)
    ]
    assert not (tmp_path / "data/annotations/train.json").exists()


@pytest.mark.parametrize("split", ["train", "validation"])
def test_leaving_out_a_whole_split_is_one_line_and_keeps_what_is_there(parse, tmp_path, split):
    (tmp_path / "data/annotations").mkdir(parents=True)
    (tmp_path / "data/annotations/train.json").write_text("earlier")
    first, last = ("0", "9z") if split == "train" else ("v", "w")
    code, out, err = parse(GOOD, excluded=f"[['{first}', '{last}']]")
    assert (code, out) == (1, "")
    assert err == f"error: params.yaml: parse.excluded: leaves no record in {split}; shorten it\n"
    assert (tmp_path / "data/annotations/train.json").read_text() == "earlier"


# COCO's form


def changed(*place, value):
    """A COCO file of three persons with one value replaced."""
    content = make_coco([make_annotation(number) for number in (1, 2, 3)], 3)
    entry = content
    for key in place[:-1]:
        entry = entry[key]
    entry[place[-1]] = value
    return content


KEYPOINTS = make_annotation(2)["keypoints"]
NO_KEYPOINTS = "keypoints has "
NO_PLACE = "a labelled keypoint is not at two finite numbers"


def lacking(*place):
    *outer, key = place
    content = entry = changed("info", value={})
    for part in outer:
        entry = entry[part]
    del entry[key]
    return content


COCO_FAULTS = {
    "no images": (lacking("images"), "line 1: a list of records was expected, or COCO's images, "),
    "no categories": (lacking("categories"), "line 1: a list of records was expected, or COCO's"),
    "images an object": (changed("images", value={}), "images is not a list"),
    "annotations null": (changed("annotations", value=None), "annotations is not a list"),
    "an image null": (changed("images", 2, value=None), "images 2: not an object"),
    "an image without id": (lacking("images", 0, "id"), "images 0: no 'id'"),
    "an image without name": (lacking("images", 0, "file_name"), "images 0: no 'file_name'"),
    "a name that is a number": (changed("images", 0, "file_name", value=7), "images 0: no 'file_"),
    "an image twice": (changed("images", 2, "id", value=1), "images 2: id 1 is there already"),
    "a category without keypoints": (
        lacking("categories", 0, "keypoints"),
        "names no keypoints: a category needs a list of them",
    ),
    "keypoints by number": (
        changed("categories", 0, "keypoints", value=[str(k) for k in range(17)]),
        "none of its keypoints is known: it has '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', ",
    ),
    "keypoints of a face alone": (
        changed("categories", 0, "keypoints", value=["nose", "left_eye"]),
        "none of its keypoints is known: it has 'nose', 'left_eye'; data.schema has r_ankle, ",
    ),
    "a keypoint twice": (
        changed("categories", 0, "keypoints", value=[*COCO.keypoints[:16], "L-Knee"]),
        "keypoints 'left_knee' and 'L-Knee' are both l_knee; rename one",
    ),
}


@pytest.mark.parametrize(("content", "fault"), COCO_FAULTS.values(), ids=COCO_FAULTS)
def test_a_broken_coco_file_is_one_line(parse, tmp_path, content, fault):
    code, out, err = parse(content)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert err.startswith(f"error: data/raw/folder/train.json: {fault}")
    assert err.endswith("; fix it or download it again\n")
    assert not (tmp_path / "data" / "annotations").exists()


COUNTS = f"train: {NUM_GOOD + 1} records = {NUM_GOOD - 1} kept + 1 invalid"


def parse_one_of_many(parse, annotation, file_name):
    """Parse a COCO file of 199 good persons, a crowd and one more, whose picture is `file_name`."""
    crowd = make_annotation(1, iscrowd=1)
    persons = [make_annotation(number) for number in range(1, NUM_GOOD)]
    content = make_coco([crowd, *persons, annotation], NUM_GOOD)
    content["images"][-1]["file_name"] = file_name
    code, out, err = parse(content)
    assert (code, err) == (0, "")
    return out


@pytest.mark.parametrize(
    ("changes", "file_name", "reason"),
    [
        ({}, "gone.jpg", "picture is not among the images"),
        ({}, "../1.jpg", "image is not a plain relative name"),
        ({}, "/images/1.jpg", "image is not a plain relative name"),
        ({}, "C:\\images\\1.jpg", "image is not a plain relative name"),
        ({"bbox": [20, 10, 0, 0]}, "a.jpg", "bbox is empty: its width or height is not above 0"),
        ({"bbox": [2e5, 10, 90, 90]}, "a.jpg", "the keypoints lie far from bbox"),
        ({"bbox": [3_000, 3_000, 90, 90]}, "a.jpg", "the keypoints lie far from bbox"),
        ({"keypoints": make_annotation(7)["keypoints"]}, "7.jpg", "exact duplicate of an earlier "),
        ({"bbox": None}, "a.jpg", "bbox is not 4 finite numbers"),
        ({"bbox": [1, 2, 3]}, "a.jpg", "bbox is not 4 finite numbers"),
        ({"bbox": [1, 2, float("inf"), 3]}, "a.jpg", "bbox is not 4 finite numbers"),
        ({"keypoints": KEYPOINTS[:48]}, "a.jpg", NO_KEYPOINTS),
        ({"keypoints": KEYPOINTS[:34]}, "a.jpg", NO_KEYPOINTS),
        ({"keypoints": "none"}, "a.jpg", "keypoints is not a list"),
        ({"keypoints": [*KEYPOINTS[:30], float("nan"), *KEYPOINTS[31:]]}, "a.jpg", NO_PLACE),
        ({"keypoints": [*KEYPOINTS[:30], None, *KEYPOINTS[31:]]}, "a.jpg", NO_PLACE),
        ({"keypoints": [*KEYPOINTS[:30], "7", *KEYPOINTS[31:]]}, "a.jpg", NO_PLACE),
        ({"category_id": None}, "a.jpg", "no 'category_id'"),
    ],
    ids=["gone", "climbs", "absolute", "on a drive", "an empty box", "a box far outside",
         "a box elsewhere", "twice", "no box", "a box of 3", "a box infinite", "16 keypoints",
         "17 pairs", "keypoints a text", "NaN", "a keypoint null", "a keypoint a text",
         "no category"],
)  # fmt: skip
def test_a_coco_person_with_a_fault_is_set_aside_under_its_own_number(
    parse, tmp_path, changes, file_name, reason
):
    out = parse_one_of_many(parse, make_annotation(NUM_GOOD, **changes), file_name)
    assert out.startswith(f"{COUNTS} + 1 not used (1 a crowd);")
    (record,) = read_invalid(tmp_path)
    assert record[:3] == ("train", str(NUM_GOOD), file_name) and record[3].startswith(reason)


@pytest.mark.parametrize(
    ("annotation", "reason"),
    [
        ([1], "not an object"),
        (make_annotation(999), "image_id 999 is not among the images"),
        (make_annotation(1, image_id="1"), "image_id '1' is not among the images"),
        (make_annotation(1, image_id=None), "no 'image_id'"),
    ],
    ids=["a list", "an unknown image", "an unknown image, a text", "no image"],
)
def test_a_coco_annotation_of_no_picture_is_set_aside(parse, tmp_path, annotation, reason):
    out = parse_one_of_many(parse, annotation, "a.jpg")
    assert out.startswith(f"{COUNTS} + 1 not used (1 a crowd);")
    assert read_invalid(tmp_path) == [("train", str(NUM_GOOD), "", reason, "")]


def test_a_broken_coco_file_is_found_before_anything_is_packed(run_stage, tmp_path):
    own = tmp_path / "data" / "own"
    (own / "images").mkdir(parents=True)
    (own / "images" / "1.jpg").write_bytes(b"a picture")
    for name, content in (("train", changed("info", value={})), ("validation", lacking("images"))):
        (own / f"{name}.json").write_text(json.dumps(content))
    (tmp_path / "params.yaml").write_text(RECIPE.replace("dataset: mpii", "dataset: folder"))
    code, out, err = run_stage("download")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert err.startswith("error: data/own/validation.json: line 1: a list of records was expected")
    assert err.endswith("; correct it\n")
    assert not (tmp_path / "data/raw/folder/images.zip").exists()


# The .mat


IS_VISIBLE = {
    "absent": {},
    "empty": {"is_visible": EMPTY},
    "string 0": {"is_visible": "0"},
    "string 1": {"is_visible": "1"},
    "uint8 0": {"is_visible": np.uint8(0)},
    "a number": {"is_visible": 1.0},
    "a word": {"is_visible": "maybe"},
}


@pytest.mark.parametrize(
    "visible", IS_VISIBLE.values(), ids=[f"is_visible {k}" for k in IS_VISIBLE]
)
def test_mat_point_that_is_there_is_labelled_whatever_is_visible_says(visible):
    points = struct_array([make_point(3, 4, 5, **visible), make_point(9, 50.25, -3.0)])
    train, _ = read_mpii_mat(make_mat([("a.jpg", make_rect(points))]), [])
    (person,), invalid = check_records(train, {"a.jpg"})
    assert not invalid and np.flatnonzero(person.keypoints_visible).tolist() == [3, 9]
    assert person.joints[[3, 9]].tolist() == [[3, 4], [49.25, -4]]


UNLABELLED_RECTS = {
    "empty": EMPTY,
    "struct array of none": np.empty((1, 0), dtype=[("annopoints", object), ("scale", object)]),
    "no annopoints": {"x1": 1.0, "scale": 1.0, "objpos": {"x": 1, "y": 2}},
    "empty annopoints": {"annopoints": EMPTY, "scale": 1.0, "objpos": {"x": 1, "y": 2}},
    "no points": {"annopoints": {"point": EMPTY}, "scale": 1.0, "objpos": {"x": 1, "y": 2}},
    "no scale": {"annopoints": {"point": make_point(1, 2, 3)}, "objpos": {"x": 1, "y": 2}},
    "empty scale": make_rect(make_point(1, 2, 3), scale=EMPTY),
    "no objpos": {"annopoints": {"point": make_point(1, 2, 3)}, "scale": 1.0},
    "empty objpos": {**make_rect(make_point(1, 2, 3)), "objpos": EMPTY},
}


@pytest.mark.parametrize("rect", UNLABELLED_RECTS.values(), ids=UNLABELLED_RECTS)
def test_mat_persons_without_labels_are_no_records(rect):
    mat = make_mat([("empty.jpg", rect), ("a.jpg", make_rect(make_point(3, 4, 5)))])
    train, validation = read_mpii_mat(mat, ["empty.jpg"])
    assert [record["image"] for record in train] == ["a.jpg"]
    assert not validation


@pytest.mark.parametrize(
    ("rect", "reason"),
    [
        (make_rect(make_point(16, 1, 1)), "joints is not 16"),
        (make_rect(struct_array([make_point(3, 1, 1), make_point(3, 2, 2)])), "joints is not 16"),
        (make_rect(make_point(3, EMPTY, 1)), "a labelled joint is not within"),
        (make_rect(make_point(3, np.nan, 1)), "a labelled joint is not within"),
        (make_rect(make_point(3, 1, 1), scale=np.inf), "scale is not a number"),
        (make_rect(make_point(3, 1, 1), scale="tall"), "scale is not a number"),
        ({**make_rect(make_point(3, 1, 1)), "objpos": {"x": 3}}, "center is not within"),
    ],
    ids=["a 17th joint", "a joint twice", "a joint without x", "a joint NaN", "scale infinite",
         "scale a string", "objpos without y"],
)  # fmt: skip
def test_mat_person_with_a_fault_is_invalid(rect, reason):
    train, _ = read_mpii_mat(make_mat([("a.jpg", rect)]), [])
    assert reason_of(train[0]).startswith(reason)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no MATLAB file" * 100,
        make_mat([("a.jpg", EMPTY)])[:-40],
        mat_of(joints=1.0),
        mat_of(RELEASE=1.0),
    ],
    ids=["empty", "text", "truncated", "other variable", "no struct"],
)
def test_mat_that_cannot_be_read_is_one_line(content):
    with pytest.raises(UserError, match=r"^mpii_human_pose_v1_u12_1\.mat: .*download it again$"):
        read_mpii_mat(content, [])


def test_lspet_pictures_without_a_label_are_invalid_by_name():
    joints = make_lspet(3)
    joints[:, 2, 0] = 0
    joints[:, 2, 1] = np.nan
    names = {"im00001.jpg", "im00002.jpg", "im00004.jpg", "im00000.jpg", "other.jpg"}
    train, validation = read_lspet(mat_of(joints=joints), names)
    conversion = Conversion(LSPET, MPII)
    persons, invalid = check_records(train + validation, names, conversion=conversion)
    assert not persons
    assert {record.image: record.reason for record in invalid} == {
        "im00000.jpg": "no 'joints'",
        "im00001.jpg": "no labelled joint",
        "im00002.jpg": "joints_vis is not 14 of 0 or 1",
        "im00004.jpg": "no 'joints'",
        "other.jpg": "no 'joints'",
    }


@pytest.mark.parametrize(
    "content",
    [b"", mat_of(other=1.0), mat_of(joints=np.zeros((3, 14, 5))), mat_of(joints="text")],
    ids=["empty", "other variable", "transposed", "text"],
)
def test_lspet_that_cannot_be_read_is_one_line(content):
    with pytest.raises(UserError, match=r"^joints\.mat: .*download it again$"):
        read_lspet(content, {"im00001.jpg"})


@pytest.mark.parametrize("fault", ["missing", "twice", "empty", "cut"])
def test_mat_archive_with_a_fault_stops_the_stage(run_stage, tmp_path, monkeypatch, fault):
    """MPII without its JSON; the pictures lie in a zip for once."""
    monkeypatch.setattr(find_dataset("mpii"), "images", "images.zip")
    raw = tmp_path / "data" / "raw" / "mpii"
    raw.mkdir(parents=True)
    (raw / "images.zip").write_bytes(IMAGES)
    (raw / "valid_images.txt").write_text("0.jpg\n")
    mat = make_mat([("0.jpg", make_rect(make_point(3, 4, 5)))])
    content = {"empty": b"", "cut": mat[: len(mat) // 2]}.get(fault, mat)
    folders = {"missing": [], "twice": ["one", "two"]}.get(fault, ["one"])
    with zipfile.ZipFile(raw / "mpii_human_pose_v1_u12_2.zip", "w") as archive:
        for folder in folders:
            archive.writestr(f"{folder}/mpii_human_pose_v1_u12_1.mat", content)
    (tmp_path / "params.yaml").write_text(RECIPE)
    code, out, err = run_stage("parse")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "mpii_human_pose_v1_u12_1.mat" in err and "; " in err
    assert not (tmp_path / "data" / "annotations").exists()
