"""The devices of this process, and how they share batches and variables."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from hourglass.utils.backend import Strategy, Tensor, keras, tf
from hourglass.utils.errors import UserError


@dataclasses.dataclass(frozen=True)
class Share:
    """The part of all work that is this process's: the `rank`th, from 0, of `number` equal ones."""

    rank: int = 0
    number: int = 1


def find_share(strategy: Strategy) -> Share:
    """This process's share of the strategy's work: all of it on one host."""
    resolver = strategy.cluster_resolver
    if resolver is None:
        return Share()
    return Share(resolver.task_id, resolver.cluster_spec().num_tasks("worker"))


def count_local_replicas(strategy: Strategy) -> int:
    """How many devices of the strategy are this process's."""
    return strategy.num_replicas_in_sync // find_share(strategy).number


def grow_memory() -> None:
    """Let TensorFlow take each GPU's memory as it needs it: others may want some of it.

    To be called before anything runs on a device: afterwards TensorFlow refuses.

    Raises:
        UserError: Keras runs on another backend.
    """
    if (name := keras.backend.backend()) != "tensorflow":
        raise UserError(f"KERAS_BACKEND={name}: this needs TensorFlow; unset KERAS_BACKEND")
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)


def choose_strategy() -> Strategy:
    """The strategy over all GPUs of the machine; TensorFlow's own where there are not several."""
    several = len(tf.config.list_physical_devices("GPU")) > 1
    return tf.distribute.MirroredStrategy() if several else tf.distribute.get_strategy()


def round_up_batch(batch_size: int, strategy: Strategy) -> int:
    """The size of a whole batch that has as many records for each device."""
    devices = strategy.num_replicas_in_sync
    return -(-batch_size // devices) * devices


def share_batch(
    strategy: Strategy, function: Callable[[Any], tuple[Tensor, ...]], batch: Any
) -> list[Tensor]:
    """The result of `function` for a batch; each device of this process works on a part.

    Args:
        function: of a batch of n to a tuple of tensors [n, ...].
        batch: a tensor [N, ...] or a dict of them, N at least the number of devices.

    Returns:
        The tensors [N, ...], in the order of the batch.
    """
    devices = count_local_replicas(strategy)

    def run_part() -> tuple[Tensor, ...]:
        k = tf.distribute.get_replica_context().replica_id_in_sync_group % devices
        number = tf.shape(tf.nest.flatten(batch)[0])[0]
        part = slice(number * k // devices, number * (k + 1) // devices)
        return function(tf.nest.map_structure(lambda values: values[part], batch))

    parts = strategy.experimental_local_results(strategy.run(run_part))
    return [tf.concat(tensors, axis=0) for tensors in zip(*parts, strict=True)]


def add_replica_variable(shape: Sequence[int], value: float = 0.0) -> Tensor:
    """A float32 variable with a separate copy on each device."""
    return keras.Variable(
        tf.fill(shape, value), trainable=False, dtype="float32",
        synchronization="on_read", aggregation="only_first_replica",
    )  # fmt: skip


def update_mirrored(
    variables: Sequence[Tensor], values: Sequence[Tensor], update: Callable[[Tensor, Tensor], Any]
) -> None:
    """Call `update(copy, value)` for each variable, on each device that has a copy of it.

    To be called in a replica's context; every replica must bring the same values.
    """

    def update_all(strategy: Strategy, values: Sequence[Tensor]) -> None:
        for variable, value in zip(variables, values, strict=True):
            strategy.extended.update(variable.value, update, args=(value,), group=False)

    tf.distribute.get_replica_context().merge_call(update_all, args=(values,))
