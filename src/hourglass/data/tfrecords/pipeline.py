"""Shards to batches of decoded crops, ready for the device. tf.data, on the host.

There is no warp here: on the host it costs 40 times what decoding does, on the device next to
nothing (`models.model_inputs`). The order of an epoch follows from (seed, epoch) alone. Letters: N
records, K keypoints, D stored px.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from hourglass.data.tfrecords.augmentation import sample_augmentation
from hourglass.data.tfrecords.reader import Split, open_records, with_cardinality
from hourglass.utils.backend import Tensor, tf
from hourglass.utils.devices import Share
from hourglass.utils.parallel import count_cores

if TYPE_CHECKING:
    from hourglass.config import AugmentParams

SHUFFLE_RECORDS = 4096  # encoded crops of 30 kB; the persons were spread over the shards already
INTERLEAVED_SHARDS = 8
TRAIN_KEYS = ("crops", "keypoints", "keypoints_visible", "center", "side", "augmentation", "index")
EVAL_KEYS = ("crops", "center", "side", "index", "transform")
WHOLE = Share()
Record = dict[str, Tensor]
_PARALLEL: dict[str, Any] = {"num_parallel_calls": count_cores(), "deterministic": True}


def train_batches(
    split: Split,
    batch_size: int,
    augment_params: "AugmentParams",
    seed: int,
    epoch: int,
    share: Share = WHOLE,
    repeats: Mapping[str, int] | None = None,
) -> "tf.data.Dataset":
    """One epoch of full batches in an order of its own, each record with its augmentation.

    Batches are dicts. In stored px they hold `crops` uint8 [N, D, D, 3], `keypoints` [N, K, 2],
    `center` [N, 2] and `side` [N]. The others are `keypoints_visible` bool [N, K], `augmentation`
    [N, NUM_PARAMETERS], and `index` [N], the place in the annotations.

    Args:
        batch_size: over all replicas. A smaller last batch is dropped: other records each epoch.
        share: which equal part of each batch to give, and to decode.
        repeats: set name -> how often the epoch shows each of its records, each time with an
            augmentation of its own; once by default.
    """
    rng = np.random.default_rng((seed, epoch, 1))  # another stream than the augmentation's
    counts = split.spread(repeats or {}, 1)  # (num_persons,)
    num_times = int(counts.max())
    # Every shard is read as often as its records are shown at most.
    times, shards = np.divmod(rng.permutation(num_times * len(split.paths)), len(split.paths))
    # (num_times * num_persons, NUM_PARAMETERS): by the index in the annotations, so invalid have a
    # row too.
    rotations = split.spread(augment_params.rotations, augment_params.rotation)
    augmentation = sample_augmentation(
        augment_params, seed, epoch, num_times * split.num_persons, np.tile(rotations, num_times)
    )

    def read_shard(path: Tensor, time: Tensor) -> "tf.data.Dataset":
        records = tf.data.TFRecordDataset(path)
        if num_times > 1:
            shown = tf.constant(counts)
            records = records.filter(lambda r: tf.gather(shown, split.parse(r)["index"]) > time)
        return records.map(lambda record: (record, time))

    records = tf.data.Dataset.from_tensor_slices(([split.paths[k] for k in shards], times))
    records = records.interleave(
        read_shard,
        cycle_length=INTERLEAVED_SHARDS,
        num_parallel_calls=INTERLEAVED_SHARDS,
        deterministic=True,  # else the order hangs on the disk
    )
    # Shuffled before they are decoded: the buffer holds JPEG bytes, not pixels.
    order_seed = int(rng.integers(2**31))
    records = records.shuffle(SHUFFLE_RECORDS, seed=order_seed, reshuffle_each_iteration=False)
    # Neither TFRecords nor interleaving tell how many there are.
    records = with_cardinality(records, split.count_records(repeats or {}))
    if share.number > 1:
        records = _take_parts(records, batch_size, share)

    def decode(serialized: Tensor, time: Tensor) -> Record:
        record = _add_crop(split.parse(serialized), split)
        # The place in the epoch plays no part: an augmentation is the same in any order.
        row = record["index"] + tf.cast(time, tf.int32) * split.num_persons
        record["augmentation"] = tf.gather(augmentation, row)
        return {key: record[key] for key in TRAIN_KEYS}

    part = batch_size // share.number
    return _batched(records.map(decode, **_PARALLEL), part, drop_remainder=True)


def _take_parts(records: "tf.data.Dataset", batch_size: int, share: Share) -> "tf.data.Dataset":
    """The share's part of each batch, by the records' places: the others are not decoded."""
    part = batch_size // share.number
    num_whole = int(records.cardinality()) // batch_size * batch_size
    places = records.take(num_whole).enumerate()
    return places.filter(lambda place, _: place % batch_size // part == share.rank).map(
        lambda _, record: record  # a record and its time
    )


def eval_batches(
    split: Split, batch_size: int, fill_last: bool = False, share: Share = WHOLE
) -> "tf.data.Dataset":
    """Every record once, in order, without augmentation; the last batch can be smaller.

    Batches are dicts. In stored px they hold `crops` uint8 [N, D, D, 3], `center` [N, 2] and `side`
    [N]. The others are `index` [N], the place in the annotations, and `transform` [N, 2, 3], from
    stored to original px.

    Args:
        fill_last: fill the last batch up with the first records: several GPUs can only share a
            batch with a record for each.
        share: which records to give; `batch_size` counts these.
    """
    records = open_records(split).shard(share.number, share.rank)
    if fill_last:
        number = int(records.cardinality())
        # -n % b is what n lacks to a multiple of b.
        records = records.repeat().take(number + -number % batch_size)

    def decode(serialized: Tensor) -> Record:
        record = _add_crop(split.parse(serialized), split)
        return {key: record[key] for key in EVAL_KEYS}

    return _batched(records.map(decode, **_PARALLEL), batch_size, drop_remainder=False)


def _batched(
    records: "tf.data.Dataset", batch_size: int, drop_remainder: bool
) -> "tf.data.Dataset":
    # Two batches wait while the device works on a third.
    batches = records.batch(batch_size, drop_remainder=drop_remainder).prefetch(2)
    return batches.with_options(_without_tuning())


def _without_tuning() -> "tf.data.Options":
    # The tuner's thread sleeps for up to a second at a time, and the end of each pass waits for it.
    options = tf.data.Options()
    options.autotune.enabled = False
    return options


def _add_crop(record: Record, split: Split) -> Record:
    """Replace `encoded` by `crops` uint8 [D, D, 3]."""
    size = split.crop_size
    # (height, width, 3), by the transform that the writer used: the default's is a rough one.
    picture = tf.io.decode_jpeg(record.pop("encoded"), 3, dct_method="INTEGER_ACCURATE")
    if split.holds_whole_pictures:
        picture, record = crop_whole_picture(picture, record, size)
    # Persons smaller than a crop are stored as they are: black to the right and below.
    crop = tf.image.pad_to_bounding_box(picture, 0, 0, size, size)
    return record | {"crops": tf.ensure_shape(crop, (size, size, 3))}


def crop_whole_picture(picture: Tensor, record: Record, size: int) -> tuple[Tensor, Record]:
    """Cut the crop of `cover` out of a whole picture, and move the coordinates along."""
    x, y, side = tf.unstack(record["cover"])  # whole px of the picture
    shape = tf.shape(picture)
    top, bottom = tf.clip_by_value(y, 0, shape[0]), tf.clip_by_value(y + side, 0, shape[0])
    left, right = tf.clip_by_value(x, 0, shape[1]), tf.clip_by_value(x + side, 0, shape[1])
    part = picture[top:bottom, left:right]  # the part of the crop that is inside the picture
    # What lies outside on each side becomes black.
    above, before = tf.clip_by_value(-y, 0, side), tf.clip_by_value(-x, 0, side)
    below, after = side - above - (bottom - top), side - before - (right - left)
    part = tf.pad(part, [[above, below], [before, after], [0, 0]])
    # As stored crops are made; smoothed where it shrinks, since thin lines would else alias.
    crop = tf.image.resize(part, (size, size), "lanczos3", antialias=True)
    crop = tf.cast(tf.clip_by_value(tf.round(crop), 0, 255), tf.uint8)
    ratio = tf.cast(side, tf.float32) / size  # px of the picture to one of the crop
    # Both frames have their corner at -0.5, half a pixel before the first centre.
    corner = tf.cast(tf.stack([x, y]), tf.float32)
    moved = {
        "keypoints": (record["keypoints"] + 0.5 - corner) / ratio - 0.5,
        "center": (record["center"] + 0.5 - corner) / ratio - 0.5,
        "side": record["side"] / ratio,
        "transform": tf.concat([ratio * tf.eye(2), (0.5 * ratio + corner - 0.5)[:, None]], axis=1),
    }
    return crop, record | moved
