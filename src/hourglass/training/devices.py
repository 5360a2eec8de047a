"""The devices that a run trains on, of this process or of several hosts."""

import os

import numpy as np

from hourglass.config import TrainParams
from hourglass.utils.backend import Strategy, keras, tf
from hourglass.utils.devices import choose_strategy, count_local_replicas, find_share, grow_memory
from hourglass.utils.errors import UserError
from hourglass.utils.parallel import count_cores


def prepare_devices(params: TrainParams, is_worker: bool = False) -> Strategy:
    """Memory growth on each GPU, determinism, precision; gives the strategy to use.

    Args:
        is_worker: this process is one of those in TF_CONFIG, and waits here for all of them. To be
            called before anything else of TensorFlow's.
    """
    grow_memory()
    keras.utils.set_random_seed(params.seed)  # the initial weights follow from it
    if params.deterministic:
        tf.config.experimental.enable_op_determinism()
    keras.config.set_dtype_policy(params.precision)
    return tf.distribute.MultiWorkerMirroredStrategy() if is_worker else choose_strategy()


def choose_pass_size(params: TrainParams, num_devices: int) -> int:
    """The pictures of a batch that a device takes at a time: its share, or an equal part of that.

    Args:
        params: batch_size and max_batch_per_device are read.

    Raises:
        UserError: the shares would differ.
    """
    share, rest = divmod(params.batch_size, num_devices)
    if rest:
        raise UserError(
            f"params.yaml: train.batch_size: {params.batch_size} cannot be shared out equally over "
            f"{num_devices} devices; choose a multiple, or take fewer (CUDA_VISIBLE_DEVICES=0,1; "
            "cluster.num_workers)"
        )
    limit = params.max_batch_per_device or share
    return max(size for size in range(1, share + 1) if size <= limit and share % size == 0)


def describe_devices(strategy: Strategy) -> str:
    """The devices that training runs on, in words."""
    number = len(tf.config.list_physical_devices("GPU"))
    text = f"{number} GPU{'s' if number > 1 else ''}" if number else "the CPU: no GPU found"
    workers = find_share(strategy).number
    return f"{workers} workers, each on {text}" if workers > 1 else text


def name_devices() -> str:
    """This process's devices, "CPU GPU GPU" or "CPU, 2 threads": on others the bits may differ."""
    kinds = [device.device_type for device in tf.config.list_logical_devices()]
    text = " ".join(kinds)
    if "GPU" not in kinds:
        text += f", {count_threads()} threads"
    return text + ", no oneDNN" * (os.environ.get("TF_ENABLE_ONEDNN_OPTS") == "0")


def count_threads() -> int:
    """The threads of one operation on the CPU: its sums are taken in as many parts."""
    given = os.environ.get("TF_NUM_INTRAOP_THREADS", "")
    number = tf.config.threading.get_intra_op_parallelism_threads()
    return number or (int(given) if given.isdecimal() else 0) or count_cores()


def sum_over_hosts(strategy: Strategy, values: np.ndarray) -> np.ndarray:
    """The sum of an array of each host's, on all of them: exact where but one is not 0."""
    if find_share(strategy).number == 1:
        return values
    number = count_local_replicas(strategy)
    # A value of each replica is summed: the host's own by one of them, nothing by the others.
    parts = strategy.experimental_distribute_values_from_function(
        lambda context: tf.constant(
            np.zeros_like(values) if context.replica_id_in_sync_group % number else values
        )
    )
    return strategy.reduce("sum", parts, axis=None).numpy()
