"""Poses in your own program: load a network, find people on an array, draw them.

Errors that the caller can fix are an `errors.UserError` of one line.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from hourglass.data.raw_records import BBox
from hourglass.inference.backends import open_backend
from hourglass.inference.crops import Backend, run_searches
from hourglass.inference.person_search import BBOX_RULE, THRESHOLD, Pose, is_bbox
from hourglass.inference.runner import InferenceConfig
from hourglass.keypoints import KeypointSchema
from hourglass.shipped import shipped_network
from hourglass.utils.errors import UserError, one_line
from hourglass.visualization.drawing import paint_pose

__all__ = ["Network", "load"]


def load(path: str | Path | None = None, flip_test: bool = True) -> "Network":
    """A trained network, ready for pictures.

    Args:
        path: a `.keras` file, or its `.onnx` export. None: the shipped network, trained on
            photographs of people, for research use alone (`shipped/MODEL_CARD.md`).
        flip_test: average the heatmaps of each picture and of its mirror image: twice the time,
            more exact.

    Raises:
        UserError: the file is missing or damaged, holds another kind of network, or was exported
            for another `flip_test`.
    """
    return Network(open_backend(path or shipped_network(), flip_test))


class Network:
    """A trained network; `load` makes one.

    Attributes:
        schema: of the K keypoints that it finds: their names, sides and bones.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.schema: KeypointSchema = backend.schema

    def predict(
        self,
        picture: np.ndarray,
        bboxes: Sequence[Sequence[float]] | np.ndarray | None = None,
        people: int | None = None,
        threshold: float | None = None,
    ) -> list[Pose]:
        """Find people on a picture, as `hourglass predict` does.

        Args:
            picture: uint8 [H, W, 3], RGB, upright.
            bboxes: x, y, width, height, px, of each person. None: search the whole picture.
            people: the largest number to find; None: all.
            threshold: the least score of a person in a search, 0 to 1; None: that of
                `hourglass predict`.

        Returns:
            list of `person_search.Pose`, in the order of `bboxes`, else the surest first:
            `keypoints` [K, 2] (x, y), px of the picture, pixel centres at integers, in the order of
            `schema.keypoints`; `scores` [K]; `visible` bool [K], those that `draw` shows; `score`
            of the whole pose. Empty if no person is found.

        Raises:
            UserError: another kind of picture, bboxes or number, or a bbox beside the picture.
        """
        image = _read_picture(picture)
        config = _make_config(bboxes, people, threshold)
        search = config.open_search(image, self._backend)
        run_searches([search], self._backend)
        return config.choose_people(search.poses)

    def draw(self, picture: np.ndarray, poses: Sequence[Pose]) -> np.ndarray:
        """A copy of a picture with the skeletons of `predict` on it.

        Args:
            picture: uint8 [H, W, 3], RGB.
            poses: of `predict`, the surest first; it is drawn on top.

        Returns:
            uint8 [H, W, 3].

        Raises:
            UserError: another kind of picture.
        """
        pixels = np.array(_read_picture(picture))
        for pose in reversed(poses):
            paint_pose(pixels, pose.keypoints, self.schema, pose.visible)
        return pixels


def _read_picture(picture: np.ndarray) -> Image.Image:
    array = np.asarray(picture)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or not array.size:
        raise UserError(
            f"the picture is {array.dtype} {list(array.shape)}; uint8 [H, W, 3], RGB, was expected"
        )
    return Image.fromarray(np.ascontiguousarray(array))


def _make_config(bboxes: Any, people: int | None, threshold: float | None) -> InferenceConfig:
    if people is not None and (not isinstance(people, int | np.integer) or people < 1):
        raise UserError(f"people is {people!r}; a whole number, 1 or more, was expected")
    if bboxes is None:
        number = None if people is None else int(people)
        return InferenceConfig(num_people=number, threshold=_read_threshold(threshold))
    if people is not None or threshold is not None:
        raise UserError("bboxes say where the people are; leave out people and threshold, or them")
    return InferenceConfig("bbox", _read_bboxes(bboxes), threshold=None)


def _read_threshold(threshold: float | None) -> float:
    if threshold is None:
        return THRESHOLD
    if not isinstance(threshold, int | float | np.number) or not 0 <= threshold <= 1:
        raise UserError(f"threshold is {threshold!r}; a number from 0 to 1 was expected")
    return float(threshold)


def _read_bboxes(bboxes: Any) -> tuple[BBox, ...]:
    try:
        listed = list(bboxes)
    except TypeError:
        raise UserError(f"bboxes is {bboxes!r}; a list of boxes was expected") from None
    return tuple(_read_bbox(bbox, f"bboxes[{number}]") for number, bbox in enumerate(listed))


def _read_bbox(bbox: Any, name: str) -> BBox:
    try:
        numbers = np.array(bbox, np.float64)
    except (TypeError, ValueError):
        numbers = np.zeros(0)
    if numbers.shape != (4,) or not is_bbox(numbers.tolist()):
        given = one_line(repr(bbox))
        raise UserError(
            f"{name} is {given}; x, y, width, height in pixels were expected: {BBOX_RULE}"
        )
    x, y, width, height = numbers.tolist()
    return x, y, width, height
