"""The whole page: one file that loads nothing and runs nothing."""

from pathlib import Path
from typing import Any

from hourglass.config import list_datasets
from hourglass.data.datasets.base import name_datasets
from hourglass.report.markup import Markup, element, join, number
from hourglass.report.persons import show_persons
from hourglass.report.recipe import show_invalid, show_recipe, show_setup
from hourglass.report.results import Results
from hourglass.report.scores import show_scores, show_training
from hourglass.utils.files import write_text

# The browser holds the page to it: no script, and nothing from anywhere else.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def write_page(path: str | Path, results: Results) -> None:
    """Write the report of a run, atomically; the same results give the same bytes.

    Raises:
        UserError: a figure is damaged.
    """
    write_text(path, f"<!doctype html>\n{_build_page(results)}\n")


def _build_page(results: Results) -> Markup:
    data = results.params.data
    title = f"Human pose estimation on {name_datasets(list_datasets(data.dataset, data.sets))}"
    sections = (
        show_setup, show_scores, show_training, show_persons, show_invalid, show_recipe,
    )  # fmt: skip
    shown = [show(results) for show in sections]
    main = element("main", element("h1", title), _introduce(results.metrics), *shown)
    return element("html", _build_head(title), element("body", main), lang="en")


def _build_head(title: str) -> Markup:
    style = Markup(Path(__file__).with_name("style.css").read_text(encoding="utf-8"))
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("link", rel="icon", href="data:,"),  # or a server would be asked for one
        element("title", title),
        element("style", style),
    )


def _introduce(metrics: dict[str, Any]) -> Markup:
    parts = [
        number(metrics["pckh"]["total"], 1), " % of the labelled joints of ",
        number(metrics["num_persons"]), " validation persons lie within half a head size of their "
        "labels, ", number(metrics["pckh_0.1"]["total"], 1), " % within a tenth.",
    ]  # fmt: skip
    return element("p", join(parts), class_="lead")
