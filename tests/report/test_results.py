import csv
from pathlib import Path

import pytest

from helpers.paths import ROOT
from hourglass.keypoints import MPII
from hourglass.report.results import HISTORY, read_columns
from hourglass.utils.errors import UserError


@pytest.mark.parametrize("folder", ["demo", "lspet"])
def test_what_training_has_written_is_read(folder):
    path = ROOT / folder / "reports/plots/history.csv"
    columns = read_columns(path, HISTORY, "again")
    rows = list(csv.DictReader(path.read_text().splitlines()))
    for name in HISTORY:
        assert columns[name] == [float(row[name]) for row in rows]


def test_what_is_no_number_is_none(tmp_path):
    (tmp_path / "a.csv").write_text("x,other,y\n0,7,\n1,7,nan\n2,7,-1e-05\n3,7,inf\n")
    columns = read_columns(tmp_path / "a.csv", ("x", "y"), "again")
    assert columns == {"x": [0, 1, 2, 3], "y": [None, None, -1e-05, None]}


def test_the_results_are_those_of_all_stages(load):
    results = load()
    assert results.num_train == 13 and results.head_sizes == "5 by 25 x scale"
    assert results.metrics["num_persons"] == 20
    assert results.best_epoch == 2  # epoch 3 is no better
    assert len(results.figures) == 107
    assert {made: len(r) for made, r in results.invalid.items()} == {"annotations": 3, "shards": 1}
    with open("reports/plots/pckh_curve.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert results.columns == ("total", *MPII.groups)
    for name in results.columns:
        assert results.curves[name] == [float(row[name]) for row in rows]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not a table of x, y; again"),
        ("x,y\n", "not a table of x, y; again"),
        ("x,z\n1,2\n", "not a table of x, y; again"),
        ("x,y\n1\n", "not a table of x, y; again"),
        ("x,y\n1,two\n", "not a table of x, y; again"),
        ("x,y\n1,\udcff\n", "not a table of x, y; again"),
        ("x,y\n1," + "1" * 200_000 + "\n", "not a table of x, y; again"),
        (None, "not found; again"),
    ],
    ids=["empty", "header", "column", "cell", "word", "no UTF-8", "no end", "missing"],
)
def test_a_damaged_table_is_one_line(tmp_path, text, reason):
    path = tmp_path / "a.csv"
    if text is not None:
        path.write_text(text, errors="surrogateescape")
    with pytest.raises(UserError) as error:
        read_columns(path, ("x", "y"), "again")
    assert str(error.value) == f"{path}: {reason}"


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("plots/history.csv", lambda t: t.replace("61.5", "", 1), "an epoch without a score; run "),
        ("plots/pckh_curve.csv", lambda t: t.replace("0.25,", "0.26,"), "not the thresholds from"),
        ("plots/pckh_curve.csv", lambda t: t[:300], "not the thresholds from|not a table of"),
    ],
    ids=["no score", "other thresholds", "cut"],
)
def test_a_table_of_something_else_is_one_line(load, name, change, reason):
    path = Path("reports", name)
    path.write_text(change(path.read_text()))
    with pytest.raises(UserError, match=reason):
        load()
