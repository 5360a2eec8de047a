"""Pictures of every kind, turned, odd, damaged or far too large, on their way into a shard."""

import dataclasses
import zipfile

import numpy as np
import pytest
from PIL import Image, ImageDraw, PngImagePlugin

from helpers.annotations import make_record
from helpers.pictures import STORED_AS, file_of, jpeg_of, png_of
from hourglass.data.archives import open_images
from hourglass.data.tfrecords.record import parse_record
from hourglass.data.tfrecords.writer import write_chunk
from hourglass.data.validation import check_records
from hourglass.utils.backend import tf
from hourglass.utils.images import OUTSIDE, BadImageError, decode_image

BODY, GROUND = (220, 40, 40), (60, 160, 200)
JOINT, BESIDE = (82, 37), [(40, 37), (82, 70)]  # 0-based px of the picture


def draw_picture(mode="RGB", body=BODY, ground=GROUND, size=(120, 90)):
    picture = Image.new(mode, size, ground)
    ImageDraw.Draw(picture).rectangle((75, 30, 89, 44), body)
    return picture


PICTURE = draw_picture()
PIXELS = np.asarray(PICTURE)
GREY = draw_picture("L", 220, 60)
GREYS = [(220,) * 3, (60,) * 3]
ON_WHITE = [BODY, (255,) * 3]


def make_person(name, **changes):
    joints = [[x + 1, y + 1] for x, y in (JOINT, *BESIDE)] + [[1.0, 1.0]] * 13
    record = make_record(image=name, joints=joints, center=[61, 46], scale=0.4, **changes)
    ((person,), _) = check_records([record], None)
    return person


@pytest.fixture
def store(tmp_path, tiny_params):
    """A function that writes one picture's person to a shard, as a crop and as a whole picture.

    Gives the invalid and what was stored, of both.
    """

    def write(data, name="a.jpg", person=None):
        with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
            if data is not None:
                archive.writestr(f"images/{name}", data)
        person, path = person or make_person(name), tmp_path / "a.tfrecords"
        for crop_size in (64, 0):
            params = tiny_params.shard.model_copy(update={"crop_size": crop_size})
            with open_images(tmp_path / "images.zip") as images:
                results = write_chunk(path, [7], [person], images, params)
            invalid = [result for result in results if isinstance(result, str)]
            records = [parse_record(raw, 16) for raw in tf.data.TFRecordDataset(str(path))]
            assert len(records) + len(invalid) == 1
            yield invalid, records

    return write


def stored_colours(record):
    """What is seen at the first three joints: in the crop, and beside it."""
    pixels = tf.io.decode_jpeg(record["encoded"], channels=3).numpy()
    places = np.rint(record["keypoints"].numpy()[:3]).astype(int)
    return [pixels[y, x] for x, y in places]


def animation(kind, **options):
    others = [Image.new("RGB", PICTURE.size, colour) for colour in ("black", "white")]
    return file_of(PICTURE, kind, save_all=True, append_images=others, **options)


def palette(**options):
    picture = Image.new("P", PICTURE.size, 1)
    picture.putpalette([*BODY, *GROUND])
    ImageDraw.Draw(picture).rectangle((75, 30, 89, 44), 0)
    return file_of(picture, "PNG", **options)


ORIENTATION = b"\x01\x12\0\x03\0\0\0\x01\0"  # an EXIF tag, up to its value
HANDLED = {
    "progressive JPEG": (file_of(PICTURE, "JPEG", quality=95, progressive=True), [BODY, GROUND]),
    "CMYK JPEG": (file_of(PICTURE.convert("CMYK"), "JPEG", quality=95), [BODY, GROUND]),
    "CMYK TIFF": (file_of(PICTURE.convert("CMYK"), "TIFF"), [BODY, GROUND]),
    "YCbCr TIFF": (file_of(PICTURE.convert("YCbCr"), "TIFF"), [BODY, GROUND]),
    "Lab TIFF": (
        file_of(Image.new("LAB", PICTURE.size, (255, 128, 128)), "TIFF"), [(255,) * 3] * 2
    ),
    "grey JPEG": (file_of(GREY, "JPEG", quality=95), GREYS),
    "grey PNG": (file_of(GREY, "PNG"), GREYS),
    "16-bit grey PNG": (file_of(np.asarray(GREY).astype("<u2") * 257, "PNG"), GREYS),
    "16-bit grey TIFF": (file_of(np.asarray(GREY).astype(">u2") * 257, "TIFF"), GREYS),
    "12-bit grey PNG": (file_of(np.asarray(GREY).astype("<u2") * 16, "PNG"), GREYS),
    "12-bit colour PNG": (
        png_of(*PICTURE.size, 16, 2, [(np.int32(r) * 16).astype(">u2").tobytes() for r in PIXELS]),
        [BODY, GROUND],
    ),
    "16-bit colour PNG": (
        png_of(*PICTURE.size, 16, 2, [(row.astype(">u2") * 257).tobytes() for row in PIXELS]),
        [BODY, GROUND],
    ),
    "float TIFF": (file_of(np.asarray(GREY).astype(np.float32), "TIFF"), GREYS),
    "float TIFF of 0 to 1": (file_of(np.float32(GREY) / 255, "TIFF"), GREYS),
    "1-bit PNG": (file_of(draw_picture("1", 1, 0), "PNG"), [(255,) * 3, (0,) * 3]),
    "palette": (palette(), [BODY, GROUND]),
    "palette, transparent": (palette(transparency=1), ON_WHITE),
    "transparent PNG": (file_of(draw_picture("RGBA", BODY, (0, 0, 0, 0)), "PNG"), ON_WHITE),
    "transparent grey": (
        file_of(draw_picture("LA", (220, 255), (0, 0)), "PNG"), [(220,) * 3, (255,) * 3]
    ),
    "animated GIF": (animation("GIF"), [BODY, GROUND]),
    "animated WebP": (animation("WEBP", lossless=True), [BODY, GROUND]),
    "animated PNG": (animation("PNG"), [BODY, GROUND]),
    "TIFF of several pages": (animation("TIFF"), [BODY, GROUND]),
    "JPEG of several pictures": (animation("MPO", quality=95), [BODY, GROUND]),
    **{f"EXIF orientation {k}": (jpeg_of(PIXELS, k), [BODY, GROUND]) for k in STORED_AS},
    "EXIF orientation 9": (
        jpeg_of(PIXELS).replace(ORIENTATION + b"\x01", ORIENTATION + b"\x09"),
        [BODY, GROUND],
    ),
    "EXIF garbled": (
        file_of(PICTURE, "JPEG", quality=95, exif=b"Exif\0\0garbage"), [BODY, GROUND]
    ),
    "garbage after the end": (jpeg_of(PIXELS) + b"\xff\xd8garbage" * 999, [BODY, GROUND]),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize(("data", "colours"), HANDLED.values(), ids=HANDLED)
def test_a_picture_of_any_kind_is_stored_right(store, data, colours):
    for invalid, (record,) in store(data):
        assert invalid == []
        body, *ground = stored_colours(record)
        np.testing.assert_allclose(body.astype(int), colours[0], atol=16)
        np.testing.assert_allclose(ground, [colours[1]] * 2, atol=16)


@pytest.mark.parametrize(
    "name", ["a b c.jpg", "사진 1.jpg", "e\u0301.jpg", "x" * 200 + ".jpg", "deep/er/a.jpg",
             "no ending", "a.png", "%2e%2e.jpg", "-rf.jpg", "a;b&c$(d).jpg"]
)  # fmt: skip
def test_a_picture_of_any_name_is_stored_under_it(store, name):
    for invalid, (record,) in store(jpeg_of(PIXELS), name):
        assert invalid == [] and record["filename"].numpy().decode() == name


def png_bomb():
    """30,000 x 30,000 px, whole, packed to 110 kB."""
    return png_of(30_000, 30_000, 1, 0, [bytes(3_750)] * 30_000)


def tiff_bomb():
    return file_of(Image.new("1", (30_000, 30_000)), "TIFF", compression="group4")


GIF_BOMB = b"GIF89a\x30\x75\x30\x75\0\0\0,\0\0\0\0\x30\x75\x30\x75\0\x02\0;"


def claim(data, width, height):
    """A JPEG that claims another size."""
    place = data.index(b"\xff\xc0") + 5
    return data[:place] + height.to_bytes(2, "big") + width.to_bytes(2, "big") + data[place + 4 :]


def text_bomb():
    """A PNG with a comment of 100 MB, packed to 100 kB."""
    info = PngImagePlugin.PngInfo()
    info.add_text("comment", "x" * 100_000_000, zip=True)
    return file_of(PICTURE, "PNG", pnginfo=info)


WHOLE = {kind: file_of(PICTURE, kind) for kind in ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP")}
UNREADABLE = "cannot be decoded: "
UNUSABLE = {
    "missing": (None, "not in images.zip"),
    "empty": (b"", UNREADABLE + "empty file"),
    "a text": (b"not a picture at all\n" * 99, UNREADABLE + "not a picture"),
    "a web page": (b"<!DOCTYPE html><html>log in</html>", UNREADABLE + "not a picture"),
    "SVG": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', UNREADABLE + "not a picture"),
    "zeros": (bytes(5_000), UNREADABLE + "not a picture"),
    "a zip": (b"PK\3\4" + bytes(99), UNREADABLE + "not a picture"),
    "PostScript": (
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n",
        "is PostScript, a program and not a picture",
    ),
    **{
        f"{kind} cut in half": (data[: len(data) // 2], UNREADABLE) for kind, data in WHOLE.items()
    },
    "JPEG of a header alone": (WHOLE["JPEG"][:20], UNREADABLE),
    "JPEG without its first bytes": (WHOLE["JPEG"][4:], UNREADABLE + "not a picture"),
    "JPEG of no pixels": (claim(WHOLE["JPEG"], 0, 90), UNREADABLE),
    "PNG with a wrong checksum": (WHOLE["PNG"].replace(b"IDAT", b"IDAT\0", 1), UNREADABLE),
    "PNG bomb": (png_bomb, "900000000 pixels"),
    "TIFF bomb": (tiff_bomb, "900000000 pixels"),
    "GIF bomb": (GIF_BOMB, "900000000 pixels"),
    "JPEG bomb": (
        claim(WHOLE["JPEG"], 65_500, 65_500), "65500 x 65500 px, more than 500,000,000 in all"
    ),
    "just too large": (
        claim(WHOLE["JPEG"], 50_000, 10_001), "50000 x 10001 px, more than 500,000,000 in all"
    ),
    "PNG with a text bomb": (text_bomb, UNREADABLE + "Decompressed data too large"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(("data", "reason"), UNUSABLE.values(), ids=UNUSABLE)
def test_a_bad_picture_is_set_aside_with_its_reason(store, data, reason):
    for (told,), records in store(data() if callable(data) else data):
        assert not records
        assert reason in told and len(told.splitlines()) == 1 and len(told) < 200


@pytest.mark.parametrize(
    ("x", "y"), [(-900.0, 40.0), (60.0, -900.0), (9_000.0, 40.0), (60.0, 9_000.0)],
    ids=["left", "above", "right", "below"],
)  # fmt: skip
def test_a_person_outside_of_the_picture_is_set_aside(store, x, y):
    person = dataclasses.replace(make_person("a.jpg"), center=np.array([x, y]))
    for (told,), _ in store(jpeg_of(PIXELS), person=person):
        assert told == "the person lies outside the picture: fix center or scale"


@pytest.mark.parametrize("scale", [0.001, 0.01, 0.4, 1000.0])
def test_a_picture_of_one_pixel_is_stored_or_set_aside(store, scale):
    person = dataclasses.replace(make_person("a.jpg"), center=np.zeros(2), scale=scale)
    for invalid, records in store(file_of(np.uint8([[BODY]]), "PNG"), person=person):
        assert not invalid or invalid[0] == OUTSIDE
        for record in records:
            assert tf.io.decode_jpeg(record["encoded"]).shape[2] == 3


def is_refused_by_the_reader(data):
    try:
        tf.io.decode_jpeg(data, channels=3)
    except tf.errors.InvalidArgumentError:
        return True
    return False


def find_forgiven(data):
    """A JPEG with a stray byte among its pixels that Pillow takes and TensorFlow does not."""
    for place in range(data.index(b"\xff\xda") + 14, len(data) - 2):
        changed = data[:place] + b"\xff" + data[place + 1 :]
        try:
            decode_image(changed)
        except BadImageError:
            continue
        if is_refused_by_the_reader(changed):
            return changed
    return pytest.fail("no such byte")


def test_a_jpeg_that_pillow_forgives_and_the_reader_does_not_is_encoded_anew(store):
    for invalid, (record,) in store(find_forgiven(jpeg_of(PIXELS))):
        assert invalid == []
        assert not is_refused_by_the_reader(record["encoded"])
