"""Time and cost of training on MPII, by arithmetic: `python experiments/planning.py`.

Nothing here is measured but the host's rate and the network's FLOP, both from `make bench`.
"""

import argparse
from dataclasses import dataclass

TRAIN, VALIDATION = 22_246, 2_958  # persons
FORWARD, STEP = 29.4e9, 88.2e9  # FLOP a picture
# Assumed, not measured: what a network of small convolutions gets out of a GPU's peak, and what
# several GPUs get out of one.
SHARE = 0.25
SCALING = {1: 1.0, 4: 0.95, 8: 0.9}
CORES = 16


@dataclass(frozen=True)
class Gpu:
    """Assumed from public lists: dense bfloat16 peak, FLOP/s; price, dollars an hour."""

    name: str
    peak: float
    price: float


GPUS = (Gpu("A100", 312e12, 2.0), Gpu("H100", 989e12, 3.0))


def plan(gpu, num_gpus, epochs, host_rate):
    """Hours, dollars, images a second, and what holds the rate down."""
    device_rate = num_gpus * SCALING[num_gpus] * SHARE * gpu.peak / STEP
    rate = min(device_rate, host_rate)
    val_rate = min(device_rate * STEP / FORWARD, host_rate)
    hours = epochs * (TRAIN / rate + VALIDATION / val_rate) / 3600
    limit = "GPUs" if device_rate <= host_rate else f"decoding on {CORES} cores"
    return hours, hours * num_gpus * gpu.price, rate, limit


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--core-rate", type=float, default=2400, help="images/s a core decodes")
    host_rate = CORES * options.parse_args().core_rate
    print("| GPUs | images/s | 50 epochs | 200 epochs | bottleneck |\n|---|---:|---:|---:|---|")
    for gpu in GPUS:
        for num_gpus in SCALING:
            short, long = (plan(gpu, num_gpus, epochs, host_rate) for epochs in (50, 200))
            times = " | ".join(f"{plan[0]:.2f} h, ${plan[1]:.2f}" for plan in (short, long))
            print(f"| {num_gpus} {gpu.name} | {short[2]:,.0f} | {times} | {short[3]} |")


if __name__ == "__main__":
    main()
