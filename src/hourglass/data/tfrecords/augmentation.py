"""The augmentation of every record, drawn from (seed, epoch, record) alone. numpy.

To add one: raise NUM_PARAMETERS, name the new column, and fill it in `sample_augmentation`. The
draws of the other columns stay the same, and so do runs that use them alone.
"""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from hourglass.config import AugmentParams

# The columns: zoom (over 1: more of the picture), turn (radians), flip (0 or 1), and the gains of
# red, green and blue.
NUM_PARAMETERS = 6
ZOOM, TURN, FLIP, GAINS = 0, 1, 2, slice(3, 6)
NUM_TOGETHER = 6  # drawn by one generator; each further column has its own


def sample_augmentation(
    params: "AugmentParams", seed: int, epoch: int, num_records: int
) -> np.ndarray:
    """Draw the augmentation of every record for one epoch.

    Returns:
        float32 [num_records, NUM_PARAMETERS]; row i is record i's.
    """
    # All columns are drawn, used or not: switching one kind of augmentation off leaves the draws of
    # the others as they are.
    values = _draw_columns(seed, epoch, num_records)
    symmetric = 2 * values - 1  # -1..1
    values[:, ZOOM] = 1 + params.scale * symmetric[:, ZOOM]
    values[:, TURN] = np.radians(params.rotation) * symmetric[:, TURN]
    values[:, FLIP] = (values[:, FLIP] < 0.5) & params.flip
    values[:, GAINS] = 1 + params.colour * symmetric[:, GAINS]
    return values.astype(np.float32)


def _draw_columns(seed: int, epoch: int, num_records: int) -> np.ndarray:
    """Numbers 0..1, float64 [num_records, NUM_PARAMETERS]."""
    together = np.random.default_rng((seed, epoch)).random((num_records, NUM_TOGETHER))
    # Not a wider table: the generator fills it row by row, so each number would be another one.
    # The column's own number is 6 at least: (seed, epoch, 0) is the generator of (seed, epoch),
    # and (seed, epoch, 1) draws the order of the records.
    further = [
        np.random.default_rng((seed, epoch, column)).random(num_records)
        for column in range(NUM_TOGETHER, NUM_PARAMETERS)
    ]
    return np.column_stack([together, *further])
