"""The least time and cost of training on MPII, by arithmetic: `python experiments/planning.py`.

An upper bound of the rate: a step takes no less than its FLOP at the GPU's peak, than the launches
of its operations, than the decoding of its pictures.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

from hourglass.params import load_params

TRAIN, VALIDATION = 22_246, 2_958  # persons
FORWARD, STEP = 29.4e9, 88.2e9  # FLOP a picture (`make bench`)
# Kernels that a train step launches (`make gpu-check`).
NUM_LAUNCHES = 3_188
LAUNCH_SECONDS = 2e-6  # assumed: the least that CUDA takes for one
CORE_RATE = 1_300  # crops of MPII's photographs that a core decodes a second (ONLY=cores)
CORES = 16
NUM_GPUS = (1, 8)
UNKNOWN = (
    "Never measured: a step of this recipe on any GPU; so what share of a peak it gets, what "
    "determinism costs, what GPUs lose to each other. All of it makes training slower than this."
)


@dataclass(frozen=True)
class Gpu:
    """Dense peaks, FLOP/s, as NVIDIA's data sheets of the SXM models have them; dollars an hour.

    TensorFlow rounds float32 to TF32 for the tensor cores unless it is told not to, determinism or
    no (`tf.config.experimental.enable_tensor_float_32_execution`). Prices are assumed.
    """

    name: str
    peaks: dict
    price: float


GPUS = (
    Gpu("A100", {"float32": 19.5e12, "TF32": 156e12, "mixed_bfloat16": 312e12}, 2.0),
    Gpu("H100", {"float32": 67e12, "TF32": 494.5e12, "mixed_bfloat16": 989e12}, 3.0),
)


def plan(gpu, num_gpus, params, peak, options):
    """Images a second at most, hours and dollars at least, and what holds the rate down."""
    host_rate = CORES * options.core_rate
    limits = {
        f"{peak} peak": num_gpus * gpu.peaks[peak] / STEP,
        "launches": num_gpus * params.batch_size / (options.launches * LAUNCH_SECONDS),
        f"decoding on {CORES} cores": host_rate,
    }
    limit = min(limits, key=limits.get)
    val_rate = min(num_gpus * gpu.peaks[peak] / FORWARD, host_rate)
    hours = params.epochs * (TRAIN / limits[limit] + VALIDATION / val_rate) / 3600
    return limits[limit], hours, hours * num_gpus * gpu.price, limit


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--core-rate", type=float, default=CORE_RATE, help="crops/s a core decodes")
    parser.add_argument("--launches", type=int, default=NUM_LAUNCHES, help="kernels a train step")
    options = parser.parse_args()
    params = load_params(Path(__file__).parents[1] / "params.yaml").train
    peaks = ("TF32", "float32") if params.precision == "float32" else (params.precision,)
    print(f"| GPUs | precision | images/s, at most | {params.epochs} epochs, at least | held by |")
    print("|---|---|---:|---:|---|")
    for gpu in GPUS:
        for num_gpus in NUM_GPUS:
            for peak in peaks:
                rate, hours, dollars, limit = plan(gpu, num_gpus, params, peak, options)
                time = f"{hours:.2f} h, ${dollars:.2f}"
                print(f"| {num_gpus} {gpu.name} | {peak} | {rate:,.0f} | {time} | {limit} |")
    print(f"\ndeterministic: {str(params.deterministic).lower()}. {UNKNOWN}")


if __name__ == "__main__":
    main()
