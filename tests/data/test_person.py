import json
import math
import os

import numpy as np
import pytest

from helpers.annotations import assert_same, make_record, reason_of, with_joint
from hourglass.data.datasets.mpii import read_mpii_json
from hourglass.data.person import KEYS, load_persons, load_schema, save_persons, save_schema
from hourglass.data.validation import check_records
from hourglass.keypoints import COCO, MPII
from hourglass.utils.errors import UserError


def test_one_based_becomes_zero_based_once_for_joints_and_center():
    (person,), invalid = check_records([make_record()], {"a.jpg"})
    assert not invalid
    np.testing.assert_array_equal(person.joints[:, 0], 10.0 * np.arange(16))
    np.testing.assert_array_equal(person.joints[:, 1], 5.0 * np.arange(16))
    np.testing.assert_array_equal(person.center, [79.5, 39.0])
    assert (person.scale, person.image) == (1.25, "a.jpg")
    assert (person.joints.dtype, person.center.dtype) == (np.float64, np.float64)
    assert person.keypoints_visible.dtype == bool


def test_missing_is_the_flag_and_never_the_coordinates():
    flags = [1] * 14 + [0, 0]
    record = with_joint(3, [-1.0, -1.0], joints_vis=flags)
    record["joints"][4] = [7.0, -20.0]
    record["joints"][14] = [math.nan, math.inf]
    (person,), _ = check_records([record], None)
    assert person.keypoints_visible.tolist() == [bool(flag) for flag in flags]
    assert person.joints[3].tolist() == [-2, -2]
    assert person.joints[4].tolist() == [6, -21]
    assert person.joints[14:].tolist() == [[-1, -1], [-1, -1]]


@pytest.mark.parametrize(
    "flags", [[True] * 16, [1.0] * 16, [1, 0.0, True, False] * 4], ids=["bool", "float", "mixed"]
)
def test_flags_may_be_any_kind_of_0_and_1(flags):
    (person,), _ = check_records([make_record(joints_vis=flags)], None)
    assert person.keypoints_visible.tolist() == [bool(flag) for flag in flags]


@pytest.mark.parametrize("record", [None, 3, "a.jpg", [], [make_record()], True])
def test_what_is_not_an_object_is_invalid(record):
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


@pytest.mark.parametrize(("number", "is_told"), [(2, False), (3, True)])
def test_two_joints_are_too_few_to_tell_a_scale_by(number, is_told):
    record = make_record(joints=[[80.0, 40.0]] * 16, joints_vis=[1] * number + [0] * (16 - number))
    assert (reason_of(record) is not None) == is_told


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


def saved_record(**changes):
    return make_record(head_size=30.5, head_source="given", **changes)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"head_size": None}, "head_size is not a number"),
        ({"head_size": 1e-3}, "head_size is not a number"),
        ({"head_source": "guessed"}, "head_source is not one of given, segment, scale"),
        ({"head_source": ["given"]}, "head_source is not one of"),
    ],
)
def test_a_checked_record_says_its_head_size_and_where_it_is_from(tmp_path, changes, fault):
    path = tmp_path / "train.json"
    path.write_text(json.dumps([saved_record()]))
    (person,) = load_persons(path, MPII)
    assert (person.head_size, person.head_source) == (30.5, "given")
    path.write_text(json.dumps([saved_record() | changes]))
    with pytest.raises(UserError, match=f"train.json: record 0: {fault}.*dvc repro parse"):
        load_persons(path, MPII)
    path.write_text(json.dumps([make_record()]))
    with pytest.raises(UserError, match="record 0: no 'head_size'; run `dvc repro parse`"):
        load_persons(path, MPII)


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


def test_saved_persons_round_trip_bit_for_bit_one_a_line(tmp_path):
    persons = random_persons(20)
    save_persons(tmp_path / "new" / "train.json", persons)
    loaded = load_persons(tmp_path / "new" / "train.json", MPII)
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
        load_persons(tmp_path / "train.json", MPII)


def test_byte_order_mark_and_absurd_numbers_cost_no_file(tmp_path):
    records = json.dumps([make_record(scale=7.125), make_record(scale=math.nan), make_record()])
    text = records.replace("7.125", "1" * 5000)
    (tmp_path / "train.json").write_text(text, encoding="utf-8-sig")
    persons, invalid = check_records(read_mpii_json(tmp_path / "train.json", "train"), None)
    assert (len(persons), len(invalid)) == (1, 2)


@pytest.mark.parametrize("schema", [MPII, COCO], ids=lambda schema: schema.name)
def test_a_schema_comes_back_as_it_was_written(tmp_path, schema):
    save_schema(tmp_path, schema)
    assert load_schema(tmp_path) == schema


@pytest.mark.parametrize(
    "values",
    [7, [], {}, MPII.to_dict() | {"keypoints": [1, 2]}, MPII.to_dict() | {"groups": []},
     MPII.to_dict() | {"spare": 1}, MPII.to_dict() | {"bones": [["head_top"]]}],
    ids=["number", "list", "empty", "numbers for names", "no groups", "unknown key", "half a bone"],
)  # fmt: skip
def test_a_file_that_holds_no_schema_is_one_line(tmp_path, values):
    (tmp_path / "schema.json").write_text(json.dumps(values))
    with pytest.raises(UserError, match=r"schema\.json: no schema of keypoints: .*dvc repro parse"):
        load_schema(tmp_path)


def test_a_missing_schema_says_what_to_run(tmp_path):
    with pytest.raises(UserError, match=r"schema\.json: not found; run `dvc repro parse`"):
        load_schema(tmp_path)
