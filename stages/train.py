"""Train the network; keep the weights of the best epoch by validation PCKh.

reads   data/tfrecords; the network that train.init_weights names, which is scored as epoch 0;
        RAY_ADDRESS, if it names a cluster
writes  models/hourglass.keras, reports/plots/history.csv; logs (TensorBoard, DVCLive)
params  data.dataset, data.sets, model, train
"""

import functools
import os
import sys
from pathlib import Path

from hourglass.config import load_params
from hourglass.data.tfrecords.index import INDEX_NAME, read_index
from hourglass.utils.errors import exit_on_user_error, stage_parser
from hourglass.utils.files import exclusive_lock, file_digest

SHARDS = Path("data/tfrecords")
NETWORK, HISTORY = Path("models/hourglass.keras"), Path("reports/plots/history.csv")
# What a stage ends with whose `dvc repro` was killed, DVC does not know of.
ADVICE = "wait for it; or, if its `dvc repro` was killed, end it: the next one goes on from there"


@exit_on_user_error
def main():
    stage_parser(__doc__).parse_args()
    train(load_params())


def train(params):
    # TensorFlow: not for `--help`
    from hourglass.data.tfrecords.reader import advise_crop_size
    from hourglass.training.checkpoint import checkpoint_key
    from hourglass.training.work_dir import (
        WorkDir,
        cache_folder,
        name_logs,
        remove_old_checkpoints,
    )

    if advice := advise_crop_size(read_index(SHARDS)["crop"], params.model.input_size):
        print(f"warning: params.yaml: {advice}", file=sys.stderr)
    devices, train_there = choose_devices(params)
    key = checkpoint_key(params, file_digest(SHARDS / INDEX_NAME), devices)
    remove_old_checkpoints(cache_folder(), key)
    checkpoint, logs = cache_folder() / f"{key}.npz", Path("logs", name_logs(params, key))
    work_dir = WorkDir(params, SHARDS, checkpoint, logs, NETWORK, HISTORY)
    here, same_inputs = work_dir.locks
    with (
        exclusive_lock(here, "training here", ADVICE),
        # Of another folder, perhaps: it has the checkpoint that would be ours.
        exclusive_lock(same_inputs, "training with the same inputs", wait=True),
    ):
        train_there(work_dir)
        checkpoint.unlink(missing_ok=True)


def choose_devices(params):
    """The names of the devices to train on, and what trains on them.

    They are the cluster's where there is one, this machine's otherwise.
    """
    if os.environ.get("RAY_ADDRESS"):
        from hourglass.distributed.ray_session import start_ray
        from hourglass.distributed.ray_training import plan_workers, train_on_workers

        start_ray(None)
        plan = plan_workers(params.cluster.num_workers)
        return plan.devices, functools.partial(train_on_workers, plan)
    from hourglass.training.devices import name_devices, prepare_devices
    from hourglass.training.work_dir import train_network

    strategy = prepare_devices(params.train)
    return [name_devices()], functools.partial(train_network, strategy)


if __name__ == "__main__":
    main()
