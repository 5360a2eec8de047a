"""Searches at work: crops cut out of pictures, through the network together, and taken back."""

import contextlib

import numpy as np

from hourglass.utils import transforms
from hourglass.utils.images import BadImageError, cut_crop

# Px of the picture to a view px that a JPEG's decoder, or a mean of pixels, may leave: fewer, and
# the smoothing of the last step would not hide theirs.
FINENESS = 2


class Search:
    """A search (`people.py`) of one picture, with the inputs that it waits for.

    Args:
        generator: the search itself.
        decode: function of a reduction that gives the picture, as `images.decode_image` does.

    Attributes:
        crops: n of (x, y, side), which it wants looked at; none when it has ended, which may be
            before any look.
        inputs: uint8 [n, S, S, 3] of them, once `cut_crops` has run.
        poses: what it has found, when it has ended.
    """

    def __init__(self, generator, decode):
        self.crops = []
        self.inputs = None
        self.poses = None
        self._generator = generator
        self._decode = decode
        self._go_on(None)

    def cut_crops(self, size, decoded=None):
        """Cut what the crops show out of the picture, black outside of it.

        Args:
            size: S.
            decoded: the picture and its factor, where they are at hand.

        Returns:
            Whether any of the crops shows anything of the picture.
        """
        reduction = max(1, min(side for *_, side in self.crops) / size / FINENESS)
        image, factor = decoded or self._decode(reduction)
        if (further := int(reduction / factor)) > 1:
            # One mean for all crops: each would otherwise smooth the whole picture for itself.
            image, factor = image.reduce(further), factor * further
        self.inputs = np.zeros((len(self.crops), size, size, 3), np.uint8)
        num_seen = 0
        for view, crop in zip(self.inputs, self.crops, strict=True):
            with contextlib.suppress(BadImageError):
                view[:] = cut_crop(image, factor, crop, size)
                num_seen += 1
        return num_seen > 0

    def take_keypoints(self, keypoints, scores):
        """Go on with what the network has found in the inputs.

        Args:
            keypoints: [n, 16, 2], px of the inputs. scores: [n, 16].
        """
        size, self.inputs = self.inputs.shape[1], None
        to_picture = [transforms.crop_transform(crop, size) for crop in self.crops]
        keypoints = [
            transforms.apply_transform(transform, points)
            for transform, points in zip(to_picture, keypoints, strict=True)
        ]
        self._go_on((np.array(keypoints), scores))

    def _go_on(self, seen):
        try:
            self.crops = self._generator.send(seen)
        except StopIteration as end:
            self.crops, self.poses = [], end.value


def cut_in_turn(searches, size):
    """Have each of some searches cut its next inputs, of `size` px."""
    for search in searches:
        search.cut_crops(size)


def run_searches(searches, backend, cut_crops=cut_in_turn):
    """Run the searches of many pictures to their ends, side by side: their looks share batches.

    Args:
        searches: list of `Search` whose first inputs are cut.
        backend: a backend (`backends.py`).
        cut_crops: what does the work of `cut_in_turn` after each round.
    """
    searches = [search for search in searches if search.crops]
    number = backend.batch_size
    while searches:
        inputs = np.concatenate([search.inputs for search in searches])
        found = [backend(inputs[k : k + number]) for k in range(0, len(inputs), number)]
        keypoints, scores = (np.concatenate(parts) for parts in zip(*found, strict=True))
        ends = np.cumsum([len(search.crops) for search in searches])[:-1]
        parts = (np.split(values, ends) for values in (keypoints, scores))
        for search, *joints in zip(searches, *parts, strict=True):
            search.take_keypoints(*joints)
        searches = [search for search in searches if search.crops]
        cut_crops(searches, backend.size)
