"""Keras and TensorFlow, imported without what TensorFlow prints before its log settings hold.

Everything that runs on the device imports them from here. `~/.keras/keras.json` changes nothing.
"""

import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from hourglass.utils.errors import UserError, one_line, silent_stderr


def _find_settings() -> list[str]:
    """What the user has set of Keras, in the environment and in a file."""
    names = [f"{key}={value}" for key, value in os.environ.items() if key.startswith("KERAS_")]
    path = Path(os.environ.get("KERAS_HOME") or Path("~/.keras").expanduser(), "keras.json")
    return names + [str(path)] * path.is_file()


# Fatal errors alone; before the import, which reads it.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
_settings = _find_settings()
os.environ.setdefault("KERAS_BACKEND", "tensorflow")  # keras.json may name another
# TensorFlow alone takes oneDNN's kernels on some kinds of CPU only. On the others too they train in
# two thirds of the time.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

_is_own = "keras" not in sys.modules  # else the settings are those of the program that uses us
with silent_stderr():
    try:
        import keras
        from keras import layers, ops
    except (ImportError, ValueError, AttributeError) as error:
        if not _settings:
            raise
        raise UserError(
            f"Keras does not start: {one_line(error)}; install that, or remove what is set: "
            f"{', '.join(_settings)}"
        ) from None
    try:
        import tensorflow as tf
    except ImportError:  # the network itself runs on Keras' other backends too
        tf = None
if _is_own:
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    keras.config.set_image_data_format("channels_last")

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
