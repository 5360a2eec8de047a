"""The loss: intermediate supervision on the heatmaps of every stack. keras.ops."""

from hourglass.frameworks import ops
from hourglass.network.heatmaps import encode_heatmaps


def heatmap_loss(heatmaps, keypoints, labelled, params):
    """Weighted squared error, averaged over pixels, joints and pictures, summed over the stacks.

    Joints that are not labelled cost nothing; occluded ones count.

    Args:
        heatmaps: a list of float32 [N, H, W, K], one a stack.
        keypoints: float32 [N, K, 2], heatmap px. labelled: bool [N, K].
        params: TrainParams: sigma, target_peak, foreground, foreground_weight, hard_joints.
    """
    target = encode_heatmaps(keypoints, heatmaps[0].shape[1], params.sigma)
    is_value = params.foreground == "value"
    foreground = target if is_value else ops.cast(target > 0, target.dtype)
    weight = 1 + params.foreground_weight * foreground
    weight = weight * ops.cast(labelled, target.dtype)[:, None, None, :]
    goal = params.target_peak * target
    errors = [ops.mean(weight * ops.square(output - goal), axis=(1, 2)) for output in heatmaps]
    return sum(ops.mean(hardest_joints(error, params.hard_joints)) for error in errors)


def hardest_joints(errors, number):
    """The `number` largest of each picture's errors [N, K], or all where it is 0.

    Source: online hard keypoints mining, Chen et al., Cascaded Pyramid Network, CVPR 2018.
    """
    return ops.top_k(errors, number)[0] if number else errors
