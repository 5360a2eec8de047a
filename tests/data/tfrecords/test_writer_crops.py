import dataclasses
import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from helpers.pictures import file_of
from helpers.stored_persons import (
    blob_jpeg,
    encode_record,
    make_person,
    read_record,
    shard_params,
)
from hourglass.data.tfrecords.writer import store_person
from hourglass.utils import transforms
from hourglass.utils.images import BadImageError, Picture


@pytest.mark.parametrize("crop_size", [384, 96, 0])
def test_the_stored_keypoints_are_where_the_stored_pixels_are(crop_size):
    person = make_person()
    person.joints[0] = 371.3, 200.8
    data = blob_jpeg(640, 480, *person.joints[0])
    record = read_record(encode_record(person, 0, data, shard_params(crop_size=crop_size)))
    grey = tf.io.decode_jpeg(record["encoded"], channels=1).numpy()[..., 0].astype(float)
    grey = np.maximum(grey - 25, 0)
    rows, columns = np.mgrid[: grey.shape[0], : grey.shape[1]]
    found = np.array([(grey * columns).sum(), (grey * rows).sum()]) / grey.sum()
    np.testing.assert_allclose(found, record["keypoints"][0], atol=0.1)


def test_a_crop_is_no_larger_than_asked_and_its_square_is_all_of_it():
    data = blob_jpeg(640, 480, 300, 200)
    for scale, expected in [(2.9, 384), (0.4, 175)]:
        person = make_person(scale=scale)
        record = read_record(encode_record(person, 0, data, shard_params(crop_size=384)))
        width = tf.io.decode_jpeg(record["encoded"]).shape[1]
        assert width == expected
        np.testing.assert_array_equal(record["cover"], [0, 0, width])


def test_a_crop_that_is_not_shrunk_is_as_sharp_as_the_picture():
    stripes = np.tile(np.repeat(np.uint8([0, 255]), 4), (480, 80))  # 4 px wide
    picture = file_of(Image.fromarray(stripes).convert("RGB"), "JPEG", quality=95)
    stored = store_person(make_person(scale=0.4), Picture(picture), shard_params())
    crop = np.asarray(Image.open(io.BytesIO(stored.encoded)).convert("L"))
    assert crop.shape == (175, 175) and crop.std() > 110


def test_a_whole_plain_jpeg_is_stored_byte_for_byte():
    data = blob_jpeg(640, 480, 300, 200)
    record = read_record(encode_record(make_person(), 0, data, shard_params(crop_size=0)))
    assert record["encoded"] == data
    np.testing.assert_array_equal(record["transform"], np.eye(2, 3))
    x, y, side = record["cover"]
    center, crop_side = transforms.person_region(make_person().center, make_person().scale)
    reach = transforms.cover_side(crop_side, 0.25, 30) / 2
    assert (np.array([x, y]) - 0.5 < center - reach).all()
    assert (np.array([x, y]) - 0.5 + side > center + reach).all()


def test_a_whole_picture_of_another_kind_is_stored_as_an_upright_rgb_jpeg():
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = blob_jpeg(480, 640, 200, 479 - 300, exif=exif)  # upright: 640 x 480
    for data in (turned, blob_jpeg(640, 480, 300, 200, format="PNG")):
        encoded = encode_record(make_person(), 0, data, shard_params(crop_size=0))
        stored = Image.open(io.BytesIO(read_record(encoded)["encoded"]))
        assert (stored.format, stored.mode) == ("JPEG", "RGB")
        assert stored.getexif().get(0x0112, 1) == 1
        assert stored.size == (640, 480)


def test_a_whole_jpeg_that_its_reader_refuses_is_encoded_anew(monkeypatch):
    def refuse(*_, **__):
        raise tf.errors.InvalidArgumentError(None, None, "Invalid JPEG data")

    monkeypatch.setattr(tf.io, "decode_jpeg", refuse)
    data = blob_jpeg(640, 480, 300, 200)
    stored = store_person(make_person(), Picture(data), shard_params(crop_size=0))
    assert stored.encoded != data
    assert Image.open(io.BytesIO(stored.encoded)).size == (640, 480)


@pytest.mark.parametrize("crop_size", [0, 384])
def test_a_person_beside_the_picture_is_refused(crop_size):
    with pytest.raises(BadImageError, match="lies outside the picture"):
        encode_record(
            make_person(scale=0.1),
            0,
            blob_jpeg(100, 80, 50, 40),
            shard_params(crop_size=crop_size),
        )


@pytest.mark.parametrize("axis", [0, 1])
def test_a_whole_picture_is_stored_while_its_square_shows_a_pixel_of_it(axis):
    params, picture = shard_params(crop_size=0), blob_jpeg(100, 100, 50, 50)
    person = make_person(scale=0.2)
    crop, _ = transforms.stored_crop(*transforms.person_region(person.center, 0.2), 64, 0.25, 30)
    side = crop[2]
    for start, is_seen in ((-side, False), (1 - side, True), (99, True), (100, False)):
        center = np.full(2, 50.0)
        center[axis] = person.center[axis] + start - crop[axis]
        moved = dataclasses.replace(person, center=center)
        if is_seen:
            assert store_person(moved, Picture(picture), params).encoded == picture
        else:
            with pytest.raises(BadImageError, match="lies outside the picture"):
                store_person(moved, Picture(picture), params)
