import re

import pytest

from helpers.pages import Page
from hourglass.report.charts import Axis, Line, Style, choose_ticks, draw_chart


@pytest.mark.parametrize(
    ("high", "least", "ticks", "digits"),
    [
        (100, 0, [0, 20, 40, 60, 80, 100], 0),
        (0.5, 0, [0, 0.1, 0.2, 0.3, 0.4, 0.5], 1),
        (16, 1, [0, 5, 10, 15], 0),
        (2, 1, [0, 1, 2], 0),
        (1, 1, [0, 1], 0),
        (150, 1, [0, 50, 100, 150], 0),
        (0.0458, 0, [0, 0.01, 0.02, 0.03, 0.04], 2),
        (7e-5, 0, [0, 2e-5, 4e-5, 6e-5], 5),
    ],
)
def test_ticks_are_round_and_few(high, least, ticks, digits):
    found, found_digits = choose_ticks(high, least)
    assert found == pytest.approx(ticks) and found_digits == digits


def points_of(path):
    return [tuple(map(float, pair)) for pair in re.findall(r"[ML]([\d.-]+) ([\d.-]+)", path["d"])]


def test_points_lie_where_the_axes_say():
    points = [(0, 0), (5, 50), (10, 100)]
    line = Line(points, Style("#123456", "7 3", 2))
    page = Page(draw_chart("a chart", Axis("x", 10), Axis("y", 100), [line]))
    (path,) = [path for path in page.named("path") if path.get("stroke") == "#123456"]
    assert points_of(path) == [(48, 216), (218, 114), (388, 12)]
    assert (path["stroke-dasharray"], path["stroke-width"]) == ("7 3", "2")
    (svg,) = page.named("svg")
    assert svg["aria-label"] == "a chart" and svg["viewbox"] == "0 0 400 260"
    for text in ("x", "y", "0", "10", "100"):
        assert text in page.text


def test_a_line_is_broken_where_it_has_no_value():
    line = Line([(0, 1), (1, 2), (2, None), (3, 3), (4, 4)], Style())
    page = Page(draw_chart("", Axis("x", 4), Axis("y", 4), [line]))
    (path,) = [path for path in page.named("path") if "stroke-width" in path]
    assert re.sub(r"[\d. ]+", "", path["d"]) == "MLML"


def test_nothing_but_zeros_is_drawn():
    line = Line([(0, 0), (1, 0)], Style())
    assert "NaN" not in draw_chart("", Axis("x", 1), Axis("y", 0), [line])
