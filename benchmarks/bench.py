"""Images a second of the input pipeline, ours against the tutorial's own scripts, in one run.

usage: make bench [BASELINE=DIR]

BASELINE is a folder with the train.py, preprocess.py and hourglass104.py of the "action stickers"
tutorial. Both read the same drawn
persons on pictures of MPII's size: the baseline whole pictures, as it stores them, ours person
crops, as we do. They take turns; each figure is the median over the rounds.
"""

import argparse
import io
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from hourglass import annotations, input_pipeline, synthetic, tfrecords
from hourglass.augment import make_views
from hourglass.backend import tf
from hourglass.heatmaps import encode_heatmaps
from hourglass.params import load_params

PICTURE_WIDTH = 1280  # px, as most of MPII's
BATCH_SIZE = 16


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--baseline", type=Path, metavar="DIR")
    options.add_argument("--num-pictures", type=int, default=256)
    options.add_argument("--rounds", type=int, default=5)
    options = options.parse_args()
    params = load_params(Path(__file__).parents[1] / "params.yaml")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        persons, pictures = draw_pictures(options.num_pictures)
        crops = write_split(folder / "crops", persons, pictures, params.shard)
        whole_params = params.shard.model_copy(update={"crop_size": 0})
        whole = write_split(folder / "whole", persons, pictures, whole_params)
        runs = {
            "ours, host side": lambda: count(host_batches(crops, params)),
            "ours, with views and heatmaps": lambda: count(device_batches(crops, params)),
        }
        if options.baseline:
            runs = {"tutorial": lambda: count(tutorial_batches(options.baseline, whole))} | runs
        rates = measure(runs, options.rounds)
        report(rates, size_of(whole), size_of(crops), options.num_pictures)


def draw_pictures(number):
    """Drawn figures, enlarged to MPII's size: persons, and a dict of JPEG bytes."""
    records, pictures = [], {}
    for index in tqdm(range(number), desc="draw", disable=None):
        image, (record, *_) = synthetic.draw_picture(1, index)
        factor = PICTURE_WIDTH / image.width
        size = (PICTURE_WIDTH, round(image.height * factor))
        with io.BytesIO() as buffer:
            image.resize(size, Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=92)
            pictures[f"{index}.jpg"] = buffer.getvalue()
        visible = np.array(record["joints_vis"], bool)[:, None]
        record["joints"] = np.where(visible, np.array(record["joints"]) * factor, -1).tolist()
        record["center"] = [value * factor for value in record["center"]]
        records.append(record | {"image": f"{index}.jpg", "scale": record["scale"] * factor})
    persons, rejects = annotations.check_records(records, image_names=None)
    assert not rejects
    return persons, pictures


class Pictures(dict):
    """Pictures in memory, read like an archive."""

    read = dict.__getitem__


def write_split(folder, persons, pictures, shard_params):
    """Write 8 train shards and open them."""
    shards = tfrecords.plan_shards("train", "train", len(persons), 8, seed=1)
    results = [
        tfrecords.write_shard(
            folder / shard.name,
            shard.indices,
            [persons[k] for k in shard.indices],
            Pictures(pictures),
            shard_params,
        )
        for shard in tqdm(shards, desc=folder.name, disable=None)
    ]
    tfrecords.write_index(folder, shards, results, {"train": len(persons)}, shard_params)
    return input_pipeline.open_split(folder, "train", 256)


def host_batches(split, params):
    return input_pipeline.train_batches(split, BATCH_SIZE, params.train.augment, 1, 1)


def device_batches(split, params):
    """What the network is trained on: pictures and heatmaps, as in a train step."""
    size, sigma = params.model.input_size, params.train.sigma

    @tf.function
    def make_inputs(batch):
        pictures, keypoints, _ = make_views(batch, size)
        return pictures, encode_heatmaps(keypoints, size // 4, sigma)

    return map(make_inputs, host_batches(split, params))


def tutorial_batches(folder, split):
    sys.path.insert(0, str(folder.resolve()))
    import train

    sys.path.pop(0)
    pattern = str(Path(split.paths[0]).parent / "train*")
    return train.create_dataset(pattern, BATCH_SIZE, 16, is_train=True)


def count(batches):
    """Number of pictures in all batches, once they are there."""
    total = 0
    for batch in batches:
        total += len(batch["crops"] if isinstance(batch, dict) else batch[0])
    return total


def measure(runs, rounds):
    """Images a second of each run, taking turns: {name: [rate of each round]}."""
    rates = {name: [] for name in runs}
    for _ in tqdm(range(rounds), desc="measure", disable=None):
        for name, run in runs.items():
            start = time.perf_counter()
            number = run()
            rates[name].append(number / (time.perf_counter() - start))
    return rates


def size_of(split):
    return sum(Path(path).stat().st_size for path in split.paths)


def report(rates, whole_bytes, crop_bytes, number):
    base = statistics.median(next(iter(rates.values())))
    print("| input pipeline | images/s | min - max | ratio |\n|---|---:|---:|---:|")
    for name, values in rates.items():
        rate, spread = statistics.median(values), f"{min(values):.0f} - {max(values):.0f}"
        print(f"| {name} | {rate:.0f} | {spread} | {rate / base:.1f} |")
    print(f"\nkB a record: whole pictures {whole_bytes / number / 1e3:.0f}, ", end="")
    print(f"crops {crop_bytes / number / 1e3:.0f}, ratio 1/{whole_bytes / crop_bytes:.1f}")


if __name__ == "__main__":
    main()
