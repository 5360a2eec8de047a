import numpy as np
import pytest
from PIL import Image

from helpers.pictures import file_of, png_of, write_tiff
from hourglass.utils.images import decode_image
from hourglass.utils.levels import ROWS, find_range, to_bytes

RAMP = np.linspace(0, 1, 4000).reshape(40, 100)  # what the picture shows, from black to white


def decode(data):
    return np.asarray(decode_image(data)[0]).astype(int)


def png_of_grey(levels):
    rows = [row.astype(">u2").tobytes() for row in levels]
    return png_of(levels.shape[1], levels.shape[0], 16, 0, rows)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_levels_of_any_number_of_bits_show_the_same_picture(bits):
    levels = np.rint(RAMP * (2**bits - 1))
    for data in (png_of_grey(levels), file_of(Image.fromarray(levels.astype(np.uint16)), "TIFF")):
        np.testing.assert_allclose(decode(data)[..., 0], RAMP * 255, atol=1)


@pytest.mark.parametrize("white", [1.0, 255.0, 65_535.0])
def test_fractions_of_the_usual_ranges_show_the_same_picture(white):
    data = file_of(Image.fromarray((RAMP * white).astype(np.float32)), "TIFF")
    np.testing.assert_allclose(decode(data)[..., 0], RAMP * 255, atol=1)


@pytest.mark.parametrize(
    ("low", "high", "dtype"),
    [
        (-1.0, 1.0, np.float32),
        (1e6, 3e6, np.float32),
        (0.2, 0.3, np.float32),
        (-400, 90_000, np.int32),
        (200_000, 900_000, np.int32),
        (7000, 8500, np.uint16),  # a thermal camera's
        (0, 40, np.uint16),
    ],
)
def test_levels_of_another_range_are_stretched(low, high, dtype):
    levels = (low + RAMP * (high - low)).astype(dtype)
    found = decode(file_of(Image.fromarray(levels), "TIFF"))[..., 0]
    assert (found.min(), found.max()) == (0, 255)
    np.testing.assert_allclose(found, RAMP * 255, atol=255 / min(high - low, 255) + 1)


@pytest.mark.parametrize("colour", [2, 6])
@pytest.mark.parametrize("bits", [8, 12, 14])
def test_sixteen_bit_colours_are_stretched_by_both_of_their_bytes(colour, bits):
    shown = np.stack([RAMP, RAMP[::-1], np.roll(RAMP, 9, axis=0)], axis=-1)
    levels = np.rint(shown * (2**bits - 1))
    if colour == 6:
        levels = np.dstack([levels, np.full(RAMP.shape, 65_535)])
    rows = [row.astype(">u2").tobytes() for row in levels]
    np.testing.assert_allclose(decode(png_of(100, 40, 16, colour, rows)), shown * 255, atol=1)


def test_sixteen_bit_colours_that_fill_their_range_stay_as_pillow_reads_them():
    levels = np.random.default_rng(3).integers(0, 65_536, (40, 100, 3))
    rows = [row.astype(">u2").tobytes() for row in levels]
    np.testing.assert_array_equal(decode(png_of(100, 40, 16, 2, rows)), levels >> 8)


def test_hot_pixels_are_no_content():
    levels = np.rint(RAMP * 4095)
    levels[20, 50] = 65_535
    np.testing.assert_allclose(decode(png_of_grey(levels))[0, :, 0], RAMP[0] * 255, atol=1)
    assert decode(png_of_grey(levels))[20, 50, 0] == 255


def test_zero_may_be_white():
    levels = np.rint((1 - RAMP) * 65_535).astype(np.uint16)
    data = file_of(Image.fromarray(levels), "TIFF", tiffinfo={262: 0})
    np.testing.assert_allclose(decode(data)[..., 0], RAMP * 255, atol=1)


@pytest.mark.parametrize("level", [0, 1, 3000, 65_535])
def test_a_picture_of_one_level_is_not_stretched(level):
    white = next(w for w in (255, 1023, 4095, 16_383, 65_535) if level <= w)
    assert (decode(png_of_grey(np.full((4, 4), level))) == round(level / white * 255)).all()


def test_what_is_no_number_is_black_and_infinity_white():
    levels = np.float32([[0.0, 1.0, 0.5, np.nan, np.inf, -np.inf]])
    assert to_bytes(levels).tolist() == [[0, 255, 128, 0, 255, 0]]
    assert to_bytes(np.full((2, 2), np.nan)).tolist() == [[0, 0], [0, 0]]


def test_tall_pictures_are_converted_as_low_ones():
    tall = np.repeat(RAMP, 20, axis=0)
    assert len(tall) > 2 * ROWS
    np.testing.assert_array_equal(to_bytes(tall), np.repeat(to_bytes(RAMP), 20, axis=0))
    assert find_range(tall) == find_range(RAMP) == (0.0, 1.0)


def test_turned_pictures_of_16_bits_become_upright():
    levels = np.rint(RAMP * 4095).astype(np.uint16)
    exif = Image.Exif()
    exif[0x0112] = 6
    data = file_of(Image.fromarray(np.rot90(levels).copy()), "PNG", exif=exif)
    np.testing.assert_allclose(decode(data)[..., 0], RAMP * 255, atol=1)


@pytest.mark.parametrize("order", ["<", ">"])
def test_colours_of_16_bits_in_planes_are_read(order):
    pixels = (900 * np.arange(4 * 6 * 3).reshape(4, 6, 3)).astype(f"{order}u2")
    planes = [np.ascontiguousarray(pixels[..., k]).tobytes() for k in range(3)]
    data = write_tiff(pixels, {258: [16] * 3, 262: [2], 277: [3], 284: [2]}, order, planes)
    np.testing.assert_allclose(decode_image(data)[0], pixels / 257, atol=1)
