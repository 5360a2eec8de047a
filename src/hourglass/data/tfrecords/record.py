"""The features of a record: its writer and its reader, side by side.

A record has the tutorial's eleven features: its reader reads our shards. Further features serve a
reader without the tutorial's rounding. Every coordinate and length in a record is in pixels of the
stored picture, which `transform` takes to the original one.
"""

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from hourglass.data.tfrecords.tfrecord_format import serialize_example
from hourglass.utils import transforms

if TYPE_CHECKING:
    from hourglass.data.person import Person
    from hourglass.utils.backend import Tensor

VISIBLE = 2  # the tutorial's value; 0 is missing

K = "K"  # stands for the number of keypoints
# The type and the shape of each.
FEATURES: dict[str, tuple[str, list]] = {
    "image/height": ("int64", []),
    "image/width": ("int64", []),
    "image/depth": ("int64", []),
    "image/object/parts/x": ("int64", [K]),
    "image/object/parts/y": ("int64", [K]),
    "image/object/parts/v": ("int64", [K]),
    "image/object/center/x": ("int64", []),
    "image/object/center/y": ("int64", []),
    "image/object/scale": ("float32", []),
    "image/encoded": ("string", []),
    "image/filename": ("string", []),
    # Beyond the tutorial: nothing rounded, the way back, and the place in the annotations.
    "image/object/keypoints": ("float32", [K, 2]),
    "image/object/head_size": ("float32", []),
    "image/object/view": ("float32", [3]),
    "image/object/box": ("int64", [3]),
    "image/object/index": ("int64", []),
    "image/transform": ("float32", [2, 3]),
}


@dataclasses.dataclass(frozen=True)
class StoredPicture:
    """The part of a person's picture that a record stores.

    Attributes:
        encoded: JPEG, RGB.
        width, height: px of the stored picture.
        cover: x, y, side of the crop that covers every augmentation, stored px.
        transform: float64 [2, 3], stored to original px.
    """

    encoded: bytes
    width: int
    height: int
    cover: tuple[int, int, int]
    transform: np.ndarray


def serialize_record(person: "Person", index: int, stored: StoredPicture) -> bytes:
    """Serialize one person as a tf.train.Example; `index` is its place in the annotations."""
    center, side = transforms.person_region(person.center, person.scale)  # original px
    to_stored = transforms.invert_transform(stored.transform)  # original to stored px
    keypoints = np.where(
        person.keypoints_visible[:, None],
        transforms.apply_transform(to_stored, person.joints),
        -1.0,
    )
    crop_center = transforms.apply_transform(to_stored, center)  # stored px, not rounded
    zoom = to_stored[0, 0]  # stored px to an original one; a crop is not turned
    # The person's own center; that of the crop lies lower (`transforms.person_region`).
    body_x, body_y = np.rint(transforms.apply_transform(to_stored, person.center)).astype(int)
    rounded = np.rint(keypoints).astype(int)  # the tutorial's features are whole numbers
    values: dict[str, Any] = {
        "image/height": [stored.height],
        "image/width": [stored.width],
        "image/depth": [3],
        "image/object/parts/x": rounded[:, 0],
        "image/object/parts/y": rounded[:, 1],
        "image/object/parts/v": np.where(person.keypoints_visible, VISIBLE, 0),  # (K,)
        "image/object/center/x": [body_x],
        "image/object/center/y": [body_y],
        # The person's height / 200 stored px.
        "image/object/scale": [person.scale * zoom],
        "image/encoded": [stored.encoded],
        "image/filename": [person.image.encode()],
        "image/object/keypoints": keypoints.ravel(),  # (K, 2), row by row
        "image/object/head_size": [person.head_size * zoom],  # stored px
        "image/object/view": [*crop_center, side * zoom],  # x, y, side
        "image/object/box": stored.cover,
        "image/object/index": [index],  # results find their way back by it
        "image/transform": stored.transform.ravel(),
    }
    return serialize_example({name: (FEATURES[name][0], values[name]) for name in FEATURES})


def parse_record(serialized: "Tensor", num_keypoints: int) -> "dict[str, Tensor]":
    """Parse one serialized record, in a tf.data graph; the picture stays encoded.

    Returns:
        encoded: string, JPEG, RGB.
        keypoints: float32 [K, 2], stored px. keypoints_visible: bool [K].
        center: float32 [2] and side: float32, the person's crop, stored px.
        head_size: float32, stored px.
        cover: int32 [3], x, y, side of the crop that covers every augmentation, stored px.
        index: int32. transform: float32 [2, 3], stored to original px. filename: string.
    """
    from hourglass.utils.backend import tf  # here alone: writers do without it

    features = {
        name: tf.io.FixedLenFeature([num_keypoints if n == K else n for n in shape], dtype)
        for name, (dtype, shape) in FEATURES.items()
    }
    # A feature that is missing or of another shape is an error, as none has a default.
    record = tf.io.parse_single_example(serialized, features)
    return {
        "encoded": record["image/encoded"],
        "keypoints": record["image/object/keypoints"],
        "keypoints_visible": record["image/object/parts/v"] > 0,
        "center": record["image/object/view"][:2],
        "side": record["image/object/view"][2],
        "head_size": record["image/object/head_size"],
        "cover": tf.cast(record["image/object/box"], tf.int32),  # an Example has int64 alone
        "index": tf.cast(record["image/object/index"], tf.int32),
        "transform": record["image/transform"],
        "filename": record["image/filename"],
    }
