"""The loss: intermediate supervision on the heatmaps of every stack. keras.ops.

One step of training: views, network, loss, gradients, and the optimizer's move.
"""

from hourglass.models.batch_norm import fuse_batch_norms
from hourglass.models.codec import encode_heatmaps
from hourglass.models.model_inputs import render_inputs, transform_keypoints
from hourglass.training.optimizers import new_state
from hourglass.utils.backend import ops, tf
from hourglass.utils.devices import choose_part_size, count_local_replicas


def heatmap_loss(heatmaps, keypoints, keypoints_visible, params):
    """Weighted squared error, averaged over pixels, joints and pictures, summed over the stacks.

    Joints that are not labelled cost nothing; occluded ones count.

    Args:
        heatmaps: a list of float32 [N, H, W, K], one a stack.
        keypoints: float32 [N, K, 2], heatmap px. keypoints_visible: bool [N, K].
        params: TrainParams: sigma, target_peak, foreground, foreground_weight.
    """
    # (N, H, W, K), as are the weights: 1 far from a joint, 1 + foreground_weight at its peak.
    target = encode_heatmaps(keypoints, heatmaps[0].shape[1], params.sigma)
    is_value = params.foreground == "value"
    foreground = target if is_value else ops.cast(target > 0, target.dtype)
    weight = 1 + params.foreground_weight * foreground
    weight = weight * ops.cast(keypoints_visible, target.dtype)[:, None, None, :]
    goal = params.target_peak * target
    # One [N, K] a stack: every stack is held against the same target.
    errors = [ops.mean(weight * ops.square(output - goal), axis=(1, 2)) for output in heatmaps]
    return sum(ops.mean(error) for error in errors)


class TrainStep:
    """A compiled step over all devices of a strategy; to be made in its scope.

    A batch is shared out equally over the devices, and over several passes of each where it would
    not fit: the gradients of all its parts make one step.
    """

    def __init__(self, network, optimizer, params, strategy):
        """For TrainParams.

        Args:
            network: of `models.stacked_hourglass`; its own variables are what is trained.

        Raises:
            UserError: the batch cannot be shared out equally.
        """
        self.params, self.strategy, self.optimizer = params, strategy, optimizer
        num_devices, self.num_local = strategy.num_replicas_in_sync, count_local_replicas(strategy)
        self.part_size = choose_part_size(params, num_devices)
        self.num_parts = params.batch_size // self.part_size
        self.num_passes = self.num_parts // num_devices
        self.network = fuse_batch_norms(network, self.num_passes)
        # Of the passes before the last one: the loss, and the gradients of each group.
        shapes = [(), *(group.state_shapes[0] for group in optimizer.groups)]
        self.sums = [new_state(shape) for shape in shapes] if self.num_passes > 1 else []
        # XLA cannot compile a step of several devices.
        xla = params.xla and num_devices == 1
        self.last_pass = tf.function(self._last_pass, jit_compile=xla, autograph=False)
        self.earlier_pass = tf.function(self._earlier_pass, jit_compile=xla, autograph=False)

    def __call__(self, batch, learning_rate, number):
        """Train on one batch.

        Args:
            batch: of `data.tfrecords.pipeline.train_batches`, this process's share.
            number: the step's, from 0, over all epochs.

        Returns:
            The loss before the step, a float32 tensor that need not be there yet.
        """
        *earlier, last = self._split(batch)
        for part in earlier:
            self.earlier_pass(part)
        return self.last_pass(last, tf.constant(learning_rate), tf.constant(float(number)))

    def _split(self, batch):
        """For each pass an equal part of this process's batch for each of its devices."""
        if self.num_parts == 1:
            return [batch]
        number = self.num_local
        with tf.device("CPU"):  # else all of it would lie on the first GPU
            parts = {key: tf.split(v, self.num_passes * number) for key, v in batch.items()}
        first = range(0, self.num_passes * number, number)
        return [self._share({key: values[k:] for key, values in parts.items()}) for k in first]

    def _share(self, parts):
        return self.strategy.experimental_distribute_values_from_function(
            lambda context: {
                key: values[context.replica_id_in_sync_group % self.num_local]
                for key, values in parts.items()
            }
        )

    def _earlier_pass(self, batch):
        self.strategy.run(self._add_gradients, args=(batch,))

    def _last_pass(self, batch, learning_rate, number):
        loss = self.strategy.run(self._finish_step, args=(batch, learning_rate, number))
        return self.strategy.reduce("sum", loss, axis=None)

    def _add_gradients(self, batch):
        for total, value in zip(self.sums, self._differentiate(batch), strict=True):
            total.assign_add(value)

    def _finish_step(self, batch, learning_rate, number):
        values = self._differentiate(batch)
        for k, total in enumerate(self.sums):
            values[k] += total
            total.assign(tf.zeros_like(total))
        loss, *gradients = values
        self.optimizer.apply(gradients, learning_rate, number)
        return loss

    def _differentiate(self, batch):
        """The loss of a replica's part, its share of the whole, and the gradients by group."""
        with tf.GradientTape() as tape:
            loss = self.compute_loss(batch) / self.num_parts
            scaled = self.optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, [v.value for v in self.optimizer.trained])
        return [loss, *self.optimizer.gather(gradients)]

    def compute_loss(self, batch):
        """The loss of a batch's views."""
        size = self.network.input_shape[1]
        heatmaps = self.network(render_inputs(batch, size), training=True)
        heatmaps = heatmaps if isinstance(heatmaps, list | tuple) else [heatmaps]
        return heatmap_loss(heatmaps, *transform_keypoints(batch, size), self.params)
