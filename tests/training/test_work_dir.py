import csv
import os
from pathlib import Path

import numpy as np
import pytest

from helpers.networks import change_train
from helpers.paths import ROOT
from hourglass.config import load_params
from hourglass.models.metadata import read_metadata
from hourglass.models.saving import load_network
from hourglass.training.devices import prepare_devices
from hourglass.training.trainer import Trainer
from hourglass.training.work_dir import (
    WorkDir,
    cache_folder,
    name_logs,
    remove_old_checkpoints,
    train_network,
)


@pytest.fixture
def fine_tune(tiny_params, shard_folder, model_file, tmp_path, monkeypatch):
    """A function that runs from `model_file`, of "mpii", with given scores from epoch 0 on."""

    def run(scores):
        waiting = list(scores)
        monkeypatch.setattr(
            Trainer, "validate", lambda _: {"val_pckh": waiting.pop(0), "val_pckh_0_1": 0.5}
        )
        values = {"init_weights": str(model_file), "epochs": len(scores) - 1}
        params = change_train(tiny_params, **values)
        names = ("state.npz", "logs", "hourglass.keras", "history.csv")
        job = WorkDir(params, shard_folder, *(tmp_path / name for name in names))
        train_network(prepare_devices(params.train), job)
        return job

    return run


@pytest.mark.parametrize(
    "scores",
    [[5.0], pytest.param([5.0, 1.0], marks=pytest.mark.slow)],
    ids=["no epoch", "a worse one"],
)
def test_a_start_that_is_not_beaten_is_saved_as_what_it_is(fine_tune, network, scores):
    run = fine_tune(scores)
    assert read_metadata(run.network).trained_on == ("mpii",)
    saved = load_network(run.network).get_weights()
    for new, old in zip(saved, network.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)
    rows = list(csv.reader(run.history.open()))
    assert rows[1] == ["0", "", "", "5.0", "0.5"]
    assert [row[0] for row in rows[1:]] == [str(epoch) for epoch in range(len(scores))]


def test_a_start_that_is_beaten_is_of_both_data(fine_tune):
    assert read_metadata(fine_tune([1.0, 5.0]).network).trained_on == ("mpii", "synthetic")


def test_a_run_is_named_by_what_tells_it_apart():
    params = load_params(ROOT / "demo" / "params.yaml")
    name = name_logs(params, "3f2a1c9e0b")
    assert name == "synthetic_1x64_96px_muon_lr0.015_16epochs_3f2a1c"
    assert name_logs(params, "3f2a1c9e0b") == name != name_logs(params, "3f2a1d9e0b")


def test_states_lie_in_the_users_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "hourglass"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "hourglass"


def test_states_that_were_given_up_are_removed(tmp_path):
    old, new = tmp_path / "old.npz", tmp_path / "new.npz"
    half, own = tmp_path / ".other.npz.tmp", tmp_path / "key.npz"
    for path in (old, new, half, own):
        path.touch()
    for path in (old, half, own):
        os.utime(path, (0, 0))
    remove_old_checkpoints(tmp_path, "key")
    assert {path.name for path in tmp_path.iterdir()} == {"new.npz", "key.npz"}


def test_other_programs_folders_in_the_cache_are_left_alone(tmp_path):
    folder = tmp_path / "npm-onnxruntime-web-1.0"
    folder.mkdir()
    os.utime(folder, (0, 0))
    remove_old_checkpoints(tmp_path, "key")
    assert folder.is_dir()
