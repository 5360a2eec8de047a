"""The sizes of a zip's pictures, by their headers alone."""

from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from hourglass.data.archives import READ_ERRORS, name_pictures, open_zip, zip_members
from hourglass.utils.image_headers import BadImageError, read_stored_size


class PictureSize(NamedTuple):
    """Width and height of a picture, px: upright, and as it is stored before its EXIF turn."""

    upright: tuple[int, int]
    stored: tuple[int, int]


def read_picture_sizes(archive: Path, names: Collection[str]) -> dict[str, PictureSize]:
    """{name: its size} of the named pictures in a `.zip`.

    Names that the archive lacks are left out, and files that are no pictures: `data.validation` and
    the shards judge those.

    Raises:
        UserError: the archive is missing or damaged.
    """
    sizes = {}
    with open_zip(archive) as file:
        members = name_pictures(archive, zip_members(file))
        for name in members.keys() & set(names):
            try:
                with file.open(members[name][0]) as picture:
                    stored, is_turned = read_stored_size(picture)
            except (BadImageError, *READ_ERRORS):
                continue
            width, height = stored
            sizes[name] = PictureSize((height, width) if is_turned else stored, stored)
    return sizes
