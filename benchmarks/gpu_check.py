"""Whether a GPU has a kernel for all that the MPII recipe does, asked without a GPU.

usage: make gpu-check

Traces the train step and the predict step of params.yaml in each precision, training on one device
and on two, runs none of them, and prints what each would be on GPUs (`gpu_graphs`): its nodes
before and after grappler, the kernels that they launch, operations without a GPU kernel, what waits
in host memory, operations that are not deterministic. Ends with 1, naming them, where there is a
fault.

What this cannot know: whether a kernel runs, and how fast; which algorithms cuDNN chooses; memory.
Two CPUs reduce their gradients by the operation that GPUs use, over a ring in the place of NCCL.
The check leaves out tf.data, the way of the uint8 crops to the GPU, the split of a batch among
GPUs, photographs (`predict_inputs`), and the runtime's placer, which goes by the same kernels.
"""

import argparse
import collections
import dataclasses
import sys
from pathlib import Path

import gpu_graphs

from hourglass.config import load_params
from hourglass.data.tfrecords.pipeline import eval_batches, train_batches
from hourglass.data.tfrecords.reader import Split
from hourglass.keypoints import MPII
from hourglass.models.batch_norm import fuse_conv_bn
from hourglass.models.pose_estimator import PoseEstimator
from hourglass.models.registry import build_model
from hourglass.training.trainer import Trainer
from hourglass.utils.backend import keras, tf

PARAMS = load_params(Path(__file__).parents[1] / "params.yaml")
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
# Shapes and axes are smaller, and so is a number for each picture; one for each joint is not.
HOST_BYTES = 1024
COLUMNS = (
    "step", "precision", "GPUs", "nodes", "after grappler", "kernels", "no GPU kernel",
    "largest in host memory", "not deterministic",
)  # fmt: skip
# Its shards are never opened: only the shapes of their batches are asked for.
SPLIT = Split(("",), ("",), 22_246, 22_246, PARAMS.shard.crop_size, False, MPII)


@dataclasses.dataclass(frozen=True)
class Step:
    """A traced step: name, precision, devices, nodes before grappler, operations after it."""

    name: str
    precision: str
    num_gpus: int
    num_traced: int
    operations: list[gpu_graphs.Operation]

    def faults(self):
        """{what is wrong: its operations}."""
        found = {
            "no GPU kernel": [op for op in self.operations if not op.has_kernel],
            "in host memory": [
                op for op in self.operations if op.has_kernel and op.host_bytes > HOST_BYTES
            ],
            "not deterministic": [op for op in self.operations if not op.is_deterministic],
        }
        return {fault: operations for fault, operations in found.items() if operations}

    def cells(self):
        """The row of the table, in the order of COLUMNS."""
        largest = max(self.operations, key=lambda operation: operation.host_bytes)
        faults = self.faults()
        return (
            self.name, self.precision, self.num_gpus, f"{self.num_traced:,}",
            f"{len(self.operations):,}", f"{sum(op.is_launched for op in self.operations):,}",
            count_kinds(faults.get("no GPU kernel", [])),
            f"{largest.host_bytes:,} B, {largest.kind}",
            count_kinds(faults.get("not deterministic", [])),
        )  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--operations", action="store_true", help="list all, with their types")
    options = parser.parse_args()
    if not tf.test.is_built_with_cuda():
        sys.exit("this TensorFlow is built without CUDA: run `make gpu-check`")
    make_devices(2)
    steps = []
    for step in make_steps():
        steps.append(step)
        print(" | ".join(map(str, step.cells())), flush=True)
        if options.operations:
            print(count_kinds(step.operations, separator="\n"))
    print()
    for row in (COLUMNS, ["---"] * len(COLUMNS), *(step.cells() for step in steps)):
        print(f"| {' | '.join(map(str, row))} |")
    faults = [line for step in steps for line in describe_faults(step)]
    print(*faults, sep="\n")
    sys.exit(1 if faults else 0)


def make_devices(number):
    """CPUs that stand for GPUs; with determinism on, whatever train.deterministic says."""
    (cpu,) = tf.config.list_physical_devices("CPU")
    devices = [tf.config.LogicalDeviceConfiguration()] * number
    tf.config.set_logical_device_configuration(cpu, devices)
    keras.utils.set_random_seed(PARAMS.train.seed)
    tf.config.experimental.enable_op_determinism()


def make_steps():
    for precision in PRECISIONS:
        for num_gpus in (1, 2):
            yield check_step("train", precision, num_gpus)
    for precision in PRECISIONS:
        yield check_step("predict", precision, 1)


def check_step(name, precision, num_gpus):
    keras.utils.clear_session()
    keras.config.set_dtype_policy(precision if name == "train" else "float32")
    traced = trace_train_step(precision, num_gpus) if name == "train" else trace_predict(precision)
    graph = traced.graph.as_graph_def()
    num_traced = len(graph.node) + sum(len(f.node_def) for f in graph.library.function)
    size = PARAMS.predict.batch_size
    operations = gpu_graphs.list_operations(traced, size, num_gpus)
    return Step(name, precision, num_gpus, num_traced, operations)


def trace_train_step(precision, num_gpus):
    """One step over all devices, on a batch as the input pipeline makes it."""
    params = PARAMS.train.model_copy(update={"precision": precision})
    batches = train_batches(SPLIT, params.batch_size, params.augment, params.seed, 1)
    strategy = tf.distribute.get_strategy()
    if num_gpus > 1:
        strategy = tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(num_gpus)])
        batches = strategy.experimental_distribute_dataset(batches)  # a part for each
    changed = PARAMS.model_copy(update={"train": params})
    trainer = Trainer(changed, SPLIT, SPLIT, strategy, Path("none.npz"))
    return trainer.run_pass.get_concrete_function(batches.element_spec, is_last=True)


def trace_predict(precision):
    """The predict stage's step, on a batch as the input pipeline makes it."""
    params = PARAMS.predict
    network = fuse_conv_bn(build_model(PARAMS.model, MPII), precision)
    estimator = PoseEstimator(network, params.flip_test, params.decode, params.num_refinements)
    batches = eval_batches(SPLIT, params.batch_size)
    return tf.function(estimator).get_concrete_function(batches.element_spec)


def describe_kind(operation):
    return f"{operation.kind}({', '.join(operation.types)})"


def count_kinds(operations, separator=", "):
    """Each kind of operation with its types and how many there are of it."""
    kinds = collections.Counter(map(describe_kind, operations))
    return separator.join(f"{number} {kind}" for kind, number in sorted(kinds.items())) or "-"


def describe_faults(step):
    """A line for each fault and kind of operation, with the operations' names."""
    for fault, operations in step.faults().items():
        for kind in sorted(set(map(describe_kind, operations))):
            found = [operation for operation in operations if describe_kind(operation) == kind]
            yield (
                f"{step.name}, {step.precision}, GPUs: {step.num_gpus}: {fault}: "
                f"{len(found)} {kind}, {max(operation.host_bytes for operation in found):,} B: "
                f"{', '.join(operation.name for operation in found)}"
            )


if __name__ == "__main__":
    main()
