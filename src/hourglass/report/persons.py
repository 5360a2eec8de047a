"""The figures of persons: which are shown, and how they become a part of the page.

The part of the report with pictures: persons found well, and persons found badly.
"""

import base64
import io
import re
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from hourglass.data.datasets.base import find_dataset
from hourglass.report.markup import element, join, section
from hourglass.utils.errors import UserError

GROUPS = ("best", "middle", "worst")
MAX_PICTURES = 6  # of each group: some 0.6 MB in all
JPEG_QUALITY = 70
_NAME = re.compile(rf"(\d+)_({'|'.join(GROUPS)})_(.*)\.jpg", re.DOTALL)
_PREDICT_AGAIN = "run `dvc repro predict`"


@dataclass(frozen=True)
class PersonFigure:
    """One of the files of `evaluation.figures.render_figures`."""

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
    figures = [PersonFigure(int(m[1]), m[2], m[3], path) for m, path in matches if m]
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


_TITLES = {"best": "The best", "middle": "In between", "worst": "The worst"}


def show_persons(results):
    """The section of the best, some middling and the worst persons; or why it holds none."""
    title = "Persons, from the best to the worst"
    reason = _why_none(results)
    if reason:
        return section(title, element("p", reason))
    about = (
        "Each person twice: with the labels on the left, with the prediction on the right. Orange "
        "is the person’s right side, blue the left."
    )
    groups = (_show_group(group, choose_figures(results.figures, group)) for group in GROUPS)
    return section(title, element("p", about), *groups)


def _why_none(results):
    """Why there are no pictures, or None."""
    dataset, choice = find_dataset(results.params.data.dataset), results.params.report.pictures
    if not results.figures:
        return "None were rendered (predict.num_figures)."
    where = "Whoever made this report finds them in reports/figures."
    if choice == "none":
        return f"This report holds no pictures (report.pictures: none). {where}"
    if choice == "free" and not dataset.is_free:
        return (
            "Not in this report, so that it can be passed on. "
            f"{dataset.title} is by {dataset.terms}. {where} With report.pictures: all they are "
            "in it, for one’s own use."
        )
    return None


def _show_group(group, figures):
    if not figures:
        return ""
    return join(
        [
            element("h3", _TITLES[group]),
            element("div", *map(_show_figure, figures), class_="persons"),
        ]
    )


def _show_figure(figure):
    url, (width, height) = embed_picture(figure.path)
    alt = f"{figure.picture}: the labels on the left, the prediction on the right"
    picture = element("img", src=url, alt=alt, width=width, height=height)
    return element("figure", picture, element("figcaption", figure.picture))
