"""The devices of this machine, made ready for training."""

from hourglass.errors import UserError
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


def check_replicas(params, number):
    """Raise `UserError` for what Keras does to each replica's gradients before it sums them."""
    if number > 1 and params.precision == "mixed_float16":
        raise UserError(
            "params.yaml: train.precision: mixed_float16 is for one GPU; for several set "
            "mixed_bfloat16"
        )
    if number > 1 and params.clip_norm:
        raise UserError("params.yaml: train.clip_norm: is for one GPU; set it to 0 for several")


def describe_devices():
    """The devices that training runs on, in words."""
    number = len(tf.config.list_physical_devices("GPU"))
    return f"{number} GPU{'s' if number > 1 else ''}" if number else "the CPU: no GPU found"
