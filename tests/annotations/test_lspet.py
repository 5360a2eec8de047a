import zipfile

import numpy as np
import pytest

from helpers.annotations import (
    make_lspet,
    mat_of,
)
from helpers.paths import DATA, needs_data
from hourglass.annotations.checks import check_records
from hourglass.annotations.lspet import read_lspet
from hourglass.annotations.mpii import read_mpii_json
from hourglass.annotations.persons import SPLITS
from hourglass.errors import UserError
from hourglass.skeleton import JOINTS


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


@pytest.mark.parametrize(
    "joints",
    [
        np.ones((14, 3)),
        np.ones((14, 3, 2, 2)),
        np.ones((3, 14, 2)),
        np.ones((14, 2, 2)),
        np.ones((14, 3, 2), complex),
    ],
    ids=lambda joints: f"{joints.shape} {joints.dtype}",
)
def test_joints_of_another_shape_or_kind_are_refused(joints):
    with pytest.raises(UserError, match=r"joints\.mat: joints is .* numbers were expected"):
        read_lspet(mat_of(joints=joints), {"im00001.jpg"})


@needs_data("lspet-mini", "lspet-first60.zip")
def test_real_lspet_equals_the_converted_set():
    converted = {}
    for split in SPLITS:
        records = read_mpii_json(DATA / "lspet-mini" / f"{split}.json", split)
        converted.update((p.image, p) for p in check_records(records, None)[0])
    with zipfile.ZipFile(DATA / "lspet-first60.zip") as archive:
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
