"""The devices of this machine, made ready for training."""

from hourglass.errors import UserError
from hourglass.frameworks import keras, tf
from hourglass.network.devices import choose_strategy, grow_memory


def prepare_devices(params):
    """Memory growth on each GPU, determinism, precision; gives the strategy to use."""
    grow_memory()
    keras.utils.set_random_seed(params.seed)  # the initial weights follow from it
    if params.deterministic:
        tf.config.experimental.enable_op_determinism()
    keras.config.set_dtype_policy(params.precision)
    return choose_strategy()


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
            f"{num_devices} devices; choose a multiple, or hide some (CUDA_VISIBLE_DEVICES=0,1)"
        )
    limit = params.max_batch_per_device or share
    return max(size for size in range(1, share + 1) if size <= limit and share % size == 0)


def describe_devices():
    """The devices that training runs on, in words."""
    number = len(tf.config.list_physical_devices("GPU"))
    return f"{number} GPU{'s' if number > 1 else ''}" if number else "the CPU: no GPU found"
