import itertools
import json
import re
from pathlib import Path

import pytest

from helpers.pages import Page
from hourglass.data.invalid import InvalidRecord, write_invalid
from hourglass.report.page import write_page

TILES = {
    "PCKh@0.5": lambda m: m["pckh"]["total"],
    "PCKh@0.1": lambda m: m["pckh_0.1"]["total"],
    "area under the curve": lambda m: m["auc"],
    "PCKh@0.5, mean of the joints": lambda m: m["pckh"]["unweighted"],
    "persons": lambda m: m["num_persons"],
    "labelled joints": lambda m: m["num_joints"],
    "persons without a prediction, counted as wrong": lambda m: m["num_invalid"],
    "records unreadable, not counted": lambda m: m["num_unreadable"],
}
SCORES = "PCKh by joint and threshold"


@pytest.fixture
def write(load):
    """A function that writes the page, with changed parameters, and reads it."""

    def write_changed(**sections):
        write_page("reports/index.html", load(**sections))
        return Page(Path("reports/index.html").read_text(encoding="utf-8"))

    return write_changed


def read_metrics():
    return json.loads(Path("reports/metrics.json").read_text())


def numbers_in(value):
    return (
        [n for v in value.values() for n in numbers_in(v)] if isinstance(value, dict) else [value]
    )


def test_its_figures_are_those_of_the_metrics(write):
    page, metrics = write(), read_metrics()
    for term, find in TILES.items():
        text, value = page.terms[term]
        assert value == find(metrics)
        assert float(text.replace(",", "")) == round(find(metrics), 2)
    header, *rows = page.tables[SCORES]
    assert header == ["joint", "@0.1", "@0.2", "@0.3", "@0.4", "@0.5"]
    groups = {name: v for name, v in metrics["pckh"].items() if name != "unweighted"}
    assert [row[0] for row in rows] == list(groups)
    for name, *cells in rows:
        assert cells[-1] == f"{groups[name]:.2f}"
    assert rows[0][1] == f"{metrics['pckh_0.1']['total']:.2f}"
    # None of them is missing, and each with all of its digits.
    assert set(numbers_in(metrics)) <= {value for value, _ in page.numbers}


def test_its_curve_is_that_of_the_plots(write):
    page = write()
    lines = Path("reports/plots/pckh_curve.csv").read_text().splitlines()
    rows = [line.split(",") for line in lines[1:]]
    for k, (_, *cells) in enumerate(page.tables[SCORES][1:], start=1):
        shown = [rows[hundredths][k] for hundredths in (10, 20, 30, 40, 50)]
        assert cells == [f"{float(value):.2f}" for value in shown]


def test_its_first_sentence_says_how_good_it_is(write):
    metrics = read_metrics()
    assert (
        f"{metrics['pckh']['total']:.1f} % of the labelled joints of 20 validation persons lie "
        "within half a head size of their labels, "
        f"{metrics['pckh_0.1']['total']:.1f} % within a tenth."
    ) in write().text


def test_a_score_of_nothing_is_a_dash(write):
    path = Path("reports/metrics.json")
    metrics = read_metrics()
    metrics["pckh"]["wrist"] = metrics["auc"] = None
    path.write_text(json.dumps(metrics))
    page = write()
    assert page.terms["area under the curve"] == ("–", None)
    assert next(row for row in page.tables[SCORES] if row[0] == "wrist")[-1] == "–"


def test_it_loads_and_runs_nothing(write):
    page = write()
    assert len(page.loads()) > 10 and all(url.startswith("data:") for url in page.loads())
    text = Path("reports/index.html").read_text()
    assert not re.search(r"<script|javascript:|@import|url\(|\son\w+=|https?://", text)
    (policy,) = [m["content"] for m in page.named("meta") if "http-equiv" in m]
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert len(text) < 2_000_000


def test_the_same_results_are_the_same_bytes_wherever_they_lie(write, project):
    write()
    before = Path("reports/index.html").read_bytes()
    write()
    assert Path("reports/index.html").read_bytes() == before
    for word in (str(project), project.name, str(Path.home()) + "/", "data/own"):
        assert word.encode() not in before


HOSTILE = "<img src=x onerror=alert(1)>&amp;\"'"


def test_what_the_data_say_stays_text(write, project):
    figures = project / "reports/figures"
    (figures / "01_best_b1.jpg").rename(figures / f"01_best_{HOSTILE}.jpg")
    reason = "</td></table><script>alert(1)</script>"
    write_invalid("data/annotations/invalid.csv", [InvalidRecord("train", 1, HOSTILE, reason, "")])
    page = write()
    assert page.named("script") == []
    assert page.named("img")[0]["alt"].startswith(f"{HOSTILE}: the labels")
    assert len(page.named("img")) == 18
    assert page.tables["Invalid records by reason"][1][0] == reason


def test_who_cannot_see_it_is_told(write):
    page = write()
    assert page.named("html") == [{"lang": "en"}]
    assert all(picture["alt"] for picture in page.named("img"))
    charts = [svg for svg in page.named("svg") if svg["class"] == "chart"]
    assert len(charts) == 3 and all(svg["role"] == "img" and svg["aria-label"] for svg in charts)
    assert all(th["scope"] in ("col", "row") for th in page.named("th"))
    assert len(page.tables) == len(page.named("table")) == 3
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and all(b <= a + 1 for a, b in itertools.pairwise(levels))
