import csv
import subprocess

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from hourglass.training.loggers import RunLogger, TerminalLogger, overlay_heatmaps, report_time

ROWS = [{"epoch": n, "lr": 0.1 / n, "loss": 1 / n, "val_pckh": 10.0 * n} for n in (1, 2, 3)]
PICTURES = np.full((2, 16, 16, 3), 100.0, np.float32)
HEATMAPS = np.zeros((2, 4, 4, 16), np.float32)


def sample():
    return PICTURES, HEATMAPS


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
        logger = RunLogger(outside_git / "logs")
        logger.start_run(ROWS[:start])
        for row in ROWS[start:stop]:
            logger.log_epoch(row, row, sample)
    logger.end_run()
    logs = outside_git / "logs"
    assert read_live(logs, "loss") == [(1, 1.0), (2, 0.5), (3, 1 / 3)]
    assert read_live(logs, "val_pckh") == [(1, 10.0), (2, 20.0), (3, 30.0)]
    assert "val_pckh" in (logs / "live" / "report.html").read_text()


def test_of_epoch_0_the_scores_alone_are_written(outside_git):
    logger = RunLogger(outside_git / "logs")
    logger.start_run([])
    for row in ({"epoch": 0, "lr": None, "loss": None, "val_pckh": 5.0}, ROWS[0]):
        logger.log_epoch(row, row, sample)
    logger.end_run()
    assert read_live(outside_git / "logs", "loss") == [(1, 1.0)]
    assert read_live(outside_git / "logs", "val_pckh") == [(0, 5.0), (1, 10.0)]


def test_the_report_is_there_while_the_run_goes_on(outside_git):
    logger = RunLogger(outside_git / "logs")
    logger.start_run([])
    logger.log_epoch(ROWS[0], ROWS[0], sample)
    assert (outside_git / "logs" / "live" / "report.html").is_file()
    logger.end_run()


def test_tensorboard_has_curves_and_pictures(outside_git):
    logger = RunLogger(outside_git / "logs")
    logger.start_run([])
    for row in ROWS:
        logger.log_epoch(row, row, sample)
    logger.end_run()
    events = EventAccumulator(str(outside_git / "logs"), size_guidance={"tensors": 0, "images": 0})
    events.Reload()
    assert {"lr", "loss", "val_pckh", "heatmaps"} <= set(events.Tags()["tensors"])
    assert [event.step for event in events.Tensors("heatmaps")] == [1, 2, 3]


def test_an_epoch_that_a_killed_process_did_not_write_is_made_up_for(outside_git):
    logger = RunLogger(outside_git / "logs")
    logger.start_run(ROWS[:2])
    logger.end_run()
    events = EventAccumulator(str(outside_git / "logs"), size_guidance={"tensors": 0})
    events.Reload()
    assert [event.step for event in events.Tensors("loss")] == [1, 2]


def test_a_repository_without_a_commit_stops_nothing(outside_git):
    subprocess.run(["git", "init", "-q"], check=True)
    subprocess.run(["dvc", "init", "-q"], check=True)
    logger = RunLogger(outside_git / "logs")
    logger.start_run([])
    logger.log_epoch(ROWS[0], ROWS[0], sample)
    logger.end_run()


def test_overlays_show_where_a_heatmap_is_high():
    heatmaps = HEATMAPS.copy()
    heatmaps[1, 2, 1, 5] = 1.0
    overlays = overlay_heatmaps(PICTURES, heatmaps).astype(int)
    assert overlays.shape == PICTURES.shape and overlays.dtype == int
    differs = (overlays[1] != overlays[0]).any(axis=-1)
    assert differs[8:12, 4:8].all()
    assert differs.sum() == 16


@pytest.mark.parametrize(
    ("num_images", "has_gpu", "text"),
    [
        (36_000, False, "10.0 images/s: about 60 minutes to go"),
        (600, False, "10.0 images/s: about 1 minute to go"),
        (144_000, False, "warning: no GPU found, and 10.0 images/s: about 4.0 hours to go; this"),
        (144_000, True, "10.0 images/s: about 4.0 hours to go"),
        (3_600_000, False, "warning: no GPU found, and 10.0 images/s: about 4 days to go; this"),
    ],
)
def test_the_time_is_told_and_a_missing_gpu(num_images, has_gpu, text, monkeypatch, capsys):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["gpu"] * has_gpu)
    report_time(10.0, num_images)
    said = capsys.readouterr().err
    assert said.startswith(text) and len(said.splitlines()) == 1


def test_an_epochs_line_has_its_score_and_the_best(capsys):
    rows = [row | {"val_pckh_0_1": 1.0} for row in ROWS]
    TerminalLogger(3).log_epoch(rows[1], rows[2], sample)
    expected = (
        "epoch   2/3  lr 5.00e-02  loss 0.50000  PCKh@0.5 20.00  @0.1  1.00  best 30.00 (epoch 3)"
    )
    assert capsys.readouterr().out == expected + "\n"
