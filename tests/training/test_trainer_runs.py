import csv

import numpy as np
import pytest

from helpers.networks import change_train
from hourglass.models.metadata import read_trained_on
from hourglass.models.saving import load_network
from hourglass.training.trainer import Run, Trainer, train_network
from hourglass.utils.devices import prepare_devices


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
        job = Run(params, shard_folder, *(tmp_path / name for name in names))
        train_network(prepare_devices(params.train), job)
        return job

    return run


@pytest.mark.parametrize("scores", [[5.0], [5.0, 1.0]], ids=["no epoch", "a worse one"])
def test_a_start_that_is_not_beaten_is_saved_as_what_it_is(fine_tune, network, scores):
    run = fine_tune(scores)
    assert read_trained_on(run.network) == "mpii"
    saved = load_network(run.network).get_weights()
    for new, old in zip(saved, network.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)
    rows = list(csv.reader(run.history.open()))
    assert rows[1] == ["0", "", "", "5.0", "0.5"]
    assert [row[0] for row in rows[1:]] == [str(epoch) for epoch in range(len(scores))]


def test_a_start_that_is_beaten_is_of_both_data(fine_tune):
    assert read_trained_on(fine_tune([1.0, 5.0]).network) == "mpii, synthetic"
