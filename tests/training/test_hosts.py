"""Training by several processes, as several hosts do it; without Ray."""

import json
import pickle
import socket
import subprocess
import sys

import numpy as np
import pytest

from helpers.networks import change_train
from helpers.processes import environment
from hourglass.data.tfrecords.reader import open_split
from hourglass.training import trainer
from hourglass.training.devices import prepare_devices
from hourglass.utils.errors import UserError

# One process; it stands for a host, or for all where it is alone.
HOST = """
import json, os, pickle, sys
from pathlib import Path
from hourglass.data.tfrecords.reader import open_split
from hourglass.training.devices import prepare_devices
from hourglass.training.loggers import RunLogger
from hourglass.training.trainer import Trainer
from hourglass.utils.devices import find_share

params, shards = pickle.loads(Path(sys.argv[1]).read_bytes())
strategy = prepare_devices(params.train, is_worker="TF_CONFIG" in os.environ)
splits = [open_split(shards, split, 32) for split in ("train", "validation")]
loggers = [RunLogger(sys.argv[3])] if find_share(strategy).rank == 0 else []
trainer = Trainer(params, *splits, strategy, sys.argv[2], loggers)
step, losses, seen = trainer.train_step, [], []

def noted_step(batch):
    seen.append(batch["index"].numpy().tolist())
    loss = step(batch)
    losses.append(float(loss))
    return loss

trainer.train_step = noted_step
history = trainer.run()
weights = [weight.tobytes().hex() for weight in trainer.network.get_weights()]
print("result " + json.dumps([losses, seen, history, weights, trainer.share.rank]))
"""


def free_addresses(number):
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]  # all at once
    addresses = [f"127.0.0.1:{server.getsockname()[1]}" for server in servers]
    for server in servers:
        server.close()
    return addresses


@pytest.fixture(scope="module")
def train_on(tiny_params, shard_folder, tmp_path_factory):
    """A function that trains on so many hosts: each one's losses, records, history, weights."""
    folder = tmp_path_factory.mktemp("hosts")

    def train(number, name, **values):
        params = change_train(tiny_params, **values)
        (folder / "job.pkl").write_bytes(pickle.dumps((params, shard_folder)))
        addresses = free_addresses(number)
        processes = []
        for rank in range(number):
            task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": rank}}
            changes = {"TF_CONFIG": json.dumps(task)} if number > 1 else {}
            arguments = (folder / "job.pkl", folder / f"{name}.npz", folder / f"{name}-logs")
            command = [sys.executable, "-c", HOST, *map(str, arguments)]
            processes.append(
                subprocess.Popen(
                    command,
                    env=environment(**changes),
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
        try:
            outputs = [process.communicate(timeout=300) for process in processes]
        finally:
            for process in processes:  # who waits for a failed one would stay
                process.kill()
        assert not any(process.returncode for process in processes), outputs
        lines = [out.splitlines()[-1].removeprefix("result ") for out, _ in outputs]
        assert len(list((folder / f"{name}-logs").glob("events.*"))) == 1  # of the first host alone
        return [json.loads(line) for line in lines], (folder / f"{name}.npz").read_bytes()

    return train


@pytest.fixture(scope="module")
def two_hosts(train_on):
    return train_on(2, "two")


@pytest.mark.slow
def test_two_hosts_train_as_one_device(train_on, two_hosts):
    ((losses, seen, history, *_),), _ = train_on(1, "one")
    (first, second), _ = two_hosts
    assert first[0] == pytest.approx(losses, abs=1e-4)
    assert [pytest.approx(row, abs=1e-3) for row in history] == first[2]
    # The same records in each batch, half of them on each host.
    assert [a + b for a, b in zip(first[1], second[1], strict=True)] == seen
    assert all(len(part) == 2 for part in first[1])


@pytest.mark.slow
def test_all_hosts_end_with_the_same_network(two_hosts):
    (first, second), _ = two_hosts
    assert [first[4], second[4]] == [0, 1]
    assert first[2:4] == second[2:4] and first[0] == second[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    "values",
    [
        {"optimizer": "adamw", "clip_norm": 0.01, "ema": 0.5},
        {"precision": "mixed_float16"},
        {"max_batch_per_device": 1},
    ],
    ids=["clipped and averaged", "float16", "passes"],
)
def test_two_hosts_train_as_one_device_by_other_recipes(train_on, values):
    tolerance = 1e-2 if "precision" in values else 1e-4
    name = next(iter(values))
    (one,), _ = train_on(1, f"{name}-one", **values)
    (first, second), _ = train_on(2, f"{name}-two", **values)
    if "max_batch_per_device" not in values:  # norms see another pass's records
        assert first[0] == pytest.approx(one[0], abs=tolerance)
    assert first[3] == second[3]


@pytest.mark.slow
def test_two_hosts_give_the_same_bytes_each_time(train_on, two_hosts):
    assert train_on(2, "again") == two_hosts


def test_hosts_that_see_different_states_stop(tiny_params, shard_folder, tmp_path, monkeypatch):
    splits = [open_split(shard_folder, split, 32) for split in ("train", "validation")]
    params = change_train(tiny_params, epochs=1)
    run = trainer.Trainer(params, *splits, prepare_devices(params.train), tmp_path / "state.npz")
    monkeypatch.setattr(trainer, "sum_over_hosts", lambda _, epoch: epoch + np.float32(1))
    with pytest.raises(UserError, match=r"state.npz: hosts see different epochs there"):
        run.run()
