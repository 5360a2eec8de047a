"""What `make gpu-check` asks of a graph, as far as TensorFlow's CPU wheel can tell."""

import importlib.util
import math

import numpy as np
import pytest
from tensorflow.core.framework import kernel_def_pb2, node_def_pb2

from helpers.paths import ROOT
from hourglass.data.tfrecords.pipeline import eval_batches, train_batches
from hourglass.data.tfrecords.reader import Split
from hourglass.keypoints import MPII
from hourglass.models.codec import HeatmapCodec
from hourglass.models.model_inputs import crop_half_bodies, render_inputs, transform_keypoints
from hourglass.utils.backend import tf

SPLIT = Split(("",), ("",), 64, 64, 48, False, MPII)  # never opened


@pytest.fixture(scope="module")
def gpu_graphs():
    spec = importlib.util.spec_from_file_location(
        "gpu_graphs", ROOT / "benchmarks" / "gpu_graphs.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def make_node(**types):
    """A node with these types; a list of them where several are given."""
    node = node_def_pb2.NodeDef(op="GatherV2")
    for name, value in types.items():
        if isinstance(value, tuple):
            node.attr[name].list.type.extend(kind.as_datatype_enum for kind in value)
        else:
            node.attr[name].type = value.as_datatype_enum
    return node


def make_kernel(device="GPU", priority=0, label="", host=(), **types):
    kernel = kernel_def_pb2.KernelDef(device_type=device, priority=priority, label=label)
    kernel.host_memory_arg.extend(host)
    for name, allowed in types.items():
        values = {"list": {"type": [kind.as_datatype_enum for kind in allowed]}}
        kernel.constraint.add(name=name, allowed_values=values)
    return kernel


def test_a_kernel_fits_by_all_its_types(gpu_graphs):
    floats = make_kernel(Tparams=[tf.float32, tf.float16], Tindices=[tf.int64])
    fits = gpu_graphs.find_kernel
    assert fits(make_node(Tparams=tf.float32, Tindices=tf.int64), [floats]) is floats
    assert fits(make_node(Tparams=tf.uint8, Tindices=tf.int64), [floats]) is None
    assert fits(make_node(Tparams=tf.float32, Tindices=tf.int32), [floats]) is None
    lists = make_kernel(T=[tf.float32, tf.int32])
    assert fits(make_node(T=(tf.float32, tf.int32)), [lists]) is lists
    assert fits(make_node(T=(tf.float32, tf.bool)), [lists]) is None


def test_a_kernel_is_looked_for_as_tensorflow_does(gpu_graphs):
    node = make_node(T=tf.int32)
    cpu, fallback = make_kernel("CPU"), make_kernel("DEFAULT", priority=9)
    plain, preferred, other = make_kernel(), make_kernel(priority=2), make_kernel(label="other")
    assert gpu_graphs.find_kernel(node, [cpu, other]) is None
    assert gpu_graphs.find_kernel(node, [cpu, fallback]) is fallback
    assert gpu_graphs.find_kernel(node, [fallback, plain, preferred]) is preferred


def largest(gpu_graphs, operation, kernel):
    return max(map(gpu_graphs.count_bytes, gpu_graphs.host_tensors(operation, kernel)), default=0)


def test_host_memory_is_what_the_kernel_says_times_the_shape(gpu_graphs):
    with tf.Graph().as_default():
        x, open_size = tf.zeros((2, 3)), tf.compat.v1.placeholder(tf.int32, (None,))
        indices = tf.compat.v1.placeholder(tf.int32, (7,))
        gathered = tf.gather(x + 0, indices + 0, axis=1).op
        packed = tf.stack([indices, indices, indices]).op
        unsized = tf.abs(open_size).op
        fixed = tf.reshape(x + 0, (3, 2)).op
    assert largest(gpu_graphs, gathered, make_kernel(host=["axis"])) == 0, "a constant"
    assert largest(gpu_graphs, gathered, make_kernel(host=["indices"])) == 7 * 4
    assert largest(gpu_graphs, gathered, make_kernel(host=["output"])) == 2 * 7 * 4
    assert largest(gpu_graphs, gathered, None) == 2 * 7 * 4
    assert largest(gpu_graphs, packed, make_kernel(host=["values"])) == 7 * 4
    assert largest(gpu_graphs, packed, make_kernel(host=["output"])) == 3 * 7 * 4
    assert largest(gpu_graphs, unsized, make_kernel(host=["x"])) == math.inf
    assert largest(gpu_graphs, fixed, make_kernel(host=["shape"])) == 0


def test_a_scatter_runs_on_the_host_whatever_its_kernel(gpu_graphs):
    with tf.Graph().as_default():
        values = tf.compat.v1.placeholder(tf.float32, (50,))
        scattered = tf.scatter_nd(tf.range(50)[:, None], values, [60]).op
    assert largest(gpu_graphs, scattered, make_kernel()) == 60 * 4


def test_a_norms_gradient_is_deterministic_in_training_alone(gpu_graphs):
    node = node_def_pb2.NodeDef(op="FusedBatchNormGradV3")
    for is_training in (True, False):
        node.attr["is_training"].b = is_training
        assert gpu_graphs.is_deterministic(node) == is_training
    assert gpu_graphs.is_deterministic(node_def_pb2.NodeDef(op="Conv2DBackpropFilter"))
    assert not gpu_graphs.is_deterministic(node_def_pb2.NodeDef(op="ResizeNearestNeighborGrad"))


def test_the_graph_is_inlined_with_all_that_it_changes(gpu_graphs):
    kernel = tf.Variable(np.ones((3, 3, 3, 4), np.float32))
    compiled = tf.function(lambda x: tf.nn.relu(x) * 2, jit_compile=True)

    def convolve(x):
        kernel.assign_add(tf.ones_like(kernel))
        return compiled(tf.nn.conv2d(x, kernel, 1, "SAME"))

    spec = tf.TensorSpec((None, 8, 8, 3), tf.float32)
    traced = tf.function(convolve).get_concrete_function(spec)
    operations = gpu_graphs.list_operations(traced, batch_size=5)
    kinds = [operation.kind for operation in operations]
    assert {"Relu", "AssignAddVariableOp"} <= set(kinds), "what it changes is kept"
    assert "PartitionedCall" not in kinds
    (relu,) = (operation for operation in operations if operation.kind == "Relu")
    assert relu.types == ("float32",)
    assert relu.host_bytes == 5 * 8 * 8 * 4 * 4, "without a kernel all is on the host"


def trace_views(params):
    batches = train_batches(SPLIT, 16, params.train.augment, 1, 1)

    def make_views(batch):
        batch = crop_half_bodies(batch, MPII.lower_indices)
        return render_inputs(batch, 32), transform_keypoints(batch, 32, MPII.flip_order)

    return tf.function(make_views).get_concrete_function(batches.element_spec)


def trace_decoding(params):
    center = eval_batches(SPLIT, 16).element_spec["center"]
    spec = tf.TensorSpec((center.shape[0], 24, 24, 16), tf.float32)
    return tf.function(HeatmapCodec(24, 4, 1.0).decode).get_concrete_function(spec)


@pytest.mark.parametrize("trace", [trace_views, trace_decoding])
def test_views_and_decoding_stay_on_a_gpu(gpu_graphs, tiny_params, trace):
    """TensorFlow gathers no uint8 there, and computes with int32 on the host."""
    operations = gpu_graphs.list_operations(trace(tiny_params), batch_size=16)
    gathers = {operation.types[:2] for operation in operations if operation.kind == "GatherV2"}
    assert gathers and gathers <= {("float32", "int64"), ("bool", "int64")}
    computing = [op for op in operations if op.kind not in ("Cast", "Placeholder")]
    on_host = [op for op in computing if set(op.types) == {"int32"} and op.host_bytes > 64]
    assert not on_host, "more than one number for each picture"
