"""The GPU kernels of a traced step, asked of TensorFlow without a GPU.

The graph is laid on GPUs that exist in name alone and goes through grappler with them in its
cluster: functions are inlined, shapes folded, convolutions turned to NCHW and operations fused as
they would be there. Then each operation is held against the registry of kernels, which only
TensorFlow's CUDA wheel has in full. It uses TensorFlow's private modules.
"""

import dataclasses
import functools
import itertools
import math

from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import (
    config_pb2,
    device_properties_pb2,
    meta_graph_pb2,
    rewriter_config_pb2,
)
from tensorflow.python.framework import kernels
from tensorflow.python.grappler import cluster, tf_optimizer
from tensorflow.python.ops import handle_data_util

from hourglass.utils.backend import tf

DEVICE = "/job:localhost/replica:0/task:0/device"
# An A100, as grappler knows it: from architecture 7 on it leaves float16 in NHWC.
GPU = {
    "type": "GPU", "num_cores": 108, "frequency": 1410, "memory_size": 40 << 30,
    "environment": {"architecture": "8.0", "cuda": "12050", "cudnn": "90300"},
}  # fmt: skip
# What keeps a function that XLA compiles on the CPU from being inlined; on GPUs it is a plain one.
CPU_ALONE = ("_XlaMustCompile", "_noinline")
# They hold or name values and compute nothing.
HANDLES = (tf.resource, tf.variant, tf.string)

# Operations whose GPU kernels raise an error where determinism is asked for: the messages in
# TensorFlow 2.21's libtensorflow_cc.so.2 that say so. Segment sums, which gradients of gathers
# are, have deterministic kernels since 2.7 (release notes of 2.8).
NOT_DETERMINISTIC = {
    "AdjustContrast", "AdjustContrastv2", "Bincount", "CropAndResizeGradBoxes",
    "CropAndResizeGradImage", "DebugNumericSummaryV2", "DenseBincount",
    "DepthwiseConv2dNativeBackpropFilter", "Dilation2DBackpropFilter", "Dilation2DBackpropInput",
    "FakeQuantWithMinMaxVarsGradient", "FakeQuantWithMinMaxVarsPerChannelGradient",
    "MaxPoolGradWithArgmax", "ResizeNearestNeighborGrad", "SoftmaxCrossEntropyWithLogits",
    "SparseSoftmaxCrossEntropyWithLogits", "SparseTensorDenseMatMul", "Svd", "Timestamp",
}  # fmt: skip
# Of a norm whose statistics are given; in training it has a deterministic kernel.
NOT_WITHOUT_TRAINING = {"FusedBatchNormGrad", "FusedBatchNormGradV2", "FusedBatchNormGradV3"}
# These run on the host then, kernel or not (release notes of 2.8, "Run the following ops on CPU").
ON_HOST = {
    f"{kind}{name}"
    for kind in ("ScatterNd", "ResourceScatterNd", "TensorScatter")
    for name in ("", "Add", "Sub", "Update", "Max", "Min")
}


# These hand on what is there: they launch no kernel.
NOT_LAUNCHED = {
    "AssignVariableOp", "Const", "ExpandDims", "Identity", "IdentityN", "NoOp", "Placeholder",
    "ReadVariableOp", "Reshape", "Shape", "ShapeN", "Squeeze", "StopGradient",
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Operation:
    """A node after grappler.

    types are those of its inputs. host_bytes is the size of the largest tensor that its GPU kernel
    keeps in host memory; where it has none, of its largest tensor.
    """

    name: str
    kind: str
    types: tuple[str, ...]
    has_kernel: bool
    is_deterministic: bool
    host_bytes: int

    @property
    def is_launched(self):
        """Whether it is a kernel to launch, one at least."""
        return self.kind not in NOT_LAUNCHED


def list_operations(concrete, batch_size, num_gpus=1):
    """The operations of a traced function as `num_gpus` GPUs would run it.

    Args:
        concrete: a tf.function, traced on as many CPUs.
        batch_size: N, where the trace leaves it open.

    Raises:
        ValueError: functions are left, whose operations would be missed.
    """
    optimized = optimize(lay_on_gpus(concrete), num_gpus)
    if left := [function.signature.name for function in optimized.library.function]:
        raise ValueError(f"not inlined: {', '.join(left)}")
    # Read again, which works out the shapes, with N for what is open.
    shapes = {tensor.op.name: tensor.shape for tensor in concrete.inputs}
    for node in optimized.node:
        if node.op == "_Arg":
            sizes = [batch_size if size is None else size for size in shapes[node.name]]
            _make_source(node, "Placeholder", node.attr["T"].type, tf.TensorShape(sizes))
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(optimized, name="")
    # The handles of variables are the step's arguments: they run nothing.
    run = [operation for operation in graph.get_operations() if operation.type != "VarHandleOp"]
    return [_describe(operation) for operation in run]


def lay_on_gpus(concrete):
    """The metagraph of a traced function, each CPU's nodes on the GPU of its number."""
    metagraph = meta_graph_pb2.MetaGraphDef(graph_def=concrete.graph.as_graph_def())
    nodes = {node.name: node for node in metagraph.graph_def.node}
    for node in nodes.values():
        number = node.device.rpartition(":")[2] if "CPU:" in node.device else "0"
        node.device = f"{DEVICE}:GPU:{number}"
    for holder in (*nodes.values(), *metagraph.graph_def.library.function):
        for name in CPU_ALONE:
            holder.attr.pop(name, None)
    for index, tensor in enumerate(concrete.graph.inputs):
        node = nodes[tensor.op.name]
        if tensor.dtype == tf.resource:
            (variable,) = handle_data_util.get_resource_handle_data(tensor).shape_and_type
            _make_source(node, "VarHandleOp", variable.dtype, tf.TensorShape(variable.shape))
            node.attr["shared_name"].s = node.name.encode()
        else:
            _make_argument(node, tensor, index)
    # What is not asked for would be pruned: the results, and all that changes variables.
    wanted = [tensor.name for tensor in concrete.outputs]
    wanted += [operation.name for operation in concrete.graph.control_outputs]
    metagraph.collection_def["train_op"].node_list.value.extend(wanted)
    return metagraph


def _make_source(node, kind, dtype, shape):
    node.op = kind
    node.attr.clear()
    node.attr["dtype"].type = dtype
    node.attr["shape"].shape.CopyFrom(shape.as_proto())


def _make_argument(node, tensor, index):
    # Grappler takes a placeholder for something fed, of which no shape is sure.
    node.op = "_Arg"
    node.attr.clear()
    node.attr["T"].type = tensor.dtype.as_datatype_enum
    node.attr["index"].i = index
    node.attr["_output_shapes"].list.shape.append(tensor.shape.as_proto())


def optimize(metagraph, num_gpus):
    """The GraphDef that grappler makes of a metagraph on a machine with GPUs."""
    # Twice over the graph, as the runtime does.
    rewrites = rewriter_config_pb2.RewriterConfig(
        meta_optimizer_iterations=rewriter_config_pb2.RewriterConfig.TWO
    )
    config = config_pb2.ConfigProto(graph_options={"rewrite_options": rewrites})
    devices = [_device("CPU:0", {"type": "CPU", "num_cores": 8, "frequency": 2000})]
    devices += [_device(f"GPU:{number}", GPU) for number in range(num_gpus)]
    machine = cluster.Cluster(devices=devices)
    return tf_optimizer.OptimizeGraph(config, metagraph, cluster=machine)


def _device(name, properties):
    properties = device_properties_pb2.DeviceProperties(**properties)
    return device_properties_pb2.NamedDevice(name=f"{DEVICE}:{name}", properties=properties)


def _describe(operation):
    kernel = find_kernel(operation.node_def, _registered(operation.type))
    return Operation(
        name=operation.name,
        kind=operation.type,
        types=tuple(tensor.dtype.name for tensor in operation.inputs),
        has_kernel=kernel is not None,
        is_deterministic=is_deterministic(operation.node_def),
        host_bytes=max(map(count_bytes, host_tensors(operation, kernel)), default=0),
    )


@functools.cache
def _registered(operation):
    return list(kernels.get_registered_kernels_for_op(operation).kernel)


def find_kernel(node, registered):
    """The kernel (KernelDef) that a GPU runs a node by; None where there is none."""
    for device in ("GPU", "DEFAULT"):  # as TensorFlow looks for it
        fitting = [k for k in registered if k.device_type == device and _fits(k, node)]
        if fitting:
            return max(fitting, key=lambda kernel: kernel.priority)
    return None


def _fits(kernel, node):
    if kernel.label != node.attr["_kernel"].s.decode():
        return False
    return all(
        {node.attr[c.name].type, *node.attr[c.name].list.type} - {types_pb2.DT_INVALID}
        <= set(c.allowed_values.list.type)
        for c in kernel.constraint
    )


def is_deterministic(node):
    """Whether a GPU gives the same result each time where TensorFlow is told to."""
    if node.op in NOT_WITHOUT_TRAINING:
        return node.attr["is_training"].b
    return node.op not in NOT_DETERMINISTIC


def host_tensors(operation, kernel):
    """The tensors that an operation takes from host memory or leaves there, but for constants.

    Args:
        kernel: of `find_kernel`.
    """
    if kernel is None or operation.type in ON_HOST:
        return [*operation.inputs, *operation.outputs]
    node, definition = operation.node_def, operation.op_def
    found = []
    for arguments, tensors in (
        (definition.input_arg, iter(operation.inputs)),
        (definition.output_arg, iter(operation.outputs)),
    ):
        for argument in arguments:
            part = list(itertools.islice(tensors, _count_tensors(argument, node)))
            found += part if argument.name in kernel.host_memory_arg else []
    return [tensor for tensor in found if tensor.op.type != "Const"]


def _count_tensors(argument, node):
    if argument.number_attr:
        return node.attr[argument.number_attr].i
    if argument.type_list_attr:
        return len(node.attr[argument.type_list_attr].list.type)
    return 1


def count_bytes(tensor):
    """The size of a tensor; infinite where it is unknown, so that it is seen."""
    if tensor.dtype in HANDLES:
        return 0
    number = tensor.shape.num_elements()
    return math.inf if number is None else number * tensor.dtype.size
