"""Pictures in, keypoints out: flip test, decoding, and the way back to the picture's own pixels."""

import numpy as np
from tqdm import tqdm

from hourglass import geometry
from hourglass.augment import (
    PLAIN_DRAW,
    apply_transforms,
    heatmap_to_input,
    make_views,
    swap_sides,
    view_transforms,
)
from hourglass.backend import keras, layers, ops
from hourglass.heatmaps import decode_heatmaps
from hourglass.images import BadImageError, crop_square, decode_image
from hourglass.norms import clone_network, fuse_norms
from hourglass.skeleton import NUM_JOINTS


def prepare_network(network, precision):
    """A copy of a trained network for prediction alone; its heatmaps stay float32.

    The norms that follow a convolution are folded into its weights and the others are fused, which
    changes nothing but the rounding and saves 5 to 35 % of the time on a CPU.

    Args:
        precision: of the layers, a Keras dtype policy.
    """
    heads = _find_heads(network)
    folded = _find_folded_norms(network)
    norms = {norm.name for norm in folded.values()}

    def copy_layer(layer):
        config = layer.get_config()
        if layer.name not in heads:
            config["dtype"] = precision
        if layer.name in norms:
            return layers.Identity(name=layer.name, dtype=precision)
        if layer.name in folded:
            config["use_bias"] = True
        return layer.__class__.from_config(config)

    copy = clone_network(network, copy_layer)
    for layer in network.layers:
        if layer.name not in norms:
            copy.get_layer(layer.name).set_weights(_fold_norm(layer, folded.get(layer.name)))
    return fuse_norms(copy)


def _find_heads(network):
    """Names of the layers that make the heatmaps: the last convolutions and what scales them."""
    heads, waiting = set(), [tensor._keras_history.operation for tensor in network.outputs]
    while waiting:
        layer = waiting.pop()
        heads.add(layer.name)
        if not isinstance(layer, layers.Conv2D):
            waiting.append(_layer_before(layer))
    return heads


def _layer_before(layer):
    return layer._inbound_nodes[0].parent_nodes[0].operation


def _find_folded_norms(network):
    """{name of a convolution: the norm that is all that follows it}."""
    folded, members = {}, set(network.layers)
    for layer in network.layers:
        if isinstance(layer, layers.BatchNormalization):
            before = _layer_before(layer)
            is_conv = isinstance(before, layers.Conv2D)
            # A fused copy of the network (`norms`) shares the convolution: its norms do not count.
            followers = sum(node.operation in members for node in before._outbound_nodes)
            if is_conv and _is_linear(before) and followers == 1:
                folded[before.name] = layer
    return folded


def _is_linear(layer):
    return layer.activation is keras.activations.linear


def _fold_norm(layer, norm):
    """The weights of a layer with those of the norm after it; as they are where there is none."""
    weights = layer.get_weights()
    if norm is None:
        return weights
    gamma, beta, mean, variance = norm.get_weights()
    factor = gamma / np.sqrt(variance + norm.epsilon)
    bias = weights[1] if layer.use_bias else 0
    return [weights[0] * factor, (bias - mean) * factor + beta]


class PosePredictor(keras.Model):
    """The network with all that surrounds it: from a batch of stored crops to keypoints.

    Its `predict(batches)` takes batches of the input pipeline and returns a dict of arrays:
    `index` [N], `keypoints` float32 [N, K, 2] in px of the original pictures, `scores` [N, K].
    Source of the flip test: Newell et al., ECCV 2016, section 3.1.
    """

    def __init__(self, network, flip_test, decode, xla=False):
        # Keras would round the coordinates to the precision of the network, by pixels.
        super().__init__(name="pose_predictor", dtype="float32")
        self.compile(jit_compile=xla)  # Keras would choose XLA by itself
        self.network = network
        self.size = network.input_shape[1]
        self.flip_test = flip_test
        self.decode = decode

    def call(self, batch):
        """Keypoints of one batch."""
        pictures, _, _ = make_views(batch, self.size)
        heatmaps = self.predict_heatmaps(pictures)
        keypoints, scores = decode_heatmaps(heatmaps, self.decode)
        to_stored = view_transforms(batch["center"], batch["side"], batch["draws"], self.size)
        keypoints = apply_transforms(to_stored, heatmap_to_input(keypoints))
        keypoints = apply_transforms(batch["transform"], keypoints)
        return {"index": batch["index"], "keypoints": keypoints, "scores": scores}

    def predict_heatmaps(self, pictures):
        """Heatmaps [N, H, W, K] of pictures [N, S, S, 3], 0..255, of the last stack."""
        heatmaps = self._last(pictures)
        if self.flip_test:
            mirrored = ops.flip(self._last(ops.flip(pictures, axis=2)), axis=2)
            swapped = ops.moveaxis(swap_sides(ops.moveaxis(mirrored, 3, 1)), 1, 3)
            heatmaps = (heatmaps + swapped) / 2
        return heatmaps

    def _last(self, pictures):
        outputs = self.network(pictures, training=False)
        return outputs[-1] if isinstance(outputs, list | tuple) else outputs


class _ProgressBar(keras.callbacks.Callback):
    def __init__(self, num_records, batch_size):
        super().__init__()
        self.bar = tqdm(total=num_records, desc="predict", unit="image", disable=None, leave=False)
        self.batch_size = batch_size

    def on_predict_batch_end(self, batch, logs=None):
        self.bar.update(self.batch_size)

    def on_predict_end(self, logs=None):
        self.bar.close()


def predict_split(predictor, batches, num_persons, batch_size):
    """Predict every record of a split, in the order of the annotations.

    Args:
        batches: from `input_pipeline.eval_batches`.

    Returns:
        keypoints: float32 [num_persons, 16, 2], original px; scores: float32 [num_persons, 16].
        is_predicted: bool [num_persons], False for persons that the shards do not hold.
    """
    progress = _ProgressBar(num_persons, batch_size)
    result = predictor.predict(batches, verbose=0, callbacks=[progress])
    keypoints = np.zeros((num_persons, NUM_JOINTS, 2), np.float32)
    scores = np.zeros((num_persons, NUM_JOINTS), np.float32)
    is_predicted = np.zeros(num_persons, bool)
    keypoints[result["index"]] = result["keypoints"]
    scores[result["index"]] = result["scores"]
    is_predicted[result["index"]] = True
    return keypoints, scores, is_predicted


def predict_photo(predictor, data, box=None):
    """Find the 16 keypoints of one person on a photograph.

    Args:
        data: the picture file's bytes.
        box: x, y, width, height of the person, px of the upright picture; the network sees the
            square around it, with the margin it was trained with. None: the square around the
            whole picture, letterboxed, never squashed.

    Returns:
        image: the upright RGB picture. keypoints: float32 [16, 2], px of it. scores: [16].

    Raises:
        BadImageError: the picture cannot be decoded, or the box lies outside of it.
    """
    image, _ = decode_image(data)
    x, y, width, height = box or (0, 0, *image.size)
    side = max(width, height) * (geometry.CROP_FACTOR if box else 1)
    size = predictor.size
    left, top = round(x + width / 2 - side / 2), round(y + height / 2 - side / 2)
    square = (left, top, max(1, round(side)), size)
    try:
        crop = np.asarray(crop_square(image, 1, square))
    except BadImageError:
        picture = f"a picture of {image.width} x {image.height} px"
        raise BadImageError(
            f"the box {x:g},{y:g},{width:g},{height:g} leaves nothing to see of {picture}; mend "
            "the box"
            if box
            else f"{picture} is too narrow to see anybody; name a --box within it"
        ) from None
    batch = {
        "crops": crop[None],
        "keypoints": np.zeros((1, NUM_JOINTS, 2), np.float32),
        "labelled": np.zeros((1, NUM_JOINTS), bool),
        "center": np.full((1, 2), (size - 1) / 2, np.float32),
        "side": np.array([size], np.float32),
        "draws": np.array([PLAIN_DRAW], np.float32),
        "index": np.zeros(1, np.int32),
        "transform": geometry.box_transform(*square)[None].astype(np.float32),
    }
    result = predictor.predict_on_batch(batch)
    return image, result["keypoints"][0], result["scores"][0]
