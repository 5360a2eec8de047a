import csv
import subprocess

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from helpers.paths import ROOT
from hourglass.config import load_params
from hourglass.training.loggers import RunLogger, name_work_dir, overlay_heatmaps

ROWS = [{"epoch": n, "lr": 0.1 / n, "loss": 1 / n, "val_pckh": 10.0 * n} for n in (1, 2, 3)]
PICTURES = np.full((2, 16, 16, 3), 100.0, np.float32)
HEATMAPS = np.zeros((2, 4, 4, 16), np.float32)


def read_live(folder, name):
    with (folder / "live" / "plots" / "metrics" / f"{name}.tsv").open() as file:
        return [
            (int(row["step"]), float(row[name])) for row in csv.DictReader(file, delimiter="\t")
        ]


@pytest.fixture
def outside_git(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_an_interrupted_run_has_each_epoch_once(outside_git):
    for start, stop in ((0, 2), (2, 3)):  # the second process goes on where the first was killed
        tracker = RunLogger(outside_git / "logs", ROWS[:start])
        for row in ROWS[start:stop]:
            tracker.log_epoch(row, PICTURES, HEATMAPS)
    tracker.close()
    logs = outside_git / "logs"
    assert read_live(logs, "loss") == [(1, 1.0), (2, 0.5), (3, 1 / 3)]
    assert read_live(logs, "val_pckh") == [(1, 10.0), (2, 20.0), (3, 30.0)]
    assert "val_pckh" in (logs / "live" / "report.html").read_text()


def test_of_epoch_0_the_scores_alone_are_written(outside_git):
    tracker = RunLogger(outside_git / "logs", [])
    for row in ({"epoch": 0, "lr": None, "loss": None, "val_pckh": 5.0}, ROWS[0]):
        tracker.log_epoch(row, PICTURES, HEATMAPS)
    tracker.close()
    assert read_live(outside_git / "logs", "loss") == [(1, 1.0)]
    assert read_live(outside_git / "logs", "val_pckh") == [(0, 5.0), (1, 10.0)]


def test_the_report_is_there_while_the_run_goes_on(outside_git):
    tracker = RunLogger(outside_git / "logs", [])
    tracker.log_epoch(ROWS[0], PICTURES, HEATMAPS)
    assert (outside_git / "logs" / "live" / "report.html").is_file()
    tracker.close()


def test_tensorboard_has_curves_and_pictures(outside_git):
    tracker = RunLogger(outside_git / "logs", [])
    for row in ROWS:
        tracker.log_epoch(row, PICTURES, HEATMAPS)
    tracker.close()
    events = EventAccumulator(str(outside_git / "logs"), size_guidance={"tensors": 0, "images": 0})
    events.Reload()
    assert {"lr", "loss", "val_pckh", "heatmaps"} <= set(events.Tags()["tensors"])
    assert [event.step for event in events.Tensors("heatmaps")] == [1, 2, 3]


def test_an_epoch_that_a_killed_process_did_not_write_is_made_up_for(outside_git):
    RunLogger(outside_git / "logs", ROWS[:2]).close()
    events = EventAccumulator(str(outside_git / "logs"), size_guidance={"tensors": 0})
    events.Reload()
    assert [event.step for event in events.Tensors("loss")] == [1, 2]


def test_a_repository_without_a_commit_stops_nothing(outside_git):
    subprocess.run(["git", "init", "-q"], check=True)
    subprocess.run(["dvc", "init", "-q"], check=True)
    tracker = RunLogger(outside_git / "logs", [])
    tracker.log_epoch(ROWS[0], PICTURES, HEATMAPS)
    tracker.close()


def test_a_run_is_named_by_what_tells_it_apart():
    params = load_params(ROOT / "demo" / "params.yaml")
    name = name_work_dir(params, "3f2a1c9e0b")
    assert name == "synthetic_1x64_96px_muon_lr0.015_16epochs_3f2a1c"
    assert name_work_dir(params, "3f2a1c9e0b") == name != name_work_dir(params, "3f2a1d9e0b")


def test_overlays_show_where_a_heatmap_is_high():
    heatmaps = HEATMAPS.copy()
    heatmaps[1, 2, 1, 5] = 1.0
    overlays = overlay_heatmaps(PICTURES, heatmaps).astype(int)
    assert overlays.shape == PICTURES.shape and overlays.dtype == int
    differs = (overlays[1] != overlays[0]).any(axis=-1)
    assert differs[8:12, 4:8].all()
    assert differs.sum() == 16
