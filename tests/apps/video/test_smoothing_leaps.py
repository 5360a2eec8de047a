import math

import numpy as np
import pytest

from hourglass.apps.video.smoothing import FASTEST, LeapFilter

RATE = 30  # frames/s
SIZE = 200.0  # px
FAR = np.array([SIZE / 2, 0])


def hold(frames, rate=RATE):
    leap_filter = LeapFilter()
    return np.array([leap_filter(frame, k / rate, SIZE) for k, frame in enumerate(frames)])


def rest(num_frames=30):
    """A person at rest, [num_frames, 16, 2]."""
    joints = np.random.default_rng(0).uniform(0, SIZE, (16, 2))
    return np.repeat(joints[None], num_frames, axis=0)


def test_a_joint_that_leaps_and_comes_back_has_never_been_away():
    frames = rest()
    frames[[10, 11, 14, 20], 3] += FAR
    np.testing.assert_allclose(hold(frames), rest())


def test_a_joint_that_stays_where_it_leapt_to_is_believed_as_soon_as_it_could_be_there():
    frames = rest()
    frames[10:, 3] += FAR
    late = math.ceil(RATE * np.linalg.norm(FAR) / SIZE / FASTEST)
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
        leap_filter = LeapFilter()
        held = [leap_filter(factor * f, k / RATE, factor * SIZE) for k, f in enumerate(frames)]
        np.testing.assert_allclose(held, factor * rest())


def test_the_input_is_not_changed():
    frames = rest()
    frames[10, 3] += FAR
    expected = frames.copy()
    hold(frames)
    assert frames == pytest.approx(expected, abs=0)
