"""What is stored of a person's picture: a crop that covers every augmented view, or all of it."""

import numpy as np
from PIL import Image

from hourglass import geometry
from hourglass.records.images import (
    OUTSIDE,
    BadImageError,
    crop_square,
    encode_jpeg,
    is_plain_jpeg,
)
from hourglass.records.schema import StoredPicture


def store_person(person, picture, params):
    """The `StoredPicture` of a person.

    Args:
        person: annotations.persons.Person, px of the original picture.
        picture: images.Picture.
        params: ShardParams; `crop_size` 0 stores the whole picture.

    Raises:
        BadImageError: the picture cannot be decoded, or the person lies outside of it.
    """
    center, side = geometry.view_square(person.center, person.scale)
    store = _store_crop if params.crop_size else _store_whole
    return store(picture, center, side, params)


def _store_crop(picture, center, side, params):
    """What the augmented views of a view square can show."""
    square, size = geometry.stored_square(
        center, side, params.crop_size, params.scale_range, params.rotation_range
    )
    # The JPEG decoder may leave out what the crop would shrink away.
    image, factor = picture.decode(reduction=square[2] / size)
    # The warp will blur it a little, so by the sharpest filter.
    crop = crop_square(image, factor, square, size, Image.Resampling.LANCZOS)
    to_original = geometry.square_transform(square, size)
    # The crop is exactly the square that holds every view.
    encoded = encode_jpeg(crop, params.jpeg_quality)
    return StoredPicture(encoded, size, size, (0, 0, size), to_original)


def _store_whole(picture, center, side, params):
    """The whole picture: its own bytes where they are an upright, sound RGB JPEG."""
    # In full even where the bytes are kept: a damaged picture must be rejected here.
    image, _ = picture.decode()
    data = picture.data
    if not (is_plain_jpeg(data) and _is_readable(data, image.size)):
        data = encode_jpeg(image, params.jpeg_quality)
    square, _ = geometry.stored_square(
        center, side, geometry.WHOLE_SIZE, params.scale_range, params.rotation_range
    )
    # A cropped person outside of the picture is found by `crop_square`; here nothing is cropped.
    x, y, square_side = square
    if not (-square_side < x < image.width and -square_side < y < image.height):
        raise BadImageError(OUTSIDE)
    return StoredPicture(data, *image.size, square, np.eye(2, 3))  # stored px = original px


def _is_readable(data, size):
    """Whether the reader's decoder takes a JPEG as Pillow does, which is less strict."""
    from hourglass.frameworks import tf  # here alone, as it takes seconds to import

    try:
        return tf.io.decode_jpeg(data, channels=3).shape == (*size[::-1], 3)  # (H, W, 3)
    except tf.errors.InvalidArgumentError:
        return False
