import numpy as np
import pytest
from PIL import Image

from hourglass.apps.stickers import framing
from hourglass.apps.stickers.framing import (
    EDGE,
    MARGIN,
    OUTLINE,
    SIZE,
    add_outline,
    cut_window,
    grow,
    place_windows,
    steady,
)
from hourglass.utils.transforms import apply_transform, crop_transform, invert_transform


def disc(radius, middle=(256, 256)):
    """Coverage of a disc, its edge one pixel soft."""
    y, x = np.mgrid[:SIZE, :SIZE]
    distance = np.hypot(x - middle[0], y - middle[1])
    return (255 * np.clip(radius + 0.5 - distance, 0, 1)).astype(np.uint8)


def on_sticker(window, points):
    return apply_transform(invert_transform(crop_transform(window, SIZE)), points)


@pytest.mark.parametrize("box", [[(10, 20), (110, 320)], [(-50, 3), (400, 9)], [(5, 5), (5, 5)]])
def test_the_longer_side_of_a_box_fills_the_sticker_but_for_margin_and_outline(box):
    low, high = on_sticker(place_windows([0.0], [box])[0], np.array(box, float))
    np.testing.assert_allclose((low + high) / 2, (SIZE - 1) / 2, atol=1e-6)
    if np.ptp(box, axis=0).max() > 1:
        free = MARGIN + OUTLINE + EDGE
        assert (high - low).max() == pytest.approx(SIZE - 2 * free)


def test_the_windows_of_a_clip_are_of_one_size_and_hold_the_figure_each():
    rng = np.random.default_rng(3)
    times = np.arange(40) / 15
    low = np.stack([100 + 60 * times, 50 + rng.normal(0, 6, 40)], axis=1)
    boxes = np.stack([low, low + rng.uniform(40, 90, (40, 2))], axis=1)
    windows = place_windows(times, boxes)
    assert len({side for *_, side in windows}) == 1
    free = MARGIN + OUTLINE + EDGE
    corners = np.array([on_sticker(w, box) for w, box in zip(windows, boxes, strict=True)])
    assert corners.min() >= free - 0.51 and corners.max() <= SIZE - free - 0.49
    # The figure is followed, without what its limbs do from frame to window.
    middles = np.array([(x + side / 2, y + side / 2) for x, y, side in windows])
    steps, raw = (np.diff(m, axis=0).std(axis=0) for m in (middles, boxes.mean(axis=1)))
    assert (steps < raw / 4).all()
    assert middles[-1, 0] - middles[0, 0] > 120


def test_what_is_smoothed_begins_and_ends_where_it_does():
    times = np.array([0, 0.1, 0.2, 0.35, 0.4, 0.5])
    line = np.stack([3 + 40 * times, 7 - 5 * times], axis=1)
    np.testing.assert_allclose(steady(times, line), line)
    np.testing.assert_allclose(steady([2.5], [[4.0, 9.0]]), [[4.0, 9.0]])
    wave = np.sin(2 * np.pi * 7 * np.arange(45) / 15)[:, None]
    assert np.abs(steady(np.arange(45) / 15, wave)[5:-5]).max() < 0.1


def test_a_window_shows_its_part_of_a_picture_in_its_exact_place():
    ramp = np.broadcast_to(np.arange(200, dtype=np.uint8), (100, 200))
    image = Image.fromarray(ramp)
    for window in ((40.25, 20.5, 64.0), (40.75, 20.0, 64.0)):
        cut = np.asarray(cut_window(image, window, 64)).astype(float)
        expected = crop_transform(window, 64)[0, 2] + np.arange(64)
        np.testing.assert_allclose(cut[32, 4:-4], expected[4:-4], atol=1)


def test_beyond_the_picture_a_window_is_black():
    cut = np.asarray(cut_window(Image.new("RGB", (50, 50), "white"), (-25.0, -25.0, 100.0), 100))
    assert cut.shape == (100, 100, 3)
    assert (cut[:20] == 0).all() and (cut[80:] == 0).all() and (cut[30:70, 30:70] == 255).all()


def test_a_window_far_larger_than_the_picture_takes_no_memory_for_it():
    image = Image.new("RGB", (50, 50), "white")
    assert not np.asarray(cut_window(image, (-5e5, -5e5, 1e6))).any()
    cut = np.asarray(cut_window(image, (-4975.0, -4975.0, 10_000.0), 1000))
    assert (cut[498:502, 498:502] == 255).all() and cut.any(axis=-1).sum() <= 25


@pytest.mark.parametrize("radius", [1, 3, 10, -4])
def test_growing_is_by_a_disc(radius):
    coverage = np.zeros((61, 71), np.uint8)
    coverage[20:40, 25:50] = 255
    coverage[30, 10] = 255
    y, x = np.mgrid[:61, :71]
    set_pixels = np.argwhere(coverage if radius > 0 else coverage == 0)
    nearest = np.min([np.hypot(y - i, x - j) for i, j in set_pixels], axis=0)
    grown = grow(coverage, radius)
    wanted = nearest <= abs(radius) if radius > 0 else nearest > abs(radius)
    sure = np.abs(nearest - abs(radius)) > 0.6
    assert set(np.unique(grown)) <= {0, 255}
    np.testing.assert_array_equal((grown > 0)[sure], wanted[sure])


def test_the_outline_is_white_and_of_even_width_and_ends_in_a_grey_line():
    coverage = disc(100)
    pixels = np.where(disc(100)[..., None] > 127, (200, 30, 30), 255).astype(np.uint8)
    sticker = np.asarray(add_outline(pixels, coverage))
    y, x = np.mgrid[:SIZE, :SIZE]
    distance = np.hypot(x - 256, y - 256)
    assert (sticker[distance < 98] == (200, 30, 30, 255)).all()
    assert (sticker[(distance > 102) & (distance < 108)] == (255, 255, 255, 255)).all()
    line = sticker[(distance > 111) & (distance < 112)].astype(int)
    assert line[:, 3].mean() > 150 and line[:, :3].mean() < 225
    assert (sticker[distance > 100 + OUTLINE + EDGE + 3, 3] == 0).all()


def test_the_outline_fills_gaps_that_are_too_narrow_to_be_seen():
    coverage = np.maximum(disc(60, (190, 256)), disc(60, (322, 256)))  # 12 px apart
    alpha = np.asarray(add_outline(np.full((SIZE, SIZE, 3), 255, np.uint8), coverage))[..., 3]
    assert alpha[256, 256] == 255
    apart = np.maximum(disc(30, (150, 256)), disc(30, (362, 256)))
    alpha = np.asarray(add_outline(np.full((SIZE, SIZE, 3), 255, np.uint8), apart))[..., 3]
    assert alpha[256, 256] == 0


def test_colours_of_soft_edges_are_mixed_with_the_white_below():
    rgba = np.zeros((1, 3, 4), np.uint8)
    rgba[0] = [(0, 0, 0, 0), (100, 0, 0, 128), (100, 0, 0, 255)]
    pixels, coverage = framing.lay_on_white(rgba)
    np.testing.assert_allclose(pixels[0], [(255,) * 3, (177, 127, 127), (100, 0, 0)], atol=1)
    assert coverage[0].tolist() == [0, 128, 255]
