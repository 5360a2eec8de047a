"""Keras and TensorFlow, imported without what TensorFlow prints before its log settings hold.

Everything that runs on the device imports them from here.
"""

import functools
import os
from collections.abc import Callable
from typing import Any, TypeAlias

from hourglass.utils.errors import silent_stderr

# Fatal errors alone; before the import, which reads it.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

with silent_stderr():
    import keras
    from keras import layers, ops

    try:
        import tensorflow as tf
    except ImportError:  # the network itself runs on Keras' other backends too
        tf = None

__all__ = [
    "Layer", "Model", "Strategy", "Tensor", "Variable", "compile_on_cpu", "keras", "layers", "ops",
    "tf",
]  # fmt: skip

# Keras and TensorFlow carry no types: for the reader, `Any` for the checker.
Tensor: TypeAlias = Any
Variable: TypeAlias = Any
Layer: TypeAlias = Any
Model: TypeAlias = Any
Strategy: TypeAlias = Any


def compile_on_cpu(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A function of tensors and sizes, compiled by XLA where TensorFlow runs on the CPU.

    One pass over the pixels takes the place of one for each operation. A GPU is fast enough
    without, and other backends compile whole steps by themselves.
    """
    if keras.backend.backend() != "tensorflow":
        return function

    # At the first call: importing this module looks for no device.
    @functools.cache
    def choose() -> Callable[..., Tensor]:
        has_gpu = tf.config.list_physical_devices("GPU")
        return function if has_gpu else tf.function(function, jit_compile=True)

    @functools.wraps(function)
    def call(*args: Tensor) -> Tensor:
        return choose()(*args)

    return call
