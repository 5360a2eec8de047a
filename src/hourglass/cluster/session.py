"""Ray, started for as long as a stage runs, or joined where a cluster is named."""

import os
from pathlib import Path

import ray

import hourglass
from hourglass.errors import UserError


def start_ray(num_workers):
    """Join the cluster of RAY_ADDRESS, or start Ray on this machine for as long as we run."""
    try:
        _init_ray(num_workers)
    except Exception as error:  # Ray has no class of its own for this
        reason = str(error).partition("\n")[0].rstrip(". ")
        raise UserError(f"Ray does not start: {reason}; fix RAY_ADDRESS, or wait until the "
                        "machine is less busy, then repeat") from None  # fmt: skip


def _init_ray(num_workers):
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Where one task's error ends the stage, Ray would print those of the others, in full.
    os.environ.setdefault("RAY_IGNORE_UNHANDLED_ERRORS", "1")
    source = str(Path(hourglass.__file__).parents[1])
    settings = {"logging_level": "error", "log_to_driver": False}
    if "RAY_ADDRESS" in os.environ:
        ray.init(runtime_env={"py_modules": [f"{source}/hourglass"]}, **settings)
    else:
        # The workers inherit it; Ray's own way to hand it over takes a second more.
        paths = os.pathsep.join(filter(None, [source, os.environ.get("PYTHONPATH")]))
        os.environ |= {"PYTHONPATH": paths, "CUDA_VISIBLE_DEVICES": ""}
        ray.init(
            address="local",  # not whatever else runs on this machine
            num_cpus=num_workers,
            include_dashboard=False,
            object_store_memory=200 * 2**20,
            **settings,
        )
