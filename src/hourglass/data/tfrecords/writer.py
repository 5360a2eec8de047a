"""Persons to TFRecord shards, by way of chunks of the archive that holds their pictures.

Shards are shuffled and an archive is not: a shard's pictures lie all over it. Records are therefore
made in the order of the archive, one file a chunk, and gathered into shards afterwards. A record
stores the crop that every augmentation of a person stays in, or the whole picture.
"""

import errno
import functools
import math
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

import numpy as np
from PIL import Image

from hourglass.data.invalid import InvalidRecord, encode_joints
from hourglass.data.tfrecords.plan import Shard
from hourglass.data.tfrecords.record import StoredPicture, serialize_record
from hourglass.data.tfrecords.tfrecord_format import write_record
from hourglass.utils import transforms
from hourglass.utils.errors import UserError
from hourglass.utils.files import atomic_path
from hourglass.utils.images import (
    OUTSIDE,
    BadImageError,
    Picture,
    cut_crop,
    encode_jpeg,
    is_plain_jpeg,
)

if TYPE_CHECKING:
    from hourglass.config import ShardParams
    from hourglass.data.person import Person

# (offset, length) of a person's record in a chunk's file, bytes; the reason where there is none.
Place = tuple[int, int] | str


class Pictures(Protocol):
    """Gives pictures by name, as an archive does."""

    def read(self, name: str) -> bytes:
        """A picture's bytes."""


def store_person(person: "Person", picture: Picture, params: "ShardParams") -> StoredPicture:
    """The stored crop of a person's picture; `shard.crop_size` 0 stores all of the picture.

    Raises:
        BadImageError: the picture cannot be decoded, or the person lies outside of it.
    """
    center, side = transforms.person_region(person.center, person.scale)
    store = _store_crop if params.crop_size else _store_whole
    stored = store(picture, center, side, params)
    if picture.whole_share < 1:  # joints may lie where nothing is seen
        whole = math.floor(100 * picture.whole_share)
        raise BadImageError(f"its end is missing: {whole} % of its rows are whole")
    return stored


def _store_crop(
    picture: Picture, center: np.ndarray, side: float, params: "ShardParams"
) -> StoredPicture:
    """The part of a picture that the augmentations of a crop can show."""
    cover, size = transforms.stored_crop(
        center, side, params.crop_size, params.scale_range, params.rotation_range
    )
    # The JPEG decoder may leave out what the crop would shrink away.
    image, factor = picture.decode(reduction=cover[2] / size)
    # The warp will blur it a little, so by the sharpest filter.
    crop = cut_crop(image, factor, cover, size, Image.Resampling.LANCZOS)
    to_original = transforms.crop_transform(cover, size)
    # The stored crop is all that the augmentations can show.
    encoded = encode_jpeg(crop, params.jpeg_quality)
    return StoredPicture(encoded, size, size, (0, 0, size), to_original)


def _store_whole(
    picture: Picture, center: np.ndarray, side: float, params: "ShardParams"
) -> StoredPicture:
    """The whole picture: its own bytes where they are an upright, sound RGB JPEG."""
    # In full even where the bytes are kept: a damaged picture must be refused here.
    image, factor = picture.decode()
    if factor > 1:
        raise BadImageError("is too large to be stored whole; set shard.crop_size, or shrink it")
    data = picture.data
    if not (is_plain_jpeg(data) and _is_readable(data, image.size)):
        data = encode_jpeg(image, params.jpeg_quality)
    cover, _ = transforms.stored_crop(
        center, side, transforms.WHOLE_SIZE, params.scale_range, params.rotation_range
    )
    # A cropped person outside of the picture is found by `cut_crop`; here nothing is cropped.
    x, y, side_covered = cover
    if not (-side_covered < x < image.width and -side_covered < y < image.height):
        raise BadImageError(OUTSIDE)
    return StoredPicture(
        data, image.width, image.height, cover, np.eye(2, 3)
    )  # stored px = original px


def _is_readable(data: bytes, size: tuple[int, int]) -> bool:
    """Whether the reader's decoder takes a JPEG as Pillow does, which is less strict."""
    from hourglass.utils.backend import tf  # here alone, as it takes seconds to import

    try:
        return tf.io.decode_jpeg(data, channels=3).shape == (*size[::-1], 3)  # (H, W, 3)
    except tf.errors.InvalidArgumentError:
        return False


def write_chunk(
    path: Path,
    indices: Iterable[int],
    persons: "Iterable[Person]",
    images: Pictures,
    params: "ShardParams",
) -> list[Place]:
    """Write the records of `persons`, in this order, to a file that appears whole or not at all.

    Persons of one picture that follow one another share one reading. It is decoded once at each
    size that they need. Memory holds one picture at a time.

    Args:
        path: in a folder that is removed later.
        indices: the persons' places in the annotations of their split.

    Raises:
        OSError: the disk is full or cannot be written; nothing of the file is left.
    """
    # The persons of a picture follow one another: the last one read is enough.
    open_picture = functools.lru_cache(maxsize=1)(lambda name: Picture(images.read(name)))
    # A retried task, or one that runs twice, replaces the file by the same bytes.
    with atomic_path(path, path.parent) as temporary, open(temporary, "wb") as file:
        return [
            _append_record(file, person, int(index), open_picture, params)
            for index, person in zip(indices, persons, strict=True)
        ]


def _append_record(
    file: BinaryIO,
    person: "Person",
    index: int,
    open_picture: Callable[[str], Picture],
    params: "ShardParams",
) -> Place:
    start = file.tell()
    try:
        stored = store_person(person, open_picture(person.image), params)
        write_record(file, serialize_record(person, index, stored))
    # One bad picture costs its persons, not the chunk. A full disk is an OSError and goes on up.
    except UserError as error:
        return str(error)
    return start, file.tell() - start


def write_shard(path: Path, folder: Path, ranges: Iterable[tuple[str, int, int]]) -> None:
    """Gather the records of a shard, which appears whole or not at all.

    Args:
        folder: holds the files of `write_chunk`, and the shard until it is whole.
        ranges: (file's name, offset, length) of each record, bytes, in the shard's order.

    Raises:
        OSError: the disk is full or cannot be written, or a file was cut; nothing of the shard is
            left.
    """
    with atomic_path(path, folder) as temporary, open(temporary, "wb") as shard:
        for name, offset, length in ranges:
            # Opened for each: a shard has records of all chunks, too many to keep open.
            with open(Path(folder, name), "rb", buffering=0) as file:
                record = os.pread(file.fileno(), length, offset)
            if len(record) != length:
                raise OSError(errno.EIO, "cut short", file.name)
            shard.write(record)


def list_invalid(
    indices: Iterable[int], persons: "Iterable[Person]", results: Iterable[object]
) -> list[tuple[int, str, str, str]]:
    """The persons of a shard that have no record.

    Args:
        indices: the persons' places in the annotations of their split.
        results: what `write_chunk` returned of each.

    Returns:
        [(index, picture, reason, labelled joints)], as in `InvalidRecord`.
    """
    return [
        (int(index), person.image, result, encode_joints(person.keypoints_visible))
        for index, person, result in zip(indices, persons, results, strict=True)
        if isinstance(result, str)
    ]


def collect_invalid(
    shards: Iterable[Shard], results: Iterable[Iterable[tuple[int, str, str, str]]]
) -> list[InvalidRecord]:
    """The persons that are in no shard, in the order of the annotations.

    Args:
        results: what `list_invalid` gave, one a shard.
    """
    invalid = [
        InvalidRecord(shard.split, *values)
        for shard, missing in zip(shards, results, strict=True)
        for values in missing
    ]
    # Else in the order of the shuffled shards.
    return sorted(invalid, key=lambda record: (record.split, record.index))
