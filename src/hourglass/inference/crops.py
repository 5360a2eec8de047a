"""Searches at work: crops cut out of pictures, through the network together, and taken back."""

import contextlib
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from PIL import Image

from hourglass.inference.person_search import Crop, PoseSearch
from hourglass.keypoints import KeypointSchema
from hourglass.utils import transforms
from hourglass.utils.images import BadImageError, cut_crop

# Px of the picture to a px of the model input that a mean of pixels may leave: fewer, and the
# smoothing of the last step would not hide those of the mean.
FINENESS = 2


class Backend(Protocol):
    """A network that runs on model inputs: `backends` has one for each runtime.

    Attributes:
        size: S, the side of the model inputs, px.
        batch_size: inputs a call that it works on best.
        trained_on: the names of the datasets that its network was trained on.
        schema: of the K keypoints that it finds.
    """

    size: int
    batch_size: int
    trained_on: tuple[str, ...]
    schema: KeypointSchema

    def __call__(self, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The keypoints in the inputs and their scores.

        Args:
            inputs: uint8 [n, S, S, 3], RGB, n >= 1.

        Returns:
            keypoints: float32 [n, K, 2] (x, y), px of the inputs, pixel centres at integers.
            scores: float32 [n, K].
        """


class Search:
    """A search of one picture, with the model inputs that it waits for.

    Args:
        generator: the search itself (`person_search`).
        image: the picture, RGB, upright.
        size: S, the side of the model inputs, px.
        share_mean: cut all crops from one mean of the pixels (`cut_inputs`).
        factor: px of the picture to one of `image`.

    Attributes:
        crops: n of (x, y, side) that it asks about; none when it has ended, which may be at once.
        inputs: uint8 [n, S, S, 3], their pixels; black outside of the picture.
        is_seen: bool [n], whether each of them shows anything of the picture.
        poses: the result, after the end of the search.
    """

    def __init__(
        self,
        generator: PoseSearch,
        image: Image.Image,
        size: int,
        share_mean: bool = True,
        factor: int = 1,
    ) -> None:
        self.image, self.size, self._share_mean = image, size, share_mean
        self.factor = factor
        self.crops: list[Crop] = []
        self.inputs, self.is_seen = np.zeros((0, size, size, 3), np.uint8), np.zeros(0, bool)
        self.poses: list[Any] = []
        self._generator = generator
        self._go_on(None)

    def take_keypoints(self, keypoints: np.ndarray, scores: np.ndarray) -> None:
        """Go on with what the network has found.

        Args:
            keypoints: [n, K, 2], px of the inputs. scores: [n, K].
        """
        to_picture = [transforms.crop_transform(crop, self.size) for crop in self.crops]
        pairs = zip(to_picture, keypoints, strict=True)
        self._go_on((np.array([transforms.apply_transform(*pair) for pair in pairs]), scores))

    def _go_on(self, found: tuple[np.ndarray, np.ndarray] | None) -> None:
        try:
            self.crops = self._generator.send(found)  # type: ignore[arg-type]  # None starts it
        except StopIteration as end:
            self.crops, self.poses = [], end.value
        else:
            self.inputs, self.is_seen = cut_inputs(
                self.image, self.crops, self.size, self._share_mean, self.factor
            )


def cut_inputs(
    image: Image.Image,
    crops: Sequence[Crop],
    size: int,
    share_mean: bool = True,
    factor: int = 1,
) -> tuple[np.ndarray, np.ndarray]:
    """Crops of a picture, uint8 [n, S, S, 3], and whether each of them touches it, bool [n].

    Args:
        share_mean: cut all crops from one mean of the pixels, that of the smallest crop: each would
            otherwise smooth the whole picture. Without it a crop's pixels depend on no other crop.
        factor: px of the picture, which crops are measured in, to one of `image`.
    """
    steps = [max(1, int(side / size / FINENESS / factor)) for *_, side in crops]
    if share_mean:
        steps = [min(steps)] * len(crops)
    means = {step: image.reduce(step) if step > 1 else image for step in set(steps)}
    inputs, is_seen = np.zeros((len(crops), size, size, 3), np.uint8), np.zeros(len(crops), bool)
    for number, (crop, step) in enumerate(zip(crops, steps, strict=True)):
        with contextlib.suppress(BadImageError):
            inputs[number] = np.asarray(cut_crop(means[step], step * factor, crop, size))
            is_seen[number] = True
    return inputs, is_seen


def run_searches(
    searches: Sequence[Search], backend: Backend, map_function: Callable = map
) -> None:
    """Run the searches of several pictures to their ends: their crops share batches.

    Args:
        map_function: has `map`'s arguments; that of a pool of threads cuts the crops of several
            pictures at the same time.
    """
    number = backend.batch_size
    while searches := [search for search in searches if search.crops]:
        inputs = np.concatenate([search.inputs for search in searches])
        found = [backend(inputs[k : k + number]) for k in range(0, len(inputs), number)]
        ends = np.cumsum([len(search.crops) for search in searches])[:-1]
        keypoints, scores = (
            np.split(np.concatenate(values), ends) for values in zip(*found, strict=True)
        )
        list(map_function(Search.take_keypoints, searches, keypoints, scores))
