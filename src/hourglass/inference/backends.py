"""Joint backends: what runs a network on inputs, in one shape whatever runs it.

A backend is called with inputs, uint8 [n, S, S, 3], n >= 1, and returns NumPy arrays: keypoints
float32 [n, 16, 2], px of the inputs, pixel centres at integers, and scores float32 [n, 16]. It has

    size         S
    batch_size   inputs a call that it works on best
    trained_on   the names of the datasets that its network was trained on; None where not known
"""

import ctypes
from pathlib import Path

from hourglass.utils.errors import UserError
from hourglass.utils.files import file_digest


def open_backend(path, flip_test, num_inputs=1):
    """The backend of a trained network.

    Beside a `.keras` file, on a machine without an NVIDIA driver, an exported one of the same name,
    with the same weights and flip test, takes its place: it needs no TensorFlow, and the joints are
    the same to 0.01 px. A file of another network, or of another program, is left alone.

    Args:
        path: its `.keras` file, or the `.onnx` file that `hourglass export` made of it.
        flip_test: look at each view in a mirror too.
        num_inputs: that it will be shown, as far as is known: many are shared by all GPUs.

    Raises:
        UserError: the file is missing or damaged, holds another kind of network, or was exported
            for another `flip_test`.
    """
    path = Path(path)
    if path.suffix == ".onnx":
        return _open_exported(path, flip_test)
    if backend := _find_exported(path, flip_test):
        return backend
    # TensorFlow: not where something else does its work
    from hourglass.inference.keras_backend import load_keras_backend

    return load_keras_backend(path, flip_test, num_inputs)


def _open_exported(path, flip_test):
    # onnxruntime: not for those who open none
    from hourglass.inference.onnx_backend import OnnxBackend

    backend = OnnxBackend(path)
    if backend.about["flip_test"] != flip_test:
        way = "with" if backend.about["flip_test"] else "without"
        raise UserError(
            f"{path}: was exported {way} flip test; ask for that, or name the .keras file"
        )
    return backend


def _find_exported(path, flip_test):
    """What was exported of exactly this network beside it; None where nothing was."""
    beside = path.with_suffix(".onnx")
    if not (path.is_file() and beside.is_file()) or has_nvidia_driver():
        return None
    from hourglass.inference.onnx_backend import OnnxBackend, is_sealed

    if not is_sealed(beside):
        return None
    backend = OnnxBackend(beside)
    wanted = {"made_from": file_digest(path), "flip_test": flip_test, "weights": "float32"}
    return backend if wanted.items() <= backend.about.items() else None


def has_nvidia_driver():
    """Whether a GPU may be there, for which TensorFlow is worth its start."""
    try:
        ctypes.CDLL("libcuda.so.1")  # what TensorFlow looks for too
    except OSError:
        return False
    return True
