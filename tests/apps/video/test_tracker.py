import numpy as np
import pytest
from PIL import Image

from helpers.clips import BarBackend, bar_joints, bars
from hourglass.apps.video import tracker as tracking
from hourglass.apps.video.cuts import CutDetector
from hourglass.apps.video.tracker import MAX_GAP, Track, Tracker
from hourglass.inference.crops import Search, run_searches
from hourglass.inference.person_search import Pose
from hourglass.inference.runner import InferenceConfig

SIZE = (320, 200)
RATE = 25  # frames/s
CHECK_EVERY, LOST_AFTER, SEARCH_EVERY = (  # frames
    round(RATE * seconds)
    for seconds in (tracking.CHECK_EVERY, tracking.LOST_AFTER, tracking.SEARCH_EVERY)
)


def track(frames, config=None, backend=None, is_smooth=False, times=None, has_cuts=False):
    """The people of each frame, the backend, and the tracker; `has_cuts`: cuts are searched for."""
    backend = backend or BarBackend()
    tracker, cuts = Tracker(config or InferenceConfig(num_people=1), SIZE, is_smooth), CutDetector()
    found = []
    for number, pixels in enumerate(frames):
        image = Image.fromarray(pixels)
        time = times[number] if times else number / RATE
        is_cut = has_cuts and cuts.is_cut(image)
        search = Search(tracker.track(time, is_cut), image, backend)
        run_searches([search], backend)
        found.append(search.poses)
    return found, backend, tracker


def numbers(found):
    return [[person.number for person in people] for people in found]


def middles(found):
    return np.array([people[0].pose.keypoints.mean(axis=0) for people in found])


def across(num_frames, y=100, start=40, step=4):
    return [(start + step * k, y) for k in range(num_frames)]


def test_a_person_that_moves_is_tracked():
    places = across(50)
    found, _, tracker = track([bars(SIZE, place) for place in places])
    assert numbers(found) == [[1]] * 50 and tracker.num_people == 1
    np.testing.assert_allclose(middles(found), np.array(places) - 0.5, atol=1.5)


def test_the_joints_are_those_of_the_frame():
    found, *_ = track([bars(SIZE, place) for place in across(12)])
    x, y = across(12)[-1]
    truth = bar_joints(x - 12, y - 30, x + 11, y + 29)
    np.testing.assert_allclose(found[-1][0].pose.keypoints, truth, atol=1.5)


def test_a_frame_costs_one_look_and_every_few_a_second_one():
    num_frames = 4 * CHECK_EVERY + 1
    _, backend, _ = track([bars(SIZE, place) for place in across(num_frames)])
    calls = backend.num_inputs[2:]  # after the search of the first frame
    expected = [2 if k % CHECK_EVERY == 0 else 1 for k in range(1, num_frames)]
    assert calls == expected
    assert backend.num_inputs[:2] == [1, 1] and backend.finder.num_inputs == [1]


def test_a_person_that_leaves_is_lost_and_no_person_is_in_later_frames():
    frames = [bars(SIZE, place) for place in across(10)] + [bars(SIZE)] * 30
    found, *_ = track(frames)
    assert numbers(found[:10]) == [[1]] * 10
    # One crop alone does not tell; a check comes at the latest after so many frames.
    assert numbers(found[9 + CHECK_EVERY :]) == [[]] * (31 - CHECK_EVERY)


def test_who_is_gone_for_a_moment_keeps_the_number():
    gap = LOST_AFTER - 1
    places = across(40)
    frames = [bars(SIZE, place) for place in places]
    frames[CHECK_EVERY : CHECK_EVERY + gap] = [bars(SIZE)] * gap
    found, _, tracker = track(frames)
    assert numbers(found)[CHECK_EVERY : CHECK_EVERY + gap] == [[]] * gap
    assert numbers(found)[CHECK_EVERY + gap :] == [[1]] * (40 - CHECK_EVERY - gap)
    assert tracker.num_people == 1


def test_who_comes_later_is_found_and_gets_a_number_of_their_own():
    frames = [bars(SIZE, place) for place in across(6)] + [bars(SIZE)] * 20
    frames += [bars(SIZE, place) for place in across(2 * SEARCH_EVERY, start=200, step=1)]
    found, _, tracker = track(frames)
    assert numbers(found[26 + SEARCH_EVERY :]) == [[2]] * SEARCH_EVERY
    assert tracker.num_people == 2


def test_an_empty_clip_does_not_cost_a_search_a_frame():
    found, backend, tracker = track([bars(SIZE)] * (3 * SEARCH_EVERY))
    assert (backend.num_inputs, backend.finder.num_inputs) == ([], [1] * 3)
    assert numbers(found) == [[]] * (3 * SEARCH_EVERY)
    assert tracker.best == 0


def test_the_best_score_is_told_of_whoever_is_not_sure_enough():
    backend = BarBackend(score=0.09)
    found, _, tracker = track([bars(SIZE, (60, 100))], backend=backend)
    assert numbers(found) == [[]]
    assert tracker.best == pytest.approx(np.sqrt(0.09 * 0.9))


def test_two_people_keep_their_numbers():
    left, right = across(40, start=40, step=2), across(40, start=270, step=-2)
    frames = [bars(SIZE, *pair) for pair in zip(left, right, strict=True)]
    found, *_ = track(frames, InferenceConfig(num_people=2))
    assert all(sorted(pair) == [1, 2] for pair in numbers(found))
    x = np.array([[p.pose.keypoints[:, 0].mean() for p in sorted(people)] for people in found])
    assert (np.abs(np.diff(x, axis=0)) < 4).all(), "no person jumps to the other's place"


def test_no_more_are_tracked_than_asked_for():
    frames = [bars(SIZE, (60, 100), (160, 100), (260, 100))] * 20
    found, *_ = track(frames, InferenceConfig(num_people=2))
    assert all(len(people) == 2 for people in found)
    for config in (InferenceConfig(num_people=9), InferenceConfig()):
        found, *_ = track(frames, config)
        assert all(len(people) == 3 for people in found)


def test_who_leaves_does_not_take_over_another():
    # The left one goes; its crop slides over to the other one's bar.
    here, gone = (150, 100), (90, 100)
    frames = [bars(SIZE, gone, here)] * 8 + [bars(SIZE, here)] * 30
    found, *_ = track(frames, InferenceConfig(num_people=2))
    (first,) = {p.number for p in found[0] if abs(p.pose.keypoints[:, 0].mean() - 150) < 10}
    assert numbers(found[-20:]) == [[first]] * 20


def test_a_box_is_of_the_person_in_the_first_frame():
    pair = [(90, 100), (230, 100)]
    frames = [bars(SIZE, *((x + 2 * k, y) for x, y in pair)) for k in range(30)]
    config = InferenceConfig("bbox", ((215, 65, 30, 70),), threshold=None)
    found, backend, _ = track(frames, config)
    assert numbers(found) == [[1]] * 30
    assert middles(found)[-1, 0] == pytest.approx(230 + 58, abs=2)
    assert backend.num_inputs[:2] == [1, 1], "there is no search"


def test_boxes_are_of_the_people_in_the_first_frame():
    frames = [bars(SIZE, (60, 100), (160, 100), (260, 100))] * 20
    boxes = ((245, 65, 30, 70), (45, 65, 30, 70))
    found, *_ = track(frames, InferenceConfig("bbox", boxes, threshold=None))
    assert numbers(found) == [[1, 2]] * 20
    x = [person.pose.keypoints[:, 0].mean() for person in found[-1]]
    assert x == pytest.approx([259.5, 59.5], abs=2)


def test_without_a_box_no_person_is_tracked():
    frames = [bars(SIZE, (60, 100))] * (2 * SEARCH_EVERY)
    found, backend, _ = track(frames, InferenceConfig("bbox", threshold=None))
    assert numbers(found) == [[]] * len(frames)
    assert (backend.num_inputs, backend.finder.num_inputs) == ([], [])


def test_after_the_person_in_the_box_anybody_is_searched_for():
    frames = [bars(SIZE, (60, 100))] * 5 + [bars(SIZE, (250, 100))] * (2 * SEARCH_EVERY)
    found, *_ = track(frames, InferenceConfig("bbox", ((45, 65, 30, 70),), threshold=None))
    assert numbers(found[:5]) == [[1]] * 5
    assert numbers(found[-5:]) == [[2]] * 5


def test_who_is_told_to_be_in_the_box_needs_no_score():
    config = InferenceConfig("bbox", ((45, 65, 30, 70),), threshold=None)
    found, *_ = track([bars(SIZE, (60, 100))], config, BarBackend(score=0.01))
    assert numbers(found) == [[1]]


def test_the_whole_frame_is_looked_at_each_time_once():
    frames = [bars(SIZE, place) for place in across(20)]
    found, backend, _ = track(frames, InferenceConfig("whole", threshold=None))
    assert backend.num_inputs == [1] * 20
    assert numbers(found) == [[1]] * 20
    np.testing.assert_allclose(middles(found), np.array(across(20)) - 0.5, atol=3)


def test_a_lower_threshold_keeps_who_is_less_sure():
    frames = [bars(SIZE, place) for place in across(30)]
    for threshold, expected in ((0.55, [[]] * 30), (0.15, [[1]] * 30)):
        config = InferenceConfig(threshold=threshold)
        found, *_ = track(frames, config, BarBackend(score=0.3, unsure=0.1))
        assert numbers(found) == expected


def test_joints_missed_for_a_moment_do_not_draw_the_square_together():
    tall, short = bars(SIZE, (160, 100), height=100), bars(SIZE, (160, 60), height=20)
    found, *_ = track([tall] * 6 + [short, tall, tall])
    assert numbers(found) == [[1]] * 9
    assert np.ptp(found[-1][0].pose.keypoints[:, 1]) > 95, "the crop still holds all"


def test_the_crop_of_a_person_who_becomes_smaller_closes_in_within_a_second():
    def pose(side):
        return Pose(np.linspace((0, 0), (side, side), 16), np.ones(16), (0, 0, 99), 0.9)

    track = Track(1, pose(100), 0.9, 100.0, 0, 0)
    for frame in range(20):
        track.move(pose(50), frame / RATE)
    assert track.size == pytest.approx(50 + 50 * 0.36, abs=2)  # a third of the difference is left
    track.move(pose(120), 1.0)
    assert track.size == 120, "it grows at once"


def jitter(found):
    return np.sqrt(np.square(np.diff(middles(found), axis=0)).mean())


def test_smoothing_takes_jitter_away_and_can_be_turned_off():
    rng = np.random.default_rng(0)
    frames = [bars(SIZE, (160 + rng.integers(-2, 3), 100)) for _ in range(60)]
    raw, smooth = (track(frames, is_smooth=is_smooth)[0] for is_smooth in (False, True))
    assert jitter(smooth[20:]) < 0.7 * jitter(raw[20:])
    truth = [find.mean() for find in (np.flatnonzero(f[100, :, 0]) for f in frames)]
    np.testing.assert_allclose(middles(raw)[:, 0], truth, atol=1.2)


def test_smoothing_goes_by_the_times_of_the_frames():
    frames = [bars(SIZE, (160, 100))] * 5 + [bars(SIZE, (170, 100))]
    late = []
    for gap in (0.01, 10.0):
        times = [k / RATE for k in range(5)]
        found, *_ = track(frames, is_smooth=True, times=[*times, times[-1] + gap])
        late.append(169.5 - middles(found)[-1, 0])
    assert late[0] > 3 and abs(late[1]) < 1


def find_errors(found, places):
    """px between each frame's person and the truth; infinite without any."""
    middles = [p[0].pose.keypoints.mean(axis=0) if p else (np.inf, np.inf) for p in found]
    return np.linalg.norm(np.array(middles) - np.array(places) + 0.5, axis=1)


@pytest.mark.parametrize("rate", [1, 2, 3, 5, 10, 25, 60, 240])
def test_a_person_is_tracked_at_any_rate(rate):
    """They walk 40 px a second, to the left and right, for 6 seconds."""
    seconds = np.arange(6 * min(rate, 60)) / rate
    places = [(160 + 80 * np.sin(0.5 * t), 100) for t in seconds]
    found, *_ = track([bars(SIZE, p) for p in places], times=seconds.tolist())
    assert (find_errors(found, places) < 5).mean() > 0.9


@pytest.mark.parametrize("rate", [10, 25, 100])
def test_who_leaves_is_lost_after_the_same_time_at_any_rate(rate):
    times = np.arange(2 * rate) / rate
    frames = [bars(SIZE, (160, 100)) if t < 1 else bars(SIZE) for t in times]
    found, *_ = track(frames, times=times.tolist())
    gone = next(t for t, people in zip(times, found, strict=True) if t >= 1 and not people)
    assert 1 <= gone <= 1 + tracking.CHECK_EVERY + 1 / rate


@pytest.mark.parametrize("rate", [1, 2, 5, 25])
def test_the_pictures_of_a_slide_show_are_searched_at_once(rate):
    """Thirty pictures, each held for two seconds on another ground, people anywhere."""
    rng = np.random.default_rng(7)
    places = [(int(x), int(y)) for x, y in rng.integers((30, 40), (290, 160), (30, 2))]
    times = np.arange(0, 60, 1 / rate)[: 60 * min(rate, 5)]
    shown = [places[int(t // 2)] for t in times]
    found, *_ = track([bars(SIZE, p) for p in shown], times=times.tolist(), has_cuts=True)
    held = np.arange(len(times)) % (2 * rate) > rate / 5  # a fifth of a second after each change
    assert (find_errors(found, shown) < 5)[held].mean() >= 0.9


def test_a_cut_is_searched_in_its_own_frame():
    light = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    light[:90] = 60  # another scene, dark enough to the backend
    first = [bars(SIZE, (60, 100)) for _ in range(12)]
    second = [np.maximum(light, bars(SIZE, (250, 140))) for _ in range(12)]
    places = [(60, 100)] * 12 + [(250, 140)] * 12
    found, *_ = track(first + second, has_cuts=True)
    assert (find_errors(found, places) < 5).all()
    assert numbers(found) == [[1]] * 12 + [[2]] * 12


@pytest.mark.parametrize(("x", "number"), [(160, 1), (250, 2)])
def test_after_a_gap_people_are_searched_for_and_keep_their_numbers_where_they_were(x, number):
    times = [*np.arange(10) / RATE, *(5 + np.arange(10) / RATE)]
    frames = [bars(SIZE, (160, 100))] * 10 + [bars(SIZE, (x, 100))] * 10
    found, backend, tracker = track(frames, times=times)
    assert numbers(found) == [[1]] * 10 + [[number]] * 10
    assert tracker.num_people == number
    assert backend.finder.num_inputs == [1, 1]
    assert 5 - 9 / RATE > MAX_GAP


def test_a_cut_of_a_whole_picture_only_ends_the_smoothing():
    config = InferenceConfig("whole", threshold=None)
    light = np.full((SIZE[1], SIZE[0], 3), 90, np.uint8)
    frames = [bars(SIZE, (60, 100))] * 8 + [np.maximum(light, bars(SIZE, (250, 100)))] * 3
    found, backend, _ = track(frames, config, is_smooth=True, has_cuts=True)
    assert numbers(found) == [[1]] * 11 and set(backend.num_inputs) == {1}
    assert middles(found)[8, 0] == pytest.approx(249.5, abs=3)
