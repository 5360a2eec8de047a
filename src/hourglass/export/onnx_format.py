"""ONNX: converted by tf2onnx, and fixed; the same network gives the same bytes."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import tf2onnx
from onnx import TensorProto, helper, numpy_helper

from hourglass.inference.backends import NO_DIGEST, SEAL, seal
from hourglass.models.metadata import NAME

OPSET = 18  # of those that tf2onnx 1.17 takes the last


def write_onnx(module: Any, metadata: str, half: bool, path: Path) -> None:
    """Write `build_graph`'s module as ONNX.

    Args:
        metadata: the text of `encode_export`.
        half: keep the kernels as float16.
    """
    write_function(module.find_keypoints, metadata, half, path)


def write_function(function: Any, metadata: str, half: bool, path: Path) -> None:
    """Write a tf.function of pictures with an input signature as ONNX.

    Args:
        metadata: a JSON text, the file's entry `models.metadata.NAME`.
        half: keep the kernels as float16.
    """
    model = _convert(function)
    graph = model.graph
    _cast_booleans(graph)
    _renew_resizes(graph)
    if half:
        _halve_kernels(graph)
    _sort_nodes(graph)
    _rename(graph)
    for tensor in (*graph.input, *graph.output):
        tensor.type.tensor_type.shape.dim[0].dim_param = "N"
    graph.name, graph.doc_string = "hourglass", ""
    helper.set_model_props(model, {NAME: metadata, SEAL: NO_DIGEST})
    Path(path).write_bytes(seal(model.SerializeToString(deterministic=True)))


def _convert(function: Any) -> Any:
    # It reports what it cannot convert and goes on: the proof finds that out.
    logging.getLogger("tf2onnx").setLevel(logging.CRITICAL)
    model, _ = tf2onnx.convert.from_function(
        function, input_signature=function.input_signature, opset=OPSET
    )
    return model


def _cast_booleans(graph: Any) -> None:
    """Cast the boolean inputs of ArgMax to numbers: ONNX's takes no booleans."""
    for node in [node for node in graph.node if node.op_type == "ArgMax"]:
        name = f"{node.output[0]}_numbers"
        graph.node.append(helper.make_node("Cast", [node.input[0]], [name], to=TensorProto.UINT8))
        node.input[0] = name


def _renew_resizes(graph: Any) -> None:
    """Have the growths to twice the size ask for what ONNX names now, not for what it dropped."""
    for node in graph.node:
        if node.op_type == "Resize":
            modes = {"mode": "nearest", "nearest_mode": "floor",
                     "coordinate_transformation_mode": "asymmetric"}  # fmt: skip
            del node.attribute[:]
            node.attribute.extend(helper.make_attribute(*mode) for mode in modes.items())


def _halve_kernels(graph: Any) -> None:
    """Keep kernels as float16, to be cast to float32 when the file is loaded.

    Arrays of less than two axes, such as biases and a norm's factors, are small and stay.
    """
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and len(tensor.dims) > 1:
            name = f"{tensor.name}_half"
            cast = helper.make_node("Cast", [name], [tensor.name], to=TensorProto.FLOAT)
            graph.node.append(cast)
            kernel = numpy_helper.to_array(tensor).astype(np.float16)
            tensor.CopyFrom(numpy_helper.from_array(kernel, name))


def _sort_nodes(graph: Any) -> None:
    """Each node after those it takes from, in an order that their connections alone decide.

    tf2onnx's differs from run to run, as do its names.
    """
    makers = {name: node for node in graph.node for name in node.output}
    done, ordered = set(), []
    waiting = [makers[tensor.name] for tensor in reversed(graph.output)]
    while waiting:
        node = waiting[-1]
        sources = [makers[name] for name in node.input if name in makers]
        missing = [source for source in sources if source.output[0] not in done]
        if missing:
            waiting.append(missing[0])
            continue
        waiting.pop()
        if node.output[0] not in done:
            done.add(node.output[0])
            ordered.append(onnx.NodeProto.FromString(node.SerializeToString()))
    del graph.node[:]
    graph.node.extend(ordered)


def _rename(graph: Any) -> None:
    """Number tensors and nodes as they come; those that go in and out keep their names."""
    names = {tensor.name: tensor.name for tensor in (*graph.input, *graph.output)}
    constants = {tensor.name: tensor for tensor in graph.initializer}
    used: list[Any] = []  # constants, in the order of their first use
    for number, node in enumerate(graph.node):
        for name in node.input:
            if name in constants and name not in names:
                names[name] = f"constant_{len(used)}"
                used.append(constants[name])
        node.name = f"{node.op_type}_{number}"
        for k, name in enumerate(node.output):
            names.setdefault(name, f"{node.name}:{k}")
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names[name] for name in node.output]
    for tensor in used:
        tensor.name = names[tensor.name]
    kept = [onnx.TensorProto.FromString(tensor.SerializeToString()) for tensor in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    del graph.value_info[:]
