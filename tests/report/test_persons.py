import base64
import io

import pytest
from PIL import Image

from helpers.pages import Page
from hourglass.report.persons import show_persons


def show(load, **changes):
    return Page(show_persons(load(**changes)))


def test_the_best_the_worst_and_an_even_spread_are_shown(load):
    page = show(load)
    names = [picture["alt"].split(":")[0] for picture in page.named("img")]
    assert names[:6] == ["b1", "b2", "b3", "b4", "b5", "b6"]
    assert names[6:12] == ["m9", "m24", "m39", "m54", "m69", "m84"]  # of 91
    assert names[12:] == ["w102", "w103", "w104", "w105", "w106", "w107"]
    assert all(title in page.text for title in ("The best", "In between", "The worst"))
    for picture in page.named("img"):
        data = base64.b64decode(picture["src"].removeprefix("data:image/jpeg;base64,"))
        with Image.open(io.BytesIO(data)) as found:
            assert found.size == (int(picture["width"]), int(picture["height"])) == (52, 29)


@pytest.mark.parametrize("dataset", ["mpii", "lspet"])
def test_pictures_that_may_not_be_passed_on_are_not_in_it(load, dataset):
    page = show(load, data={"dataset": dataset})
    assert page.named("img") == []
    assert "Not in this report, so that it can be passed on." in page.text
    assert "for research, not for commercial use" in page.text
    assert "reports/figures" in page.text


def test_they_are_where_they_are_asked_for(load):
    page = show(load, data={"dataset": "mpii"}, report={"pictures": "all"})
    assert len(page.named("img")) == 18


def test_ones_own_are_in_it_unless_they_are_not_wanted(load):
    assert len(show(load, data={"dataset": "folder"}).named("img")) == 18
    page = show(load, data={"dataset": "folder"}, report={"pictures": "none"})
    assert page.named("img") == [] and "report.pictures: none" in page.text


def test_none_rendered_is_said(load, project):
    for path in (project / "reports/figures").glob("[0-9]*.jpg"):
        path.unlink()
    assert "None were rendered (predict.num_figures)." in show(load).text


def test_a_group_of_nobody_has_no_title(load, project):
    for path in (project / "reports/figures").glob("*_middle_*.jpg"):
        path.unlink()
    page = show(load)
    assert "In between" not in page.text and len(page.named("img")) == 12
