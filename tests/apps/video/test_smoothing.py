import math

import numpy as np
import pytest

from hourglass.apps.video.smoothing import (
    BETA,
    MAX_SPEED,
    MIN_CUTOFF,
    JumpFilter,
    OneEuroFilter,
    describe_filters,
)

TIMES = np.cumsum(np.random.default_rng(0).choice([1 / 60, 1 / 30, 1 / 12], 90))  # varies


def smooth(values, times=TIMES, size=200.0, **numbers):
    one_euro = OneEuroFilter(**numbers)
    return np.array([one_euro(v, t, size) for v, t in zip(values, times, strict=True)])


def as_published(values, times, min_cutoff, beta):
    """Algorithm 1 of the paper and its appendix, for one number, written out."""

    def alpha(cutoff, rate):
        tau = 1 / (2 * math.pi * cutoff)
        return 1 / (1 + tau * rate)

    smoothed, speed = [values[0]], 0.0
    for k in range(1, len(values)):
        rate = 1 / (times[k] - times[k - 1])
        dx = (values[k] - smoothed[-1]) * rate
        a = alpha(1.0, rate)
        speed = a * dx + (1 - a) * speed
        a = alpha(min_cutoff + beta * abs(speed), rate)
        smoothed.append(a * values[k] + (1 - a) * smoothed[-1])
    return np.array(smoothed)


def walk(shape=()):
    rng = np.random.default_rng(1)
    return np.cumsum(rng.normal(0, 5, (len(TIMES), *shape)), axis=0)


def test_it_is_the_filter_of_the_paper():
    expected = as_published(walk(), TIMES, 0.7, 0.02)
    np.testing.assert_allclose(
        smooth(walk(), size=1.0, min_cutoff=0.7, beta=0.02), expected, rtol=1e-9, atol=1e-9
    )


def test_every_coordinate_is_smoothed_by_itself():
    values = walk((16, 2))
    smoothed = smooth(values)
    for joint, axis in ((0, 0), (7, 1), (15, 1)):
        np.testing.assert_allclose(smoothed[:, joint, axis], smooth(values[:, joint, axis]))


def test_the_same_motion_is_smoothed_as_much_near_to_the_camera_as_far_from_it():
    np.testing.assert_allclose(smooth(7 * walk(), size=1400.0), 7 * smooth(walk(), size=200.0))


def test_what_rests_stays_and_the_first_is_taken_as_it_is():
    np.testing.assert_allclose(smooth(np.full(90, 3.5)), 3.5)
    assert smooth(walk())[0] == walk()[0]


def test_after_a_gap_the_joint_is_where_it_is_seen():
    one_euro = OneEuroFilter()
    one_euro(np.zeros(2), 0.0, 200.0)
    assert one_euro(np.full(2, 80.0), 10.0, 200.0) == pytest.approx([80, 80], abs=1.5)


def test_the_input_is_not_changed():
    one_euro, values = OneEuroFilter(), np.ones((16, 2))
    for time in (0.0, 0.1, 0.2):
        one_euro(values * time, time, 100.0)
        one_euro(values, time + 0.05, 100.0)
    assert (values == 1).all()


def test_the_filters_are_described_with_its_numbers():
    assert describe_filters(False) is None
    assert {MIN_CUTOFF, BETA, MAX_SPEED} <= set(describe_filters(True).values())


# Jumps

RATE = 30  # frames/s
SIZE = 200.0  # px
FAR = np.array([SIZE / 2, 0])


def hold(frames, rate=RATE):
    jump_filter = JumpFilter()
    return np.array([jump_filter(frame, k / rate, SIZE) for k, frame in enumerate(frames)])


def rest(num_frames=30):
    """A person at rest, [num_frames, 16, 2]."""
    joints = np.random.default_rng(0).uniform(0, SIZE, (16, 2))
    return np.repeat(joints[None], num_frames, axis=0)


def test_a_joint_that_jumps_and_comes_back_has_never_been_away():
    frames = rest()
    frames[[10, 11, 14, 20], 3] += FAR
    np.testing.assert_allclose(hold(frames), rest())


def test_a_joint_that_stays_where_it_jumped_to_is_believed_as_soon_as_it_could_be_there():
    frames = rest()
    frames[10:, 3] += FAR
    late = math.ceil(RATE * np.linalg.norm(FAR) / SIZE / MAX_SPEED)
    held = hold(frames)
    np.testing.assert_allclose(held[9 + late :], frames[9 + late :])
    np.testing.assert_allclose(held[: 9 + late], rest()[: 9 + late])


def test_a_wave_of_the_hand_and_frames_far_apart_are_left_as_they_are():
    frames = rest(60)
    frames[:, 3, 0] += 0.3 * SIZE * np.sin(2 * np.pi * np.arange(60) / RATE)
    np.testing.assert_allclose(hold(frames), frames)
    frames[::2, 3] += FAR
    np.testing.assert_allclose(hold(frames, rate=1.0), frames)


def test_the_whole_person_may_move_at_any_speed():
    frames = rest() + np.arange(30)[:, None, None] * FAR
    np.testing.assert_allclose(hold(frames), frames)


def test_a_joint_that_is_held_goes_with_the_person():
    moving = rest() + np.arange(30)[:, None, None] * np.array([2.0, -1.0])
    frames = moving.copy()
    frames[10:13, 3] += FAR
    np.testing.assert_allclose(hold(frames), moving)


def test_speeds_are_measured_by_the_person():
    frames = rest()
    frames[10, 3] += FAR
    for factor in (0.1, 10.0):
        jump_filter = JumpFilter()
        held = [jump_filter(factor * f, k / RATE, factor * SIZE) for k, f in enumerate(frames)]
        np.testing.assert_allclose(held, factor * rest())


def test_the_keypoints_given_are_not_changed():
    frames = rest()
    frames[10, 3] += FAR
    expected = frames.copy()
    hold(frames)
    assert frames == pytest.approx(expected, abs=0)
