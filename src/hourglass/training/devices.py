"""The devices of this machine, made ready for training."""

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


def describe_devices():
    """The devices that training runs on, in words."""
    number = len(tf.config.list_physical_devices("GPU"))
    return f"{number} GPU{'s' if number > 1 else ''}" if number else "the CPU: no GPU found"
