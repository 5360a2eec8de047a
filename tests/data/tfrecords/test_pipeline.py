import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from helpers.augmentation import make_augment_params
from hourglass.data.tfrecords.augmentation import NUM_PARAMETERS
from hourglass.data.tfrecords.pipeline import crop_whole_picture, eval_batches, train_batches
from hourglass.data.tfrecords.reader import open_records, open_split
from hourglass.keypoints import MPII
from hourglass.models.model_inputs import render_inputs, transform_keypoints
from hourglass.utils import transforms
from hourglass.utils.devices import Share


def indices(batches):
    return [batch["index"].numpy().tolist() for batch in batches]


def epoch_batches(split, params, seed=1, epoch=1, batch_size=4):
    return list(train_batches(split, batch_size, params.train.augment, seed, epoch))


def test_eval_order_is_that_of_the_annotations_with_the_last_batch(val_split):
    assert indices(eval_batches(val_split, 2)) == [[0, 1], [2, 3], [4]]


def test_the_last_batch_can_be_filled_up_with_the_first_records(val_split):
    assert indices(eval_batches(val_split, 2, fill_last=True)) == [[0, 1], [2, 3], [4, 0]]
    assert indices(eval_batches(val_split, 8, fill_last=True)) == [[0, 1, 2, 3, 4, 0, 1, 2]]
    assert indices(eval_batches(val_split, 5, fill_last=True)) == [[0, 1, 2, 3, 4]]
    assert int(eval_batches(val_split, 2, fill_last=True).cardinality()) == 3


def test_hosts_share_each_train_batch_and_decode_their_part_alone(train_split, tiny_params):
    augment = tiny_params.train.augment
    parts = [train_batches(train_split, 4, augment, 1, 1, Share(rank, 2)) for rank in (0, 1)]
    shared = [a + b for a, b in zip(*map(indices, parts), strict=True)]
    assert shared == indices(epoch_batches(train_split, tiny_params))
    assert len(shared) == 3 and len(shared[0]) == 4


def test_hosts_share_the_validation_records(val_split):
    shares = [
        indices(eval_batches(val_split, 2, fill_last=True, share=Share(rank, 3)))
        for rank in range(3)
    ]
    # Filled up with its own: no record is on two hosts.
    assert shares == [[[0, 3]], [[1, 4]], [[2, 2]]]
    assert indices(eval_batches(val_split, 2, fill_last=True, share=Share(6, 7))) == []


def test_eval_batches_have_the_promised_shapes(val_split):
    batch = next(iter(eval_batches(val_split, 2)))
    assert {key: (value.dtype.name, tuple(value.shape)) for key, value in batch.items()} == {
        "crops": ("uint8", (2, 64, 64, 3)),
        "center": ("float32", (2, 2)),
        "side": ("float32", (2,)),
        "index": ("int32", (2,)),
        "transform": ("float32", (2, 2, 3)),
    }


def test_train_batches_have_the_promised_shapes(train_split, tiny_params):
    batch = next(iter(epoch_batches(train_split, tiny_params)))
    assert {key: (value.dtype.name, tuple(value.shape)) for key, value in batch.items()} == {
        "crops": ("uint8", (4, 64, 64, 3)),
        "keypoints": ("float32", (4, 16, 2)),
        "keypoints_visible": ("bool", (4, 16)),
        "center": ("float32", (4, 2)),
        "side": ("float32", (4,)),
        "augmentation": ("float32", (4, NUM_PARAMETERS)),
        "index": ("int32", (4,)),
    }


def test_keras_can_ask_for_the_number_of_batches(train_split, val_split, tiny_params):
    assert int(eval_batches(val_split, 2).cardinality()) == 3
    assert int(train_batches(train_split, 4, tiny_params.train.augment, 1, 1).cardinality()) == 3


def test_train_batches_are_full_and_hold_no_record_twice(train_split, tiny_params):
    batches = indices(epoch_batches(train_split, tiny_params))
    assert [len(batch) for batch in batches] == [4, 4, 4]
    assert len({index for batch in batches for index in batch}) == 12


def test_an_epoch_of_single_records_holds_each_once(train_split, tiny_params):
    batches = indices(epoch_batches(train_split, tiny_params, batch_size=1))
    assert sorted(index for (index,) in batches) == list(range(14))


def test_train_order_follows_from_seed_and_epoch_alone(train_split, tiny_params):
    first = indices(epoch_batches(train_split, tiny_params, seed=1, epoch=1))
    assert indices(epoch_batches(train_split, tiny_params, seed=1, epoch=1)) == first
    assert indices(epoch_batches(train_split, tiny_params, seed=1, epoch=2)) != first
    assert indices(epoch_batches(train_split, tiny_params, seed=2, epoch=1)) != first


def test_a_record_keeps_its_draw_wherever_it_lies(train_split, tiny_params):
    def draws_by_record(batch_size):
        batches = epoch_batches(train_split, tiny_params, batch_size=batch_size)
        return {
            int(index): tuple(draw.numpy())
            for batch in batches
            for index, draw in zip(batch["index"], batch["augmentation"], strict=True)
        }

    small, large = draws_by_record(1), draws_by_record(7)
    assert large == small
    assert len(set(small.values())) == 14


def views_of(folder, size):
    """Pictures [5, S, S, 3], keypoints (input px) and keypoints_visible, not augmented."""
    split = open_split(folder, "validation", size)
    pictures = render_inputs(next(iter(eval_batches(split, 5))), size)
    still = make_augment_params(scale=0.0, rotation=0.0, flip=False, colour=0.0)
    batch = next(iter(train_batches(split, 5, still, 1, 1)))
    order = np.argsort(batch["index"])
    found = transform_keypoints(batch, size, MPII.flip_order)
    keypoints, keypoints_visible = (np.array(values)[order] for values in found)
    return pictures.numpy(), keypoints, keypoints_visible


def inside_pictures(*inputs):
    """Pixels [N, S, S] two and more away from the black around a picture; there they may differ."""
    inside = np.logical_and.reduce([pixels.max(axis=-1) > 8 for pixels in inputs])
    inside[:, [0, -1]] = inside[:, :, [0, -1]] = False
    rolled = [np.roll(inside, (dy, dx), (1, 2)) for dy in range(-2, 3) for dx in range(-2, 3)]
    return np.logical_and.reduce(rolled)


def measure_shifts(inputs, moved, inside):
    """By how many pixels each of `moved` [N, S, S, 3] is shifted: x and y, least squares."""
    change = np.where(inside, (moved - inputs).mean(axis=-1), 0)
    gradients = [np.where(inside, g, 0) for g in np.gradient(inputs.mean(axis=-1), axis=(2, 1))]
    return [-(g * change).sum((1, 2)) / (g * g).sum((1, 2)) for g in gradients]


def test_whole_pictures_give_the_same_views_as_crops(
    whole_folder, write_shards, tiny_params, tmp_path
):
    # Both are decoded at the same resolution, so that only the way of cutting differs.
    size = 64
    _, crop_size = transforms.fitting_crop_sizes(size, 0.25, 30)
    params = tiny_params.shard.model_copy(update={"crop_size": crop_size, "jpeg_quality": 98})
    crops = views_of(write_shards(tmp_path, params), size)
    whole = views_of(whole_folder, size)
    np.testing.assert_array_equal(whole[2], crops[2])
    keypoints_visible = crops[2] > 0
    np.testing.assert_allclose(whole[1][keypoints_visible], crops[1][keypoints_visible], atol=0.025)
    inside = inside_pictures(crops[0], whole[0])
    assert inside.mean() > 0.6
    assert np.abs(whole[0] - crops[0])[inside].mean() < 4
    np.testing.assert_allclose(measure_shifts(crops[0], whole[0], inside), 0, atol=0.1)


@pytest.mark.parametrize(
    ("x", "y"), [(-4, -3), (5, 6), (10, 8), (-30, 2), (3, 40), (3, -15), (40, 3)], ids=str
)
def test_the_square_of_a_whole_picture_is_cut_wherever_it_lies(x, y):
    picture = np.random.default_rng(1).integers(0, 256, (14, 18, 3), np.uint8)
    side = 10
    record = {
        "cover": tf.constant([x, y, side]),
        "keypoints": tf.constant([[x + 2.0, y + 3.0]]),
        "center": tf.constant([x + 4.0, y + 5.0]),
        "side": tf.constant(8.0),
        "transform": tf.eye(2, 3),
    }
    crop, moved = crop_whole_picture(tf.constant(picture), record, side)
    wide = np.pad(picture, [(60, 60), (60, 60), (0, 0)])
    np.testing.assert_array_equal(crop, wide[60 + y : 70 + y, 60 + x : 70 + x])
    np.testing.assert_allclose(moved["keypoints"], [[2, 3]], atol=1e-5)
    np.testing.assert_allclose(moved["center"], [4, 5], atol=1e-5)
    np.testing.assert_allclose(moved["transform"], [[1, 0, x], [0, 1, y]], atol=1e-5)


def test_views_of_whole_pictures_are_as_fine_as_the_warp_stands(whole_folder):
    split = open_split(whole_folder, "validation", 64)
    (batch,) = eval_batches(split, 5)
    np.testing.assert_allclose(batch["side"], transforms.MAX_REDUCTION * 64 / 1.25, atol=1)


def test_crops_are_decoded_as_pillow_decodes_them(val_split):
    (batch,) = eval_batches(val_split, 5)
    records = open_records(val_split).map(val_split.parse).as_numpy_iterator()
    for record, crop in zip(records, batch["crops"].numpy(), strict=True):
        pixels = np.asarray(Image.open(io.BytesIO(record["encoded"]))).astype(int)
        assert np.abs(pixels - crop).max() <= 1


def test_from_a_smaller_crop_of_a_whole_picture_there_is_a_way_back():
    places, center = np.float32([[12.5, 4.25], [3, 9]]), np.float32([8, 7])
    record = {
        "cover": tf.constant([2, -3, 10]),
        "keypoints": tf.constant(places),
        "center": tf.constant(center),
        "side": tf.constant(8.0),
        "transform": tf.eye(2, 3),
    }
    _, moved = crop_whole_picture(tf.zeros((14, 18, 3), tf.uint8), record, 5)
    assert moved["side"] == 4
    for value, original in (("keypoints", places), ("center", center)):
        back = transforms.apply_transform(moved["transform"].numpy(), moved[value].numpy())
        np.testing.assert_allclose(back, original, atol=1e-5)
    corner = transforms.apply_transform(moved["transform"].numpy(), [-0.5, -0.5])
    np.testing.assert_allclose(corner, [1.5, -3.5], atol=1e-5)
