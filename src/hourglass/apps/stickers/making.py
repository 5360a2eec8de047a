"""Stickers of photographs: whom the network finds on them, in each style that is asked for."""

from typing import NamedTuple

import numpy as np

from hourglass.apps.stickers.encoding import encode_png, encode_webp
from hourglass.apps.stickers.styles import Portrait
from hourglass.utils.files import atomic_path
from hourglass.utils.images import decode_image

STILL_KINDS, MOVING_KINDS = ("webp", "png"), ("webp", "webm")


class WrittenStickers(NamedTuple):
    """What became of a photograph or a clip.

    Attributes:
        files: list of paths. sizes: bytes of each.
        scores: of the people, the surest first; of a clip the last score of each.
        best: the best score of a search, whether of somebody or not.
    """

    files: list
    sizes: list
    scores: list
    best: float


def write_stickers(photo, config, styles):
    """Write the stickers of a photograph whose search has ended.

    Args:
        photo: a `photos.Photo`. config: an `InferenceConfig`. styles: of `styles.STYLES`.

    Returns:
        `WrittenStickers`; of nobody, without files.

    Raises:
        UserError: a sticker cannot be made; none of this photograph is written.
    """
    poses = config.choose_people(photo.search.poses)
    pixels = np.array(decode_image(photo.data)[0]) if poses else None
    made = {}
    for number, pose in enumerate(poses, start=1):
        for style in styles:
            portrait = Portrait(style)
            portrait.add(pixels, pose)
            (sticker,) = portrait.make_stickers()
            for kind, encode in zip(STILL_KINDS, (encode_webp, encode_png), strict=True):
                made[name_sticker(photo.target, style, number, kind)] = encode(sticker)
    scores = [pose.score for pose in poses]
    return write_all(made, scores, photo.search.poses[0].score)


def write_all(made, scores, best):
    """Write {path: bytes}: `WrittenStickers`."""
    for path, data in made.items():
        with atomic_path(path) as temporary:
            temporary.write_bytes(data)
    return WrittenStickers(list(made), [len(data) for data in made.values()], scores, best)


def name_sticker(target, style, number, kind):
    """The path of the sticker of one of the people, counted from 1."""
    ending = f"_{number}" if number > 1 else ""
    return target.with_name(f"{target.name}_{style}{ending}.{kind}")
