"""The joint finder that Keras runs, on all GPUs of the machine or on its CPU."""

import contextlib

import numpy as np

from hourglass.network.devices import choose_strategy, grow_memory
from hourglass.network.origins import read_trained_on
from hourglass.network.predictor import PosePredictor
from hourglass.network.storage import load_network
from hourglass.prediction.folding import prepare_network

BATCH_SIZE = 16  # views a device


class KerasFinder:
    """A joint finder (`finders.py`) of a predictor."""

    def __init__(self, predictor, trained_on):
        self.size = predictor.size
        self.trained_on = trained_on
        self._predictor = predictor
        self._num_devices = predictor.strategy.num_replicas_in_sync
        self.batch_size = BATCH_SIZE * self._num_devices

    def __call__(self, views):
        """The keypoints of the views and their scores."""
        # Each device needs something to do: the batch is repeated up to their number.
        number = max(len(views), self._num_devices)
        joints = self._predictor.predict_views(np.resize(views, (number, *views.shape[1:])))
        return tuple(np.asarray(values)[: len(views)] for values in joints)


def load_keras_finder(path, flip_test, num_views=1):
    """The joint finder of a `.keras` file; the arguments are those of `finders.open_finder`.

    Raises:
        UserError: as there.
    """
    return KerasFinder(load_predictor(path, flip_test, num_views), read_trained_on(path))


def load_predictor(path, flip_test, num_views=1):
    """The same as a predictor of views."""
    # TensorFlow refuses where the caller's program has used it before: it keeps what it has.
    with contextlib.suppress(RuntimeError):
        grow_memory()
    # One batch is for one device.
    scope = choose_strategy().scope() if num_views > BATCH_SIZE else contextlib.nullcontext()
    with scope:
        network = prepare_network(load_network(path), "float32")
        return PosePredictor(network, flip_test, "taylor")
