"""The devices of this machine: memory that grows, and one batch shared by all GPUs."""

from hourglass.frameworks import tf


def grow_memory():
    """Let TensorFlow take each GPU's memory as it needs it: others may want some of it.

    To be called before anything runs on a device: afterwards TensorFlow refuses.
    """
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)


def choose_strategy():
    """The strategy over all GPUs of the machine; TensorFlow's own where there are not several."""
    several = len(tf.config.list_physical_devices("GPU")) > 1
    return tf.distribute.MirroredStrategy() if several else tf.distribute.get_strategy()


def round_up_batch(batch_size, strategy):
    """The size of a whole batch that has as many records for each device."""
    devices = strategy.num_replicas_in_sync
    return -(-batch_size // devices) * devices


def share_batch(strategy, function, batch):
    """What `function` gives of a batch, each device of the strategy working on a share of it.

    Args:
        function: of [n, ...] to a tuple of tensors [n, ...].
        batch: [N, ...], N at least the number of devices.

    Returns:
        The tensors [N, ...], in the order of the batch.
    """

    def run_share():
        context, number = tf.distribute.get_replica_context(), tf.shape(batch)[0]
        k, devices = context.replica_id_in_sync_group, context.num_replicas_in_sync
        return function(batch[number * k // devices : number * (k + 1) // devices])

    shares = strategy.experimental_local_results(strategy.run(run_share))
    return [tf.concat(parts, axis=0) for parts in zip(*shares, strict=True)]
