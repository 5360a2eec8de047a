import copy
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.annotations import (
    make_record,
    reason_of,
)
from helpers.paths import DATA, needs_data
from hourglass.data.conversion import Conversion
from hourglass.data.datasets.mpii import read_mpii_json
from hourglass.data.invalid import InvalidRecord, read_invalid, write_invalid
from hourglass.data.person import KEYS, load_persons, save_persons
from hourglass.data.validation import check_records, summarize_split
from hourglass.keypoints import COCO, MPII


def test_check_leaves_the_record_as_it_was():
    record = make_record(joints_vis=[0] + [1] * 15)
    before = copy.deepcopy(record)
    check_records([record], None)
    assert record == before


@pytest.mark.parametrize("image", ["x/a.jpg", "a..b.jpg", "..a.jpg", "가 나.jpg"])
def test_harmless_names_are_kept(image):
    assert reason_of(make_record(image=image), {image}) is None


def test_image_must_be_in_the_archive():
    assert reason_of(make_record(), {"b.jpg"}) == "picture is not among the images"


def test_exact_duplicate_is_invalid_but_not_a_second_person_of_the_picture():
    records = [make_record(), make_record(scale=1.26), make_record()]
    persons, invalid = check_records(records, None, "train")
    assert [person.scale for person in persons] == [1.25, 1.26]
    assert invalid == [
        InvalidRecord("train", 2, "a.jpg", "exact duplicate of an earlier record", "0" * 16)
    ]


FLAGS = [0, 1] * 8


@pytest.mark.parametrize(
    ("record", "lost"),
    [
        (make_record(joints_vis=FLAGS, scale=0), "01" * 8),
        (make_record(joints_vis=FLAGS, joints=None), "01" * 8),
        (make_record(joints_vis=FLAGS, image="gone.jpg"), "01" * 8),
        ({"joints_vis": FLAGS}, "01" * 8),
        (make_record(joints_vis=[0] * 16), "0" * 16),
        (make_record(joints_vis=[2] * 16), ""),
        (make_record(joints_vis=None), ""),
        ({"image": "a.jpg"}, ""),
        ([make_record()], ""),
        (None, ""),
    ],
)
def test_an_invalid_record_tells_its_labels_where_they_can_be_read(record, lost):
    _, (invalid,) = check_records([record], {"a.jpg"})
    assert invalid.lost_joints == lost


def test_a_name_without_end_is_told_in_part(tmp_path):
    _, invalid = check_records([make_record(image="a" * 200_000, scale=0)], None, "train")
    write_invalid(tmp_path / "invalid.csv", invalid)
    assert read_invalid(tmp_path / "invalid.csv", 16, "")[0].image == "a" * 1000


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
def test_any_json_gives_a_person_or_an_invalid_record(tmp_path_factory, records):
    persons, invalid = check_records(records, None, "train")
    assert len(persons) + len(invalid) == len(records)
    for person in persons:
        assert person.keypoints_visible.any()
        assert np.isfinite(person.joints).all()
        assert np.isfinite([*person.center, person.scale]).all()
    folder = tmp_path_factory.getbasetemp()
    write_invalid(folder / "any.csv", invalid)
    save_persons(folder / "any.json", persons)
    assert len(load_persons(folder / "any.json", MPII)) == len(persons)
    assert read_invalid(folder / "any.csv", 16, "") == invalid


def test_summary_adds_up():
    half = make_record(joints_vis=[1] * 8 + [0] * 8)
    persons, invalid = check_records([make_record(), half, 5], None, "train")
    other = [InvalidRecord("validation", 0, "", "not an object", "")]
    assert summarize_split("train", persons, invalid + 2 * other, MPII) == (
        "train: 3 records = 2 kept + 1 invalid; 24 labelled joints, 20 scored; head sizes: "
        "1 by 0.75 x |upper neck - head top|, 1 by 25 x scale"
    )


def test_what_is_not_used_and_odd_labels_are_told_and_add_up():
    persons, invalid = check_records([make_record(), 5], None, "train")
    text = summarize_split("train", persons, invalid, MPII, {"a crowd": 2, "x": 1}, {"odd v": 1200})
    assert text.startswith("train: 5 records = 1 kept + 1 invalid + 3 not used (2 a crowd, 1 x); ")
    assert text.endswith("; 1,200 odd v")


def test_keypoints_that_no_person_has_are_told():
    conversion = Conversion(MPII, COCO)
    persons, _ = check_records([make_record()], None, "train", conversion=conversion)
    text = summarize_split("train", persons, [], COCO)
    assert text.endswith("; never labelled: nose, left_eye, right_eye, left_ear, right_ear")
    assert summarize_split("train", [], [], COCO).endswith("head sizes: none")


def test_records_become_persons_of_another_schema():
    conversion = Conversion(MPII, COCO)
    head_alone = [int(name in ("head_top", "upper_neck")) for name in MPII.keypoints]
    records = [make_record(), make_record(joints_vis=head_alone), make_record()]
    (person,), (no_body, twin) = check_records(records, None, "train", conversion=conversion)
    assert person.joints.shape == (17, 2) and person.keypoints_visible.shape == (17,)
    assert person.joints[COCO.index("left_knee")].tolist() == [40, 20]
    # The head size is by the record's own labels.
    assert (person.head_size, person.head_source) == (0.75 * np.hypot(10, 5), "segment")
    assert (no_body.reason, no_body.lost_joints) == ("no labelled joint", "0" * 17)
    assert twin.lost_joints == "0" * 17
    _, (lost,) = check_records([make_record(scale=0)], None, conversion=conversion)
    assert lost.lost_joints == "0" * 5 + "1" * 12


def count_joints(persons):
    keypoints_visible = np.array([person.keypoints_visible for person in persons])
    return int(keypoints_visible.sum()), int(keypoints_visible[:, MPII.scored_indices].sum())


@needs_data("mpii-val")
def test_real_mpii_validation_is_kept_whole():
    records = read_mpii_json(DATA / "mpii-val" / "validation.json", "validation")
    listed = (DATA / "mpii-val" / "valid_images.txt").read_text().split()
    persons, invalid = check_records(records, frozenset(listed), "validation")
    assert (len(persons), invalid) == (2958, [])
    assert count_joints(persons) == (44_240, 38_430)
    raw_y = [
        y
        for r in records
        for (_, y), v in zip(r["joints"], r["joints_vis"], strict=True)
        if v and y < 0
    ]
    kept_y = [y for person in persons for y in person.joints[person.keypoints_visible, 1] if y < -1]
    assert len(raw_y) == len(kept_y) == 38
    np.testing.assert_allclose(kept_y, np.array(raw_y) - 1)
    assert [person.image for person in persons] == listed


@needs_data("lspet-mini", "mpii-samples")
@pytest.mark.parametrize(
    ("name", "num_persons"),
    [
        ("lspet-mini/train.json", 1759),
        ("lspet-mini/validation.json", 330),
        ("mpii-samples/validation.json", 5),
    ],
)
def test_real_sets_are_kept_whole(name, num_persons):
    path = DATA / name
    image_names = frozenset(os.listdir(path.parent / "images"))
    persons, invalid = check_records(read_mpii_json(path, path.stem), image_names)
    assert (len(persons), invalid) == (num_persons, [])
