import importlib.util
import io
import warnings

import numpy as np
import pytest
from PIL import Image

from helpers.pictures import file_of, jpeg_of
from hourglass.utils import image_headers
from hourglass.utils.image_headers import BadImageError, find_least_factor, open_image
from hourglass.utils.images import Picture

BLOB = np.kron(np.arange(48).reshape(6, 8), np.ones((40, 40)))[..., None].repeat(3, 2).astype("u1")


def reason(data):
    with pytest.raises(BadImageError) as error:
        open_image(data)
    return str(error.value)


@pytest.mark.parametrize("kind", ["WEBP", "PNG", "TIFF", "GIF"])
def test_the_first_of_several_frames_is_named_as_that(kind):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "green", "blue")]
    picture = Picture(file_of(frames[0], kind, save_all=True, append_images=frames[1:]))
    image, _ = picture.decode()
    assert picture.notes == ("the first of its 3 frames",)
    assert np.asarray(image)[4, 4].argmax() == 0


@pytest.mark.parametrize("kind", ["MPO", "JPEG", "PNG"])
def test_one_picture_needs_no_note(kind):
    options = {"save_all": True, "append_images": [Image.new("RGB", (8, 8))]}
    data = file_of(Image.new("RGB", (8, 8)), kind, **(options if kind == "MPO" else {}))
    picture = Picture(data)
    picture.decode()
    assert picture.notes == ()


def test_the_thumbnail_of_a_raw_file_is_named_as_that():
    data = file_of(Image.new("RGB", (160, 120)), "TIFF", tiffinfo={254: 1, 271: "A camera"})
    assert reason(data) == (
        "is a camera's raw file; only its thumbnail, 160 x 120 px, could be read; save it as JPEG"
    )


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"FUJIFILMCCD-RAW 0201", "a camera's raw file; save it as JPEG"),
        (b"\0\0\0\x18ftypcrx \0\0\0\x01", "a camera's raw file; save it as JPEG"),
        (b"IIU\0" + bytes(90), "a camera's raw file; save it as JPEG"),
    ],
)
def test_other_raw_files_are_named(data, text):
    assert reason(data) == f"cannot be decoded: {text}"


def test_heic_names_the_package_that_reads_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    text = reason(b"\0\0\0\x18ftypheic" + bytes(90))
    assert text.endswith(
        "HEIC, which needs pillow-heif: `pip install pillow-heif`, or save it as JPEG"
    )


@pytest.mark.skipif(not importlib.util.find_spec("pillow_heif"), reason="needs pillow-heif")
def test_heic_is_read_where_its_package_is_installed():
    import pillow_heif

    with io.BytesIO() as buffer:
        pillow_heif.from_pillow(Image.fromarray(BLOB)).save(buffer, quality=95)
        image, _ = Picture(buffer.getvalue()).decode()
    np.testing.assert_allclose(np.asarray(image).astype(int), BLOB, atol=8)


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize(("limit", "factor"), [(76_800, 1), (76_799, 2), (19_199, 4), (4000, 8)])
def test_a_large_jpeg_is_decoded_at_a_fraction(monkeypatch, orientation, limit, factor):
    monkeypatch.setattr(image_headers, "MAX_PIXELS", limit)
    picture = Picture(jpeg_of(BLOB, orientation))
    assert picture.read_header() == ((320, 240), 320 * 240 // factor**2)
    image, found = picture.decode()
    assert (image.size, found) == ((320 // factor, 240 // factor), factor)
    expected = () if factor == 1 else (f"decoded at 1/{factor} of its size",)
    assert picture.notes == expected
    whole = np.asarray(Image.fromarray(BLOB).reduce(factor)).astype(int)
    np.testing.assert_allclose(np.asarray(image), whole, atol=4)


def test_a_png_that_large_is_refused(monkeypatch):
    monkeypatch.setattr(image_headers, "MAX_PIXELS", 76_799)
    assert reason(file_of(BLOB, "PNG")) == "320 x 240 px, more than 76,799 in all"


def test_a_jpeg_beyond_pillows_limit_is_opened(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 9000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        image = open_image(file_of(BLOB, "JPEG"))
    assert image.size == (320, 240) and find_least_factor(image) == 1
