import numpy as np
import pytest

from helpers.networks import random_pictures
from helpers.processes import run_python
from hourglass.inference.backends import open_backend

# In a process of its own: logical devices must be there before TensorFlow starts.
TWO_DEVICES = """
import sys
import numpy as np, tensorflow as tf
devices = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], devices)
from hourglass.inference import backends, keras_backend
mirrored = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
keras_backend.choose_strategy = lambda: mirrored
model, inputs, target = sys.argv[1:]
inputs, found = np.load(inputs), []
for num_inputs, size in ((17, 32), (16, 16)):
    backend = backends.open_backend(model, True, num_inputs)
    assert backend.batch_size == size
    found += [array for n in (len(inputs), 1) for array in backend(inputs[:n])]
np.savez(target, *found)
"""


@pytest.fixture(scope="module")
def backend(model_file):
    return open_backend(model_file, flip_test=True)


def test_it_says_what_it_wants_and_what_it_is(backend):
    assert (backend.size, backend.batch_size, backend.trained_on) == (32, 16, "mpii")


@pytest.mark.parametrize("number", [1, 3])
def test_it_gives_numpy_arrays_of_as_many_views(backend, number):
    keypoints, scores = backend(random_pictures(number).astype(np.uint8))
    assert type(keypoints) is type(scores) is np.ndarray
    assert (keypoints.shape, scores.shape) == ((number, 16, 2), (number, 16))
    assert keypoints.dtype == scores.dtype == np.float32


def test_the_flip_test_can_be_left_out(backend, model_file):
    inputs = random_pictures(2).astype(np.uint8)
    _, scores = backend(inputs)
    _, others = open_backend(model_file, flip_test=False)(inputs)
    assert (scores != others).all()


def test_many_pictures_are_shared_by_all_devices_and_one_view_is_enough(tmp_path, model_file):
    np.save(tmp_path / "inputs.npy", random_pictures(5).astype(np.uint8))
    target = tmp_path / "found.npz"
    arguments = (model_file, tmp_path / "inputs.npy", target)
    run_python("-W", "error::UserWarning", "-c", TWO_DEVICES, *arguments, check=True)
    with np.load(target) as found:
        for k, number in enumerate([5, 5, 1, 1]):
            values, others = found[f"arr_{k}"], found[f"arr_{k + 4}"]
            assert len(values) == len(others) == number
            np.testing.assert_allclose(values, others, atol=1e-3)


def test_a_program_that_has_used_tensorflow_before_may_open_one(model_file, monkeypatch):
    def refuse():
        raise RuntimeError("Physical devices cannot be modified after being initialized")

    monkeypatch.setattr("hourglass.inference.keras_backend.grow_memory", refuse)
    assert open_backend(model_file, flip_test=False).size == 32
