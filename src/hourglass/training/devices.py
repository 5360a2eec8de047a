"""The devices of this machine, made ready for training."""

from hourglass.frameworks import keras, tf


def prepare_devices(params):
    """Memory growth on each GPU, determinism, precision; gives the strategy to use."""
    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:  # others may want some of its memory
        tf.config.experimental.set_memory_growth(gpu, True)
    keras.utils.set_random_seed(params.seed)  # the initial weights follow from it
    if params.deterministic:
        tf.config.experimental.enable_op_determinism()
    keras.config.set_dtype_policy(params.precision)
    return tf.distribute.MirroredStrategy() if len(gpus) > 1 else tf.distribute.get_strategy()


def describe_devices():
    """The devices that training runs on, in words."""
    number = len(tf.config.list_physical_devices("GPU"))
    return f"{number} GPU{'s' if number > 1 else ''}" if number else "the CPU: no GPU found"
