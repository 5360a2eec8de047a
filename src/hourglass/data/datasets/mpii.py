"""Readers of MPII's annotations: the JSON form, and the official .mat."""

import collections

import numpy as np

from hourglass.data.archives import DOWNLOAD_AGAIN
from hourglass.data.datasets.base import load_mat
from hourglass.data.person import UNLABELLED
from hourglass.keypoints import NUM_JOINTS
from hourglass.utils.errors import UserError
from hourglass.utils.files import read_json_list

MPII_MAT = "mpii_human_pose_v1_u12_1.mat"


def read_mpii_json(path, split):
    """Raw records of one split in the JSON form of MPII, unchecked.

    Raises:
        UserError: the file is missing, not UTF-8, not JSON (with the place), or not a list with
            at least one record.
    """
    records = read_json_list(path, DOWNLOAD_AGAIN)
    if not records:
        raise UserError(f"{path}: holds no {split} record; {DOWNLOAD_AGAIN}")
    return records


def read_mpii_mat(content, valid_images):
    """Raw records of the official MPII .mat, unchecked: (train, validation).

    Labelled is a person of a training picture with at least one point, a scale and an objpos.
    A point that is present is labelled, whatever `is_visible` says, as in the JSON form.

    Args:
        content: bytes of `mpii_human_pose_v1_u12_1.mat`.
        valid_images: picture names of the validation split, in its order; repeats count once.

    Raises:
        UserError: not a MATLAB file with the struct RELEASE and its annolist.

    Source: http://human-pose.mpi-inf.mpg.de, README of the annotation release 1.2.
    """
    release = load_mat(content, MPII_MAT, "RELEASE")
    pictures = _items(release, "annolist")
    if not pictures:
        raise UserError(f"{MPII_MAT}: RELEASE has no annolist; {DOWNLOAD_AGAIN}")
    # A release without `img_train` is one of training pictures alone.
    is_train = _items(release, "img_train") or [1] * len(pictures)
    by_image = collections.defaultdict(list)
    for picture, picture_is_train in zip(pictures, is_train, strict=False):
        if picture_is_train:
            image = _image_name(picture)
            rects = filter(_is_labelled, _items(picture, "annorect"))
            by_image[image] += [_mpii_record(image, rect) for rect in rects]
    held_out = dict.fromkeys(valid_images)  # in order, each once
    # `pop`, so that what is left is train.
    validation = [record for image in held_out for record in by_image.pop(image, ())]
    return [record for records in by_image.values() for record in records], validation


def _items(struct, field):
    """A field's values as a list: empty where it is absent or empty, one where it was squeezed."""
    return np.atleast_1d(getattr(struct, field, ())).tolist()


def _image_name(picture):
    name = getattr(getattr(picture, "image", None), "name", "")
    return name if isinstance(name, str) else ""


def _points(rect):
    return [point for points in _items(rect, "annopoints") for point in _items(points, "point")]


def _is_labelled(rect):
    return bool(_points(rect) and _items(rect, "scale") and _items(rect, "objpos"))


def _mpii_record(image, rect):
    joints, keypoints_visible = [list(UNLABELLED) for _ in range(NUM_JOINTS)], [0] * NUM_JOINTS
    for point in _points(rect):
        joint, place = _number(point, "id"), [_number(point, "x"), _number(point, "y")]
        # `in range` holds for the float 3.0 and not for 3.5 or NaN.
        if joint in range(NUM_JOINTS) and not keypoints_visible[int(joint)]:
            joints[int(joint)], keypoints_visible[int(joint)] = place, 1
        else:  # an unknown or repeated id makes a 17th joint, which the checker invalid
            joints.append(place)
    # About the middle of the body, 1-based px.
    (objpos, *_) = _items(rect, "objpos")
    return {
        "image": image,
        "joints": joints,
        "joints_vis": keypoints_visible,
        "center": [_number(objpos, "x"), _number(objpos, "y")],
        "scale": _number(rect, "scale"),  # person height / 200 px
    }


def _number(struct, field):
    """A field's one number, of whatever MATLAB type; NaN where there is none."""
    values = _items(struct, field)
    try:
        return float(values[0]) if len(values) == 1 else np.nan
    except (TypeError, ValueError):
        return np.nan
