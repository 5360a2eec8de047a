"""The cost and sharpness of each size of stored crops; how far the warp may shrink them.

usage: python experiments/crop_sizes.py DATA

DATA holds images/ and validation.json in MPII's form, full-size photographs. Every person goes
through shards and input pipeline to a model input of the recipe's size, without augmentation. It
is compared with the direct one: the same crop of the full-size picture, resized once, smoothed,
never compressed. A picture's sharpness is the mean of |Laplacian| (4 neighbours) of its luma.
"""

import argparse
import dataclasses
import json
import math
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter, ImageOps

from hourglass.config import load_params
from hourglass.data.tfrecords.index import write_index
from hourglass.data.tfrecords.pipeline import eval_batches
from hourglass.data.tfrecords.plan import plan_shards
from hourglass.data.tfrecords.reader import open_split
from hourglass.data.tfrecords.writer import list_invalid, write_chunk
from hourglass.data.validation import check_records
from hourglass.keypoints import MPII
from hourglass.models.model_inputs import render_inputs
from hourglass.utils import transforms
from hourglass.utils.images import decode_image

ROOT = Path(__file__).parents[1]
SIZES = (384, 416, 440, 448, 512, 576, 0)
QUALITIES = (80, 85, 95)
REDUCTIONS = (1.0, 1.25, 1.5, 1.75, 2.0, 2.5)  # stored px to an input px
BORDER = 3  # input px next to black that are not compared
# The place of an input px between stored ones decides how much the warp blurs; stored px.
SHIFTS = ((0, 0), (0.25, 0.5), (0.5, 0.75), (0.75, 0.25))
BICUBIC = Image.Resampling.BICUBIC


@dataclasses.dataclass(frozen=True)
class Sample:
    """Persons, one a picture, and the folder of their pictures."""

    persons: list
    folder: Path

    def read(self, name):
        """A picture's bytes: a Sample reads like an archive."""
        return (self.folder / name).read_bytes()


def load_sample(folder):
    records = json.loads((folder / "validation.json").read_text())
    persons, _ = check_records(records, image_names=None)
    return Sample(persons, folder / "images")


def choose_large(sample, side):
    """The persons whose crops have at least `side` px of the picture."""
    persons = [p for p in sample.persons if transforms.person_region(p.center, p.scale)[1] >= side]
    return dataclasses.replace(sample, persons=persons)


def store_sample(sample, params, folder, size):
    """The sample as one validation shard in `folder`, opened for a network of `size` px."""
    shards = plan_shards("validation", "val", len(sample.persons), 1)
    path = folder / shards[0].name
    written = write_chunk(path, shards[0].indices, sample.persons, sample, params)
    invalid = list_invalid(shards[0].indices, sample.persons, written)
    write_index(folder, shards, [invalid], {"validation": len(sample.persons)}, MPII, params)
    return open_split(folder, "validation", size)


def read_sample(sample, params, size):
    """One batch of all persons as the input pipeline makes it, numpy; bytes a record."""
    with tempfile.TemporaryDirectory() as folder:
        split = store_sample(sample, params, Path(folder), size)
        num_bytes = Path(split.paths[0]).stat().st_size / split.num_records
        (batch,) = eval_batches(split, split.num_records).as_numpy_iterator()
    return batch, num_bytes


def direct_inputs(sample, size):
    """Model inputs [N, S, S, 3] of the full-size pictures; where these are seen, bool [N, S, S]."""
    inputs, shown = [], []
    for person in sample.persons:
        picture, _ = decode_image(sample.read(person.image))
        center, side = transforms.person_region(person.center, person.scale)
        margin = math.ceil(side)  # black, so that no input reaches outside
        left, top = center + 0.5 - side / 2 + margin
        box = (left, top, left + side, top + side)
        wide = ImageOps.expand(picture, margin)
        inputs.append(np.asarray(wide.resize((size, size), BICUBIC, box)))
        mask = ImageOps.expand(Image.new("L", picture.size, 255), margin)
        mask = mask.resize((size, size), Image.Resampling.BOX, box)
        mask = mask.filter(ImageFilter.MinFilter(2 * BORDER + 1))
        shown.append(np.asarray(mask) == 255)
    shown = np.stack(shown)
    shown[:, :BORDER] = shown[:, -BORDER:] = shown[:, :, :BORDER] = shown[:, :, -BORDER:] = False
    return np.stack(inputs).astype(np.float32), shown


def smoothed_inputs(batch, size):
    """Model inputs [N, S, S, 3] of stored crops by a resize that smooths: the warp's ideal."""
    inputs = []
    for crop, center, side in zip(batch["crops"], batch["center"], batch["side"], strict=True):
        left, top = center + 0.5 - side / 2
        box = (left, top, left + side, top + side)
        inputs.append(np.asarray(Image.fromarray(crop).resize((size, size), BICUBIC, box)))
    return np.stack(inputs).astype(np.float32)


def to_luma(inputs):
    return np.asarray(inputs) @ np.float32([0.299, 0.587, 0.114])


def measure_sharpness(inputs, shown):
    """Mean |Laplacian| of each input [N, S, S, 3] over its pixels `shown`: [N]."""
    luma = to_luma(inputs)
    rolled = [np.roll(luma, step, axis) for axis in (1, 2) for step in (-1, 1)]
    return np.mean(np.abs(4 * luma - sum(rolled)), axis=(1, 2), where=shown)


def measure_difference(inputs, others, shown):
    """Mean absolute difference of the luma of each pair of inputs, grey levels: [N]."""
    return np.mean(np.abs(to_luma(inputs) - to_luma(others)), axis=(1, 2), where=shown)


def compare_with_direct(sample, params, size):
    """Input px, bytes a record, sharpness and difference from direct, for a shard.crop_size."""
    batch, num_bytes = read_sample(sample, params, size)
    inputs, (direct, shown) = render_inputs(batch, size), direct_inputs(sample, size)
    sharpness = measure_sharpness(inputs, shown) / measure_sharpness(direct, shown)
    return batch["side"], num_bytes, sharpness, measure_difference(inputs, direct, shown)


def compare_with_smoothed(sample, params, size, reduction):
    """Sharpness and difference against smoothed inputs, of crops shrunk by `reduction`."""
    cover = transforms.cover_side(reduction * size, params.scale_range, params.rotation_range)
    params = params.model_copy(update={"crop_size": round(cover) + 2 * transforms.MARGIN})
    batch, _ = read_sample(sample, params, size)
    _, shown = direct_inputs(sample, size)
    found = []
    for shift in np.float32(SHIFTS):
        moved = batch | {"center": batch["center"] + shift}
        inputs, smoothed = render_inputs(moved, size), smoothed_inputs(moved, size)
        sharpness = measure_sharpness(inputs, shown) / measure_sharpness(smoothed, shown)
        found.append((sharpness, measure_difference(inputs, smoothed, shown)))
    return np.mean(found, axis=(0, 2))


def time_decoding(sample, params, size, times=100):
    """CPU milliseconds a record of the input pipeline, host side."""
    many = dataclasses.replace(sample, persons=sample.persons * times)
    with tempfile.TemporaryDirectory() as folder:
        split = store_sample(many, params, Path(folder), size)
        for _ in eval_batches(split, 16):  # once that does not count
            pass
        start = time.process_time()
        for _ in eval_batches(split, 16):
            pass
        return (time.process_time() - start) / split.num_records * 1000


def print_sizes(sample, params, size):
    print(
        "| crop_size | quality | input px | kB a record | sharpness | difference | decode, CPU ms |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|")
    rows = [(crop_size, params.jpeg_quality) for crop_size in SIZES]
    for crop_size, quality in rows + [(params.crop_size, quality) for quality in QUALITIES]:
        changed = params.model_copy(update={"crop_size": crop_size, "jpeg_quality": quality})
        side, num_bytes, sharpness, difference = compare_with_direct(sample, changed, size)
        milliseconds = time_decoding(sample, changed, size)
        print(
            f"| {crop_size or 'whole'} | {quality if crop_size else ''} | {side.mean():.0f} "
            f"| {num_bytes / 1000:.1f} | {sharpness.mean():.2f} "
            f"({sharpness.min():.2f}-{sharpness.max():.2f}) | {difference.mean():.2f} "
            f"| {milliseconds:.2f} |"
        )


def print_reductions(sample, params, size):
    sample = choose_large(sample, max(REDUCTIONS) * size)  # else the persons differ by row
    print(f"\n| stored px to an input px, {size} px | sharpness | difference |\n|---|---:|---:|")
    for reduction in REDUCTIONS:
        sharpness, difference = compare_with_smoothed(sample, params, size, reduction)
        print(f"| {reduction:g} | {sharpness:.2f} | {difference:.2f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    sample = load_sample(parser.parse_args().data)
    recipe, demo = (load_params(ROOT / name / "params.yaml") for name in (".", "demo"))
    print_sizes(sample, recipe.shard, recipe.model.input_size)
    for params in (recipe, demo):
        print_reductions(sample, params.shard, params.model.input_size)


if __name__ == "__main__":
    main()
