"""The recipe of `lspet/`: what each part brings, and what more photographs and epochs would.

usage: python experiments/photographs.py LSPET [--work DIR] [--jobs 2] [--seeds 2] [--only NAME ...]

LSPET is the project `lspet/` after `dvc repro shard`. A run of the ablation is the recipe with 64
channels and 16 epochs, on each fourth photograph of the train part; one of the scaling has all or
fewer of them. Each is judged on all validation persons, by the stages themselves. Runs are kept in
--work: a second call goes on where the first was stopped.
"""

import argparse
import copy
import functools
import json
import time
from pathlib import Path

import numpy as np
import yaml
from matplotlib.figure import Figure
from runs import ROOT, name_folder, run_all, run_python

from hourglass.data.person import load_persons, load_schema
from hourglass.evaluation.pckh import score_persons
from hourglass.evaluation.predictions import load_predictions

BASE = {
    "model": {"num_channels": 64},
    "train": {"epochs": 16, "batch_size": 16, "weight_decay": 1e-2},
    "predict": {"num_figures": 0, "flip_test": True, "num_refinements": 1},
}
# Changes of params.yaml, and of what is trained on: each `every`-th photograph (4), without the
# share `drop` of them whose labels a network finds absurd, from the weights of a network (`start`).
VARIANTS = {
    "nothing": {},
    "128 channels, 8 epochs": {"model": {"num_channels": 128}, "train": {"epochs": 8}},
    "192 channels, 6 epochs": {"model": {"num_channels": 192}, "train": {"epochs": 6}},
    "2 stacks, 8 epochs": {"model": {"num_stacks": 2}, "train": {"epochs": 8}},
    "turn 180": {"shard": {"rotation_range": 180}, "train": {"augment": {"rotation": 180}}},
    "160 px, 3 levels, 10 epochs": {
        "shard": {"crop_size": 340}, "model": {"input_size": 160, "num_levels": 3},
        "train": {"epochs": 10},
    },
    "192 px, 7 epochs": {
        "shard": {"crop_size": 408}, "model": {"input_size": 192}, "train": {"epochs": 7},
    },
    "a start from drawn figures": {"start": "drawn"},
    "5 % of the persons dropped": {"drop": 0.05},
    "learning rate 5e-3": {"train": {"lr": 5e-3}},
    "learning rate 2e-2": {"train": {"lr": 2e-2}},
    "batches of 8": {"train": {"batch_size": 8}},
    "foreground weight 10": {"train": {"foreground_weight": 10.0}},
    "3 levels": {"model": {"num_levels": 3}},
    "5 levels": {"model": {"num_levels": 5}},
    "weight decay 5e-2": {"train": {"weight_decay": 5e-2}},
    "turn 15": {"train": {"augment": {"rotation": 15}}},
    "averaged weights, 0.99": {"train": {"ema": 0.99}},
    "float32": {"train": {"precision": "float32"}},
    "all photographs, 16 epochs, a start from drawn figures": {
        "every": 1, "start": "drawn", "train": {"epochs": 16},
    },
    "all photographs, 128 channels, 8 epochs": {
        "every": 1, "model": {"num_channels": 128}, "train": {"epochs": 8},
    },
}  # fmt: skip
EPOCHS_OF_ALL = 4
SCALING = {
    # As many pictures are seen of a part of the photographs as of all.
    "1/8 of the photographs": {"every": 8, "train": {"epochs": 8 * EPOCHS_OF_ALL}},
    "1/4 of the photographs": {"every": 4, "train": {"epochs": 4 * EPOCHS_OF_ALL}},
    "1/2 of the photographs": {"every": 2, "train": {"epochs": 2 * EPOCHS_OF_ALL}},
    "all photographs": {"every": 1, "train": {"epochs": EPOCHS_OF_ALL}},
    "all photographs, 2 epochs": {"every": 1, "train": {"epochs": 2}},
    "all photographs, 8 epochs": {"every": 1, "train": {"epochs": 8}},
    "all photographs, 16 epochs": {"every": 1, "train": {"epochs": 16}},
}
RUNS = VARIANTS | SCALING
NUM_DRAWN = 4000  # figures of the network that a run starts from
SURE = 0.5  # score above which a keypoint speaks against a label ...
FAR = 1.0  # ... that lies so far from it, head sizes


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lspet", type=Path)
    parser.add_argument("--work", type=Path, default=Path("photographs"))
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time, a CPU core each")
    parser.add_argument("--seeds", type=int, default=2, help="of each run")
    parser.add_argument("--only", nargs="+", default=list(RUNS), metavar="NAME")
    options = parser.parse_args()
    if unknown := set(options.only) - set(RUNS):
        parser.error(f"no run {sorted(unknown)[0]!r}; there are: {', '.join(RUNS)}")
    names = [name for name in RUNS if name in options.only]
    # What runs share is made before them.
    data = {name: make_data(options, RUNS[name]) for name in names}
    starts = {name: draw_start(options) for name in names if RUNS[name].get("start")}
    runs = [(name, seed) for seed in range(1, 1 + options.seeds) for name in names]
    run_all(functools.partial(run_variant, options, data, starts), runs, options.jobs)
    results = {name: read_results(options, name) for name in names}
    print_ablation({name: results[name] for name in names if name in VARIANTS})
    if set(names) >= set(SCALING):
        print_scaling({name: results[name] for name in SCALING}, options)


def make_params(options, *changes):
    """The project's recipe for the small network, with the changes of sections."""
    params = yaml.safe_load((options.lspet / "params.yaml").read_text())
    for layer in (BASE, *changes):
        merge(params, {key: value for key, value in layer.items() if key in params})
    return params


def merge(values, changes):
    for key, value in changes.items():
        if isinstance(value, dict):
            merge(values[key], value)
        else:
            values[key] = copy.copy(value)


def make_project(folder, params):
    """A folder that stages run in."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "params.yaml").write_text(yaml.safe_dump(params))


def run_stages(folder, *stages, core=None):
    for stage in stages:
        run_python(ROOT / "stages" / f"{stage}.py", cwd=folder, core=core)


def make_data(options, changes):
    """The `data` folder, shards included, of a run; made once for all runs that share it."""
    folder = data_folder(options, changes)
    if not (folder / "data/tfrecords/index.json").is_file():
        records = read_records(options, "train")[:: changes.get("every", 4)]
        if share := changes.get("drop"):
            records = drop_absurd(options, records, share)
        pack(options, folder, changes, records, read_records(options, "validation"))
    return folder / "data"


def data_folder(options, changes):
    kind = [changes.get("every", 4), changes.get("drop", 0), *changes.get("shard", {}).values()]
    return options.work / "data" / "-".join(map(str, kind))


def read_records(options, split):
    return json.loads((options.lspet / f"data/annotations/{split}.json").read_text())


def pack(options, folder, changes, train, validation):
    """Shards of these records, their pictures those of the project."""
    make_project(folder, make_params(options, changes))
    (folder / "data/annotations").mkdir(parents=True, exist_ok=True)
    link(folder / "data/raw", options.lspet / "data/raw")
    for split, records in (("train", train), ("validation", validation)):
        (folder / f"data/annotations/{split}.json").write_text(json.dumps(records))
    for name in ("data/annotations/schema.json", "data/annotations/invalid.csv"):
        (folder / name).write_bytes((options.lspet / name).read_bytes())
    run_stages(folder, "shard")


def link(path, target):
    path.unlink(missing_ok=True)
    path.symlink_to(target.resolve())


def drop_absurd(options, records, share):
    """The records without those in which most of the labels lie far from what is surely seen.

    By a network that was trained on all of them: it has learnt the labels of most too well to be
    far from them, and does not follow the absurd ones.
    """
    folder = options.work / "judged"
    if not (folder / "reports/predictions.json").is_file():
        pack(options, folder, {}, records, records)
        run_stages(folder, "train", "predict")
    persons = load_persons(folder / "data/annotations/validation.json")
    schema = load_schema(folder / "data/annotations")
    predictions = load_predictions(folder / "reports/predictions.json", persons, schema)
    errors, keypoints_visible = score_persons(persons, predictions.keypoints)
    against = (predictions.scores > SURE) & (errors > FAR) & keypoints_visible
    order = np.argsort(-against.mean(axis=1), kind="stable")
    dropped = set(order[: round(share * len(records))].tolist())
    return [record for index, record in enumerate(records) if index not in dropped]


def draw_start(options):
    """A network trained on drawn figures alone, of the runs' sizes."""
    folder = options.work / "drawn"
    if not (folder / "models/hourglass.keras").is_file():
        drawn = {"data": {"dataset": "synthetic", "synthetic": {"num_train": NUM_DRAWN}}}
        make_project(folder, make_params(options, drawn))
        run_stages(folder, "download", "parse", "shard", "train")
    return str((folder / "models/hourglass.keras").resolve())


def run_folder(options, name, seed):
    return options.work / "runs" / f"{name_folder(name)}-seed{seed}"


def run_variant(options, data, starts, run, core):
    """Train, predict and evaluate one run, unless its result is there."""
    name, seed = run
    folder, changes = run_folder(options, name, seed), RUNS[name]
    if (folder / "minutes").is_file():
        return
    train = {"train": {"seed": seed, "init_weights": starts.get(name, "")}}
    make_project(folder, make_params(options, changes, train))
    link(folder / "data", data[name])
    begun = time.monotonic()
    run_stages(folder, "train", core=core)
    minutes = (time.monotonic() - begun) / 60
    run_stages(folder, "predict", "evaluate", core=core)
    (folder / "minutes").write_text(f"{minutes:.2f}")


def read_results(options, name):
    """For each seed PCKh@0.5 and @0.1 of predict, the best PCKh@0.5 of training, minutes."""
    results = []
    for seed in range(1, 1 + options.seeds):
        folder = run_folder(options, name, seed)
        scores = json.loads((folder / "reports/metrics.json").read_text())
        history = np.genfromtxt(folder / "reports/plots/history.csv", delimiter=",", names=True)
        results.append((
            scores["pckh"]["total"], scores["pckh_0.1"]["total"], history["val_pckh"].max(),
            float((folder / "minutes").read_text()),
        ))  # fmt: skip
    return results


def print_ablation(results):
    """Markdown: a row a variant, its seeds side by side."""
    print("| changed | PCKh@0.5, flip test, 1 refinement | @0.1, the same | @0.5 | minutes |")
    print("|---|---:|---:|---:|---:|")
    for name, runs in results.items():
        columns = zip(*runs, strict=True)
        cells = [", ".join(f"{value:.1f}" for value in column) for column in columns]
        print(f"| {name} | {' | '.join(cells)} |")


def print_scaling(results, options):
    """A table, and a figure: PCKh by number of photographs, and by epochs on all of them."""
    print()
    print_ablation(results)
    of_all = len(read_records(options, "train"))
    by_part, by_epochs = {}, {}
    for name, runs in results.items():
        every, epochs = RUNS[name]["every"], RUNS[name]["train"]["epochs"]
        if epochs == EPOCHS_OF_ALL * every:
            by_part[of_all // every] = runs
        if every == 1:
            by_epochs[epochs] = runs
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    plot_scores(axes[0], by_part, "photographs to train on, as many of them seen")
    plot_scores(axes[1], by_epochs, f"epochs of {of_all:,} photographs")
    axes[0].set_ylabel("PCKh@0.5, flip test, 1 refinement")
    figure.savefig(options.work / "scaling.png", dpi=120)


def plot_scores(axes, results, label):
    """The seeds as dots, a line through their means."""
    numbers = sorted(results)
    axes.set(xlabel=label, xscale="log")
    axes.set_xticks(numbers, [f"{number:,}" for number in numbers])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    for number in numbers:
        scores = [run[0] for run in results[number]]
        axes.plot([number] * len(scores), scores, "o", color="tab:blue", alpha=0.5)
    axes.plot(numbers, [np.mean([run[0] for run in results[n]]) for n in numbers], color="tab:blue")


if __name__ == "__main__":
    main()
