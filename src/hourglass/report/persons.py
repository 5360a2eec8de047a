"""The part of the report with pictures: persons found well, and persons found badly."""

import base64
import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from hourglass.config import list_datasets
from hourglass.data.datasets.base import find_dataset
from hourglass.report.markup import Markup, element, join, section
from hourglass.report.results import FIGURE_GROUPS, PREDICT_AGAIN, PersonFigure, Results
from hourglass.utils.errors import UserError

MAX_PICTURES = 6  # of each group: some 0.6 MB in all
JPEG_QUALITY = 70


def choose_figures(figures: Sequence[PersonFigure], group: str) -> Sequence[PersonFigure]:
    """At most `MAX_PICTURES` of a group: the very best, the very worst, or an even spread."""
    members = [figure for figure in figures if figure.group == group]
    if group == "worst":
        return members[-MAX_PICTURES:]
    if group == "middle" and members:
        step = max(1.0, len(members) / MAX_PICTURES)
        members = [members[int(k * step)] for k in range(min(len(members), MAX_PICTURES))]
    return members[:MAX_PICTURES]


def embed_picture(path: Path) -> tuple[str, tuple[int, int]]:
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
        raise UserError(f"{path}: damaged; {PREDICT_AGAIN}") from None
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}", size


_TITLES = {"best": "The best", "middle": "In between", "worst": "The worst"}


def show_persons(results: Results) -> Markup:
    """The section of the best, some middle and the worst persons, or the reason it has none."""
    title = "Persons, from the best to the worst"
    reason = _why_none(results)
    if reason:
        return section(title, element("p", reason))
    about = (
        "Each person is shown twice: the labels on the left, the prediction on the right. Orange "
        "is the person’s right side, blue the left."
    )
    groups = (_show_group(group, choose_figures(results.figures, group)) for group in FIGURE_GROUPS)
    return section(title, element("p", about), *groups)


def _why_none(results: Results) -> str | None:
    """Why there are no pictures, or None."""
    data, choice = results.params.data, results.params.report.pictures
    if not results.figures:
        return "None were rendered (predict.num_figures)."
    where = "They lie in reports/figures of the run."
    if choice == "none":
        return f"This report holds no pictures (report.pictures: none). {where}"
    datasets = map(find_dataset, list_datasets(data.dataset, data.sets))
    kept = [f"{each.title} is by {each.terms}." for each in datasets if not each.is_free]
    if choice == "free" and kept:
        return (
            f"This report holds no pictures and can be passed on. {' '.join(kept)} {where} For "
            "your own use, report.pictures: all puts them in."
        )
    return None


def _show_group(group: str, figures: Sequence[PersonFigure]) -> Markup:
    if not figures:
        return Markup()
    return join(
        [
            element("h3", _TITLES[group]),
            element("div", *map(_show_figure, figures), class_="persons"),
        ]
    )


def _show_figure(figure: PersonFigure) -> Markup:
    url, (width, height) = embed_picture(figure.path)
    alt = f"{figure.picture}: the labels on the left, the prediction on the right"
    picture = element("img", src=url, alt=alt, width=width, height=height)
    return element("figure", picture, element("figcaption", figure.picture))
