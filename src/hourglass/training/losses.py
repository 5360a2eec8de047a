"""The loss: intermediate supervision on the heatmaps of every stack. keras.ops."""

from hourglass.frameworks import keras, ops
from hourglass.network.heatmaps import encode_heatmaps
from hourglass.network.views import locate_keypoints, render_views


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


class LossModel(keras.Model):
    """The network with its views and its loss, for `fit` on batches of the input pipeline."""

    def __init__(self, network, params, num_replicas=1):
        # Keras would round the coordinates to the precision of the network, by pixels.
        super().__init__(name="loss_model", dtype="float32")
        self.network = network
        self.params = params
        self.num_replicas = num_replicas

    def call(self, batch, training=False):
        """Heatmaps of the batch's views, and where the joints lie in them."""
        size = self.network.input_shape[1]
        keypoints, joints_vis = locate_keypoints(batch, size)
        heatmaps = self.network(render_views(batch, size), training=training)
        return {"heatmaps": heatmaps, "keypoints": keypoints, "joints_vis": joints_vis}

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The loss of a batch, as `fit` asks for it."""
        heatmaps = y_pred["heatmaps"]
        heatmaps = heatmaps if isinstance(heatmaps, list | tuple) else [heatmaps]
        loss = heatmap_loss(heatmaps, y_pred["keypoints"], y_pred["joints_vis"], self.params)
        return loss / self.num_replicas  # the replicas' gradients are summed
