"""The devices of this process: its share of a batch, memory that grows, what several share.

The devices of this process, or of several hosts, made ready for training.
"""

import dataclasses

import numpy as np

from hourglass.utils.backend import keras, tf
from hourglass.utils.errors import UserError


@dataclasses.dataclass(frozen=True)
class Share:
    """The part of all work that is this process's: the `rank`th, from 0, of `number` equal ones."""

    rank: int = 0
    number: int = 1


def find_share(strategy):
    """This process's share of what the strategy works on: all of it, but for several hosts."""
    resolver = strategy.cluster_resolver
    if resolver is None:
        return Share()
    return Share(resolver.task_id, resolver.cluster_spec().num_tasks("worker"))


def count_local_replicas(strategy):
    """How many devices of the strategy are this process's."""
    return strategy.num_replicas_in_sync // find_share(strategy).number


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
    """What `function` gives of a batch, each device of this process working on a part of it.

    Args:
        function: of a batch of n to a tuple of tensors [n, ...].
        batch: a tensor [N, ...] or a dict of them, N at least the number of devices.

    Returns:
        The tensors [N, ...], in the order of the batch.
    """
    devices = count_local_replicas(strategy)

    def run_part():
        k = tf.distribute.get_replica_context().replica_id_in_sync_group % devices
        number = tf.shape(tf.nest.flatten(batch)[0])[0]
        part = slice(number * k // devices, number * (k + 1) // devices)
        return function(tf.nest.map_structure(lambda values: values[part], batch))

    parts = strategy.experimental_local_results(strategy.run(run_part))
    return [tf.concat(tensors, axis=0) for tensors in zip(*parts, strict=True)]


def prepare_devices(params, is_worker=False):
    """Memory growth on each GPU, determinism, precision; gives the strategy to use.

    Args:
        is_worker: this process is one of those in TF_CONFIG, and waits here for all of them. To be
            called before anything else of TensorFlow's.
    """
    grow_memory()
    keras.utils.set_random_seed(params.seed)  # the initial weights follow from it
    if params.deterministic:
        tf.config.experimental.enable_op_determinism()
    keras.config.set_dtype_policy(params.precision)
    return tf.distribute.MultiWorkerMirroredStrategy() if is_worker else choose_strategy()


def choose_part_size(params, num_devices):
    """The pictures of a batch that a device takes at a time: its share, or an equal part of that.

    Args:
        params: TrainParams: batch_size, max_batch_per_device.

    Raises:
        UserError: the shares would differ.
    """
    share, rest = divmod(params.batch_size, num_devices)
    if rest:
        raise UserError(
            f"params.yaml: train.batch_size: {params.batch_size} cannot be shared out equally over "
            f"{num_devices} devices; choose a multiple, or take fewer (CUDA_VISIBLE_DEVICES=0,1; "
            "cluster.num_workers)"
        )
    limit = params.max_batch_per_device or share
    return max(size for size in range(1, share + 1) if size <= limit and share % size == 0)


def describe_devices(strategy):
    """The devices that training runs on, in words."""
    number = len(tf.config.list_physical_devices("GPU"))
    text = f"{number} GPU{'s' if number > 1 else ''}" if number else "the CPU: no GPU found"
    workers = find_share(strategy).number
    return f"{workers} workers, each on {text}" if workers > 1 else text


def name_devices():
    """The kinds of this process's devices, "CPU GPU GPU": on others the bits may differ."""
    return " ".join(device.device_type for device in tf.config.list_logical_devices())


def sum_over_hosts(strategy, values):
    """The sum of an array of each host's, on all of them: exact where but one is not 0."""
    if find_share(strategy).number == 1:
        return values
    number = count_local_replicas(strategy)
    # A value of each replica is summed: the host's own by one of them, nothing by the others.
    parts = strategy.experimental_distribute_values_from_function(
        lambda context: tf.constant(
            np.zeros_like(values) if context.replica_id_in_sync_group % number else values
        )
    )
    return strategy.reduce("sum", parts, axis=None).numpy()
