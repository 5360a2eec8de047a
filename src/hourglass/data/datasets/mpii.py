"""MPII Human Pose: its files, and the readers of its annotations, JSON and .mat.

Source: Andriluka et al., CVPR 2014, http://human-pose.mpi-inf.mpg.de.
"""

import collections
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hourglass.data.conversion import UNLABELLED
from hourglass.data.datasets.base import ANNOTATIONS, Dataset, load_mat, register
from hourglass.data.http import DownloadError, RemoteFile, fetch_file
from hourglass.data.raw_records import RawSplit
from hourglass.data.zip_files import DOWNLOAD_AGAIN, read_member
from hourglass.keypoints import MPII, KeypointSchema
from hourglass.utils.errors import UserError
from hourglass.utils.files import read_json_list

if TYPE_CHECKING:
    from hourglass.config import DataParams

_HOME = "https://datasets.d2.mpi-inf.mpg.de/andriluka14cvpr"
_JSON_HOME = "https://aiffelstaticprd.blob.core.windows.net/media/documents"
_LIST_HOME = "https://raw.githubusercontent.com/princeton-vl/pose-hg-train/master/data/mpii/annot"
MPII_MAT = "mpii_human_pose_v1_u12_1.mat"


def find_json_fault(path: Path) -> str | None:
    """Why a file is no list of records; None if it is one. A server's error page is none."""
    try:
        records = read_json_list(path, "")
    except UserError:
        records = []
    good = records and all(isinstance(record, dict) for record in records)
    return None if good else "is not a JSON list of person records"


def find_list_fault(path: Path) -> str | None:
    """Why a file is no list of picture names; None if it is one."""
    names = path.read_text(encoding="utf-8", errors="replace").split()
    good = names and all(re.fullmatch(r"[\w.-]+\.jpg", name) for name in names)
    return None if good else "is not a list of picture names"


@register
class Mpii(Dataset):
    """MPII Human Pose: 25,204 labelled persons of everyday life, 16 joints."""

    name = "mpii"
    title = "MPII Human Pose"
    terms = (
        "Andriluka et al., CVPR 2014: for research, not for commercial use; its images must not be "
        "redistributed"
    )
    network_terms = (
        "for research, not for commercial use, as is MPII Human Pose (CVPR 2014), their data"
    )
    recipe = "."
    scaled_by_head = True
    images = "mpii_human_pose_v1.tar.gz"
    # 12.5 MB, no published checksum; holds the .mat.
    mat_archive = RemoteFile(
        "mpii_human_pose_v1_u12_2.zip", f"{_HOME}/mpii_human_pose_v1_u12_2.zip"
    )
    files = (
        mat_archive,
        # 12.9 GB, 24,984 JPEGs.
        RemoteFile(images, f"{_HOME}/{images}", md5="b6bc9c6869d3f035a5570b2e68ec84c4"),
    )
    annotations = tuple(
        RemoteFile(name, f"{_JSON_HOME}/{name}", check=find_json_fault)
        for name in ANNOTATIONS.values()
    )
    # In the place of the JSON files where one of them cannot be had: the validation split as a list
    # of pictures (Newell et al., ECCV 2016). With it the official .mat yields the same validation
    # persons and 3,679 more to train on.
    split_list = RemoteFile(
        "valid_images.txt", f"{_LIST_HOME}/valid_images.txt", check=find_list_fault
    )

    def fetch(self, data: "DataParams", folder: Path) -> None:
        """Small files first: what fails, fails early."""
        self._fetch_annotations(data.mirror, folder)
        super().fetch(data, folder)

    def _fetch_annotations(self, mirror: str, folder: Path) -> None:
        complete = all((folder / remote.name).exists() for remote in self.annotations)
        # Raw data stays what it was: the list once taken is kept until the user deletes it.
        if complete or not (folder / self.split_list.name).exists():
            try:
                for remote in self.annotations:
                    fetch_file(remote.at_mirror(mirror), folder)
                return
            except DownloadError as error:
                name = self.split_list.name
                print(f"{error}; going on with {name} and the official .mat", file=sys.stderr)
        fetch_file(self.split_list.at_mirror(mirror), folder)
        for remote in self.annotations:  # `read_splits` would prefer what is left of them
            (folder / remote.name).unlink(missing_ok=True)

    def read_splits(
        self, raw: Path, image_names: frozenset[str], schema: KeypointSchema
    ) -> tuple[RawSplit, RawSplit]:
        """The records of the JSON files; of the .mat and the list where a JSON file is missing."""
        paths = [raw / remote.name for remote in self.annotations]
        split_list = raw / self.split_list.name
        if split_list.exists() and not all(path.exists() for path in paths):
            content = read_member(raw / self.mat_archive.name, MPII_MAT)
            train, validation = read_mpii_mat(content, _read_lines(split_list))
        else:
            train, validation = map(read_mpii_json, paths, ANNOTATIONS)
        return RawSplit(train, MPII), RawSplit(validation, MPII)


def _read_lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}; {DOWNLOAD_AGAIN}") from None


def read_mpii_json(path: Path, split: str) -> list:
    """Raw records of one split in the JSON form of MPII, unchecked.

    Raises:
        UserError: the file is missing, not UTF-8, not JSON (with the place), or not a list with
            at least one record.
    """
    records = read_json_list(path, DOWNLOAD_AGAIN)
    if not records:
        raise UserError(f"{path}: holds no {split} record; {DOWNLOAD_AGAIN}")
    return records


def read_mpii_mat(content: bytes, valid_images: Iterable[str]) -> tuple[list, list]:
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
    by_image: dict[str, list] = collections.defaultdict(list)
    for picture, picture_is_train in zip(pictures, is_train, strict=False):
        if picture_is_train:
            image = _image_name(picture)
            rects = filter(_is_labelled, _items(picture, "annorect"))
            by_image[image] += [_mpii_record(image, rect) for rect in rects]
    held_out = dict.fromkeys(valid_images)  # in order, each once
    # `pop`, so that what is left is train.
    validation = [record for image in held_out for record in by_image.pop(image, ())]
    return [record for records in by_image.values() for record in records], validation


def _items(struct: Any, field: str) -> list:
    """A field's values as a list: empty where it is absent or empty, one where it was squeezed."""
    return np.atleast_1d(getattr(struct, field, ())).tolist()


def _image_name(picture: Any) -> str:
    name = getattr(getattr(picture, "image", None), "name", "")
    return name if isinstance(name, str) else ""


def _points(rect: Any) -> list:
    return [point for points in _items(rect, "annopoints") for point in _items(points, "point")]


def _is_labelled(rect: Any) -> bool:
    return bool(_points(rect) and _items(rect, "scale") and _items(rect, "objpos"))


def _mpii_record(image: str, rect: Any) -> dict[str, Any]:
    number = MPII.num_keypoints
    joints, keypoints_visible = [list(UNLABELLED) for _ in range(number)], [0] * number
    for point in _points(rect):
        joint, place = _number(point, "id"), [_number(point, "x"), _number(point, "y")]
        # `in range` holds for the float 3.0 and not for 3.5 or NaN.
        if joint in range(number) and not keypoints_visible[int(joint)]:
            joints[int(joint)], keypoints_visible[int(joint)] = place, 1
        else:  # an unknown or repeated id makes a 17th joint, which the checker refuses
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


def _number(struct: Any, field: str) -> float:
    """A field's one number, of whatever MATLAB type; NaN where there is none."""
    values = _items(struct, field)
    try:
        return float(values[0]) if len(values) == 1 else np.nan
    except (TypeError, ValueError):
        return np.nan
