"""The network with all that surrounds it: from stored crops to keypoints of original pictures."""

import functools

import numpy as np
from tqdm import tqdm

from hourglass.frameworks import keras, ops, tf
from hourglass.network.devices import share_batch
from hourglass.network.heatmaps import decode_heatmaps
from hourglass.network.views import (
    apply_transforms,
    heatmap_to_input,
    render_views,
    swap_sides,
    view_transforms,
)
from hourglass.skeleton import NUM_JOINTS


class PosePredictor(keras.Model):
    """The network with all that surrounds it: from a batch of stored crops to keypoints.

    Its `predict(batches)` takes batches of the input pipeline and returns a dict of arrays:
    `index` [N], `keypoints` float32 [N, K, 2] in px of the original pictures, `scores` [N, K].
    Source of the flip test: Newell et al., ECCV 2016, Training Details.
    """

    def __init__(self, network, flip_test, decode):
        # Keras would round the coordinates to the precision of the network, by pixels.
        super().__init__(name="pose_predictor", dtype="float32")
        self.compile(jit_compile=False)  # Keras would choose XLA by itself
        self.network = network
        self.size = network.input_shape[1]  # S
        self.flip_test = flip_test
        self.decode = decode

    def call(self, batch):
        """Keypoints of one batch."""
        keypoints, scores = self.find_keypoints(render_views(batch, self.size))
        # From the view back to the picture: stored crop, original.
        to_stored = view_transforms(batch, self.size)  # (N, 2, 3), view px to stored px
        keypoints = apply_transforms(to_stored, keypoints)  # stored px
        keypoints = apply_transforms(batch["transform"], keypoints)  # original px
        return {"index": batch["index"], "keypoints": keypoints, "scores": scores}

    def find_keypoints(self, views):
        """Keypoints [N, K, 2], px of the views [N, S, S, 3], 0..255; scores [N, K]."""
        heatmaps = self.predict_heatmaps(views)  # (N, H, W, K)
        keypoints, scores = decode_heatmaps(heatmaps, self.decode)  # heatmap px
        return heatmap_to_input(keypoints), scores

    @functools.cached_property
    def predict_views(self):
        """`find_keypoints` of uint8 views, compiled once for batches of any size.

        All devices share a batch: it holds at least one view for each.
        """
        # Keras would compile anew for another size of batch, which takes a second or more.
        views = tf.TensorSpec((None, self.size, self.size, 3), tf.uint8)

        @tf.function(input_signature=[views], autograph=False)
        def predict(views):
            return share_batch(
                self.distribute_strategy,
                lambda share: self.find_keypoints(ops.cast(share, "float32")),
                views,
            )

        return predict

    def predict_heatmaps(self, pictures):
        """Heatmaps [N, H, W, K] of pictures [N, S, S, 3], 0..255, of the last stack."""
        heatmaps = self._last(pictures)
        if self.flip_test:
            # Seen in a mirror, and the heatmaps mirrored back.
            mirrored = ops.flip(self._last(ops.flip(pictures, axis=2)), axis=2)
            # What is found at the mirrored left wrist is the right one: the joints swap too.
            swapped = ops.moveaxis(swap_sides(ops.moveaxis(mirrored, 3, 1)), 1, 3)
            # The mean of the heatmaps and not of the keypoints, as in the paper: where the two
            # views disagree, the surer one's peak wins.
            heatmaps = (heatmaps + swapped) / 2
        return heatmaps

    def _last(self, pictures):  # (N, S, S, 3) to (N, H, W, K)
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
    # Keras' own bar counts batches; this one counts pictures.
    progress = _ProgressBar(num_persons, batch_size)
    result = predictor.predict(batches, verbose=0, callbacks=[progress])
    # By index: a last batch that was filled up holds its first records twice.
    keypoints = np.zeros((num_persons, NUM_JOINTS, 2), np.float32)
    scores = np.zeros((num_persons, NUM_JOINTS), np.float32)
    is_predicted = np.zeros(num_persons, bool)
    keypoints[result["index"]] = result["keypoints"]
    scores[result["index"]] = result["scores"]
    is_predicted[result["index"]] = True
    return keypoints, scores, is_predicted
