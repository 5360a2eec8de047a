"""One's own photographs: picture files in; each out with what a search has found on it."""

import functools
from dataclasses import dataclass
from pathlib import Path

from hourglass.inference import person_search
from hourglass.inference.crops import Search, run_searches
from hourglass.utils.errors import UserError
from hourglass.utils.images import BadImageError, decode_image
from hourglass.utils.parallel import map_ahead, open_pool

# Of the first inputs of photographs that are searched together. The further looks are few on each.
BATCHES_TOGETHER = 8


@dataclass(frozen=True)
class InferenceConfig:
    """Whom to look for on each photograph.

    Attributes:
        mode: "search": whoever is there. "bbox": the person in `bbox`. "whole": the one person whom
            the whole picture shows.
        bbox: x, y, width, height, px of the upright picture.
        num_people: how many to find, at most; a search.
        threshold: the least score of a person; a search. None: whoever is told to be there is.
    """

    mode: str = "search"
    bbox: tuple | None = None
    num_people: int = 1
    threshold: float | None = person_search.THRESHOLD

    @property
    def num_inputs(self):
        """About how many inputs of a picture the network is shown."""
        return {"search": person_search.PLAN.max_crops, "bbox": 2, "whole": 1}[self.mode]

    def start(self, size):
        """The search of a picture of `size` (width, height)."""
        if self.mode == "search":
            return person_search.find_people(size, self.num_people)
        if self.mode == "bbox":
            return person_search.estimate_pose(person_search.bbox_crop(self.bbox))
        return person_search.estimate_pose(person_search.whole_picture_crop(size), refine=False)

    def choose_people(self, poses):
        """Those of a search's poses, the best first, who are somebody."""
        if self.threshold is None:
            return poses
        return [pose for pose in poses if pose.score >= self.threshold]

    def describe_unseen(self, size):
        """Why nothing of a picture of `size` is to be seen, and what to do."""
        picture = "a picture of {} x {} px".format(*size)
        if self.mode != "bbox":
            return f"{picture} is too narrow to see anybody; name a --box within it"
        box = ",".join(f"{number:g}" for number in self.bbox)
        return f"the box {box} leaves nothing to see of {picture}; fix the box"


@dataclass(frozen=True)
class Photo:
    """A photograph on its way through the network.

    Attributes:
        path: its file, and data: the bytes of it.
        target: where to write, without the suffix; None where nothing is drawn.
        size: width and height, px, upright.
        search: what runs on it.
    """

    path: Path
    target: Path | None
    data: bytes
    size: tuple
    search: Search


def map_photos(function, backend, files, config, read=None, num_threads=None):
    """What `function` makes of each `Photo` when its search has ended.

    Some are read and others made something of, in threads, while the network works on a batch.

    Args:
        function: of a `Photo`; or it raises `UserError`.
        backend: a backend (`backends.py`).
        files: pairs (photo, target) of paths.
        config: an `InferenceConfig`.
        read: does the work of `read_photo`.
        num_threads: None for one a core.

    Yields:
        For each in order what it gives, or the `UserError` that says why it cannot be used.
    """
    read = functools.partial(read or read_photo, config=config, size=backend.size)
    with open_pool(num_threads) as pool:
        photos = map_ahead(pool, read, files, backend.batch_size)
        searched = search_photos(backend, photos, pool)
        yield from map_ahead(pool, function, searched, backend.batch_size)


def read_photo(file, config, size):
    """The photograph of a pair (photo, target), with its first inputs of `size` px.

    Raises:
        UserError: the file cannot be read or decoded, or shows nothing where it is looked at.
    """
    path, target = file
    data = _read_file(path)
    image, _ = decode_image(data)
    # Decoded anew for later looks, which is quick beside them: kept until then, the pictures under
    # way would fill the memory.
    search = Search(config.start(image.size), functools.partial(decode_image, data))
    if not search.cut_crops(size, decoded=(image, 1)):
        raise BadImageError(config.describe_unseen(image.size))
    return Photo(path, target, data, image.size, search)


def _read_file(path):
    try:
        if path.exists() and not path.is_file():
            raise UserError("is a folder, a device or a pipe, not a file")
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}") from None


def search_photos(backend, photos, pool):
    """Run the searches of photographs to their ends, as many together as fill a batch.

    Yields:
        Each in order; a `UserError` among them goes through.
    """

    def cut_crops(searches, size):
        for done in [pool.submit(search.cut_crops, size) for search in searches]:
            done.result()

    for group in _group_photos(photos, backend.batch_size):
        searches = [photo.search for photo in group if isinstance(photo, Photo)]
        run_searches(searches, backend, cut_crops)
        yield from group


def _group_photos(photos, batch_size):
    """Lists of photographs whose first inputs fill batches; the last one may be smaller."""
    group, num_inputs = [], 0
    for photo in photos:
        group.append(photo)
        num_inputs += len(photo.search.crops) if isinstance(photo, Photo) else 0
        if num_inputs >= BATCHES_TOGETHER * batch_size or len(group) == batch_size:
            yield group
            group, num_inputs = [], 0
    yield group
