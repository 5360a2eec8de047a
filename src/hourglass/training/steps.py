"""One step of training: views, network, loss, gradients, and the optimizer's move."""

from hourglass.frameworks import tf
from hourglass.network.devices import count_local_replicas
from hourglass.network.norms import fuse_norms
from hourglass.network.views import locate_keypoints, render_views
from hourglass.training.losses import heatmap_loss


class TrainStep:
    """A compiled step over all devices of a strategy; to be made in its scope."""

    def __init__(self, network, optimizer, params, strategy):
        """For TrainParams.

        Args:
            network: of `network.hourglass`; its own variables are what is trained.
        """
        self.network, self.optimizer = fuse_norms(network), optimizer
        self.params, self.strategy = params, strategy
        # XLA cannot compile a step of several devices.
        xla = params.xla and strategy.num_replicas_in_sync == 1
        self.run = tf.function(self._run, jit_compile=xla, autograph=False)

    def __call__(self, batch, learning_rate, number):
        """Train on one batch.

        Args:
            batch: of `records.input_pipeline.train_batches`.
            number: the step's, from 0, over all epochs.

        Returns:
            The loss before the step, a float32 tensor that need not be there yet.
        """
        return self.run(self._share(batch), tf.constant(learning_rate), tf.constant(float(number)))

    def _share(self, batch):
        """An equal part of this process's batch for each of its replicas."""
        if self.strategy.num_replicas_in_sync == 1:
            return batch
        number = count_local_replicas(self.strategy)
        parts = {key: tf.split(values, number) for key, values in batch.items()}
        return self.strategy.experimental_distribute_values_from_function(
            lambda context: {
                key: values[context.replica_id_in_sync_group % number]
                for key, values in parts.items()
            }
        )

    def _run(self, batch, learning_rate, number):
        loss = self.strategy.run(self._train, args=(batch, learning_rate, number))
        return self.strategy.reduce("sum", loss, axis=None)

    def _train(self, batch, learning_rate, number):
        """A replica's part."""
        with tf.GradientTape() as tape:
            loss = self.compute_loss(batch) / self.strategy.num_replicas_in_sync
            scaled = self.optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, [v.value for v in self.optimizer.trained])
        self.optimizer.apply(gradients, learning_rate, number)
        return loss

    def compute_loss(self, batch):
        """The loss of a batch's views."""
        size = self.network.input_shape[1]
        heatmaps = self.network(render_views(batch, size), training=True)
        heatmaps = heatmaps if isinstance(heatmaps, list | tuple) else [heatmaps]
        return heatmap_loss(heatmaps, *locate_keypoints(batch, size), self.params)
