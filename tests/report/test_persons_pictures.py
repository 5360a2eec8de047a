import numpy as np
import pytest
from PIL import Image

from hourglass.data.person import Person
from hourglass.evaluation.figures import render_figures
from hourglass.report.persons import choose_figures, embed_picture, list_figures
from hourglass.utils.errors import UserError


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
    render_figures(tmp_path / "figures", chosen, dict.fromkeys(range(3), crop), persons, keypoints)
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
