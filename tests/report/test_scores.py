from pathlib import Path

import pytest

from helpers.pages import Page
from hourglass.keypoints import COCO, MPII
from hourglass.report.scores import show_scores, show_training, style_lines

EPOCHS = "Loss and validation scores by epoch"


def charts_of(page):
    return [svg for svg in page.named("svg") if svg["class"] == "chart"]


def test_the_epochs_are_a_table_and_two_charts(load):
    page = Page(show_training(load()))
    assert page.tables[EPOCHS] == [
        ["epoch", "loss", "PCKh@0.5", "PCKh@0.1"],
        ["1", "0.05000", "40.25", "2.50"],
        ["2", "0.03125", "61.50", "11.75"],
        ["3", "0.02000", "61.50", "12.00"],
        ["4", "0.01900", "60.00", "14.00"],
    ]
    assert "weights are those of epoch 2, the best by PCKh@0.5." in page.text
    assert len(charts_of(page)) == 2
    (ring,) = page.named("circle")  # epoch 2 of 4, 61.5 of 100
    assert (ring["cx"], ring["cy"]) == ("218.00", "90.54")


def test_a_network_that_was_only_judged_has_no_charts(load):
    Path("reports/plots/history.csv").write_text("epoch,loss,val_pckh,val_pckh_0_1\n0,,5.5,0.25\n")
    page = Page(show_training(load()))
    assert charts_of(page) == []
    assert page.tables[EPOCHS][1] == ["0", "–", "5.50", "0.25"]
    assert "weights are those of the start, which no epoch beat." in page.text


def test_a_start_and_an_epoch_of_no_loss_leave_gaps(load):
    text = "epoch,loss,val_pckh,val_pckh_0_1\n0,,5,1\n1,0.5,6,1\n2,nan,7,1\n3,0.25,8,\n"
    Path("reports/plots/history.csv").write_text(text)
    page = Page(show_training(load()))
    paths = [path["d"] for path in page.named("path") if "stroke-width" in path]
    assert paths[0].count("M") == 2 and "L" not in paths[0]
    assert page.tables[EPOCHS][3][1] == page.tables[EPOCHS][4][3] == "–"


@pytest.mark.parametrize("groups", [MPII.groups, COCO.groups, [str(k) for k in range(28)]])
def test_every_column_has_a_style_of_its_own(groups):
    styles = style_lines(("total", *groups))
    assert list(styles) == ["total", *groups]
    assert len(set(styles.values())) == len(styles)


def test_every_column_has_a_line(load):
    page = Page(show_scores(load()))
    lines = [path for path in page.named("path") if path["d"].count("L") == 50]
    assert len(lines) == 8
    assert lines[-1]["stroke-width"] == "3"  # the total, on top


def test_heads_are_told(load):
    assert "pelvis and thorax are not scored." in Page(show_scores(load())).text
    assert "Head sizes: 5 by 25 x scale." in Page(show_scores(load())).text
