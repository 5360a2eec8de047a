"""Labels by two networks that agree: which joints count, and the record that they make."""

import importlib

import numpy as np
import pytest

from helpers.paths import ROOT
from hourglass.data.conversion import Conversion
from hourglass.data.head_size import head_size_from_labels
from hourglass.data.person import person_from_record
from hourglass.inference.person_search import Pose
from hourglass.keypoints import MPII
from hourglass.utils import transforms


@pytest.fixture
def teachers(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    monkeypatch.syspath_prepend(str(ROOT / "experiments"))
    return importlib.import_module("teachers")


def make_pose(teachers, moved=(), unsure=(), by=9.0):
    """A person 200 px high who stands; some joints are moved, of some the score is low."""
    keypoints = np.full((16, 2), np.nan)
    keypoints[teachers.JOINTS, 0] = np.arange(12) % 2 * 40 + 100
    keypoints[teachers.JOINTS, 1] = 100 + np.arange(12) // 2 * 40
    keypoints[[MPII.index(name) for name in moved], 0] += by
    scores = np.where(np.isfinite(keypoints[:, 0]), 0.9, 0.0)
    scores[[MPII.index(name) for name in unsure]] = 0.1
    return Pose(keypoints, scores, (0, 0, 300), 0.9)


def test_a_joint_counts_where_both_agree_and_one_is_sure(teachers):
    pose = make_pose(teachers)
    other = make_pose(teachers, ["l_wrist", "r_hip"], ["r_knee"])
    points, labelled = teachers.agree(pose, other)
    names = {
        name for name, is_labelled in zip(MPII.keypoints, labelled, strict=True) if is_labelled
    }
    expected = {MPII.keypoints[k] for k in teachers.JOINTS} - {"l_wrist", "r_hip", "r_knee"}
    assert names == expected | {"thorax"}  # and no pelvis, one end of which is missing
    np.testing.assert_array_equal(points[teachers.JOINTS], pose.keypoints[teachers.JOINTS])
    ends = [MPII.index("r_shoulder"), MPII.index("l_shoulder")]
    assert points[MPII.index("thorax")].tolist() == pose.keypoints[ends].mean(axis=0).tolist()


@pytest.mark.parametrize(("by", "agrees"), [(7.9, True), (8.1, False)])  # of 200 px
def test_agreement_is_a_share_of_the_person(teachers, by, agrees):
    _, labelled = teachers.agree(make_pose(teachers), make_pose(teachers, ["l_knee"], by=by))
    assert labelled[MPII.index("l_knee")] == agrees


def test_the_record_is_mpiis_and_its_crop_holds_head_and_joints(teachers):
    points, labelled = teachers.agree(make_pose(teachers), make_pose(teachers))
    record = teachers.make_record("a.jpg", points, labelled)
    conversion = Conversion(MPII, MPII)
    person = person_from_record(record, 1, conversion, head_size_from_labels)
    np.testing.assert_allclose(person.joints[labelled], points[labelled], atol=0.01)
    assert not person.keypoints_visible[[MPII.index("head_top"), MPII.index("upper_neck")]].any()
    center, side = transforms.person_region(person.center, person.scale)
    pelvis, thorax = (points[MPII.index(name)] for name in ("pelvis", "thorax"))
    everything = np.vstack([points[labelled], thorax + teachers.HEAD * (thorax - pelvis)])
    low, high = everything.min(axis=0), everything.max(axis=0)
    np.testing.assert_allclose(center, (low + high) / 2, atol=0.02)
    # The margins of every other crop.
    assert side == pytest.approx(1.25 * 1.1 * (high - low).max(), rel=1e-3)
