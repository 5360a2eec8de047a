"""One step of training: views, network, loss, gradients, and the optimizer's move."""

from hourglass.frameworks import tf
from hourglass.network.norms import fuse_norms
from hourglass.network.views import locate_keypoints, render_views
from hourglass.training.devices import choose_part_size
from hourglass.training.losses import heatmap_loss
from hourglass.training.optimizers import new_state


class TrainStep:
    """A compiled step over all devices of a strategy; to be made in its scope.

    A batch is shared out equally over the devices, and over several passes of each where it would
    not fit: the gradients of all its parts make one step.
    """

    def __init__(self, network, optimizer, params, strategy):
        """For TrainParams.

        Args:
            network: of `network.hourglass`; its own variables are what is trained.

        Raises:
            UserError: the batch cannot be shared out equally.
        """
        self.params, self.strategy, self.optimizer = params, strategy, optimizer
        num_devices = strategy.num_replicas_in_sync
        self.part_size = choose_part_size(params, num_devices)
        self.num_parts = params.batch_size // self.part_size
        self.num_passes = self.num_parts // num_devices
        self.network = fuse_norms(network, self.num_passes)
        # Of the passes before the last one: the loss, and the gradients of each group.
        shapes = [(), *(group.state_shapes[0] for group in optimizer.groups)]
        self.sums = [new_state(shape) for shape in shapes] if self.num_passes > 1 else []
        # XLA cannot compile a step of several devices.
        xla = params.xla and num_devices == 1
        self.run = tf.function(self._run, jit_compile=xla, autograph=False)
        self.add = tf.function(self._add, jit_compile=xla, autograph=False)

    def __call__(self, batch, learning_rate, number):
        """Train on one batch.

        Args:
            batch: of `records.input_pipeline.train_batches`.
            number: the step's, from 0, over all epochs.

        Returns:
            The loss before the step, a float32 tensor that need not be there yet.
        """
        *others, last = self._split(batch)
        for part in others:
            self.add(part)
        return self.run(last, tf.constant(learning_rate), tf.constant(float(number)))

    def _split(self, batch):
        """For each pass an equal part of the batch for each replica."""
        if self.num_parts == 1:
            return [batch]
        parts = {key: tf.split(values, self.num_parts) for key, values in batch.items()}
        first = range(0, self.num_parts, self.strategy.num_replicas_in_sync)
        return [self._share({key: values[k:] for key, values in parts.items()}) for k in first]

    def _share(self, parts):
        return self.strategy.experimental_distribute_values_from_function(
            lambda context: {
                key: values[context.replica_id_in_sync_group] for key, values in parts.items()
            }
        )

    def _run(self, batch, learning_rate, number):
        """The last pass, and the step."""
        loss = self.strategy.run(self._train, args=(batch, learning_rate, number))
        return self.strategy.reduce("sum", loss, axis=None)

    def _add(self, batch):
        """A pass before the last one."""
        self.strategy.run(self._add_part, args=(batch,))

    def _train(self, batch, learning_rate, number):
        values = self._differentiate(batch)
        for k, total in enumerate(self.sums):
            values[k] += total
            total.assign(tf.zeros_like(total))
        loss, *gradients = values
        self.optimizer.apply(gradients, learning_rate, number)
        return loss

    def _add_part(self, batch):
        for total, value in zip(self.sums, self._differentiate(batch), strict=True):
            total.assign_add(value)

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
        heatmaps = self.network(render_views(batch, size), training=True)
        heatmaps = heatmaps if isinstance(heatmaps, list | tuple) else [heatmaps]
        return heatmap_loss(heatmaps, *locate_keypoints(batch, size), self.params)
