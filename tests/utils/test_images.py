import warnings

import numpy as np
import pytest
from PIL import Image, features

from helpers.pictures import STORED_AS, file_of, jpeg_of, png_of
from hourglass.utils import transforms
from hourglass.utils.images import (
    BadImageError,
    cut_crop,
    decode_image,
    encode_jpeg,
    is_plain_jpeg,
)

RED, GREEN, BLUE, WHITE = (230, 20, 30), (20, 200, 40), (10, 30, 220), (255, 255, 255)


def quarters(width=48, height=32):
    """Red, green over blue, white: no two orientations look the same."""
    pixels = np.empty((height, width, 3), np.uint8)
    pixels[: height // 2, : width // 2], pixels[: height // 2, width // 2 :] = RED, GREEN
    pixels[height // 2 :, : width // 2], pixels[height // 2 :, width // 2 :] = BLUE, WHITE
    return pixels


def decode(data):
    """The pixels [H, W, 3] as int."""
    image, factor = decode_image(data)
    assert (image.mode, factor) == ("RGB", 1)
    return np.asarray(image).astype(int)


def assert_quarters(pixels, tolerance=0):
    """The middles of the four fields: a JPEG smears the borders between them."""
    expected = quarters().astype(int)
    assert pixels.shape == expected.shape
    for y in (8, 24):
        for x in (12, 36):
            np.testing.assert_allclose(pixels[y, x], expected[y, x], atol=tolerance)


@pytest.mark.parametrize(
    ("kind", "options", "tolerance"),
    [
        ("PNG", {}, 0),
        ("BMP", {}, 0),
        ("TIFF", {}, 0),
        ("TIFF", {"compression": "tiff_lzw"}, 0),
        ("GIF", {}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("JPEG", {"quality": 95}, 6),
        ("JPEG", {"quality": 95, "progressive": True}, 6),
        ("JPEG", {"quality": 95, "subsampling": 2}, 6),
        ("MPO", {"quality": 95}, 6),
    ],
)
def test_colour_files_of_every_kind_show_their_colours(kind, options, tolerance):
    assert_quarters(decode(file_of(quarters(), kind, **options)), tolerance)


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_shows_its_colours(kind):
    """A CMYK JPEG holds its ink inverted, Adobe's way; a TIFF holds it as it is."""
    data = file_of(Image.fromarray(quarters()).convert("CMYK"), kind, quality=95)
    assert (b"Adobe" in data) == (kind == "JPEG")
    assert_quarters(decode(data), 6 if kind == "JPEG" else 0)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_grey_becomes_three_equal_channels(kind):
    grey = np.full((16, 16), 60, np.uint8)
    grey[:, 8:] = 190
    pixels = decode(file_of(grey, kind))
    assert (np.ptp(pixels, axis=2) == 0).all()
    np.testing.assert_allclose(pixels[:, [3, 12], 0], [[60, 190]] * 16, atol=2)


@pytest.mark.parametrize(("kind", "dtype"), [("PNG", "<u2"), ("TIFF", "<u2"), ("TIFF", ">u2")])
def test_sixteen_bit_grey_is_scaled_not_clipped(kind, dtype):
    grey = (np.arange(256).reshape(16, 16) * 257).astype(dtype)
    expected = np.arange(256).reshape(16, 16, 1).repeat(3, axis=2)
    np.testing.assert_array_equal(decode(file_of(grey, kind)), expected)


def test_sixteen_bit_colour_is_scaled_not_clipped():
    rows = [(row.astype(">u2") * 257).tobytes() for row in quarters()]
    np.testing.assert_array_equal(decode(png_of(48, 32, 16, 2, rows)), quarters())


def test_a_palette_shows_its_colours():
    image = Image.fromarray(quarters()).convert("P", palette=Image.Palette.ADAPTIVE, colors=4)
    assert_quarters(decode(file_of(image, "PNG")), 1)


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_the_transparent_entry_of_a_palette_shows_white(kind):
    image = Image.new("P", (8, 8), 1)
    image.putpalette([*RED, *GREEN])
    image.paste(0, (0, 0, 4, 8))
    pixels = decode(file_of(image, kind, transparency=0))
    assert (pixels[:, :4] == WHITE).all()
    assert (pixels[:, 4:] == GREEN).all()


def test_a_palette_with_half_transparent_entries_is_mixed_with_white():
    image = Image.new("P", (8, 8), 1)
    image.putpalette([*RED, *BLUE])
    pixels = decode(file_of(image, "PNG", transparency=bytes([255, 128])))
    mixed = np.array(BLUE) * 128 / 255 + np.array(WHITE) * 127 / 255
    np.testing.assert_allclose(pixels, np.broadcast_to(mixed, (8, 8, 3)), atol=1)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
@pytest.mark.parametrize("alpha", [0, 64, 255])
def test_transparency_is_mixed_with_white(mode, alpha):
    colour = (*RED, alpha) if mode == "RGBA" else (40, alpha)
    pixels = decode(file_of(Image.new(mode, (4, 4), colour), "PNG"))
    solid = np.array(RED if mode == "RGBA" else (40, 40, 40))
    mixed = (solid * alpha + 255 * (255 - alpha)) / 255
    np.testing.assert_allclose(pixels, np.broadcast_to(mixed, (4, 4, 3)), atol=1)


def test_the_transparent_colour_of_an_rgb_png_shows_white():
    pixels = decode(file_of(quarters(), "PNG", transparency=RED))
    assert (pixels[8, 12] == WHITE).all()
    assert (pixels[24, 12] == BLUE).all()


def test_one_bit_is_black_and_white():
    image = Image.new("1", (8, 8), 0)
    image.paste(1, (4, 0, 8, 8))
    for kind in ("PNG", "TIFF"):
        pixels = decode(file_of(image, kind))
        assert (pixels[:, :4] == 0).all()
        assert (pixels[:, 4:] == 255).all()


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_an_animation_shows_its_first_frame(kind):
    frames = [Image.new("RGB", (8, 8), colour) for colour in (GREEN, RED, BLUE)]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = file_of(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert (decode(data) == GREEN).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_comes_out_upright(orientation):
    data = jpeg_of(quarters(), orientation)
    assert_quarters(decode(data), 6)
    assert is_plain_jpeg(data) == (orientation == 1)


def test_orientation_holds_for_a_png_too():
    exif = Image.Exif()
    exif[0x0112] = 6
    assert_quarters(decode(file_of(STORED_AS[6](quarters()), "PNG", exif=exif)))


@pytest.mark.parametrize(
    "exif",
    [
        b"garbage",
        b"Exif\0\0garbage",
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"Exif\0\0MM\0*\0\0\0\x08\0",
    ],
)
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_damaged_exif_does_not_cost_the_picture(exif):
    assert_quarters(decode(file_of(quarters(), "JPEG", quality=95, exif=exif)), 6)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF"])
def test_a_picture_of_one_pixel(kind):
    np.testing.assert_allclose(decode(file_of(np.uint8([[BLUE]]), kind)), [[BLUE]], atol=6)


def test_only_upright_rgb_jpegs_are_plain():
    assert is_plain_jpeg(jpeg_of(quarters()))
    assert is_plain_jpeg(file_of(quarters(), "JPEG"))
    image = Image.fromarray(quarters())
    for mode, kind in [("L", "JPEG"), ("CMYK", "JPEG"), ("RGB", "PNG")]:
        assert not is_plain_jpeg(file_of(image.convert(mode), kind))


def reason(data, reduction=1.0):
    with pytest.raises(BadImageError) as error:
        decode_image(data, reduction)
    text = str(error.value)
    assert len(text.splitlines()) == 1
    assert "0x" not in text, "an address would make the report differ from run to run"
    return text


@pytest.mark.parametrize("reduction", [1, 4])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP"])
def test_a_truncated_file_is_refused(kind, reduction):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    data = file_of(noise, kind)
    assert reason(data[: len(data) // 3], reduction).startswith("cannot be decoded: ")


def test_a_truncated_jpeg_says_so():
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    assert "truncated" in reason(file_of(noise, "JPEG")[:1200])


def test_what_is_no_picture_says_so():
    assert reason(b"") == "cannot be decoded: empty file"
    assert reason(b"<html>404 not found</html>\n") == "cannot be decoded: not a picture"
    assert reason(bytes(1000)) == "cannot be decoded: not a picture"


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_bomb_is_refused_before_it_is_unpacked():
    assert "pixels" in reason(png_of(30_000, 30_000, 8, 2, []))
    assert reason(png_of(10_001, 10_000, 8, 2, [])).startswith("10001 x 10000 px, more than 100,0")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP", "PPM", "AVIF"])
def test_damaged_bytes_give_a_picture_or_a_reason(kind):
    if kind == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow knows no AVIF")
    rng = np.random.default_rng(5)
    whole = file_of(rng.integers(0, 256, (24, 32, 3), np.uint8), kind)
    for _ in range(120):
        data = bytearray(whole)
        for place in rng.integers(0, min(len(data), 400), rng.integers(1, 6)):
            data[place] = rng.integers(256)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                assert decode_image(bytes(data), rng.choice([1, 4]))[0].mode == "RGB"
            except BadImageError as error:
                assert len(str(error).splitlines()) == 1


def blob(width, height, x, y, sigma):
    """A grey blob [H, W, 3] about (x, y), exact to the rounding."""
    columns, rows = np.arange(width) - x, np.arange(height) - y
    bell = np.exp(-(columns**2 + rows[:, None] ** 2) / (2 * sigma**2))
    return np.rint(255 * bell).astype(np.uint8)[..., None].repeat(3, axis=2)


def find_blob(image):
    """The blob's middle (x, y), px of `image`; JPEG noise around it is cut off."""
    grey = np.asarray(image)[..., 1].astype(float)
    grey = np.maximum(grey - 25, 0)
    rows, columns = np.mgrid[: grey.shape[0], : grey.shape[1]]
    return np.array([(grey * columns).sum(), (grey * rows).sum()]) / grey.sum()


def ramps(width, height):
    """Red and green rise along x, blue falls along y: a shift of one pixel is seen."""
    x, y = np.meshgrid(np.linspace(20, 230, width), np.linspace(220, 30, height))
    return np.stack([x, 250 - x, y], axis=-1).round().astype(np.uint8)


@pytest.mark.parametrize("size", [(1000, 776), (1001, 777), (1007, 783)])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_reduced_picture_keeps_everything_in_its_place(size, orientation):
    data = jpeg_of(blob(*size, 300.3, 250.6, 14), orientation)
    for reduction in (2, 4.1, 8.2):
        image, factor = decode_image(data, reduction)
        assert factor <= reduction
        found = (find_blob(image) + 0.5) * factor - 0.5
        np.testing.assert_allclose(found, [300.3, 250.6], atol=0.3)


def test_a_jpeg_is_really_decoded_at_a_fraction():
    data = jpeg_of(ramps(1600, 1200))
    factors = [decode_image(data, r)[1] for r in (0.5, 1, 1.9, 2, 3.999, 4, 7.999, 8, 40)]
    assert factors == [1, 1, 1, 2, 2, 4, 4, 8, 8]
    assert decode_image(data, 4)[0].size == (400, 300)
    assert decode_image(jpeg_of(ramps(1600, 1200), 6), 4)[0].size == (400, 300)
    assert decode_image(file_of(ramps(80, 60), "PNG"), 4)[1] == 1


@pytest.mark.parametrize(
    ("width", "height"), [(9, 9), (17, 33), (1001, 777), (1000, 776), (15, 900)]
)
@pytest.mark.parametrize("reduction", [2, 4, 8])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_crop_of_a_reduced_picture_is_that_of_the_whole_one(width, height, reduction, mode):
    image = Image.fromarray(ramps(width, height)).convert(mode)
    data = file_of(image, "JPEG", quality=95, subsampling=0)
    start = -reduction if width > 100 else 0
    side = max(width, height) - 2 * start
    stored = (start, start, side), side // reduction
    image, factor = decode_image(data, side / stored[1])
    reduced = np.asarray(cut_crop(image, factor, *stored)).astype(int)
    whole = np.asarray(cut_crop(*decode_image(data), *stored)).astype(int)
    # A crop's last pixel may lie partly outside the picture: black in one, filled in the other.
    rows = np.flatnonzero(whole.any(axis=(1, 2)))
    columns = np.flatnonzero(whole.any(axis=(0, 2)))
    inside = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    np.testing.assert_allclose(reduced[inside], whole[inside], atol=8)
    reduced[rows[0] : rows[-1] + 2, columns[0] : columns[-1] + 2] = 0
    assert not reduced.any()


@pytest.mark.parametrize("reduction", [2, 4, 8])
def test_a_crop_from_the_middle_of_a_reduced_picture_is_that_of_the_whole_one(reduction):
    data = file_of(Image.fromarray(ramps(640, 480)), "JPEG", quality=95, subsampling=0)
    stored = (160, 128, 256), 256 // reduction
    image, factor = decode_image(data, reduction)
    assert factor == reduction
    reduced, whole = (cut_crop(*p, *stored) for p in ((image, factor), decode_image(data)))
    np.testing.assert_allclose(np.int16(reduced), np.int16(whole), atol=8)


@pytest.mark.parametrize(
    ("x", "y", "side"), [(180, 150, 400), (-120, 150, 640), (180, -120, 640), (-200, -300, 1600)]
)
@pytest.mark.parametrize("factor", [2, 4, 8])
def test_a_crop_of_a_reduced_picture_keeps_a_blob_in_its_place(x, y, side, factor):
    size = side // factor
    image, decoded = decode_image(jpeg_of(blob(1000, 776, 300.3, 250.6, 14)), factor)
    assert decoded == factor
    found = find_blob(cut_crop(image, factor, (x, y, side), size))
    in_picture = transforms.apply_transform(transforms.crop_transform((x, y, side), size), found)
    np.testing.assert_allclose(in_picture, [300.3, 250.6], atol=0.3)


@pytest.mark.parametrize(
    ("x", "y", "square_side", "size"),
    [
        (60, 40, 120, 300),  # enlarged
        (60, 40, 120, 120),
        (60, 40, 120, 119),
        (17, 3, 230, 64),
        (-80, -90, 400, 100),  # reaches outside on every side
        (-35, 61, 161, 77),
    ],
)
def test_a_crop_keeps_a_blob_in_its_place(x, y, square_side, size):
    picture = Image.fromarray(blob(240, 220, 101.7, 108.2, 8))
    crop = cut_crop(picture, 1, (x, y, square_side), size)
    to_crop = transforms.invert_transform(transforms.crop_transform((x, y, square_side), size))
    expected = transforms.apply_transform(to_crop, [101.7, 108.2])
    np.testing.assert_allclose(find_blob(crop), expected, atol=0.03)


@pytest.mark.parametrize(
    ("x", "y", "side"), [(-3, -2, 12), (30, -4, 15), (-5, 25, 9), (0, 0, 40), (-9, -9, 60)]
)
def test_a_crop_at_full_size_is_the_pixels_with_black_around(x, y, side):
    pixels = np.random.default_rng(1).integers(1, 256, (30, 40, 3), np.uint8)
    padded = np.pad(pixels, ((100, 100), (100, 100), (0, 0)))
    expected = padded[100 + y : 100 + y + side, 100 + x : 100 + x + side]
    crop = cut_crop(Image.fromarray(pixels), 1, (x, y, side), side)
    np.testing.assert_array_equal(np.asarray(crop), expected)


@pytest.mark.parametrize("size", [10, 33, 80, 100, 300])
@pytest.mark.parametrize(("x", "y"), [(-20, -30), (-20, 10), (30, -7), (45, 35)])
def test_a_crop_is_black_outside_the_picture_and_has_no_seam(size, x, y):
    width, height, side = 70, 50, 100
    white = Image.new("RGB", (width, height), "white")
    crop = np.asarray(cut_crop(white, 1, (x, y, side), size))
    edges = np.arange(size + 1) * side / size
    across = (edges[:-1] >= -x - 1e-9) & (edges[1:] <= width - x + 1e-9)
    down = (edges[:-1] >= -y - 1e-9) & (edges[1:] <= height - y + 1e-9)
    inside = (down[:, None] & across)[..., None].repeat(3, axis=2)
    np.testing.assert_array_equal(crop, np.where(inside, 255, 0))


def test_a_crop_up_to_the_border_loses_no_column():
    """For some sizes side / (side / size) is a hair less than size."""
    sizes = [(s, n) for n in (7, 64, 96, 192) for s in range(n, 500) if s / (s / n) < n]
    assert len(sizes) > 5
    for side, size in sizes:
        crop = cut_crop(Image.new("RGB", (side, side), "white"), 1, (0, 0, side), size)
        assert (np.asarray(crop) == 255).all(), (side, size)


@pytest.mark.parametrize(
    ("x", "y"), [(-50, 0), (0, -50), (40, 0), (0, 30), (-1000, -1000), (10**6, 5)]
)
def test_a_square_beside_the_picture_is_refused(x, y):
    with pytest.raises(BadImageError, match="lies outside the picture: fix center or scale"):
        cut_crop(Image.new("RGB", (40, 30)), 1, (x, y, 50), 50)


def test_the_same_image_gives_the_same_jpeg():
    image = Image.fromarray(ramps(64, 48))
    assert encode_jpeg(image, 90) == encode_jpeg(image.copy(), 90)
    np.testing.assert_allclose(decode(encode_jpeg(image, 95)), np.asarray(image), atol=16)
    assert len(encode_jpeg(image, 95)) > len(encode_jpeg(image, 50))
