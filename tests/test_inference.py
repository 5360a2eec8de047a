import io

import keras
import numpy as np
import pytest
from keras import ops
from PIL import Image

from hourglass.errors import UserError
from hourglass.network.hourglass import build_hourglass, scale_heatmaps
from hourglass.network.norms import FusedNorm, fuse_norms
from hourglass.network.predictor import PosePredictor, predict_split
from hourglass.network.views import heatmap_to_input, swap_sides
from hourglass.prediction.folding import prepare_network
from hourglass.prediction.photos import predict_photo
from hourglass.records.input_pipeline import eval_batches
from hourglass.records.splits import open_split
from hourglass.skeleton import FLIP_ORDER

SIZE = 64  # px of the fake networks' input


class FakeNetwork:
    """Stands in for a network: `respond(pictures)` gives the heatmaps of the last stack."""

    input_shape = (None, SIZE, SIZE, 3)

    def __init__(self, respond):
        self.respond = respond
        self.seen = []

    def __call__(self, pictures, training=False):
        self.seen.append(pictures)
        return [None, self.respond(pictures)]


def brightness(pictures):
    """Heatmaps [N, S / 4, S / 4, 16] that peak where the picture is brightest."""
    pooled = keras.ops.average_pool(ops.mean(pictures, axis=3, keepdims=True), 4, 4)
    return ops.repeat(pooled / 255, 16, axis=3)


def make_predictor(respond=brightness, flip_test=False, decode="taylor", **settings):
    predictor = PosePredictor(FakeNetwork(respond), flip_test, decode, **settings)
    predictor.run_eagerly = True  # quicker than to trace it for one picture
    return predictor


def encode(image, kind="PNG"):
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def picture_with_dot(size, dot, radius):
    """A black picture with a soft white dot, as PNG bytes."""
    x, y = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    distance = (x - dot[0]) ** 2 + (y - dot[1]) ** 2
    grey = np.uint8(255 * np.exp(-distance / (2 * radius**2)))
    return encode(Image.fromarray(grey))


# The network for prediction


@pytest.fixture(scope="module")
def trained(tiny_params):
    """Two stacks whose norms have seen something, and whose biases are not zero."""
    keras.utils.set_random_seed(1)
    network = build_hourglass(tiny_params.model.model_copy(update={"num_stacks": 2}))
    rng = np.random.default_rng(2)
    network.set_weights([w + rng.uniform(0.05, 0.3, w.shape) for w in network.get_weights()])
    return network


def count_norms(network):
    norms = (keras.layers.BatchNormalization, FusedNorm)
    return sum(isinstance(layer, norms) for layer in network.layers)


@pytest.mark.parametrize("factor", [1, 12])
@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-5), ("mixed_bfloat16", 0.1)])
def test_a_prepared_network_gives_the_same_heatmaps(trained, factor, precision, tolerance):
    network = scale_heatmaps(trained, factor)
    weights = network.get_weights()
    prepared = prepare_network(network, precision)
    pictures = np.random.default_rng(3).uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)
    for ours, expected in zip(prepared(pictures), network(pictures), strict=True):
        assert ours.dtype == "float32"
        scale = np.abs(expected).max()
        np.testing.assert_allclose(ours / scale, expected / scale, atol=tolerance)
    assert 0 < count_norms(prepared) < count_norms(network) / 2
    for left, before in zip(network.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(left, before)


def test_a_network_that_was_fused_for_training_is_prepared_as_before(trained):
    expected = count_norms(prepare_network(trained, "float32"))
    fuse_norms(trained)
    assert count_norms(prepare_network(trained, "float32")) == expected


def test_only_the_heads_of_a_prepared_network_are_exact(trained):
    prepared = prepare_network(scale_heatmaps(trained, 12), "mixed_bfloat16")
    exact = {layer.name for layer in prepared.layers if layer.compute_dtype == "float32"}
    heads = {f"stack{k}_{what}" for k in (1, 2) for what in ("heatmaps", "scaled")}
    assert exact - {"pictures"} == heads


# Splits


@pytest.fixture(scope="module")
def val_split(shard_folder):
    return open_split(shard_folder, "validation", 32)


def test_predict_split_is_in_the_order_of_the_annotations(val_split, network, recwarn):
    predictor = PosePredictor(network, flip_test=False, decode="argmax")
    keypoints, scores, is_predicted = predict_split(predictor, eval_batches(val_split, 2), 5, 2)
    assert keypoints.shape == (5, 16, 2) and scores.shape == (5, 16)
    assert is_predicted.all()
    assert not [w for w in recwarn if "ran out of data" in str(w.message)]
    # One batch in reverse gives the same persons the same keypoints.
    batch = {key: value[::-1] for key, value in next(iter(eval_batches(val_split, 5))).items()}
    again = predictor.predict_on_batch(batch)
    np.testing.assert_allclose(again["keypoints"][::-1], keypoints, atol=1e-3)
    np.testing.assert_allclose(again["scores"][::-1], scores, atol=1e-5)


def test_predict_split_flags_whom_the_shards_do_not_hold():
    class Predictor:
        def predict(self, batches, **_):
            number = 2.0 * np.ones((2, 16, 2), np.float32)
            return {"index": np.array([3, 1]), "keypoints": number * [[[3]], [[1]]],
                    "scores": number[..., 0]}  # fmt: skip

    keypoints, scores, is_predicted = predict_split(Predictor(), None, 5, 2)
    assert is_predicted.tolist() == [False, True, False, True, False]
    assert keypoints[:, 0, 0].tolist() == [0, 2, 0, 6, 0]
    assert scores[:, 0].tolist() == [0, 2, 0, 2, 0]


def test_keypoints_come_back_to_the_original_pixels(val_split):
    # A network that always points at the middle of its view gives the view's center.
    def middle(pictures):
        heatmaps = np.zeros((1, 8, 8, 16), np.float32)
        heatmaps[:, 3:5, 3:5] = 1
        return ops.repeat(ops.convert_to_tensor(heatmaps), ops.shape(pictures)[0], axis=0)

    fake = FakeNetwork(middle)
    fake.input_shape = (None, 32, 32, 3)
    batch = next(iter(eval_batches(val_split, 5)))
    poses = PosePredictor(fake, False, "taylor").predict_on_batch(batch)
    center = np.concatenate([batch["center"].numpy(), np.ones((5, 1))], axis=1)
    expected = np.einsum("nij,nj->ni", batch["transform"].numpy(), center)
    zoom = batch["transform"].numpy()[:, 0, 0] * batch["side"].numpy() / 8  # px a heatmap px
    error = np.abs(poses["keypoints"] - expected[:, None]).max(axis=(1, 2))
    assert (error <= 0.5 * zoom + 1e-3).all()


# The flip test


def mirrored(heatmaps):
    """Heatmaps [N, H, W, K] of the mirrored picture, with left and right exchanged."""
    return heatmaps[:, :, ::-1][..., list(FLIP_ORDER)]


def test_flip_test_averages_the_mirrored_and_swapped_heatmaps():
    rng = np.random.default_rng(1)
    plain, flipped = rng.random((2, 2, 16, 16, 16)).astype(np.float32)
    answers = iter([plain, flipped])
    predictor = make_predictor(lambda _: next(answers), flip_test=True)
    pictures = rng.uniform(0, 255, (2, SIZE, SIZE, 3)).astype(np.float32)
    heatmaps = predictor.predict_heatmaps(pictures)
    np.testing.assert_allclose(heatmaps, (plain + mirrored(flipped)) / 2, rtol=1e-6)
    first, second = predictor.network.seen
    np.testing.assert_array_equal(first, pictures)
    np.testing.assert_array_equal(second, pictures[:, :, ::-1])


def test_without_flip_test_the_heatmaps_are_the_networks_own():
    plain = np.random.default_rng(1).random((2, 16, 16, 16)).astype(np.float32)
    predictor = make_predictor(lambda _: plain)
    np.testing.assert_array_equal(predictor.predict_heatmaps(np.zeros((2, SIZE, SIZE, 3))), plain)
    assert len(predictor.network.seen) == 1


def test_with_flip_test_a_mirrored_picture_gives_the_mirrored_pose(network):
    predictor = PosePredictor(network, flip_test=True, decode="argmax")
    pictures = np.random.default_rng(2).uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)
    heatmaps = np.asarray(predictor.predict_heatmaps(pictures))
    other = np.asarray(predictor.predict_heatmaps(pictures[:, :, ::-1].copy()))
    np.testing.assert_allclose(other, mirrored(heatmaps), atol=1e-6)
    assert np.abs(heatmaps - mirrored(heatmaps)).max() > 1e-4


def test_swap_sides_is_its_own_inverse():
    joints = np.arange(16)[None]
    assert np.asarray(swap_sides(swap_sides(joints))).tolist() == joints.tolist()


# Photographs


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "flip_test"])
def dot_finder(request):
    return make_predictor(flip_test=request.param)


@pytest.mark.parametrize(
    ("size", "dot", "box"),
    [
        ((120, 120), (40, 70), None),
        ((300, 90), (250, 52), None),
        ((300, 90), (3, 45), None),
        ((70, 260), (50, 210), None),
        ((31, 17), (20, 9), None),
        ((400, 300), (220, 130), (180, 60, 100, 160)),
        ((400, 300), (30, 40), (-60, -20, 160, 120)),
        ((400, 300), (370, 280), (300, 200, 150, 180)),
        ((400, 300), (203.5, 101.5), (150.25, 60.75, 99.5, 80.5)),
    ],
    ids=str,
)
def test_a_dot_is_found_in_the_pictures_own_pixels(dot_finder, size, dot, box):
    side = max(size if box is None else box[2:])
    margin = 1 if box is None else 1.25
    stride = 4 * margin * side / SIZE  # px of the picture to a heatmap pixel
    data = picture_with_dot(size, dot, radius=max(1.5, stride))
    image, keypoints, scores = predict_photo(dot_finder, data, box)
    assert image.size == size and image.mode == "RGB"
    assert keypoints.shape == (16, 2) and scores.shape == (16,)
    np.testing.assert_allclose(keypoints, np.tile(dot, (16, 1)), atol=0.15 * stride + 0.1)
    assert (scores > 0.5).all()


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (1, 2), (3, 3)])
def test_the_smallest_pictures_are_read(size):
    # The middle of the heatmap is the middle of the square around the picture.
    heatmaps = np.zeros((1, 16, 16, 16), np.float32)
    heatmaps[:, 7:9, 7:9] = 1
    predictor = make_predictor(lambda _: heatmaps, decode="argmax")
    _, keypoints, scores = predict_photo(predictor, encode(Image.new("RGB", size, "white")))
    middle = (np.array(size) - 1) / 2
    # Heatmap pixel 7 is half a stride from the middle; a square may be half a pixel off as well.
    tolerance = 0.5 * 4 * max(size) / SIZE + 0.5
    assert np.abs(keypoints - middle).max() <= tolerance
    assert (scores == 1).all()


def test_a_whole_picture_is_letterboxed_not_squashed():
    predictor = make_predictor()
    predict_photo(predictor, encode(Image.new("RGB", (200, 100), "white")))
    pictures = np.asarray(predictor.network.seen[0])[0]
    assert (pictures[17:47] == 255).all()
    assert (pictures[:15] == 0).all() and (pictures[49:] == 0).all()


def test_exif_orientation_is_applied():
    data = picture_with_dot((120, 80), (30, 20), 6)
    image = Image.open(io.BytesIO(data)).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by 90 degrees to the right
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", exif=exif, quality=95)
    upright, keypoints, _ = predict_photo(make_predictor(), buffer.getvalue())
    assert upright.size == (80, 120)
    np.testing.assert_allclose(keypoints[0], (79 - 20, 30), atol=1)


@pytest.mark.parametrize(
    "box", [(500, 10, 50, 50), (-100, 10, 50, 50), (10, 400, 20, 20), (10, -90, 20, 20)], ids=str
)
def test_a_box_outside_of_the_picture_is_refused(box):
    data = encode(Image.new("RGB", (400, 300)))
    with pytest.raises(UserError, match=r"the box .* of 400 x 300 px; fix the box"):
        predict_photo(make_predictor(), data, box)


def test_what_is_no_picture_is_refused():
    with pytest.raises(UserError, match="not a picture"):
        predict_photo(make_predictor(), b"no picture")


def test_argmax_gives_the_middle_of_a_heatmap_pixel():
    heatmaps = np.zeros((1, 16, 16, 16), np.float32)
    heatmaps[0, 3, 5] = 1
    predictor = make_predictor(lambda _: heatmaps, decode="argmax")
    _, keypoints, _ = predict_photo(predictor, encode(Image.new("RGB", (SIZE, SIZE))))
    expected = np.asarray(heatmap_to_input(np.array([5.0, 3.0])))
    np.testing.assert_allclose(keypoints, np.tile(expected, (16, 1)), atol=1e-4)
    assert expected.tolist() == [21.5, 13.5]
