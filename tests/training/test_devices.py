from types import SimpleNamespace

import pytest

from helpers.networks import change_train
from hourglass.training import devices
from hourglass.training.devices import choose_pass_size, name_devices
from hourglass.utils.errors import UserError


@pytest.mark.parametrize(
    ("batch_size", "num_devices", "limit", "size"),
    [(16, 1, 0, 16), (16, 4, 0, 4), (16, 1, 5, 4), (16, 2, 3, 2), (12, 1, 7, 6), (7, 1, 6, 1)],
)
def test_a_share_is_taken_in_as_few_equal_parts_as_fit(
    batch_size, num_devices, limit, size, tiny_params
):
    params = change_train(tiny_params, batch_size=batch_size, max_batch_per_device=limit).train
    assert choose_pass_size(params, num_devices) == size


@pytest.mark.parametrize(("batch_size", "num_devices"), [(16, 3), (4, 8)])
def test_unequal_shares_are_refused(batch_size, num_devices, tiny_params):
    params = change_train(tiny_params, batch_size=batch_size).train
    line = rf"train.batch_size: {batch_size} cannot be shared out equally over {num_devices} "
    with pytest.raises(UserError, match=line):
        choose_pass_size(params, num_devices)


@pytest.mark.parametrize(
    ("given", "number"), [("", 3), ("1", 1), ("0", 3), ("-1", 3), ("many", 3), ("4", 4)]
)
def test_a_cpu_is_named_with_its_threads(monkeypatch, given, number):
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", given)
    monkeypatch.setattr(devices, "count_cores", lambda: 3)
    assert name_devices() == f"CPU, {number} threads"


def test_threads_that_a_program_has_set_count(monkeypatch):
    threading = devices.tf.config.threading
    monkeypatch.setattr(threading, "get_intra_op_parallelism_threads", lambda: 5)
    assert name_devices() == "CPU, 5 threads"


def test_beside_a_gpu_the_threads_of_the_cpu_do_not_count(monkeypatch):
    found = [SimpleNamespace(device_type=kind) for kind in ("CPU", "GPU", "GPU")]
    monkeypatch.setattr(devices.tf.config, "list_logical_devices", lambda: found)
    assert name_devices() == "CPU GPU GPU"


@pytest.mark.parametrize(("given", "text"), [("0", ", no oneDNN"), ("1", "")])
def test_a_cpu_without_onednn_is_another_device(monkeypatch, given, text):
    named = name_devices()
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", given)
    assert name_devices() == named + text
