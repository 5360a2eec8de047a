"""Whole pictures with the squares of their people, and views of them to train a detector on.

A square is (x, y, side): the middle of a person's box and its longer side, px, pixel centres at
integers. It decides the crop that the pose network sees of the person.
"""

import io
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from hourglass.data.archives import open_images
from hourglass.data.person import Person, find_set, load_persons
from hourglass.utils.images import decode_image
from hourglass.utils.transforms import BOX_MARGIN, CENTER_SHIFT

STORED = 384  # px of the longer side that pictures are kept at
OUTLINE = 1.04  # longer side of a person's outline to that of the box around all joints
MIN_SHARE = 0.4  # of a person within a view: less of it is no person to be found
MIN_SIDE = 12  # px of a view: smaller people are no people to be found
INCOMPLETE = 0.2  # what it counts that nobody is found in a picture that may show others
CORNERS = ((0, 0), (1, 0), (0, 1), (1, 1))  # of four scenes, in halves of a view


class Scene(NamedTuple):
    """A picture and its people.

    Attributes:
        jpeg: the picture at `STORED` px, encoded.
        squares: float64 [M, 3], px of that.
        is_complete: whether it shows no other people.
    """

    jpeg: bytes
    squares: np.ndarray
    is_complete: bool


class View(NamedTuple):
    """What a detector is shown, and what it should find.

    Attributes:
        pixels: uint8 [S, S, 3].
        squares: float64 [M, 3], px, of the people to find.
        unknown: float64 [U, 5], left, top, right, bottom, px, of a part where others may be, and
            what it counts that nobody is found there: 0 to 1.
    """

    pixels: np.ndarray
    squares: np.ndarray
    unknown: np.ndarray


def read_scenes(
    annotations: Path, archive: Path, complete: Collection[str]
) -> dict[str, list[Scene]]:
    """The scenes of each set of a split.

    Args:
        annotations: the split's file, of the parse stage.
        archive: of its pictures.
        complete: the sets whose pictures have all their people labelled, with boxes. Of the others
            a person's box is made of its joints.
    """
    # Of one picture the persons need not stand together: COCO's own files scatter them.
    by_image: dict[str, list[Person]] = {}
    for person in load_persons(annotations):
        by_image.setdefault(person.image, []).append(person)
    pictures = open_images(archive)
    scenes: dict[str, list[Scene]] = {}
    for image, persons in by_image.items():
        name = find_set(image)
        squares = np.array([person_square(person, name in complete) for person in persons])
        scene = _make_scene(pictures.read(image), squares, name in complete)
        scenes.setdefault(name, []).append(scene)
    return scenes


def person_square(person: Person, has_box: bool) -> tuple[float, float, float]:
    """The square of a person, by its box, or by its joints."""
    if has_box:
        x, y = person.center
        return x, y + CENTER_SHIFT * person.scale, 200 * person.scale / BOX_MARGIN
    joints = person.joints[person.keypoints_visible]
    low, high = joints.min(axis=0), joints.max(axis=0)
    x, y = (low + high) / 2
    return x, y, OUTLINE * (high - low).max()


def _make_scene(data: bytes, squares: np.ndarray, is_complete: bool) -> Scene:
    image, factor = decode_image(data)
    shrunk = min(1.0, STORED / max(image.size))
    size = [max(1, round(length * shrunk)) for length in image.size]
    encoded = io.BytesIO()
    image.resize(size, Image.Resampling.LANCZOS, reducing_gap=2).save(encoded, "JPEG", quality=90)
    return Scene(encoded.getvalue(), scale_squares(squares, shrunk / factor), is_complete)


def scale_squares(squares: np.ndarray, factor: float) -> np.ndarray:
    """Squares [M, 3] on the same picture, `factor` times as large."""
    middles = (squares[:, :2] + 0.5) * factor - 0.5
    return np.concatenate([middles, factor * squares[:, 2:]], axis=1)


def whole_view(scene: Scene, size: int) -> View:
    """A scene as `hourglass predict` shows it: all of it, in the middle of a square."""
    image = Image.open(io.BytesIO(scene.jpeg)).convert("RGB")
    side = max(image.size)
    left, top = ((length - side) // 2 for length in image.size)
    return _cut(image, scene, (left, top, side), size)


def draw_view(scenes: Sequence[Scene], size: int, rng: np.random.Generator) -> View:
    """A random view: of one scene, or of four side by side, each of a size of its own."""
    if len(scenes) == 1:
        return _vary(scenes[0], size, rng, zoom=(0.7, 1.6))
    pixels, squares, unknown = np.zeros((size, size, 3), np.uint8), [], []
    half = size // 2
    for scene, corner in zip(scenes, CORNERS, strict=True):
        part = _vary(scene, half, rng, zoom=(0.9, 1.3))
        left, top = (half * k for k in corner)
        pixels[top : top + half, left : left + half] = part.pixels
        squares.append(part.squares + np.array([left, top, 0]))
        unknown.append(part.unknown + np.array([left, top, left, top, 0]))
    return View(pixels, np.concatenate(squares), np.concatenate(unknown))


def _vary(scene: Scene, size: int, rng: np.random.Generator, zoom: tuple[float, float]) -> View:
    image = Image.open(io.BytesIO(scene.jpeg)).convert("RGB")
    side = max(image.size) * np.exp(rng.uniform(*np.log(zoom))) ** rng.choice((-1, 1))
    free = np.array(image.size) - side  # what lies beyond the view, or beyond the picture
    left, top = (rng.uniform(*sorted((0, length))) for length in free)
    view = _cut(image, scene, (left, top, side), size)
    gains = rng.uniform(0.7, 1.3, 3)
    pixels = np.clip(view.pixels * gains, 0, 255).astype(np.uint8)
    view = view._replace(pixels=pixels)
    return mirror_view(view) if rng.random() < 0.5 else view


def mirror_view(view: View) -> View:
    """A view in a mirror."""
    size = len(view.pixels)
    squares, unknown = view.squares.copy(), view.unknown.copy()
    squares[:, 0] = size - 1 - squares[:, 0]
    unknown[:, [0, 2]] = size - 1 - unknown[:, [2, 0]]
    return View(view.pixels[:, ::-1], squares, unknown)


def _cut(image: Image.Image, scene: Scene, crop: tuple[float, float, float], size: int) -> View:
    """The view of a crop: left and top edge and side, px; black beyond the picture."""
    left, top, side = crop
    step = max(1, int(side / size))  # what it shrinks is smoothed
    edges = [edge / step for edge in (left, top, left + side, top + side)]
    pixels = image.reduce(step).transform(
        (size, size), Image.Transform.EXTENT, edges, Image.Resampling.BILINEAR
    )
    middles = (scene.squares[:, :2] - (left, top) + 0.5) * size / side - 0.5
    squares = np.concatenate([middles, scene.squares[:, 2:] * size / side], axis=1)
    return _judge(np.asarray(pixels), squares, scene.is_complete)


def _judge(pixels: np.ndarray, squares: np.ndarray, is_complete: bool) -> View:
    """The view with those of its people who are to be found; where the others are is unknown."""
    size = len(pixels)
    low, high = squares[:, :2] - squares[:, 2:] / 2, squares[:, :2] + squares[:, 2:] / 2
    inside = np.clip(high, -0.5, size - 0.5) - np.clip(low, -0.5, size - 0.5)
    share = inside.prod(axis=1) / np.maximum(squares[:, 2], 1e-6) ** 2
    is_there = ((squares[:, :2] >= 0) & (squares[:, :2] <= size - 1)).all(axis=1)
    to_find = is_there & (share >= MIN_SHARE) & (squares[:, 2] >= MIN_SIDE)
    unknown = np.concatenate([low, high, np.zeros((len(low), 1))], axis=1)[~to_find & (share > 0)]
    if not is_complete:
        everywhere = [-0.5, -0.5, size - 0.5, size - 0.5, INCOMPLETE]
        unknown = np.concatenate([unknown, [everywhere]])
    return View(pixels, squares[to_find], unknown)
