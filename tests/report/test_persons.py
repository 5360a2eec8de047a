import base64
import io

import numpy as np
import pytest
from PIL import Image

from helpers.pages import Page
from hourglass.data.person import Person
from hourglass.evaluation.figures import render_figures
from hourglass.keypoints import MPII
from hourglass.report.persons import choose_figures, embed_picture, show_persons
from hourglass.report.results import list_figures
from hourglass.utils.errors import UserError


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
    assert "This report holds no pictures and can be passed on." in page.text
    assert "for research, not for commercial use" in page.text
    assert "reports/figures" in page.text


@pytest.mark.parametrize(
    ("sets", "titles"),
    [
        ({"a": "mpii", "b": "folder", "c": "lspet"}, ["MPII Human Pose", "Leeds Sports Pose"]),
        ({"a": "mpii", "b": "mpii"}, ["MPII Human Pose"]),
    ],
)
def test_of_several_sets_the_ones_that_may_not_be_passed_on_are_named(load, sets, titles):
    page = show(load, data={"dataset": "mixed", "sets": sets})
    assert page.named("img") == [] and page.text.count(" is by ") == len(titles)
    assert all(title in page.text for title in titles)


def test_several_sets_that_may_all_be_passed_on_are_shown(load):
    sets = {"a": "folder", "b": "synthetic"}
    assert len(show(load, data={"dataset": "mixed", "sets": sets}).named("img")) == 18


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


def test_a_group_without_persons_has_no_title(load, project):
    for path in (project / "reports/figures").glob("*_middle_*.jpg"):
        path.unlink()
    page = show(load)
    assert "In between" not in page.text and len(page.named("img")) == 12


def test_the_figures_that_the_predict_stage_renders_are_known_by_their_names(tmp_path):
    joints = np.tile([30.0, 40.0], (16, 1)) + np.arange(16)[:, None]
    names = ("a/one_best_.jpg", "two.png", "three.jpg")
    persons = [
        Person(name, joints, np.ones(16, bool), np.array([40.0, 40.0]), 0.3, 7.5, "scale")
        for name in names
    ]
    chosen = [("best", 2), ("middle", 0), ("worst", 1)]
    crop = np.zeros((80, 80, 3), np.uint8), np.eye(3)[:2]
    keypoints = np.stack([joints] * 3)
    render_figures(
        tmp_path / "figures", chosen, dict.fromkeys(range(3), crop), persons, keypoints, MPII
    )
    figures = list_figures(tmp_path / "figures")
    assert [(f.rank, f.group, f.picture) for f in figures] == [
        (1, "best", "three"), (2, "middle", "one_best_"), (3, "worst", "two"),
    ]  # fmt: skip
    assert [f.picture for f in choose_figures(figures, "middle")] == ["one_best_"]


def test_a_hundred_figures_are_in_order(project):
    ranks = [figure.rank for figure in list_figures("reports/figures")]
    assert ranks == list(range(1, 108))


@pytest.mark.parametrize("number", range(1, 15))
def test_a_middle_of_any_size_gives_each_once(number, project):
    figures = [f for f in list_figures("reports/figures") if f.group == "middle"][:number]
    chosen = choose_figures(figures, "middle")
    assert len(chosen) == len(set(chosen)) == min(number, 6)
    assert chosen == sorted(chosen, key=lambda figure: figure.rank)


def test_no_folder_and_a_damaged_figure_are_one_line(tmp_path):
    with pytest.raises(UserError, match="figures: not found; run `dvc repro predict`"):
        list_figures(tmp_path / "figures")
    path = tmp_path / "01_best_a.jpg"
    Image.new("RGB", (200, 100), "red").save(path)
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(UserError, match=r"01_best_a\.jpg: damaged; run `dvc repro predict`"):
        embed_picture(path)
