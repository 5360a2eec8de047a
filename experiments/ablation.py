"""The gain of each part of the training recipe: one small network, one budget, one line each.

usage: python experiments/ablation.py DATA [--baseline DIR] [--rough] [--jobs 2] [--only NAME ...]

DATA holds images/, train.json and validation.json, as `data.dataset: folder` reads them; BASELINE
is a folder with the "action stickers" tutorial's train.py and preprocess.py. Each run is 1 stack of
64 channels on 128 px, 6 epochs where nothing else is said. Scores are PCKh at the end of training
on crops by center and scale, by the records' head sizes and by 25 x scale beside them. Where center
and scale come of the labels, as LSPET's do, crops tell of the truth: --rough moves them as for the
lspet dataset. Runs are kept in --work: a second call goes on where the first was stopped.
"""

import argparse
import copy
import functools
import json
import sys
import time
from pathlib import Path

import numpy as np
import yaml
from runs import ROOT, name_folder, run_all, run_python

LIGHT = {
    "scale": 0.1, "rotation": 10, "colour": 0.1, "flip": True, "half_body": 0, "occluders": 0,
}  # fmt: skip
SMALL = {
    "data": {"dataset": "folder"},
    "parse": {"max_invalid_fraction": 0.05, "excluded": []},
    "shard": {"crop_size": 192},
    "model": {"num_stacks": 1, "num_channels": 64, "input_size": 128},
    "train": {"epochs": 6, "batch_size": 8, "lr": 2e-2, "weight_decay": 0.05, "augment": LIGHT},
}
FULL = LIGHT | {"scale": 0.25, "rotation": 30, "colour": 0.4}
TUTORIAL_LOSS = {"target_peak": 12, "foreground": "support", "foreground_weight": 81}
# Changes of the train section; "head" is the standard deviation that the heads start with,
# "residual" the initialisation of each residual's last convolution.
VARIANTS = {
    "ours, 12 epochs": {"epochs": 12},
    "tutorial's recipe, 12 epochs": {"tutorial": True, "epochs": 12},
    "ours, 40 epochs": {"epochs": 40},
    "ours": {},
    "heads: He initialisation": {"head": (2 / 64) ** 0.5},
    "residuals: He initialisation": {"residual": "he_normal"},
    "foreground weight 0": {"foreground_weight": 0},
    "tutorial's loss: peak 12, 82 on the support": TUTORIAL_LOSS,
    "flip the only augmentation": {"augment": LIGHT | {"scale": 0, "rotation": 0, "colour": 0}},
    "no augmentation": {"augment": LIGHT | {"scale": 0, "rotation": 0, "colour": 0, "flip": False}},
    "augmentation of the MPII recipe": {"augment": FULL},
    "weight decay 1e-4": {"weight_decay": 1e-4},
    "AdamW, 2e-3": {"optimizer": "adamw", "lr": 2e-3},
    "AdamW, 6e-3": {"optimizer": "adamw", "lr": 6e-3},
    "constant learning rate": {"schedule": "constant"},
    "averaged weights, 0.99": {"ema": 0.99},
    "constant learning rate, averaged weights, 0.99": {"schedule": "constant", "ema": 0.99},
    "batches of 16": {"batch_size": 16},
    "whole pictures in the shards, 12 epochs": {"shards": "whole", "epochs": 12},
    "mixed_bfloat16, 12 epochs": {"precision": "mixed_bfloat16", "epochs": 12},
    "crops of JPEG quality 80, 12 epochs": {"shards": "coarse", "epochs": 12},
}
TWO_SEEDS = ("ours, 12 epochs", "tutorial's recipe, 12 epochs", "ours")
SHARDS = {"crops": {}, "coarse": {"jpeg_quality": 80}, "whole": {"crop_size": 0}}
DECODES = ("argmax", "shift", "dark")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--baseline", type=Path, metavar="DIR")
    parser.add_argument("--rough", action="store_true", help="center and scale as rough as MPII's")
    parser.add_argument("--work", type=Path, default=Path("ablation"))
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time, a CPU core each")
    parser.add_argument("--seeds", type=int, help="of each variant (1; 2 of those that matter)")
    parser.add_argument("--only", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--run", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        run_variant(options.run[0], int(options.run[1]), options)
        return
    options.work /= "rough" if options.rough else "plain"
    if options.rough:
        from rough_copy import write_rough_copy

        options.data = write_rough_copy(options.data, options.work / "data")
    write_shards(options)
    names = [name for name in VARIANTS if name in options.only]
    names = [name for name in names if options.baseline or "tutorial" not in VARIANTS[name]]
    seeds = {name: range(1, 1 + (options.seeds or 1 + (name in TWO_SEEDS))) for name in names}
    runs = sorted(((name, seed) for name in names for seed in seeds[name]), key=lambda run: run[1])
    run_all(functools.partial(start_run, options), runs, options.jobs)
    print_tables(options.work, seeds)


def base_params():
    """The lspet recipe's parameters, for the small network."""
    params = yaml.safe_load((ROOT / "lspet" / "params.yaml").read_text())
    for section, values in SMALL.items():
        params[section] |= values
    return params


def write_shards(options):
    """The pipeline up to the shards, for each kind of them."""
    for kind, changes in SHARDS.items():
        folder = options.work / kind
        params = base_params()
        params["data"]["folder"] = str(options.data.resolve())
        params["shard"] |= changes
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "params.yaml").write_text(yaml.safe_dump(params))
        if not (folder / "data" / "tfrecords" / "index.json").is_file():
            for stage in ("download", "parse", "shard"):
                run_python(ROOT / "stages" / f"{stage}.py", cwd=folder)


def run_folder(work, name, seed):
    return work / "runs" / f"{name_folder(name)}-seed{seed}"


def start_run(options, run, core):
    """One run in a process of its own, unless its result is there."""
    name, seed = run
    folder = run_folder(options.work, name, seed)
    if (folder / "result.json").is_file():
        return
    command = [__file__, options.data, "--work", options.work, "--run", name, seed]
    command += ["--baseline", options.baseline] if options.baseline else []
    run_python(*command, core=core)


def run_variant(name, seed, options):
    """Train and judge one variant; leaves result.json in its folder."""
    from hourglass.config import Params
    from hourglass.data.tfrecords.reader import open_split
    from hourglass.models import blocks
    from hourglass.training.checkpoint import Checkpoint
    from hourglass.training.devices import prepare_devices
    from hourglass.training.trainer import Trainer

    changes = copy.deepcopy(VARIANTS[name])
    blocks.HEAD_STDDEV = changes.pop("head", blocks.HEAD_STDDEV)
    blocks.RESIDUAL_INITIALIZER = changes.pop("residual", blocks.RESIDUAL_INITIALIZER)
    is_tutorial, kind = changes.pop("tutorial", False), changes.pop("shards", "crops")
    values = base_params()
    values["train"] |= changes | {"seed": seed}
    params = Params.model_validate(values)
    if is_tutorial:
        blocks.HEAD_STDDEV = VARIANTS["heads: He initialisation"]["head"]
        blocks.RESIDUAL_INITIALIZER = "he_normal"
    folder = run_folder(options.work, name, seed)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "state.npz").unlink(missing_ok=True)
    shards = options.work / kind / "data" / "tfrecords"
    splits = [open_split(shards, split, 128) for split in ("train", "validation")]
    strategy = prepare_devices(params.train)
    trainer = Trainer(params, *splits, strategy, folder / "state.npz")
    start = time.monotonic()
    if is_tutorial:
        history = train_as_the_tutorial(trainer, params, options)
    else:
        history = trainer.run()
        trainer.network.set_weights(Checkpoint.load(folder / "state.npz").weights)
        if params.train.ema:
            trainer.optimizer.finalize_variable_values(trainer.trained)
    result = {
        "name": name, "seed": seed, "history": history,
        "scores": judge(trainer, splits[1], read_scales(options.work / kind)),
        "minutes": (time.monotonic() - start) / 60,
    }  # fmt: skip
    (folder / "result.json").write_text(json.dumps(result))


def train_as_the_tutorial(trainer, params, options):
    """Its crops, target, loss and optimizer, by its own code; our network, judged by our crops."""
    from hourglass.utils.backend import tf

    sys.path.insert(0, str(options.baseline))
    import preprocess
    import train as tutorial

    reader = preprocess.Preprocessor((128, 128, 3), (32, 32, 16), is_train=True)
    paths = sorted(map(str, (options.work / "whole" / "data" / "tfrecords").glob("train*")))
    batches = tf.data.TFRecordDataset(paths).shuffle(4096, seed=params.train.seed)
    batches = batches.map(reader, num_parallel_calls=tf.data.AUTOTUNE).batch(16, True).prefetch(2)
    network = trainer.network  # takes 0..255; theirs takes -1..1
    teacher = tutorial.Trainer(
        lambda images, training: network((images + 1) * 127.5, training=training),
        params.train.epochs, 16, tf.distribute.get_strategy(), initial_learning_rate=0.0007,
    )  # fmt: skip

    @tf.function
    def step(images, heatmaps):
        with tf.GradientTape() as tape:
            outputs = network((images + 1) * 127.5, training=True)
            outputs = outputs if isinstance(outputs, list) else [outputs]
            loss = teacher.compute_loss(heatmaps, outputs)
        gradients = tape.gradient(loss, network.trainable_variables)
        teacher.optimizer.apply(gradients, network.trainable_variables)
        return loss

    history = []
    for epoch in range(1, params.train.epochs + 1):
        for images, heatmaps in batches:
            loss = step(tf.ensure_shape(images, (16, 128, 128, 3)), heatmaps)
        history.append({"epoch": epoch, "loss": float(loss)} | trainer.validate())
        print(history[-1], flush=True)
    return history


def read_scales(folder):
    """The scales of the validation persons, in the order of the annotations."""
    from hourglass.data.person import load_persons

    persons = load_persons(folder / "data" / "annotations" / "validation.json")
    return np.array([person.scale for person in persons])


def judge(trainer, split, scales):
    """The scores of the network as it is, by decoding, without and with flip test.

    Each is four numbers: PCKh@0.5 and @0.1 by the records' head sizes, and by 25 x scale.
    """
    from hourglass.data.head_size import HEAD_SIZE_PER_SCALE
    from hourglass.data.tfrecords.pipeline import eval_batches
    from hourglass.evaluation import pckh
    from hourglass.keypoints import MPII
    from hourglass.models.pose_estimator import PoseEstimator, predict_split

    truth, scores = trainer.truth, {}
    head_sizes = truth["head_size"], HEAD_SIZE_PER_SCALE * scales[truth["index"]]
    for flip_test in (False, True):
        for decode in DECODES:
            estimator = PoseEstimator(trainer.network, flip_test, decode)
            keypoints, _, _ = predict_split(
                estimator, eval_batches(split, 16, fill_last=True), split.num_persons
            )
            errors = [
                pckh.normalized_errors(keypoints[truth["index"]], truth["joints"], sizes)
                for sizes in head_sizes
            ]
            scores[f"{decode}{', flip test' if flip_test else ''}"] = [
                pckh.compute_pckh(e, truth["keypoints_visible"], MPII.scored_indices, threshold)
                for e in errors
                for threshold in (0.5, 0.1)
            ]
    return scores


def print_tables(work, seeds):
    """Markdown: a row a run, the decodings of ours, the curves."""
    results = {}
    for name in seeds:
        paths = [run_folder(work, name, seed) / "result.json" for seed in seeds[name]]
        results[name] = [json.loads(path.read_text()) for path in paths]
    columns = ("PCKh@0.5", "@0.1", "with flip test")
    print("| recipe |", " | ".join([*columns, *(f"by 25 x scale: {c}" for c in columns)]), "|")
    print("|---|" + "---:|" * 2 * len(columns))
    for name, runs in results.items():
        plain = [run["scores"]["dark"] for run in runs]
        flipped = [run["scores"]["dark, flip test"] for run in runs]
        cells = [cell for k in (0, 2)
                 for cell in (join(plain, k), join(plain, k + 1), join(flipped, k))]  # fmt: skip
        print(f"| {name} |", " | ".join(cells), "|")
    first = results[next(iter(results))]
    print(f"\n| decoding of {first[0]['name']} | PCKh@0.5 | @0.1 |\n|---|---:|---:|")
    for key in first[0]["scores"]:
        scores = [run["scores"][key] for run in first]
        print(f"| {key} | {join(scores, 0)} | {join(scores, 1)} |")
    print("\n| epoch | " + " | ".join(results) + " |\n|---|" + "---:|" * len(results))
    for epoch in (1, 2, 4, 6, 8, 10, 12, 20, 30, 40):
        curves = [runs[0]["history"] for runs in results.values()]
        cells = [f"{c[epoch - 1]['val_pckh']:.1f}" if len(c) >= epoch else "" for c in curves]
        print(f"| {epoch} | " + " | ".join(cells) + " |")


def join(scores, column):
    return ", ".join(f"{score[column]:.1f}" for score in scores)


if __name__ == "__main__":
    main()
