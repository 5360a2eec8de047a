"""The loss: intermediate supervision on the heatmaps of every stack. keras.ops."""

from hourglass.frameworks import ops
from hourglass.network.heatmaps import encode_heatmaps


def heatmap_loss(heatmaps, keypoints, joints_vis, params):
    """Weighted squared error, averaged over pixels, joints and pictures, summed over the stacks.

    Joints that are not labelled cost nothing; occluded ones count.

    Args:
        heatmaps: a list of float32 [N, H, W, K], one a stack.
        keypoints: float32 [N, K, 2], heatmap px. joints_vis: bool [N, K].
        params: TrainParams: sigma, target_peak, foreground, foreground_weight.
    """
    # (N, H, W, K), as are the weights: 1 far from a joint, 1 + foreground_weight at its peak.
    target = encode_heatmaps(keypoints, heatmaps[0].shape[1], params.sigma)
    is_value = params.foreground == "value"
    foreground = target if is_value else ops.cast(target > 0, target.dtype)
    weight = 1 + params.foreground_weight * foreground
    weight = weight * ops.cast(joints_vis, target.dtype)[:, None, None, :]
    goal = params.target_peak * target
    # One [N, K] a stack: every stack is held against the same target.
    errors = [ops.mean(weight * ops.square(output - goal), axis=(1, 2)) for output in heatmaps]
    return sum(ops.mean(error) for error in errors)
