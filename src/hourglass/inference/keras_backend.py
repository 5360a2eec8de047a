"""The backend that Keras runs, on all GPUs of the machine or on its CPU."""

import contextlib

import numpy as np

from hourglass.models.batch_norm import fuse_conv_bn
from hourglass.models.metadata import read_trained_on
from hourglass.models.pose_estimator import PoseEstimator
from hourglass.models.saving import load_network
from hourglass.utils.devices import choose_strategy, grow_memory

BATCH_SIZE = 16  # inputs a device


class KerasBackend:
    """A backend (`backends.py`) of a predictor."""

    def __init__(self, predictor, trained_on):
        self.size = predictor.size
        self.trained_on = trained_on
        self._predictor = predictor
        self._num_devices = predictor.strategy.num_replicas_in_sync
        self.batch_size = BATCH_SIZE * self._num_devices

    def __call__(self, inputs):
        """The keypoints of the inputs and their scores."""
        # Each device needs something to do: the batch is repeated up to their number.
        number = max(len(inputs), self._num_devices)
        joints = self._predictor.predict_inputs(np.resize(inputs, (number, *inputs.shape[1:])))
        return tuple(np.asarray(values)[: len(inputs)] for values in joints)


def load_keras_backend(path, flip_test, num_inputs=1):
    """The backend of a `.keras` file; the arguments are those of `backends.open_backend`.

    Raises:
        UserError: as there.
    """
    return KerasBackend(load_predictor(path, flip_test, num_inputs), read_trained_on(path))


def load_predictor(path, flip_test, num_inputs=1):
    """The same as a predictor of inputs."""
    # TensorFlow refuses where the caller's program has used it before: it keeps what it has.
    with contextlib.suppress(RuntimeError):
        grow_memory()
    # One batch is for one device.
    scope = choose_strategy().scope() if num_inputs > BATCH_SIZE else contextlib.nullcontext()
    with scope:
        network = fuse_conv_bn(load_network(path), "float32")
        return PoseEstimator(network, flip_test, "dark")
