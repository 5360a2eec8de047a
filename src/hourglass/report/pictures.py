"""The figures of persons: which are shown, and how they become a part of the page."""

import base64
import io
import re
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from hourglass.errors import UserError

GROUPS = ("best", "middle", "worst")
MAX_PICTURES = 6  # of each group: some 0.6 MB in all
JPEG_QUALITY = 70
_NAME = re.compile(rf"(\d+)_({'|'.join(GROUPS)})_(.*)\.jpg", re.DOTALL)
_PREDICT_AGAIN = "run `dvc repro predict`"


@dataclass(frozen=True)
class Figure:
    """One of the files of `prediction.figures.render_figures`."""

    rank: int  # from 1, the best
    group: str  # of `GROUPS`
    picture: str  # the name of the person's picture
    path: Path


def list_figures(folder):
    """The figures in a folder, the best person first; none where none were asked for.

    Raises:
        UserError: there is no such folder.
    """
    if not Path(folder).is_dir():
        raise UserError(f"{folder}: not found; {_PREDICT_AGAIN}")
    matches = [(_NAME.fullmatch(path.name), path) for path in Path(folder).iterdir()]
    figures = [Figure(int(m[1]), m[2], m[3], path) for m, path in matches if m]
    return sorted(figures, key=lambda figure: figure.rank)


def choose_figures(figures, group):
    """At most `MAX_PICTURES` of a group: the very best, the very worst, or an even spread."""
    members = [figure for figure in figures if figure.group == group]
    if group == "worst":
        return members[-MAX_PICTURES:]
    if group == "middle" and members:
        step = max(1.0, len(members) / MAX_PICTURES)
        members = [members[int(k * step)] for k in range(min(len(members), MAX_PICTURES))]
    return members[:MAX_PICTURES]


def embed_picture(path):
    """A picture as a `data:` URL, made smaller by stronger compression, and its (width, height).

    Raises:
        UserError: it cannot be read.
    """
    file = io.BytesIO()
    try:
        with Image.open(path) as picture:
            size = picture.size
            picture.convert("RGB").save(file, "JPEG", quality=JPEG_QUALITY, optimize=True)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        raise UserError(f"{path}: damaged; {_PREDICT_AGAIN}") from None
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}", size
