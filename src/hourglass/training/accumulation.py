"""One batch in several passes: gradients are summed until all parts of the batch were seen.

For devices whose memory does not hold their share of a batch (`train.max_batch_per_device`).
"""

from collections.abc import Sequence

from hourglass.utils.backend import Strategy, Tensor, tf
from hourglass.utils.devices import add_replica_variable, count_local_replicas


class GradientAccumulator:
    """The sums of a loss and of gradients over the passes of a step, on each device."""

    def __init__(self, variables: Sequence[Tensor]) -> None:
        """To be made in the strategy's scope, for the variables that are trained."""
        self.sums = [add_replica_variable(shape) for shape in [(), *(v.shape for v in variables)]]

    def add(self, values: Sequence[Tensor]) -> None:
        """Add a pass's loss and gradients."""
        for total, value in zip(self.sums, values, strict=True):
            total.assign(total + value)

    def finish(self, values: Sequence[Tensor]) -> list[Tensor]:
        """The sums with those of the last pass; the next step starts from 0."""
        totals = [total + value for total, value in zip(self.sums, values, strict=True)]
        for total in self.sums:
            total.assign(tf.zeros(total.shape))
        return totals


def split_batch(
    batch: dict[str, Tensor], num_passes: int, strategy: Strategy
) -> list[dict[str, Tensor]]:
    """An equal part of this process's batch for each of its devices in each pass.

    Args:
        batch: tensors [N, ...]; the passes times the devices divide N.

    Returns:
        For each pass a dict of per-replica values, as `strategy.run` takes them.
    """
    num_local = count_local_replicas(strategy)
    if num_passes * num_local == 1:
        return [batch]
    with tf.device("CPU"):  # else all of it would lie on the first GPU
        parts = {key: tf.split(v, num_passes * num_local) for key, v in batch.items()}

    def share_pass(first: int) -> dict[str, Tensor]:
        return strategy.experimental_distribute_values_from_function(
            lambda context: {
                key: values[first + context.replica_id_in_sync_group % num_local]
                for key, values in parts.items()
            }
        )

    return [share_pass(first) for first in range(0, num_passes * num_local, num_local)]
