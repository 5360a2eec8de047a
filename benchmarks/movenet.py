"""MoveNet Lightning, what many would pick instead: fetched by npm, on one thread.

It is no part of the project: Google's, in npm's package @vladmandic/human, under the Apache
licence. Its file is a graph for TensorFlow.js. Fused operators are taken apart, tf2onnx does the
rest, and onnxruntime runs it.

Source: Votel and Li, "Next-Generation Pose Detection with MoveNet and TensorFlow.js", 2021
(blog.tensorflow.org); the form of the file: github.com/tensorflow/tfjs, tfjs-converter.
"""

import base64
import json
import math
from pathlib import Path

import numpy as np
import onnxruntime
import tensorflow as tf
from google.protobuf import json_format

from hourglass.apps.page.runtime import fetch_files, npm_cache_folder
from hourglass.data.conversion import Conversion
from hourglass.keypoints import COCO, MPII
from hourglass.models.model_inputs import swap_sides
from hourglass.utils.errors import UserError, silent_stderr

PACKAGE = "@vladmandic/human@3.3.6"
GRAPH, WEIGHTS = "movenet-lightning.json", "movenet-lightning.bin"
OPSET = 17
FUSED = {"_FusedConv2D": "Conv2D", "FusedDepthwiseConv2dNative": "DepthwiseConv2dNative"}
KEPT = ("T", "strides", "padding", "data_format", "dilations", "explicit_paddings")


class MoveNet:
    """The network as a backend (`hourglass.inference.backends`), with or without flip test."""

    batch_size = 1  # of its graph

    def __init__(self, path, flip_test):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(path), options)
        (picture,) = self._session.get_inputs()
        self._input, self.size = picture.name, picture.shape[1]
        self._flip_test = flip_test

    def __call__(self, inputs):
        """Keypoints [N, 16, 2], px of the inputs, uint8 [N, S, S, 3]; scores [N, 16].

        Joints that it does not know are NaN, their scores 0.
        """
        found = np.stack([self._find_keypoints(pixels) for pixels in inputs])  # (N, 17, 3)
        return convert(found)

    def _find_keypoints(self, pixels):
        """x, y, score of COCO's 17 keypoints in an input [S, S, 3]."""
        found = self._run(pixels)
        if not self._flip_test:
            return found
        mirrored = self._run(pixels[:, ::-1])
        mirrored[:, 0] = self.size - 1 - mirrored[:, 0]
        mirrored = np.asarray(swap_sides(mirrored[None], COCO.flip_order))[0]
        return (found + mirrored) / 2

    def _run(self, pixels):
        (found,) = self._session.run(None, {self._input: pixels[None].astype(np.int32)})
        y, x, score = found[0, 0].T.astype(np.float64)  # shares of the side, from corner to corner
        return np.stack([x * self.size - 0.5, y * self.size - 0.5, score], axis=1)


def convert(found):
    """x, y, score of COCO's keypoints [N, 17, 3] as MPII's keypoints [N, 16, 2], scores [N, 16]."""
    conversion, labelled = Conversion(COCO, MPII), np.ones(COCO.num_keypoints, bool)
    points, scores = (
        np.stack([conversion.convert_points(one[:, columns], labelled) for one in found])
        for columns in ([0, 1], [2, 2])
    )
    known = conversion.convert_flags(labelled)
    return np.where(known[:, None], points, np.nan), np.where(known, scores[..., 0], 0.0)


def find_movenet(folder=None):
    """The path of its graph, beside which its weights lie.

    Args:
        folder: where they lie; None: the user's cache, into which npm fetches what it lacks.

    Raises:
        UserError: the folder lacks one, or npm does not work.
    """
    where = Path(folder or npm_cache_folder("movenet"))
    paths = [where / name for name in (GRAPH, WEIGHTS)]
    if not folder and not all(path.is_file() for path in paths):
        members = {f"models/{path.name}": path for path in paths}
        fetch_files(PACKAGE, members, "or name a folder of them: make field MOVENET=DIR")
    for path in paths:
        if not path.is_file():
            raise UserError(f"{path}: missing; it is in npm's package {PACKAGE}, in models/")
    return paths[0]


def write_onnx(path, target):
    """Write the graph model at `path` as ONNX."""
    import tf2onnx  # which alone takes seconds

    graph = read_graph(path)
    used = {name.split(":")[0].lstrip("^") for node in graph.node for name in node.input}
    inputs = [f"{node.name}:0" for node in graph.node if node.op == "Placeholder"]
    outputs = [f"{node.name}:0" for node in graph.node if node.name not in used]
    with silent_stderr():  # it says which of TensorFlow's ways it takes
        tf2onnx.convert.from_graph_def(
            graph, input_names=inputs, output_names=outputs, opset=OPSET, output_path=str(target)
        )


def read_graph(path):
    """A GraphDef of TensorFlow's own operators, of TensorFlow.js' graph model at `path`."""
    model = json.loads(path.read_text())
    weights = read_weights(model["weightsManifest"][0]["weights"], path.with_suffix(".bin"))
    graph = tf.compat.v1.GraphDef()
    for node in model["modelTopology"]["node"]:
        if node["op"] == "Const":
            constant = tf.make_tensor_proto(weights[node["name"]])
            added = graph.node.add(name=node["name"], op="Const")
            added.attr["value"].tensor.CopyFrom(constant)
            added.attr["dtype"].type = constant.dtype
        else:
            for part in take_apart(node):
                json_format.ParseDict(part, graph.node.add(), ignore_unknown_fields=True)
    return graph


def read_weights(manifest, path):
    """{name: array} of the weights, which follow one another in one file."""
    data, weights, start = path.read_bytes(), {}, 0
    for entry in manifest:
        stored = np.dtype(entry.get("quantization", entry)["dtype"])
        number = math.prod(entry["shape"])
        values = np.frombuffer(data, stored, number, start).reshape(entry["shape"])
        weights[entry["name"]] = values.astype(entry["dtype"])
        start += number * stored.itemsize
    return weights


def take_apart(node):
    """The nodes, as JSON has them, of a fused one: its operator, a bias, an activation."""
    attributes = {k: v for k, v in node.get("attr", {}).items() if not k.startswith("_")}
    if node["op"] not in FUSED:
        return [node | {"attr": attributes}]
    fused = [base64.b64decode(name).decode() for name in attributes["fused_ops"]["list"]["s"]]
    further = node["input"][2:]
    kept = {key: value for key, value in attributes.items() if key in KEPT}
    parts = [{"op": FUSED[node["op"]], "input": node["input"][:2], "attr": kept}]
    for number, operator in enumerate(fused):
        parts[-1]["name"] = f"{node['name']}/{number}"
        inputs = [parts[-1]["name"], *([further.pop(0)] if operator == "BiasAdd" else [])]
        parts.append({"op": operator, "input": inputs, "attr": {"T": attributes["T"]}})
    parts[-1]["name"] = node["name"]
    return parts
