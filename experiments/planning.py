"""The least time and cost of training on MPII, by arithmetic: `python experiments/planning.py`.

An upper bound of the rate: a step takes no less than its FLOP at the GPU's peak or the launches of
its operations, whichever is longer, and its exchanges between GPUs after that; no less than the
decoding of its pictures; and an epoch ends with validation and the saving of its state.
"""

import argparse
import itertools
import math
from dataclasses import dataclass
from pathlib import Path

from hourglass.config import load_params

TRAIN, VALIDATION = 22_246, 2_958  # persons
FORWARD, STEP = 29.4e9, 88.2e9  # FLOP a picture (`make bench`)
# Kernels that a train step launches on a GPU: alone, as one of several (`make gpu-check`).
NUM_LAUNCHES, NUM_LAUNCHES_SHARED = 3_188, 11_135
LAUNCH_SECONDS = 2e-6  # assumed: the least that CUDA takes for one
CORE_RATE = 1_300  # crops of MPII's photographs that a core decodes a second (ONLY=cores)
CORES, GPUS_PER_HOST = 16, 8  # of a host
# All-reduces of a step, counted in its graph for two devices: all gradients as one vector of
# float32; 2 C floats for each of the 182 norms of C channels, forward and backward.
GRADIENT_BYTES, NORM_BYTES = 4 * 12_843_392, 2 * 8 * 30_592
NUM_EXCHANGES = 1 + 2 * 182
# What an epoch takes beside its steps and validation, on 2 CPU cores that were busy: 0.6 s to fill
# the shuffle buffer, 0.4 to fetch all values and set some back, 0.3 to write the state of 156 MB.
EPOCH_SECONDS = 1.3
# Whole batches to plan for each number of GPUs: the recipe's, and what others would make of it.
BATCHES = ((1, 16), (2, 16), (8, 16), (8, 128), (64, 64), (64, 1024))


@dataclass(frozen=True)
class Link:
    """Bytes/s one way, of a GPU or a host, by data sheets; seconds of a small all-reduce over it.

    The seconds are the least that was seen reported, NVIDIA/nccl#1259 for two GPUs of a host and
    NVIDIA/nccl-tests#150 for two hosts; by Ethernet they are assumed.
    """

    name: str
    rate: float
    latency: float


@dataclass(frozen=True)
class Gpu:
    """Dense peaks, FLOP/s, as NVIDIA's data sheets of the SXM models have them; dollars an hour.

    TensorFlow rounds float32 to TF32 for the tensor cores unless it is told not to, determinism or
    no (`tf.config.experimental.enable_tensor_float_32_execution`). Prices are assumed.
    """

    name: str
    peaks: dict
    price: float
    nvlink: Link
    infiniband: Link  # of a DGX: a port for each of its GPUs


GPUS = (
    Gpu("A100", {"float32": 19.5e12, "TF32": 156e12, "mixed_bfloat16": 312e12}, 2.0,
        Link("NVLink 3", 300e9, 6e-6), Link("8 HDR ports a host", 8 * 25e9, 20e-6)),
    Gpu("H100", {"float32": 67e12, "TF32": 494.5e12, "mixed_bfloat16": 989e12}, 3.0,
        Link("NVLink 4", 450e9, 6e-6), Link("8 NDR ports a host", 8 * 50e9, 20e-6)),
)  # fmt: skip
ETHERNET = Link("25 Gb/s Ethernet", 25e9 / 8, 100e-6)
UNKNOWN = (
    "Never measured: a step of this recipe on any GPU; so what share of a peak it gets, what "
    "determinism costs, what GPUs lose to each other. All of it makes training slower than this."
)


def plan(gpu, num_gpus, batch_size, link, peak, options):
    """{what takes the time of an epoch: seconds}.

    Args:
        batch_size: the whole batch. link: the slowest between the GPUs. peak: of `gpu.peaks`.
    """
    launches = options.launches if num_gpus == 1 else options.launches_shared
    computing = {
        f"{peak} peak": batch_size / num_gpus * STEP / gpu.peaks[peak],
        "launches": launches * LAUNCH_SECONDS,
    }
    limit = max(computing, key=computing.get)
    step = {limit: computing[limit]} | exchange_seconds(num_gpus, link)
    num_hosts = math.ceil(num_gpus / GPUS_PER_HOST)
    decoding = batch_size / (num_hosts * CORES * options.core_rate)
    if decoding > sum(step.values()):
        step = {"decoding": decoding}
    # Without the backward pass: a third of the FLOP and, assumed, of one GPU's launches.
    alone = max(computing[f"{peak} peak"], options.launches * LAUNCH_SECONDS)
    validation = max(alone * FORWARD / STEP, decoding)
    return {name: TRAIN // batch_size * seconds for name, seconds in step.items()} | {
        "validation": VALIDATION / batch_size * validation,
        "the epoch's end": EPOCH_SECONDS,
    }


def exchange_seconds(num_gpus, link):
    """{latency, bandwidth: seconds} of a step's all-reduces over a ring."""
    if num_gpus == 1:
        return {}
    # To sum and to share, each sends all parts but its own.
    num_bytes = 2 * (num_gpus - 1) / num_gpus * (GRADIENT_BYTES + NORM_BYTES)
    return {"latency": NUM_EXCHANGES * link.latency, "bandwidth": num_bytes / link.rate}


def links(gpu, num_gpus):
    """The links to plan for."""
    return [gpu.nvlink] if num_gpus <= GPUS_PER_HOST else [gpu.infiniband, ETHERNET]


def describe(gpu, num_gpus, link, epochs, parts):
    """The last cells of a row: images/s, hours and dollars, what takes most of the time."""
    seconds = sum(parts.values())
    hours = epochs * seconds / 3600
    most = sorted(parts, key=parts.get, reverse=True)[:2]
    return (
        "-" if num_gpus == 1 else link.name, f"{TRAIN / seconds:,.0f}",
        f"{hours:.2f} h, ${hours * num_gpus * gpu.price:.2f}",
        ", ".join(f"{name} {parts[name] / seconds:.0%}" for name in most),
    )  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--core-rate", type=float, default=CORE_RATE, help="crops/s a core decodes")
    parser.add_argument("--launches", type=int, default=NUM_LAUNCHES, help="kernels a train step")
    parser.add_argument(
        "--launches-shared", type=int, default=NUM_LAUNCHES_SHARED, help="on each of several GPUs"
    )
    options = parser.parse_args()
    params = load_params(Path(__file__).parents[1] / "params.yaml").train
    peaks = ("TF32", "float32") if params.precision == "float32" else (params.precision,)
    columns = ("GPUs", "precision", "batch", "linked by", "images/s, at most",
               f"{params.epochs} epochs, at least", "most of the time")  # fmt: skip
    print(f"| {' | '.join(columns)} |\n|---|---|---:|---|---:|---|---|")
    for gpu, peak, (num_gpus, batch_size) in itertools.product(GPUS, peaks, BATCHES):
        for link in links(gpu, num_gpus):
            parts = plan(gpu, num_gpus, batch_size, link, peak, options)
            cells = describe(gpu, num_gpus, link, params.epochs, parts)
            print(f"| {num_gpus} {gpu.name} | {peak} | {batch_size} | {' | '.join(cells)} |")
    print(f"\ndeterministic: {str(params.deterministic).lower()}. {UNKNOWN}")


if __name__ == "__main__":
    main()
