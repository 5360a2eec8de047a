import numpy as np
import onnx
import pytest
from onnx import TensorProto

from helpers.processes import run_python
from hourglass.utils.files import file_digest

AGAIN = """
import sys
from pathlib import Path
from hourglass.export.exporter import export_network
export_network(Path(sys.argv[1]), Path(sys.argv[2]))
"""


@pytest.fixture(scope="module")
def model(onnx_file):
    return onnx.load(onnx_file)


@pytest.mark.slow
def test_the_same_network_gives_the_same_bytes(onnx_file, model_file, tmp_path):
    # tf2onnx goes by the order of sets, and names by how many it has made before.
    path = tmp_path / "again.onnx"
    run_python("-c", AGAIN, model_file, path, PYTHONHASHSEED="123", check=True)
    assert path.read_bytes() == onnx_file.read_bytes()


def test_it_is_a_whole_graph_from_pictures_to_joints(model):
    onnx.checker.check_model(model, full_check=True)
    shapes = {
        tensor.name: (tensor.type.tensor_type.elem_type,
                      [dim.dim_param or dim.dim_value for dim in tensor.type.tensor_type.shape.dim])
        for tensor in (*model.graph.input, *model.graph.output)
    }  # fmt: skip
    assert shapes == {
        "pictures": (TensorProto.UINT8, ["N", 32, 32, 3]),
        "keypoints": (TensorProto.FLOAT, ["N", 16, 2]),
        "scores": (TensorProto.FLOAT, ["N", 16]),
    }


def test_it_says_what_it_is(model, model_file):
    values = {entry.key: entry.value for entry in model.metadata_props}
    assert set(values) == {"hourglass.json", "hourglass_seal"}
    assert file_digest(model_file) in values["hourglass.json"]


@pytest.mark.slow
def test_kernels_are_halved_and_nothing_else(model, half_file):
    halved = onnx.load(half_file)
    onnx.checker.check_model(halved, full_check=True)
    before, after = (
        [np.prod(tensor.dims) for tensor in graph.initializer if tensor.data_type == kind]
        for graph, kind in ((model.graph, TensorProto.FLOAT), (halved.graph, TensorProto.FLOAT16))
    )
    assert sum(after) > 0.8 * sum(before)
    left = [tensor for tensor in halved.graph.initializer if tensor.data_type == TensorProto.FLOAT]
    assert all(len(tensor.dims) <= 1 for tensor in left)
