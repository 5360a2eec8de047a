"""Persons on drawn pictures, stored as records and read back."""

import functools
import io

import numpy as np
from PIL import Image

from helpers.paths import ROOT
from hourglass.config import load_params
from hourglass.data.person import Person
from hourglass.data.tfrecords.record import parse_record, serialize_record
from hourglass.data.tfrecords.writer import store_person
from hourglass.utils import transforms
from hourglass.utils.errors import UserError
from hourglass.utils.images import Picture


def shard_params(**changes):
    return load_params(ROOT / "params.yaml").shard.model_copy(update=changes)


def blob_jpeg(width, height, x, y, sigma=8, **options):
    """A JPEG with one white blob about (x, y)."""
    columns, rows = np.arange(width) - x, np.arange(height) - y
    bell = np.exp(-(columns**2 + rows[:, None] ** 2) / (2 * sigma**2))
    with io.BytesIO() as buffer:
        image = Image.fromarray(np.rint(255 * bell).astype(np.uint8)).convert("RGB")
        image.save(buffer, **({"format": "JPEG", "quality": 95} | options))
        return buffer.getvalue()


def make_person(seed=0, scale=1.3, image="a.jpg"):
    """A person about (320, 240), joints of many decimals; one is missing, one above the top."""
    rng = np.random.default_rng(seed)
    joints = rng.normal([320, 240], 60 * scale, (16, 2))
    joints[9] = 310.123, -4.567
    keypoints_visible = np.ones(16, bool)
    joints[3], keypoints_visible[3] = -1, False
    return Person(
        image, joints, keypoints_visible, np.array([320.4, 238.7]), scale, 24.6 * scale, "given"
    )


def encode_record(person, index, data, params):
    return serialize_record(person, index, store_person(person, Picture(data), params))


# A record of MPII's 16 keypoints.
parse_mpii = functools.partial(parse_record, num_keypoints=16)


def read_record(serialized):
    return {key: value.numpy() for key, value in parse_mpii(serialized).items()}


def to_picture(record, points):
    return transforms.apply_transform(record["transform"].astype(np.float64), points)


class Folder:
    """Pictures by name; what is not there is a UserError, as in an archive."""

    def __init__(self, pictures):
        self.pictures = pictures

    def read(self, name):
        if name not in self.pictures:
            raise UserError(f"{name}: not in the archive")
        return self.pictures[name]


def people(*names):
    return [make_person(seed, image=name) for seed, name in enumerate(names)]
