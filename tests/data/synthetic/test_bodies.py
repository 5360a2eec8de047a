import numpy as np
import pytest

from hourglass.data.synthetic import bodies
from hourglass.keypoints import MPII

SEED = 7


def sample_bodies(count, height=200.0):
    """`count` bodies, the pelvis of each at (0, 0)."""
    rngs = [np.random.default_rng((SEED, index)) for index in range(count)]
    return [bodies.sample_body(rng, height) for rng in rngs]


def mean_lengths():
    """LENGTHS as fractions of a height of 1."""
    height = sum(bodies.LENGTHS[name] for name in bodies.STACKED)
    return {name: length / height for name, length in bodies.LENGTHS.items()}


def test_lengths_add_up_to_the_height_with_a_head_as_large_as_mpii_says():
    rng = np.random.default_rng(SEED)
    for _ in range(50):
        lengths = bodies.sample_lengths(rng)
        assert sum(lengths[name] for name in bodies.STACKED) == pytest.approx(1)
        # MPII: head size = 0.6 * diagonal of the head box = 25 * scale; a head is 3/4 as wide.
        head_size = 0.6 * np.hypot(lengths["head"], 0.74 * lengths["head"])
        assert head_size == pytest.approx(25 / 200, rel=0.12)


def test_posing_keeps_the_lengths_of_the_bones():
    lengths = mean_lengths()
    bones = [
        ("thigh", "hip", "knee"),
        ("shank", "knee", "ankle"),
        ("upper_arm", "shoulder", "elbow"),
        ("forearm", "elbow", "wrist"),
        ("hand", "wrist", "hand"),
    ]
    for index, pose in enumerate(bodies.POSES.values()):
        points, _ = bodies.pose_body(np.random.default_rng((SEED, index)), pose, lengths)
        for name, start, end in bones:
            for side in "rl":
                bone = points[f"{side}_{end}"] - points[f"{side}_{start}"]
                assert np.linalg.norm(bone) == pytest.approx(lengths[name])
        head = np.linalg.norm(points["head_top"] - points["upper_neck"])
        assert head == pytest.approx(lengths["head"])


def test_height_is_that_of_a_body_standing_straight():
    lengths = mean_lengths()
    straight = bodies.BodyPose(1, (0, 0), "hang", ("straight", "straight"))

    class Middle:
        """A generator that draws the middle of everything."""

        def uniform(self, low, high):
            return 0.0

        def normal(self, mean, spread):
            return 0.0

        def permutation(self, items):
            return items

        def choice(self, items):
            return items[0]

    points, axes = bodies.pose_body(Middle(), straight, lengths)
    assert axes == pytest.approx(np.eye(3))
    sole = points["r_ankle"][1] + lengths["foot"]
    assert sole - points["head_top"][1] == pytest.approx(1)
    assert points["r_shoulder"][0] < 0 < points["l_shoulder"][0]
    assert points["r_toe"][2] > points["r_heel"][2]  # toes in front


def test_height_scales_a_body_and_nothing_else():
    small, large = (bodies.sample_body(np.random.default_rng(SEED), h) for h in (100.0, 300.0))
    assert small.pose == large.pose
    assert large.keypoints == pytest.approx(3 * small.keypoints)
    assert np.array_equal(small.head_axes, large.head_axes)


def test_keypoints_are_the_joints_in_their_order():
    body = sample_bodies(1)[0]
    assert body.keypoints.shape == (MPII.num_keypoints, 2)
    for name, keypoint in zip(MPII.keypoints, body.keypoints, strict=True):
        assert np.array_equal(keypoint, body.points[name][:2])


def test_move_shifts_all_points_in_the_picture_plane():
    body = sample_bodies(1)[0]
    moved = body.move((3.0, -5.0))
    assert moved.points["pelvis"] == pytest.approx((3, -5, 0))
    for name, point in body.points.items():
        assert moved.points[name] - point == pytest.approx((3, -5, 0))
    assert body.points["pelvis"] == pytest.approx((0, 0, 0))


def test_sides_match_the_face():
    checked = {True: 0, False: 0}
    for body in sample_bodies(300):
        if abs(body.head_axes[2, 2]) < 0.8:
            continue
        point = dict(zip(MPII.keypoints, body.keypoints, strict=True))
        up_x, up_y = point["upper_neck"] - point["pelvis"]
        x, y = point["l_shoulder"] - point["r_shoulder"]
        left_is_at_the_viewers_right = up_x * y - up_y * x > 0
        assert left_is_at_the_viewers_right == body.faces_viewer
        checked[body.faces_viewer] += 1
    assert min(checked.values()) > 30


def test_knees_bend_backward_and_elbows_forward():
    lengths = {name: 1.0 for name in bodies.LENGTHS}
    arm = bodies.pose_arm("l", (0, 0, 0, 60), lengths, np.zeros(3), np.eye(3))
    leg = bodies.pose_leg("l", (0, 0, 0, 60), lengths)
    assert arm["l_elbow"] == pytest.approx((1, 1, 0))
    assert leg["l_knee"] == pytest.approx((1, 1, 0))
    assert arm["l_wrist"] == pytest.approx((1, 1.5, 0.75**0.5))  # toward the front
    assert leg["l_ankle"] == pytest.approx((1, 1.5, -(0.75**0.5)))


@pytest.mark.parametrize(("side", "outward"), [("r", -1), ("l", 1)])
def test_limbs_lift_outward_and_swing_forward(side, outward):
    lengths = {name: 1.0 for name in bodies.LENGTHS}
    lifted = bodies.pose_leg(side, (0, 90, 0, 0), lengths)
    swung = bodies.pose_leg(side, (90, 0, 0, 0), lengths)
    twisted = bodies.pose_leg(side, (0, 0, 90, 90), lengths)
    assert lifted[f"{side}_knee"] == pytest.approx((2 * outward, 0, 0))
    assert swung[f"{side}_knee"] == pytest.approx((outward, 0, 1))
    # The knee points inward, so that the shank, bent backward, points outward.
    assert twisted[f"{side}_ankle"] == pytest.approx((2 * outward, 1, 0))


def standing_body(wrist):
    """A body 100 px tall whose left wrist is at `wrist`, all its other joints in plain sight."""
    points = {name: np.array((50.0, 0.0, 0.0)) for name in MPII.keypoints}
    points |= {"pelvis": np.zeros(3), "thorax": np.array((0.0, -30.0, 0.0))}
    return bodies.Body(points | {"l_wrist": np.array(wrist)}, np.eye(3), 100.0, "stand")


@pytest.mark.parametrize(
    ("wrist", "hidden"),
    [
        ((5.0, -15.0, -4.0), True),
        ((5.0, -15.0, 4.0), False),  # before the trunk
        ((11.0, -15.0, -4.0), False),  # beside it
        ((0.0, 11.0, -4.0), False),  # below it
        ((0.0, -41.0, -4.0), False),  # above it
    ],
)
def test_an_arm_is_hidden_behind_the_trunk_alone(wrist, hidden):
    assert standing_body(wrist).hides_an_arm == hidden


def test_hidden_arms_are_seldom():
    hidden = [body.hides_an_arm for body in sample_bodies(200)]
    assert np.mean(hidden) < 0.02


def test_bodies_vary():
    drawn = sample_bodies(200)
    assert {body.pose for body in drawn} == set(bodies.POSES)
    assert 0.1 < np.mean([not body.faces_viewer for body in drawn]) < 0.5
    upright = [b.points["head_top"][1] < b.points["pelvis"][1] - 60 for b in drawn]
    assert 0.7 < np.mean(upright) < 0.98


def test_same_generator_same_body():
    first, second = sample_bodies(1)[0], sample_bodies(1)[0]
    assert np.array_equal(first.keypoints, second.keypoints)
    assert not np.array_equal(first.keypoints, sample_bodies(2)[1].keypoints)
