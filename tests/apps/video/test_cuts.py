import numpy as np
import pytest
from PIL import Image

from helpers.clips import figures
from hourglass.apps.video.cuts import CutDetector
from hourglass.data.synthetic.pictures import draw_picture


def scene(seed, size=(320, 240)):
    return np.asarray(draw_picture(seed, 0)[0].resize(size))


def find_cuts(frames):
    detector = CutDetector()
    return [k for k, pixels in enumerate(frames) if detector.is_cut(Image.fromarray(pixels))]


def test_another_scene_is_a_cut():
    frames = [np.roll(scene(seed), 3 * k, axis=1) for seed in range(4) for k in range(10)]
    assert find_cuts(frames) == [10, 20, 30]


def test_each_picture_of_a_slide_show_is_a_cut_where_it_is_held():
    frames = [scene(seed) for seed in range(5) for _ in range(3)]
    assert find_cuts(frames) == [3, 6, 9, 12]


@pytest.mark.parametrize("step", [1, 4, 12])
def test_a_camera_that_pans_cuts_nothing_once_it_is_under_way(step):
    wide = np.concatenate([scene(k, (640, 240)) for k in range(3)], axis=1)
    frames = [wide[:, step * k : step * k + 320] for k in range(60)]
    assert [k for k in find_cuts(frames) if k > 1] == []


def test_motion_and_a_slow_change_of_light_cut_nothing():
    assert find_cuts(figures(30)) == []
    light = [np.uint8(scene(1) * (0.3 + 0.7 * k / 50)) for k in range(50)]
    assert find_cuts(light) == []


def test_the_first_frame_is_no_cut_and_small_frames_are_compared_too():
    assert find_cuts([scene(1)]) == []
    frames = [np.full((2, 3, 3), level, np.uint8) for level in (0, 0, 255, 255)]
    assert find_cuts(frames) == [2]
