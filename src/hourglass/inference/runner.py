"""Photographs: picture files in; each out with what a search has found on it."""

import functools
import itertools
import math
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, TypeVar

from PIL import Image

from hourglass.data.raw_records import BBox
from hourglass.inference import person_search
from hourglass.inference.crops import Backend, Search, run_searches
from hourglass.inference.person_search import Look, Pose, PoseSearch
from hourglass.utils.errors import UserError
from hourglass.utils.images import BadImageError, Picture
from hourglass.utils.parallel import attempt, map_ahead, open_pool

# Photographs that are searched together: their first inputs fill so many batches, and they have so
# many pixels in all, or it is one. Three such groups are in memory, 4 bytes a pixel: while one is
# in the network the next is decoded, and the one before is written. At most 600 MB; of pictures of
# MAX_PIXELS, one in each group, 1.2 GB.
BATCHES_TOGETHER = 8
PIXELS_TOGETHER = 50_000_000

SEARCH_INPUTS = 4  # of the network, for a search of a picture of two people
MIN_INSIDE = 0.75  # of a bbox's area: less of it within the picture is told

R = TypeVar("R")


@dataclass(frozen=True)
class InferenceConfig:
    """The search settings of each photograph.

    Attributes:
        mode: "search": anywhere. "bbox": a person in each of `bboxes`. "whole": the one person of
            the whole picture.
        bboxes: the people's, the same ones in every picture.
        num_people: the largest number of people of a search; None: all.
        threshold: the least score of a person in a search. None: every pose is a person.
        photo_bboxes: those of each photograph or clip, by its path, in the place of `bboxes`.
    """

    mode: str = "search"
    bboxes: tuple[BBox, ...] = ()
    num_people: int | None = None
    threshold: float | None = person_search.THRESHOLD
    photo_bboxes: dict[Path, tuple[BBox, ...]] | None = None

    def for_photo(self, path: Path) -> "InferenceConfig":
        """The settings of one photograph."""
        if self.photo_bboxes is None:
            return self
        return replace(self, bboxes=self.photo_bboxes.get(path, ()), photo_bboxes=None)

    @property
    def num_inputs(self) -> int:
        """About how many inputs the network is given of a picture."""
        return {"search": SEARCH_INPUTS, "whole": 1}.get(self.mode, 2 * len(self.bboxes))

    @property
    def max_people(self) -> float:
        """The largest number of people on a picture."""
        if self.mode == "search":
            return math.inf if self.num_people is None else self.num_people
        return 1 if self.mode == "whole" else len(self.bboxes)

    def start(self, size: tuple[int, int]) -> PoseSearch:
        """The search of a picture of `size` (width, height)."""
        if self.mode == "search":
            return person_search.find_people(size, self.num_people)
        if self.mode == "bbox":
            return person_search.estimate_poses(list(map(person_search.bbox_crop, self.bboxes)))
        return person_search.estimate_pose(person_search.whole_picture_crop(size), refine=False)

    def choose_people(self, poses: list[Pose]) -> list[Pose]:
        """The poses of a search that are sure enough to be people, the best first."""
        if self.threshold is None:
            return poses
        return [pose for pose in poses if pose.score >= self.threshold]

    def open_search(self, image: Image.Image, backend: Backend, factor: int = 1) -> Search:
        """The search of a picture, RGB, upright.

        Args:
            backend: the one that will run it.
            factor: px of the picture to one of `image`.

        Raises:
            BadImageError: it shows nothing where its people are looked for.
        """
        # A box gives the same pose whatever the other boxes are.
        size = (image.width * factor, image.height * factor)
        search = Search(self.start(size), image, backend, self.mode != "bbox", factor)
        self.check_seen(search)
        return search

    def check_seen(self, search: Search) -> None:
        """Refuse a picture that shows nothing where its people are looked for.

        Args:
            search: the picture's, in its first round.

        Raises:
            BadImageError: a bbox lies outside of it, or it is too narrow for a search.
        """
        width, height = (length * search.factor for length in search.image.size)
        picture = f"a picture of {width} x {height} px"
        pairs = zip(self.bboxes, search.is_seen, strict=False)
        for bbox in (bbox for bbox, is_seen in pairs if not is_seen):
            text = ",".join(f"{number:g}" for number in bbox)
            raise BadImageError(f"the box {text} leaves nothing to see of {picture}; fix the box")
        if self.mode != "bbox" and not search.is_seen.any():
            raise BadImageError(f"{picture} is too narrow to show a person; name a --box within it")


class OpenedPhoto(NamedTuple):
    """A photograph whose pixels are not decoded yet.

    Attributes:
        size: width, height, px.
        num_pixels: that are decoded. num_inputs: model inputs that its search begins with.
    """

    path: Path
    target: Path
    config: InferenceConfig
    picture: Picture
    size: tuple[int, int]
    num_pixels: int
    num_inputs: int


class Photo(NamedTuple):
    """A photograph on its way through the network.

    Attributes:
        path: its file.
        target: where to write, without the suffix.
        config: the settings of this photograph.
        search: what runs on it; it has the pixels, `search.image`.
        size: width, height, px; `search.image` may be smaller.
        notes: what people should know of it.
    """

    path: Path
    target: Path
    config: InferenceConfig
    search: Search
    size: tuple[int, int]
    notes: tuple[str, ...] = ()

    def to_image(self, pose: Pose) -> Pose:
        """A pose in px of `search.image`."""
        factor = self.search.factor
        return replace(pose, keypoints=(pose.keypoints + 0.5) / factor - 0.5)


def map_photos(
    function: Callable[[Photo], R],
    backend: Backend,
    files: Iterable[tuple[Path, Path] | UserError],
    config: InferenceConfig,
    num_threads: int | None = None,
) -> Generator[R | UserError, None, None]:
    """The results of `function` for each `Photo` after its search; each is decoded once.

    Args:
        function: runs in threads, as reading and decoding do, while the network is busy with other
            photographs. It may raise `UserError`.
        files: pairs (photo, target) of paths; a `UserError` in the place of one goes through.
        num_threads: None for one a core.

    Yields:
        In order, the result for each, or the `UserError` with the reason why it cannot be used.
    """
    if config.mode == "search":
        _ = backend.finder  # loaded before threads ask for it
    with open_pool(num_threads) as pool:
        start = functools.partial(start_photo, backend=backend)
        open_file = functools.partial(open_photo, config=config)
        opened = map_ahead(pool, open_file, files, backend.batch_size)
        groups = group_photos(opened, backend.batch_size)
        decoding: list[Future] = []
        writing: list[Future] = []
        for group in itertools.chain(groups, [[]]):
            following = [pool.submit(attempt, start, photo) for photo in group]
            photos = [future.result() for future in decoding]
            searches = [photo.search for photo in photos if isinstance(photo, Photo)]
            run_searches(searches, backend, pool.map)
            yield from (future.result() for future in writing)
            writing = [pool.submit(attempt, function, photo) for photo in photos]
            decoding = following
        yield from (future.result() for future in writing)


def open_photo(file: tuple[Path, Path], config: InferenceConfig) -> OpenedPhoto:
    """The photograph of a pair (photo, target); its header is read.

    Raises:
        UserError: the file cannot be read, or is no picture.
    """
    path, target = file
    config = config.for_photo(path)
    try:
        if path.exists() and not path.is_file():
            raise UserError("is a folder, a device or a pipe, not a file")
        picture = Picture(path.read_bytes())
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}") from None
    size, num_pixels = picture.read_header()
    first = next(config.start(size), Look([]))
    return OpenedPhoto(path, target, config, picture, size, num_pixels, len(first.crops))


def start_photo(opened: OpenedPhoto, backend: Backend) -> Photo:
    """The photograph, decoded, with its search and the search's first model inputs.

    Raises:
        BadImageError: it cannot be decoded, or shows nothing where its people are looked for.
    """
    picture, config = opened.picture, opened.config
    image, factor = picture.decode()
    picture.forget()
    search = config.open_search(image, backend, factor)
    size = image.size if factor == 1 else opened.size
    notes = (*picture.notes, *describe_bboxes(config.bboxes, size))
    return Photo(opened.path, opened.target, config, search, size, notes)


def describe_bboxes(bboxes: Iterable[BBox], size: tuple[int, int]) -> Iterator[str]:
    """Yield a text on each bbox that lies outside of a picture of `size` for the most part."""
    for x, y, width, height in bboxes:
        inside = [
            max(0.0, min(start + length, end) - max(start, 0))
            for start, length, end in ((x, width, size[0]), (y, height, size[1]))
        ]
        if math.prod(inside) < MIN_INSIDE * width * height:
            box = f"{x:g},{y:g},{width:g},{height:g}"
            yield f"the box {box} reaches outside of its {size[0]} x {size[1]} px"


def group_photos(photos: Iterable[OpenedPhoto | UserError], batch_size: int) -> Iterator[list]:
    """Lists of photographs that are searched together; bad ones are in their places."""
    group: list[OpenedPhoto | UserError] = []
    num_inputs = num_pixels = 0
    for photo in photos:
        inputs, size = 0, 0
        if isinstance(photo, OpenedPhoto):
            inputs, size = photo.num_inputs, photo.num_pixels
        is_full = num_inputs >= BATCHES_TOGETHER * batch_size or len(group) == batch_size
        if is_full or (group and num_pixels + size > PIXELS_TOGETHER):
            yield group
            group, num_inputs, num_pixels = [], 0, 0
        group.append(photo)
        num_inputs, num_pixels = num_inputs + inputs, num_pixels + size
    yield group
