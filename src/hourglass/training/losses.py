"""The loss: intermediate supervision on the heatmaps of every stack; its scale in float16."""

from collections.abc import Sequence

from hourglass.config import TrainParams
from hourglass.models.codec import HeatmapCodec
from hourglass.utils.backend import Tensor, ops, tf
from hourglass.utils.devices import add_replica_variable

# The loss scale of float16: what it starts with, and the steps after which it is doubled.
FIRST_SCALE, GOOD_STEPS = 2.0**15, 2000


def heatmap_loss(
    heatmaps: Sequence[Tensor],
    keypoints: Tensor,
    keypoints_visible: Tensor,
    codec: HeatmapCodec,
    params: TrainParams,
) -> Tensor:
    """Weighted squared error, averaged over pixels, joints and pictures, summed over the stacks.

    Joints that are not labelled cost nothing; occluded ones count.

    Args:
        heatmaps: float32 [N, H, W, K] for each stack.
        keypoints: float32 [N, K, 2], px of the model input.
        keypoints_visible: bool [N, K].
        codec: draws the target.
        params: target_peak, foreground and foreground_weight are read.
    """
    # (N, H, W, K), as are the weights: 1 far from a joint, 1 + foreground_weight at its peak.
    target = codec.encode(keypoints)
    is_value = params.foreground == "value"
    foreground = target if is_value else ops.cast(target > 0, target.dtype)
    weight = 1 + params.foreground_weight * foreground
    weight = weight * ops.cast(keypoints_visible, target.dtype)[:, None, None, :]
    goal = params.target_peak * target
    # One [N, K] a stack: every stack is held against the same target.
    errors = [ops.mean(weight * ops.square(output - goal), axis=(1, 2)) for output in heatmaps]
    return sum(ops.mean(error) for error in errors)


class LossScale:
    """A factor of the loss that keeps small gradients above 0 in float16, as large as it can be.

    Keras' own LossScaleOptimizer asks the first replica alone whether its gradients are finite;
    this one asks the sum over all.
    Source: Micikevicius et al., Mixed Precision Training, arXiv 1710.03740, section 3.2.
    """

    def __init__(self) -> None:
        self.factor, self.num_good = add_replica_variable((), FIRST_SCALE), add_replica_variable(())
        self.variables = [self.factor, self.num_good]

    def unscale(self, gradients: Sequence[Tensor]) -> tuple[list[Tensor], Tensor]:
        """The gradients without the factor, and whether they are finite: else skip the step."""
        is_finite = tf.math.is_finite(tf.linalg.global_norm(gradients))
        unscaled = [gradient / self.factor for gradient in gradients]
        num_good = tf.where(is_finite, self.num_good + 1, 0.0)
        is_time = num_good >= GOOD_STEPS
        change = tf.where(is_finite, tf.where(is_time, 2.0, 1.0), 0.5)
        # Never to 0, by which all gradients would be finite.
        self.factor.assign(tf.maximum(self.factor * change, 1.0))
        self.num_good.assign(tf.where(is_time, 0.0, num_good))
        return unscaled, is_finite
