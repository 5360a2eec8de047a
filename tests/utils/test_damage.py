import io

import numpy as np
import pytest
from PIL import Image

from helpers.pictures import file_of, jpeg_of
from hourglass.utils.damage import MIN_WHOLE, mend
from hourglass.utils.images import BadImageError, Picture

HEIGHT = 240
FORMS = {
    "JPEG": {"quality": 90},
    "progressive": {"quality": 90, "progressive": True},
    "PNG": {},
    "WEBP": {"quality": 90},
    "TIFF": {},
}


def scene(height=HEIGHT, width=320, seed=2):
    """Fields of all colours under fine noise: no row is like another."""
    rng = np.random.default_rng(seed)
    fields = np.kron(rng.integers(30, 220, (height // 20, width // 20, 3)), np.ones((20, 20, 1)))
    return np.clip(fields + rng.normal(0, 6, fields.shape), 0, 255).astype(np.uint8)


def save(name, pixels=None):
    kind = "JPEG" if name == "progressive" else name
    return file_of(scene() if pixels is None else pixels, kind, **FORMS[name])


def decode(data):
    picture = Picture(data)
    image, factor = picture.decode()
    assert factor == 1
    return np.asarray(image).astype(int), picture


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("share", [0.7, 0.85, 0.97])
def test_the_rows_before_the_damage_are_used_and_their_share_is_told(name, share):
    data = save(name)
    whole = decode(data)[0]
    pixels, picture = decode(data[: int(len(data) * share)])
    assert pixels.shape == whole.shape
    told = picture.whole_share
    assert (text := picture.notes[-1]).startswith("damaged: its end is missing, ")
    assert f" {int(100 * told)} % of its rows are whole" in text
    if name == "progressive":
        # All rows are there, without their finest scans.
        assert np.abs(pixels - whole).mean() < 12
        return
    assert share - 0.15 < told < 1
    rows = int(told * HEIGHT) - (16 if name != "PNG" else 0)  # a JPEG smooths across its blocks
    np.testing.assert_array_equal(pixels[:rows], whole[:rows])


@pytest.mark.parametrize("name", ["JPEG", "progressive"])
def test_a_jpeg_without_its_last_two_bytes_is_whole(name):
    data = save(name)
    pixels, picture = decode(data[:-2])
    np.testing.assert_array_equal(pixels, decode(data)[0])
    assert picture.whole_share == 1.0
    assert picture.notes == ("damaged: its end is missing, 100 % of its rows are whole",)


@pytest.mark.parametrize("name", ["JPEG", "PNG", "TIFF"])
def test_too_few_whole_rows_are_refused(name):
    data = save(name)
    with pytest.raises(BadImageError, match=r"^cannot be decoded: .*; \d+ % .* fewer than half$"):
        decode(data[: int(len(data) * (MIN_WHOLE - 0.15))])


@pytest.mark.parametrize("orientation", [3, 6])
def test_a_turned_picture_keeps_its_turn(orientation):
    data = jpeg_of(scene(), orientation)
    pixels, picture = decode(data[: len(data) * 9 // 10])
    whole = decode(data)[0]
    assert pixels.shape == whole.shape and 0.7 < picture.whole_share < 1
    # The first stored rows are the last ones shown, or the last columns.
    shown = np.s_[-100:] if orientation == 3 else np.s_[:, -100:]
    np.testing.assert_array_equal(pixels[shown], whole[shown])


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1", "I;16"])
def test_a_png_of_every_mode_is_mended(mode):
    image = Image.fromarray(scene())
    image = image.convert("I").convert("I;16") if mode == "I;16" else image.convert(mode)
    data = file_of(image, "PNG")
    mended, share = mend(data[: len(data) * 8 // 10])
    assert 0.5 < share < 0.95
    found, rows = np.asarray(Image.open(io.BytesIO(mended))), int(share * HEIGHT)
    np.testing.assert_array_equal(found[:rows], np.asarray(image)[:rows])


@pytest.mark.parametrize(
    "data",
    [b"", b"text", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\x10\0\0\0WEBP", b"II*\0\xff\0\0\0",
     file_of(scene(), "GIF")[:5000]],
)  # fmt: skip
def test_nothing_is_made_of_what_has_no_header(data):
    assert mend(data) is None


def test_damage_in_the_middle_of_a_png_ends_its_whole_rows():
    data = bytearray(save("PNG"))
    place = len(data) * 3 // 4
    data[place : place + 40] = bytes(40)
    _, picture = decode(bytes(data))
    assert 0.5 < picture.whole_share < 0.8
