import copy
import csv
import dataclasses
import io
import json
import math
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from hourglass.annotations.checks import check_records, summarize_split
from hourglass.annotations.lspet import read_lspet
from hourglass.annotations.mpii import read_mpii_json, read_mpii_mat
from hourglass.annotations.parsing import parse_dataset
from hourglass.annotations.persons import KEYS, SPLITS, load_persons, save_persons
from hourglass.errors import UserError
from hourglass.raw.datasets import DATASETS
from hourglass.rejects import Reject, write_rejects
from hourglass.skeleton import JOINTS, SCORED_JOINTS

SHARED = Path(__file__).parents[2] / "shared" / "data"
STAGE = Path(__file__).parents[1] / "stages" / "parse.py"
PARAMS = Path(__file__).parents[1] / "params.yaml"
needs_data = pytest.mark.skipif(not SHARED.is_dir(), reason=f"{SHARED} is absent")


def make_record(**changes):
    joints = [[10.0 * k + 1, 5.0 * k + 1] for k in range(16)]
    record = {"image": "a.jpg", "joints": joints, "joints_vis": [1] * 16}
    return {**record, "center": [80.5, 40.0], "scale": 1.25, **changes}


def with_joint(joint, place, **changes):
    record = make_record(**changes)
    record["joints"][joint] = place
    return record


def reason_of(record, image_names=None):
    persons, rejects = check_records([record], image_names)
    assert len(persons) + len(rejects) == 1
    return rejects[0].reason if rejects else None


# The checker


def test_one_based_becomes_zero_based_once_for_joints_and_center():
    (person,), rejects = check_records([make_record()], {"a.jpg"})
    assert not rejects
    np.testing.assert_array_equal(person.joints[:, 0], 10.0 * np.arange(16))
    np.testing.assert_array_equal(person.joints[:, 1], 5.0 * np.arange(16))
    np.testing.assert_array_equal(person.center, [79.5, 39.0])
    assert (person.scale, person.image) == (1.25, "a.jpg")
    assert (person.joints.dtype, person.center.dtype) == (np.float64, np.float64)
    assert person.joints_vis.dtype == bool


def test_missing_is_the_flag_and_never_the_coordinates():
    flags = [1] * 14 + [0, 0]
    record = with_joint(3, [-1.0, -1.0], joints_vis=flags)
    record["joints"][4] = [7.0, -20.0]
    record["joints"][14] = [math.nan, math.inf]
    (person,), _ = check_records([record], None)
    assert person.joints_vis.tolist() == [bool(flag) for flag in flags]
    assert person.joints[3].tolist() == [-2, -2]
    assert person.joints[4].tolist() == [6, -21]
    assert person.joints[14:].tolist() == [[-1, -1], [-1, -1]]


@pytest.mark.parametrize(
    "flags", [[True] * 16, [1.0] * 16, [1, 0.0, True, False] * 4], ids=["bool", "float", "mixed"]
)
def test_flags_may_be_any_kind_of_0_and_1(flags):
    (person,), _ = check_records([make_record(joints_vis=flags)], None)
    assert person.joints_vis.tolist() == [bool(flag) for flag in flags]


def test_check_leaves_the_record_as_it_was():
    record = make_record(joints_vis=[0] + [1] * 15)
    before = copy.deepcopy(record)
    check_records([record], None)
    assert record == before


@pytest.mark.parametrize("record", [None, 3, "a.jpg", [], [make_record()], True])
def test_what_is_not_an_object_is_rejected(record):
    assert reason_of(record) == "not an object"


@pytest.mark.parametrize("key", ["image", "joints", "joints_vis", "center", "scale"])
def test_missing_key_is_named(key):
    record = make_record()
    del record[key]
    assert reason_of(record) == f"no '{key}'"


@pytest.mark.parametrize("image", ["", None, 5, ["a.jpg"]])
def test_image_must_be_a_name(image):
    assert reason_of(make_record(image=image)) == "image is not a name"


@pytest.mark.parametrize(
    "image",
    ["/a.jpg", "C:/a.jpg", "../a.jpg", "x/../a.jpg", "x/..", "a\0.jpg", "x\\a.jpg", "\ud800"],
)
def test_image_name_must_stay_inside_the_archive(image):
    assert reason_of(make_record(image=image)) == "image is not a plain relative name"


@pytest.mark.parametrize("image", ["x/a.jpg", "a..b.jpg", "..a.jpg", "가 나.jpg"])
def test_harmless_names_are_kept(image):
    assert reason_of(make_record(image=image), {image}) is None


def test_image_must_be_in_the_archive():
    assert reason_of(make_record(), {"b.jpg"}) == "picture is not among the images"


@pytest.mark.parametrize(
    "joints",
    [
        None,
        [],
        [[1.0, 2.0]] * 15,
        [[1.0, 2.0]] * 17,
        [[1.0, 2.0, 3.0]] * 16,
        [[1.0, "2"]] * 16,
        [[1.0, None]] * 16,
        [[1.0, True]] * 16,
        [[1.0, [2.0]]] * 16,
        [1.0] * 32,
        "12" * 16,
        [[1, 10**400]] * 16,
    ],
)
def test_joints_must_be_16_pairs_of_numbers(joints):
    assert reason_of(make_record(joints=joints)) == "joints is not 16 pairs of numbers"


@pytest.mark.parametrize(
    "flags", [None, [], [1] * 15, [1] * 17, [2] * 16, ["1"] * 16, [None] * 16, [[1]] * 16, "1" * 16]
)
def test_joints_vis_must_be_16_of_0_or_1(flags):
    assert reason_of(make_record(joints_vis=flags)) == "joints_vis is not 16 of 0 or 1"


def test_a_person_needs_a_labelled_joint():
    assert reason_of(make_record(joints_vis=[0] * 16)) == "no labelled joint"


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, 1e400, 1.1e5, -1.1e5])
def test_labelled_joints_and_the_center_lie_in_reach(number):
    assert reason_of(with_joint(5, [1.0, number])).startswith("a labelled joint is not within")
    assert reason_of(make_record(center=[number, 1.0])).startswith("center is not within")


def test_a_scale_in_pixels_is_told_by_the_span_of_the_joints():
    # The joints of `make_record` span 150 px.
    assert reason_of(make_record(scale=37.4)) is None
    assert "is scale in pixels?" in reason_of(make_record(scale=37.6))
    two = [1, 1] + [0] * 14  # 10 px apart: too little to tell
    assert reason_of(make_record(scale=37.6, joints_vis=two)) is None


def test_a_joint_far_off_the_person_is_told_by_the_center():
    # 10 heights of 250 px from the center at x = 80.5; both are moved by the same pixel.
    assert reason_of(with_joint(5, [80.5 + 2500, 40.0])) is None
    assert "10 person heights" in reason_of(with_joint(5, [80.5 + 2501, 40.0]))
    assert reason_of(with_joint(5, [80.5, 9e4], joints_vis=[1] * 5 + [0] * 11)) is None


@pytest.mark.parametrize("center", [None, [1.0], [1.0, 2.0, 3.0], ["1", "2"], [True, 1], 7])
def test_center_must_be_a_pair_of_numbers(center):
    assert reason_of(make_record(center=center)) == "center is not a pair of numbers"


@pytest.mark.parametrize(
    "scale", [None, "1", [1.0], True, 0, -1, math.nan, math.inf, 1e3 + 1, 1e-9, 10**400]
)
def test_scale_must_be_a_person_height(scale):
    assert reason_of(make_record(scale=scale)).startswith("scale is not a number from")


def test_exact_duplicate_is_rejected_but_not_a_second_person_of_the_picture():
    records = [make_record(), make_record(scale=1.26), make_record()]
    persons, rejects = check_records(records, None, "train")
    assert [person.scale for person in persons] == [1.25, 1.26]
    assert rejects == [Reject("train", 2, "a.jpg", "exact duplicate of an earlier record")]


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
NUMBERS = st.floats() | st.integers() | JSON_VALUES
ALMOST_RECORDS = st.fixed_dictionaries(
    {},
    optional={
        "image": st.text() | JSON_VALUES,
        "joints": st.lists(st.lists(NUMBERS, min_size=2, max_size=2), min_size=16, max_size=16)
        | JSON_VALUES,
        "joints_vis": st.lists(st.integers(0, 1), min_size=16, max_size=16) | JSON_VALUES,
        "center": st.lists(NUMBERS, min_size=2, max_size=2) | JSON_VALUES,
        "scale": NUMBERS,
    },
)
ONE_CHANGED = st.builds(
    lambda key, value: make_record(**{key: value}), st.sampled_from(KEYS), JSON_VALUES
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.lists(JSON_VALUES | ALMOST_RECORDS | ONE_CHANGED, max_size=5))
def test_any_json_gives_a_person_or_a_reject(tmp_path_factory, records):
    persons, rejects = check_records(records, None, "train")
    assert len(persons) + len(rejects) == len(records)
    for person in persons:
        assert person.joints_vis.any()
        assert np.isfinite(person.joints).all()
        assert np.isfinite([*person.center, person.scale]).all()
    folder = tmp_path_factory.getbasetemp()
    write_rejects(folder / "any.csv", rejects)
    save_persons(folder / "any.json", persons)
    assert len(load_persons(folder / "any.json")) == len(persons)
    with open(folder / "any.csv", newline="", encoding="utf-8") as file:
        assert len(list(csv.reader(file))) == len(rejects) + 1


# The files


def random_persons(num_persons, seed=0):
    rng = np.random.default_rng(seed)
    records = [
        make_record(
            image=f"{index}.jpg",
            joints=rng.normal(100, 80, (16, 2)).tolist(),
            joints_vis=[1, *rng.integers(0, 2, 15).tolist()],
            center=rng.uniform(0, 500, 2).tolist(),
            scale=rng.uniform(0.3, 8),
        )
        for index in range(num_persons)
    ]
    return check_records(records, None)[0]


def assert_same(person, other):
    assert (person.image, person.scale) == (other.image, other.scale)
    for name in ("joints", "joints_vis", "center"):
        mine, theirs = getattr(person, name), getattr(other, name)
        assert mine.dtype == theirs.dtype
        np.testing.assert_array_equal(mine, theirs)


def test_saved_persons_round_trip_bit_for_bit_one_a_line(tmp_path):
    persons = random_persons(20)
    save_persons(tmp_path / "new" / "train.json", persons)
    loaded = load_persons(tmp_path / "new" / "train.json")
    assert len(loaded) == 20
    for person, other in zip(persons, loaded, strict=True):
        assert_same(person, other)
    lines = (tmp_path / "new" / "train.json").read_text().splitlines()
    assert len(lines) == 22
    assert list(json.loads(lines[1].rstrip(","))) == list(KEYS)
    assert os.listdir(tmp_path / "new") == ["train.json"]


@pytest.mark.parametrize("text", ['[{"image": "a.jpg"}]', "[", "{}", ""])
def test_damaged_checked_file_names_itself_and_the_mend(tmp_path, text):
    (tmp_path / "train.json").write_text(text)
    with pytest.raises(UserError, match=r"train\.json: .*dvc repro parse"):
        load_persons(tmp_path / "train.json")


def test_byte_order_mark_and_absurd_numbers_cost_no_file(tmp_path):
    records = json.dumps([make_record(scale=7.125), make_record(scale=math.nan), make_record()])
    text = records.replace("7.125", "1" * 5000)
    (tmp_path / "train.json").write_text(text, encoding="utf-8-sig")
    persons, rejects = check_records(read_mpii_json(tmp_path / "train.json", "train"), None)
    assert (len(persons), len(rejects)) == (1, 2)


# The verdict on a split


def test_summary_adds_up():
    half = make_record(joints_vis=[1] * 8 + [0] * 8)
    persons, rejects = check_records([make_record(), half, 5], None, "train")
    other = [Reject("validation", 0, "", "not an object")]
    assert summarize_split("train", persons, rejects + other) == (
        "train: 3 records = 2 kept + 1 rejected; 24 labelled joints, 20 scored"
    )


# MPII's .mat


def struct_array(structs):
    """A MATLAB struct array: every struct has every field, [] where it has no value."""
    fields = list(dict.fromkeys(key for struct in structs for key in struct))
    array = np.empty((1, len(structs)), dtype=[(field, object) for field in fields])
    for index, struct in enumerate(structs):
        array[0, index] = tuple(struct.get(field, np.zeros((0, 0))) for field in fields)
    return array


def make_point(joint, x, y, **visible):
    return {"id": np.uint8(joint), "x": x, "y": y, **visible}


def make_rect(points, scale=2.5, objpos=(100, 200)):
    return {
        "x1": 1.0,
        "annopoints": {"point": points},
        "scale": scale,
        "objpos": dict(zip("xy", map(np.uint16, objpos), strict=True)),
    }


def make_mat(pictures, img_train=None):
    """Bytes of a .mat of [(picture's name, annorect)]."""
    annolist = [{"image": {"name": name}, "annorect": rect} for name, rect in pictures]
    release = {"annolist": struct_array(annolist), "version": "1.2"}
    release["img_train"] = np.array([img_train or [1] * len(pictures)], np.uint8)
    file = io.BytesIO()
    savemat(file, {"RELEASE": release}, do_compression=True)
    return file.getvalue()


EMPTY = np.zeros((0, 0))
NECK_AND_HEAD = [make_point(8, 50.25, 20.5), make_point(9, 50.25, -3.0)]


def test_mat_reads_head_and_neck_by_id_and_labels_every_point_that_is_there():
    points = [
        make_point(9, 50.25, -3.0),  # head top and neck carry no is_visible
        make_point(8, 50.25, 20.5),
        make_point(0, np.uint8(7), np.int16(300), is_visible=EMPTY),
        make_point(5, 8, 301, is_visible="0"),
        make_point(10, 9, 302, is_visible=np.uint8(0)),
        make_point(15, 10, 303, is_visible="1"),
    ]
    train, validation = read_mpii_mat(make_mat([("a.jpg", make_rect(struct_array(points)))]), [])
    (person,), rejects = check_records(train, {"a.jpg"})
    assert not validation and not rejects
    assert np.flatnonzero(person.joints_vis).tolist() == [0, 5, 8, 9, 10, 15]
    assert person.joints[[0, 5, 8, 9, 10, 15]].tolist() == [
        [6, 299], [7, 300], [49.25, 19.5], [49.25, -4], [8, 301], [9, 302],
    ]  # fmt: skip
    assert person.center.tolist() == [99, 199]
    assert person.scale == 2.5


def test_mat_struct_arrays_of_one_and_of_many():
    single = make_mat([("a.jpg", make_rect(make_point(3, 4, 5)))])  # squeezed all the way up
    assert read_mpii_mat(single, [])[0][0]["joints"][3] == [4, 5]
    rects = struct_array([make_rect(make_point(3, 4, 5)), {"x1": 1.0}, make_rect(NECK_AND_HEAD[0])])
    train, _ = read_mpii_mat(make_mat([("a.jpg", rects)]), [])
    assert [np.flatnonzero(record["joints_vis"]).tolist() for record in train] == [[3], [8]]


def test_mat_splits_follow_the_list_then_the_file():
    def persons(*scales):
        return struct_array([make_rect(make_point(0, 1, 1), scale=scale) for scale in scales])

    mat = make_mat(
        [("a.jpg", persons(1, 2)), ("b.jpg", persons(3)), ("c.jpg", persons(4, 5)),
         ("test.jpg", persons(6)), ("d.jpg", persons(7))],
        img_train=[1, 1, 1, 0, 1],
    )  # fmt: skip
    train, validation = read_mpii_mat(mat, ["c.jpg", "a.jpg", "c.jpg", "a.jpg", "gone.jpg"])
    assert [record["scale"] for record in validation] == [4, 5, 1, 2]
    assert [record["scale"] for record in train] == [3, 7]


def mat_of(**variables):
    file = io.BytesIO()
    savemat(file, variables)
    return file.getvalue()


# LSPET


def make_lspet(num_pictures, seed=0):
    rng = np.random.default_rng(seed)
    joints = rng.uniform(10, 150, (14, 3, num_pictures))
    joints[:, 2] = 1
    return joints


def test_lspet_order_and_derived_joints():
    joints = make_lspet(2)
    joints[2, 2, 1] = 0  # the second picture's right hip, and with it the pelvis
    joints[2, :2, 1] = -300, 0
    train, validation = read_lspet(mat_of(joints=joints), {"im00002.jpg", "im00001.jpg"})
    assert [record["image"] for record in train + validation] == ["im00001.jpg", "im00002.jpg"]
    first = dict(zip(JOINTS, train[0]["joints"], strict=True))
    for row, name in ((0, "r_ankle"), (6, "r_wrist"), (12, "upper_neck"), (13, "head_top")):
        assert first[name] == joints[row, :2, 0].tolist()
    np.testing.assert_allclose(first["pelvis"], joints[2:4, :2, 0].mean(0))
    np.testing.assert_allclose(first["thorax"], joints[8:10, :2, 0].mean(0))
    assert train[0]["joints_vis"] == [1] * 16
    assert np.flatnonzero(np.equal(validation[0]["joints_vis"], 0)).tolist() == [2, 6]
    joints_vis = np.delete(joints[:, :2, 1], 2, axis=0)
    span = np.ptp(joints_vis, axis=0)
    np.testing.assert_allclose(validation[0]["center"], joints_vis.min(0) + span / 2)
    assert validation[0]["scale"] == pytest.approx(1.1 * span.max() / 200)


@pytest.mark.parametrize(("num_pictures", "num_val"), [(1, 1), (2, 1), (19, 1), (20, 2), (60, 6)])
def test_lspet_validation_is_the_last_tenth(num_pictures, num_val):
    names = {f"im{number:05}.jpg" for number in range(1, num_pictures + 1)}
    train, validation = read_lspet(mat_of(joints=make_lspet(60)), names)
    assert [r["image"] for r in train + validation] == sorted(names)
    assert len(validation) == num_val


# A whole dataset


def write_raw(folder, image_names, **files):
    """A raw folder: images.zip, and `train=[...]` as train.json."""
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / "images.zip", "w") as archive:
        for name in image_names:
            archive.writestr(f"images/{name}", b"a picture")
    for name, records in files.items():
        (folder / f"{name}.json").write_text(json.dumps(records))


def test_picture_in_both_splits_costs_the_train_record(tmp_path):
    train = [make_record(image="b.jpg"), make_record(image="a.jpg"), make_record(image="c.jpg")]
    validation = [make_record(image="a.jpg"), make_record(image="c.jpg", scale=0)]
    write_raw(tmp_path / "raw", ["a.jpg", "b.jpg", "c.jpg"], train=train, validation=validation)
    splits, rejects = parse_dataset(tmp_path / "raw", "folder")
    assert [person.image for person in splits["train"]] == ["b.jpg", "c.jpg"]
    assert [person.image for person in splits["validation"]] == ["a.jpg"]
    assert [(r.split, r.index, r.image) for r in rejects] == [
        ("train", 1, "a.jpg"),
        ("validation", 1, "c.jpg"),
    ]
    assert rejects[0].reason == "picture is also in validation"


def write_mpii(folder, monkeypatch):
    """A raw folder of MPII without its JSON; the pictures lie in a zip for once."""
    mpii = dataclasses.replace(DATASETS["mpii"], images="images.zip")
    monkeypatch.setitem(DATASETS, "mpii", mpii)
    write_raw(folder, ["a.jpg", "b.jpg"])
    with zipfile.ZipFile(folder / "mpii_human_pose_v1_u12_2.zip", "w") as archive:
        rect = make_rect(make_point(3, 4, 5))
        mat = make_mat([("a.jpg", rect), ("b.jpg", rect)])
        archive.writestr("mpii_human_pose_v1_u12_2/mpii_human_pose_v1_u12_1.mat", mat)
    (folder / "valid_images.txt").write_text("a.jpg\na.jpg\n")


def test_mpii_without_json_is_read_from_the_mat(tmp_path, monkeypatch):
    write_mpii(tmp_path / "raw", monkeypatch)
    splits, rejects = parse_dataset(tmp_path / "raw", "mpii")
    assert not rejects
    assert [person.image for person in splits["train"]] == ["b.jpg"]
    assert [person.image for person in splits["validation"]] == ["a.jpg"]
    assert splits["train"][0].joints[3].tolist() == [3, 4]


def test_mpii_json_goes_before_the_mat(tmp_path, monkeypatch):
    write_mpii(tmp_path / "raw", monkeypatch)
    for split, image in (("train", "a.jpg"), ("validation", "b.jpg")):
        (tmp_path / "raw" / f"{split}.json").write_text(json.dumps([make_record(image=image)]))
    assert parse_dataset(tmp_path / "raw", "mpii")[0]["train"][0].image == "a.jpg"


def test_mpii_with_neither_names_the_missing_file(tmp_path, monkeypatch):
    write_mpii(tmp_path / "raw", monkeypatch)
    (tmp_path / "raw" / "valid_images.txt").unlink()
    with pytest.raises(UserError, match=r"train\.json: not found"):
        parse_dataset(tmp_path / "raw", "mpii")


def run_python(*arguments, cwd):
    environment = {**os.environ, "PYTHONPATH": str(STAGE.parents[1] / "src")}
    command = [sys.executable, *arguments]
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


def run_stage(folder):
    text = PARAMS.read_text().replace("dataset: mpii", "dataset: folder")
    (folder / "params.yaml").write_text(text)
    return run_python(STAGE, cwd=folder)


def test_stage_writes_both_splits_and_prints_a_line_each(tmp_path):
    train, validation = [make_record(image="a.jpg")], [make_record(image="b.jpg")]
    raw = tmp_path / "data" / "raw" / "folder"
    write_raw(raw, ["a.jpg", "b.jpg"], train=train, validation=validation)
    result = run_stage(tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert [line.split(":")[0] for line in result.stdout.splitlines()] == ["train", "validation"]
    written = tmp_path / "data" / "annotations"
    assert sorted(os.listdir(written)) == ["rejects.csv", "train.json", "validation.json"]
    assert load_persons(written / "validation.json")[0].center.tolist() == [79.5, 39]


def test_stage_stops_on_too_many_rejects_and_leaves_rejects_csv(tmp_path):
    raw = tmp_path / "data" / "raw" / "folder"
    write_raw(raw, ["b.jpg"], train=[make_record()] * 2, validation=[make_record(image="b.jpg")])
    result = run_stage(tmp_path)
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "2 of 2 records rejected" in result.stderr
    assert "picture is not among the images" in result.stderr
    assert "data/annotations/rejects.csv" in result.stderr
    assert os.listdir(tmp_path / "data" / "annotations") == ["rejects.csv"]
    rows = (tmp_path / "data" / "annotations" / "rejects.csv").read_text().splitlines()
    assert rows[1:] == [f"train,{index},a.jpg,picture is not among the images" for index in (0, 1)]


def test_importing_brings_no_scipy_and_no_tensorflow(tmp_path):
    code = (
        "import sys, hourglass.annotations.parsing; "
        "print({'scipy', 'tensorflow'} & set(sys.modules))"
    )
    assert run_python("-c", code, cwd=tmp_path).stdout == "set()\n"


# Real annotations


def count_joints(persons):
    joints_vis = np.array([person.joints_vis for person in persons])
    return int(joints_vis.sum()), int(joints_vis[:, SCORED_JOINTS].sum())


@needs_data
def test_real_mpii_validation_is_kept_whole():
    records = read_mpii_json(SHARED / "mpii-val" / "validation.json", "validation")
    listed = (SHARED / "mpii-val" / "valid_images.txt").read_text().split()
    persons, rejects = check_records(records, frozenset(listed), "validation")
    assert (len(persons), rejects) == (2958, [])
    assert count_joints(persons) == (44_240, 38_430)
    raw_y = [
        y
        for r in records
        for (_, y), v in zip(r["joints"], r["joints_vis"], strict=True)
        if v and y < 0
    ]
    kept_y = [y for person in persons for y in person.joints[person.joints_vis, 1] if y < -1]
    assert len(raw_y) == len(kept_y) == 38
    np.testing.assert_allclose(kept_y, np.array(raw_y) - 1)
    assert [person.image for person in persons] == listed


@needs_data
def test_real_validation_through_a_mat_gives_the_same_persons():
    """The records packed into a .mat's structs, pictures in another order, and read back."""
    records = read_mpii_json(SHARED / "mpii-val" / "validation.json", "validation")[:150]
    by_image = {}
    for record in records:
        points = [
            make_point(k, x, y)
            for k, (x, y) in enumerate(record["joints"])
            if record["joints_vis"][k]
        ]
        objpos = dict(zip("xy", record["center"], strict=True))
        rect = {**make_rect(struct_array(points), record["scale"]), "objpos": objpos}
        by_image.setdefault(record["image"], []).append(rect)
    mat = make_mat([(image, struct_array(by_image[image])) for image in sorted(by_image)])
    train, validation = read_mpii_mat(mat, [record["image"] for record in records])
    assert not train
    persons, expected = (check_records(rs, None)[0] for rs in (validation, records))
    for person, other in zip(persons, expected, strict=True):
        assert_same(person, other)


@needs_data
@pytest.mark.parametrize(
    ("name", "num_persons"),
    [
        ("lspet-mini/train.json", 1759),
        ("lspet-mini/validation.json", 330),
        ("mpii-samples/validation.json", 5),
    ],
)
def test_real_sets_are_kept_whole(name, num_persons):
    path = SHARED / name
    image_names = frozenset(os.listdir(path.parent / "images"))
    persons, rejects = check_records(read_mpii_json(path, path.stem), image_names)
    assert (len(persons), rejects) == (num_persons, [])


@needs_data
def test_real_lspet_equals_the_converted_set():
    converted = {}
    for split in SPLITS:
        records = read_mpii_json(SHARED / "lspet-mini" / f"{split}.json", split)
        converted.update((p.image, p) for p in check_records(records, None)[0])
    with zipfile.ZipFile(SHARED / "lspet-first60.zip") as archive:
        (mat,) = (name for name in archive.namelist() if name.endswith("/joints.mat"))
        train, validation = read_lspet(archive.read(mat), converted.keys())
    persons, rejects = check_records(train + validation, converted.keys())
    assert (len(persons), rejects) == (2089, [])
    for person in persons:
        other = converted[person.image]
        np.testing.assert_array_equal(person.joints_vis, other.joints_vis)
        np.testing.assert_allclose(person.joints, other.joints, rtol=0, atol=0.011)
        np.testing.assert_allclose(person.center, other.center, rtol=0, atol=0.011)
        assert person.scale == pytest.approx(other.scale, abs=1e-4)


@needs_data
def test_real_lspet_archive_as_a_dataset(tmp_path):
    (tmp_path / "lspet.zip").symlink_to(SHARED / "lspet-first60.zip")
    splits, rejects = parse_dataset(tmp_path, "lspet")
    assert (len(splits["train"]), len(splits["validation"]), rejects) == (54, 6, [])
    assert splits["validation"][-1].image == "im00060.jpg"
