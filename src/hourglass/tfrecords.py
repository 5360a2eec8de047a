"""TFRecord shards of person crops: which person goes where, the writer, the index of all.

A record has the tutorial's eleven features, so that its reader reads our shards, and what a reader
without its rounding needs. Every coordinate in a record is in pixels of the stored picture, which
`transform` takes to the original one.
"""

import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np

from hourglass import geometry
from hourglass.errors import UserError
from hourglass.files import atomic_path, write_json
from hourglass.images import (
    OUTSIDE,
    BadImageError,
    crop_square,
    decode_image,
    encode_jpeg,
    is_plain_jpeg,
)
from hourglass.skeleton import NUM_JOINTS
from hourglass.tfrecord_format import serialize_example, write_record

VISIBLE = 2  # the tutorial's value; 0 is missing
INDEX_NAME = "index.json"
# A whole picture is cropped by its reader, at a size of its own: no smaller than this.
WHOLE_MARGIN_SIZE = 64

# The type and the shape of each.
FEATURES = {
    "image/height": ("int64", []),
    "image/width": ("int64", []),
    "image/depth": ("int64", []),
    "image/object/parts/x": ("int64", [NUM_JOINTS]),
    "image/object/parts/y": ("int64", [NUM_JOINTS]),
    "image/object/parts/v": ("int64", [NUM_JOINTS]),
    "image/object/center/x": ("int64", []),
    "image/object/center/y": ("int64", []),
    "image/object/scale": ("float32", []),
    "image/encoded": ("string", []),
    "image/filename": ("string", []),
    # Beyond the tutorial: nothing rounded, the way back, and the place in the annotations.
    "image/object/keypoints": ("float32", [NUM_JOINTS, 2]),
    "image/object/view": ("float32", [3]),
    "image/object/box": ("int64", [3]),
    "image/object/index": ("int64", []),
    "image/transform": ("float32", [2, 3]),
}


@dataclasses.dataclass(frozen=True)
class Shard:
    """One file of a split: its name and the persons it holds, as indices into the annotations."""

    split: str
    name: str
    indices: np.ndarray


def plan_shards(split, prefix, num_records, num_shards, seed=None):
    """Spread a split over `num_shards` files whose sizes differ by one record at most.

    With a seed the records are shuffled first, so that the persons of one picture do not sit
    together; without one they keep their order.
    """
    order = np.arange(num_records)
    if seed is not None:
        order = np.random.default_rng(seed).permutation(num_records)
    return [
        Shard(split, shard_name(prefix, number, num_shards), indices)
        for number, indices in enumerate(np.array_split(order, num_shards), start=1)
    ]


def shard_name(prefix, number, num_shards):
    """The tutorial's name, for example `train_0001_of_0064.tfrecords`; `number` counts from 1."""
    return f"{prefix}_{number:04d}_of_{num_shards:04d}.tfrecords"


def write_shard(path, indices, persons, images, params):
    """Write the records of `persons` to one shard, which appears whole or not at all.

    Args:
        indices: the persons' places in the annotations of their split.
        images: read(name) gives a picture's bytes.
        params: ShardParams.

    Returns:
        The persons left out: [(index, picture, reason)].

    Raises:
        OSError: the disk is full or cannot be written; nothing of the shard is left.
    """
    rejects = []
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        for index, person in zip(indices, persons, strict=True):
            try:
                data = images.read(person.image)
                write_record(file, encode_record(person, int(index), data, params))
            except UserError as error:
                rejects.append((int(index), person.image, str(error)))
    return rejects


def encode_record(person, index, data, params):
    """Serialize one person as a tf.train.Example.

    Args:
        person: annotations.Person, px of the original picture.
        index: the person's place in the annotations.
        data: the picture file's bytes.
        params: ShardParams; `crop_size` 0 stores the whole picture.

    Raises:
        BadImageError: the picture cannot be decoded, or the person lies outside of it.
    """
    center, side = geometry.view_square(person.center, person.scale)
    store = store_crop if params.crop_size else store_whole
    encoded, (width, height), box, transform = store(data, center, side, params)
    to_stored = geometry.invert_transform(transform)
    keypoints = np.where(
        person.joints_vis[:, None], geometry.apply_transform(to_stored, person.joints), -1.0
    )
    view_center = geometry.apply_transform(to_stored, center)
    zoom = to_stored[0, 0]
    body_x, body_y = np.rint(geometry.apply_transform(to_stored, person.center)).astype(int)
    rounded = np.rint(keypoints).astype(int)
    values = {
        "image/height": [height],
        "image/width": [width],
        "image/depth": [3],
        "image/object/parts/x": rounded[:, 0],
        "image/object/parts/y": rounded[:, 1],
        "image/object/parts/v": np.where(person.joints_vis, VISIBLE, 0),
        "image/object/center/x": [body_x],
        "image/object/center/y": [body_y],
        "image/object/scale": [person.scale * zoom],
        "image/encoded": [encoded],
        "image/filename": [person.image.encode()],
        "image/object/keypoints": keypoints.ravel(),
        "image/object/view": [*view_center, side * zoom],
        "image/object/box": box,
        "image/object/index": [index],
        "image/transform": transform.ravel(),
    }
    return serialize_example({name: (FEATURES[name][0], values[name]) for name in FEATURES})


def store_crop(data, center, side, params):
    """Cut out what the augmented views of a view square can show.

    Returns:
        JPEG bytes; their width and height; the person's box (x, y, side) in them: all of it; the
        transform to the original picture.
    """
    box = geometry.stored_box(
        center, side, params.crop_size, params.scale_range, params.rotation_range
    )
    image, factor = decode_image(data, reduction=box[2] / box[3])
    crop = crop_square(image, factor, box)
    whole = (0, 0, crop.width)
    return encode_jpeg(crop, params.jpeg_quality), crop.size, whole, geometry.box_transform(*box)


def store_whole(data, center, side, params):
    """The same for the whole picture: its own bytes where they are an upright, sound RGB JPEG."""
    image, _ = decode_image(data)
    if not (is_plain_jpeg(data) and _is_readable(data, image.size)):
        data = encode_jpeg(image, params.jpeg_quality)
    *box, _ = geometry.stored_box(
        center, side, WHOLE_MARGIN_SIZE, params.scale_range, params.rotation_range
    )
    x, y, box_side = box
    if not (-box_side < x < image.width and -box_side < y < image.height):
        raise BadImageError(OUTSIDE)
    return data, image.size, box, np.eye(2, 3)


def _is_readable(data, size):
    """Whether the reader's decoder takes a JPEG as Pillow does, which is less strict."""
    from hourglass.backend import tf  # here alone, as it takes seconds to import

    try:
        return tf.io.decode_jpeg(data, channels=3).shape == (*size[::-1], 3)
    except tf.errors.InvalidArgumentError:
        return False


def write_index(folder, shards, results, num_persons, params):
    """Write index.json beside the shards: how the crops were cut, what each holds, checksums.

    Args:
        shards: all of them. results: what `write_shard` returned, one a shard.
        num_persons: {split: number of annotations}. params: ShardParams.
    """
    splits = {split: {"num_persons": num, "shards": {}} for split, num in num_persons.items()}
    for shard, rejects in zip(shards, results, strict=True):
        splits[shard.split]["shards"][shard.name] = {
            "num_records": len(shard.indices) - len(rejects),
            "sha256": file_digest(Path(folder, shard.name)),
        }
    crop = params.model_dump(include={"crop_size", "scale_range", "rotation_range"})
    index = {"crop": crop, "splits": splits}
    write_json(Path(folder, INDEX_NAME), index | {"sha256": _index_digest(index)})


def _index_digest(index):
    """Of its content: an index that was changed by any hand or bit is no longer believed."""
    return hashlib.sha256(json.dumps(index, sort_keys=True).encode()).hexdigest()


def read_index(folder):
    """Read index.json.

    Returns:
        {"crop": {crop_size, scale_range, rotation_range},
        "splits": {split: {num_persons, shards: {name: {num_records, sha256}}}}}.

    Raises:
        UserError: missing or damaged.
    """
    path = Path(folder, INDEX_NAME)
    try:
        index = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{path}: missing; run `dvc repro shard`") from None
    except (OSError, ValueError, RecursionError):
        index = None
    if not isinstance(index, dict) or index.pop("sha256", None) != _index_digest(index):
        raise UserError(f"{path}: damaged; delete it and run `dvc repro shard`")
    return index


def file_digest(path):
    """The file's SHA-256, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
