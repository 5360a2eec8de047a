"""The network with all that surrounds it: from stored crops to keypoints of original pictures."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from tqdm import tqdm

from hourglass.models.codec import open_codec
from hourglass.models.model_inputs import (
    Batch,
    apply_transforms,
    input_transforms,
    refined_crops,
    render_inputs,
    swap_sides,
)
from hourglass.utils.backend import Model, Tensor, ops, tf
from hourglass.utils.devices import share_batch


class PoseEstimator:
    """The network with all that surrounds it: from a batch of stored crops to keypoints.

    To be made in the scope of the strategy whose devices share each batch.
    Source of the flip test: Newell et al., ECCV 2016, Training Details.
    """

    def __init__(
        self, network: Model, flip_test: bool, decoder: str, num_refinements: int = 0
    ) -> None:
        """An estimator.

        Args:
            num_refinements: further crops of each record, each cut around the keypoints found
                before, so that a center and a scale that are far off cost less.
        """
        self.network = network
        self.num_refinements = num_refinements
        self.size = network.metadata.input_size  # S
        self.schema = network.metadata.schema  # of the K keypoints
        self.codec = open_codec(network.metadata, decoder)
        self.flip_test = flip_test
        self.strategy = tf.distribute.get_strategy()
        self.compiled: dict[Any, Callable[..., list[Tensor]]] = {}

    def __call__(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """The keypoints of one batch of the input pipeline, on one device.

        Returns:
            index [N]; keypoints float32 [N, K, 2], px of the original pictures; scores [N, K].
        """
        keypoints, scores = self._estimate(batch)
        for _ in range(self.num_refinements):
            center, side = refined_crops(keypoints, scores, batch["side"])
            keypoints, scores = self._estimate(batch | {"center": center, "side": side})
        keypoints = apply_transforms(batch["transform"], keypoints)  # original px
        return batch["index"], keypoints, scores

    def _estimate(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Keypoints [N, K, 2], stored px, and scores [N, K]."""
        keypoints, scores = self.find_keypoints(render_inputs(batch, self.size))
        to_stored = input_transforms(batch, self.size)  # (N, 2, 3), input px to stored px
        return apply_transforms(to_stored, keypoints), scores

    def find_keypoints(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Keypoints [N, K, 2], px of the inputs [N, S, S, 3], 0..255; scores [N, K]."""
        return self.codec.decode(self.predict_heatmaps(inputs))

    @functools.cached_property
    def predict_inputs(self) -> Callable[..., list[Tensor]]:
        """`find_keypoints` of uint8 inputs, compiled once for batches of any size.

        All devices share a batch: it holds at least one input for each.
        """
        inputs = tf.TensorSpec((None, self.size, self.size, 3), tf.uint8)
        return self._compile(
            lambda inputs: self.find_keypoints(ops.cast(inputs, "float32")), inputs
        )

    def compile_call(self, spec: Any) -> Callable[..., list[Tensor]]:
        """This estimator as a function of batches of this element_spec, compiled once for each.

        All devices of this process share a batch: it holds at least one record for each.
        """
        key = tuple(tf.nest.flatten(spec))
        if key not in self.compiled:
            self.compiled[key] = self._compile(self, spec)
        return self.compiled[key]

    def _compile(self, function: Callable[..., Any], spec: Any) -> Callable[..., list[Tensor]]:
        """The function of a batch of any size, shared by all devices."""
        # Without the spec TensorFlow would compile anew for another size, which takes a second.
        return tf.function(
            lambda batch: share_batch(self.strategy, function, batch),
            input_signature=[spec], autograph=False,
        )  # fmt: skip

    def predict_heatmaps(self, pictures: Tensor) -> Tensor:
        """Heatmaps [N, H, W, K] of pictures [N, S, S, 3], 0..255, of the last stack."""
        heatmaps = self._last(pictures)
        if self.flip_test:
            # Seen in a mirror, and the heatmaps mirrored back.
            mirrored = ops.flip(self._last(ops.flip(pictures, axis=2)), axis=2)
            # What is found at the mirrored left wrist is the right one: the joints swap too.
            swapped = ops.moveaxis(
                swap_sides(ops.moveaxis(mirrored, 3, 1), self.schema.flip_order), 1, 3
            )
            # The mean of the heatmaps and not of the keypoints, as in the paper: where the two
            # pictures disagree, the surer one's peak wins.
            heatmaps = (heatmaps + swapped) / 2
        return heatmaps

    def _last(self, pictures: Tensor) -> Tensor:  # (N, S, S, 3) to (N, H, W, K)
        outputs = self.network(pictures, training=False)
        return outputs[-1] if isinstance(outputs, list | tuple) else outputs


def predict_split(
    estimator: PoseEstimator, batches: Any, num_persons: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Predict every record of a split, in the order of the annotations.

    Args:
        batches: of `data.tfrecords.pipeline.eval_batches`.

    Returns:
        keypoints: float32 [num_persons, K, 2], original px; scores: float32 [num_persons, K].
        is_predicted: bool [num_persons], False for persons that the batches do not hold.
    """
    predict, number = estimator.compile_call(batches.element_spec), int(batches.cardinality())
    # What is found need not be there yet.
    bar = tqdm(batches, "predict", number, unit="batch", disable=None, leave=False)
    found = [predict(batch) for batch in bar]
    keypoints = np.zeros((num_persons, estimator.schema.num_keypoints, 2), np.float32)
    scores = np.zeros((num_persons, estimator.schema.num_keypoints), np.float32)
    is_predicted = np.zeros(num_persons, bool)
    # By index: a last batch that was filled up holds its first records twice.
    for tensors in found:
        index, *values = (tensor.numpy() for tensor in tensors)
        keypoints[index], scores[index] = values
        is_predicted[index] = True
    return keypoints, scores, is_predicted
