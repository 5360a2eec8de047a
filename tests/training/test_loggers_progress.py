import pytest
import tensorflow as tf

from hourglass.training.loggers import report_time


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
