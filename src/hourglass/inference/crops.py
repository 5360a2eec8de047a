"""Searches at work: crops cut out of pictures, through the network together, and taken back."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from PIL import Image

from hourglass.inference.person_search import Crop, Look, PoseSearch
from hourglass.keypoints import KeypointSchema
from hourglass.utils import transforms
from hourglass.utils.images import BadImageError, cut_crop

# Px of the picture to a px of the model input that a mean of pixels may leave: fewer, and the
# smoothing of the last step would not hide those of the mean.
FINENESS = 2


class Finder(Protocol):
    """A detector of people that runs on whole pictures: `backends.PeopleFinder`.

    Attributes:
        size: S, the side of its inputs, px.
        batch_size: inputs a call that it works on best.
    """

    size: int
    batch_size: int

    def __call__(self, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The boxes of people in the inputs and their scores.

        Args:
            inputs: uint8 [n, S, S, 3], RGB, n >= 1: each picture in the middle of a square, black
                around it.

        Returns:
            boxes: float32 [n, M, 4] (x, y, width, height), px of the inputs.
            scores: float32 [n, M], the surest first, 0 where there is no further box.
        """


class Backend(Protocol):
    """A network that runs on model inputs: `backends` has one for each runtime.

    Attributes:
        size: S, the side of the model inputs, px.
        batch_size: inputs a call that it works on best.
        trained_on: the names of the datasets that its network was trained on.
        schema: of the K keypoints that it finds.
        finder: says where people are, for searches; loaded when it is first asked for.
    """

    size: int
    batch_size: int
    trained_on: tuple[str, ...]
    schema: KeypointSchema

    @property
    def finder(self) -> Finder:
        """The people finder."""

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
        backend: whose `size`, and whose finder's, the inputs have; it is not run.
        share_mean: cut all crops from one mean of the pixels (`cut_inputs`).
        factor: px of the picture to one of `image`.

    Attributes:
        look: n crops of (x, y, side) that it asks about, and which network; none when it has ended,
            which may be at once.
        inputs: uint8 [n, S, S, 3], their pixels; black outside of the picture.
        is_seen: bool [n], whether each of them shows anything of the picture.
        poses: the result, after the end of the search.
    """

    def __init__(
        self,
        generator: PoseSearch,
        image: Image.Image,
        backend: Backend,
        share_mean: bool = True,
        factor: int = 1,
    ) -> None:
        self.image, self._backend, self._share_mean = image, backend, share_mean
        self.factor = factor
        self.look = Look([])
        self.inputs, self.is_seen = np.zeros((0, 1, 1, 3), np.uint8), np.zeros(0, bool)
        self.poses: list[Any] = []
        self._generator = generator
        self._go_on(None)

    @property
    def network(self) -> Backend | Finder:
        """What its inputs are for."""
        return self._backend.finder if self.look.is_for_finder else self._backend

    def take_found(self, places: np.ndarray, scores: np.ndarray) -> None:
        """Go on with what its network has found.

        Args:
            places: keypoints [n, K, 2], or boxes [n, M, 4] of the finder, px of the inputs.
            scores: [n, K] or [n, M].
        """
        crops, size = self.look.crops, self.network.size
        to_picture = _place_boxes if self.look.is_for_finder else _place_keypoints
        placed = [to_picture(*pair, size) for pair in zip(places, crops, strict=True)]
        self._go_on((np.array(placed), scores))

    def _go_on(self, found: tuple[np.ndarray, np.ndarray] | None) -> None:
        try:
            self.look = self._generator.send(found)  # type: ignore[arg-type]  # None starts it
        except StopIteration as end:
            self.look, self.poses = Look([]), end.value
        else:
            self.inputs, self.is_seen = cut_inputs(
                self.image, self.look.crops, self.network.size, self._share_mean, self.factor
            )


def _place_keypoints(keypoints: np.ndarray, crop: Crop, size: int) -> np.ndarray:
    return transforms.apply_transform(transforms.crop_transform(crop, size), keypoints)


def _place_boxes(boxes: np.ndarray, crop: Crop, size: int) -> np.ndarray:
    """Boxes [M, 4] of an input of `size` as those of the picture that its crop was cut out of."""
    x, y, side = crop
    return boxes.astype(np.float64) * (side / size) + (x, y, 0, 0)


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
        backend: that of the searches.
        map_function: has `map`'s arguments; that of a pool of threads cuts the crops of several
            pictures at the same time.
    """
    while searches := [search for search in searches if search.look.crops]:
        for is_for_finder in (True, False):
            asking = [s for s in searches if s.look.crops and s.look.is_for_finder == is_for_finder]
            if asking:
                network = backend.finder if is_for_finder else backend
                list(map_function(Search.take_found, asking, *_run_batches(asking, network)))


def _run_batches(
    searches: Sequence[Search], network: Backend | Finder
) -> Iterator[list[np.ndarray]]:
    """What a network finds in the inputs of some searches: places, then scores, of each search."""
    inputs = np.concatenate([search.inputs for search in searches])
    number = network.batch_size
    found = [network(inputs[k : k + number]) for k in range(0, len(inputs), number)]
    ends = np.cumsum([len(search.inputs) for search in searches])[:-1]
    for values in zip(*found, strict=True):
        yield np.split(np.concatenate(values), ends)
