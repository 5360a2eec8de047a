"""Ray clusters of two nodes on this machine, one CPU each."""

import contextlib

import pytest
from ray.cluster_utils import Cluster

NODE = {"num_cpus": 1, "include_dashboard": False}


@contextlib.contextmanager
def two_node_cluster(**environment):
    """Yield a `ray.cluster_utils.Cluster`: `address`, `add_node(**NODE)`, `remove_node(node)`.

    A driver that joins it is tied to its head, so only `worker_nodes` may be removed. Its first two
    nodes' workers have this process's environment, changed by `environment`, and no other
    PYTHONPATH: they know our package only where it is sent or installed.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in ("PYTHONPATH", "RAY_ADDRESS"):
            patch.delenv(name, raising=False)
        for name, value in environment.items():
            patch.setenv(name, value)
        cluster = Cluster(initialize_head=True, head_node_args=NODE)
        cluster.add_node(**NODE)
    try:
        yield cluster
    finally:
        cluster.shutdown()
