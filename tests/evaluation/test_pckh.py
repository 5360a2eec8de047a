import itertools
import json
from types import SimpleNamespace

import numpy as np
import pytest

from hourglass.evaluation.pckh import (
    CURVE_THRESHOLDS,
    area_under_curve,
    compute_pckh,
    mean_pckh,
    normalized_errors,
    pckh_curve,
    score_persons,
    summarize,
)
from hourglass.keypoints import COCO, MPII, KeypointSchema

RIGHT, WRONG = 0.2, 0.8
NUM_JOINTS = MPII.num_keypoints


def random_case(seed, num_persons=23):
    rng = np.random.default_rng(seed)
    joints = rng.uniform(-20, 500, (num_persons, NUM_JOINTS, 2))
    head_sizes = rng.uniform(12, 125, num_persons)
    spread = 0.3 * head_sizes[:, None, None]
    keypoints = joints + rng.normal(0, 1, joints.shape) * spread
    keypoints_visible = rng.random((num_persons, NUM_JOINTS)) < 0.8
    joints[~keypoints_visible] = np.nan
    return keypoints, joints, head_sizes, keypoints_visible


def count_right(case, threshold, scored):
    """The definition, spelled out one joint at a time."""
    keypoints, joints, head_sizes, keypoints_visible = case
    right = total = 0
    for n in range(len(head_sizes)):
        for k in scored:
            if not keypoints_visible[n, k]:
                continue
            dx = keypoints[n, k, 0] - joints[n, k, 0]
            dy = keypoints[n, k, 1] - joints[n, k, 1]
            total += 1
            right += (dx * dx + dy * dy) ** 0.5 / head_sizes[n] <= threshold
    return 100 * right / total


def mean_of_sides(case, right, left):
    return (count_right(case, 0.5, [right]) + count_right(case, 0.5, [left])) / 2


@pytest.mark.parametrize("seed", range(5))
def test_all_numbers_agree_with_the_definition_spelled_out(seed):
    case = random_case(seed)
    metrics = summarize(normalized_errors(*case[:3]), case[3], MPII)
    scored = [k for k in range(16) if k not in (6, 7)]
    expected = {
        "total": count_right(case, 0.5, scored),
        "unweighted": np.mean([count_right(case, 0.5, [k]) for k in scored]),
        "head": count_right(case, 0.5, [9]),
        "shoulder": mean_of_sides(case, 12, 13),
        "elbow": mean_of_sides(case, 11, 14),
        "wrist": mean_of_sides(case, 10, 15),
        "hip": mean_of_sides(case, 2, 3),
        "knee": mean_of_sides(case, 1, 4),
        "ankle": mean_of_sides(case, 0, 5),
    }
    assert metrics["pckh"] == pytest.approx(expected, abs=1e-4)
    assert 1 < metrics["pckh"]["total"] < 99, "a case of only right answers would prove little"
    assert metrics["pckh_0.1"]["total"] == pytest.approx(count_right(case, 0.1, scored), abs=1e-4)
    curve = [count_right(case, i / 100, scored) for i in range(51)]
    area = sum((a + b) / 2 * 0.01 for a, b in itertools.pairwise(curve)) / 0.5
    assert metrics["auc"] == pytest.approx(area, abs=1e-4)
    assert metrics["num_persons"] == 23
    assert metrics["num_joints"] == case[3][:, scored].sum()


def test_errors_are_distances_in_head_sizes_of_each_person():
    joints = np.zeros((2, NUM_JOINTS, 2))
    errors = normalized_errors(joints + np.array([30.0, 40.0]), joints, [50.0, 25.0])
    np.testing.assert_array_equal(errors, [[1.0] * NUM_JOINTS, [2.0] * NUM_JOINTS])


def test_an_error_on_the_threshold_is_right_and_one_above_is_wrong():
    for threshold in CURVE_THRESHOLDS:
        on = np.full((1, NUM_JOINTS), threshold)
        keypoints_visible = np.ones_like(on, bool)
        assert compute_pckh(on, keypoints_visible, MPII.scored_indices, threshold) == 100
        assert (
            compute_pckh(np.nextafter(on, 1), keypoints_visible, MPII.scored_indices, threshold)
            == 0
        )


def test_thresholds_are_the_numbers_as_written():
    assert CURVE_THRESHOLDS.tolist() == [float(f"0.{i:02d}") for i in range(51)]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_prediction_that_is_not_a_number_is_wrong_not_dropped(bad):
    joints = np.ones((1, NUM_JOINTS, 2))
    keypoints = joints.copy()
    keypoints[0, 9, 1] = bad
    metrics = summarize(normalized_errors(keypoints, joints, [1.0]), np.ones((1, 16), bool), MPII)
    assert metrics["pckh"]["head"] == 0
    assert metrics["pckh"]["total"] == pytest.approx(100 * 13 / 14, abs=1e-4)
    assert metrics["num_joints"] == 14


def test_pelvis_and_thorax_do_not_count_and_the_upper_neck_only_in_the_totals():
    keypoints_visible = np.ones((1, NUM_JOINTS), bool)
    right = np.full((1, NUM_JOINTS), RIGHT)
    without_trunk = right.copy()
    without_trunk[0, [6, 7]] = WRONG
    assert summarize(without_trunk, keypoints_visible, MPII) == summarize(
        right, keypoints_visible, MPII
    )
    without_neck = right.copy()
    without_neck[0, 8] = WRONG
    scores = summarize(without_neck, keypoints_visible, MPII)["pckh"]
    assert scores["total"] == scores["unweighted"] == pytest.approx(100 * 13 / 14, abs=1e-4)
    assert all(scores[group] == 100 for group in MPII.groups)


def test_the_total_weighs_labels_and_the_unweighted_mean_weighs_joints():
    errors = np.full((3, NUM_JOINTS), RIGHT)
    keypoints_visible = np.zeros((3, NUM_JOINTS), bool)
    keypoints_visible[:, 0] = True  # three labels, all right
    keypoints_visible[0, 9], errors[0, 9] = True, WRONG  # one label, wrong
    scores = summarize(errors, keypoints_visible, MPII)["pckh"]
    assert (scores["total"], scores["unweighted"]) == (75, 50)


def test_a_group_is_the_mean_of_its_two_sides():
    errors = np.full((3, NUM_JOINTS), RIGHT)
    keypoints_visible = np.ones((3, NUM_JOINTS), bool)
    errors[0, 10] = WRONG
    keypoints_visible[1:, 10] = False  # one right wrist, wrong; three left wrists, right
    assert summarize(errors, keypoints_visible, MPII)["pckh"]["wrist"] == 50
    keypoints_visible[0, 10] = False
    assert summarize(errors, keypoints_visible, MPII)["pckh"]["wrist"] == 100


def test_a_group_without_labels_is_null_and_left_out_of_the_mean():
    errors = np.full((2, NUM_JOINTS), RIGHT)
    errors[:, 9] = WRONG
    keypoints_visible = np.ones((2, NUM_JOINTS), bool)
    keypoints_visible[:, [1, 4]] = False
    scores = summarize(errors, keypoints_visible, MPII)["pckh"]
    assert scores["knee"] is None
    assert scores["unweighted"] == pytest.approx(100 * 11 / 12, abs=1e-4)


def test_without_any_label_every_score_is_null_and_json_holds_no_nan():
    metrics = summarize(np.full((2, NUM_JOINTS), np.inf), np.zeros((2, NUM_JOINTS), bool), MPII)
    text = json.dumps(metrics, allow_nan=False)
    assert set(json.loads(text)["pckh"].values()) == {None}
    assert metrics["auc"] is None
    assert (metrics["num_persons"], metrics["num_joints"]) == (2, 0)


def test_the_curve_rises_to_the_score_at_half():
    keypoints, joints, head_sizes, keypoints_visible = random_case(7)
    errors = normalized_errors(keypoints, joints, head_sizes)
    thresholds, curves = pckh_curve(errors, keypoints_visible, MPII)
    assert list(curves) == ["total", *MPII.groups]
    assert all(len(values) == len(thresholds) == 51 for values in curves.values())
    assert (np.diff(curves["total"]) >= 0).all()
    scored = MPII.scored_indices
    assert curves["total"][-1] == compute_pckh(errors, keypoints_visible, scored, 0.5)
    assert curves["total"][-1] == compute_pckh(errors, keypoints_visible, scored)
    assert curves["head"][10] == compute_pckh(errors, keypoints_visible, [9], 0.1)
    assert curves["wrist"][10] == mean_pckh(errors, keypoints_visible, [10, 15], 0.1)


def test_the_area_of_a_flat_curve_is_its_height():
    errors = np.full((4, NUM_JOINTS), np.inf)
    errors[:3] = 0
    assert area_under_curve(errors, np.ones((4, NUM_JOINTS), bool), MPII) == pytest.approx(75)


def test_persons_are_scored_in_order_by_their_own_head_size_and_labels():
    keypoints, joints, head_sizes, keypoints_visible = random_case(3)
    persons = [
        SimpleNamespace(
            joints=joints[n], keypoints_visible=keypoints_visible[n], head_size=head_sizes[n]
        )
        for n in range(23)
    ]
    errors, found = score_persons(persons, keypoints)
    np.testing.assert_array_equal(errors, normalized_errors(keypoints, joints, head_sizes))
    np.testing.assert_array_equal(found, keypoints_visible)


def test_the_arguments_are_left_alone():
    case = random_case(5)
    before = [array.copy() for array in case]
    summarize(normalized_errors(*case[:3]), case[3], MPII)
    for array, copy in zip(case, before, strict=True):
        np.testing.assert_array_equal(array, copy)


OWN = KeypointSchema(
    name="own",
    keypoints=("top", "r_hand", "l_hand", "tail"),
    flip_pairs=(("r_hand", "l_hand"),),
    bones=(),
    groups={"hands": ("r_hand", "l_hand"), "all": ("top", "l_hand", "r_hand", "tail")},
    unscored=("tail",),
)


def test_the_columns_are_the_schemas_groups():
    errors = np.array([[RIGHT, WRONG, RIGHT, WRONG], [RIGHT, RIGHT, RIGHT, WRONG]])
    keypoints_visible = np.ones((2, 4), bool)
    keypoints_visible[1, 0] = False
    metrics = summarize(errors, keypoints_visible, OWN)
    # By hand: the tail counts in its own column alone.
    assert metrics["pckh"] == {"total": 80, "unweighted": 83.3333, "hands": 75, "all": 62.5}
    assert metrics["num_joints"] == 5
    assert list(pckh_curve(errors, keypoints_visible, OWN)[1]) == ["total", "hands", "all"]


def test_coco_scores_all_of_its_17():
    rng = np.random.default_rng(1)
    errors, keypoints_visible = rng.gamma(1, 0.5, (9, 17)), rng.random((9, 17)) < 0.8
    metrics = summarize(errors, keypoints_visible, COCO)
    total = 100 * (errors[keypoints_visible] <= 0.5).mean()
    assert metrics["pckh"]["total"] == pytest.approx(total, abs=1e-4)
    face = [compute_pckh(errors, keypoints_visible, [k]) for k in range(5)]
    assert metrics["pckh"]["face"] == pytest.approx(np.mean(face), abs=1e-4)
    assert metrics["num_joints"] == keypoints_visible.sum()
