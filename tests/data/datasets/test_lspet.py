import zipfile

import numpy as np
import pytest

from helpers.annotations import assert_same, make_lspet, mat_of
from helpers.paths import DATA, needs_data
from hourglass.data.conversion import Conversion
from hourglass.data.datasets.lspet import (
    LSPET,
    ROUGHNESS,
    ROUGHNESS_QUANTILES,
    read_lspet,
    roughen_person,
)
from hourglass.data.datasets.mpii import read_mpii_json
from hourglass.data.person import SPLITS, load_persons, save_persons
from hourglass.data.validation import check_records
from hourglass.keypoints import MPII
from hourglass.utils import transforms
from hourglass.utils.errors import UserError


def check_lspet(*arguments):
    """The persons of both splits, and the invalid records."""
    train, validation = read_lspet(*arguments)
    return check_records(train + validation, None, conversion=Conversion(LSPET, MPII))


def test_lspet_order_and_derived_joints():
    joints = make_lspet(2)
    joints[2, 2, 1] = 0  # the second picture's right hip, and with it the pelvis
    joints[2, :2, 1] = -300, 0
    train, validation = read_lspet(mat_of(joints=joints), {"im00002.jpg", "im00001.jpg"})
    assert [record["image"] for record in train + validation] == ["im00001.jpg", "im00002.jpg"]
    (person, other), _ = check_lspet(mat_of(joints=joints), {"im00002.jpg", "im00001.jpg"})
    first = dict(zip(MPII.keypoints, person.joints + 1, strict=True))
    for row, name in ((0, "r_ankle"), (6, "r_wrist"), (12, "upper_neck"), (13, "head_top")):
        np.testing.assert_allclose(first[name], joints[row, :2, 0])
    np.testing.assert_allclose(first["pelvis"], joints[2:4, :2, 0].mean(0))
    np.testing.assert_allclose(first["thorax"], joints[8:10, :2, 0].mean(0))
    assert person.keypoints_visible.all()
    assert np.flatnonzero(~other.keypoints_visible).tolist() == [2, 6]
    keypoints_visible = np.delete(joints[:, :2, 1], 2, axis=0)
    span = np.ptp(keypoints_visible, axis=0)
    np.testing.assert_allclose(validation[0]["center"], keypoints_visible.min(0) + span / 2)
    assert validation[0]["scale"] == pytest.approx(1.1 * span.max() / 200)


@pytest.mark.parametrize(("num_pictures", "num_val"), [(1, 1), (2, 1), (19, 1), (20, 2), (60, 6)])
def test_lspet_validation_is_the_last_tenth(num_pictures, num_val):
    names = {f"im{number:05}.jpg" for number in range(1, num_pictures + 1)}
    train, validation = read_lspet(mat_of(joints=make_lspet(60)), names)
    assert [r["image"] for r in train + validation] == sorted(names)
    assert len(validation) == num_val


@pytest.mark.parametrize(
    "joints",
    [np.ones((14, 3)), np.ones((13, 3, 5)), np.ones((14, 2, 5)), np.full((14, 3, 5), 1j)],
    ids=["two dimensions", "13 joints", "no labels", "complex numbers"],
)
def test_joints_of_another_form_are_refused(joints):
    with pytest.raises(UserError, match=r"joints\.mat: joints is .* numbers were expected"):
        read_lspet(mat_of(joints=joints), {"im00001.jpg"})


def box_persons(num_pictures=40):
    """Checked, with the center and scale of their joints' box."""
    names = [f"im{number:05}.jpg" for number in range(1, num_pictures + 1)]
    return check_lspet(mat_of(joints=make_lspet(num_pictures)), names)[0]


def test_center_and_scale_are_roughened_by_the_picture_alone():
    persons = box_persons()
    rough = [roughen_person(person) for person in persons]
    changes = [new.scale / old.scale for old, new in zip(persons, rough, strict=True)]
    assert len(set(changes)) == len(persons)
    for person, other in zip(reversed(persons), reversed(rough), strict=True):
        assert_same(roughen_person(person), other)  # in any order, with or without the others
        assert (person.head_size, person.head_source) == (other.head_size, other.head_source)
        np.testing.assert_array_equal(person.joints, other.joints)


@pytest.mark.parametrize("size", [0.2, 190_000])
def test_a_person_at_the_limits_of_a_record_stays_within_them(size, tmp_path):
    joints = make_lspet(20)
    joints[:, :2] = (joints[:, :2] - joints[:, :2].min()) * (size / np.ptp(joints[:, :2]))
    joints[:, :2] -= 0.49 * (size > 1) * size
    names = {f"im{number:05}.jpg" for number in range(1, 21)}
    persons, _ = check_lspet(mat_of(joints=joints), names)
    assert persons
    save_persons(tmp_path / "a.json", [roughen_person(person) for person in persons])
    assert len(load_persons(tmp_path / "a.json", MPII)) == len(persons)


def test_every_labelled_joint_stays_in_view():
    for person in map(roughen_person, box_persons()):
        center, side = transforms.person_region(person.center, person.scale)
        assert (np.abs(person.joints[person.keypoints_visible] - center) <= side / 2).all()


def measure_roughness(persons, boxes):
    """How far center and scale of `persons` lie off those of `boxes`, (center, scale) each."""
    return np.array([
        (*(person.center - center) / (200 * person.scale), np.log(person.scale / scale))
        for person, (center, scale) in zip(persons, boxes, strict=True)
    ])  # fmt: skip


@needs_data("mpii-val")
def test_the_roughness_is_that_of_mpii():
    records = read_mpii_json(DATA / "mpii-val" / "validation.json", "validation")
    persons = [p for p in check_records(records, None)[0] if p.keypoints_visible.all()]
    assert len(persons) == 2017
    boxes = [(p.joints.min(0) / 2 + p.joints.max(0) / 2, 1.1 * np.ptp(p.joints, 0).max() / 200)
             for p in persons]  # fmt: skip
    found = np.quantile(measure_roughness(persons, boxes), ROUGHNESS_QUANTILES, axis=0)
    np.testing.assert_allclose(found.T, list(ROUGHNESS.values()), atol=0.0006)


def test_drawn_roughness_has_its_quantiles_but_for_those_out_of_view():
    persons = box_persons(1000)
    boxes = [(person.center, person.scale) for person in persons]
    found = measure_roughness(map(roughen_person, persons), boxes)
    quartiles = np.quantile(found, (0.25, 0.5, 0.75), axis=0)  # (quartiles, x y scale)
    aims = np.transpose(list(ROUGHNESS.values()))[2:5]
    np.testing.assert_allclose(quartiles[:, :2], aims[:, :2], atol=0.01)
    # A zoom that is too near is drawn again, so that the scales lie a little higher.
    assert (quartiles[:, 2] - aims[:, 2] > 0).all()
    np.testing.assert_allclose(quartiles[:, 2], aims[:, 2], atol=0.1)


@needs_data("lspet-mini", "lspet-first60.zip")
def test_real_lspet_equals_the_converted_set():
    converted = {}
    for split in SPLITS:
        records = read_mpii_json(DATA / "lspet-mini" / f"{split}.json", split)
        converted.update((p.image, p) for p in check_records(records, None)[0])
    with zipfile.ZipFile(DATA / "lspet-first60.zip") as archive:
        (mat,) = (name for name in archive.namelist() if name.endswith("/joints.mat"))
        persons, invalid = check_lspet(archive.read(mat), converted.keys())
    assert (len(persons), invalid) == (2089, [])
    for person in persons:
        other = converted[person.image]
        np.testing.assert_array_equal(person.keypoints_visible, other.keypoints_visible)
        np.testing.assert_allclose(person.joints, other.joints, rtol=0, atol=0.011)
        np.testing.assert_allclose(person.center, other.center, rtol=0, atol=0.011)
        assert person.scale == pytest.approx(other.scale, abs=1e-4)
