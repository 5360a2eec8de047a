import numpy as np
import pytest

from helpers.clips import bars, write_clip
from helpers.messengers import check_telegram, check_whatsapp
from hourglass.apps.stickers.encoding import MAX_SECONDS, RATE
from hourglass.apps.stickers.moving import choose_frames, make_clip_stickers
from hourglass.apps.video.reader import Frame
from hourglass.inference.runner import InferenceConfig
from hourglass.utils.errors import UserError

SIZE = (160, 120)


def walk(number, first=0):
    return [bars(SIZE, (40 + 4 * k, 60), width=16, height=50) for k in range(first, first + number)]


def make(backend, tmp_path, pictures, styles=("figure",), config=None, rate=10, **options):
    path = write_clip(tmp_path / "a.mp4", pictures, rate=rate)
    target = tmp_path / "out" / "a"
    return make_clip_stickers(backend, path, target, config or InferenceConfig(), styles, **options)


def choose(times, people=("a person",)):
    """The times of the frames that are chosen of frames with these people."""
    tracked = ((Frame(0, time, None), people) for time in times)
    return np.array([frame.time for frame, _ in choose_frames(tracked)])


@pytest.mark.parametrize("rate", [5, 10, 15, 24, 25, 29.97, 30, 50, 60])
@pytest.mark.parametrize("first", [0, 1.7])
def test_frames_are_taken_evenly_for_three_seconds(rate, first):
    taken = choose(first + np.arange(600) / rate)
    assert taken[0] == first
    steps = np.diff(taken)
    assert steps.min() >= 1 / 30 - 1e-6
    assert len(taken) <= RATE * MAX_SECONDS
    lasts = taken[-1] - first + 1 / RATE
    assert MAX_SECONDS - max(1 / rate, 1 / RATE) - 0.01 < lasts <= MAX_SECONDS + 1e-3
    assert steps.mean() == pytest.approx(max(1 / rate, 1 / RATE), rel=0.05)


def test_a_clip_becomes_a_webp_and_a_webm(backend, tmp_path):
    written = make(backend, tmp_path, walk(6))
    webp, webm = written.files
    assert (webp.name, webm.name) == ("a_figure.webp", "a_figure.webm")
    frames, durations = check_whatsapp(webp)
    assert durations == [100] * 5 + [67]
    pictures = check_telegram(webm)
    assert len(frames) == len(pictures) == 6
    for pixels in (*frames, *pictures):
        assert pixels[[0, 0, -1, -1], [0, -1, 0, -1], 3].max() < 8
        # They walk on the spot.
        columns = np.flatnonzero((pixels[..., 3] > 127).any(axis=0))
        assert columns[[0, -1]].mean() == pytest.approx(255.5, abs=12)
    assert len(written.scores) == 1 and written.best > 0.5


def test_the_sticker_begins_where_somebody_is_seen_first(backend, tmp_path):
    # Somebody comes after 1.5 s. The next search is at 1.8 s, and 4 frames are left.
    empty = [bars(SIZE)] * 15
    written = make(backend, tmp_path, empty + walk(7), config=InferenceConfig(threshold=0.6))
    assert len(check_telegram(written.files[1])) == 4


def test_frames_before_the_start_are_passed_over(backend, tmp_path):
    written = make(backend, tmp_path, walk(9), start=0.55)
    assert len(check_telegram(written.files[1])) == 3


def test_without_people_nothing_is_written(backend, tmp_path):
    written = make(backend, tmp_path, [bars(SIZE)] * 3, config=InferenceConfig(threshold=0.99))
    assert written.files == [] and written.best < 0.99 and not (tmp_path / "out").exists()


def test_somebody_in_one_frame_alone_is_one_line(backend, tmp_path):
    with pytest.raises(UserError, match="shows no person who moves"):
        make(backend, tmp_path, walk(1))
    assert not (tmp_path / "out").exists()


def test_somebody_who_stands_still_is_one_line(backend, tmp_path):
    config = InferenceConfig("whole", threshold=None)
    with pytest.raises(UserError, match="shows no person who moves"):
        make(backend, tmp_path, walk(1) * 3, config=config)
    assert not (tmp_path / "out").exists()


def test_a_clip_that_is_over_before_the_start_is_one_line(backend, tmp_path):
    with pytest.raises(UserError, match="no frame after --start 7 s; name an earlier one"):
        make(backend, tmp_path, walk(3), start=7)


def test_those_seen_longest_are_taken_of_several(backend, tmp_path):
    both = [bars(SIZE, (30, 60), (130, 60), width=16, height=50)] * 4
    config = InferenceConfig(num_people=2, threshold=0.3)
    written = make(backend, tmp_path, both, config=config)
    names = ["a_figure.webp", "a_figure.webm", "a_figure_2.webp", "a_figure_2.webm"]
    assert [path.name for path in written.files] == names
