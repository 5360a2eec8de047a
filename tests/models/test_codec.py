import numpy as np
import pytest

from helpers.networks import make_metadata
from hourglass.models.codec import DECODERS, HeatmapCodec, calibrate, open_codec
from hourglass.models.metadata import Calibration

METHODS = tuple(DECODERS)


def encode(keypoints, size=64, sigma=1.0):
    return np.array(HeatmapCodec(size, 1, sigma).encode(np.float32(keypoints)))


def decode(heatmaps, method):
    keypoints, scores = HeatmapCodec(heatmaps.shape[1], 1, 1.0, method).decode(np.float32(heatmaps))
    return np.array(keypoints), np.array(scores)


def errors(keypoints, method, size=64, sigma=1.0):
    """Distances [N, K] between keypoints and what is decoded from their heatmaps."""
    found, _ = decode(encode(keypoints, size, sigma), method)
    return np.linalg.norm(found - keypoints, axis=-1)


def highest_pixels(heatmaps):
    """(x, y) [N, K, 2] of the first highest pixel of each heatmap."""
    num, height, width, num_joints = heatmaps.shape
    best = heatmaps.reshape(num, height * width, num_joints).argmax(axis=1)
    return np.stack([best % width, best // width], axis=-1)


def draw_gaussian(x, y, size, sigma):
    """The definition, spelled out one pixel at a time."""
    heatmap = np.zeros((size, size))
    for row in range(size):
        for column in range(size):
            dx, dy = column - x, row - y
            if abs(dx) < 3.5 * sigma and abs(dy) < 3.5 * sigma:
                heatmap[row, column] = np.exp(-(dx * dx + dy * dy) / (2 * sigma * sigma))
    return heatmap


# Encode


@pytest.mark.parametrize("sigma", [0.7, 1.0, 2.0])
def test_a_heatmap_is_a_gaussian_at_the_exact_place(sigma):
    """Inside, on the border, outside with and without a part in sight."""
    rng = np.random.default_rng(0)
    inside = rng.uniform(0, 23, (6, 2))
    border = [(0, 0), (23, 23), (0.3, 11.8), (22.6, 0.1)]
    outside = [(-1.5, 10.2), (12.9, 25.1), (-2, -2), (-60, 5), (5, 900)]
    keypoints = np.array([*inside, *border, *outside]).reshape(3, 5, 2)
    heatmaps = encode(keypoints, 24, sigma)
    assert heatmaps.shape == (3, 24, 24, 5)
    assert heatmaps.dtype == np.float32
    for n in range(3):
        for k in range(5):
            expected = draw_gaussian(*np.float32(keypoints[n, k]), 24, sigma)
            np.testing.assert_allclose(heatmaps[n, :, :, k], expected, atol=1e-5)
    assert not heatmaps[2, :, :, 3:].any(), "far outside: an empty heatmap"


@pytest.mark.parametrize("offset", [-0.45, -0.2, 0.0, 0.3, 0.49])
def test_the_support_is_seven_by_seven_at_sigma_one(offset):
    heatmap = encode([[[30 + offset, 20 - offset]]])[0, :, :, 0]
    rows, columns = np.nonzero(heatmap)
    assert (rows.min(), rows.max()) == (17, 23)
    assert (columns.min(), columns.max()) == (27, 33)
    assert len(rows) == 49


def test_the_peak_is_one():
    assert encode([[[30, 20]]]).max() == 1
    assert encode([[[30, 20]]])[0, 20, 30, 0] == 1, "x is the column"


# Decode


def test_dark_undoes_encode():
    keypoints = np.random.default_rng(1).uniform(2, 61, (625, 16, 2))
    error = errors(keypoints, "dark")
    assert error.size == 10_000
    assert error.mean() < 0.005
    assert error.max() < 0.05


@pytest.mark.parametrize("sigma", [0.8, 1.5, 3.0])
def test_dark_does_so_for_every_sigma(sigma):
    keypoints = np.random.default_rng(2).uniform(6, 57, (20, 16, 2))
    assert errors(keypoints, "dark", sigma=sigma).max() < 0.05


def test_dark_reaches_keypoints_on_the_border():
    rng = np.random.default_rng(3)
    keypoints = rng.uniform(-0.45, 63.45, (40, 16, 2))
    keypoints[..., 0] = rng.uniform(-0.45, 0.4, (40, 16))
    keypoints[20:] = 63 - keypoints[20:]
    assert errors(keypoints, "dark").max() < 0.05


@pytest.mark.parametrize("tilt", [-0.5, 0.3])
def test_dark_is_exact_for_a_tilted_gaussian(tilt):
    keypoints = np.random.default_rng(7).uniform(9.6, 10.4, (50, 1, 1, 2))
    axis = np.arange(20)
    dx, dy = axis - keypoints[..., :1], (axis - keypoints[..., 1:]).swapaxes(2, 3)
    heatmaps = np.exp(-(dx**2 + dy**2 - 2 * tilt * dx * dy) / 2).reshape(50, 20, 20, 1)
    found, _ = decode(heatmaps, "dark")
    np.testing.assert_allclose(found, keypoints[:, 0], atol=1e-3)


def test_the_methods_are_as_good_as_they_say():
    keypoints = np.random.default_rng(4).uniform(2, 61, (100, 16, 2))
    argmax, shift, dark = (errors(keypoints, method).mean() for method in METHODS)
    # The mean distance of a random place from the middle of its cell, of side 1 and of side 1/2.
    assert argmax == pytest.approx(0.3826, abs=0.01)
    assert shift == pytest.approx(0.1913, abs=0.01)
    assert dark < 0.005


def test_argmax_is_the_highest_pixel_and_the_score_its_value():
    heatmaps = np.random.default_rng(5).normal(size=(3, 9, 7, 4))
    keypoints, scores = decode(heatmaps, "argmax")
    np.testing.assert_array_equal(keypoints, highest_pixels(heatmaps))
    np.testing.assert_allclose(scores, heatmaps.max(axis=(1, 2)), rtol=1e-6)


def test_a_quarter_goes_towards_the_higher_neighbour():
    heatmap = np.zeros((1, 9, 9, 3))
    heatmap[0, 4, 5] = 1
    heatmap[0, 4, 6, 0] = heatmap[0, 3, 5, 0] = 0.5  # right and up
    heatmap[0, 4, 4, 1] = heatmap[0, 5, 5, 1] = 0.5  # left and down; joint 2: neither
    keypoints, _ = decode(heatmap, "shift")
    np.testing.assert_array_equal(keypoints[0], [[5.25, 3.75], [4.75, 4.25], [5, 4]])


def test_one_pixel_from_the_border_there_is_a_quarter_to_go():
    heatmap = np.zeros((1, 9, 9, 2))
    heatmap[0, 1, 1, 0] = heatmap[0, 7, 7, 1] = 1
    heatmap[0, 1, 2, 0] = heatmap[0, 2, 1, 0] = heatmap[0, 7, 6, 1] = heatmap[0, 6, 7, 1] = 0.5
    keypoints, _ = decode(heatmap, "shift")
    np.testing.assert_array_equal(keypoints[0], [[1.25, 1.25], [6.75, 6.75]])


@pytest.mark.parametrize(("x", "y"), [(0, 20), (63, 20), (20, 0), (20, 63), (0, 63)])
def test_a_quarter_leaves_a_peak_on_the_border_there(x, y):
    """A pixel on the border has no neighbour on the other side to be compared with."""
    keypoints, _ = decode(encode([[[x, y]]]), "shift")
    np.testing.assert_array_equal(keypoints[0, 0], [x, y])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("value", [0.0, 1.0, -1.0, 1e-30, 1e30])
def test_a_constant_heatmap_gives_its_first_pixel(method, value):
    keypoints, scores = decode(np.full((2, 8, 8, 16), value), method)
    np.testing.assert_array_equal(keypoints, 0)
    np.testing.assert_array_equal(scores, np.float32(value))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seed", range(3))
def test_noise_is_decoded_near_its_highest_pixel(method, seed):
    rng = np.random.default_rng(seed)
    normal = rng.normal(size=(20, 12, 10, 16))
    for heatmaps in (normal, np.abs(normal), normal > 1.5, 1e-8 * normal, normal**9):
        keypoints, scores = decode(heatmaps, method)
        assert np.isfinite(keypoints).all()
        assert np.isfinite(scores).all()
        assert np.abs(keypoints - highest_pixels(np.float32(heatmaps))).max() <= 0.75


@pytest.mark.parametrize("method", METHODS)
def test_a_single_pixel_is_found_wherever_it_is(method):
    heatmaps = np.zeros((25, 5, 5, 1))
    heatmaps[np.arange(25), np.arange(25) // 5, np.arange(25) % 5, 0] = 0.7
    keypoints, scores = decode(heatmaps, method)
    expected = np.stack([np.arange(25) % 5, np.arange(25) // 5], axis=-1)
    assert np.abs(keypoints[:, 0] - expected).max() <= 0.75
    np.testing.assert_allclose(scores, 0.7, rtol=1e-6)


@pytest.mark.parametrize("peak", [0.05, 12.0])
def test_the_height_of_the_peak_does_not_move_it(peak):
    keypoints = np.random.default_rng(6).uniform(3, 60, (10, 16, 2))
    found, scores = decode(peak * encode(keypoints), "dark")
    assert np.linalg.norm(found - keypoints, axis=-1).max() < 0.05
    assert (scores <= peak).all()
    assert (scores > 0.7 * peak).all()


# Frames


def test_heatmap_and_input_pixels_span_the_same_square():
    codec = open_codec(make_metadata(input_size=64), "shift")
    assert codec == HeatmapCodec(16, 4, 1.0, "shift")
    np.testing.assert_allclose(codec.input_to_heatmap(np.array([-0.5, 63.5])), [-0.5, 15.5])
    points = np.random.default_rng(0).uniform(0, 64, 10)
    np.testing.assert_allclose(codec.heatmap_to_input(codec.input_to_heatmap(points)), points)


@pytest.mark.parametrize("stride", [2, 4, 8])
def test_a_codec_goes_from_input_pixels_to_input_pixels(stride):
    codec = HeatmapCodec(24, stride, 1.5)
    keypoints = np.random.default_rng(8).uniform(4 * stride, 20 * stride, (5, 6, 2))
    heatmaps = codec.encode(np.float32(keypoints))
    assert heatmaps.shape == (5, 24, 24, 6)
    np.testing.assert_allclose(codec.decode(heatmaps)[0], keypoints, atol=0.05 * stride)


def test_a_codec_that_is_not_known_is_refused():
    with pytest.raises(ValueError, match="the codec 'simcc' is not known"):
        open_codec(make_metadata(codec="simcc"))


LINE = Calibration((0.0, 0.2, 0.6), (0.1, 0.5, 0.9))


@pytest.mark.parametrize(
    ("height", "probability"),
    [(-1, 0.1), (0, 0.1), (0.1, 0.3), (0.2, 0.5), (0.5, 0.8), (0.6, 0.9), (2, 0.9)],
)
def test_a_height_between_two_points_lies_on_their_line(height, probability):
    assert float(calibrate(np.float32([height]), LINE)[0]) == pytest.approx(probability, abs=1e-6)


def test_without_points_scores_are_heights():
    heights = np.float32([[0.1, 0.7]])
    assert np.array_equal(calibrate(heights, Calibration()), heights)


@pytest.mark.parametrize("method", METHODS)
def test_scores_are_calibrated_and_keypoints_are_not(method):
    heatmaps = 0.5 * encode([[[20.3, 30.6]]])
    plain = open_codec(make_metadata(input_size=256), method)
    calibrated = open_codec(make_metadata(input_size=256, calibration=LINE), method)
    (before, heights), (after, scores) = plain.decode(heatmaps), calibrated.decode(heatmaps)
    assert np.array_equal(before, after)
    assert np.allclose(scores, np.interp(heights, LINE.heights, LINE.probabilities), atol=1e-6)
    assert not np.allclose(scores, heights)
