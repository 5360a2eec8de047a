"""How far a training depends on its setup: one device, several, several processes, a cluster.

usage: python experiments/devices.py PROJECT [--epochs 3] [--lr LR] [--work DIR] [--only SETUP ...]

PROJECT is a folder with a params.yaml and its shards: demo/ after `make demo`. Each setup trains
twice, in processes of its own on CPUs. It is compared with one device by the losses of the first 20
steps, by the epochs' losses and by the last PCKh. `rounding` is one device whose first weights
differ in their last bit: its distance is that of rounding alone. `cluster` is the train stage on
two nodes of a Ray cluster on this machine. It gives no losses of steps. It is therefore compared
with `2 processes` too, the same training without Ray.
"""

import argparse
import csv
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import yaml

ROOT = Path(__file__).parents[1]
SETUPS = ("1 device", "rounding", "2 devices", "2 passes", "2 processes", "cluster")
NUM_STEPS = 20
NODE = {"num_cpus": 1, "include_dashboard": False}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("project", type=Path)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--lr", type=float, help="a small one keeps rounding errors from growing")
    parser.add_argument("--work", type=Path, default=Path("devices"))
    parser.add_argument("--only", nargs="+", choices=SETUPS, default=SETUPS)
    parser.add_argument("--run", choices=SETUPS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        train(options.run, options.work)
        return
    results = {}
    for setup in options.only:
        for number in (1, 2):
            folder = options.work / f"{setup.replace(' ', '-')}-{number}"
            make_project(folder, setup, options)
            (run_on_cluster if setup == "cluster" else run_processes)(setup, folder.resolve())
            results.setdefault(setup, []).append(json.loads((folder / "result.json").read_text()))
    print_table(results)


def make_project(folder, setup, options):
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("data", "models", "reports/plots"):
        (folder / name).mkdir(parents=True)
    shards = options.project / "data" / "tfrecords"
    (folder / "data" / "tfrecords").symlink_to(shards.resolve())
    params = yaml.safe_load((options.project / "params.yaml").read_text())
    params["train"] |= {"epochs": options.epochs} | ({"lr": options.lr} if options.lr else {})
    if setup == "2 passes":
        params["train"]["max_batch_per_device"] = params["train"]["batch_size"] // 2
    (folder / "params.yaml").write_text(yaml.safe_dump(params))


def run_processes(setup, folder):
    """Train in one process, or in two that know each other by TF_CONFIG."""
    configs = [{}]
    if setup == "2 processes":
        servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]  # on free ports
        cluster = {"worker": [f"127.0.0.1:{server.getsockname()[1]}" for server in servers]}
        tasks = [{"type": "worker", "index": rank} for rank in range(2)]
        configs = [{"TF_CONFIG": json.dumps({"cluster": cluster, "task": t})} for t in tasks]
        for server in servers:
            server.close()
    command = [sys.executable, __file__, ".", "--run", setup, "--work", str(folder)]
    processes = [subprocess.Popen(command, env=environment(folder) | c) for c in configs]
    while None in (codes := [process.poll() for process in processes]) and not any(codes):
        time.sleep(1)
    if any(codes):
        for process in processes:  # who waits for a failed one would stay
            process.kill()
        sys.exit(f"{setup}: failed")


def run_on_cluster(_, folder):
    """Run the train stage on a cluster of two nodes, and read what it leaves."""
    os.environ["RAY_AUTH_MODE"] = "disabled"  # there and here, whatever token its user has
    for name in ("PYTHONPATH", "RAY_ADDRESS"):  # its workers know the package by Ray alone
        os.environ.pop(name, None)
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args=NODE)
    try:
        cluster.add_node(**NODE)
        there = environment(folder) | {"RAY_ADDRESS": cluster.address}
        stage = ROOT / "stages" / "train.py"
        subprocess.run([sys.executable, str(stage)], cwd=folder, env=there, check=True)
    finally:
        cluster.shutdown()
    from hourglass.utils.backend import keras

    weights = keras.models.load_model(folder / "models" / "hourglass.keras").get_weights()
    with open(folder / "reports" / "plots" / "history.csv", newline="") as file:
        history = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]
    write_result(folder, [], history, weights)


def environment(folder):
    """Variables of a training process: this checkout's code, and a state of its own."""
    return os.environ | {
        "PYTHONPATH": str(ROOT / "src"), "XDG_CACHE_HOME": str(folder / "cache"),
        "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3",
    }  # fmt: skip


def train(setup, folder):
    """Train a setup in this process; of several processes the first writes the result."""
    from hourglass.config import load_params
    from hourglass.data.tfrecords.reader import open_split
    from hourglass.training.trainer import Trainer

    params = load_params(folder / "params.yaml")
    strategy = make_strategy(setup, params.train)
    shards, size = folder / "data" / "tfrecords", params.model.input_size
    splits = [open_split(shards, split, size) for split in ("train", "validation")]
    trainer = Trainer(params, *splits, strategy, folder / "state.npz")
    losses, step = [], trainer.train_step

    def keep_loss(batch):
        losses.append(step(batch))
        return losses[-1]

    trainer.train_step = keep_loss
    if setup == "rounding":
        trainer.network.set_weights([move_last_bits(w) for w in trainer.network.get_weights()])
    history = trainer.run()
    if setup != "2 processes" or strategy.cluster_resolver.task_id == 0:
        write_result(folder, losses, history, trainer.network.get_weights())


def make_strategy(setup, params):
    from hourglass.training.devices import prepare_devices
    from hourglass.utils.backend import tf

    if setup == "2 processes":
        return prepare_devices(params, is_worker=True)
    if setup == "2 devices":
        (cpu,) = tf.config.list_physical_devices("CPU")
        parts = [tf.config.LogicalDeviceConfiguration()] * 2
        tf.config.set_logical_device_configuration(cpu, parts)
        prepare_devices(params)
        return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    return prepare_devices(params)


def move_last_bits(weights):
    """The weights, each second one at random to the next float above."""
    is_moved = np.random.default_rng(0).random(weights.shape) < 0.5
    return np.where(is_moved & (weights != 0), np.nextafter(weights, np.inf), weights)


def write_result(folder, losses, history, weights):
    digest = hashlib.sha256(b"".join(array.tobytes() for array in weights)).hexdigest()
    losses = [float(loss) for loss in losses[:NUM_STEPS]]
    result = {"losses": losses, "history": history, "digest": digest}
    (folder / "result.json").write_text(json.dumps(result))


def print_table(results):
    """Markdown: differences from one device, and of the cluster from two processes."""
    columns = "run on", f"first {NUM_STEPS} losses", "epochs' losses", "PCKh@0.5, @0.1", "twice"
    print(f"\n| {' | '.join(columns)} |\n|---|---:|---:|---:|---|")
    for setup, runs in results.items():
        first = results.get("1 device", runs)[0]
        losses, base = ([row["loss"] for row in run["history"]] for run in (runs[0], first))
        last = runs[0]["history"][-1]
        cells = (
            setup, describe_difference(runs[0]["losses"], first["losses"]),
            describe_difference(losses, base),
            f"{last['val_pckh']:.2f}, {last['val_pckh_0_1']:.2f}", compare_bytes(*runs),
        )  # fmt: skip
        print(f"| {' | '.join(cells)} |")
    if {"2 processes", "cluster"} <= results.keys():
        same = compare_bytes(results["2 processes"][0], results["cluster"][0])
        print(f"\ncluster and 2 processes: {same}")


def compare_bytes(run, other):
    return "the same bytes" if run["digest"] == other["digest"] else "other bytes"


def describe_difference(losses, base):
    """The greatest of the differences."""
    if not losses:
        return "-"
    return f"{max(abs(a - b) for a, b in zip(losses, base, strict=True)):.1e}"


if __name__ == "__main__":
    main()
