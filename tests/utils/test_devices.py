from types import SimpleNamespace

import pytest
import tensorflow as tf

from hourglass.utils import devices


@pytest.mark.parametrize(
    ("batch_size", "number", "expected"), [(32, 1, 32), (32, 3, 33), (1, 4, 4)]
)
def test_a_batch_has_as_many_records_for_each_device(batch_size, number, expected):
    strategy = SimpleNamespace(num_replicas_in_sync=number)
    assert devices.round_up_batch(batch_size, strategy) == expected


def test_memory_grows_on_every_gpu(monkeypatch):
    grown = []
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda _: ["GPU:0", "GPU:1"])
    monkeypatch.setattr(
        tf.config.experimental, "set_memory_growth", lambda *asked: grown.append(asked)
    )
    devices.grow_memory()
    assert grown == [("GPU:0", True), ("GPU:1", True)]


@pytest.mark.parametrize(("number", "expected"), [(0, "own"), (1, "own"), (2, "mirrored")])
def test_several_gpus_work_together(monkeypatch, number, expected):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda _: ["GPU"] * number)
    monkeypatch.setattr(tf.distribute, "MirroredStrategy", lambda: "mirrored")
    monkeypatch.setattr(tf.distribute, "get_strategy", lambda: "own")
    assert devices.choose_strategy() == expected
