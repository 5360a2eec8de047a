"""Train the stacked hourglass; keep the weights of the best epoch by validation PCKh.

reads   data/tfrecords; train.init_weights, where it names a network to start from
writes  models/hourglass.keras, reports/plots/history.csv; curves for TensorBoard in logs
params  data.dataset, model, train
"""

import sys
from pathlib import Path

from hourglass.errors import exit_on_user_error, stage_parser
from hourglass.files import exclusive_lock, file_digest
from hourglass.params import load_params
from hourglass.records.index import INDEX_NAME, read_index

SHARDS = Path("data/tfrecords")
# What a stage ends with whose `dvc repro` was killed, DVC does not know of.
ADVICE = "wait for it; or, if its `dvc repro` was killed, end it: the next one goes on from there"


@exit_on_user_error
def main():
    stage_parser(__doc__).parse_args()
    train(load_params())


def train(params):
    # TensorFlow: not for `--help`
    from hourglass.network.storage import save_network
    from hourglass.records.splits import advise_crop_size, name_damage, open_split
    from hourglass.training.devices import prepare_devices
    from hourglass.training.states import cache_folder, remove_old_states, state_key
    from hourglass.training.tracking import run_name, write_history
    from hourglass.training.trainer import Trainer

    splits = [
        open_split(SHARDS, split, params.model.input_size) for split in ("train", "validation")
    ]
    if advice := advise_crop_size(read_index(SHARDS)["crop"], params.model.input_size):
        print(f"warning: params.yaml: {advice}", file=sys.stderr)
    strategy = prepare_devices(params.train)
    key = state_key(params, file_digest(SHARDS / INDEX_NAME))
    remove_old_states(cache_folder(), key)
    state = cache_folder() / f"{key}.npz"
    with (
        exclusive_lock("models/.train.lock", "training here", ADVICE),
        exclusive_lock(state.with_suffix(".lock"), "training with the same inputs", ADVICE),
        name_damage(*splits),
    ):
        trainer = Trainer(params, *splits, strategy, state, Path("logs", run_name(params, key)))
        history = trainer.run()
        save_network(trainer.network, "models/hourglass.keras", params.data.dataset)
        write_history("reports/plots/history.csv", history)
        state.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
