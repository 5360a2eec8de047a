"""The styles of stickers, and somebody portrayed in one of them."""

from hourglass.apps.stickers.cutouts import Cutout
from hourglass.apps.stickers.drawings import (
    Drawing,
    draw_bold_figure,
    draw_character,
    dress_body,
    find_outfit,
)
from hourglass.apps.stickers.framing import add_outline, place_windows, steady
from hourglass.apps.stickers.lifting import Build, estimate_build, lift_body
from hourglass.keypoints import JOINTS
from hourglass.utils.transforms import SURE_SCORE

STYLES = ("figure", "cutout", "cartoon")


class Portrait:
    """Somebody in one style, on one picture or in frames of a clip.

    Attributes:
        times: of the frames, s.
    """

    def __init__(self, style):
        self.style = style
        self.times = []
        self._poses = []  # keypoints [16, 2], the seen ones, bool [16]
        self._cutouts = []
        self._outfit = None

    def add(self, pixels, pose, time=0.0):
        """Portray them as on a picture, uint8 [H, W, 3], where their `people.Pose` is.

        Raises:
            UserError: they are to be cut out of it and lie outside of it.
        """
        seen = pose.scores >= SURE_SCORE
        body = lift_body(pose.keypoints, seen)
        if self.style == "cutout":
            names = {name for name, is_seen in zip(JOINTS, seen, strict=True) if is_seen}
            self._cutouts.append(Cutout(pixels, body, names))
        elif self.style == "cartoon" and self._outfit is None:
            self._outfit = find_outfit(pixels, body)  # nobody changes clothes in a clip
        self.times.append(time)
        self._poses.append((pose.keypoints, seen))

    def make_stickers(self):
        """A sticker of each picture, a PIL image, RGBA."""
        figures = self._cutouts or self._draw()
        windows = place_windows(self.times, [figure.box for figure in figures])
        return [
            add_outline(*figure.render(window))
            for figure, window in zip(figures, windows, strict=True)
        ]

    def _draw(self):
        builds = steady(self.times, [estimate_build(*pose) for pose in self._poses])
        bodies = [
            lift_body(*pose, Build(*build.tolist()))
            for pose, build in zip(self._poses, builds, strict=True)
        ]
        if self.style == "figure":
            return [Drawing(body, draw_bold_figure) for body in bodies]
        return [Drawing(dress_body(body, self._outfit), draw_character) for body in bodies]
