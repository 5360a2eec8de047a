import numpy as np
import pytest

from helpers.people import ALL, drawn_figures, standing
from hourglass.apps.stickers.lifting import Build, estimate_build, estimate_height, lift_body
from hourglass.keypoints import MPII

K = MPII.index


def test_the_height_of_drawn_people_is_told_by_their_bones():
    errors = [estimate_height(f.keypoints, ALL) / f.height - 1 for f in drawn_figures(80)]
    assert abs(np.median(errors)) < 0.05
    assert np.quantile(np.abs(errors), 0.9) < 0.2


def test_a_limb_that_points_to_the_viewer_makes_no_person_smaller():
    keypoints = standing()
    for name in ("r_elbow", "r_wrist"):
        keypoints[K(name)] = keypoints[K("r_shoulder")]
    assert estimate_height(keypoints, ALL) == pytest.approx(200, rel=0.03)


def test_joints_that_are_not_seen_tell_no_height():
    keypoints, seen = standing(), ALL.copy()
    for name in ("r_knee", "l_knee", "r_ankle", "l_ankle", "r_elbow", "r_wrist"):
        keypoints[K(name)] = (5000, 9000)
        seen[K(name)] = False
    assert estimate_height(keypoints, seen) == pytest.approx(200, rel=0.05)


def test_whether_drawn_people_face_the_viewer_is_told():
    clear = right = sides = right_sides = 0
    for figure in drawn_figures(100):
        build = estimate_build(figure.keypoints, ALL)
        across = figure.points["l_shoulder"] - figure.points["r_shoulder"]
        truth = across[0] / np.linalg.norm(across)
        down = (figure.points["pelvis"] - figure.points["thorax"])[:2]
        if down[1] < 0.9 * np.linalg.norm(down):
            continue  # lying, or upside down
        if abs(truth) > 0.5:
            clear += 1
            right += np.sign(build.front) == np.sign(truth)
        # Left, down and forward are as x, y and z.
        forward = np.cross(across, (0, 1, 0))[0] / np.linalg.norm(across)
        if abs(forward) > 0.7:
            sides += 1
            right_sides += np.sign(build.bend) == np.sign(forward)
    assert clear > 40 and right >= 0.97 * clear
    assert sides > 8 and right_sides >= 0.8 * sides


def test_the_body_has_its_joints_where_they_were_seen():
    for figure in drawn_figures(20):
        body = lift_body(figure.keypoints, ALL)
        np.testing.assert_allclose(body.keypoints, figure.keypoints)


def test_who_faces_the_viewer_has_their_left_at_the_right():
    body = lift_body(standing(), ALL)
    assert body.faces_viewer and estimate_build(standing(), ALL).front == 1
    mirrored = standing()[list(MPII.flip_order)]
    assert not lift_body(mirrored, ALL).faces_viewer


def test_the_nearer_side_of_a_profile_is_told_by_the_knees():
    keypoints = standing()
    keypoints[:, 0] = 100  # a line: seen from the side
    for side in "rl":
        keypoints[K(f"{side}_knee"), 0] += 15  # to the right of the picture
    body = lift_body(keypoints, ALL)
    # Who looks to the right has their right side to the viewer.
    assert body.depth("r_shoulder", "r_hip") > 0 > body.depth("l_shoulder", "l_hip")
    assert body.points["r_toe"][0] > body.points["r_ankle"][0]
    assert body.head_axes[0, 2] > 0 and body.faces_viewer


def test_a_thigh_that_looks_short_points_to_the_viewer_and_the_shank_back():
    keypoints = standing()
    for side in "rl":  # sitting, face to face
        keypoints[K(f"{side}_knee")] = keypoints[K(f"{side}_hip")] + (0, 5)
        keypoints[K(f"{side}_ankle")] = keypoints[K(f"{side}_knee")] + (0, 47)
    body = lift_body(keypoints, ALL)
    assert body.depth("r_knee", "l_knee") > 25
    assert body.depth("r_ankle", "l_ankle") == pytest.approx(body.depth("r_knee", "l_knee"), abs=2)


def test_limbs_that_are_not_seen_hang_in_a_line():
    keypoints, seen = standing(), ALL.copy()
    for name in ("l_wrist", "r_knee", "r_ankle"):
        keypoints[K(name)] = (7, 3)
        seen[K(name)] = False
    body = lift_body(keypoints, seen)
    upper, lower = np.diff(
        [body.points[f"l_{n}"][:2] for n in ("shoulder", "elbow", "wrist")], axis=0
    )
    assert upper @ lower > 0.99 * np.linalg.norm(upper) * np.linalg.norm(lower)
    hip, knee, ankle = (body.points[f"r_{n}"] for n in ("hip", "knee", "ankle"))
    assert knee[0] == pytest.approx(hip[0]) and hip[1] < knee[1] < ankle[1]
    assert np.linalg.norm(ankle - knee) == pytest.approx(0.236 * body.height, rel=0.01)


def test_a_body_of_another_build_is_as_that_says():
    body = lift_body(standing(), ALL, Build(300.0, -1.01, 0.0))
    assert body.height == 300 and not body.faces_viewer
    assert np.isfinite(body.head_axes).all()


@pytest.mark.parametrize("seen", [ALL, ~ALL])
def test_joints_all_in_one_place_make_a_body_of_numbers(seen):
    body = lift_body(np.full((16, 2), 7.0), seen)
    assert body.height >= 1
    assert all(np.isfinite(point).all() for point in body.points.values())
    assert np.isfinite(body.head_axes).all()
