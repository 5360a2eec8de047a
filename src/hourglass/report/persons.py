"""The part of the report with pictures: persons found well, and persons found badly."""

from hourglass.report.markup import element, join, section
from hourglass.report.pictures import GROUPS, choose_figures, embed_picture
from hourglass.report.sources import SOURCES

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
    source, choice = SOURCES[results.params.data.dataset], results.params.report.pictures
    if not results.figures:
        return "None were rendered (predict.num_figures)."
    where = "Whoever made this report finds them in reports/figures."
    if choice == "none":
        return f"This report holds no pictures (report.pictures: none). {where}"
    if choice == "free" and not source.is_free:
        return (
            f"Not in this report, so that it can be passed on. {source.name} is by {source.terms}. "
            f"{where} With report.pictures: all they are in it, for one’s own use."
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
