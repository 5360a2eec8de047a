"""The network that a run starts from."""

from pathlib import Path

from hourglass.shipped import shipped_network
from hourglass.utils.errors import UserError

SHIPPED = "shipped"  # for train.init_weights, in the place of a file


def find_init_weights(init_weights):
    """The file that train.init_weights names; None where a run starts from random weights.

    Raises:
        UserError: there is no such file.
    """
    if not init_weights:
        return None
    if init_weights == SHIPPED:
        return shipped_network()
    path = Path(init_weights)
    if not path.is_file():
        raise UserError(
            f"{path}: no such file; fix train.init_weights (models/hourglass.keras itself is "
            "removed before training: name a copy of it)"
        )
    return path
