"""Shards to batches of decoded crops, ready for the device. tf.data, on the host.

There is no warp here: on the host it costs 40 times what decoding does, on the device next to
nothing (`augment`). The order of an epoch follows from (seed, epoch) alone.
"""

import contextlib
import dataclasses
import os
from pathlib import Path

import numpy as np

from hourglass import geometry
from hourglass.errors import UserError
from hourglass.files import file_digest
from hourglass.frameworks import tf
from hourglass.network.views import draw_views
from hourglass.records.index import read_index
from hourglass.records.schema import parse_record

SHUFFLE_RECORDS = 4096  # encoded crops of 20 kB; the persons were spread over the shards already
INTERLEAVED_SHARDS = 8
TRAIN_KEYS = ("crops", "keypoints", "joints_vis", "center", "side", "draws", "index")
EVAL_KEYS = ("crops", "center", "side", "index", "transform")
_PARALLEL = {"num_parallel_calls": os.cpu_count(), "deterministic": True}


@dataclasses.dataclass(frozen=True)
class Split:
    """The shards of one split, and how their pictures are decoded.

    digests are the SHA-256 of the paths' files, as they were written. num_persons counts the
    annotations, rejected ones too; num_records those in the shards.
    crop_size is the side of the decoded crops, px.
    """

    paths: tuple[str, ...]
    digests: tuple[str, ...]
    num_records: int
    num_persons: int
    crop_size: int
    holds_whole_pictures: bool


def open_split(folder, split, input_size):
    """Find the shards of a split and hold each against the index that was written with them.

    Args:
        input_size: of the network; crops of whole pictures are decoded at about its resolution.

    Raises:
        UserError: a shard is missing or damaged, or there are no records.
    """
    index = read_index(folder)
    crop, entry = index["crop"], index["splits"][split]
    num_records = sum(shard["num_records"] for shard in entry["shards"].values())
    if not num_records:
        raise UserError(f"{folder}: the {split} shards hold no records; run `dvc repro shard`")
    covering = geometry.cover_side(input_size, crop["scale_range"], crop["rotation_range"])
    opened = Split(
        paths=tuple(str(Path(folder, name)) for name in entry["shards"]),
        digests=tuple(shard["sha256"] for shard in entry["shards"].values()),
        num_records=num_records,
        num_persons=entry["num_persons"],
        crop_size=crop["crop_size"] or int(np.ceil(covering)),
        holds_whole_pictures=crop["crop_size"] == 0,
    )
    _check_shards(opened)
    return opened


def _check_shards(split):
    for path, digest in zip(split.paths, split.digests, strict=True):
        if not Path(path).is_file():
            raise UserError(f"{path}: missing; run `dvc repro shard`")
        if file_digest(path) != digest:
            raise UserError(f"{path}: damaged; delete it and run `dvc repro shard`")


@contextlib.contextmanager
def name_damage(*splits):
    """Where reading fails, raise a `UserError` that names the shard which was damaged meanwhile.

    TensorFlow checks every record's sums, but says at which byte alone, not of which file.
    """
    try:
        yield
    except tf.errors.OpError:
        for split in splits:
            _check_shards(split)
        raise


def check_persons(split, persons):
    """Raise `UserError` unless the records of `split` are of `persons`, the annotations.

    It finds shards that were made from other annotations, where stages were run by hand.
    """
    images = dict(enumerate(person.image for person in persons))
    records = _open_records(split).map(parse_record)
    for record in records.as_numpy_iterator():
        if images.get(int(record["index"])) != record["filename"].decode():
            raise UserError(
                f"{Path(split.paths[0]).parent}: made from other annotations than those of now: "
                f"record {record['index']} is on {record['filename'].decode()}; run "
                "`dvc repro shard`"
            )


def train_batches(split, batch_size, augment_params, seed, epoch):
    """One epoch of full batches in an order of its own, each record with its drawn view.

    Batches are dicts: `crops` uint8 [N, D, D, 3]; `keypoints` [N, 16, 2], `center` [N, 2] and
    `side` [N], stored px; `joints_vis` uint8 [N, 16], 0 or 1; `draws` [N, NUM_DRAWS]; `index` [N]
    in the annotations.

    Args:
        batch_size: over all replicas. A last batch that would be smaller is left out; as the order
            changes, so do the records left out.
    """
    rng = np.random.default_rng((seed, epoch, 1))
    paths = [split.paths[k] for k in rng.permutation(len(split.paths))]
    draws = draw_views(augment_params, seed, epoch, split.num_persons)
    records = tf.data.Dataset.from_tensor_slices(paths).interleave(
        tf.data.TFRecordDataset,
        cycle_length=INTERLEAVED_SHARDS,
        num_parallel_calls=INTERLEAVED_SHARDS,
        deterministic=True,
    )
    order_seed = int(rng.integers(2**31))
    records = records.shuffle(SHUFFLE_RECORDS, seed=order_seed, reshuffle_each_iteration=False)
    records = _with_cardinality(records, split)

    def decode(serialized):
        record = _add_crop(parse_record(serialized), split)
        record["draws"] = tf.gather(draws, record["index"])
        # Over several GPUs Keras averages the first batch, and fails on booleans.
        record["joints_vis"] = tf.cast(record["joints_vis"], tf.uint8)
        return {key: record[key] for key in TRAIN_KEYS}

    return _batched(records.map(decode, **_PARALLEL), batch_size, drop_remainder=True)


def eval_batches(split, batch_size, fill_last=False):
    """Every record once, in order, unaugmented, the last batch as small as it is.

    Batches are dicts: `crops` uint8 [N, D, D, 3]; `center` [N, 2] and `side` [N], stored px;
    `index` [N] in the annotations; `transform` [N, 2, 3], stored to original px.

    Args:
        fill_last: fill the last batch up with the first records; several GPUs can only share a
            batch that has something for each.
    """
    records = _open_records(split)
    if fill_last:
        records = records.repeat().take(split.num_records + -split.num_records % batch_size)

    def decode(serialized):
        record = _add_crop(parse_record(serialized), split)
        return {key: record[key] for key in EVAL_KEYS}

    return _batched(records.map(decode, **_PARALLEL), batch_size, drop_remainder=False)


def read_truth(split):
    """The annotations of a split's records, in the order of `eval_batches`, without pictures.

    Returns:
        dict of `index` [N], `joints` float64 [N, 16, 2] (original px), `joints_vis` bool [N, 16]
        and `scale` float64 [N] (person height / 200 original px).
    """
    records = _open_records(split).map(parse_record)
    truth = {"index": [], "joints": [], "joints_vis": [], "scale": []}
    for record in records.as_numpy_iterator():
        transform = record["transform"].astype(np.float64)
        truth["index"].append(record["index"])
        truth["joints"].append(geometry.apply_transform(transform, record["keypoints"]))
        truth["joints_vis"].append(record["joints_vis"])
        truth["scale"].append(geometry.view_scale(record["side"] * transform[0, 0]))
    return {key: np.array(values) for key, values in truth.items()}


def read_crops(split, indices):
    """The decoded pictures of some records.

    Returns:
        {index: (uint8 [D, D, 3] or the whole picture, transform float32 [2, 3] to original px)}.
    """
    wanted = tf.constant(sorted(indices), tf.int32, shape=(len(indices),))
    records = _open_records(split).map(parse_record)
    records = records.filter(lambda record: tf.reduce_any(record["index"] == wanted))
    return {
        int(record["index"]): (
            tf.io.decode_jpeg(record["encoded"], channels=3).numpy(),
            record["transform"].numpy(),
        )
        for record in records
    }


def _open_records(split):
    return _with_cardinality(tf.data.TFRecordDataset(list(split.paths)), split)


def _with_cardinality(records, split):
    # Otherwise Keras learns the number of batches by running out of them, and warns each time; and
    # records cut off as a whole would not be missed.
    return records.apply(tf.data.experimental.assert_cardinality(split.num_records))


def _batched(records, batch_size, drop_remainder):
    batches = records.batch(batch_size, drop_remainder=drop_remainder).prefetch(2)
    return batches.with_options(_without_tuning())


def _without_tuning():
    # The tuner's thread sleeps for up to a second at a time, and the end of each pass waits for it.
    options = tf.data.Options()
    options.autotune.enabled = False
    return options


def _add_crop(record, split):
    """Replace `encoded` by `crops` uint8 [D, D, 3]."""
    size = split.crop_size
    picture = tf.io.decode_jpeg(record.pop("encoded"), channels=3)
    if split.holds_whole_pictures:
        picture, record = _crop_whole_picture(picture, record, size)
    crop = tf.image.pad_to_bounding_box(picture, 0, 0, size, size)
    return record | {"crops": tf.ensure_shape(crop, (size, size, 3))}


def _crop_whole_picture(picture, record, size):
    """Cut the person's square out of a whole picture, and move the coordinates along."""
    x, y, side = tf.unstack(record["square"])
    shape = tf.shape(picture)
    top, bottom = tf.clip_by_value(y, 0, shape[0]), tf.clip_by_value(y + side, 0, shape[0])
    left, right = tf.clip_by_value(x, 0, shape[1]), tf.clip_by_value(x + side, 0, shape[1])
    part = picture[top:bottom, left:right]
    above, before = tf.clip_by_value(-y, 0, side), tf.clip_by_value(-x, 0, side)
    below, after = side - above - (bottom - top), side - before - (right - left)
    part = tf.pad(part, [[above, below], [before, after], [0, 0]])
    crop = tf.image.resize(part, (size, size), antialias=True)
    crop = tf.cast(tf.clip_by_value(tf.round(crop), 0, 255), tf.uint8)
    ratio = tf.cast(side, tf.float32) / size
    corner = tf.cast(tf.stack([x, y]), tf.float32)
    moved = {
        "keypoints": (record["keypoints"] + 0.5 - corner) / ratio - 0.5,
        "center": (record["center"] + 0.5 - corner) / ratio - 0.5,
        "side": record["side"] / ratio,
        "transform": tf.concat([ratio * tf.eye(2), (0.5 * ratio + corner - 0.5)[:, None]], axis=1),
    }
    return crop, record | moved
