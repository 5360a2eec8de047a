"""The input pipeline: images a second, bytes a record, and what one core can feed.

Run as a program it prints the images a second of the host side alone, on the cores it is given.
"""

import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np
import peer
import samples
from measure import Row, measure_rates, number, on_cores, rate_row

from hourglass.config import load_params
from hourglass.data.tfrecords import pipeline
from hourglass.data.tfrecords.reader import open_split
from hourglass.keypoints import MPII
from hourglass.models.codec import HeatmapCodec
from hourglass.models.model_inputs import crop_half_bodies, render_inputs, transform_keypoints
from hourglass.utils.backend import tf

ROOT = Path(__file__).parents[1]
PARAMS = load_params(ROOT / "params.yaml")
BATCH_SIZE = 16
OUR_PASSES = 8  # over the sample in one round, so that a round takes a second


def speed_rows(name, sample, folder, tutorial, measure, targets):
    """Host side, and the whole with model inputs and heatmaps, against the tutorial's whole."""
    crops, whole = samples.write_splits(folder, sample, PARAMS.shard)
    check_work(sample, crops, whole, tutorial)
    runs = {
        "host": consume(host_batches(crops).repeat(OUR_PASSES)),
        "all": consume(host_batches(crops).repeat(OUR_PASSES), device_step()),
    }
    if tutorial:
        runs = {"tutorial": consume(tutorial.batches(whole, BATCH_SIZE))} | runs
    if peer.IS_HERE:
        batches = peer.Peer(sample, PARAMS.train, PARAMS.model.input_size).batches
        assert count_peaks(batches(BATCH_SIZE), peak=0.8) > 0.8 * count_labels(sample)
        runs["peer"] = lambda: sum(len(pictures) for pictures, _ in batches(BATCH_SIZE))
    rates = measure(runs)
    theirs = rates.get("tutorial")
    yield rate_row(f"input, host side, {name}", rates["host"], theirs, targets[0])
    yield rate_row(
        f"input with augmentation and heatmaps, {name}", rates["all"], theirs, targets[1]
    )
    if peer.IS_HERE:
        what = f"the same, {peer.NAME} on {peer.NUM_THREADS} threads in place of the tutorial"
        yield rate_row(what, rates["all"], rates["peer"])
    yield byte_row(name, len(sample.persons), folder)


def host_batches(split):
    return pipeline.train_batches(split, BATCH_SIZE, PARAMS.train.augment, 1, 1)


def device_step():
    """The part of a train step before the network: pictures and heatmaps, one graph."""
    size = PARAMS.model.input_size
    codec = HeatmapCodec(size // 4, 4, PARAMS.train.sigma)

    @tf.function
    def step(batch):
        batch = crop_half_bodies(batch, MPII.lower_indices)
        keypoints, _ = transform_keypoints(batch, size, MPII.flip_order)
        return render_inputs(batch, size), codec.encode(keypoints)

    return step


def consume(batches, step=lambda batch: batch):
    """A function that works through all batches and says how many pictures they held."""

    def run():
        total = 0
        for batch in batches:
            output = step(batch)
            first = output["crops"] if isinstance(output, dict) else output[0]
            total += len(first)
        np.asarray(first)  # wait for the last one
        return total

    return run


def check_work(sample, crops, whole, tutorial):
    """Both give pictures of 256 px and a peak for all, or nearly all, labelled joints."""
    labels = count_labels(sample)
    ours = count_peaks(map(device_step(), host_batches(crops)), peak=0.8)
    assert ours > 0.9 * labels, f"ours drew {ours} of {labels} joints"
    if tutorial:
        theirs = count_peaks(tutorial.batches(whole, BATCH_SIZE), peak=11)
        assert theirs > 0.9 * labels, f"the tutorial drew {theirs} of {labels} joints"


def count_labels(sample):
    return sum(int(person.keypoints_visible.sum()) for person in sample.persons)


def count_peaks(batches, peak):
    """Heatmaps that rise to `peak`; the target's height is 1 here and 12 in the tutorial."""
    total = 0
    for pictures, heatmaps in batches:
        assert pictures.shape[1:] == (256, 256, 3), pictures.shape
        assert heatmaps.shape[1:] == (64, 64, 16), heatmaps.shape
        total += int(np.sum(np.max(heatmaps, axis=(1, 2)) > peak))
    return total


def byte_row(name, num_persons, folder):
    """Shards of crops against shards of whole pictures: kB a record."""
    crops, whole = (
        sum(path.stat().st_size for path in (folder / kind).glob("*.tfrecords"))
        for kind in ("crops", "whole")
    )
    return Row(
        f"bytes of the shards, {name}",
        f"{number(crops / num_persons / 1e3)} kB a record",
        f"{number(whole / num_persons / 1e3)} kB a record",
        f"1/{whole / crops:.1f}",
        target="<= 1/8" if "small" not in name else "",
    )


def core_rows(what, sample, folder, rounds):
    """The host side alone on one core and on two, each in a process of its own.

    Args:
        what: the pictures, in words.
    """
    samples.write_split(folder / "crops", sample, PARAMS.shard)
    rates = {count: host_rate(folder / "crops", count, rounds) for count in (1, 2)}
    for count, rate in rates.items():
        yield Row(
            f"input, host side alone, crops of {what}, {count} core{'s' * (count > 1)}",
            f"{rate:.0f} images/s",
        )
    yield Row(
        "the same at 16 cores, by arithmetic: 16 times the lesser rate of one core",
        f"{16 * min(rates[1], rates[2] / 2):.0f} images/s",
    )


def host_rate(folder, cores, rounds):
    with on_cores(cores):
        command = [sys.executable, __file__, str(folder), str(rounds)]
        result = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(result.stdout)


def main():
    folder, rounds = sys.argv[1:]
    split = open_split(folder, "train", PARAMS.model.input_size)
    run = consume(host_batches(split).repeat(OUR_PASSES))
    print(statistics.median(measure_rates({"host": run}, int(rounds))["host"]))


if __name__ == "__main__":
    main()
