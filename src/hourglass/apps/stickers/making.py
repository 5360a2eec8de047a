"""People portrayed in the styles of stickers, and the stickers of photographs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from hourglass.apps.stickers.cutouts import Cutout
from hourglass.apps.stickers.drawings import Drawing, draw_bold_figure, dress_body, find_outfit
from hourglass.apps.stickers.encoding import encode_png, encode_webp
from hourglass.apps.stickers.framing import add_outline, place_windows, steady
from hourglass.apps.stickers.lifting import Build, estimate_build, find_conversion, lift_body
from hourglass.data.synthetic.cartoons import Outfit, draw_figure
from hourglass.inference.person_search import Pose
from hourglass.inference.runner import Photo
from hourglass.keypoints import MPII, KeypointSchema
from hourglass.utils.files import atomic_path

STYLES = ("figure", "cutout", "cartoon")
STILL_KINDS, MOVING_KINDS = ("webp", "png"), ("webp", "webm")


class Portrait:
    """A person in one style, on one picture or in frames of a clip.

    Args:
        schema: of the keypoints of their poses.

    Attributes:
        times: of the frames, s.
    """

    def __init__(self, style: str, schema: KeypointSchema) -> None:
        self.style = style
        self._conversion = find_conversion(schema)
        self.times: list[float] = []
        self._poses: list[tuple[np.ndarray, np.ndarray]] = []  # MPII's keypoints, visible
        self._cutouts: list[Cutout] = []
        self._outfit: Outfit | None = None

    def add(self, pixels: np.ndarray, pose: Pose, time: float = 0.0) -> None:
        """Portray the person as on a picture, uint8 [H, W, 3], in whose px their pose is.

        Raises:
            UserError: they are to be cut out of it and lie outside of it.
        """
        everywhere = np.ones(len(pose.scores), bool)
        keypoints = self._conversion.convert_points(pose.keypoints, everywhere)
        visible = self._conversion.convert_flags(pose.visible)
        body = lift_body(keypoints, visible)
        if self.style == "cutout":
            names = {MPII.keypoints[k] for k in np.flatnonzero(visible)}
            self._cutouts.append(Cutout(pixels, body, names))
        elif self.style == "cartoon" and self._outfit is None:
            self._outfit = find_outfit(pixels, body)  # no person changes clothes in a clip
        self.times.append(time)
        self._poses.append((keypoints, visible))

    def make_stickers(self) -> list[Image.Image]:
        """A sticker of each picture, a PIL image, RGBA."""
        figures: Sequence[Cutout | Drawing] = self._cutouts or self._draw()
        windows = place_windows(self.times, [figure.box for figure in figures])
        return [
            add_outline(*figure.render(window))
            for figure, window in zip(figures, windows, strict=True)
        ]

    def _draw(self) -> list[Drawing]:
        builds = steady(self.times, [np.array(estimate_build(*pose)) for pose in self._poses])
        bodies = [
            lift_body(*pose, Build(*build.tolist()))
            for pose, build in zip(self._poses, builds, strict=True)
        ]
        if self._outfit is None:
            return [Drawing(body, draw_bold_figure) for body in bodies]
        return [Drawing(dress_body(body, self._outfit), draw_figure) for body in bodies]


class WrittenStickers(NamedTuple):
    """The stickers of a photograph or a clip; without files if no person is found.

    Attributes:
        files: the stickers.
        sizes: bytes of each.
        scores: of the people, the surest first; of a clip the last score of each.
        best: the best score of a search, also below the threshold.
        notes: what people should know of the photograph.
    """

    files: list[Path]
    sizes: list[int]
    scores: list[float]
    best: float
    notes: tuple[str, ...] = ()


def write_stickers(photo: Photo, styles: Sequence[str], schema: KeypointSchema) -> WrittenStickers:
    """Write the stickers of a photograph whose search has ended, in some of `STYLES`.

    Raises:
        UserError: a sticker cannot be made; none of this photograph is written.
    """
    found = photo.search.poses
    poses = photo.config.choose_people(found)
    pixels = np.array(photo.search.image) if poses else np.zeros(0)
    made = {}
    for number, pose in enumerate(poses, start=1):
        for style in styles:
            portrait = Portrait(style, schema)
            portrait.add(pixels, photo.to_image(pose))
            (sticker,) = portrait.make_stickers()
            for kind, encode in zip(STILL_KINDS, (encode_webp, encode_png), strict=True):
                made[name_sticker(photo.target, style, number, kind)] = encode(sticker)
    best = found[0].score if found else 0.0
    written = write_all(made, [pose.score for pose in poses], best)
    return written._replace(notes=photo.notes)


def write_all(made: Mapping[Path, bytes], scores: list[float], best: float) -> WrittenStickers:
    """Write the files of stickers, {path: bytes}, of people of these scores."""
    for path, data in made.items():
        with atomic_path(path) as temporary:
            temporary.write_bytes(data)
    return WrittenStickers(list(made), [len(data) for data in made.values()], scores, best)


def name_sticker(target: Path, style: str, number: int, kind: str) -> Path:
    """The path of the sticker of one of the people, counted from 1."""
    ending = f"_{number}" if number > 1 else ""
    return target.with_name(f"{target.name}_{style}{ending}.{kind}")
