"""One's own photographs: picture files in; drawn pictures and the keypoints of one person out."""

import functools
import itertools
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hourglass import geometry
from hourglass.errors import UserError
from hourglass.files import atomic_path, write_json
from hourglass.prediction.drawing import draw_pose
from hourglass.prediction.threads import map_ahead, open_pool
from hourglass.records.images import BadImageError, crop_square, decode_image
from hourglass.skeleton import JOINTS

BATCH_SIZE = 16  # photographs a device


@dataclass(frozen=True)
class Photo:
    """A photograph on its way through the network.

    Attributes:
        path: its file, and data: the bytes of it.
        target: where to write, without the suffix.
        view: what the network sees, uint8 [S, S, 3].
        to_picture: transform [2, 3] from px of the view to those of the upright picture.
    """

    path: Path
    target: Path
    data: bytes
    view: np.ndarray
    to_picture: np.ndarray


def predict_files(predictor, files, box=None):
    """Write `target`.png, the drawn picture, and `target`.json, the joints, of each photograph.

    Some are decoded and others drawn, in threads, while the network works on a batch.

    Args:
        files: pairs (photo, target) of paths.
        box: x, y, width, height of the person, px of the upright picture; None: all of it.

    Yields:
        For each in order (picture's path, record's path, mean score), or the `UserError` that says
        why it cannot be used.
    """
    batch_size = BATCH_SIZE * predictor.strategy.num_replicas_in_sync
    read = functools.partial(read_photo, box=box, size=predictor.size)
    write = functools.partial(write_pose, box=box)
    with open_pool() as pool:
        photos = map_ahead(pool, read, files, batch_size)
        poses = find_poses(predictor, photos, batch_size)
        yield from map_ahead(pool, write, poses, batch_size)


def read_photo(file, box, size):
    """The photograph of a pair (photo, target), with its view of `size` px.

    Raises:
        UserError: the file cannot be read or decoded, or the box lies outside of the picture.
    """
    path, target = file
    if path.exists() and not path.is_file():
        raise UserError("is a device or a pipe, not a file")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}") from None
    image, _ = decode_image(data)
    return Photo(path, target, data, *cut_view(image, box, size))


def cut_view(image, box, size):
    """What the network sees of a picture.

    Args:
        image: PIL, RGB.
        box: x, y, width, height of the person, px; the view is the square around it, with the
            margin that the network was trained with. None: the square around the whole picture,
            letterboxed, never squashed.
        size: S.

    Returns:
        uint8 [S, S, 3], and the transform [2, 3] from its px to the picture's.

    Raises:
        BadImageError: the box lies outside of the picture, or this is too narrow.
    """
    x, y, width, height = box or (0, 0, *image.size)
    # Around a person there is margin, as in training; around a whole picture there is nothing.
    side = max(width, height) * (geometry.CROP_FACTOR if box else 1)
    left, top = round(x + width / 2 - side / 2), round(y + height / 2 - side / 2)
    square = (left, top, max(1, round(side)))  # whole px of the picture
    try:
        view = np.asarray(crop_square(image, 1, square, size))
    except BadImageError:
        picture = f"a picture of {image.width} x {image.height} px"
        raise BadImageError(
            f"the box {x:g},{y:g},{width:g},{height:g} leaves nothing to see of {picture}; fix "
            "the box"
            if box
            else f"{picture} is too narrow to see anybody; name a --box within it"
        ) from None
    return view, geometry.square_transform(square, size)


def find_poses(predictor, photos, batch_size):
    """Send photographs through the network, in batches.

    Yields:
        For each in order (photo, keypoints [16, 2], px of the upright picture, scores [16]); a
        `UserError` among them goes through.
    """
    while batch := list(itertools.islice(photos, batch_size)):
        usable = [photo for photo in batch if isinstance(photo, Photo)]
        found = iter(_predict_batch(predictor, usable) if usable else ())
        for photo in batch:
            yield photo if isinstance(photo, UserError) else next(found)


def _predict_batch(predictor, photos):
    views = np.stack([photo.view for photo in photos])
    # Each device needs something to do: the batch is repeated up to their number.
    number = max(len(views), predictor.strategy.num_replicas_in_sync)
    keypoints, scores = predictor.predict_views(np.resize(views, (number, *views.shape[1:])))
    for photo, points, sure in zip(photos, keypoints.numpy(), scores.numpy(), strict=False):
        yield photo, geometry.apply_transform(photo.to_picture, points), sure


def write_pose(pose, box):
    """Write the drawn picture and the record of what `find_poses` gives of a photograph.

    Returns:
        Their paths, and the mean score.
    """
    photo, keypoints, scores = pose
    target = photo.target
    picture, record = (target.with_name(f"{target.name}.{kind}") for kind in ("png", "json"))
    # Decoded a second time, which is quick beside the encoding: kept until now, the pictures under
    # way would fill the memory.
    image, _ = decode_image(photo.data)
    with atomic_path(picture) as temporary:
        # It looks for runs alone: 25 to 40 % of the time, a tenth more bytes.
        draw_pose(image, keypoints).save(temporary, format="PNG", compress_type=zlib.Z_RLE)
    joints = {
        name: {"x": round(float(x), 2), "y": round(float(y), 2), "score": round(float(score), 4)}
        for name, (x, y), score in zip(JOINTS, keypoints, scores, strict=True)
    }
    write_json(record, {"image": str(photo.path), "box": box, "joints": joints})
    return picture, record, scores.mean()
